//! Routes change while requests flow, and no request is lost.

use super::support::{
    backend::{Server, named, text},
    client::Client,
    *,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::Notify;
use wharf_edge::Edge;
use wharf_platform::Routes;

const POST: &str = "POST /api/auth/x HTTP/1.1\r\nHost: services.localhost\r\nContent-Length: 2\r\n\r\nhi";
const GET: &str = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";

/// Requests without a pause until told to stop, all of them answered with a 200, and counted.
fn load(
    edge: &Edge,
    clients: usize,
    stop: &Arc<AtomicBool>,
    count: &Arc<AtomicUsize>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let one = |_| {
        let (address, stop, count) = (edge.local_addr(), Arc::clone(stop), Arc::clone(count));
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            while !stop.load(Ordering::SeqCst) {
                let answer = client.ask(GET).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                count.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    (0..clients).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_replace_each_other_under_load_without_a_lost_request() {
    let edge = edge();
    let mut current = named("acme").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), current.address)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let clients = load(&edge, 8, &stop, &count);
    for attempt in 2..12 {
        let before = count.load(Ordering::SeqCst);
        until("requests flow", || count.load(Ordering::SeqCst) > before + 20).await;
        let next = named("acme").await;
        serve(&edge, backend(&owner(1, attempt), host("acme"), next.address)).await;
        let old = owner(1, attempt - 1);
        let mut rounds = 0;
        while !edge.withdraw(&old, &host("acme"), None, PATIENCE).await.unwrap() {
            rounds += 1;
            assert!(rounds < 100_000, "attempt {attempt} never drains");
            tokio::task::yield_now().await;
        }
        // Its task may be stopped now.
        current = next;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(edge.metrics().backend_errors, 0);
    drop(current);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_drained_and_new_ones_are_not_let_in() {
    let edge = Arc::new(edge());
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arriving, going_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
    let slow = Server::start(move |request| {
        let (arrived, go_on) = (Arc::clone(&arriving), Arc::clone(&going_on));
        Box::pin(async move {
            if request.uri().path() != "/healthz" {
                arrived.notify_one();
                go_on.notified().await;
            }
            text("in the end")
        })
    })
    .await;
    let me = owner(1, 1);
    serve(&edge, backend(&me, host("acme"), slow.address)).await;
    edge.announce(&me.instance, &host("acme"), wharf_platform::Standing::Stopped);
    let waiting = tokio::spawn({
        let edge = Arc::clone(&edge);
        async move { get(&edge, "acme.localhost", "/").await }
    });
    arrived.notified().await;
    assert!(!edge.withdraw(&me, &host("acme"), None, PATIENCE).await.unwrap());
    assert_eq!(get(&edge, "acme.localhost", "/").await.status, 503);
    go_on.notify_one();
    assert_eq!(waiting.await.unwrap().body, "in the end");
    until("the drain is over", || {
        futures::FutureExt::now_or_never(edge.withdraw(&me, &host("acme"), None, PATIENCE))
            .unwrap()
            .unwrap()
    })
    .await;
    assert!(edge.all(&[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_prefix_share_its_requests_and_a_closed_one_costs_none() {
    let edge = edge();
    let counts: Vec<_> = (0..3).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let mut servers = Vec::new();
    for (seed, count) in (1..).zip(&counts) {
        let counting = Arc::clone(count);
        let server = Server::start(move |request| {
            if request.uri().path() != "/healthz" {
                counting.fetch_add(1, Ordering::SeqCst);
            }
            Box::pin(async { text("auth") })
        })
        .await;
        serve(&edge, backend(&owner(seed, 1), prefix("/api/auth"), server.address)).await;
        servers.push(server);
    }
    let mut client = Client::connect(edge.local_addr()).await;
    let mut ask = async |request: &str| {
        let answer = client.ask(request).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "auth"));
    };
    for _ in 0..30 {
        ask(POST).await;
    }
    assert!(
        counts.iter().all(|count| count.load(Ordering::SeqCst) == 10),
        "{counts:?}"
    );
    // One goes away without a word: its connections are closed, and further ones refused. What can be repeated is; and as
    // soon as it is known, the rest goes elsewhere too.
    let mut changes = edge.health_changes();
    servers.remove(0);
    for _ in 0..30 {
        ask("GET /api/auth/x HTTP/1.1\r\nHost: services.localhost\r\n\r\n").await;
    }
    let change = tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
    assert_eq!((change.instance, change.healthy), (owner(1, 1).instance, false));
    for _ in 0..30 {
        ask(POST).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_routes_change_fast_and_lead_where_they_should() {
    let edge = edge();
    let acme = named("acme").await;
    let began = std::time::Instant::now();
    for number in 0..10_000_u32 {
        let mut owner = owner(1, 1);
        let [a, b, c, d] = number.to_be_bytes();
        owner.instance = wharf_domain::InstanceId::new(wharf_domain::Timestamp(1), [a, b, c, d, 1, 1, 1, 1, 1, 1]);
        edge.register(backend(&owner, host(&format!("tenant-{number}")), acme.address))
            .await
            .unwrap();
    }
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(edge.all(&[]).await.unwrap().len(), 10_000);
}
