//! Out of every group, drained, and never another's target.

use std::time::Duration;
use wharf_aws_simulator::{Fault, Mishap, TargetGroup};
use wharf_domain::Code;
use wharf_platform::{Backend, RouteKey, Routes};

use super::support::{DRAIN, HEALTHY_AT_ONCE, World, address, attempt, backend, groups, owner, with_rule};

/// A group with two healthy targets at one address.
async fn two() -> (World, String, RouteKey) {
    let world = World::new().await;
    let group = world
        .simulator
        .target_group(&TargetGroup::ip("web", 80).plan(HEALTHY_AT_ONCE));
    let key = groups(&[&group]);
    for port in [8080, 8081] {
        world
            .routes
            .register(backend(&key, &address(5, port)))
            .await
            .expect("registered");
    }
    world.pass(Duration::from_secs(2)).await;
    (world, group, key)
}

#[tokio::test]
async fn a_target_drains_before_it_is_gone_and_its_neighbour_stays() {
    let (world, group, key) = two().await;
    let long = Duration::from_hours(1);
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), long)
        .await;
    assert_eq!(withdrawn, Ok(false));
    let states = world.targets(&group).into_iter().map(|(_, port, state)| (port, state));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [(8080, "draining".to_owned()), (8081, "healthy".to_owned())]
    );
    // As long as the group drains, which is 5 minutes.
    world.pass(Duration::from_secs(299)).await;
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), long)
        .await;
    assert_eq!(withdrawn, Ok(false));
    world.pass(Duration::from_secs(1)).await;
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), long)
        .await;
    assert_eq!(withdrawn, Ok(true));
    assert_eq!(world.targets(&group).len(), 1);
}

#[tokio::test]
async fn it_is_over_when_the_drain_is() {
    let (world, _, key) = two().await;
    for (pass, over) in [(0, false), (29, false), (1, true)] {
        world.pass(Duration::from_secs(pass)).await;
        let withdrawn = world
            .routes
            .withdraw(&owner(), &key, Some(&address(5, 8080)), DRAIN)
            .await;
        assert_eq!(withdrawn, Ok(over), "{pass}");
    }
}

#[tokio::test]
async fn asking_often_asks_aws_once() {
    let (world, _, key) = two().await;
    for _ in 0..20 {
        let withdrawn = world
            .routes
            .withdraw(&owner(), &key, Some(&address(5, 8080)), DRAIN)
            .await;
        assert_eq!(withdrawn, Ok(false));
    }
    assert_eq!(
        (world.count("DeregisterTargets"), world.count("DescribeTargetHealth")),
        (1, 0)
    );
}

#[tokio::test]
async fn another_process_goes_on_with_it() {
    let (world, group, key) = two().await;
    let long = Duration::from_hours(1);
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), long)
        .await;
    assert_eq!(withdrawn, Ok(false));
    world.pass(Duration::from_secs(100)).await;
    let other = world.other();
    let withdrawn = other.withdraw(&owner(), &key, Some(&address(5, 8080)), long).await;
    assert_eq!(withdrawn, Ok(false));
    // It knows only of its own time, and not less than the group's.
    world.pass(Duration::from_mins(5)).await;
    let withdrawn = other.withdraw(&owner(), &key, Some(&address(5, 8080)), long).await;
    assert_eq!(withdrawn, Ok(true));
    assert_eq!(world.targets(&group).len(), 1);
}

/// Found by the simulation (seed 78): the next attempt had the same port of the same host, was registered by another server, and was ended by this one.
#[tokio::test]
async fn what_another_process_registered_there_again_is_withdrawn_again() {
    let (world, group, key) = two().await;
    let endpoint = address(5, 8080);
    let long = Duration::from_hours(1);
    let withdrawn = world.routes.withdraw(&attempt(1), &key, Some(&endpoint), long).await;
    assert_eq!(withdrawn, Ok(false), "and it is not asked to the end");
    world.pass(Duration::from_mins(5)).await;
    let next = Backend {
        owner: attempt(2),
        ..backend(&key, &endpoint)
    };
    world.other().register(next).await.expect("registered");
    let over = world
        .routes
        .withdraw(&attempt(2), &key, Some(&endpoint), Duration::ZERO)
        .await;
    assert_eq!(over, Ok(true));
    let left: Vec<_> = world
        .targets(&group)
        .into_iter()
        .map(|(_, port, state)| (port, state))
        .collect();
    assert_eq!(left, [(8080, "draining".to_owned()), (8081, "healthy".to_owned())]);
}

