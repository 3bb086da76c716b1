//! Wakes by SQS, and the queue as a server reads it.

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wharf_aws::{QueueReceiver, SqsWaker, WakeMessage};
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_saga::{Seen, Waker};
use wharf_testkit::contracts::harness::eventually;

use crate::way::{Fault, FixedClock, NOW, Way, governor};

fn id() -> InstanceId {
    InstanceId::new(Timestamp(1), [7; 10])
}

fn waker(way: &Way, queue: &str) -> SqsWaker {
    SqsWaker::new(way.clients(), governor(), Arc::new(FixedClock), queue.to_owned())
}

async fn put(way: &Way, queue: &str, body: &str) {
    let clients = way.clients();
    let sent = clients
        .sqs()
        .await
        .send_message()
        .queue_url(queue)
        .message_body(body)
        .send();
    sent.await.expect("sent");
}

/// A receiver at work.
struct Reading {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reading {
    fn start(
        way: &Way,
        queue: &str,
        at_once: usize,
        handle: impl Fn(String) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static,
    ) -> Self {
        let receiver = Arc::new(QueueReceiver::new(way.clients(), governor(), queue.to_owned(), at_once));
        let stop = CancellationToken::new();
        Self {
            task: tokio::spawn(receiver.run(stop.clone(), handle)),
            stop,
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("it ends");
    }
}

type Bodies = Arc<Mutex<Vec<String>>>;

fn bodies() -> (
    Bodies,
    impl Fn(String) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static,
) {
    let bodies = Bodies::default();
    let kept = bodies.clone();
    (bodies, move |body| {
        kept.lock().push(body);
        async { Ok(()) }.boxed()
    })
}

async fn so_many(bodies: &Bodies, count: usize) -> Vec<String> {
    let what = format!("{count} messages");
    eventually(&what, async || {
        Some(bodies.lock().clone()).filter(|bodies| bodies.len() >= count)
    })
    .await
}

/// Messages in the queue, whether somebody has them just now or not.
async fn left(way: &Way, queue: &str) -> usize {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    let clients = way.clients();
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesNotVisible,
    ];
    let call = clients.sqs().await.get_queue_attributes().queue_url(queue);
    let answer = call
        .set_attribute_names(Some(names.to_vec()))
        .send()
        .await
        .expect("attributes");
    let attributes = answer.attributes.unwrap_or_default();
    names
        .iter()
        .filter_map(|name| attributes.get(name)?.parse::<usize>().ok())
        .sum()
}

#[tokio::test]
async fn a_wake_comes_after_its_delay_and_not_before() {
    let way = Way::open().await;
    let queue = way.queue(30).await;
    let (bodies, handle) = bodies();
    let reading = Reading::start(&way, &queue, 4, handle);
    let begun = Instant::now();
    waker(&way, &queue)
        .wake(&id(), NOW + Duration::from_millis(400), 3)
        .await;
    let came = so_many(&bodies, 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    let expected = WakeMessage::Wake {
        id: id(),
        seq: 3,
        at: None,
    };
    assert_eq!(WakeMessage::parse(&came[0]), Some(expected));
    reading.end().await;
}

#[tokio::test]
async fn what_is_asked_of_sqs_is_a_delay_that_it_has() {
    let way = Way::open().await;
    let queue = way.queue(30).await;
    let waker = waker(&way, &queue);
    waker.wake(&id(), Timestamp(0), 1).await;
    let later = NOW + Duration::from_hours(1);
    waker.wake(&id(), later, 2).await;
    waker
        .recheck(&id(), Seen { epoch: 4, renewals: 9 }, Duration::from_millis(34_500))
        .await;
    let sent: Vec<_> = way
        .calls("SendMessage")
        .into_iter()
        .map(|call| {
            let body: serde_json::Value =
                serde_json::from_str(call["MessageBody"].as_str().expect("a body")).expect("JSON");
            (call["DelaySeconds"].clone(), body)
        })
        .collect();
    let id = id();
    assert_eq!(
        sent,
        [
            (json!(0), json!({"wharf": "wake", "id": id, "seq": 1})),
            (json!(900), json!({"wharf": "wake", "id": id, "seq": 2, "at": later})),
            (
                json!(35),
                json!({"wharf": "lease", "id": id, "epoch": 4, "renewals": 9})
            ),
        ]
    );
}

#[tokio::test]
async fn a_wake_that_cannot_be_asked_for_harms_nobody() {
    let way = Way::open().await;
    let queue = way.queue(30).await;
    way.fault("SendMessage", Fault::Denied, 1);
    waker(&way, &queue).wake(&id(), NOW, 1).await;
    assert_eq!(left(&way, &queue).await, 0);
    // And the next one goes, even if its answer is lost.
    way.fault("SendMessage", Fault::AnswerLost, 1);
    waker(&way, &queue).wake(&id(), NOW, 2).await;
    assert!(left(&way, &queue).await >= 1);
}

#[tokio::test]
async fn each_message_is_handed_on_and_then_deleted() {
    let way = Way::open().await;
    let queue = way.queue(30).await;
    for number in 0..25 {
        put(&way, &queue, &format!("message {number}")).await;
    }
    let (bodies, handle) = bodies();
    let reading = Reading::start(&way, &queue, 4, handle);
    let mut came = so_many(&bodies, 25).await;
    came.sort();
    came.dedup();
    assert_eq!(came.len(), 25);
    eventually("an empty queue", async || (left(&way, &queue).await == 0).then_some(())).await;
    reading.end().await;
    assert_eq!(bodies.lock().len(), 25, "none came twice");
}

#[tokio::test]
async fn what_failed_or_panicked_comes_again_alone() {
    let way = Way::open().await;
    let queue = way.queue(1).await;
    let tries = Arc::new(Mutex::new(Vec::<String>::new()));
    let kept = tries.clone();
    let reading = Reading::start(&way, &queue, 4, move |body| {
        let first = {
            let mut tries = kept.lock();
            tries.push(body.clone());
            tries.iter().filter(|tried| **tried == body).count() == 1
        };
        async move {
            assert!(!(first && body == "panics"), "as the test wants it");
            if first && body == "fails" {
                Err(Failure::new(Code::StoreUnavailable, "not now"))
            } else {
                Ok(())
            }
        }
        .boxed()
    });
    for body in ["fails", "panics", "works"] {
        put(&way, &queue, body).await;
    }
    let times = |body: &str| tries.lock().iter().filter(|tried| *tried == body).count();
    eventually("two tries of each that went wrong", async || {
        (times("fails") >= 2 && times("panics") >= 2 && left(&way, &queue).await == 0).then_some(())
    })
    .await;
    assert_eq!(times("works"), 1);
    reading.end().await;
}

#[tokio::test]
async fn no_more_are_handled_at_once_than_allowed() {
    let way = Way::open().await;
    let queue = way.queue(30).await;
    for number in 0..8 {
        put(&way, &queue, &format!("message {number}")).await;
    }
    let (now, most, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (counted, highest, ended) = (now.clone(), most.clone(), done.clone());
    let reading = Reading::start(&way, &queue, 2, move |_| {
        let (now, most, done) = (counted.clone(), highest.clone(), ended.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        .boxed()
    });
    eventually("all of them", async || (done.load(Ordering::SeqCst) >= 8).then_some(())).await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
    reading.end().await;
}

#[tokio::test]
async fn it_ends_in_the_middle_of_a_poll_and_after_what_is_under_way() {
    let way = Way::open().await;
    // A poll that was given up may have taken a message with it: it is back after a second.
    let queue = way.queue(1).await;
    let (bodies, handle) = bodies();
    let idle = Reading::start(&way, &queue, 1, handle);
    eventually("a poll", async || {
        (!way.calls("ReceiveMessage").is_empty()).then_some(())
    })
    .await;
    let begun = Instant::now();
    idle.end().await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "a poll takes 20 s: {:?}",
        begun.elapsed()
    );
    assert!(bodies.lock().is_empty());

    let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (starts, ends) = (started.clone(), ended.clone());
    let busy = Reading::start(&way, &queue, 1, move |_| {
        starts.fetch_add(1, Ordering::SeqCst);
        let ends = ends.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            ends.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        .boxed()
    });
    put(&way, &queue, "message").await;
    eventually("a message under way", async || {
        (started.load(Ordering::SeqCst) > 0).then_some(())
    })
    .await;
    busy.end().await;
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    assert_eq!(left(&way, &queue).await, 0, "it was deleted, too");
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_is_tried_again() {
    let way = Way::open().await;
    let queue = way.queue(30).await;
    way.fault("ReceiveMessage", Fault::Denied, 1);
    way.fault("DeleteMessage", Fault::AnswerLost, 1);
    put(&way, &queue, "message").await;
    let (bodies, handle) = bodies();
    let reading = Reading::start(&way, &queue, 1, handle);
    assert_eq!(so_many(&bodies, 1).await, ["message"]);
    eventually("an empty queue", async || (left(&way, &queue).await == 0).then_some(())).await;
    reading.end().await;
}

#[tokio::test]
async fn a_message_that_failed_comes_again_when_it_is_told_to() {
    let way = Way::open().await;
    let queue = way.queue(3600).await;
    put(&way, &queue, "{}").await;
    let clients = way.clients();
    let receive = async || {
        let client = clients.sqs().await;
        let call = client
            .receive_message()
            .queue_url(&queue)
            .visibility_timeout(3600)
            .send();
        call.await.expect("received").messages.unwrap_or_default()
    };
    let first = eventually("it is there", async || receive().await.pop()).await;
    assert!(receive().await.is_empty(), "it is hidden for an hour");
    waker(&way, &queue)
        .again_in(first.receipt_handle().expect("a receipt"), Duration::ZERO)
        .await;
    let second = eventually("it comes again", async || receive().await.pop()).await;
    assert_eq!(second.message_id(), first.message_id());
}
