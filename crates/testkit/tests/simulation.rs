//! The simulated world itself: a process that is paused, killed, or unlucky, and a world that can be looked through afterwards.

use std::{sync::Arc, time::Duration};
use wharf_domain::Code;
use wharf_platform::Owner;
use wharf_saga::{Clock, store::Query};
use wharf_testkit::{
    contracts::harness::{some_instance, some_owner},
    sim::{Edge, Mishap, SimStore, SimWorld, When, clock::START, services},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn nothing_that_a_paused_process_calls_returns_until_it_is_resumed() {
    let world = SimWorld::new(1);
    let process = world.process("one");
    let secrets = process.platform().secrets;
    let instance = some_instance();
    process.pause();
    let call = tokio::spawn({
        let instance = instance.clone();
        async move { secrets.get(&instance).await }
    });
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(!call.is_finished());
    process.resume();
    assert_eq!(
        call.await.expect("it returns").map(|secrets| secrets.is_none()),
        Ok(true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_is_killed_before_or_after_what_its_call_does() {
    for (edge, done) in [(Edge::Before, false), (Edge::After, true)] {
        let world = SimWorld::new(1);
        let (process, other) = (world.process("one"), world.process("other"));
        let (instance, password) = (some_instance(), "secret".into());
        process.kill_at(2, edge);
        let databases = process.platform().databases;
        databases
            .create(&instance, "first", &password)
            .await
            .expect("the first call goes through");
        let second = databases.create(&instance, "second", &password);
        assert!(tokio::time::timeout(SECOND, second).await.is_err(), "it never returns");
        process.died().await;
        assert!(process.is_dead());
        assert_eq!(world.database("second").is_some(), done, "{edge:?}");
        process.resume();
        assert!(process.is_dead(), "and nothing brings it back");
        other
            .platform()
            .databases
            .create(&instance, "third", &password)
            .await
            .expect("the others live on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_reaches_the_registry_no_more() {
    let world = SimWorld::new(1);
    let process = world.process("one");
    let registry = process.registry(Arc::new(SimStore::new()));
    registry.list(Query::default()).await.expect("it lives");
    process.kill();
    let list = registry.list(Query::default());
    assert!(tokio::time::timeout(SECOND, list).await.is_err());
    assert_eq!(process.calls_begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_go_wrong_as_ordered() {
    let world = SimWorld::new(1);
    let (databases, faults) = (world.platform().databases, world.faults());
    let (instance, password) = (some_instance(), "secret".into());
    let create = async |name: &str| databases.create(&instance, name, &password).await.map(drop);

    faults.order("databases.create", When::Nth(2), Mishap::Before(Code::DatabaseFailed));
    faults.order("databases.create", When::Nth(3), Mishap::After(Code::DatabaseFailed));
    faults.order("databases.create", When::Nth(4), Mishap::Slow(7 * SECOND));
    faults.order("databases.create", When::Nth(5), Mishap::Twice);
    let mut went = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let before = world.now();
        let ok = create(name).await.is_ok();
        went.push((ok, world.database(name).is_some(), world.now().since(before).as_secs()));
    }
    let expected = [
        (true, true, 0),
        (false, false, 0),
        (false, true, 0),
        (true, true, 7),
        (true, true, 0),
        (true, true, 0),
    ];
    assert_eq!(went, expected);
    faults.order("*", When::Always, Mishap::Before(Code::DatabaseFailed));
    assert!(create("g").await.is_err());
    faults.clear();
    assert!(create("g").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_world_knows_what_is_left_of_whom() {
    let world = SimWorld::new(1);
    let platform = world.platform();
    let owner: Owner = some_owner(world.deployment_id());
    let other = some_owner(world.deployment_id());
    for owner in [&owner, &other] {
        world.plant_task(owner.clone(), &services::shop().name);
        world.plant_secrets(&owner.instance);
    }
    world.plant_database(owner.clone(), "user_acme");
    assert_eq!(world.belongings(&owner.instance).len(), 3);
    assert_eq!(world.leftovers(|id| *id == owner.instance).len(), 2);
    world.exit(&owner.instance, 0);
    platform.secrets.remove(&owner.instance).await.expect("removed");
    platform
        .databases
        .remove(&owner.instance, "user_acme")
        .await
        .expect("removed");
    assert_eq!(
        world.belongings(&owner.instance),
        ["database user_acme".to_owned() + &format!(" of {}", owner.instance)]
    );
}

#[tokio::test(start_paused = true)]
async fn clocks_go_with_the_simulated_time_and_may_be_wrong() {
    let world = SimWorld::new(1);
    let clock = world.clock();
    let (fast, slow) = (clock.ahead(5 * SECOND), clock.behind(5 * SECOND));
    assert_eq!(clock.now(), START);
    tokio::time::sleep(SECOND).await;
    assert_eq!(clock.now(), START + SECOND);
    assert_eq!((fast.now(), slow.now().0), (START + 6 * SECOND, START.0 - 4_000));
}

#[tokio::test(start_paused = true)]
async fn the_trace_tells_who_called_what_and_how_it_ended() {
    let world = SimWorld::new(1);
    let instance = some_instance();
    tokio::time::sleep(SECOND).await;
    world
        .process("one")
        .platform()
        .secrets
        .get(&instance)
        .await
        .expect("got");
    world
        .faults()
        .order("secrets.get", When::Always, Mishap::Before(Code::SecretsFailed));
    let _ = world.process("two").platform().secrets.get(&instance).await;
    let lines = [
        format!("     1000 one secrets.get {instance} -> ok"),
        format!("     1000 two secrets.get {instance} -> secrets.failed"),
    ];
    assert_eq!(world.trace().text(), lines.join("\n") + "\n");
}
