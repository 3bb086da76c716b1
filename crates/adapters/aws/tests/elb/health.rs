//! The load balancer's own view: how often it is looked at, and what it says.

use futures::future::join_all;
use std::time::Duration;
use wharf_aws_simulator::{ContainerInstance, TargetGroup, TargetPlan, Unhealthy};
use wharf_domain::{Code, Endpoint, Failure};
use wharf_platform::{Health, RouteKey, Routes};

use super::support::{HEALTHY_AT_ONCE, World, address, backend, groups, owner};

/// ELB's own: 30 s, 5 in a row.
const INTERVAL: Duration = Duration::from_secs(30);
const THRESHOLD: u32 = 5;

async fn pending(world: &World, key: &RouteKey, endpoint: &Endpoint) -> (Failure, Duration) {
    match world.routes.health(&owner(), key, endpoint).await.expect("a view") {
        Some(Health::Pending { why, look_in }) => (why, look_in),
        other => panic!("pending, and not {other:?}"),
    }
}

#[tokio::test]
async fn a_target_is_looked_at_when_it_can_have_become_healthy_and_not_before() {
    let world = World::new().await;
    let plan = TargetPlan::HealthyAfter(Duration::from_secs(100));
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80).plan(plan));
    let (key, endpoint) = (groups(&[&group]), address(5, 8080));
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    let (why, look_in) = pending(&world, &key, &endpoint).await;
    assert_eq!(why.code, Code::RouteUnhealthy);
    assert!(
        look_in <= INTERVAL * THRESHOLD && look_in > INTERVAL * (THRESHOLD - 1),
        "{look_in:?}"
    );
    // Whoever asks before is told the same, and AWS is not asked.
    world.pass(Duration::from_mins(2)).await;
    let (_, rest) = pending(&world, &key, &endpoint).await;
    assert!(rest <= INTERVAL, "{rest:?}");
    assert_eq!(world.count("DescribeTargetHealth"), 1);
    world.pass(rest).await;
    let health = world.routes.health(&owner(), &key, &endpoint).await;
    assert_eq!(health, Ok(Some(Health::Good)));
    assert_eq!(world.count("DescribeTargetHealth"), 2);
}

#[tokio::test]
async fn a_target_that_was_healthy_before_is_so_at_once() {
    let world = World::new().await;
    let group = world
        .simulator
        .target_group(&TargetGroup::ip("web", 80).plan(HEALTHY_AT_ONCE));
    let (key, endpoint) = (groups(&[&group]), address(5, 8080));
    world
        .other()
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    world.pass(Duration::from_secs(2)).await;
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    let health = world.routes.health(&owner(), &key, &endpoint).await;
    assert_eq!(health, Ok(Some(Health::Good)));
}

#[tokio::test]
async fn who_does_not_know_when_it_was_registered_looks_again_after_one_check() {
    let world = World::new().await;
    let plan = TargetPlan::HealthyAfter(Duration::from_hours(1));
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80).plan(plan));
    let (key, endpoint) = (groups(&[&group]), address(5, 8080));
    world
        .other()
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    let (_, look_in) = pending(&world, &key, &endpoint).await;
    assert_eq!(look_in, INTERVAL);
}

#[tokio::test]
async fn a_target_that_never_becomes_healthy_says_why_and_how_to_mend_it() {
    for (unhealthy, reason, place) in [
        (Unhealthy::StatusMismatch(503), "[503]", "/ready"),
        (Unhealthy::TimedOut, "Target.Timeout", "security group"),
        (Unhealthy::Failed, "Target.FailedHealthChecks", "8080"),
    ] {
        let world = World::new().await;
        let setup = TargetGroup::ip("web", 80)
            .health_check("/ready", Duration::from_secs(5), 2)
            .plan(TargetPlan::Never(unhealthy));
        let group = world.simulator.target_group(&setup);
        let (key, endpoint) = (groups(&[&group]), address(5, 8080));
        world
            .routes
            .register(backend(&key, &endpoint))
            .await
            .expect("registered");
        world.pass(Duration::from_mins(1)).await;
        let (why, look_in) = pending(&world, &key, &endpoint).await;
        assert_eq!(why.code, Code::RouteUnhealthy);
        assert!(
            why.message.contains(reason) && why.message.contains("10.0.0.5:8080"),
            "{}",
            why.message
        );
        let hint = why.hint.expect("a hint");
        assert!(hint.contains(place), "{hint}");
        assert_eq!(look_in, Duration::from_secs(5));
    }
}

