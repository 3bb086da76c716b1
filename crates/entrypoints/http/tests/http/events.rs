//! Streams of events: the past first, then what comes, and an end.

use serde_json::json;
use std::time::Duration;
use wharf_testkit::sim::Behaviour;

use crate::site::{Event, Site, read_events};

/// The steps in the order in which they were done or undone.
fn done(events: &[Event]) -> Vec<(String, bool)> {
    events
        .iter()
        .filter(|event| event.name == "step" && event.data["what"] == "done")
        .map(|event| {
            (
                event.data["step"].as_str().expect("a step").to_owned(),
                event.data["undo"].as_bool().expect("a flag"),
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_follows_a_sign_up_to_its_end() {
    let site = Site::new().await;
    let path = site.sign_up("acme").await;
    let events = read_events(site.get(&format!("{path}/events")).open().await, |_| false).await;
    let ids: Vec<u64> = events.iter().filter_map(|event| event.id).collect();
    assert_eq!(
        ids,
        (1..=ids.len() as u64).collect::<Vec<_>>(),
        "numbered without a gap"
    );
    assert_eq!(events[0].name, "note");
    assert_eq!(
        (&events[0].data["what"], &events[0].data["saga"]),
        (&json!("began"), &json!("provision"))
    );
    assert_eq!(done(&events).len(), 9);
    assert!(done(&events).iter().all(|(_, undo)| !undo));
    let titled = events
        .iter()
        .filter(|event| event.name == "step")
        .all(|event| event.data["title"].is_string());
    assert!(titled);
    let [.., state, end] = events.as_slice() else {
        panic!("events")
    };
    assert!(
        events
            .iter()
            .any(|event| event.name == "state" && event.data["state"] == "ready"),
        "{state:?}"
    );
    assert_eq!(
        (end.name.as_str(), &end.data, end.id),
        ("end", &json!({"status": "ready"}), None)
    );
}

#[tokio::test(start_paused = true)]
async fn who_comes_again_goes_on_where_it_was() {
    let site = Site::new().await;
    let path = format!("{}/events", site.ready("acme").await);
    let whole = read_events(site.get(&path).open().await, |_| false).await;
    let rest = read_events(site.get(&path).header("last-event-id", "5").open().await, |_| false).await;
    assert_eq!(rest, whole[5..]);
    let rest = read_events(site.get(&format!("{path}?after=7")).open().await, |_| false).await;
    assert_eq!(rest, whole[7..]);
    // A browser comes again to the same address: what it has seen since counts.
    let both = site
        .get(&format!("{path}?after=2"))
        .header("last-event-id", "9")
        .open()
        .await;
    assert_eq!(read_events(both, |_| false).await, whole[9..]);
    let beyond = read_events(site.get(&format!("{path}?after=9999")).open().await, |_| false).await;
    assert_eq!(beyond.len(), 1, "only the end is left: {beyond:?}");
    for bad in ["x", "-1", "1.5"] {
        let reply = site.get(&path).header("last-event-id", bad).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "request.invalid"), "{bad}");
        assert_eq!(
            site.get(&format!("{path}?after={bad}")).send().await.status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn events_come_while_things_happen() {
    let site = Site::new().await;
    let behaviour = Behaviour {
        answers_after: Duration::from_secs(20),
        ..Behaviour::default()
    };
    site.sim.world.behave("shop", behaviour);
    let path = format!("{}/events", site.sign_up("acme").await);
    let begun = tokio::time::Instant::now();
    let is_waiting = |events: &[Event]| {
        events
            .iter()
            .any(|event| event.data["step"] == "healthy" && event.data["what"] == "started")
    };
    let early = read_events(site.get(&path).open().await, is_waiting).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "told while it waits");
    assert!(early.iter().all(|event| event.name != "end"));
    let last = early.iter().filter_map(|event| event.id).max().expect("a number");
    let rest = site.get(&path).header("last-event-id", &last.to_string()).open().await;
    let rest = read_events(rest, |_| false).await;
    assert_eq!(rest.last().expect("an end").data["status"], "ready");
    assert!(rest.iter().filter_map(|event| event.id).all(|id| id > last));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_followed_until_everything_is_taken_back() {
    let site = Site::new().await;
    let behaviour = Behaviour {
        exits_after: Some(Duration::from_millis(50)),
        exit_code: 3,
        last_words: Some("SECRET-TRACE".into()),
        answers_after: Duration::from_mins(10),
        ..Behaviour::default()
    };
    site.sim.world.behave("shop", behaviour);
    let path = site.sign_up("acme").await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    let public = read_events(site.get(&format!("{path}/events")).open().await, |_| false).await;
    assert_eq!(public.last().expect("an end").data["status"], "failed");
    let undone: Vec<_> = done(&public).into_iter().filter(|(_, undo)| *undo).collect();
    assert_eq!(undone.last().map(|(step, _)| step.as_str()), Some("claim"));
    assert!(!format!("{public:?}").contains("SECRET-TRACE"));
    let operators = site.get(&format!("/instances/{id}/events")).admin().open().await;
    let operators = read_events(operators, |_| false).await;
    assert!(format!("{operators:?}").contains("SECRET-TRACE"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_opened_after_a_request_waits_for_what_comes_of_it() {
    let site = Site::new().await;
    site.ready("acme").await;
    let stopped = site.post("/instances/acme/stop").admin().send().await;
    assert_eq!(stopped.status, 202);
    // Ready still, perhaps; but not at rest.
    let events = read_events(site.get("/instances/acme/events").admin().open().await, |_| false).await;
    assert_eq!(events.last().expect("an end").data["status"], "stopped");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_open_and_ends_with_the_server() {
    let site = Site::new().await;
    let behaviour = Behaviour {
        answers_after: Duration::from_secs(50),
        ..Behaviour::default()
    };
    site.sim.world.behave("shop", behaviour);
    let path = site.sign_up("acme").await;
    let response = site.get(&format!("{path}/events")).open().await;
    let stopping = site.stopping.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(40)).await;
        stopping.cancel();
    });
    let body = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body");
    let text = String::from_utf8_lossy(&body);
    assert!(text.starts_with("retry: 2000\n"), "{text:.60}");
    let comments = text.lines().filter(|line| *line == ":").count();
    assert!(comments >= 1, "kept alive: {text}");
    assert!(!text.contains("event: end"), "it comes again");
}

#[tokio::test(start_paused = true)]
async fn one_client_opens_so_many_streams_and_no_more() {
    let site = Site::new().await;
    let behaviour = Behaviour {
        answers_after: Duration::from_secs(50),
        ..Behaviour::default()
    };
    site.sim.world.behave("shop", behaviour);
    let path = format!("{}/events", site.sign_up("acme").await);
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(site.get(&path).peer("203.0.113.7:1000").open().await);
    }
    let reply = site.get(&path).peer("203.0.113.7:1001").send().await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "limit.rate"));
    assert!(reply.headers.contains_key("retry-after"));
    open.pop();
    let one_more = site.get(&path).peer("203.0.113.7:1002").open().await;
    assert_eq!(one_more.status(), 200);
}
