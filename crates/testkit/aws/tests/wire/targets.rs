//! Targets as ELBv2 shows them: by (id, port), with states that take their time.

use super::client::{Client, elements};
use serde_json::json;
use std::time::Duration;
use wharf_aws_simulator::{
    ContainerInstance, Options, SUBNETS, TargetGroup, TargetPlan, TaskDefinition, TaskPlan, Unhealthy,
};

const SECOND: Duration = Duration::from_secs(1);

fn target<'text>(group: &'text str, id: &'text str, port: &'text str) -> [(&'text str, &'text str); 3] {
    [
        ("TargetGroupArn", group),
        ("Targets.member.1.Id", id),
        ("Targets.member.1.Port", port),
    ]
}

/// State and reason of each target that the group has.
async fn health(client: &Client, group: &str) -> Vec<(String, Option<String>)> {
    let xml = client.elb("DescribeTargetHealth", &[("TargetGroupArn", group)]).await;
    assert!(xml.starts_with("<DescribeTargetHealthResponse "), "{xml}");
    let states = elements(&xml, "TargetHealth");
    states
        .iter()
        .map(|inner| (elements(inner, "State").remove(0), elements(inner, "Reason").pop()))
        .collect()
}

fn is(state: &str, reason: &str) -> (String, Option<String>) {
    (
        state.to_owned(),
        Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
    )
}

#[tokio::test]
async fn a_target_becomes_healthy_while_a_task_listens_there_and_drains_when_it_is_taken_out() {
    let client = Client::start(Options::default()).await;
    let simulator = &client.simulator;
    simulator.cluster("auth-cluster");
    simulator
        .task_definition(&TaskDefinition::fargate("auth").container("auth", 8080))
        .expect("a definition");
    simulator.plan("auth", TaskPlan::at_once());
    let group = simulator.target_group(&TargetGroup::ip("auth-tg", 8080));
    let network = json!({ "awsvpcConfiguration": { "subnets": SUBNETS } });
    let run = json!({
        "cluster": "auth-cluster", "taskDefinition": "auth", "launchType": "FARGATE", "networkConfiguration": network,
    });
    client.ecs("RunTask", run).await;
    let task = simulator.tasks().remove(0);
    let (address, _) = task.address.clone().expect("it runs at once");
    client.elb("RegisterTargets", &target(&group, &address, "8080")).await;

    assert_eq!(
        health(&client, &group).await,
        [is("initial", "Elb.RegistrationInProgress")]
    );
    simulator.advance(SECOND);
    assert_eq!(
        health(&client, &group).await,
        [is("initial", "Elb.InitialHealthChecking")]
    );
    simulator.advance(9 * SECOND);
    assert_eq!(health(&client, &group).await, [is("healthy", "")]);

    assert!(simulator.exit_task(
        &task.arn,
        137,
        Some("OutOfMemoryError: Container killed due to memory usage")
    ));
    simulator.advance(59 * SECOND);
    assert_eq!(health(&client, &group).await, [is("healthy", "")]);
    simulator.advance(SECOND);
    assert_eq!(health(&client, &group).await, [is("unhealthy", "Target.Timeout")]);

    client.elb("DeregisterTargets", &target(&group, &address, "8080")).await;
    assert_eq!(
        health(&client, &group).await,
        [is("draining", "Target.DeregistrationInProgress")]
    );
    simulator.advance(300 * SECOND);
    assert_eq!(health(&client, &group).await, []);
    let asked = client
        .elb("DescribeTargetHealth", &target(&group, &address, "8080"))
        .await;
    assert_eq!(elements(&asked, "Reason"), ["Target.NotRegistered"]);
}

#[tokio::test]
async fn one_instance_is_a_target_for_each_of_its_ports() {
    let client = Client::start(Options::default()).await;
    let group = TargetGroup::instance("poc-tg", 8000).plan(TargetPlan::HealthyAfter(10 * SECOND));
    let group = client.simulator.target_group(&group);
    let host = client
        .simulator
        .container_instance("poc", &ContainerInstance::default());
    for port in ["32768", "32769"] {
        client
            .elb("RegisterTargets", &target(&group, &host.ec2_instance_id, port))
            .await;
    }
    client
        .elb("DeregisterTargets", &target(&group, &host.ec2_instance_id, "32768"))
        .await;
    client.simulator.advance(10 * SECOND);
    assert_eq!(
        health(&client, &group).await,
        [is("draining", "Target.DeregistrationInProgress"), is("healthy", "")]
    );
    client.simulator.set_ec2_state(&host.ec2_instance_id, "stopped");
    let refusal = client
        .elb_refusal("RegisterTargets", &target(&group, &host.ec2_instance_id, "32770"))
        .await;
    assert_eq!(refusal, "InvalidTarget");
}

