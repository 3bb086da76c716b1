//! Something that starts: requests for it are held a moment, its owner is told, and nobody gets there before it is proven.

use super::support::{
    backend::{Server, named, text},
    client::Client,
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
    let edge = Arc::new(edge_with(|config| hold(config, PATIENCE)));
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
    let edge = edge_with(|config| {
        config.timeouts.hold = Duration::from_millis(50);
        config.timeouts.hold_programs = PATIENCE;
    });
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    let began = Instant::now();
    let answer = browse(&edge, "acme.localhost").await;
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert_eq!((answer.status, answer.header("refresh")), (503, "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_waits_for_what_a_browser_is_told_to_wait_for() {
    let edge = Arc::new(edge_with(|config| {
        config.timeouts.hold = Duration::from_millis(10);
        config.timeouts.hold_programs = PATIENCE;
    }));
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    // A form that a browser sends off is not sent again by a page: it waits as well.
    let requests = [
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nAccept: application/json\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nAccept: text/html\r\nContent-Length: 4\r\n\r\nbody",
    ];
    let held: Vec<_> = requests
        .map(|request| {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { Client::connect(edge.local_addr()).await.ask(request).await })
        })
        .into();
    until("all are held", || edge.metrics().held == 3).await;
    for _ in 0..3 {
        assert_eq!(browse(&edge, "acme.localhost").await.status, 503);
    }
    assert_eq!(edge.metrics().held, 3, "they are held still");
    let acme = named("acme").await;
    serve(&edge, backend(&me, host("acme"), acme.address)).await;
    for answer in held {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "acme"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_waited_in_vain_is_told_when_to_come_again() {
    let edge = edge_with(|config| {
        config.timeouts.hold = Duration::from_millis(1);
        config.timeouts.hold_programs = Duration::from_millis(60);
    });
    for (name, standing, after) in [("acme", Standing::Starting, "1"), ("other", Standing::Queued, "5")] {
        edge.announce(&owner(after.len() as u8, 1).instance, &host(name), standing);
        let began = Instant::now();
        let answer = get(&edge, &format!("{name}.localhost"), "/").await;
        assert!(began.elapsed() >= Duration::from_millis(60));
        assert_eq!((answer.status, answer.header("retry-after")), (503, after));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_makes_room_for_another() {
    let edge = Arc::new(edge_with(|config| {
        hold(config, PATIENCE);
        config.limits.held_requests = 1;
    }));
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    until("it is held", || edge.metrics().held == 1).await;
    assert_eq!(
        get(&edge, "acme.localhost", "/").await.status,
        503,
        "there is one place"
    );
    drop(client);
    until("its place is free", || edge.metrics().held == 0).await;
    let next = tokio::spawn({
        let edge = Arc::clone(&edge);
        async move { get(&edge, "acme.localhost", "/").await }
    });
    until("the next is held", || edge.metrics().held == 1).await;
    let acme = named("acme").await;
    serve(&edge, backend(&me, host("acme"), acme.address)).await;
    assert_eq!(next.await.unwrap().body, "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_long_leave_half_of_the_places_to_others() {
    let edge = Arc::new(edge_with(|config| {
        config.timeouts.hold = Duration::from_millis(5);
        config.timeouts.hold_programs = PATIENCE;
        config.limits.held_requests = 4;
    }));
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    let mut programs: Vec<_> = (0..4)
        .map(|_| {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { get(&edge, "acme.localhost", "/").await.status })
        })
        .collect();
    until("two have given up", || {
        programs.iter().filter(|held| held.is_finished()).count() == 2
    })
    .await;
    assert_eq!(edge.metrics().held, 2);
    let acme = named("acme").await;
    serve(&edge, backend(&me, host("acme"), acme.address)).await;
    let mut told = Vec::new();
    for program in programs.drain(..) {
        told.push(program.await.unwrap());
    }
    told.sort_unstable();
    assert_eq!(told, [200, 200, 503, 503]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told_again_as_long_as_somebody_waits() {
    let edge = Arc::new(edge_with(|config| {
        config.timeouts.hold = Duration::from_millis(1);
        config.timeouts.hold_programs = PATIENCE;
    }));
    let mut wanted = edge.wanted().unwrap();
    let me = owner(1, 1);
    edge.announce(&me.instance, &host("acme"), Standing::Starting);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { get(&edge, "acme.localhost", "/").await })
        })
        .collect();
    let began = Instant::now();
    for _ in 0..2 {
        let told = tokio::time::timeout(PATIENCE, wanted.recv()).await.unwrap();
        assert_eq!(told.as_ref(), Some(&me.instance));
    }
    // However many they are: told once a second.
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    let acme = named("acme").await;
    serve(&edge, backend(&me, host("acme"), acme.address)).await;
    for answer in waiting {
        assert_eq!(answer.await.unwrap().body, "acme");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_are_held_and_a_stop_ends_it_for_all() {
    let edge = Arc::new(edge_with(|config| {
        hold(config, PATIENCE);
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
        hold(config, Duration::from_millis(1));
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
    let edge = Arc::new(edge_with(|config| hold(config, PATIENCE)));
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
