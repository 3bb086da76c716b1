//! Services without tenants: by name, and by event.

use serde_json::json;
use std::time::Duration;
use wharf_testkit::sim::{Answers, Behaviour};

use crate::site::Site;

#[tokio::test(start_paused = true)]
async fn each_start_is_one_more_and_a_singletons_is_the_same() {
    let site = Site::new().await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let reply = site.post("/services/auth/start").admin().send().await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        ids.insert(reply.json()["id"].to_string());
    }
    assert_eq!(ids.len(), 3);
    let first = site
        .post("/services/single/start")
        .admin()
        .json(&json!({"wait": true}))
        .send()
        .await;
    assert_eq!((first.status, &first.json()["status"]), (200, &json!("ready")));
    let second = site.post("/services/single/start").admin().send().await;
    assert_eq!(second.json()["id"], first.json()["id"]);
    let keyed = async || {
        let ask = site.post("/services/auth/start").admin().header("idempotency-key", "k");
        ask.send().await.json()["id"].to_string()
    };
    assert_eq!(keyed().await, keyed().await);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_waited_for_fails_with_its_cause() {
    let site = Site::new().await;
    let behaviour = Behaviour {
        exits_after: Some(Duration::from_millis(10)),
        exit_code: 1,
        last_words: Some("no such table".into()),
        answers_after: Duration::from_mins(5),
        ..Behaviour::default()
    };
    site.sim.world.behave("auth", behaviour);
    let reply = site
        .post("/services/auth/start")
        .admin()
        .json(&json!({"wait": true}))
        .send()
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "task.crashed"));
    assert!(
        reply.json()["evidence"]
            .as_str()
            .expect("evidence")
            .contains("no such table")
    );
}

#[tokio::test(start_paused = true)]
async fn an_environment_is_checked() {
    let site = Site::new().await;
    let good = json!({"environment": {"LOG_LEVEL": "debug"}});
    let taken = site.post("/services/auth/start").admin().json(&good).send().await;
    assert_eq!(taken.status, 202);
    for bad in [
        json!({"environment": {"WHARF_INSTANCE_ID": "x"}}),
        json!({"environment": {"a b": "x"}}),
        json!({"environment": {"A": 1}}),
        json!({"environment": ["A=1"]}),
        json!({"env": {}}),
    ] {
        let reply = site.post("/services/auth/start").admin().json(&bad).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "request.invalid"), "{bad}");
    }
    for (service, status, code) in [
        ("nothing", 404, "service.unknown"),
        ("A.B", 404, "service.unknown"),
        ("shop", 400, "service.tenant"),
    ] {
        let reply = site.post(&format!("/services/{service}/start")).admin().send().await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{service}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_is_stopped_as_a_whole() {
    let site = Site::new().await;
    for _ in 0..2 {
        site.post("/services/auth/start")
            .admin()
            .json(&json!({"wait": true}))
            .send()
            .await;
    }
    let reply = site.post("/services/auth/stop").admin().send().await;
    assert_eq!(reply.status, 202);
    assert_eq!(reply.json()["instances"].as_array().expect("ids").len(), 2);
    assert_eq!(reply.json()["message"], "2 instances of auth are being stopped");
    let unknown = site.post("/services/nothing/stop").admin().send().await;
    assert_eq!(unknown.code(), "service.unknown");
}

#[tokio::test(start_paused = true)]
async fn events_are_answered_in_the_documented_form() {
    let site = Site::new().await;
    let start = json!({
        "id": "e-1", "source": "custom.app", "detail-type": "Start ECS Task",
        "detail": {"service": "auth", "waitForHealthy": true}
    });
    let reply = site.post("/events").admin().json(&start).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["message"], "Task started and registered");
    assert_eq!(body["healthStatus"], "healthy");
    let again = site.post("/events").admin().json(&start).send().await.json();
    assert_eq!(again["taskId"], body["taskId"], "the same event is the same task");

    let stop = json!({"detail-type": "Stop ECS Tasks", "detail": {"services": ["auth"]}});
    let stopped = site.post("/events").admin().json(&stop).send().await;
    assert_eq!(
        (stopped.status, &stopped.json()["instances"][0]),
        (200, &body["taskId"])
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_fails_has_the_documented_form_too() {
    let site = Site::new().await;
    let behaviour = Behaviour {
        answers: Answers::Status(500),
        ..Behaviour::default()
    };
    site.sim.world.behave("auth", behaviour);
    let ask = async |event| {
        let reply = site.post("/events").admin().json(&event).send().await;
        (reply.status, reply.json()["code"].as_str().expect("a code").to_owned())
    };
    let unhealthy = json!({"service": "auth", "waitForHealthy": true});
    assert_eq!(ask(unhealthy).await, (502, "route.unhealthy".to_owned()));
    assert_eq!(
        ask(json!({"service": "nothing"})).await,
        (404, "service.unknown".to_owned())
    );
    assert_eq!(
        ask(json!({"cluster": "c"})).await,
        (403, "event.not_allowed".to_owned())
    );
    assert_eq!(
        ask(json!({"service": "auth", "schemaVersion": 2})).await,
        (400, "event.schema".to_owned())
    );
    assert_eq!(ask(json!([])).await, (400, "event.invalid".to_owned()));
    let empty = site
        .post("/events")
        .admin()
        .header("content-type", "application/json")
        .send()
        .await;
    assert_eq!(empty.code(), "event.invalid");
    let garbled = site
        .post("/events")
        .admin()
        .header("content-type", "application/json")
        .body("{")
        .send()
        .await;
    assert_eq!(garbled.code(), "request.invalid");
}
