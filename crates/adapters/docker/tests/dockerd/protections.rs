//! What a container may do, as the kernel tells it from within.

use crate::site::Site;
use std::collections::BTreeSet;
use wharf_domain::{
    Code,
    service::{DockerTask, Protection},
};
use wharf_platform::{TaskStatus, Tasks};

#[tokio::test]
async fn a_container_is_nobody_with_no_rights_and_writes_only_into_memory() {
    let site = Site::new().await;
    let running = site.run(&["rights"]).await;
    let printed = site.until_printed(&running, "/data").await;
    for line in [
        "Uid: 65532 65532 65532 65532",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "/ read-only",
        "/tmp writable",
        "/data read-only",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
}

#[tokio::test]
async fn what_is_loosened_by_name_is_loose_and_nothing_else() {
    let site = Site::new().await;
    let task = DockerTask {
        loosened: BTreeSet::from([Protection::NonRootUser, Protection::ReadOnlyRoot]),
        capabilities: BTreeSet::from(["NET_BIND_SERVICE".to_owned()]),
        ..site.task(&["rights"])
    };
    let running = site.start_task(task).await;
    let printed = site.until_printed(&running, "/data").await;
    for line in [
        "Uid: 0 0 0 0",
        // The tenth capability, and no other.
        "CapEff: 0000000000000400",
        "NoNewPrivs: 1",
        "/ writable",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
}

#[tokio::test]
async fn a_container_has_no_more_threads_than_it_may() {
    let site = Site::new().await;
    let running = site.run(&["threads"]).await;
    let printed = site.until_printed(&running, "threads").await;
    let count: u32 = printed.split_whitespace().next().unwrap().parse().unwrap();
    assert!((32..=64).contains(&count), "{count}, and 64 are allowed");
}

#[tokio::test]
async fn a_program_that_wants_to_write_to_its_root_is_told_how_it_may() {
    let site = Site::new().await;
    let running = site.run(&["write", "/state"]).await;
    let (cause, exit_code, output) = crate::site::stopped(site.until_over(&running).await);
    assert_eq!((cause.code, exit_code), (Code::TaskCrashed, Some(1)));
    assert!(output.contains("Read-only file system"), "{output}");
    assert!(cause.hint.unwrap_or_default().contains("read-only-root"));
}

#[tokio::test]
async fn memory_and_processors_are_limited_as_configured_and_docker_restarts_nothing() {
    let site = Site::new().await;
    let (owner, task) = site.run(&["rest"]).await;
    assert!(matches!(site.look(&owner, &task).await, Ok(TaskStatus::Running { .. })));
    let found = site.docker.inspect_container(&task.id, None).await.unwrap();
    let host = found.host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
    assert_eq!(host.cpu_shares, Some(256));
    let policy = host.restart_policy.and_then(|policy| policy.name).unwrap();
    assert_eq!(policy.to_string(), "no");
    let log = host.log_config.and_then(|log| log.config).unwrap();
    assert_eq!((log["max-size"].as_str(), log["max-file"].as_str()), ("1048576", "2"));
    let labels = found.config.and_then(|config| config.labels).unwrap();
    for (label, value) in [
        ("wharf.deployment", site.deployment.to_string()),
        ("wharf.service", "test".to_owned()),
        ("wharf.instance", owner.instance.to_string()),
        ("wharf.attempt", "1".to_owned()),
    ] {
        assert_eq!(labels.get(label), Some(&value));
    }
}
