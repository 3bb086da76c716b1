//! Events on the bus: rule, queue, function, task, target group, registry.

use serde_json::json;

use crate::{
    account::{AUTH_GROUP, Account, Setup},
    wait::eventually,
};

#[tokio::test]
async fn a_start_event_ends_in_a_task_that_is_a_healthy_target() {
    let account = Account::new().await;
    account
        .put_event("custom.app", "Start ECS Task", &json!({"service": "auth"}))
        .await;
    let instances = account.all_in_state(1, "ready").await;
    let tasks = account.simulator.live_tasks();
    assert_eq!(tasks.len(), 1);
    assert_eq!(instances[0]["task"], tasks[0].arn.as_str());
    assert_eq!(
        (
            tasks[0].cluster.as_str(),
            tasks[0].family.as_str(),
            tasks[0].status.as_str()
        ),
        ("auth-cluster", "auth-api-task", "RUNNING")
    );
    let targets = account.simulator.targets();
    assert_eq!(targets.len(), 1);
    assert_eq!(
        (targets[0].group.as_str(), targets[0].state.as_str()),
        (AUTH_GROUP, "healthy")
    );
    let address = tasks[0].address.clone().expect("an address");
    assert_eq!((targets[0].id.clone(), targets[0].port), address);
}

#[tokio::test]
async fn an_event_that_names_everything_itself_starts_the_service_that_has_it() {
    let account = Account::new().await;
    let detail = json!({
        "cluster": "auth-cluster", "taskDefinition": "auth-api-task", "targetGroupArn": AUTH_GROUP, "port": 8080,
        "subnets": [wharf_aws_simulator::SUBNETS[0]], "securityGroups": [wharf_aws_simulator::SECURITY_GROUP],
    });
    account.put_event("custom.source", "Start ECS Task", &detail).await;
    let instances = account.all_in_state(1, "ready").await;
    assert_eq!(instances[0]["service"], "auth");
    assert_eq!(account.simulator.targets()[0].state, "healthy");
}

#[tokio::test]
async fn an_event_that_is_delivered_a_hundred_times_starts_one_task() {
    let account = Account::new().await;
    let event = json!({
        "version": "0", "id": "5f1e9f0c-0b6e-4a57-9a5e-6d1d7c1c2f10", "source": "custom.app", "detail-type": "Start ECS Task",
        "account": crate::account::ACCOUNT, "region": crate::account::REGION, "time": "2026-11-21T07:00:00Z", "resources": [],
        "detail": {"service": "auth"},
    });
    let text = event.to_string();
    futures::future::join_all((0..100).map(|_| account.message(&text))).await;
    account.all_in_state(1, "ready").await;
    account.queue_is_empty().await;
    assert_eq!(account.simulator.tasks().len(), 1);
    assert_eq!(account.instances().await.len(), 1);
    assert_eq!(account.simulator.call_counts()["ecs:RunTask"], 1);
}

#[tokio::test]
async fn events_of_other_sources_and_of_tasks_that_are_not_ours_do_nothing() {
    let account = Account::new().await;
    account
        .put_event("somebody.else", "Start ECS Task", &json!({"service": "auth"}))
        .await;
    let change = json!({
        "version": "0", "id": "e-1", "source": "aws.ecs", "detail-type": "ECS Task State Change", "account": "1", "region": "r", "time": "t",
        "detail": {"taskArn": "arn:aws:ecs:us-east-2:123456789012:task/auth-cluster/0", "startedBy": "somebody", "lastStatus": "RUNNING", "version": 3},
    });
    account.message(&change.to_string()).await;
    account.queue_is_empty().await;
    assert!(account.instances().await.is_empty());
    assert!(account.simulator.tasks().is_empty());
}

#[tokio::test]
async fn one_event_starts_as_many_as_it_counts_and_a_stop_ends_them_all() {
    let account = Setup::default()
        .with("EveningStop", "cron(0 19 ? * * *)")
        .deploy()
        .await;
    let detail = json!({"service": "auth", "count": 3});
    account.put_event("custom.app", "Start ECS Task", &detail).await;
    account
        .put_event("custom.app", "Start ECS Task", &json!({"service": "pdf"}))
        .await;
    account.all_in_state(4, "ready").await;
    // The list holds the stop to one of the services.
    let stop = json!({"services": ["auth"]});
    account.put_event("custom.app", "Stop ECS Tasks", &stop).await;
    eventually("only pdf", async || {
        let live = account.simulator.live_tasks();
        (live.len() == 1 && live[0].family == "pdf-creator-task").then_some(())
    })
    .await;
    eventually("only the target of pdf", async || {
        (account.simulator.targets().len() == 1).then_some(())
    })
    .await;
    // The evening's schedule names none, and means them all.
    account.evening().await;
    account.nothing_is_left().await;
}
