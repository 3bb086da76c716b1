//! Finding the task of a start whose answer nobody has: by its token, and later by its mark.

use crate::site::{CLUSTER, Site, stranger, web};
use std::time::Duration;
use wharf_aws_simulator::{Fault, Mishap};
use wharf_domain::{Attempt, Code};
use wharf_platform::{Owner, Tasks};

#[tokio::test]
async fn a_start_without_an_answer_is_found_by_its_token() {
    let site = Site::new().await;
    let owner = site.owner();
    let spec = site.spec(&owner, web());
    // Each try is carried out, and none is answered.
    site.simulator.fault(Fault::on("RunTask", Mishap::AnswerLost));
    let failure = site.start(spec.clone()).await.expect_err("no answer");
    assert_eq!(failure.code, Code::AwsUnavailable);
    site.simulator.mend();
    let mut without_environment = spec;
    without_environment.environment.clear();
    let found = site.another_process().find(&without_environment).await.expect("asked");
    let tasks = site.simulator.tasks();
    assert_eq!(tasks.len(), 1, "and no second one was started");
    assert_eq!(found.map(|task| task.id), Some(tasks[0].arn.clone()));
}

#[tokio::test]
async fn later_it_is_found_by_its_mark_running_or_stopped() {
    let site = Site::new().await;
    let owner = site.owner();
    let spec = site.spec(&owner, web());
    let task = site.start(spec.clone()).await.expect("it starts");
    site.simulator.advance(Duration::from_mins(16));
    assert_eq!(site.find(&spec).await, Ok(Some(task.clone())));
    assert!(site.simulator.exit_task(&task.id, 1, None));
    site.simulator.advance(Duration::from_mins(1));
    assert_eq!(site.another_process().find(&spec).await, Ok(Some(task)));
    assert_eq!(site.count("ecs:RunTask"), 1);
}

#[tokio::test]
async fn another_attempt_s_task_is_not_found() {
    let site = Site::new().await;
    let owner = site.owner();
    let mut spec = site.spec(&owner, web());
    site.start(spec.clone()).await.expect("it starts");
    site.simulator.advance(Duration::from_mins(16));
    spec.owner = Owner {
        attempt: Attempt(2),
        ..owner
    };
    assert_eq!(site.find(&spec).await, Ok(None));
}

#[tokio::test]
async fn where_nothing_can_be_started_nothing_was() {
    let site = Site::new().await;
    let mut spec = site.spec(&site.owner(), web());
    site.simulator.fargate_unavailable_for(Duration::from_hours(1));
    assert_eq!(site.find(&spec).await, Ok(None), "no room");
    spec.run = wharf_domain::service::RunSpec::Ecs(crate::site::task("none"));
    assert_eq!(site.find(&spec).await, Ok(None), "no definition");
    spec.run = wharf_domain::service::RunSpec::Ecs(wharf_domain::service::EcsTask {
        cluster: "nowhere".into(),
        ..web()
    });
    assert_eq!(site.find(&spec).await, Ok(None), "no cluster");
}

#[tokio::test]
async fn every_task_of_the_deployment_is_listed_and_none_of_others() {
    let site = Site::new().await;
    let started = [site.started().await, site.started().await];
    // Somebody else's, and somebody's who is no Wharf.
    let others = site.spec(&stranger(), web());
    site.start(others).await.expect("it starts");
    let ecs = site.clients.ecs().await;
    let network = aws_sdk_ecs::types::AwsVpcConfiguration::builder()
        .subnets(wharf_aws_simulator::SUBNETS[0])
        .build()
        .expect("subnets");
    ecs.run_task()
        .cluster(CLUSTER)
        .task_definition("web")
        .launch_type("FARGATE".into())
        .network_configuration(
            aws_sdk_ecs::types::NetworkConfiguration::builder()
                .awsvpc_configuration(network)
                .build(),
        )
        .send()
        .await
        .expect("it starts");
    site.simulator.advance(Duration::from_mins(1));
    let runs = [wharf_domain::service::RunSpec::Ecs(web())];
    let mut all = site.all(&runs).await.expect("listed");
    all.sort_by(|(a, _), (b, _)| a.instance.cmp(&b.instance));
    assert_eq!(all, started);
    assert_eq!(
        site.all(&[]).await,
        Ok(vec![]),
        "without clusters there is nowhere to look"
    );
}

#[tokio::test]
async fn more_tasks_than_one_page_has_are_all_listed() {
    let site = Site::new().await;
    let starts = (0..105).map(|_| site.started());
    futures::future::join_all(starts).await;
    site.simulator.advance(Duration::from_mins(1));
    let runs = [wharf_domain::service::RunSpec::Ecs(web())];
    assert_eq!(site.all(&runs).await.expect("listed").len(), 105);
    assert_eq!(site.count("ecs:ListTasks"), 2);
    assert_eq!(site.count("ecs:DescribeTasks"), 2);
}
