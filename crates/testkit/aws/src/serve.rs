//! What answers for tasks that really serve: one socket on this machine for each of their ports.
//!
//! It says 200 and which instance it is, and nothing else: the load balancer before it and the application in it are not simulated.

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Connections to one task's port at a time.
const MOST_CONNECTIONS: usize = 256;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Listeners {
    runtime: Handle,
    open: HashMap<u64, JoinSet<()>>,
}

impl Listeners {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            open: HashMap::new(),
        }
    }

    /// Listens for the task, on any free port where `port` is 0, and says on which.
    pub(crate) fn open(&mut self, task: u64, address: &str, port: u16, instance: Option<String>) -> io::Result<u16> {
        let listener = std::net::TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let header = instance.and_then(|instance| HeaderValue::from_str(&instance).ok());
        let _entered = self.runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        self.open
            .entry(task)
            .or_default()
            .spawn_on(serve(listener, header), &self.runtime);
        Ok(port)
    }

    /// Nothing answers for the task any more; open connections break.
    pub(crate) fn close(&mut self, task: u64) {
        self.open.remove(&task);
    }
}

async fn serve(listener: TcpListener, header: Option<HeaderValue>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // An accept that fails (too many open files) says nothing about the next one.
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let header = header.clone();
        connections.spawn(async move {
            let answer = service_fn(move |_| {
                let mut response = Response::new(Full::new(Bytes::from_static(b"simulated\n")));
                if let Some(header) = &header {
                    response.headers_mut().insert("x-wharf-instance", header.clone());
                }
                std::future::ready(Ok::<_, Infallible>(response))
            });
            // A client that goes away is not this server's trouble.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
