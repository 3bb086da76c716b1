//! Why a task stopped: ECS's stop code, its reason and the containers' reasons, as a failure with a code of ours and ECS's own words. Pure.

use wharf_domain::{Code, Failure};

use super::seen::{Seen, SeenContainer};

/// What an out-of-memory kill leaves without ECS's word for it: 128 + SIGKILL.
const KILLED: i32 = 137;

/// The cause, and the exit code where a container has one.
pub(crate) fn cause(task: &Seen) -> (Failure, Option<i32>) {
    let reason = task.stopped_reason.as_deref().unwrap_or_default();
    let container = culprit(task);
    let exit_code = container.and_then(|container| container.exit_code);
    (failure(task, reason, container, exit_code), exit_code)
}

/// The container that tells most: the one with a reason, then one that failed, then the one that is routed to.
fn culprit(task: &Seen) -> Option<&SeenContainer> {
    let main = |container: &&SeenContainer| task.notes.container.as_deref() == Some(container.name.as_str());
    let containers = || task.containers.iter();
    containers()
        .find(|container| container.reason.is_some())
        .or_else(|| {
            containers()
                .filter(main)
                .find(|container| container.exit_code.is_some())
        })
        .or_else(|| containers().find(|container| container.exit_code.is_some_and(|code| code != 0)))
        .or_else(|| containers().find(|container| container.exit_code.is_some()))
}

fn failure(task: &Seen, reason: &str, container: Option<&SeenContainer>, exit_code: Option<i32>) -> Failure {
    let container_reason = container
        .and_then(|container| container.reason.as_deref())
        .unwrap_or_default();
    let name = container.map_or("?", |container| container.name.as_str());
    let words = words(reason, container_reason);
    let says = |text: &str| reason.contains(text) || container_reason.contains(text);
    let stop_code = task.stop_code.as_deref().unwrap_or_default();

    if says("OutOfMemory") {
        return Failure::new(
            Code::TaskMemory,
            format!("the container {name} used more memory than it may: {words}"),
        )
        .hint("raise `memory` of the service or of the task definition, or see with `wharf logs` what needs so much");
    }
    if stop_code == "SpotInterruption" || stop_code == "TerminationNotice" || says("Spot Task was interrupted") {
        return lost(format!("the capacity that the task ran on was taken back: {words}"));
    }
    if says("Host EC2") || says("agent disconnected") || says("Agent disconnected") || says("instance terminated") {
        return lost(format!("the container instance went away: {words}"));
    }
    if says("CannotPull") || says("pull image") {
        return pull(name, &words);
    }
    if says("network interface provisioning") || says("DockerTimeoutError") || says("RuntimeTimeoutError") {
        return lost(format!("the task was not set up in time: {words}"));
    }
    if says("Capacity is unavailable") || says("InsufficientFreeAddresses") || says("RESOURCE:") {
        return Failure::new(Code::TaskCapacity, format!("there was no room for the task: {words}"))
            .hint("name more subnets in other zones, or add capacity to the cluster");
    }
    if says("ResourceInitializationError") || says("CannotCreateVolumeError") {
        return Failure::new(Code::TaskPlacement, format!("the task could not be set up: {words}")).hint(
            "check the task's execution role (secrets, registry, log group) and its subnets' way to those services (NAT or VPC endpoints)",
        );
    }
    if says("CannotStart") || says("CannotCreateContainer") || says("ContainerRuntimeError") {
        return Failure::new(
            Code::TaskCommand,
            format!("the container {name} cannot be started: {words}"),
        )
        .hint("check the command, the user and the mounts of the container in the task definition");
    }
    if stop_code == "UserInitiated" || stop_code == "ServiceSchedulerInitiated" {
        return lost(format!("the task was stopped by somebody: {words}"));
    }
    match exit_code {
        Some(KILLED) => Failure::new(
            Code::TaskCrashed,
            format!("the container {name} was killed (exit code {KILLED}): {words}"),
        )
        .hint("it may have used more memory than its host had, or not ended when it was asked to; see `wharf logs`"),
        Some(code) => Failure::new(
            Code::TaskCrashed,
            format!("the container {name} exited with code {code}: {words}"),
        )
        .hint("see with `wharf logs` what it printed last"),
        None if stop_code == "TaskFailedToStart" => {
            Failure::new(Code::TaskPlacement, format!("the task did not start: {words}"))
                .hint("the reason is ECS's own; `wharf doctor` checks cluster, task definition and network")
        }
        None => lost(format!("the task stopped: {words}")),
    }
}

/// A pull that broke off may go well elsewhere or later; an image that is not there, or not for us, will not.
fn pull(name: &str, words: &str) -> Failure {
    const PASSING: &[&str] = &[
        "timeout",
        "timed out",
        "deadline exceeded",
        "connection reset",
        "connection refused",
        "unexpected EOF",
        "temporary failure",
        "503 Service Unavailable",
    ];
    let lower = words.to_lowercase();
    if PASSING.iter().any(|text| lower.contains(&text.to_lowercase())) {
        return lost(format!(
            "the image of the container {name} could not be pulled in time: {words}"
        ))
        .hint("if it stays so: a task in a private subnet needs a NAT gateway or VPC endpoints to reach its registry");
    }
    Failure::new(
        Code::TaskImage,
        format!("the image of the container {name} cannot be pulled: {words}"),
    )
    .hint("check the image's name and tag in the task definition, and that the execution role may read the registry")
}