#[tokio::test]
async fn a_group_that_nothing_forwards_to_says_so_however_long_one_waits() {
    let client = Client::start(Options::default()).await;
    let group = client
        .simulator
        .target_group(&TargetGroup::ip("idle-tg", 8080).unused());
    client.elb("RegisterTargets", &target(&group, "10.0.0.9", "8080")).await;
    client.simulator.advance(3_600 * SECOND);
    assert_eq!(health(&client, &group).await, [is("unused", "Target.NotInUse")]);
}

#[tokio::test]
async fn an_unhealthy_target_says_why() {
    let client = Client::start(Options::default()).await;
    let plan = TargetPlan::Never(Unhealthy::StatusMismatch(502));
    let group = TargetGroup::ip("sick-tg", 8080)
        .plan(plan)
        .health_check("/healthz", 5 * SECOND, 2);
    let group = client.simulator.target_group(&group);
    client.elb("RegisterTargets", &target(&group, "10.0.0.9", "8080")).await;
    client.simulator.advance(10 * SECOND);
    let xml = client.elb("DescribeTargetHealth", &[("TargetGroupArn", &group)]).await;
    assert_eq!(elements(&xml, "Reason"), ["Target.ResponseCodeMismatch"]);
    assert_eq!(
        elements(&xml, "Description"),
        ["Health checks failed with these codes: [502]"]
    );
}

#[tokio::test]
async fn what_cannot_be_a_target_is_refused() {
    let client = Client::start(Options::default()).await;
    let group = client.simulator.target_group(&TargetGroup::ip("auth-tg", 8080));
    let nowhere = group.replace("auth-tg", "other-tg");
    assert_eq!(
        client
            .elb_refusal("RegisterTargets", &target(&nowhere, "10.0.0.9", "80"))
            .await,
        "TargetGroupNotFound"
    );
    assert_eq!(
        client
            .elb_refusal("RegisterTargets", &target(&group, "i-0abc", "80"))
            .await,
        "InvalidTarget"
    );
    assert_eq!(
        client
            .elb_refusal("RegisterTargets", &target(&group, "8.8.8.8", "80"))
            .await,
        "InvalidTarget"
    );
    assert_eq!(
        client
            .elb_refusal("RegisterTargets", &target(&group, "10.0.0.9", "0"))
            .await,
        "ValidationError"
    );
    assert_eq!(client.simulator.targets(), []);
}

#[tokio::test]
async fn a_target_group_is_found_by_arn_and_by_name() {
    let client = Client::start(Options::default()).await;
    let group = client.simulator.target_group(&TargetGroup::ip("auth-tg", 8080));
    client
        .simulator
        .target_group(&TargetGroup::instance("poc-tg", 8000).unused());
    let xml = client
        .elb("DescribeTargetGroups", &[("Names.member.1", "auth-tg")])
        .await;
    assert_eq!(elements(&xml, "TargetGroupArn"), std::slice::from_ref(&group));
    assert_eq!(elements(&xml, "TargetType"), ["ip"]);
    assert_eq!(elements(&elements(&xml, "LoadBalancerArns")[0], "member").len(), 1);
    let all = client.elb("DescribeTargetGroups", &[]).await;
    assert_eq!(elements(&all, "TargetGroupName").len(), 2);
    let attributes = client
        .elb("DescribeTargetGroupAttributes", &[("TargetGroupArn", &group)])
        .await;
    assert!(
        attributes.contains("<Key>deregistration_delay.timeout_seconds</Key><Value>300</Value>"),
        "{attributes}"
    );
}

#[tokio::test]
async fn a_group_has_at_most_a_thousand_targets() {
    let client = Client::start(Options::default()).await;
    let group = client.simulator.target_group(&TargetGroup::ip("auth-tg", 8080));
    let mut fields = vec![("TargetGroupArn".to_owned(), group.clone())];
    fields.extend((1..=1_000).map(|n| {
        (
            format!("Targets.member.{n}.Id"),
            format!("10.1.{}.{}", n / 250, n % 250),
        )
    }));
    let all: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    client.elb("RegisterTargets", &all).await;
    // What is there already does not count again.
    client.elb("RegisterTargets", &all).await;
    assert_eq!(
        client
            .elb_refusal("RegisterTargets", &target(&group, "10.2.0.1", "8080"))
            .await,
        "TooManyTargets"
    );
    assert_eq!(client.simulator.targets().len(), 1_000);
}
