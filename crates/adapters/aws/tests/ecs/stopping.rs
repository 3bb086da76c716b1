//! Stopping: confirmed, once, and only what is ours.

use crate::site::{Site, stranger, web};
use std::time::Duration;
use wharf_aws_simulator::{Fault, Mishap};
use wharf_domain::Code;
use wharf_platform::{Owner, Stopping, TaskStatus, Tasks};

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_stop_is_under_way_until_the_task_has_stopped() {
    let site = Site::new().await;
    let started = site.started().await;
    site.endpoint(&started).await;
    let (owner, task) = &started;
    assert_eq!(site.stop(owner, task, GRACE).await, Ok(Stopping::Underway));
    assert_eq!(site.stop(owner, task, GRACE).await, Ok(Stopping::Underway));
    assert_eq!(site.count("ecs:StopTask"), 1, "it was told already");
    site.simulator.advance(Duration::from_mins(1));
    assert_eq!(site.stop(owner, task, GRACE).await, Ok(Stopping::Stopped));
    let reason = site.simulator.tasks()[0].stopped_reason.clone().unwrap_or_default();
    assert!(reason.contains(owner.instance.as_str()), "{reason}");
}

#[tokio::test]
async fn a_task_that_ecs_does_not_know_yet_is_not_taken_for_stopped() {
    let site = Site::new().await;
    let (owner, task) = site.started().await;
    assert_eq!(site.look(&owner, &task).await, Ok(TaskStatus::Gone), "not known yet");
    assert_eq!(site.stop(&owner, &task, GRACE).await, Ok(Stopping::Underway));
    assert_eq!(site.count("ecs:StopTask"), 1);
    site.simulator.advance(Duration::from_mins(1));
    assert!(site.simulator.live_tasks().is_empty());
    assert_eq!(site.stop(&owner, &task, GRACE).await, Ok(Stopping::Stopped));
}

#[tokio::test]
async fn another_process_ends_a_task_that_ecs_does_not_show_yet() {
    let site = Site::new().await;
    let (owner, task) = site.started().await;
    let other = site.another_process();
    assert_eq!(other.look(&owner, &task).await, Ok(TaskStatus::Gone), "not known yet");
    assert_eq!(other.stop(&owner, &task, GRACE).await, Ok(Stopping::Underway));
    site.simulator.advance(Duration::from_mins(1));
    assert!(site.simulator.live_tasks().is_empty());
    assert_eq!(other.stop(&owner, &task, GRACE).await, Ok(Stopping::Stopped));
}

#[tokio::test]
async fn a_container_s_own_grace_is_waited_for() {
    let site = Site::new().await;
    // Two minutes are the longest that a task definition on Fargate may give; then its interface is detached.
    let plan = wharf_aws_simulator::TaskPlan::fargate().stops_after(Duration::from_secs(150));
    site.simulator.plan("web", plan);
    let (owner, task) = site.started().await;
    site.simulator.advance(Duration::from_mins(1));
    let told = site.simulator.now();
    while site.stop(&owner, &task, GRACE).await.expect("told") == Stopping::Underway {
        site.simulator.advance(Duration::from_secs(5));
    }
    let took = site.simulator.now().saturating_sub(told);
    assert!(
        took >= Duration::from_secs(150) && took < site.stops_within(GRACE),
        "{took:?}"
    );
}

#[tokio::test]
async fn another_s_task_is_left_alone() {
    let site = Site::new().await;
    let (owner, task) = site.started().await;
    site.simulator.advance(Duration::from_mins(1));
    let next = Owner {
        attempt: owner.attempt.next(),
        ..owner.clone()
    };
    for other in [stranger(), next] {
        let failure = site.stop(&other, &task, GRACE).await.expect_err("not its own");
        assert_eq!(failure.code, Code::ResourceForeign);
        assert!(failure.message.contains(&task.id), "{}", failure.message);
    }
    assert_eq!(site.count("ecs:StopTask"), 0);
    assert_eq!(site.simulator.live_tasks().len(), 1);
}

#[tokio::test]
async fn a_stop_whose_answer_was_lost_is_said_again() {
    let site = Site::new().await;
    let (owner, task) = site.started().await;
    site.simulator.advance(Duration::from_mins(1));
    site.simulator.fault(Fault::on("StopTask", Mishap::AnswerLost).once());
    assert_eq!(site.stop(&owner, &task, GRACE).await, Ok(Stopping::Underway));
    site.simulator.advance(Duration::from_mins(1));
    assert_eq!(site.stop(&owner, &task, GRACE).await, Ok(Stopping::Stopped));
}

#[tokio::test]
async fn what_may_not_be_done_names_action_and_task() {
    for denied in ["ecs:DescribeTasks", "ecs:StopTask"] {
        let site = Site::new().await;
        let (owner, task) = site.started().await;
        site.simulator.advance(Duration::from_mins(1));
        site.simulator.fault(Fault::on(denied, Mishap::Denied));
        let failure = site.stop(&owner, &task, GRACE).await.expect_err(denied);
        assert_eq!(failure.code, Code::AwsDenied);
        assert!(
            failure.message.contains(denied) && failure.message.contains(&task.id),
            "{}",
            failure.message
        );
    }
}

#[tokio::test]
async fn a_cluster_that_is_gone_has_no_task_to_stop() {
    let site = Site::new().await;
    let owner = site.owner();
    let task = wharf_domain::instance::TaskRef {
        id: "arn:aws:ecs:us-east-1:123456789012:task/nowhere/0123456789abcdef0123456789abcdef".into(),
        attempt: owner.attempt,
    };
    assert_eq!(site.stop(&owner, &task, GRACE).await, Ok(Stopping::Stopped));
    let spec = site.spec(&owner, web());
    site.start(spec).await.expect("and that one has nothing to do with it");
}