fn lost(message: String) -> Failure {
    Failure::new(Code::TaskLost, message)
}

/// ECS's own words, each once.
fn words(reason: &str, container_reason: &str) -> String {
    const MOST: usize = 1_000;
    let text = match (reason, container_reason) {
        ("", "") => "ECS gives no reason".to_owned(),
        ("", only) | (only, "") => only.to_owned(),
        (reason, more) if reason.contains(more) => reason.to_owned(),
        (reason, more) => format!("{reason} ({more})"),
    };
    text.chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(
        stop_code: &str,
        reason: &str,
        exit_code: Option<i32>,
        container_reason: Option<&str>,
    ) -> (Code, String, Option<i32>) {
        let task = Seen {
            stop_code: Some(stop_code.into()),
            stopped_reason: Some(reason.into()),
            containers: vec![SeenContainer {
                name: "web".into(),
                exit_code,
                reason: container_reason.map(str::to_owned),
                ..SeenContainer::default()
            }],
            ..Seen::default()
        };
        let (failure, exit_code) = cause(&task);
        (failure.code, failure.message, exit_code)
    }

    /// Reasons as ECS's documentation of stopped-task errors has them.
    #[test]
    fn each_reason_has_its_code_and_keeps_its_words() {
        const ENDED: &str = "Essential container in task exited";
        /// Stop code, reason, exit code, the container's reason; and what it is.
        type Case<'a> = (&'a str, &'a str, Option<i32>, Option<&'a str>, Code);
        let cases: &[Case<'_>] = &[
            ("EssentialContainerExited", ENDED, Some(3), None, Code::TaskCrashed),
            ("EssentialContainerExited", ENDED, Some(0), None, Code::TaskCrashed),
            (
                "EssentialContainerExited",
                ENDED,
                Some(137),
                Some("OutOfMemoryError: Container killed due to memory usage"),
                Code::TaskMemory,
            ),
            (
                "TaskFailedToStart",
                "Task failed to start",
                None,
                Some("CannotPullContainerError: Error response from daemon: manifest for shop:none not found"),
                Code::TaskImage,
            ),
            (
                "TaskFailedToStart",
                "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/library/shop:1: pull access denied",
                None,
                None,
                Code::TaskImage,
            ),
            (
                "TaskFailedToStart",
                "CannotPullContainerError: context deadline exceeded: dial tcp 192.0.2.1:443: i/o timeout",
                None,
                None,
                Code::TaskLost,
            ),
            (
                "TaskFailedToStart",
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed",
                None,
                None,
                Code::TaskPlacement,
            ),
            (
                "TaskFailedToStart",
                "Timeout waiting for network interface provisioning to complete.",
                None,
                None,
                Code::TaskLost,
            ),
            (
                "EssentialContainerExited",
                ENDED,
                None,
                Some(
                    "CannotStartContainerError: Error response from daemon: exec: \"shopp\": executable file not found",
                ),
                Code::TaskCommand,
            ),
            (
                "SpotInterruption",
                "Your Spot Task was interrupted.",
                None,
                None,
                Code::TaskLost,
            ),
            ("", "Host EC2 (instance i-0abc) terminated.", None, None, Code::TaskLost),
            ("", "Container instance agent disconnected", None, None, Code::TaskLost),
            ("UserInitiated", "Task stopped by user", Some(143), None, Code::TaskLost),
            ("TaskFailedToStart", "something new", None, None, Code::TaskPlacement),
            (
                "TaskFailedToStart",
                "Capacity is unavailable at this time. Please try again later",
                None,
                None,
                Code::TaskCapacity,
            ),
        ];
        for (stop_code, reason, exit_code, container_reason, code) in cases {
            let (found, message, found_exit) = stopped(stop_code, reason, *exit_code, *container_reason);
            assert_eq!(found, *code, "{reason} {container_reason:?}");
            assert_eq!(found_exit, *exit_code);
            assert!(message.contains(container_reason.unwrap_or(reason)), "{message}");
        }
    }

    #[test]
    fn an_exit_code_stands_in_the_message() {
        let (_, message, _) = stopped(
            "EssentialContainerExited",
            "Essential container in task exited",
            Some(3),
            None,
        );
        assert!(message.contains("web") && message.contains('3'), "{message}");
    }

    #[test]
    fn the_container_that_failed_is_named_and_not_the_one_beside_it() {
        let container = |name: &str, code| SeenContainer {
            name: name.into(),
            exit_code: Some(code),
            ..SeenContainer::default()
        };
        let task = Seen {
            stop_code: Some("EssentialContainerExited".into()),
            containers: vec![container("log-router", 0), container("web", 1)],
            ..Seen::default()
        };
        let (failure, exit_code) = cause(&task);
        assert!(failure.message.contains("web"), "{}", failure.message);
        assert_eq!(exit_code, Some(1));
    }
}
