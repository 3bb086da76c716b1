//! Sizes, counts and times that a client may not exceed.

use super::support::{
    backend::{Server, mirror, named, read_head, text},
    client::Client,
    *,
};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use wharf_edge::Edge;

const SHORT: Duration = Duration::from_millis(60);

async fn acme(change: impl FnOnce(&mut wharf_edge::EdgeConfig)) -> (Edge, Server) {
    let edge = edge_with(change);
    let mirror = mirror().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), mirror.address)).await;
    (edge, mirror)
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_of_a_head_is_refused() {
    let (edge, _acme) = acme(|config| {
        config.limits.header_bytes = 8 * 1024;
        config.limits.uri_bytes = 1024;
    })
    .await;
    let many = "X: y\r\n".repeat(101);
    let large = format!("X: {}\r\n", "y".repeat(9 * 1024));
    for (target, headers, status) in [
        ("/", many.as_str(), 431),
        ("/", large.as_str(), 431),
        (&format!("/{}", "a".repeat(1024)), "", 414),
        (&format!("/{}", "a".repeat(1023)), "", 200),
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        client
            .try_send(format!(
                "GET {target} HTTP/1.1\r\nHost: acme.localhost\r\n{headers}\r\n"
            ))
            .await;
        assert_eq!(client.head().await.0, status, "{} {}", target.len(), headers.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_headers_is_configured() {
    let (edge, _acme) = acme(|config| config.limits.header_count = 10).await;
    for (count, status) in [(9, 200), (10, 431)] {
        let mut client = Client::connect(edge.local_addr()).await;
        let headers = "X: y\r\n".repeat(count);
        client
            .send(format!("GET / HTTP/1.1\r\nHost: acme.localhost\r\n{headers}\r\n"))
            .await;
        assert_eq!(client.head().await.0, status, "{count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_have_its_size_and_no_more() {
    let (edge, _acme) = acme(|config| config.limits.body_bytes = Some(10)).await;
    let chunked = |size: usize| {
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(size)
        )
    };
    let sized = |size: usize| format!("Content-Length: {size}\r\n\r\n{}", "x".repeat(size));
    for (body, status) in [
        (sized(10), 200),
        (sized(11), 413),
        (chunked(10), 200),
        (chunked(11), 413),
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        client
            .send(format!("POST / HTTP/1.1\r\nHost: acme.localhost\r\n{body}"))
            .await;
        assert_eq!(client.head().await.0, status, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_trace_are_not_served() {
    let (edge, _acme) = acme(|_| {}).await;
    for request in [
        "CONNECT acme.localhost:80 HTTP/1.1\r\nHost: acme.localhost:80\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        let answer = client.ask(request).await;
        assert_eq!(answer.status, 405, "{request}");
        assert!(answer.header("allow").starts_with("GET, HEAD, POST"), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_is_a_408() {
    let (edge, _acme) = acme(|config| config.timeouts.client_header = SHORT).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: acme").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // Byte by byte is no better: the whole head has its time.
    let mut client = Client::connect(edge.local_addr()).await;
    for byte in b"GET /a-path-that-takes-its-time HTTP/1.1\r\nHost: acme.localhost\r\n"
        .iter()
        .cycle()
    {
        if !client.try_send([*byte]).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until("both are closed", || edge.metrics().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_is_closed_without_a_word() {
    // Long enough for a request to come in time on a busy machine.
    let (edge, _acme) = acme(|config| config.timeouts.client_idle = SHORT * 8).await;
    let mut client = Client::connect(edge.local_addr()).await;
    assert_eq!(client.rest().await, "");
    let mut client = Client::connect(edge.local_addr()).await;
    assert_eq!(
        client
            .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")
            .await
            .status,
        200
    );
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_coming_is_a_408() {
    let (edge, _acme) = acme(|config| config.timeouts.stream_idle = SHORT).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .send("POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    let answer = client.answer(false).await;
    assert_eq!(answer.status, 408);
    assert!(client.is_closed().await);
    // The control service waits for it as little.
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    client.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_a_504() {
    let edge = edge_with(|config| config.timeouts.response_header = SHORT);
    let silent = Server::start(|request| {
        Box::pin(async move {
            if request.uri().path() != "/healthz" {
                std::future::pending::<()>().await;
            }
            text("")
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), silent.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\nAccept: application/json\r\n\r\n")
        .await;
    assert_eq!(answer.status, 504);
    assert!(answer.json()["reference"].is_string());
    let answer = client.ask("GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n").await;
    assert_eq!(answer.status, 404, "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stops_coming_is_cut_off() {
    let edge = edge_with(|config| config.timeouts.stream_idle = SHORT);
    let server = Server::accept(([127, 0, 0, 1], 0).into(), |mut stream| {
        Box::pin(async move {
            while let Some(head) = read_head(&mut stream).await {
                let well = head.starts_with("GET /healthz ");
                let answer: &[u8] = if well {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
                } else {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
                };
                stream.write_all(answer).await.unwrap();
            }
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert!(client.rest().await.ends_with("half"));
    until("nothing is left", || {
        edge.metrics().connections == 0 && edge.metrics().in_flight == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_let_go() {
    let edge = edge_with(|config| config.timeouts.stream_idle = SHORT);
    let server = Server::accept(([127, 0, 0, 1], 0).into(), |mut stream| {
        Box::pin(async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            if head.starts_with("GET /healthz ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let block = vec![b'x'; 64 * 1024];
            while stream.write_all(&block).await.is_ok() {}
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    client.head().await;
    until("it is let go", || edge.metrics().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_wait_their_turn() {
    let edge = edge_with(|config| {
        config.cores = std::num::NonZeroUsize::new(1);
        config.limits.connections_per_core = 2;
    });
    let acme = named("acme").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    let get = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    let mut first = Client::connect(edge.local_addr()).await;
    let mut second = Client::connect(edge.local_addr()).await;
    assert_eq!(first.ask(get).await.status, 200);
    assert_eq!(second.ask(get).await.status, 200);
    let mut third = Client::connect(edge.local_addr()).await;
    third.send(get).await;
    assert_eq!(second.ask(get).await.status, 200);
    assert_eq!(edge.metrics().connections, 2);
    drop(first);
    assert_eq!(third.answer(false).await.status, 200);
}
