//! Docker going away and coming back, with containers on it: one of the test's own, which nobody else uses.

use crate::site::{Site, open, spec, stopped};
use futures::StreamExt;
use std::fs::{self, File};
use wharf_domain::{Code, DeploymentId, service::RunSpec};
use wharf_harness::dockerd::{BESIDE_OTHERS, Engine};
use wharf_platform::{TaskEvents, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::{eventually, soon};

const LIVE_RESTORE: &[&str] = &["--live-restore", "--iptables=false", "--ip-masq=false"];

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_docker_ends_containers_and_that_is_told_as_no_fault_of_theirs() {
    let mut engine = Engine::with(BESIDE_OTHERS).await;
    for crash in [false, true] {
        let site = Site::on(engine.host()).await;
        let mut events = site.subscribe();
        let running = site.run(&["rest"]).await;
        engine.end(crash);
        let away = site.look(&running.0, &running.1).await.unwrap_err();
        assert_eq!(away.code, Code::DockerUnavailable, "{away}");
        assert!(away.code.is_outage() && away.hint.is_some());
        engine.start().await;
        let told = soon("its end is told", async {
            loop {
                let event = events.next().await.unwrap();
                if event.task == running.1 && !matches!(event.status, TaskStatus::Running { .. }) {
                    return event.status;
                }
            }
        })
        .await;
        let (cause, ..) = stopped(told);
        assert_eq!(cause.code, Code::TaskLost, "killed: {crash}: {cause}");
        // And it can be begun again.
        let next = site.run(&["rest"]).await;
        assert!(matches!(site.status(&next).await, TaskStatus::Running { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_live_through_a_restart_of_docker_are_heard_of_again() {
    let mut engine = Engine::with(LIVE_RESTORE).await;
    let site = Site::on(engine.host()).await;
    let mut events = site.subscribe();
    let running = site.run(&["serve"]).await;
    let endpoint = site.endpoint(&running).await;
    engine.end(true);
    engine.start().await;
    let status = eventually("it runs", async || site.look(&running.0, &running.1).await.ok()).await;
    assert_eq!(
        status,
        TaskStatus::Running {
            endpoint: Some(endpoint)
        }
    );
    // Docker's events are heard again: what happens after the restart is told.
    let crashing = eventually("it is started", async || {
        let owner = site.owner();
        let run = RunSpec::Docker(site.task(&["crash"]));
        site.start(spec(&owner, run)).await.ok()
    })
    .await;
    soon("its end is told", async {
        loop {
            let event = events.next().await.unwrap();
            if event.task == crashing && matches!(event.status, TaskStatus::Stopped { .. }) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_as_such_and_starts_go_on_when_there_is_room_again() {
    // It has room for the tests' image and little more.
    let engine = Engine::on_a_disk_of(512, BESIDE_OTHERS).await;
    let site = Site::on(engine.host()).await;
    let running = site.run(&["rest"]).await;
    let filler = engine.data().join("filler");
    let mut file = File::create(&filler).unwrap();
    let full = std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let owner = site.owner();
    let run = RunSpec::Docker(site.task(&["rest"]));
    let failure = site.start(spec(&owner, run.clone())).await.unwrap_err();
    assert_eq!(failure.code, Code::DockerDisk, "{failure}");
    assert!(failure.hint.unwrap().contains("docker system df"));
    assert!(
        matches!(site.status(&running).await, TaskStatus::Running { .. }),
        "who runs goes on"
    );
    let all = site.all(&[]).await.unwrap();
    assert_eq!(all, std::slice::from_ref(&running), "nothing is left of it");

    drop(file);
    fs::remove_file(&filler).unwrap();
    let started = site.start(spec(&owner, run)).await.unwrap();
    assert!(matches!(
        site.look(&owner, &started).await,
        Ok(TaskStatus::Running { .. })
    ));
}

#[tokio::test]
async fn no_docker_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let host = format!("unix://{}/none", folder.path().display());
    let deployment = DeploymentId::new([1; 10]);
    let failure = open(&host, &deployment, folder.path(), Vec::new()).await.unwrap_err();
    assert_eq!(failure.code, Code::DockerUnavailable, "{failure}");
    assert!(failure.hint.unwrap().contains("systemctl start docker"));
}
