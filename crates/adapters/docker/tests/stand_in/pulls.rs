//! Pulls: refused, slow, given up; and whose credentials go with them.

use crate::engine::{Answer, Engine, image};
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use wharf_domain::Code;
use wharf_platform::{Stopping, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::eventually;

fn refusing(words: &'static str) -> Engine {
    Engine::new(move |asked| match asked.what.as_str() {
        what if what.starts_with("GET /images/") => Some(Answer::error(404, "No such image")),
        "POST /images/create" => Some(Answer::error(500, words)),
        _ => None,
    })
}

#[tokio::test]
async fn a_pull_that_the_registry_refuses_is_final_and_shows_no_password() {
    let engine = refusing(
        "pull access denied for registry.example.com/shop, repository does not exist or may require authorization",
    );
    let auth = BASE64.encode(b"team:hunter2");
    let file = json!({"auths": {"registry.example.com": {"auth": auth}}});
    fs::write(engine.folder().join("config.json"), file.to_string()).unwrap();
    let tasks = engine.open().await.unwrap();
    let (_, spec) = engine.spec("missing");
    let failure = tasks.start(spec).await.unwrap_err();
    assert_eq!(failure.code, Code::TaskImage, "{failure}");
    assert!(failure.message.contains("access denied") && failure.hint.as_ref().unwrap().contains("credentials"));
    assert!(!format!("{failure:?}").contains("hunter2"));
    let asked = engine.asked.lock().unwrap();
    let pull = asked.iter().find(|asked| asked.what == "POST /images/create").unwrap();
    let sent: Value =
        serde_json::from_slice(&BASE64.decode(pull.headers["x-registry-auth"].as_bytes()).unwrap()).unwrap();
    assert_eq!(
        (&sent["username"], &sent["password"]),
        (&json!("team"), &json!("hunter2"))
    );
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_tried_again_by_a_new_attempt() {
    let engine = refusing("Get \"https://registry.example.com/v2/\": dial tcp 192.0.2.1:443: i/o timeout");
    let tasks = engine.open().await.unwrap();
    let (_, spec) = engine.spec("missing");
    assert_eq!(tasks.start(spec).await.unwrap_err().code, Code::TaskLost);
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_pull_is_told_as_such() {
    let engine = refusing("write /var/lib/docker/tmp/GetImageBlob1: no space left on device");
    let tasks = engine.open().await.unwrap();
    let (_, spec) = engine.spec("missing");
    let failure = tasks.start(spec).await.unwrap_err();
    assert_eq!(failure.code, Code::DockerDisk, "{failure}");
    assert!(failure.hint.unwrap().contains("docker system df"));
}

/// An engine that has the image only when its pull is over, which the test decides.
fn slow() -> (Engine, Arc<Notify>) {
    let (over, is_here) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let rest = over.clone();
    let engine = Engine::new(move |asked| match asked.what.as_str() {
        what if what.starts_with("GET /images/") => Some(if is_here.load(Ordering::SeqCst) {
            image()
        } else {
            Answer::error(404, "No such image")
        }),
        "POST /images/create" => {
            is_here.store(true, Ordering::SeqCst);
            let line = json!({"status": "Downloading", "id": "layer1"});
            Some(Answer::Unfinished(format!("{line}\r\n"), rest.clone()))
        }
        _ => None,
    });
    (engine, over)
}

#[tokio::test]
async fn a_slow_pull_is_waited_for_without_holding_up_a_step() {
    let (engine, over) = slow();
    let tasks = engine.open().await.unwrap();
    let (owner, spec) = engine.spec("missing");
    let begun = tokio::time::Instant::now();
    let task = tasks.start(spec.clone()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "a step has 20 seconds");
    let TaskStatus::Pending { why } = tasks.look(&owner, &task).await.unwrap() else {
        panic!("it is on its way")
    };
    assert!(why.contains("Downloading") && why.contains("layer1"), "{why}");
    assert_eq!(tasks.find(&spec).await, Ok(Some(task.clone())));
    assert!(!engine.asked().contains(&"POST /containers/create".to_owned()));
    over.notify_one();
    eventually("it is created and started", async || {
        engine
            .asked()
            .iter()
            .any(|asked| asked.ends_with("/start"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_any_more_is_given_up() {
    let (engine, _over) = slow();
    let tasks = engine.open().await.unwrap();
    let (owner, spec) = engine.spec("missing");
    let task = tasks.start(spec).await.unwrap();
    let stopped = tasks.stop(&owner, &task, Duration::from_secs(1)).await;
    assert_eq!(stopped, Ok(Stopping::Stopped));
    assert!(!engine.asked().contains(&"POST /containers/create".to_owned()));
    assert_eq!(tasks.look(&owner, &task).await, Ok(TaskStatus::Gone));
}
