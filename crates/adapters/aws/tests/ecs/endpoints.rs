//! Where tasks listen, in every network mode; and when that is known.

use crate::site::{CLUSTER, Site, task, web};
use std::{net::IpAddr, time::Duration};
use wharf_aws_simulator::{ContainerInstance, Host, TaskDefinition, TaskPlan, Then};
use wharf_domain::{Code, Endpoint, Failure, instance::TaskRef, service::EcsTask};
use wharf_platform::{Owner, TaskSpec, TaskStatus, Tasks};

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

async fn with_host() -> (Site, Host) {
    let site = Site::new().await;
    for definition in [
        TaskDefinition::bridge("bridge").container("web", 8000),
        TaskDefinition::host("host").container("web", 8000),
    ] {
        site.simulator.task_definition(&definition).expect("a definition");
    }
    let host = site
        .simulator
        .container_instance(CLUSTER, &ContainerInstance::sized(4096, 8192));
    (site, host)
}

async fn public(site: &Site, task: EcsTask) -> (Owner, TaskRef) {
    let owner = site.owner();
    let spec = TaskSpec {
        public: true,
        ..site.spec(&owner, task)
    };
    let task = site.start(spec).await.expect("it starts");
    (owner, task)
}

#[tokio::test]
async fn a_task_with_its_own_interface_is_at_its_address() {
    let site = Site::new().await;
    let started = site.started().await;
    assert!(
        matches!(site.status(&started).await, TaskStatus::Gone),
        "ECS does not know it yet"
    );
    site.simulator.advance(Duration::from_secs(2));
    let TaskStatus::Pending { why } = site.status(&started).await else {
        panic!("it is on its way")
    };
    assert!(why.contains("PROVISIONING"), "{why}");
    let endpoint = site.endpoint(&started).await;
    let (ip, port) = site.simulator.tasks()[0].address.clone().expect("it has one");
    assert_eq!(endpoint, Some(Endpoint::Address { ip: address(&ip), port }));
    assert_eq!(port, 8080);
}

#[tokio::test]
async fn visitors_of_a_task_itself_come_by_its_public_address() {
    let site = Site::new().await;
    let started = public(
        &site,
        EcsTask {
            assign_public_ip: true,
            ..web()
        },
    )
    .await;
    let Some(Endpoint::Address { ip, .. }) = site.endpoint(&started).await else {
        panic!("an address")
    };
    assert!(ip.to_string().starts_with("198.18."), "{ip}");
    assert_eq!(site.count("ec2:DescribeNetworkInterfaces"), 1);
    // Without one it is reached by its own, in its own network.
    let inside = public(&site, web()).await;
    let Some(Endpoint::Address { ip, .. }) = site.endpoint(&inside).await else {
        panic!("an address")
    };
    assert!(ip.to_string().starts_with("10."), "{ip}");
}

#[tokio::test]
async fn in_bridge_mode_the_host_chooses_the_port_and_the_task_is_at_the_host() {
    let (site, host) = with_host().await;
    let started = site.started_as(task("bridge")).await;
    let endpoint = site.endpoint(&started).await;
    let Some(Endpoint::Host { ec2_instance, ip, port }) = endpoint else {
        panic!("a host's port, and not {endpoint:?}")
    };
    assert_eq!(ec2_instance, host.ec2_instance_id);
    assert_eq!(ip, Some(address(&host.private_address)));
    assert!(port >= 32_768, "{port}");
    // The next one on the same host has another port, and the host is not asked for again.
    let second = site.started_as(task("bridge")).await;
    assert_ne!(site.endpoint(&second).await.map(|endpoint| endpoint.port()), Some(port));
    assert_eq!(site.count("ecs:DescribeContainerInstances"), 1);
    assert_eq!(site.count("ec2:DescribeInstances"), 1);
}

#[tokio::test]
async fn visitors_of_a_host_s_port_come_by_the_host_s_public_address() {
    let (site, host) = with_host().await;
    let started = public(&site, task("bridge")).await;
    let ip = site.endpoint(&started).await.and_then(|endpoint| endpoint.ip());
    assert_eq!(ip, Some(address(&host.public_address)));
}

