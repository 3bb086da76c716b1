//! Starting: the request, lost answers, what RunTask says no with.

use crate::site::{CLUSTER, Site, task, web};
use futures::future::join_all;
use secrecy::SecretString;
use std::time::Duration;
use wharf_aws_simulator::{
    Consistency, ContainerInstance, Fault, Mishap, Options, TaskDefinition, TaskPlan, Throttling,
};
use wharf_domain::{
    Code,
    service::{CapacityProvider, EcsTask, Launch},
};
use wharf_platform::{TaskSpec, Tasks};

#[tokio::test]
async fn a_task_carries_its_owner_and_what_it_was_given() {
    let site = Site::new().await;
    let owner = site.owner();
    let spec = TaskSpec {
        environment: [("GREETING".to_owned(), SecretString::from("hello"))].into(),
        ..site.spec(&owner, web())
    };
    site.start(spec).await.expect("it starts");
    let task = &site.simulator.tasks()[0];
    let mark = format!("wharf/{}/{}/1", site.deployment, owner.instance);
    assert_eq!(task.started_by.as_deref(), Some(mark.as_str()));
    let tag = |name: &str| task.tags.get(name).map(String::as_str);
    assert_eq!(tag("wharf:deployment"), Some(site.deployment.as_str()));
    assert_eq!(tag("wharf:instance"), Some(owner.instance.as_str()));
    assert_eq!((tag("wharf:attempt"), tag("wharf:service")), (Some("1"), Some("web")));
    let variable = |name: &str| task.environment.get(name).map(String::as_str);
    assert_eq!((variable("GREETING"), variable("PORT")), (Some("hello"), Some("8080")));
}

