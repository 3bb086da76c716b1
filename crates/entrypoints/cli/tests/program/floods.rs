//! Slow clients and floods of them against the whole program: what each costs in memory, that others are served meanwhile, and that all
//! of it is over by itself.

use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{Deployment, PATIENCE, Setup, eventually, spin};

/// Of each kind of slow client.
const EACH: usize = 150;
/// What one of them may cost the server, of whatever kind, in KiB: its buffers in both directions (64 KiB each at the most, and the
/// backend's) and what belongs to them. Far more of it is the kernel's, which has bounds of its own.
const MOST_KIB: u64 = 256;

/// What a process has in memory, in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number")
}

async fn connections(deployment: &Deployment) -> u64 {
    let metrics = deployment.admin().get("/metrics").await.is(200).text();
    let line = metrics.lines().find(|line| line.starts_with("wharf_edge_connections "));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .expect("a number")
}

/// Clients that begin so, and go on never.
async fn begin(deployment: &Deployment, bytes: &str) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for _ in 0..EACH {
        let mut client = TcpStream::connect(deployment.listen()).await.expect("it listens");
        client.write_all(bytes.as_bytes()).await.expect("it is taken");
        clients.push(client);
    }
    clients
}

/// Clients that ask and ask, and read nothing, until no more is taken from them.
async fn greedy(deployment: &Deployment) -> Vec<TcpStream> {
    let port = deployment.listen().port();
    let asked = format!("GET / HTTP/1.1\r\nHost: acme.localhost:{port}\r\n\r\n").repeat(2_000);
    let mut clients = Vec::new();
    for _ in 0..EACH {
        let client = TcpStream::connect(deployment.listen()).await.expect("it listens");
        client.writable().await.expect("it is open");
        let _ = client.try_write(asked.as_bytes());
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn slow_clients_of_every_kind_cost_little_and_hold_nobody_up() {
    let deployment = Setup::new()
        .configured("[server]\nheader_timeout = \"4s\"\nidle_timeout = \"8s\"\nresponse_timeout = \"6s\"\n")
        .up()
        .await;
    deployment.ready("acme").await;
    let port = deployment.listen().port();
    for _ in 0..20 {
        deployment.tenant("acme").get("/").await.is(200);
    }
    let before = resident(deployment.pid());
    let large = "x".repeat(16 * 1024);
    let mut flood = begin(&deployment, "").await;
    flood.extend(
        begin(
            &deployment,
            &format!("GET / HTTP/1.1\r\nHost: acme.localhost:{port}\r\nX: {large}"),
        )
        .await,
    );
    let slow_body = format!("Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{large}");
    flood.extend(
        begin(
            &deployment,
            &format!("POST /basket HTTP/1.1\r\nHost: acme.localhost:{port}\r\n{slow_body}"),
        )
        .await,
    );
    flood.extend(
        begin(
            &deployment,
            &format!("POST /provision HTTP/1.1\r\nHost: localhost:{port}\r\n{slow_body}"),
        )
        .await,
    );
    flood.extend(greedy(&deployment).await);
    let count = flood.len() as u64;

    // Others are served while all of them are there.
    let begun = Instant::now();
    for _ in 0..20 {
        deployment.tenant("acme").get("/").await.is(200);
        deployment.console().get("/healthz").await.is(200);
    }
    let each = begun.elapsed() / 40;
    deployment.console().post("/provision", &json!({})).await.is(400);
    let during = resident(deployment.pid());
    let cost = during.saturating_sub(before) / count;
    println!("{count} slow clients cost {cost} KiB each; a request beside them took {each:?}");
    assert!(
        cost <= MOST_KIB,
        "{cost} KiB each: {before} KiB before, {during} KiB with {count}"
    );

    // And they are let go, whatever they wait for.
    eventually("they are let go", async || {
        (connections(&deployment).await <= 2).then_some(())
    })
    .await;
    deployment.tenant("acme").get("/").await.is(200);
    drop(flood);
}

#[tokio::test]
async fn one_address_has_the_connections_that_are_configured() {
    let deployment = Setup::new()
        .configured("[server]\nconnections_per_address = 10\n")
        .up()
        .await;
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let mut client = TcpStream::connect(deployment.listen())
            .await
            .expect("the kernel takes it");
        // Closed at once, with nothing said; those that it has wait for a request.
        flood.spawn(async move { client.read(&mut [0]).await.unwrap_or_default() });
    }
    for _ in 0..30 {
        let read = timeout(PATIENCE, flood.join_next()).await.expect("it is closed");
        assert_eq!(read.expect("one").expect("its end"), 0);
    }
    assert!(
        timeout(Duration::from_millis(300), flood.join_next()).await.is_err(),
        "it has ten"
    );
    drop(flood);
    eventually("its places are free", async || {
        spin(Duration::from_millis(1)).await;
        let client = deployment.console().try_get("/healthz").await;
        client.is_ok_and(|answer| answer.status == 200).then_some(())
    })
    .await;
    let metrics = deployment.admin().get("/metrics").await.is(200).text();
    assert!(metrics.contains("wharf_edge_turned_away_total 3"), "{metrics}");
}
