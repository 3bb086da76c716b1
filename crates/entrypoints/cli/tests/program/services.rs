//! Services without tenants: by path, several at once, started and stopped by name and by event.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::{
    harness::{Deployment, Ran, Setup, eventually, text},
    service,
};

/// The documented events, as they stand in the repository.
const START: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples/events/start-auth.json");
const STOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples/events/stop-all.json");

/// A deployment with services `auth` (as many instances as are started), `batch` (a singleton) and `broken`.
fn services() -> Setup {
    Setup::new().configured(&sections())
}

fn sections() -> String {
    let section = |name: &str, rest: &str, role: &str| {
        format!(
            "[services.{name}]\nhealth = {{ interval = \"50ms\", timeout = \"500ms\" }}\n{rest}\n{}\n",
            service::runs(role)
        )
    };
    let toml = [
        section("auth", "route = { kind = \"path\", prefix = \"/api/auth\" }", "answer"),
        section("batch", "singleton = true", "answer"),
        section("broken", "start_timeout = \"500ms\"", "broken"),
    ];
    toml.concat()
}

async fn start(deployment: &Deployment, service: &str) -> Value {
    deployment
        .admin()
        .post(&format!("/services/{service}/start"), &json!({"wait": true}))
        .await
        .is(200)
        .json()
}

async fn send(deployment: &Deployment, event: &Value) -> Ran {
    deployment
        .wharf_reading(&["send-event", "-", "--json"], &event.to_string())
        .await
}

/// The processes that answer at a path, of so many requests.
async fn answering(deployment: &Deployment, path: &str, requests: usize) -> BTreeSet<u64> {
    let mut pids = BTreeSet::new();
    for _ in 0..requests {
        let answer = deployment.services().get(path).await.is(200).json();
        assert_eq!(answer["path"], path, "the prefix is not stripped");
        pids.insert(answer["pid"].as_u64().expect("a pid"));
    }
    pids
}

