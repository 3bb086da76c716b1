//! A task becomes a target in every group, or the failure says in which not.

use futures::future::join_all;
use std::{net::Ipv4Addr, time::Duration};
use wharf_aws_simulator::{ContainerInstance, Fault, Mishap, Options, TargetGroup, Throttling};
use wharf_domain::{Code, Endpoint};
use wharf_platform::Routes;

use super::support::{DRAIN, World, address, backend, groups, owner};

#[tokio::test]
async fn an_address_is_registered_by_address_and_port_in_every_group() {
    let world = World::new().await;
    let alb = world.simulator.target_group(&TargetGroup::ip("alb", 80));
    let nlb = world.simulator.target_group(&TargetGroup::ip("nlb", 80));
    world
        .routes
        .register(backend(&groups(&[&alb, &nlb]), &address(5, 8080)))
        .await
        .expect("registered");
    for group in [&alb, &nlb] {
        let targets = world.targets(group);
        assert_eq!(
            (targets.len(), targets[0].0.as_str(), targets[0].1),
            (1, "10.0.0.5", 8080)
        );
    }
}

#[tokio::test]
async fn a_host_port_is_registered_by_the_ec2_instance() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::instance("web", 80));
    let host = world
        .simulator
        .container_instance("cluster", &ContainerInstance::default());
    for port in [32_768, 32_769] {
        let endpoint = Endpoint::Host {
            ec2_instance: host.ec2_instance_id.clone(),
            ip: None,
            port,
        };
        world
            .routes
            .register(backend(&groups(&[&group]), &endpoint))
            .await
            .expect("registered");
    }
    let targets = world.targets(&group);
    assert!(targets.iter().all(|(id, ..)| *id == host.ec2_instance_id));
    assert_eq!(
        targets.iter().map(|(_, port, _)| *port).collect::<Vec<_>>(),
        [32_768, 32_769]
    );
}

#[tokio::test]
async fn registering_again_changes_nothing() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    let key = groups(&[&group]);
    for routes in [&world.routes, &world.routes, &world.other()] {
        routes
            .register(backend(&key, &address(5, 8080)))
            .await
            .expect("registered");
    }
    assert_eq!(world.targets(&group).len(), 1);
}

#[tokio::test]
async fn a_group_of_the_wrong_type_is_a_mismatch_and_no_group_is_touched() {
    let world = World::new().await;
    let right = world.simulator.target_group(&TargetGroup::ip("right", 80));
    let wrong = world.simulator.target_group(&TargetGroup::instance("wrong", 80));
    let registered = world
        .routes
        .register(backend(&groups(&[&right, &wrong]), &address(5, 8080)))
        .await;
    let failure = registered.expect_err("it takes instances");
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(failure.message.contains("wrong") && failure.hint.is_some_and(|hint| hint.contains("type ip")));
    assert_eq!(world.count("RegisterTargets"), 0);
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_refused_before_any_is_touched() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    let missing = group.replace("web", "gone");
    let registered = world
        .routes
        .register(backend(&groups(&[&group, &missing]), &address(5, 8080)))
        .await;
    let failure = registered.expect_err("there is none");
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(
        failure.message.contains(&missing) && failure.hint.is_some(),
        "{}",
        failure.message
    );
    assert!(world.targets(&group).is_empty());
}

#[tokio::test]
async fn a_group_that_goes_half_way_is_named_and_the_other_is_withdrawn_from() {
    let world = World::new().await;
    let stays = world.simulator.target_group(&TargetGroup::ip("stays", 80));
    let goes = world.simulator.target_group(&TargetGroup::ip("goes", 80));
    let key = groups(&[&stays, &goes]);
    // Both are known by now, and then one is deleted.
    world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect("registered");
    world.simulator.delete_target_group(&goes);
    let failure = world
        .routes
        .register(backend(&key, &address(6, 8080)))
        .await
        .expect_err("one is gone");
    assert_eq!(failure.code, Code::RouteMismatch);
    for part in [goes.as_str(), "registered in stays, not in goes"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(6, 8080)), Duration::ZERO)
        .await;
    assert_eq!(withdrawn, Ok(true));
    let live: Vec<_> = world
        .targets(&stays)
        .into_iter()
        .filter(|(_, _, state)| state != "draining")
        .collect();
    assert_eq!(live.len(), 1, "the other instance's stays: {live:?}");
}

#[tokio::test]
async fn a_full_group_is_final_and_says_what_to_do() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    world.simulator.fault(Fault::on(
        "RegisterTargets",
        Mishap::Error {
            status: 400,
            code: "TooManyTargets".to_owned(),
            message: "The maximum number of targets has been reached".to_owned(),
        },
    ));
    let failure = world
        .routes
        .register(backend(&groups(&[&group]), &address(5, 8080)))
        .await
        .expect_err("full");
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(failure.hint.is_some_and(|hint| hint.contains("1000")));
    assert_eq!(world.count("RegisterTargets"), 1);
}

