//! What goes wrong: kills at every call, deadlines, clocks that differ, lost wakes, messages that panic.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use wharf_domain::{InstanceId, Timestamp, instance::TaskRef};
use wharf_platform::{TaskEvent, TaskStatus};
use wharf_testkit::sim::{Behaviour, Edge};

use crate::cloud::{Cloud, TIMEOUT, failures, record, task_change};

const START: &str =
    r#"{"id": "event-1", "source": "custom.app", "detail-type": "Start ECS Task", "detail": {"service": "auth"}}"#;

fn batch(bodies: &[&str]) -> Value {
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| record(&format!("m{n}"), body))
        .collect();
    json!({"Records": records})
}

fn slow(cloud: &Cloud) {
    let slow = Behaviour {
        runs_after: Duration::from_secs(30),
        ..Behaviour::default()
    };
    cloud.world.behave("auth-task", slow);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_panics_fails_alone() {
    let cloud = Cloud::new();
    let poison = TaskEvent {
        instance: InstanceId::new(Timestamp(1), [1; 10]),
        task: TaskRef {
            id: "task".to_owned(),
            attempt: wharf_domain::Attempt(1),
        },
        status: TaskStatus::Gone,
    };
    let poison = task_change(&poison, "POISON").to_string();
    let answer = cloud
        .invoke(batch(&[START, &poison, "{", r#"{"wharf": "sweep"}"#]))
        .await
        .expect("taken");
    assert_eq!(failures(&answer), ["m1", "m2"]);
    let id = cloud.only().await;
    cloud.until_state(&id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_comes_again_soon_and_ever_later() {
    let cloud = Cloud::new();
    let delivery = |count: &str| {
        json!({"Records": [{"messageId": "m", "receiptHandle": "r", "body": "{", "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": count}}]})
    };
    for count in ["1", "2", "100"] {
        let answer = cloud.invoke(delivery(count)).await.expect("taken");
        assert_eq!(failures(&answer), ["m"]);
    }
    let again = cloud.again.lock().clone();
    let pauses: Vec<u64> = again.iter().map(|(_, pause)| pause.as_secs()).collect();
    assert_eq!(pauses, [10, 20, 600]);
    assert!(again.iter().all(|(receipt, _)| receipt == "r"));
}

#[tokio::test(start_paused = true)]
async fn what_never_works_is_put_aside_and_holds_nobody_up() {
    let cloud = Cloud::new();
    cloud.queue.put(&json!({"wharf": "dance"}), Duration::ZERO);
    cloud
        .queue
        .put(&serde_json::from_str(START).expect("JSON"), Duration::ZERO);
    cloud.until(async || !cloud.queue.dead.lock().is_empty()).await;
    assert_eq!(cloud.queue.dead.lock().len(), 1);
    let id = cloud.only().await;
    cloud.until_state(&id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_hands_over_before_its_deadline() {
    let cloud = Cloud::new();
    // Less than a step and its margin take: nothing is begun, and nothing is lost.
    let answer = cloud.sandbox().invoke(batch(&[START]), Duration::from_secs(20)).await;
    assert_eq!(failures(&answer.expect("taken")), [""; 0]);
    let id = cloud.only().await;
    assert!(cloud.world.tasks(&id).is_empty());
    assert_eq!(cloud.holder(&id).await, None);
    assert_eq!(cloud.queue.len(), 1, "it has woken its heir");
    let begun = Instant::now();
    cloud.until_state(&id, "ready").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(cloud.world.tasks(&id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_is_told_so_before_the_deadline() {
    let cloud = Cloud::new();
    slow(&cloud);
    let begun = Instant::now();
    let answer = cloud
        .sandbox()
        .invoke(json!({"service": "auth"}), Duration::from_secs(28))
        .await;
    let answer = answer.expect("an answer");
    assert!(begun.elapsed() < Duration::from_secs(28));
    assert_eq!(
        (&answer["statusCode"], &answer["body"]["message"]),
        (&json!(202), &json!("Task is being started"))
    );
    let id = cloud.only().await;
    assert_eq!(cloud.holder(&id).await, None);
    cloud.until_state(&id, "ready").await;
    assert_eq!(cloud.world.tasks(&id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_the_start_goes_on_and_is_one_task() {
    let mut calls = 1;
    let mut at = 0;
    while at < calls {
        at += 1;
        for edge in [Edge::Before, Edge::After] {
            let cloud = Cloud::new();
            slow(&cloud);
            let sandbox = cloud.sandbox();
            sandbox.process.kill_at(at, edge);
            let killed = tokio::time::timeout(TIMEOUT / 8, sandbox.invoke(batch(&[START]), TIMEOUT)).await;
            sandbox.process.kill();
            if killed.is_ok() {
                calls = calls.max(sandbox.process.calls_begun());
            } else {
                calls = calls.max(at + 1);
                // The queue has not been told that the message was taken.
                cloud
                    .queue
                    .put(&serde_json::from_str(START).expect("JSON"), Duration::from_secs(1));
            }
            cloud.until(async || cloud.all().await.len() == 1).await;
            let id = cloud.only().await;
            cloud.until_state(&id, "ready").await;
            assert_eq!(cloud.world.tasks(&id).len(), 1, "killed {edge:?} call {at}");
            assert_eq!(cloud.only().await, id);
        }
    }
    assert!(calls > 6, "a start makes more calls than {calls}");
}

#[tokio::test(start_paused = true)]
async fn without_any_wake_the_sweep_brings_everything_on() {
    let cloud = Cloud::new();
    slow(&cloud);
    *cloud.queue.loses.lock() = true;
    cloud.invoke(batch(&[START])).await.expect("taken");
    let id = cloud.only().await;
    // What is due is told to nobody: only the queue is lost, and comes back.
    tokio::time::sleep(Duration::from_mins(2)).await;
    *cloud.queue.loses.lock() = false;
    cloud.until_state(&id, "ready").await;
    assert_eq!(cloud.world.tasks(&id).len(), 1);
}

/// Two machines' clocks are never compared with each other; what a machine takes for late is another thing, and the time-outs allow for it here.
#[tokio::test(start_paused = true)]
async fn clocks_that_differ_by_ten_minutes_neither_lose_nor_double_anything() {
    let mut cloud = Cloud::with(|settings| {
        settings
            .services
            .values_mut()
            .for_each(|service| service.start_timeout = Duration::from_mins(30));
    });
    cloud.skew = Duration::from_mins(5);
    slow(&cloud);
    for _ in 0..3 {
        let taken = cloud.invoke(batch(&[START])).await.expect("taken");
        assert_eq!(failures(&taken), [""; 0]);
    }
    let id = cloud.only().await;
    let begun = Instant::now();
    cloud.until_state(&id, "ready").await;
    assert_eq!(cloud.world.tasks(&id).len(), 1);
    assert!(begun.elapsed() < Duration::from_mins(20), "{:?}", begun.elapsed());
}
