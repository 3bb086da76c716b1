//! Listener rules: made once however many want them, with free priorities, tagged, and taken away by the last who leaves.

use futures::future::join_all;
use std::{collections::BTreeSet, time::Duration};
use wharf_aws::{ClientOptions, Clients};
use wharf_aws_simulator::{Fault, LoadBalancer, Mishap, TargetGroup};
use wharf_domain::Code;
use wharf_platform::{Health, Routes};

use super::support::{HEALTHY_AT_ONCE, World, address, backend, deployment, owner, with_rule};

const PATH: &str = "/api/auth/*";

/// A load balancer without rules, and a group that nothing forwards to.
async fn world() -> (World, LoadBalancer, String) {
    let world = World::new().await;
    let balancer = world.simulator.load_balancer("web");
    let group = world
        .simulator
        .target_group(&TargetGroup::ip("auth", 80).unused().plan(HEALTHY_AT_ONCE));
    (world, balancer, group)
}

#[tokio::test]
async fn a_rule_is_made_once_with_our_tag_and_leads_to_the_group() {
    let (world, balancer, group) = world().await;
    let key = with_rule(&group, &balancer.listener, PATH);
    for last in [5, 6] {
        world
            .routes
            .register(backend(&key, &address(last, 8080)))
            .await
            .expect("registered");
    }
    let rules = world.simulator.rules();
    let [rule] = rules.as_slice() else {
        panic!("one rule: {rules:?}")
    };
    assert_eq!(rule.groups.as_slice(), std::slice::from_ref(&group));
    assert_eq!(rule.conditions, [("path-pattern".to_owned(), PATH.to_owned())]);
    let tag = ("wharf:deployment".to_owned(), deployment(1).to_string());
    assert!(
        rule.tags.iter().any(|(key, value)| (key, value) == (&tag.0, &tag.1)),
        "{:?}",
        rule.tags
    );
    world.pass(Duration::from_secs(2)).await;
    let health = world.routes.health(&owner(), &key, &address(5, 8080)).await;
    assert_eq!(health, Ok(Some(Health::Good)));
}

#[tokio::test]
async fn makers_of_the_same_rule_in_many_processes_make_one() {
    let (world, balancer, group) = world().await;
    let key = with_rule(&group, &balancer.listener, PATH);
    let processes: Vec<_> = (0..12).map(|_| world.other()).collect();
    let registering = processes.iter().enumerate().map(|(number, process)| {
        let last = u8::try_from(number).expect("small");
        process.register(backend(&key, &address(last, 8080)))
    });
    let registered = join_all(registering).await;
    assert!(registered.iter().all(Result::is_ok), "{registered:?}");
    assert_eq!(world.simulator.rules().len(), 1);
}

#[tokio::test]
async fn makers_of_different_rules_rarely_meet() {
    let (world, balancer, _) = world().await;
    let makers: Vec<_> = (0..60)
        .map(|number| {
            let group = world
                .simulator
                .target_group(&TargetGroup::ip(&format!("tenant-{number:02}"), 80).unused());
            let key = with_rule(&group, &balancer.listener, &format!("/tenant-{number:02}/*"));
            (world.other(), key)
        })
        .collect();
    let registering = makers
        .iter()
        .map(|(process, key)| process.register(backend(key, &address(5, 8080))));
    let registered = join_all(registering).await;
    assert!(registered.iter().all(Result::is_ok), "{registered:?}");
    let priorities: BTreeSet<_> = world.simulator.rules().iter().map(|rule| rule.priority).collect();
    assert_eq!(priorities.len(), 60);
    let calls = world.simulator.calls();
    let refused = calls
        .iter()
        .filter(|call| call.error.as_deref() == Some("PriorityInUse"))
        .count();
    assert!(refused <= 3, "{refused} of 60 first tries failed");
}

#[tokio::test]
async fn a_rule_of_somebody_else_that_leads_elsewhere_has_the_route() {
    let (world, balancer, group) = world().await;
    let theirs = world.simulator.target_group(&TargetGroup::ip("theirs", 80).unused());
    let stranger = world.of(deployment(2));
    stranger
        .register(backend(&with_rule(&theirs, &balancer.listener, PATH), &address(9, 80)))
        .await
        .expect("first");
    let key = with_rule(&group, &balancer.listener, PATH);
    let failure = world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect_err("it is taken");
    assert_eq!(failure.code, Code::RouteTaken);
    assert!(
        failure.message.contains(&theirs) && failure.hint.is_some(),
        "{}",
        failure.message
    );
    assert!(
        world.targets(&group).is_empty(),
        "nothing is registered behind a route that is not ours"
    );
    assert_eq!(world.simulator.rules().len(), 1);
}

#[tokio::test]
async fn a_rule_of_somebody_else_that_leads_to_our_group_does_and_stays() {
    let (world, balancer, group) = world().await;
    let key = with_rule(&group, &balancer.listener, PATH);
    let stranger = world.of(deployment(2));
    stranger.register(backend(&key, &address(9, 80))).await.expect("first");
    world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect("registered");
    assert_eq!(world.simulator.rules().len(), 1);
    for last in [9, 5] {
        let port = if last == 9 { 80 } else { 8080 };
        let withdrawn = world
            .routes
            .withdraw(&owner(), &key, Some(&address(last, port)), Duration::ZERO)
            .await;
        assert_eq!(withdrawn, Ok(true));
    }
    assert_eq!(world.simulator.rules().len(), 1, "it is not ours to remove");
}