#[tokio::test]
async fn capacity_providers_stand_in_place_of_a_launch_type() {
    let site = Site::new().await;
    let launch = Launch::CapacityProviders(vec![CapacityProvider {
        name: "FARGATE_SPOT".into(),
        weight: 1,
        base: 0,
    }]);
    site.started_as(EcsTask { launch, ..web() }).await;
    assert_eq!(site.simulator.live_tasks().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_starts_no_second_task() {
    let site = Site::new().await;
    site.simulator.fault(Fault::on("RunTask", Mishap::AnswerLost).once());
    let (_, task) = site.started().await;
    assert_eq!(site.simulator.tasks().len(), 1);
    assert_eq!(site.simulator.tasks()[0].arn, task.id);
    assert_eq!(site.count("ecs:RunTask"), 2, "the same request, with the same token");
}

#[tokio::test]
async fn what_passes_is_tried_again_by_the_governor() {
    for mishap in [Mishap::Throttled, Mishap::ServerError, Mishap::Refused] {
        let site = Site::new().await;
        site.simulator.fault(Fault::on("RunTask", mishap.clone()).times(2));
        site.started().await;
        assert_eq!(site.count("ecs:RunTask"), 3, "{mishap:?}");
        assert_eq!(site.simulator.tasks().len(), 1);
    }
}

#[tokio::test]
async fn another_environment_adopts_the_task_that_was_started() {
    let site = Site::new().await;
    let owner = site.owner();
    let spec = site.spec(&owner, web());
    let first = site.start(spec.clone()).await.expect("it starts");
    let changed = TaskSpec {
        environment: [("GREETING".to_owned(), SecretString::from("hello"))].into(),
        ..spec
    };
    let again = site.another_process().start(changed).await;
    assert_eq!(again, Ok(first));
    assert_eq!(site.simulator.tasks().len(), 1);
}

#[tokio::test]
async fn a_start_that_is_older_than_tokens_are_is_looked_for_first() {
    let site = Site::new().await;
    let owner = site.owner();
    let spec = site.spec(&owner, web());
    let first = site.start(spec.clone()).await.expect("it starts");
    site.simulator.advance(Duration::from_mins(20));
    let runs = site.count("ecs:RunTask");
    assert_eq!(site.another_process().start(spec).await, Ok(first));
    assert_eq!(site.count("ecs:RunTask"), runs, "it was found, and not asked for again");
}

#[tokio::test]
async fn no_room_is_told_until_there_is_some() {
    let site = Site::new().await;
    site.simulator.fargate_unavailable_for(Duration::from_mins(1));
    let spec = site.spec(&site.owner(), web());
    let failure = site.start(spec.clone()).await.expect_err("no room");
    assert_eq!(failure.code, Code::TaskCapacity);
    assert!(
        failure.message.contains("Capacity is unavailable"),
        "{}",
        failure.message
    );
    assert!(failure.code.is_passing());
    assert!(site.simulator.tasks().is_empty());
    site.simulator.advance(Duration::from_mins(1));
    site.start(spec).await.expect("room");
}

#[tokio::test]
async fn what_is_short_on_container_instances_is_named() {
    let site = Site::new().await;
    let definition = TaskDefinition::bridge("bridge").container("web", 8000);
    site.simulator.task_definition(&definition).expect("a definition");
    site.simulator
        .container_instance(CLUSTER, &ContainerInstance::sized(2048, 4096));
    for (reason, code) in [
        ("RESOURCE:CPU", Code::TaskCapacity),
        ("RESOURCE:MEMORY", Code::TaskCapacity),
        ("RESOURCE:PORTS", Code::TaskCapacity),
        ("RESOURCE:ENI", Code::TaskCapacity),
        ("AGENT", Code::TaskCapacity),
        ("ATTRIBUTE", Code::TaskPlacement),
        ("MISSING", Code::TaskPlacement),
    ] {
        site.simulator.fail_placements(reason, 1);
        let spec = site.spec(&site.owner(), task("bridge"));
        let failure = site.start(spec).await.expect_err(reason);
        assert_eq!(failure.code, code, "{reason}");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
    assert!(site.simulator.tasks().is_empty());
}

#[tokio::test]
async fn an_empty_answer_is_no_task() {
    let site = Site::new().await;
    site.simulator
        .container_instance("full", &ContainerInstance::sized(1, 1));
    let definition = TaskDefinition::bridge("bridge").container("web", 8000);
    site.simulator.task_definition(&definition).expect("a definition");
    let full = EcsTask {
        cluster: "full".into(),
        ..task("bridge")
    };
    let failure = site.start(site.spec(&site.owner(), full)).await.expect_err("no room");
    assert_eq!(failure.code, Code::TaskCapacity);
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let site = Site::new().await;
    let bridge = TaskDefinition::bridge("bridge").container("web", 8000);
    site.simulator.task_definition(&bridge).expect("a definition");
    let no_cluster = EcsTask {
        cluster: "nowhere".into(),
        ..web()
    };
    let no_subnet = EcsTask {
        subnets: vec!["subnet-none".into()],
        ..web()
    };
    for (task, code, named) in [
        (no_cluster, Code::ConfigInvalid, "nowhere"),
        (task("none"), Code::ConfigInvalid, "none"),
        (no_subnet, Code::AwsRefused, "subnet-none"),
        (task("bridge"), Code::TaskPlacement, "no container instances"),
    ] {
        let failure = site.start(site.spec(&site.owner(), task)).await.expect_err(named);
        assert_eq!(failure.code, code, "{}", failure.message);
        assert!(failure.message.contains(named), "{}", failure.message);
    }
    assert!(site.simulator.tasks().is_empty());
}

#[tokio::test]
async fn an_environment_that_ecs_would_refuse_is_refused_before() {
    let site = Site::new().await;
    let spec = TaskSpec {
        environment: [("LONG".to_owned(), SecretString::from("x".repeat(9_000)))].into(),
        ..site.spec(&site.owner(), web())
    };
    let failure = site.start(spec).await.expect_err("too long");
    assert_eq!(failure.code, Code::ConfigInvalid);
    assert_eq!(site.count("ecs:RunTask"), 0);
}

#[tokio::test]
async fn a_denied_call_names_action_and_resource() {
    for (denied, resource) in [
        ("ecs:DescribeTaskDefinition", "*"),
        ("ecs:RunTask", "task-definition/web:1"),
        ("ecs:TagResource", "task/shop/*"),
        ("iam:PassRole", "role/web-task"),
    ] {
        let site = Site::new().await;
        let definition = TaskDefinition::fargate("web").container("web", 8080).roles(
            "arn:aws:iam::123456789012:role/web-task",
            "arn:aws:iam::123456789012:role/web-execution",
        );
        site.simulator.task_definition(&definition).expect("a definition");
        site.simulator.fault(Fault::on(denied, Mishap::Denied));
        let spec = site.spec(
            &site.owner(),
            task(if denied == "ecs:RunTask" { "web:1" } else { "web" }),
        );
        let failure = site.start(spec.clone()).await.expect_err(denied);
        assert_eq!(failure.code, Code::AwsDenied, "{failure:?}");
        assert!(failure.message.contains(denied), "{}", failure.message);
        assert!(failure.message.contains(resource), "{} has {resource}", failure.message);
        // And the undo that follows finds that there is nothing to undo.
        assert_eq!(site.find(&spec).await, Ok(None), "{denied}");
    }
}

#[tokio::test]
async fn many_starts_are_refused_next_to_never_and_describe_the_definition_once() {
    let site = Site::with(Options {
        throttling: Throttling::Documented,
        consistency: Consistency::STRONG,
        ..Options::following(1.0)
    })
    .await;
    site.simulator.plan_all(TaskPlan::at_once());
    let starts = (0..130).map(|_| site.start(site.spec(&site.owner(), web())));
    let started = join_all(starts).await;
    assert!(started.iter().all(Result::is_ok), "{started:?}");
    let refused: u64 = site.simulator.throttled().values().sum();
    assert!(refused <= 6, "{refused} of 130 were refused");
    assert_eq!(site.count("ecs:DescribeTaskDefinition"), 1);
    assert_eq!(site.simulator.tasks().len(), 130);
}