#[tokio::test]
async fn an_address_that_is_configured_is_not_asked_for() {
    let (site, host) = with_host().await;
    let configured = EcsTask {
        host_address: Some(address("192.0.2.9")),
        ..task("bridge")
    };
    let started = site.started_as(configured).await;
    // By another process: it stands in the task's tags.
    site.simulator.advance(Duration::from_mins(1));
    let (owner, task) = &started;
    let status = site.another_process().look(owner, task).await.expect("looked");
    let TaskStatus::Running {
        endpoint: Some(endpoint),
    } = status
    else {
        panic!("it runs: {status:?}")
    };
    assert_eq!(endpoint.ip(), Some(address("192.0.2.9")));
    assert!(matches!(endpoint, Endpoint::Host { ec2_instance, .. } if ec2_instance == host.ec2_instance_id));
    assert_eq!(site.count("ec2:DescribeInstances"), 0);
}

#[tokio::test]
async fn in_host_mode_the_task_has_its_own_port_of_the_host() {
    let (site, host) = with_host().await;
    let started = site.started_as(task("host")).await;
    assert_eq!(
        site.endpoint(&started).await,
        Some(Endpoint::Host {
            ec2_instance: host.ec2_instance_id,
            ip: Some(address(&host.private_address)),
            port: 8000
        })
    );
}

#[tokio::test]
async fn a_container_and_a_port_that_are_configured_are_the_ones_that_are_routed_to() {
    let site = Site::new().await;
    let definition = TaskDefinition::fargate("two")
        .container("proxy", 80)
        .container("web", 8080);
    site.simulator.task_definition(&definition).expect("a definition");
    let failure = site
        .start(site.spec(&site.owner(), task("two")))
        .await
        .expect_err("unclear");
    assert!(failure.hint.is_some_and(|hint| hint.contains("proxy, web")));
    let named = EcsTask {
        container: Some("web".into()),
        ..task("two")
    };
    let started = site.started_as(named).await;
    assert_eq!(
        site.endpoint(&started).await.map(|endpoint| endpoint.port()),
        Some(8080)
    );
}

#[tokio::test]
async fn an_interface_that_is_never_attached_is_no_endpoint_and_then_a_loss() {
    let site = Site::new().await;
    site.simulator
        .plan("web", TaskPlan::fargate().then(Then::InterfaceNeverAttached));
    let started = site.started().await;
    let (cause, _): (Failure, _) = site.cause(&started).await;
    assert_eq!(cause.code, Code::TaskLost, "{}", cause.message);
    assert!(cause.message.contains("network interface"), "{}", cause.message);
}

#[tokio::test]
async fn a_task_that_never_runs_stays_on_its_way() {
    let site = Site::new().await;
    site.simulator.plan("web", TaskPlan::fargate().then(Then::NeverRuns));
    let started = site.started().await;
    site.simulator.advance(Duration::from_mins(10));
    assert!(matches!(site.status(&started).await, TaskStatus::Pending { .. }));
}

#[tokio::test]
async fn without_leave_to_ask_ec2_a_target_of_a_group_has_still_an_endpoint() {
    let (site, host) = with_host().await;
    site.simulator.fault(wharf_aws_simulator::Fault::on(
        "ec2:DescribeInstances",
        wharf_aws_simulator::Mishap::Denied,
    ));
    let started = site.started_as(task("bridge")).await;
    let endpoint = site.endpoint(&started).await.expect("an endpoint");
    assert!(
        matches!(&endpoint, Endpoint::Host { ec2_instance, ip: None, .. } if *ec2_instance == host.ec2_instance_id)
    );
    // Who has to be reached there has none.
    let (owner, task) = public(&site, task("bridge")).await;
    site.simulator.advance(Duration::from_mins(1));
    let failure = site.look(&owner, &task).await.expect_err("no address");
    assert_eq!(failure.code, Code::AwsDenied);
    assert!(failure.message.contains("ec2:DescribeInstances"), "{}", failure.message);
}
