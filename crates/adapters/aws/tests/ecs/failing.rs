//! Tasks that stop by themselves or with their host: each cause has its code, and ECS's own words.

use crate::site::{CLUSTER, Site, printing, task};
use std::time::Duration;
use wharf_aws_simulator::{ContainerInstance, TaskDefinition, TaskPlan, Then};
use wharf_domain::Code;
use wharf_platform::{TaskStatus, Tasks};

async fn never_starts(reason: &str) -> wharf_domain::Failure {
    let site = Site::new().await;
    let plan = TaskPlan::fargate().then(Then::NeverStarts { reason: reason.into() });
    site.simulator.plan("web", plan);
    let started = site.started().await;
    site.cause(&started).await.0
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_the_service_s_fault() {
    let words = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/shop:none: not found";
    let cause = never_starts(words).await;
    assert_eq!(cause.code, Code::TaskImage);
    assert!(cause.message.contains("shop:none"), "{}", cause.message);
}

#[tokio::test]
async fn a_pull_that_took_too_long_is_worth_another_attempt() {
    let words = "CannotPullContainerError: context deadline exceeded";
    assert_eq!(never_starts(words).await.code, Code::TaskLost);
}

#[tokio::test]
async fn what_ecs_cannot_set_up_is_the_operator_s_fault() {
    let words =
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed";
    let cause = never_starts(words).await;
    assert_eq!(cause.code, Code::TaskPlacement);
    assert!(cause.message.contains("registry auth"), "{}", cause.message);
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_told_so() {
    let words =
        "CannotStartContainerError: Error response from daemon: exec: \"shopp\": executable file not found in $PATH";
    assert_eq!(never_starts(words).await.code, Code::TaskCommand);
}

#[tokio::test]
async fn a_crash_names_container_and_exit_code() {
    let site = Site::new().await;
    let started = site.started().await;
    site.endpoint(&started).await;
    assert!(site.simulator.exit_task(&started.1.id, 3, None));
    let (cause, exit_code) = site.cause(&started).await;
    assert_eq!((cause.code, exit_code), (Code::TaskCrashed, Some(3)));
    assert!(
        cause.message.contains("web") && cause.message.contains("code 3"),
        "{}",
        cause.message
    );
}

#[tokio::test]
async fn a_task_that_ends_as_soon_as_it_runs_is_a_crash() {
    let site = Site::new().await;
    let ends = Then::ExitsAfter {
        after: Duration::ZERO,
        code: 1,
        reason: None,
    };
    site.simulator.plan("web", TaskPlan::at_once().then(ends));
    let started = site.started().await;
    let (cause, exit_code) = site.cause(&started).await;
    assert_eq!((cause.code, exit_code), (Code::TaskCrashed, Some(1)));
}

#[tokio::test]
async fn who_takes_too_much_memory_is_told_so() {
    let site = Site::new().await;
    let started = site.started().await;
    site.endpoint(&started).await;
    let reason = "OutOfMemoryError: Container killed due to memory usage";
    assert!(site.simulator.exit_task(&started.1.id, 137, Some(reason)));
    let (cause, _) = site.cause(&started).await;
    assert_eq!(cause.code, Code::TaskMemory);
    assert!(cause.message.contains(reason), "{}", cause.message);
}

#[tokio::test]
async fn capacity_that_is_taken_back_is_a_loss() {
    let site = Site::new().await;
    let started = site.started().await;
    site.endpoint(&started).await;
    let words = "Your Spot Task was interrupted.";
    assert!(site.simulator.stop_task(&started.1.id, "SpotInterruption", words));
    let (cause, _) = site.cause(&started).await;
    assert_eq!(cause.code, Code::TaskLost);
    assert!(cause.message.contains(words), "{}", cause.message);
}

#[tokio::test]
async fn a_lost_host_is_a_loss_of_all_its_tasks() {
    let site = Site::new().await;
    let definition = TaskDefinition::bridge("bridge").container("web", 8000);
    site.simulator.task_definition(&definition).expect("a definition");
    let host = site
        .simulator
        .container_instance(CLUSTER, &ContainerInstance::sized(4096, 8192));
    let started = [
        site.started_as(task("bridge")).await,
        site.started_as(task("bridge")).await,
    ];
    site.endpoint(&started[0]).await;
    site.simulator.lose_host(&host.arn);
    for started in &started {
        let (cause, _) = site.cause(started).await;
        assert_eq!(cause.code, Code::TaskLost, "{}", cause.message);
    }
}

#[tokio::test]
async fn the_last_lines_of_a_crash_are_shown() {
    let site = Site::new().await;
    site.simulator
        .task_definition(&printing("web", "/ecs/web"))
        .expect("a definition");
    let started = site.started().await;
    site.endpoint(&started).await;
    for line in ["listening on 8080", "cannot go on"] {
        assert!(site.simulator.write_log(&started.1.id, "web", line));
    }
    assert!(site.simulator.exit_task(&started.1.id, 1, None));
    site.simulator.advance(Duration::from_mins(1));
    let TaskStatus::Stopped { output, .. } = site.status(&started).await else {
        panic!("it has stopped")
    };
    assert_eq!(output.as_deref(), Some("listening on 8080\ncannot go on"));
}

#[tokio::test]
async fn ecs_forgets_a_stopped_task_and_it_is_gone() {
    let site = Site::new().await;
    let started = site.started().await;
    site.endpoint(&started).await;
    assert!(site.simulator.exit_task(&started.1.id, 1, None));
    site.simulator.advance(Duration::from_hours(48));
    assert_eq!(site.look(&started.0, &started.1).await, Ok(TaskStatus::Gone));
}