/// Found by the simulation (seed 4): each invocation withdraws in a process that knows nothing of the one before.
#[tokio::test]
async fn who_knows_nothing_of_the_drain_clears_away_when_told_that_it_is_over() {
    let world = World::new().await;
    let listener = world.simulator.load_balancer("main").listener;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 8080).unused());
    let (key, endpoint) = (with_rule(&group, &listener, "/web/*"), address(5, 8080));
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered");
    for _ in 0..3 {
        let withdrawn = world.other().withdraw(&owner(), &key, Some(&endpoint), DRAIN).await;
        assert_eq!(withdrawn, Ok(false));
    }
    let over = world
        .other()
        .withdraw(&owner(), &key, Some(&endpoint), Duration::ZERO)
        .await;
    assert_eq!(over, Ok(true));
    assert_eq!(world.simulator.rules(), []);
}

#[tokio::test]
async fn what_was_never_registered_is_withdrawn_already() {
    let (world, group, key) = two().await;
    assert_eq!(world.routes.withdraw(&owner(), &key, None, DRAIN).await, Ok(true));
    let unknown = Some(&address(99, 1));
    assert_eq!(
        world.routes.withdraw(&owner(), &key, unknown, Duration::ZERO).await,
        Ok(true)
    );
    let wrong = world.simulator.target_group(&TargetGroup::instance("wrong", 80));
    assert_eq!(
        world
            .routes
            .withdraw(&owner(), &groups(&[&wrong]), unknown, DRAIN)
            .await,
        Ok(true)
    );
    let gone = groups(&[&group.replace("web", "gone")]);
    assert_eq!(
        world
            .routes
            .withdraw(&owner(), &gone, Some(&address(5, 8080)), DRAIN)
            .await,
        Ok(true)
    );
    assert!(world.targets(&group).iter().all(|(_, _, state)| state == "healthy"));
}

#[tokio::test]
async fn a_group_that_nobody_uses_need_not_drain() {
    let world = World::new().await;
    let group = world.simulator.target_group(&TargetGroup::ip("web", 80).unused());
    let key = groups(&[&group]);
    world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect("registered");
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), DRAIN)
        .await;
    assert_eq!(withdrawn, Ok(true));
    assert!(world.targets(&group).is_empty());
}

#[tokio::test]
async fn a_group_that_refuses_does_not_keep_the_others_from_draining() {
    let world = World::new().await;
    let first = world.simulator.target_group(&TargetGroup::ip("first", 80));
    let second = world.simulator.target_group(&TargetGroup::ip("second", 80));
    let key = groups(&[&first, &second]);
    world
        .routes
        .register(backend(&key, &address(5, 8080)))
        .await
        .expect("registered");
    let name = "targetgroup%2Ffirst";
    world
        .simulator
        .fault(Fault::on("DeregisterTargets", Mishap::Denied).about(name));
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), DRAIN)
        .await;
    assert_eq!(withdrawn.expect_err("denied").code, Code::AwsDenied);
    assert_eq!(world.targets(&second)[0].2, "draining");
    world.simulator.mend();
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), DRAIN)
        .await;
    assert_eq!(withdrawn, Ok(false));
    assert_eq!(world.targets(&first)[0].2, "draining");
}

#[tokio::test]
async fn a_target_that_drains_can_come_back() {
    let (world, group, key) = two().await;
    let endpoint = address(5, 8080);
    world
        .routes
        .withdraw(&owner(), &key, Some(&endpoint), DRAIN)
        .await
        .expect("begun");
    world
        .routes
        .register(backend(&key, &endpoint))
        .await
        .expect("registered again");
    world.pass(Duration::from_secs(2)).await;
    assert!(world.targets(&group).iter().all(|(_, _, state)| state == "healthy"));
    // And is withdrawn anew, from the beginning.
    assert_eq!(
        world.routes.withdraw(&owner(), &key, Some(&endpoint), DRAIN).await,
        Ok(false)
    );
    assert_eq!(world.count("DeregisterTargets"), 2);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let (world, group, key) = two().await;
    world
        .simulator
        .fault(Fault::on("DeregisterTargets", Mishap::AnswerLost).once());
    let withdrawn = world
        .routes
        .withdraw(&owner(), &key, Some(&address(5, 8080)), DRAIN)
        .await;
    assert_eq!(withdrawn, Ok(false));
    assert_eq!(world.targets(&group)[0].2, "draining");
}
