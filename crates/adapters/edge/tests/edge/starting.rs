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
use wharf_domain::{Endpoint, instance::TaskRef};
use wharf_platform::{Probe, Prober, Proof, Routes, Standing};

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
    edge.register(backend(&me, host("acme"), acme.address)).await.unwrap();
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
    let edge = edge_with(|config| config.timeouts.hold = Duration::from_millis(1));
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
async fn nobody_gets_there_before_the_prober_has_its_proof() {
    let edge = Arc::new(edge_with(|config| config.timeouts.hold = PATIENCE));
    let owned = Arc::new(AtomicUsize::new(0));
    let asking = Arc::clone(&owned);
    let prober = edge.prober(Some(Arc::new(move |_| {
        let asked = asking.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(asked > 0) })
    })));
    let visits = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&visits);
    let server = Server::start(move |request| {
        if request.uri().path() == "/" {
            counting.fetch_add(1, Ordering::SeqCst);
        }
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
    let probe = Probe {
        owner: me.clone(),
        task: TaskRef {
            id: "1".to_owned(),
            attempt: me.attempt,
        },
        endpoint: Endpoint::Address {
            ip: server.address.ip(),
            port: server.address.port(),
        },
        host: "acme.localhost".to_owned(),
        path: "/healthz".to_owned(),
        timeout: PATIENCE,
        identity_header: None,
    };
    let failure = prober.probe(&probe).await.unwrap_err();
    assert_eq!(failure.code, wharf_domain::Code::RouteIdentity);
    assert_eq!((edge.metrics().held, visits.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(prober.probe(&probe).await, Ok(Proof::Platform));
    assert_eq!(held.await.unwrap().body, "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_listens_late_is_found_soon() {
    let edge = edge_with(|config| config.timeouts.hold = PATIENCE);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    edge.register(backend(&owner(1, 1), host("acme"), free)).await.unwrap();
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    until("it is held", || edge.metrics().held == 1).await;
    let server = Server::start_on(free, |_| Box::pin(async { text("late") })).await;
    assert_eq!(client.answer(false).await.body, "late");
    drop(server);
}
