//! One event is one task, however often it comes; what is refused; what is told.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use wharf_domain::InstanceId;
use wharf_platform::{Owner, TaskEvent, TaskStatus};
use wharf_testkit::sim::{Answers, Behaviour, services::target_group};

use crate::cloud::{Cloud, failures, record, task_change};

const SECOND: Duration = Duration::from_secs(1);

fn start(detail: &Value) -> Value {
    json!({"source": "custom.app", "detail-type": "Start ECS Task", "detail": detail})
}

/// As EventBridge delivers it.
fn delivered(id: &str, detail: &Value) -> Value {
    let mut event = start(detail);
    for (name, value) in [
        ("id", id),
        ("account", "1"),
        ("time", "2026-11-21T07:00:00Z"),
        ("region", "us-east-2"),
    ] {
        event[name] = value.into();
    }
    event
}

fn slow(cloud: &Cloud) {
    cloud.world.behave(
        "auth-task",
        Behaviour {
            runs_after: 30 * SECOND,
            answers_after: 10 * SECOND,
            ..Behaviour::default()
        },
    );
}

fn id_of(body: &Value) -> InstanceId {
    body["instance"].as_str().expect("an id").parse().expect("an id")
}

#[tokio::test(start_paused = true)]
async fn an_event_delivered_a_hundred_times_at_once_is_one_task() {
    let cloud = Cloud::new();
    slow(&cloud);
    let body = delivered("event-1", &json!({"service": "auth"})).to_string();
    let deliveries = (0..100).map(|n| {
        let batch = json!({"Records": [record(&format!("m{n}"), &body)]});
        cloud.invoke(batch)
    });
    for answer in futures::future::join_all(deliveries).await {
        assert_eq!(failures(&answer.expect("taken")), [""; 0]);
    }
    let id = cloud.only().await;
    cloud.until_state(&id, "ready").await;
    assert_eq!(cloud.world.tasks(&id).len(), 1);
    assert_eq!(cloud.only().await, id);
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_start_bills_no_waiting() {
    let cloud = Cloud::new();
    slow(&cloud);
    let begun = Instant::now();
    let batch = json!({"Records": [record("m", &start(&json!({"service": "auth"})).to_string())]});
    cloud.invoke(batch).await.expect("taken");
    assert_eq!(Instant::now(), begun, "nothing is waited for");
    let id = cloud.only().await;
    assert_eq!(
        cloud.world.live_tasks(&id).len(),
        1,
        "the task is started in the very same invocation"
    );
    assert_eq!(cloud.holder(&id).await, None);
    cloud.until_state(&id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_id_is_one_start_however_often_it_comes() {
    let cloud = Cloud::new();
    let body = start(&json!({"service": "auth"})).to_string();
    for _ in 0..3 {
        let batch = json!({"Records": [record("the-same", &body)]});
        assert_eq!(failures(&cloud.invoke(batch).await.expect("taken")), [""; 0]);
    }
    cloud.only().await;
    let batch = json!({"Records": [record("another", &body)]});
    cloud.invoke(batch).await.expect("taken");
    assert_eq!(cloud.all().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_by_hand_gets_the_documented_answer_at_registration() {
    let cloud = Cloud::new();
    slow(&cloud);
    let begun = Instant::now();
    let (status, body) = cloud.ask(start(&json!({"service": "auth"}))).await;
    let took = begun.elapsed();
    assert_eq!(
        (status, &body["message"]),
        (200, &json!("Task started and registered")),
        "{body}"
    );
    assert_eq!(body["targetGroupArn"], json!(target_group("auth")));
    assert_eq!(
        (&body["healthStatus"], &body["port"]),
        (&json!("initial"), &json!(8000))
    );
    assert!(body["taskArn"].is_string() && body["privateIp"].is_string());
    assert!(took >= 30 * SECOND && took < 45 * SECOND, "{took:?}");
    // It goes on without the one who asked.
    let id = id_of(&body);
    assert_eq!(cloud.holder(&id).await, None, "what is waited for is handed over");
    cloud.until_state(&id, "ready").await;
    assert_eq!(cloud.world.tasks(&id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_health_gets_it_or_an_error() {
    let cloud = Cloud::new();
    slow(&cloud);
    let (status, body) = cloud
        .ask(start(&json!({"service": "auth", "waitForHealthy": true})))
        .await;
    assert_eq!((status, &body["healthStatus"]), (200, &json!("healthy")), "{body}");
    let ill = Behaviour {
        answers: Answers::Status(503),
        ..Behaviour::default()
    };
    cloud.world.behave("pdf-task", ill);
    let (status, body) = cloud
        .ask(start(&json!({"service": "pdf", "waitForHealthy": true})))
        .await;
    assert_eq!((status, &body["code"]), (502, &json!("route.unhealthy")), "{body}");
}

#[tokio::test(start_paused = true)]
async fn both_bare_sign_ups_are_answered_with_address_and_port() {
    let cloud = Cloud::new();
    for (name, event) in [
        ("acme", json!({"userId": "acme"})),
        (
            "bolt",
            json!({"subdomain": "bolt", "admin_email": "a@bolt.example", "company_name": "Bolt"}),
        ),
    ] {
        let (status, body) = cloud.ask(event).await;
        assert_eq!(
            (status, &body["message"]),
            (200, &json!("Provisioning started")),
            "{body}"
        );
        assert!(
            body["url"]
                .as_str()
                .is_some_and(|url| url.starts_with(&format!("http://{name}."))),
            "{body}"
        );
        assert!(body["port"].as_u64().is_some_and(|port| (8000..=8003).contains(&port)));
        cloud.until_state(&id_of(&body), "ready").await;
    }
    assert_eq!(cloud.world.mails().len(), 2, "and each has its mail");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_says_why_and_comes_again_only_where_nobody_hears_it() {
    for (event, status, code) in [
        (
            json!({"source": "custom.app", "detail-type": "Start ECS Task"}),
            400,
            "event.invalid",
        ),
        (start(&json!({"service": 7})), 400, "event.invalid"),
        (start(&json!({"service": "auth", "port": "http"})), 400, "event.invalid"),
        (
            start(&json!({"service": "auth", "schemaVersion": 2})),
            400,
            "event.schema",
        ),
        (start(&json!({"service": "nothing"})), 404, "service.unknown"),
        (
            start(&json!({"service": "auth", "cluster": "prod"})),
            403,
            "event.not_allowed",
        ),
        (json!({"wharf": "dance"}), 400, "event.invalid"),
    ] {
        let cloud = Cloud::new();
        let (got, body) = cloud.ask(event.clone()).await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{event}: {body}");
        assert!(body["error"].is_string() && body["hint"].is_string(), "{body}");
        if code == "service.unknown" {
            assert!(
                body["hint"]
                    .as_str()
                    .is_some_and(|hint| hint.contains("auth, direct, pdf")),
                "{body}"
            );
        }
        let batch = json!({"Records": [record("m", &event.to_string())]});
        assert_eq!(failures(&cloud.invoke(batch).await.expect("taken")), ["m"], "{event}");
        assert_eq!(cloud.all().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_do_no_harm() {
    let cloud = Cloud::new();
    let (status, body) = cloud.ask(start(&json!({"service": "auth", "colour": "blue"}))).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_another_body_is_refused() {
    let cloud = Cloud::new();
    let mut event = start(&json!({"service": "auth"}));
    event["id"] = "event-1".into();
    cloud.ask(event.clone()).await;
    event["detail"]["service"] = "pdf".into();
    let (status, body) = cloud.ask(event).await;
    assert_eq!((status, &body["code"]), (409, &json!("key.reused")));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_what_a_start_has_begun() {
    let cloud = Cloud::new();
    let (_, body) = cloud
        .ask(start(&json!({"service": "auth", "waitForHealthy": true})))
        .await;
    let id = id_of(&body);
    let stop = json!({"source": "custom.app", "detail-type": "Stop ECS Tasks", "detail": {"services": ["auth"]}});
    let (status, body) = cloud.ask(stop).await;
    assert_eq!((status, &body["instances"]), (200, &json!([id])), "{body}");
    cloud.until_state(&id, "ended").await;
    assert_eq!(cloud.world.belongings(&id), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_is_registered_in_the_invocation_that_hears_of_it() {
    let cloud = Cloud::with(|settings| settings.pace.look_at_tasks = Duration::from_mins(10));
    slow(&cloud);
    let batch = json!({"Records": [record("m", &start(&json!({"service": "auth"})).to_string())]});
    cloud.invoke(batch).await.expect("taken");
    let id = cloud.only().await;
    tokio::time::sleep(30 * SECOND).await;
    let task = cloud.world.live_tasks(&id).remove(0).reference;
    let running = TaskEvent {
        instance: id.clone(),
        task,
        status: TaskStatus::Running { endpoint: None },
    };
    let begun = Instant::now();
    cloud.invoke(task_change(&running, "RUNNING")).await.expect("heard");
    assert!(cloud.record(&id).await.data.held.route, "it is registered");
    assert_eq!(Instant::now(), begun);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_ready_task_is_healed_and_tasks_that_are_not_ours_are_nobodys_business() {
    let cloud = Cloud::new();
    let (_, body) = cloud
        .ask(start(&json!({"service": "auth", "waitForHealthy": true})))
        .await;
    let id = id_of(&body);
    let task = cloud.world.live_tasks(&id).remove(0).reference;
    cloud.world.exit(&id, 1);
    let stopped = TaskEvent {
        instance: id.clone(),
        task: task.clone(),
        status: TaskStatus::Gone,
    };
    // Twice, and once of an instance that nobody knows.
    for _ in 0..2 {
        cloud.invoke(task_change(&stopped, "STOPPED")).await.expect("heard");
    }
    let foreign = TaskEvent {
        instance: InstanceId::new(wharf_domain::Timestamp(1), [9; 10]),
        ..stopped
    };
    let commits = cloud.store.commits();
    cloud.invoke(task_change(&foreign, "RUNNING")).await.expect("heard");
    cloud
        .invoke(json!({"detail-type": "ECS Task State Change", "detail": {}}))
        .await
        .expect("heard");
    assert_eq!(cloud.store.commits(), commits);
    cloud.until(async || cloud.show(&id).await.attempt.0 == 2).await;
    cloud.until_state(&id, "ready").await;
    assert_eq!(cloud.world.tasks(&id).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_ended_instances_task_is_stopped_when_it_turns_up() {
    let cloud = Cloud::new();
    let (_, body) = cloud
        .ask(start(&json!({"service": "auth", "waitForHealthy": true})))
        .await;
    let id = id_of(&body);
    cloud.ask(json!({"detail-type": "Stop ECS Tasks", "detail": {}})).await;
    cloud.until_state(&id, "ended").await;
    let owner = Owner {
        deployment: cloud.world.deployment_id().clone(),
        instance: id.clone(),
        attempt: wharf_domain::Attempt(2),
    };
    let late = TaskEvent {
        instance: id.clone(),
        task: cloud.world.plant_task(owner, &"auth".parse().expect("a name")),
        status: TaskStatus::Running { endpoint: None },
    };
    cloud.invoke(task_change(&late, "RUNNING")).await.expect("heard");
    assert!(cloud.world.live_tasks(&id).is_empty());
}
