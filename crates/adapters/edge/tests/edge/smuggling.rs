//! Inputs that two programs could read differently: none of them reaches a backend, and none leaves the connection open.

use super::support::{
    backend::{Server, text},
    client::Client,
    *,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// An edge with one backend that counts the requests that reach it, health checks aside.
async fn counted() -> (wharf_edge::Edge, Server, Arc<AtomicUsize>) {
    let edge = edge();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let server = Server::start(move |request| {
        if request.uri().path() != "/healthz" {
            counting.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async move {
            use http_body_util::BodyExt;
            let body = request.into_body().collect().await.unwrap().to_bytes();
            text(String::from_utf8_lossy(&body).into_owned())
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    (edge, server, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ambiguous_request_reaches_a_backend() {
    let (edge, _server, count) = counted().await;
    for request in [
        // Two lengths.
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
        // A length that is none.
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: +4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 4, 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 0x4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length:\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 99999999999999999999\r\n\r\nabcd",
        // Codings that somebody else could read otherwise.
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        // Lines.
        "GET / HTTP/1.1\nHost: acme.localhost\n\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: y\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: y\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: acme.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : acme.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX\0: a\r\n\r\n",
        // Hosts.
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nHost: other.localhost\r\n\r\n",
        "GET http://other.localhost/ HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "GET http://acme.localhost@other.localhost/ HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        // First lines.
        "GET  / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: acme.localhost\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        client.send(request).await;
        let (status, _) = client.head().await;
        assert_eq!(status, 400, "{request:?}");
        // Whatever came behind it is not taken for a request.
        client
            .try_send("GET /behind HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")
            .await;
        let rest = client.rest().await;
        assert!(!rest.contains("HTTP/1.1"), "{request:?}: {rest}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_line_feed_is_noticed_on_every_request_of_a_connection() {
    let (edge, _server, count) = counted().await;
    let good = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    let sized = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 3\r\n\r\na\nb";
    let chunked = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n";
    let bad = "GET / HTTP/1.1\r\nHost: acme.localhost\nX: y\r\n\r\n";
    for before in [good, sized, chunked] {
        // In one piece, and byte by byte.
        for piece in [usize::MAX, 1] {
            let mut client = Client::connect(edge.local_addr()).await;
            let all = format!("{before}{bad}");
            for piece in all.as_bytes().chunks(piece.min(all.len())) {
                client.send(piece).await;
            }
            assert_eq!(client.answer(false).await.status, 200, "{before:?}");
            assert_eq!(client.answer(false).await.status, 400, "{before:?}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let (edge, _server, count) = counted().await;
    let mut client = Client::connect(edge.local_addr()).await;
    let mut all = String::new();
    for number in 0..20 {
        let body = format!("body {number}");
        let request = if number % 2 == 0 {
            format!(
                "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        } else {
            format!(
                "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            )
        };
        all.push_str(&request);
    }
    client.send(&all).await;
    for number in 0..20 {
        let answer = client.answer(false).await;
        assert_eq!((answer.status, answer.body), (200, format!("body {number}")));
    }
    assert_eq!(count.load(Ordering::SeqCst), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_that_is_none_is_cut_off() {
    let (edge, _server, _) = counted().await;
    for body in [
        "x\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ))
            .await;
        let answered = client.rest().await;
        assert!(!answered.starts_with("HTTP/1.1 200"), "{body:?}: {answered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_tells_two_lengths_reaches_the_client_with_one() {
    let edge = edge();
    let both = Server::script(
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    );
    let both = both.await;
    serve(&edge, backend(&owner(1, 1), host("both"), both.address)).await;
    let answer = get(&edge, "both.localhost", "/").await;
    assert_eq!((answer.body.as_str(), answer.header("content-length")), ("hi", ""));
    let twice = Server::script(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi").await;
    serve(&edge, backend(&owner(2, 1), host("twice"), twice.address)).await;
    let answer = get(&edge, "twice.localhost", "/").await;
    assert_eq!((answer.body.as_str(), answer.header("content-length")), ("hi", "2"));
}