#[tokio::test]
async fn many_that_wait_share_a_look() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    let key = groups(&[&group]);
    let endpoints: Vec<_> = (1..=50).map(|last| address(last, 8080)).collect();
    for endpoint in &endpoints[..2] {
        world
            .routes
            .register(backend(&key, endpoint))
            .await
            .expect("registered");
    }
    let owner = owner();
    let looks = endpoints
        .iter()
        .map(|endpoint| world.routes.health(&owner, &key, endpoint));
    for health in join_all(looks).await {
        assert!(matches!(health, Ok(Some(Health::Pending { .. }))), "{health:?}");
    }
    // The first one does not wait for others, who share the next one.
    let calls = world.count("DescribeTargetHealth");
    assert!((1..=2).contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_group_that_nobody_uses_is_hopeless() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80).unused());
    let (key, endpoint) = (groups(&[&group]), address(5, 8080));
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    let health = world.routes.health(&owner(), &key, &endpoint).await.expect("a view");
    let Some(Health::Hopeless(failure)) = health else {
        panic!("waiting does not help: {health:?}")
    };
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(failure.message.contains("web") && failure.hint.is_some());
}

#[tokio::test]
async fn a_group_of_the_wrong_type_is_hopeless() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::instance("web", 80));
    let health = world
        .routes
        .health(&owner(), &groups(&[&group]), &address(5, 8080))
        .await;
    assert!(matches!(health, Ok(Some(Health::Hopeless(failure))) if failure.code == Code::RouteMismatch));
}

#[tokio::test]
async fn a_host_that_went_away_is_hopeless_and_the_task_lost() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::instance("web", 80));
    let host = world
        .simulator
        .container_instance("cluster", &ContainerInstance::default());
    let endpoint = Endpoint::Host {
        ec2_instance: host.ec2_instance_id.clone(),
        ip: None,
        port: 32_768,
    };
    let key = groups(&[&group]);
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    world.simulator.set_ec2_state(&host.ec2_instance_id, "stopped");
    let health = world.routes.health(&owner(), &key, &endpoint).await;
    assert!(
        matches!(&health, Ok(Some(Health::Hopeless(failure))) if failure.code == Code::TaskLost),
        "{health:?}"
    );
}

#[tokio::test]
async fn every_group_has_to_be_content() {
    let world = World::new().await;
    let content = world
        .simulator
        .target_group(&TargetGroup::ip("content", 80).plan(HEALTHY_AT_ONCE));
    let never = TargetPlan::Never(Unhealthy::Failed);
    let other = world.simulator.target_group(&TargetGroup::ip("other", 80).plan(never));
    let (key, endpoint) = (groups(&[&content, &other]), address(5, 8080));
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    world.pass(Duration::from_mins(5)).await;
    let (why, _) = pending(&world, &key, &endpoint).await;
    assert!(why.message.contains("other"), "{}", why.message);
    world.simulator.target_plan(&other, HEALTHY_AT_ONCE);
    world.pass(INTERVAL).await;
    let health = world.routes.health(&owner(), &key, &endpoint).await;
    assert_eq!(health, Ok(Some(Health::Good)));
}

#[tokio::test]
async fn a_group_that_goes_while_it_is_waited_for_is_final() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    let (key, endpoint) = (groups(&[&group]), address(5, 8080));
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    world.simulator.delete_target_group(&group);
    let failure = world
        .routes
        .health(&owner(), &key, &endpoint)
        .await
        .expect_err("it is gone");
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(failure.message.contains(&group), "{}", failure.message);
}