#[tokio::test]
async fn an_instance_that_boots_still_passes() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::instance("web", 80));
    let host = world
        .simulator
        .container_instance("cluster", &ContainerInstance::default());
    world.simulator.set_ec2_state(&host.ec2_instance_id, "pending");
    let endpoint = Endpoint::Host {
        ec2_instance: host.ec2_instance_id.clone(),
        ip: None,
        port: 32_768,
    };
    let backend = backend(&groups(&[&group]), &endpoint);
    let failure = world.routes.register(backend.clone()).await.expect_err("not yet");
    assert_eq!(failure.code, Code::RouteUnready);
    assert!(failure.code.is_passing());
    world.simulator.set_ec2_state(&host.ec2_instance_id, "running");
    world.routes.register(backend).await.expect("now it is");
}

#[tokio::test]
async fn an_address_of_another_network_is_a_mismatch() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    let public = Endpoint::Address {
        ip: Ipv4Addr::new(8, 8, 8, 8).into(),
        port: 80,
    };
    let failure = world
        .routes
        .register(backend(&groups(&[&group]), &public))
        .await
        .expect_err("not there");
    assert_eq!(failure.code, Code::RouteMismatch);
    assert!(
        failure.message.contains("8.8.8.8") && failure.hint.is_some(),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_lost_answer_leaves_one_target() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    world
        .simulator
        .fault(Fault::on("RegisterTargets", Mishap::AnswerLost).once());
    world
        .routes
        .register(backend(&groups(&[&group]), &address(5, 8080)))
        .await
        .expect("registered");
    assert_eq!(world.targets(&group).len(), 1);
}

#[tokio::test]
async fn groups_are_described_once_for_all() {
    let world = World::new().await;
    let alb = world.simulator.target_group(&TargetGroup::ip("alb", 80));
    let nlb = world.simulator.target_group(&TargetGroup::ip("nlb", 80));
    let key = groups(&[&alb, &nlb]);
    let registered = (1..=10).map(|last| world.routes.register(backend(&key, &address(last, 8080))));
    let registered = join_all(registered.collect::<Vec<_>>()).await;
    assert!(registered.iter().all(Result::is_ok), "{registered:?}");
    assert_eq!((world.targets(&alb).len(), world.targets(&nlb).len()), (10, 10));
    assert_eq!(world.count("DescribeTargetGroups"), 2);
}

#[tokio::test]
async fn every_target_is_listed_with_nobody_for_an_owner() {
    let world = World::new().await;
    let alb = world.simulator.target_group(&TargetGroup::ip("alb", 80));
    let nlb = world.simulator.target_group(&TargetGroup::ip("nlb", 80));
    let both = groups(&[&alb, &nlb]);
    let gone = groups(&[&alb.replace("alb", "gone")]);
    for last in [5, 6] {
        world
            .routes
            .register(backend(&both, &address(last, 8080)))
            .await
            .expect("registered");
    }
    world
        .routes
        .withdraw(&owner(), &both, Some(&address(6, 8080)), DRAIN)
        .await
        .expect("begun");
    let all = world.routes.all(&[both.clone(), gone]).await.expect("listed");
    let [only] = all.as_slice() else {
        panic!("one that does not drain: {all:?}")
    };
    assert_eq!(
        (&only.key, &only.endpoint, &only.owner),
        (&both, &address(5, 8080), &None)
    );
}

#[tokio::test]
async fn registrations_at_once_share_calls_and_keep_within_the_documented_rate() {
    let options = Options {
        throttling: Throttling::Documented,
        ..Options::following(1.0)
    };
    let world = World::with(options).await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    let key = groups(&[&group]);
    let endpoints: Vec<_> = (0..250).map(|number| address(number, 8080)).collect();
    let registered = endpoints
        .iter()
        .map(|endpoint| world.routes.register(backend(&key, endpoint)));
    let registered = join_all(registered).await;
    assert!(registered.iter().all(Result::is_ok), "{registered:?}");
    assert_eq!(world.targets(&group).len(), 250);
    let owner = owner();
    let withdrawn = endpoints
        .iter()
        .map(|endpoint| world.routes.withdraw(&owner, &key, Some(endpoint), DRAIN));
    let withdrawn = join_all(withdrawn).await;
    assert!(withdrawn.iter().all(|over| *over == Ok(false)), "{withdrawn:?}");
    assert!(world.targets(&group).iter().all(|(_, _, state)| state == "draining"));
    assert!(
        world.count("RegisterTargets") <= 6,
        "{}",
        world.count("RegisterTargets")
    );
    assert!(
        world.count("DeregisterTargets") <= 6,
        "{}",
        world.count("DeregisterTargets")
    );
    assert!(world.simulator.throttled().is_empty());
}

#[tokio::test]
async fn one_that_is_not_taken_does_not_keep_the_others_out() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80));
    let key = groups(&[&group]);
    let public = Endpoint::Address {
        ip: Ipv4Addr::new(8, 8, 8, 8).into(),
        port: 80,
    };
    let endpoints = [address(5, 80), public, address(6, 80)];
    let registered = endpoints
        .iter()
        .map(|endpoint| world.routes.register(backend(&key, endpoint)));
    let registered = join_all(registered).await;
    assert!(registered[0].is_ok() && registered[2].is_ok(), "{registered:?}");
    assert!(
        registered[1]
            .as_ref()
            .is_err_and(|failure| failure.code == Code::RouteMismatch && failure.message.contains("8.8.8.8"))
    );
    assert_eq!(world.targets(&group).len(), 2);
}
