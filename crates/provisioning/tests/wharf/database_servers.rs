//! A database server that is down: waited for, and what was begun on it is gone in the end.

use std::time::Duration;
use wharf_domain::Code;
use wharf_testkit::sim::{Mishap, SimWharf, When};

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_in_time_costs_a_sign_up_nothing_but_time() {
    let wharf = SimWharf::new(1).await;
    let faults = wharf.world.faults();
    let down = faults.order("databases.*", When::Always, Mishap::Before(Code::DatabaseUnreachable));
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let view = wharf.wharf().show(&id).await.expect("shown");
    assert_eq!(view.status, "provisioning");
    assert!(view.waits_for.is_some_and(|why| why.contains("database server")));
    wharf.world.faults().cancel(down);
    wharf.until(&id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_fails_a_sign_up_and_nothing_is_left_once_it_is_back() {
    let wharf = SimWharf::new(1).await;
    // What is made is made, and nobody hears of it; then the server is gone for two hours.
    let faults = wharf.world.faults();
    faults.order(
        "databases.create",
        When::Nth(1),
        Mishap::After(Code::DatabaseUnreachable),
    );
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    let down = faults.order("databases.*", When::Always, Mishap::Before(Code::DatabaseUnreachable));
    tokio::time::sleep(Duration::from_hours(2)).await;
    let view = wharf.wharf().show(&id).await.expect("shown");
    assert!(view.status != "stuck" && view.status != "ready", "{}", view.status);
    wharf.world.faults().cancel(down);
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::DatabaseUnreachable));
    assert_eq!(wharf.world.belongings(&id), [""; 0]);
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_connections_is_waited_for_too_and_one_that_refuses_is_not() {
    let wharf = SimWharf::new(1).await;
    let faults = wharf.world.faults();
    faults.order(
        "databases.create",
        When::Nth(1),
        Mishap::Before(Code::DatabaseConnections),
    );
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    wharf.until(&id, "ready").await;
    faults.order("databases.create", When::Nth(1), Mishap::Before(Code::DatabaseDenied));
    let id = wharf.sign_up("bolt").await.expect("accepted").id;
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::DatabaseDenied));
    assert!(view.since.since(view.created_at) < Duration::from_secs(5));
    assert_eq!(wharf.leftovers().await, [""; 0]);
}
