//! A state machine: it starts, looks now and then, and reads the answer off.

use serde_json::{Value, json};
use std::time::Duration;
use wharf_testkit::sim::{Answers, Behaviour};

use crate::cloud::Cloud;

/// What `deploy/statemachine.asl.json` does: gives the last look, and how many there were.
async fn execute(cloud: &Cloud, event: Value) -> (Value, u32) {
    let start = json!({"wharf": "start", "key": "arn:aws:states:us-east-2:1:execution:a:b", "event": event});
    let mut seen = cloud.invoke(start).await.expect("an answer");
    let mut looks = 0;
    while matches!(seen["state"].as_str(), Some("queued" | "provisioning" | "restoring")) {
        assert!(seen["answer"].is_null(), "{seen}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        let status = json!({"wharf": "status", "id": seen["id"]});
        seen = cloud.invoke(status).await.expect("an answer");
        looks += 1;
    }
    (seen, looks)
}

fn behave(cloud: &Cloud, answers: Answers) {
    let slow = Behaviour {
        runs_after: Duration::from_secs(20),
        answers,
        ..Behaviour::default()
    };
    cloud.world.behave("auth-task", slow);
}

/// Nobody else drives here: no message is delivered, and no sweep comes.
#[tokio::test(start_paused = true)]
async fn its_looks_alone_bring_a_start_to_its_end() {
    let cloud = Cloud::new();
    behave(&cloud, Answers::Well);
    let (seen, looks) = execute(&cloud, json!({"service": "auth"})).await;
    assert_eq!(
        (&seen["state"], &seen["answer"]["statusCode"]),
        (&json!("ready"), &json!(200)),
        "{seen}"
    );
    assert_eq!(seen["answer"]["body"]["healthStatus"], "healthy");
    assert!((4..10).contains(&looks), "{looks}");
    let (again, _) = execute(&cloud, json!({"service": "auth"})).await;
    assert_eq!(again["id"], seen["id"], "the execution's key is the start's");
}

#[tokio::test(start_paused = true)]
async fn several_of_one_event_are_looked_at_together() {
    let cloud = Cloud::new();
    behave(&cloud, Answers::Well);
    let (seen, _) = execute(&cloud, json!({"service": "auth", "count": 3})).await;
    assert_eq!(seen["id"].as_array().map(Vec::len), Some(3), "{seen}");
    assert_eq!(seen["answer"]["body"]["instances"].as_array().map(Vec::len), Some(3));
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_told_with_its_code() {
    let cloud = Cloud::new();
    behave(&cloud, Answers::Status(500));
    let (seen, _) = execute(&cloud, json!({"service": "auth"})).await;
    assert_eq!(
        (&seen["state"], &seen["answer"]["body"]["code"]),
        (&json!("failed"), &json!("route.unhealthy")),
        "{seen}"
    );
    assert!(seen["answer"]["body"]["error"].is_string());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_never_begins() {
    let cloud = Cloud::new();
    for event in [
        json!({"service": "nothing"}),
        json!({"detail-type": "Stop ECS Tasks", "detail": {}}),
        json!(7),
    ] {
        let (seen, looks) = execute(&cloud, event).await;
        assert_eq!(
            (&seen["state"], &seen["id"], looks),
            (&json!("refused"), &Value::Null, 0)
        );
        assert!(seen["answer"]["body"]["code"].is_string(), "{seen}");
    }
    assert_eq!(cloud.all().await, []);
}
