//! WebSockets, and other changes of protocol.

use super::support::{
    backend::{Server, read_head},
    client::Client,
    *,
};
use futures::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use wharf_platform::Routes;

/// A backend that sends every message back; health checks are answered by hand.
async fn echo() -> Server {
    Server::accept(([127, 0, 0, 1], 0).into(), |mut stream| {
        Box::pin(async move {
            let mut begin = [0; 12];
            if stream.peek(&mut begin).await.is_ok() && begin.starts_with(b"GET /healthz") {
                read_head(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                return;
            }
            let Ok(mut socket) = accept_async(stream).await else {
                return;
            };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() || socket.send(message).await.is_err() {
                    return;
                }
            }
        })
    })
    .await
}

async fn open(edge: &wharf_edge::Edge) -> WebSocketStream<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(edge.local_addr()).await.unwrap();
    let request = "ws://acme.localhost/live".into_client_request().unwrap();
    client_async(request, stream).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_pass_both_ways_of_any_size() {
    let edge = edge();
    let echo = echo().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), echo.address)).await;
    let mut socket = open(&edge).await;
    for size in [0, 1, 125, 126, 70_000, 1_000_000] {
        let message = Message::binary(vec![7_u8; size]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    assert_eq!(edge.metrics().answers[0], 1);
    socket.close(None).await.unwrap();
    drop(socket);
    until("the connection is over", || edge.metrics().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_counts_an_open_socket() {
    let edge = edge();
    let echo = echo().await;
    let me = owner(1, 1);
    serve(&edge, backend(&me, host("acme"), echo.address)).await;
    let mut socket = open(&edge).await;
    socket.send(Message::text("hi")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    assert!(!edge.withdraw(&me, &host("acme"), None, PATIENCE).await.unwrap());
    assert!(edge.withdraw(&me, &host("acme"), None, Duration::ZERO).await.unwrap());
    socket.send(Message::text("still")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_socket_is_closed() {
    let edge = edge_with(|config| config.timeouts.tunnel_idle = Duration::from_millis(50));
    let echo = echo().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), echo.address)).await;
    let mut socket = open(&edge).await;
    let ended = tokio::time::timeout(PATIENCE, socket.next())
        .await
        .expect("closed in time");
    assert!(!matches!(ended, Some(Ok(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let edge = edge();
    let server = Server::script(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    for _ in 0..2 {
        let answer = client
            .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (403, "no"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_protocol_that_nobody_asked_for_is_not_passed_on() {
    let edge = edge();
    let server =
        Server::script(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        assert_eq!(client.ask(request).await.status, 502, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_sends_ahead_arrives() {
    let edge = edge();
    let server = Server::accept(([127, 0, 0, 1], 0).into(), |mut stream| {
        Box::pin(async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            if head.starts_with("GET /healthz ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                return;
            }
            let _ = stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: lines\r\n\r\nhello ")
                .await;
            let mut ahead = [0; 12];
            if stream.read_exact(&mut ahead).await.is_ok() {
                let _ = stream.write_all(&ahead).await;
            }
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\nahead\n\r\n\r\nx\n",
        )
        .await;
    assert_eq!(client.head().await.0, 101);
    assert_eq!(client.rest().await, "hello ahead\n\r\n\r\nx\n");
}