#[tokio::test]
async fn the_last_who_leaves_takes_the_rule_away() {
    let (world, balancer, group) = world().await;
    let key = with_rule(&group, &balancer.listener, PATH);
    for last in [5, 6] {
        world
            .routes
            .register(backend(&key, &address(last, 8080)))
            .await
            .expect("registered");
    }
    let withdraw = async |last| {
        world
            .routes
            .withdraw(&owner(), &key, Some(&address(last, 8080)), Duration::ZERO)
            .await
    };
    assert_eq!(withdraw(5).await, Ok(true));
    assert_eq!(world.simulator.rules().len(), 1, "somebody is there");
    assert_eq!(withdraw(6).await, Ok(true));
    assert_eq!(world.simulator.rules(), []);
    assert_eq!(withdraw(6).await, Ok(true), "and again is a success");
}

#[tokio::test]
async fn a_rule_of_ours_that_leads_to_an_empty_group_is_led_to_the_new_one() {
    let (world, balancer, group) = world().await;
    let former = world.simulator.target_group(&TargetGroup::ip("former", 80).unused());
    let before = with_rule(&former, &balancer.listener, PATH);
    let now = with_rule(&group, &balancer.listener, PATH);
    world
        .other()
        .register(backend(&before, &address(9, 80)))
        .await
        .expect("registered");
    let failure = world
        .routes
        .register(backend(&now, &address(5, 8080)))
        .await
        .expect_err("somebody is there");
    assert_eq!(failure.code, Code::RouteTaken);
    // The configuration changed while the instance was there; then it goes, and its rule was not its own any more.
    let clients = Clients::new(ClientOptions::emulator(world.simulator.url()));
    let elb = clients.elasticloadbalancingv2().await;
    let target = aws_sdk_elasticloadbalancingv2::types::TargetDescription::builder()
        .id("10.0.0.9")
        .port(80)
        .build();
    elb.deregister_targets()
        .target_group_arn(&former)
        .targets(target)
        .send()
        .await
        .expect("deregistered");
    world
        .routes
        .register(backend(&now, &address(5, 8080)))
        .await
        .expect("registered");
    let rules = world.simulator.rules();
    assert_eq!((rules.len(), rules[0].groups.as_slice()), (1, [group].as_slice()));
}

#[tokio::test]
async fn a_rule_that_went_missing_while_we_wait_is_made_again() {
    let (world, balancer, group) = world().await;
    let (key, endpoint) = (with_rule(&group, &balancer.listener, PATH), address(5, 8080));
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    let clients = Clients::new(ClientOptions::emulator(world.simulator.url()));
    let rule = world.simulator.rules()[0].arn.clone();
    clients
        .elasticloadbalancingv2()
        .await
        .delete_rule()
        .rule_arn(rule)
        .send()
        .await
        .expect("deleted");
    let health = world.routes.health(&owner(), &key, &endpoint).await;
    assert!(matches!(health, Ok(Some(Health::Pending { .. }))), "{health:?}");
    assert_eq!(world.simulator.rules().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_rule() {
    let (world, balancer, group) = world().await;
    world
        .simulator
        .fault(Fault::on("CreateRule", Mishap::AnswerLost).once());
    let key = with_rule(&group, &balancer.listener, PATH);
    world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect("registered");
    assert_eq!(world.simulator.rules().len(), 1);
}

#[tokio::test]
async fn what_the_listener_refuses_is_final_and_says_what_to_do() {
    let (world, balancer, group) = world().await;
    let missing = with_rule(&group, &balancer.listener.replace("web", "gone"), PATH);
    let failure = world
        .routes
        .register(backend(&missing, &address(5, 8080)))
        .await
        .expect_err("no listener");
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(
        failure.message.contains("gone") && failure.hint.is_some(),
        "{}",
        failure.message
    );

    world.simulator.fault(Fault::on(
        "CreateRule",
        Mishap::Error {
            status: 400,
            code: "TooManyRules".to_owned(),
            message: "You have reached the maximum number of rules".to_owned(),
        },
    ));
    let key = with_rule(&group, &balancer.listener, PATH);
    let failure = world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect_err("too many");
    assert_eq!(failure.code, Code::AwsRefused);
    assert!(failure.hint.is_some_and(|hint| hint.contains("100 rules")));
    assert!(world.targets(&group).is_empty());
}

#[tokio::test]
async fn a_group_of_another_load_balancer_is_a_mismatch() {
    let (world, balancer, _) = world().await;
    let theirs = world.simulator.target_group(&TargetGroup::ip("theirs", 80));
    let key = with_rule(&theirs, &balancer.listener, PATH);
    let failure = world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect_err("it has another");
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(failure.hint.is_some_and(|hint| hint.contains("one load balancer")));
}
