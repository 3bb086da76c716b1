//! Backends: one that answers over hyper as a closure says, and one that plays a script of bytes.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A backend that lives as long as this value; with it go all of its connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Connections that it ever had, health checks' among them.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Answers with what the closure makes of a request.
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync + 'static,
    {
        Self::start_on(([127, 0, 0, 1], 0).into(), answer).await
    }

    pub(crate) async fn start_on<F>(address: SocketAddr, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync + 'static,
    {
        let answer = Arc::new(answer);
        Self::accept(address, move |stream| {
            let answer = Arc::clone(&answer);
            Box::pin(async move {
                let service = service_fn(move |request| {
                    let answer = Arc::clone(&answer);
                    async move { Ok::<_, Infallible>(answer(request).await) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _ = connection.with_upgrades().await;
            })
        })
        .await
    }

    /// Does with each connection what the closure says. It is told of the first bytes of each by `first_bytes`.
    pub(crate) async fn accept<F>(address: SocketAddr, serve: F) -> Self
    where
        F: Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(stream));
            }
        });
        Self {
            address,
            connections,
            _tasks: tasks,
        }
    }

    /// Plays this answer to each request, byte for byte, and keeps the connection open; a health check gets a 200.
    pub(crate) async fn script(answer: &'static [u8]) -> Self {
        Self::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
            Box::pin(async move {
                while let Some(head) = read_head(&mut stream).await {
                    let answer = if head.starts_with("GET /healthz ") {
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
                    } else {
                        answer
                    };
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            })
        })
        .await
    }
}

/// The head of a request, or `None` at the end.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

pub(crate) fn text(text: impl Into<String>) -> Response<Body> {
    Response::new(Full::from(text.into()).boxed_unsync())
}

/// A backend that answers with a name, whatever is asked.
pub(crate) async fn named(name: &'static str) -> Server {
    Server::start(move |_| Box::pin(async move { text(name) })).await
}

/// A backend that answers with the request as it came: its first line, its headers in order of name, its body.
pub(crate) async fn mirror() -> Server {
    Server::start(|request| {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let mut lines: Vec<String> = parts
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
                .collect();
            lines.sort();
            let body = body
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            text(format!(
                "{} {}\n{}\n\n{}",
                parts.method,
                parts.uri,
                lines.join("\n"),
                String::from_utf8_lossy(&body)
            ))
        })
    })
    .await
}