#[tokio::test]
async fn instances_of_one_service_share_its_path() {
    let deployment = services().up().await;
    for _ in 0..3 {
        start(&deployment, "auth").await;
    }
    assert_eq!(answering(&deployment, "/api/auth/who", 30).await.len(), 3);
    deployment.services().get("/api/authentic").await.is(404);
    deployment.services().get("/other").await.is(404);

    // One that dies is healed. Whom it was about to answer is told so; as soon as its death is known, nobody notices it any more.
    deployment.tasks()[0].kill();
    eventually("its death is known", async || {
        let answer = deployment.services().get("/api/auth").await;
        assert!(
            [200, 502].contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        let listed = deployment.admin().get("/instances?service=auth").await.is(200).json();
        let states = listed["instances"].as_array().expect("instances").iter();
        states
            .map(|instance| &instance["attempt"])
            .any(|attempt| *attempt != 1)
            .then_some(())
    })
    .await;
    for _ in 0..30 {
        deployment.services().get("/api/auth").await.is(200);
    }
    eventually("there are three again", async || {
        (answering(&deployment, "/api/auth", 30).await.len() == 3).then_some(())
    })
    .await;
    deployment.agrees().await;
}

#[tokio::test]
async fn what_is_started_by_name_is_stopped_by_name_and_ends() {
    let deployment = services().up().await;
    let started = deployment
        .wharf(&["start", "auth", "--env", "MODE=blue", "--json"])
        .await
        .exits(0)
        .json();
    assert_eq!(started["status"], "ready");
    let answer = deployment.services().get("/api/auth").await.is(200).json();
    assert_eq!(
        (
            &answer["environment"]["MODE"],
            &answer["environment"]["WHARF_INSTANCE_ID"]
        ),
        (&"blue".into(), &started["id"])
    );
    let id = text(&started["id"]);
    deployment.wharf(&["stop", "auth"]).await.exits(0);
    deployment.becomes(id, "ended").await;
    deployment.is_gone(id).await;
    deployment.services().get("/api/auth").await.is(404);
    deployment.agrees().await;
}

#[tokio::test]
async fn a_singleton_that_runs_is_given_instead_of_one_more() {
    let deployment = services().up().await;
    let first = start(&deployment, "batch").await;
    let second = start(&deployment, "batch").await;
    assert_eq!(first["id"], second["id"]);
    let third = send(
        &deployment,
        &json!({"detail-type": "Start ECS Task", "detail": {"service": "batch"}}),
    )
    .await
    .exits(0)
    .json();
    assert_eq!(third["taskId"], first["id"]);
    assert_eq!(deployment.tasks().len(), 1);
    deployment.wharf(&["stop", "batch"]).await.exits(0);
    deployment.becomes(text(&first["id"]), "ended").await;
    assert_ne!(start(&deployment, "batch").await["id"], first["id"]);
}

#[tokio::test]
async fn the_documented_start_event_starts_once_however_often_it_comes() {
    let deployment = services().up().await;
    let first = deployment.wharf(&["send-event", START, "--json"]).await.exits(0).json();
    assert_eq!(
        (&first["service"], &first["healthStatus"]),
        (&"auth".into(), &"healthy".into()),
        "{first:#}"
    );
    assert_eq!(first["privateIp"], "127.0.0.1");
    let port = first["port"].as_u64().expect("a port");
    let id = text(&first["taskId"]);
    let instance = deployment.show(id).await;
    assert_eq!(
        (&instance["endpoint"], &instance["task"]),
        (&format!("127.0.0.1:{port}").into(), &first["taskArn"])
    );
    assert_eq!(first["instances"].as_array().map(Vec::len), Some(1));
    let again = deployment.wharf(&["send-event", START, "--json"]).await.exits(0).json();
    assert_eq!(again["taskId"], first["taskId"]);
    assert_eq!(deployment.tasks().len(), 1);
    deployment.services().get("/api/auth").await.is(200);
}

#[tokio::test]
async fn the_documented_stop_event_ends_all_that_have_no_tenant() {
    let deployment = services().up().await;
    let auth = start(&deployment, "auth").await;
    let batch = start(&deployment, "batch").await;
    deployment.ready("acme").await;
    let stopped = deployment.wharf(&["send-event", STOP, "--json"]).await.exits(0).json();
    assert_eq!(stopped["instances"].as_array().map(Vec::len), Some(2), "{stopped:#}");
    for started in [&auth, &batch] {
        deployment.becomes(text(&started["id"]), "ended").await;
    }
    deployment.tenant("acme").get("/").await.is(200);
    deployment.becomes("acme", "ready").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_stop_event_stops_tenants_only_by_their_services_name() {
    let deployment = services().up().await;
    deployment.ready("acme").await;
    let event = json!({"source": "custom.source", "detail-type": "Stop ECS Tasks", "detail": {"services": ["storefront"], "deregister_targets": false}});
    let stopped = send(&deployment, &event).await.exits(0).json();
    assert_eq!(stopped["instances"].as_array().map(Vec::len), Some(1));
    assert!(
        stopped["note"].is_string(),
        "what it cannot leave registered, it says: {stopped:#}"
    );
    deployment.becomes("acme", "stopped").await;
}

#[tokio::test]
async fn an_event_may_ask_for_several() {
    let deployment = services().up().await;
    let event = json!({"id": "e-1", "source": "custom.app", "detail-type": "Start ECS Task", "detail": {"service": "auth", "count": 3, "waitForHealthy": true, "port": 8080}});
    let first = send(&deployment, &event).await.exits(0).json();
    let ids = |answer: &Value| -> BTreeSet<String> {
        answer["instances"]
            .as_array()
            .expect("instances")
            .iter()
            .map(|instance| text(&instance["taskId"]).to_owned())
            .collect()
    };
    assert_eq!(ids(&first).len(), 3);
    assert_eq!(
        first["ignored"],
        json!(["port"]),
        "what means nothing on one machine is listed"
    );
    assert_eq!(ids(&send(&deployment, &event).await.exits(0).json()), ids(&first));
    assert_eq!(deployment.tasks().len(), 3);
}

#[tokio::test]
async fn an_unhealthy_target_is_never_a_200_to_who_waits_for_health() {
    let deployment = services().up().await;
    let event = json!({"detail-type": "Start ECS Task", "detail": {"service": "broken", "waitForHealthy": true}});
    let answer = deployment.admin().post("/events", &event).await.is(502).json();
    assert_eq!(answer["code"], "route.unhealthy", "{answer:#}");
    assert!(text(&answer["error"]).contains("500"), "{answer:#}");
    let refused = send(&deployment, &event).await.exits(1);
    assert_eq!(refused.json()["code"], "route.unhealthy", "{refused:?}");
    assert_eq!(deployment.tasks(), []);

    let at_once = json!({"detail-type": "Start ECS Task", "detail": {"service": "broken"}});
    let registered = deployment.admin().post("/events", &at_once).await.is(200).json();
    assert_eq!(registered["healthStatus"], "initial", "{registered:#}");
    deployment.becomes(text(&registered["taskId"]), "failed").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_is_refused_with_its_code() {
    let deployment = services().up().await;
    let start = |detail: Value| json!({"source": "custom.app", "detail-type": "Start ECS Task", "detail": detail});
    let cases = [
        (start(json!({"service": "unheard-of"})), 404, "service.unknown"),
        (
            start(json!({"cluster": "other", "taskDefinition": "t:1"})),
            403,
            "event.not_allowed",
        ),
        (
            start(json!({"service": "auth", "schemaVersion": 2})),
            400,
            "event.schema",
        ),
        (start(json!({"service": "auth", "count": 11})), 400, "event.invalid"),
        (start(json!({"service": "storefront"})), 400, "service.tenant"),
        (
            json!({"source": "custom.app", "detail-type": "Restart", "detail": {}}),
            400,
            "event.invalid",
        ),
        (json!([]), 400, "event.invalid"),
    ];
    for (event, status, code) in cases {
        let answer = deployment.admin().post("/events", &event).await.is(status).json();
        assert_eq!(answer["code"], code, "{event}: {answer:#}");
    }
    deployment
        .console()
        .post("/events", &start(json!({"service": "auth"})))
        .await
        .problem(401, "auth.missing");
    deployment
        .wharf_reading(&["send-event", "-"], "not JSON")
        .await
        .exits(4);
    assert_eq!(deployment.tasks(), []);
}

#[tokio::test]
async fn schedules_are_listed_with_the_times_that_come_next() {
    let toml = "[schedules.new-year]\ncron = \"0 0 1 1 *\"\ntime_zone = \"Europe/Berlin\"\nstart = [\"auth\"]\n";
    let deployment = Setup::new().configured(&(sections() + toml)).up().await;
    let listed = deployment.wharf(&["list", "schedules", "--json"]).await.exits(0).json();
    assert_eq!(listed[0]["name"], "new-year");
    assert_eq!(listed[0]["last"], Value::Null);
    let next = listed[0]["next"].as_u64().expect("a time");
    let told = deployment.wharf(&["list", "schedules"]).await.exits(0).stdout;
    assert!(
        told.contains("start auth") && told.contains("-01-01 00:00 CET"),
        "{told}"
    );
    assert!(next > 1_700_000_000_000 && next % 1000 == 0, "{next}");
    let none = Deployment::new()
        .await
        .wharf(&["list", "schedules"])
        .await
        .exits(0)
        .stdout;
    assert!(none.contains("no schedules"), "{none}");
}
