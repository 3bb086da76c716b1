//! Control requests: answered on another runtime, streamed, bounded.

use super::support::{client::Client, *};
use futures::FutureExt;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{runtime::Handle, sync::mpsc};
use wharf_edge::{ControlBody, ControlService, Edge};

fn bind(service: ControlService, change: impl FnOnce(&mut wharf_edge::EdgeConfig)) -> Edge {
    let mut config = config();
    change(&mut config);
    Edge::bind(config, service, Handle::current()).unwrap()
}

fn whole(text: impl Into<String>) -> Response<ControlBody> {
    Response::new(Full::from(text.into()).map_err(|never| match never {}).boxed_unsync())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_service_and_its_bodies_run_off_the_edges_cores() {
    let on_the_edge = Arc::new(AtomicBool::new(false));
    let looking = Arc::clone(&on_the_edge);
    let service: ControlService = Arc::new(move |request, _| {
        let looking = Arc::clone(&looking);
        let look = move || {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            looking.fetch_or(name.starts_with("edge-"), Ordering::SeqCst);
        };
        async move {
            look();
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            let pieces = futures::stream::iter(0..3).map(move |number| {
                look();
                Ok::<_, wharf_edge::BodyError>(Frame::data(format!("{number}").into()))
            });
            use futures::StreamExt;
            let first = futures::stream::iter([Ok(Frame::data(sent))]);
            Response::new(StreamBody::new(first.chain(pieces)).boxed_unsync())
        }
        .boxed()
    });
    let edge = bind(service, |_| {});
    let mut client = Client::connect(edge.local_addr()).await;
    for _ in 0..2 {
        let answer = client
            .ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nup ")
            .await;
        assert_eq!(answer.body, "up 012");
    }
    assert!(!on_the_edge.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one_and_end_with_the_client() {
    let (sender, receiver) = mpsc::channel::<Result<Frame<bytes::Bytes>, Infallible>>(1);
    let receiver = Arc::new(parking_lot::Mutex::new(Some(receiver)));
    let service: ControlService = Arc::new(move |_, _| {
        let receiver = receiver.lock().take().unwrap();
        async move {
            let events = futures::stream::unfold(receiver, |mut receiver| async {
                receiver.recv().await.map(|event| (event, receiver))
            });
            Response::new(StreamBody::new(events).map_err(|never| match never {}).boxed_unsync())
        }
        .boxed()
    });
    let edge = bind(service, |_| {});
    let mut client = Client::connect(edge.local_addr()).await;
    client.send(GET).await;
    assert_eq!(client.head().await.0, 200);
    for number in 0..3 {
        sender
            .send(Ok(Frame::data(format!("data: {number}\n\n").into())))
            .await
            .unwrap();
        assert_eq!(client.chunk().await, format!("data: {number}\n\n").as_bytes());
    }
    drop(client);
    // Told without another event having to be sent.
    tokio::time::timeout(PATIENCE, sender.closed())
        .await
        .expect("the stream ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_does_not_cancel_what_it_asked_for() {
    let (begun, finished) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let go_on = Arc::new(tokio::sync::Notify::new());
    let service: ControlService = Arc::new({
        let (begun, finished, go_on) = (Arc::clone(&begun), Arc::clone(&finished), Arc::clone(&go_on));
        move |_, _| {
            let (begun, finished, go_on) = (Arc::clone(&begun), Arc::clone(&finished), Arc::clone(&go_on));
            async move {
                begun.notify_one();
                go_on.notified().await;
                finished.notify_one();
                whole("done")
            }
            .boxed()
        }
    });
    let edge = bind(service, |_| {});
    let mut client = Client::connect(edge.local_addr()).await;
    client.send(GET).await;
    begun.notified().await;
    drop(client);
    until("the client is gone", || edge.metrics().connections == 0).await;
    go_on.notify_one();
    tokio::time::timeout(PATIENCE, finished.notified())
        .await
        .expect("it is finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_allowed_at_once_are_told_to_come_again() {
    let service: ControlService = Arc::new(|request, _| {
        async move {
            if request.uri().path() == "/slow" {
                std::future::pending::<()>().await;
            }
            whole("fast")
        }
        .boxed()
    });
    let edge = bind(service, |config| config.limits.control_requests = 1);
    let mut slow = Client::connect(edge.local_addr()).await;
    slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    until("it is under way", || edge.metrics().in_flight == 1).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let mut answer = client.ask(GET).await;
    // The slow one has its place as soon as the service has it.
    while answer.status == 200 {
        answer = client.ask(GET).await;
    }
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_panics_is_a_500_with_a_reference() {
    let service: ControlService = Arc::new(|_, _| async { panic!("as the test wants") }.boxed());
    let edge = bind(service, |_| {});
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n")
        .await;
    assert_eq!((answer.status, &answer.json()["code"]), (500, &"internal".into()));
    assert!(answer.json()["reference"].is_string());
}
