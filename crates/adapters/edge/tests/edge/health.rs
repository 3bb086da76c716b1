//! Active health checks: who stops answering is told, and who answers again too.

use super::support::{
    backend::{Server, named, read_head, text},
    *,
};
use http::StatusCode;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::broadcast::Receiver};
use wharf_domain::Code;
use wharf_edge::HealthChange;
use wharf_platform::{Backend, Routes};

async fn next(changes: &mut Receiver<HealthChange>) -> HealthChange {
    tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap()
}

/// A backend that is well as long as the switch says so, and counts its checks.
async fn switched(well: &Arc<AtomicBool>, checks: &Arc<AtomicUsize>) -> Server {
    let (well, checks) = (Arc::clone(well), Arc::clone(checks));
    Server::start(move |_| {
        checks.fetch_add(1, Ordering::SeqCst);
        let well = well.load(Ordering::SeqCst);
        Box::pin(async move {
            let mut response = text("x");
            if !well {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            response
        })
    })
    .await
}

fn checked_often(mut backend: Backend) -> Backend {
    backend.health.interval = Duration::from_millis(5);
    backend.health.healthy = 2;
    backend.health.unhealthy = 3;
    backend
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_at_their_thresholds() {
    let edge = edge();
    let (well, checks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let server = switched(&well, &checks).await;
    let mut changes = edge.health_changes();
    let me = owner(1, 1);
    serve(&edge, checked_often(backend(&me, host("acme"), server.address))).await;
    assert!(next(&mut changes).await.healthy);
    let before = checks.load(Ordering::SeqCst);
    well.store(false, Ordering::SeqCst);
    let change = next(&mut changes).await;
    assert_eq!(
        (&change.instance, change.attempt, change.healthy),
        (&me.instance, me.attempt, false)
    );
    assert_eq!(change.failure.unwrap().code, Code::RouteUnhealthy);
    assert!(checks.load(Ordering::SeqCst) >= before + 3);
    // It is the only one, so visitors still get what it says.
    assert_eq!(get(&edge, "acme.localhost", "/").await.status, 500);
    well.store(true, Ordering::SeqCst);
    assert!(next(&mut changes).await.healthy);
    let somewhere = wharf_domain::Endpoint::Address {
        ip: std::net::Ipv4Addr::LOCALHOST.into(),
        port: 1,
    };
    assert_eq!(edge.health(&me, &host("acme"), &somewhere).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_instance_of_a_prefix_is_left_out() {
    let edge = edge();
    let (well, checks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let sick = switched(&well, &checks).await;
    let healthy = named("healthy").await;
    serve(
        &edge,
        checked_often(backend(&owner(1, 1), prefix("/api"), sick.address)),
    )
    .await;
    serve(&edge, backend(&owner(2, 1), prefix("/api"), healthy.address)).await;
    let mut changes = edge.health_changes();
    well.store(false, Ordering::SeqCst);
    assert!(!next(&mut changes).await.healthy);
    for _ in 0..10 {
        assert_eq!(get(&edge, "services.localhost", "/api").await.body, "healthy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_takes_another_instance_for_no_sign_of_health() {
    let edge = edge();
    let stranger = Arc::new(AtomicBool::new(false));
    let switching = Arc::clone(&stranger);
    let server = Server::start(move |_| {
        let seed = if switching.load(Ordering::SeqCst) { 2 } else { 1 };
        Box::pin(async move {
            let mut response = text("x");
            let identity = owner(seed, 1).instance.to_string();
            response
                .headers_mut()
                .insert("x-wharf-instance", identity.parse().unwrap());
            response
        })
    })
    .await;
    let mut registered = checked_often(backend(&owner(1, 1), host("acme"), server.address));
    registered.identity_header = Some("x-wharf-instance".to_owned());
    serve(&edge, registered).await;
    let mut changes = edge.health_changes();
    stranger.store(true, Ordering::SeqCst);
    assert_eq!(next(&mut changes).await.failure.unwrap().code, Code::RouteIdentity);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_is_checked_no_more() {
    let edge = edge();
    let (well, checks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let server = switched(&well, &checks).await;
    let me = owner(1, 1);
    serve(&edge, checked_often(backend(&me, host("acme"), server.address))).await;
    assert!(edge.withdraw(&me, &host("acme"), None, PATIENCE).await.unwrap());
    // A check that is under way may still come; after that there is one every 5 ms or none.
    let mut seen = usize::MAX;
    let mut quiet = 0;
    until("no more checks", || {
        let now = checks.load(Ordering::SeqCst);
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
        quiet > 50
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_checks_a_second_is_bounded() {
    let edge = edge_with(|config| config.limits.checks_per_second = 50);
    let (well, checks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let server = switched(&well, &checks).await;
    for seed in 1..=20 {
        let name = format!("tenant-{seed}");
        serve(
            &edge,
            checked_often(backend(&owner(seed, 1), host(&name), server.address)),
        )
        .await;
    }
    let before = checks.load(Ordering::SeqCst);
    let began = std::time::Instant::now();
    until("some checks", || checks.load(Ordering::SeqCst) >= before + 40).await;
    // Twenty endpoints every 5 ms would be 4,000 a second.
    let a_second = 40.0 / began.elapsed().as_secs_f64();
    assert!(a_second < 200.0, "{a_second}");
}

/// A backend that answers until it is told to break off, and counts its checks.
async fn breaking(breaks: &Arc<AtomicBool>, checks: &Arc<AtomicUsize>) -> Server {
    let (breaks, checks) = (Arc::clone(breaks), Arc::clone(checks));
    Server::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
        let (breaks, checks) = (Arc::clone(&breaks), Arc::clone(&checks));
        Box::pin(async move {
            let head = read_head(&mut stream).await.unwrap_or_default();
            checks.fetch_add(usize::from(head.contains("wharf-health")), Ordering::SeqCst);
            if !breaks.load(Ordering::SeqCst) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
            }
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_calm_is_looked_at_seldom_and_as_soon_as_a_request_goes_wrong() {
    let edge = edge();
    let (breaks, owners) = (Arc::new(AtomicBool::new(false)), [owner(1, 1), owner(2, 1)]);
    let checks: Vec<_> = owners.iter().map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let mut changes = edge.health_changes();
    let mut servers = Vec::new();
    for (owner, (name, checks)) in owners.iter().zip(["acme", "other"].iter().zip(&checks)) {
        let server = breaking(&breaks, checks).await;
        let mut registered = backend(owner, host(name), server.address);
        registered.health.interval = Duration::from_millis(100);
        serve(&edge, registered).await;
        assert!(next(&mut changes).await.healthy);
        servers.push(server);
    }
    // The next ones are not due for eight times the interval then.
    let are_calm = || checks.iter().all(|checks| checks.load(Ordering::SeqCst) >= 4);
    until("both are calm", are_calm).await;
    breaks.store(true, Ordering::SeqCst);
    assert_eq!(get(&edge, "acme.localhost", "/").await.status, 502);
    let first = next(&mut changes).await;
    assert_eq!((&first.instance, first.healthy), (&owners[0].instance, false));
    let second = next(&mut changes).await;
    assert_eq!((&second.instance, second.healthy), (&owners[1].instance, false));
}
