//! Many clients, slow clients, clients that want everything: each has a bound, and others are served meanwhile.

use super::support::{
    backend::{Server, named, read_head},
    client::Client,
    *,
};
use http::Response;
use http_body_util::{BodyExt, Full};
use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpSocket, runtime::Handle};
use wharf_edge::Edge;

const GET: &str = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";

/// A client at another of this machine's addresses.
async fn from(address: [u8; 4], edge: &Edge) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    Client::from(socket.connect(edge.local_addr()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_its_share_of_connections_and_no_more() {
    let edge = edge_with(|config| config.limits.connections_per_address = 20);
    let acme = named("acme").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(Client::connect(edge.local_addr()).await);
    }
    until("the rest are turned away", || edge.metrics().turned_away == 180).await;
    assert_eq!(edge.metrics().connections, 20);
    let mut other = from([127, 0, 0, 9], &edge).await;
    assert_eq!(other.ask(GET).await.body, "acme", "others are served");
    let mut served = 0;
    for client in &mut flood {
        if client.try_send(GET).await && !client.is_closed().await {
            served += 1;
        }
    }
    assert_eq!(served, 20, "those that it has go on");
    drop(flood);
    until("its places are free", || edge.metrics().connections == 1).await;
    assert_eq!(Client::connect(edge.local_addr()).await.ask(GET).await.body, "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_comes_for_many() {
    let edge = edge_with(|config| {
        config.limits.connections_per_address = 2;
        config.trusted_proxies.push("127.0.0.1/32".parse().unwrap());
    });
    let acme = named("acme").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(edge.local_addr()).await;
        assert_eq!(client.ask(GET).await.status, 200);
        clients.push(client);
    }
    assert_eq!(edge.metrics().turned_away, 0);
}

/// An edge whose control service reads each body to its end before it answers.
fn reading(change: impl FnOnce(&mut wharf_edge::EdgeConfig)) -> Edge {
    let control: wharf_edge::ControlService = Arc::new(|request, _| {
        Box::pin(async move {
            let _ = request.into_body().collect().await;
            Response::new(Full::from("read").map_err(|never| match never {}).boxed_unsync())
        })
    });
    let mut config = config();
    change(&mut config);
    Edge::bind(config, control, Handle::current()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_of_one_address_leave_the_control_service_to_others() {
    let edge = reading(|config| {
        config.limits.control_requests = 8;
        config.limits.control_requests_per_address = 4;
    });
    let slow = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nslow";
    let mut flood = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(edge.local_addr()).await;
        client.send(slow).await;
        flood.push(client);
    }
    until("they are under way", || edge.metrics().in_flight == 4).await;
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // The call itself may come a moment after its connection is seen.
    let mut refused = Client::connect(edge.local_addr()).await;
    let answer = loop {
        let answer = refused.ask(get).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(answer.status, 503);
    let mut other = from([127, 0, 0, 9], &edge).await;
    assert_eq!(other.ask(get).await.body, "read", "others are served");
    drop(flood);
    until("they are gone", || edge.metrics().in_flight == 0).await;
    assert_eq!(refused.ask(get).await.body, "read");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lines_are_no_progress_of_a_head() {
    let edge = edge_with(|config| config.timeouts.client_header = Duration::from_millis(100));
    let mut client = Client::connect(edge.local_addr()).await;
    while client.try_send("\r\n").await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until("it is closed", || edge.metrics().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lines_in_a_hurry_are_bounded_too() {
    let edge = edge_with(|config| config.limits.header_bytes = 8 * 1024);
    let mut client = Client::connect(edge.local_addr()).await;
    let lines = "\r\n".repeat(8 * 1024);
    let mut sent = 0_usize;
    while client.try_send(&lines).await {
        sent += lines.len();
        assert!(sent < 256 << 20, "it is never enough");
        if edge.metrics().connections == 0 && sent > lines.len() * 4 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_not_read_is_not_kept_for_it() {
    const CLIENTS: u64 = 16;
    let edge = edge_with(|config| config.cores = NonZeroUsize::new(2));
    let written = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&written);
    let server = Server::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
        let counting = Arc::clone(&counting);
        Box::pin(async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            if head.starts_with("GET /healthz ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                return;
            }
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
                .await;
            let block = vec![b'x'; 16 * 1024];
            while stream.write_all(&block).await.is_ok() {
                counting.fetch_add(block.len() as u64, Ordering::SeqCst);
            }
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect(edge.local_addr()).await;
        client.send(GET).await;
        client.head().await;
        clients.push(client);
    }
    // Until nothing more is taken: what the kernel holds for four sockets, and the edge's own buffers.
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = written.load(Ordering::SeqCst);
        if now == last {
            break;
        }
        last = now;
    }
    let each = last / CLIENTS;
    assert!(
        each < 16 << 20,
        "{each} bytes were taken for each client, which reads none"
    );
    assert_eq!(get(&edge, "localhost", "/").await.status, 200, "others are served");
}
