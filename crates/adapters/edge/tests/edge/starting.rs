//! Something that starts: requests for it are held a moment, its owner is told, and nobody gets there before it is proven.

use super::support::{
    backend::{Server, named, text},
    *,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use wharf_platform::{Routes, Standing};

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_held_until_the_instance_is_there() {
    let edge = Arc::new(edge_with(|config| config.timeouts.hold = PATIENCE));
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    let held: Vec<_> = (0..5)
        .map(|_| {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { get(&edge, "acme.localhost", "/").await })
        })
        .collect();
    until("all are held", || edge.metrics().held == 5).await;
    let acme = named("acme").await;
    serve(&edge, backend(&me, host("acme"), acme.address)).await;
    for answer in held {
        assert_eq!(answer.await.unwrap().body, "acme");
    }
    assert_eq!(edge.metrics().held, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_too_long_gets_the_page_that_waits() {
    let edge = edge_with(|config| config.timeouts.hold = Duration::from_millis(50));
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    let began = Instant::now();
    let answer = get(&edge, "acme.localhost", "/").await;
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert_eq!((answer.status, answer.header("refresh")), (503, "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_are_held_and_a_stop_ends_it_for_all() {
    let edge = Arc::new(edge_with(|config| {
        config.timeouts.hold = PATIENCE;
        config.limits.held_requests = 1;
    }));
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    let held = tokio::spawn({
        let edge = Arc::clone(&edge);
        async move { get(&edge, "acme.localhost", "/").await }
    });
    until("one is held", || edge.metrics().held == 1).await;
    let second = get(&edge, "acme.localhost", "/").await;
    assert_eq!(
        (second.status, second.header("refresh")),
        (503, "1"),
        "the second is not held"
    );
    edge.announce(&me.instance, &host("acme"), Standing::Stopped);
    let first = held.await.unwrap();
    assert!(first.status == 503 && first.body.contains("stopped"), "{}", first.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told_who_is_wanted() {
    let edge = edge_with(|config| {
        config.timeouts.hold = Duration::from_millis(1);
        // Who is not held does not wait in vain, and is not told of again.
        config.limits.held_requests = 0;
    });
    let mut wanted = edge.wanted().unwrap();
    assert!(edge.wanted().is_none(), "there is one receiver");
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    edge.announce(&owner(2, 1).instance, &host("other"), Standing::Stopped);
    for name in ["acme.localhost", "acme.localhost", "other.localhost"] {
        assert_eq!(get(&edge, name, "/").await.status, 503);
    }
    assert_eq!(wanted.try_recv().ok(), Some(me.instance));
    assert!(wanted.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_there_before_it_is_opened() {
    let edge = Arc::new(edge_with(|config| config.timeouts.hold = PATIENCE));
    let visits = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&visits);
    let server = Server::start(move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { text("acme") })
    })
    .await;
    let me = owner(1, 1);
    edge.register(backend(&me, host("acme"), server.address)).await.unwrap();
    let held = tokio::spawn({
        let edge = Arc::clone(&edge);
        async move { get(&edge, "acme.localhost", "/").await }
    });
    until("it is held", || edge.metrics().held == 1).await;
    assert_eq!(visits.load(Ordering::SeqCst), 0);
    let failure = edge.open(&owner(1, 2), &host("acme")).await.unwrap_err();
    assert_eq!(failure.code, wharf_domain::Code::RouteUnhealthy, "another attempt");
    edge.open(&me, &host("acme")).await.unwrap();
    edge.open(&me, &host("acme")).await.expect("again is a success again");
    assert_eq!(held.await.unwrap().body, "acme");
}
