//! Starts that go wrong within Docker.

use crate::engine::{Answer, Engine};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use wharf_domain::Code;
use wharf_platform::Tasks;

/// An engine whose starts answer one after the other as given; after that they succeed.
fn starting(answers: &'static [(u16, &'static str)]) -> Engine {
    let next = Arc::new(AtomicUsize::new(0));
    Engine::new(move |asked| {
        if !asked.what.ends_with("/start") {
            return None;
        }
        let (status, words) = answers.get(next.fetch_add(1, Ordering::SeqCst))?;
        Some(Answer::error(*status, words))
    })
}

fn count(engine: &Engine, what: &str) -> usize {
    engine.asked().iter().filter(|asked| asked.starts_with(what)).count()
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_nothing_is_left() {
    let engine = starting(&[(500, "mkdir /var/lib/docker/overlay2/x/merged: no space left on device")]);
    let tasks = engine.open().await.unwrap();
    let (_, spec) = engine.spec("never");
    let failure = tasks.start(spec).await.unwrap_err();
    assert_eq!(failure.code, Code::DockerDisk, "{failure}");
    assert!(failure.code.is_passing(), "there may be room later");
    assert_eq!(count(&engine, "DELETE /containers/"), 1);
}

#[tokio::test]
async fn a_full_network_waits_for_room() {
    let engine = starting(&[(500, "adding interface veth0 to bridge br-0 failed: exchange full")]);
    let tasks = engine.open().await.unwrap();
    let (_, spec) = engine.spec("never");
    assert_eq!(tasks.start(spec).await.unwrap_err().code, Code::TaskCapacity);
}

#[tokio::test]
async fn an_address_that_somebody_else_has_is_passed_over() {
    let engine = starting(&[(403, "Address already in use"), (403, "Address already in use")]);
    let tasks = engine.open().await.unwrap();
    let (_, spec) = engine.spec("never");
    tasks.start(spec).await.unwrap();
    assert_eq!(count(&engine, "POST /containers/create"), 3);
    assert_eq!(count(&engine, "DELETE /containers/"), 2);
}

#[tokio::test]
async fn a_docker_that_is_going_down_leaves_what_it_made_to_the_next_try() {
    let engine = starting(&[(503, "daemon is shutting down")]);
    let tasks = engine.open().await.unwrap();
    let (_, spec) = engine.spec("never");
    let failure = tasks.start(spec).await.unwrap_err();
    assert_eq!(failure.code, Code::DockerUnavailable, "{failure}");
    assert!(failure.code.is_outage());
    assert_eq!(count(&engine, "DELETE /containers/"), 0);
}
