//! ELB denies, throttles, breaks, is not there: what the failure says, and that all of it is bounded.

use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use wharf_aws::ClientOptions;
use wharf_aws_simulator::{Fault, Mishap, TargetGroup, TargetPlan};
use wharf_domain::{Code, Failure};
use wharf_platform::{RouteKey, Routes};

use super::support::{HEALTHY_AT_ONCE, World, address, backend, deployment, groups, owner, process, with_rule};

/// Everything that is done for a target in its life; the first failure ends it.
async fn life(world: &World, key: &RouteKey) -> Result<(), Failure> {
    let (routes, endpoint) = (&world.routes, address(5, 8080));
    routes.register(backend(key, &endpoint)).await?;
    world.pass(Duration::from_secs(2)).await;
    routes.health(&owner(), key, &endpoint).await?;
    routes
        .withdraw(&owner(), key, Some(&endpoint), Duration::from_hours(1))
        .await?;
    world.pass(Duration::from_secs(301)).await;
    assert!(
        routes
            .withdraw(&owner(), key, Some(&endpoint), Duration::from_hours(1))
            .await?
    );
    Ok(())
}

#[tokio::test]
async fn each_denied_call_names_its_action_and_its_resource() {
    for action in [
        "DescribeTargetGroups",
        "DescribeTargetGroupAttributes",
        "DescribeTargetHealth",
        "RegisterTargets",
        "DeregisterTargets",
        "DescribeRules",
        "CreateRule",
        "DescribeTags",
        "DeleteRule",
    ] {
        let world = World::new().await;
        let balancer = world.simulator.load_balancer("web");
        let group = world
            .simulator
            .target_group(&TargetGroup::ip("auth", 80).unused().plan(HEALTHY_AT_ONCE));
        let key = with_rule(&group, &balancer.listener, "/api/auth/*");
        world.simulator.fault(Fault::on(action, Mishap::Denied));
        let failure = life(&world, &key).await.expect_err(action);
        assert_eq!(failure.code, Code::AwsDenied, "{action}");
        let hint = failure.hint.expect("a hint");
        for part in [
            format!("elasticloadbalancing:{action}"),
            "arn:aws:elasticloadbalancing:".to_owned(),
        ] {
            assert!(
                failure.message.contains(&part) || part.starts_with("arn") && failure.message.contains(" on *"),
                "{}",
                failure.message
            );
            assert!(
                hint.contains(&part) || part.starts_with("arn") && hint.contains("resource *"),
                "{hint}"
            );
        }
        // With the permission it goes on where it stood.
        world.simulator.mend();
        life(&world, &key).await.expect("all is allowed");
        assert_eq!(
            (world.simulator.rules().len(), world.simulator.targets().len()),
            (0, 0),
            "{action}"
        );
    }
}

#[tokio::test]
async fn the_whole_life_of_a_target_bears_any_lost_answer() {
    for action in [
        "DescribeTargetGroups",
        "DescribeTargetGroupAttributes",
        "DescribeTargetHealth",
        "RegisterTargets",
        "DeregisterTargets",
        "DescribeRules",
        "CreateRule",
        "DescribeTags",
        "DeleteRule",
    ] {
        for mishap in [
            Mishap::AnswerLost,
            Mishap::Refused,
            Mishap::ServerError,
            Mishap::Throttled,
        ] {
            let world = World::new().await;
            let balancer = world.simulator.load_balancer("web");
            let group = world
                .simulator
                .target_group(&TargetGroup::ip("auth", 80).unused().plan(HEALTHY_AT_ONCE));
            let key = with_rule(&group, &balancer.listener, "/api/auth/*");
            world.simulator.fault(Fault::on(action, mishap.clone()).once());
            let lived = life(&world, &key).await;
            assert_eq!(lived, Ok(()), "{action} {mishap:?}");
            assert_eq!(
                (world.simulator.rules().len(), world.simulator.targets().len()),
                (0, 0),
                "{action} {mishap:?}"
            );
        }
    }
}

/// One that tries each call once, and not for long.
fn impatient(url: &str) -> ClientOptions {
    ClientOptions {
        attempts: 1,
        connect_timeout: Duration::from_millis(300),
        attempt_timeout: Duration::from_millis(300),
        operation_timeout: Duration::from_millis(300),
        ..ClientOptions::emulator(url)
    }
}

async fn refused_by(url: &str) -> Failure {
    let routes = process(impatient(url), deployment(1));
    let arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef".to_owned();
    let begun = Instant::now();
    let failure = routes
        .register(backend(&groups(&[&arn]), &address(5, 8080)))
        .await
        .expect_err("nobody is there");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(
        failure.message.contains(&arn) && failure.hint.is_some(),
        "{}",
        failure.message
    );
    failure
}

#[tokio::test]
async fn a_load_balancer_that_cannot_be_reached_passes_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let failure = refused_by(&closed).await;
    assert!(
        failure.code == Code::AwsUnavailable && failure.message.contains("refused"),
        "{}",
        failure.message
    );

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let failure = refused_by(&url).await;
    assert!(
        failure.code == Code::AwsUnavailable && failure.message.contains("in time"),
        "{}",
        failure.message
    );

    let failure = refused_by("http://no-such-host.invalid:80").await;
    assert!(
        failure.code == Code::AwsUnavailable && failure.message.contains("dns"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_and_made_again() {
    let world = World::new().await;
    let plan = TargetPlan::HealthyAfter(Duration::ZERO);
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80).plan(plan));
    let routes = process(impatient(&world.simulator.url()), deployment(1));
    let hangs = Mishap::Delayed(Duration::from_mins(1));
    world.simulator.fault(Fault::on("RegisterTargets", hangs).once());
    routes
        .register(backend(&groups(&[&group]), &address(5, 8080)))
        .await
        .expect("registered");
    assert_eq!(world.targets(&group).len(), 1);
}
