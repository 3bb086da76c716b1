//! Services that start and stop by the clock, also past crashes, downtime and other servers.

use std::time::Duration;
use wharf_domain::{Schedule, schedule::Action, schedule::Calendar, schedule::text};
use wharf_saga::store::Query;
use wharf_testkit::sim::{SimWharf, clock::START};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn schedule(name: &str, pattern: &str, action: Action, catch_up: Duration) -> Schedule {
    Schedule {
        name: name.parse().expect("a name"),
        calendar: Calendar::new(pattern.parse().expect("a pattern"), "UTC".parse().expect("a zone")),
        action,
        services: vec!["auth".parse().expect("a name")],
        catch_up,
    }
}

/// Simulations begin at eight.
async fn at_eight(schedules: &[Schedule]) -> SimWharf {
    assert_eq!(text(START), "2027-01-15T08:00:00Z");
    SimWharf::with(1, |_, settings| settings.schedules = schedules.to_vec()).await
}

/// The states of the instances of `auth`, ended ones too.
async fn states(wharf: &SimWharf) -> Vec<String> {
    let query = Query {
        service: Some("auth".to_owned()),
        limit: 100,
        ..Query::default()
    };
    let page = wharf.wharf().list(query).await.expect("a page");
    page.instances.into_iter().map(|view| view.status).collect()
}

#[tokio::test(start_paused = true)]
async fn a_service_starts_in_the_morning_and_stops_in_the_evening() {
    let wharf = at_eight(&[
        schedule("evening", "0 20 * * *", Action::Stop, HOUR),
        schedule("morning", "0 9 * * *", Action::Start, HOUR),
    ])
    .await;
    tokio::time::sleep(59 * MINUTE).await;
    assert_eq!(states(&wharf).await, [""; 0], "not yet");
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(states(&wharf).await, ["ready"]);
    tokio::time::sleep(10 * HOUR).await;
    assert_eq!(states(&wharf).await, ["ready"], "once a day");
    tokio::time::sleep(HOUR).await;
    assert_eq!(states(&wharf).await, ["ended"]);
    let views = wharf.wharf().schedules().await.expect("schedules");
    let last = views[0].last.as_ref().expect("a run");
    assert_eq!((text(last.at).as_str(), &last.cause), ("2027-01-15T20:00:00Z", &None));
    assert!(last.done_at.since(last.at) < MINUTE);
    assert_eq!(views[1].next.map(text).as_deref(), Some("2027-01-16T09:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_done_late_or_passed_over_as_configured() {
    for (catch_up, expected) in [(HOUR, &["ready"][..]), (Duration::ZERO, &[])] {
        let mut wharf = at_eight(&[schedule("morning", "0 9 * * *", Action::Start, catch_up)]).await;
        tokio::time::sleep(MINUTE).await;
        wharf.crash();
        tokio::time::sleep(HOUR + 20 * MINUTE).await;
        wharf.restart().await;
        tokio::time::sleep(5 * MINUTE).await;
        assert_eq!(states(&wharf).await, expected, "{catch_up:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_not_done_again_after_a_restart() {
    let mut wharf = at_eight(&[schedule("evening", "0 9 * * *", Action::Stop, 12 * HOUR)]).await;
    tokio::time::sleep(HOUR + MINUTE).await;
    let begun = wharf
        .wharf()
        .handle_event(&serde_json::json!({"service": "auth"}))
        .await;
    assert_eq!(begun["statusCode"], 200, "{begun}");
    wharf.restart().await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(
        states(&wharf).await,
        ["ready"],
        "it was started after the evening's stop"
    );
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_new_has_missed_nothing() {
    let wharf = at_eight(&[schedule("night", "0 7 * * *", Action::Start, 12 * HOUR)]).await;
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(states(&wharf).await, [""; 0]);
    let views = wharf.wharf().schedules().await.expect("schedules");
    assert_eq!(views[0].last, None);
}

#[tokio::test(start_paused = true)]
async fn two_servers_start_a_service_once() {
    let wharf = at_eight(&[schedule("morning", "0 9 * * *", Action::Start, HOUR)]).await;
    let mut other = wharf.join(2, wharf.world.clock().ahead(Duration::from_millis(700)));
    tokio::time::sleep(HOUR + 5 * MINUTE).await;
    assert_eq!(states(&wharf).await, ["ready"]);
    other.end();
}
