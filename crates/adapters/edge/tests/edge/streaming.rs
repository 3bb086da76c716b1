//! Bodies pass piece by piece in both directions, as fast as the other side takes them, and of any size.

use super::support::{
    backend::{Server, read_head},
    client::Client,
    *,
};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A backend that sends every piece of a body back as soon as it has it.
async fn echo() -> Server {
    Server::start(|request| {
        Box::pin(async move {
            let pieces = futures::stream::unfold(request.into_body(), |mut body| async {
                let data = body.frame().await?.ok()?.into_data().ok()?;
                Some((Ok::<_, Infallible>(Frame::data(data)), body))
            });
            Response::new(StreamBody::new(pieces).boxed_unsync())
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_is_answered_before_the_next_is_sent() {
    let edge = edge();
    let echo = echo().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), echo.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .send("POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let mut head_read = false;
    for number in 0..10 {
        client.send(format!("1\r\n{number}\r\n")).await;
        if !head_read {
            head_read = true;
            assert_eq!(client.head().await.0, 200);
        }
        assert_eq!(client.chunk().await, number.to_string().as_bytes());
    }
    client.send("0\r\n\r\n").await;
    assert!(client.chunk().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_goes_up_and_comes_down_whole() {
    const SIZE: usize = 32 * 1024 * 1024;
    let edge = edge();
    let echo = echo().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), echo.address)).await;
    let mut stream = Client::connect(edge.local_addr()).await.into_stream();
    let head =
        format!("POST / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n");
    let (mut reading, mut writing) = stream.split();
    let up = async {
        writing.write_all(head.as_bytes()).await.unwrap();
        let block: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
        for _ in 0..SIZE / block.len() {
            writing.write_all(&block).await.unwrap();
        }
    };
    let down = async {
        let mut answer = Vec::with_capacity(SIZE + SIZE / 8);
        reading.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(up, down);
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(answer.len() > SIZE && answer.ends_with(b"0\r\n\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_the_backend_back() {
    let edge = edge();
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    let server = Server::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
        let sent = Arc::clone(&counting);
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
            while stream.write_all(&block).await.is_ok() {
                sent.fetch_add(block.len(), Ordering::SeqCst);
            }
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    client.head().await;
    // It stops by itself: the kernel's buffers and the edge's small ones are full.
    let mut before = usize::MAX;
    until("the backend is held back", || {
        let now = sent.load(Ordering::SeqCst);
        let quiet = now == before;
        before = now;
        quiet && now > 0
    })
    .await;
    assert!(sent.load(Ordering::SeqCst) < 64 * 1024 * 1024);
    // And it ends when the client is gone.
    drop(client);
    until("the request is over", || edge.metrics().in_flight == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_not_made_to_look_whole() {
    let edge = edge();
    let server = Server::accept(([127, 0, 0, 1], 0).into(), |mut stream| {
        Box::pin(async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            let answer: &[u8] = if head.starts_with("GET /healthz ") {
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            } else if head.starts_with("GET /sized ") {
                b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
            } else {
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n"
            };
            let _ = stream.write_all(answer).await;
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    for path in ["/sized", "/chunked"] {
        let mut client = Client::connect(edge.local_addr()).await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: acme.localhost\r\n\r\n"))
            .await;
        let answer = client.rest().await;
        assert!(!answer.contains("\r\n0\r\n"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass() {
    let edge = edge();
    let server = Server::script(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n",
    )
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .send("GET / HTTP/1.1\r\nHost: acme.localhost\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
        .await;
    let answer = client.rest().await;
    assert!(answer.ends_with("2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n"), "{answer}");
}
