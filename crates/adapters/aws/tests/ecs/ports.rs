//! Static host ports: a derived task definition for each, made once; and what can be known before a start.

use crate::site::{CLUSTER, ROLES, Site, task, web};
use futures::future::join_all;
use wharf_aws_simulator::{ContainerInstance, Fault, Mishap, TargetGroup, TaskDefinition};
use wharf_domain::{Code, Failure, instance::TaskRef, service::RunSpec};
use wharf_platform::{Owner, PortSource, RouteKey, TaskSpec, Tasks};

async fn site() -> Site {
    let site = Site::new().await;
    for definition in [
        TaskDefinition::bridge("bridge")
            .container("web", 8000)
            .roles(ROLES[0], ROLES[1]),
        TaskDefinition::host("host").container("web", 8000),
    ] {
        site.simulator.task_definition(&definition).expect("a definition");
    }
    site.simulator
        .container_instance(CLUSTER, &ContainerInstance::sized(4096, 8192));
    site
}

async fn start_at(site: &Site, tasks: &dyn Tasks, definition: &str, port: u16) -> Result<(Owner, TaskRef), Failure> {
    let owner = site.owner();
    let spec = TaskSpec {
        port: Some(port),
        ..site.spec(&owner, task(definition))
    };
    tasks.start(spec).await.map(|task| (owner, task))
}

#[tokio::test]
async fn the_platform_chooses_ports_and_keeps_its_tasks() {
    let site = site().await;
    assert_eq!(site.port_source(), PortSource::Platform);
    assert!(site.survives_restart());
    assert!(site.can_have_port(8001).await && !site.can_have_port(51_678).await);
}

#[tokio::test]
async fn a_leased_port_is_the_host_s_and_the_container_keeps_its_own() {
    let site = site().await;
    let started = start_at(&site, &*site.tasks, "bridge", 8123).await.expect("it starts");
    let endpoint = site.endpoint(&started).await;
    assert_eq!(endpoint.map(|endpoint| endpoint.port()), Some(8123));
    let task = &site.simulator.tasks()[0];
    assert_eq!(task.environment.get("PORT").map(String::as_str), Some("8000"));
    assert_eq!(task.family, "bridge-wharf-1-8123");
}

#[tokio::test]
async fn a_port_s_definition_is_registered_once_and_found_by_other_processes() {
    let site = site().await;
    start_at(&site, &*site.tasks, "bridge", 8123).await.expect("it starts");
    // The port is taken on the only host: the definition is what this is about.
    for tasks in [site.tasks.clone(), site.another_process()] {
        let failure = start_at(&site, &*tasks, "bridge", 8123).await.expect_err("it is taken");
        assert_eq!(failure.code, Code::TaskCapacity);
        assert!(failure.message.contains("RESOURCE:PORTS"), "{}", failure.message);
    }
    assert_eq!(site.count("ecs:RegisterTaskDefinition"), 1);
}

#[tokio::test]
async fn starts_at_once_register_each_port_once() {
    let site = site().await;
    let starts = (8001..8011).map(|port| start_at(&site, &*site.tasks, "bridge", port));
    let started = join_all(starts).await;
    assert!(started.iter().all(Result::is_ok), "{started:?}");
    assert_eq!(site.count("ecs:RegisterTaskDefinition"), 10);
    assert_eq!(site.count("ecs:DescribeTaskDefinition"), 11);
}

#[tokio::test]
async fn a_new_revision_of_the_base_has_definitions_of_its_own() {
    let site = site().await;
    start_at(&site, &*site.tasks, "bridge:1", 8001)
        .await
        .expect("it starts");
    let newer = TaskDefinition::bridge("bridge").container("web", 9000);
    site.simulator.task_definition(&newer).expect("a definition");
    start_at(&site, &*site.tasks, "bridge:2", 8002)
        .await
        .expect("it starts");
    let families: Vec<String> = site.simulator.tasks().into_iter().map(|task| task.family).collect();
    assert_eq!(families, ["bridge-wharf-1-8001", "bridge-wharf-2-8002"]);
}

#[tokio::test]
async fn a_registration_without_an_answer_is_found() {
    let site = site().await;
    site.simulator
        .fault(Fault::on("RegisterTaskDefinition", Mishap::AnswerLost).once());
    let failure = start_at(&site, &*site.tasks, "bridge", 8123)
        .await
        .expect_err("no answer");
    assert!(failure.code.is_passing());
    start_at(&site, &*site.tasks, "bridge", 8123).await.expect("it starts");
    assert_eq!(site.count("ecs:RegisterTaskDefinition"), 1);
}

#[tokio::test]
async fn ports_that_a_task_cannot_have_are_refused_before() {
    let site = site().await;
    for (definition, port) in [("bridge", 22), ("bridge", 51_680), ("host", 8001), ("web", 8080)] {
        let failure = start_at(&site, &*site.tasks, definition, port)
            .await
            .expect_err(definition);
        assert_eq!(failure.code, Code::ConfigInvalid, "{definition} {port}");
        assert!(failure.hint.is_some());
    }
    let started = start_at(&site, &*site.tasks, "host", 8000).await.expect("its own");
    assert_eq!(
        site.endpoint(&started).await.map(|endpoint| endpoint.port()),
        Some(8000)
    );
    assert_eq!(site.count("ecs:RegisterTaskDefinition"), 0);
}

#[tokio::test]
async fn a_target_group_of_the_wrong_kind_is_known_before_a_start() {
    let site = site().await;
    let ip = site.simulator.target_group(&TargetGroup::ip("ip", 8080));
    let instance = site.simulator.target_group(&TargetGroup::instance("instance", 8000));
    let key = |arns: &[&String]| RouteKey::TargetGroups {
        arns: arns.iter().map(|arn| (*arn).clone()).collect(),
        rule: None,
    };
    let run = |definition: &str| RunSpec::Ecs(task(definition));
    for (definition, good, bad) in [
        ("web", &ip, &instance),
        ("bridge", &instance, &ip),
        ("host", &instance, &ip),
    ] {
        assert_eq!(
            site.check(&run(definition), Some(&key(&[good]))).await,
            Ok(()),
            "{definition}"
        );
        let failure = site
            .check(&run(definition), Some(&key(&[good, bad])))
            .await
            .expect_err(definition);
        assert_eq!(failure.code, Code::RouteMismatch);
        assert!(failure.message.contains(bad.as_str()), "{}", failure.message);
    }
    let gone = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/gone/0123456789abcdef".to_owned();
    let failure = site.check(&run("web"), Some(&key(&[&gone]))).await.expect_err("gone");
    assert_eq!(failure.code, Code::RouteMismatch);
}

#[tokio::test]
async fn what_was_checked_once_costs_nothing_the_second_time() {
    let site = site().await;
    let group = site.simulator.target_group(&TargetGroup::ip("ip", 8080));
    let key = RouteKey::TargetGroups {
        arns: vec![group],
        rule: None,
    };
    let run = RunSpec::Ecs(web());
    for _ in 0..3 {
        assert_eq!(site.check(&run, Some(&key)).await, Ok(()));
    }
    let calls: u64 = site.simulator.call_counts().values().sum();
    assert_eq!(calls, 2, "the definition and the target group");
    // And a start needs neither again.
    site.started().await;
    assert_eq!(site.count("ecs:DescribeTaskDefinition"), 1);
}
