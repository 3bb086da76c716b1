//! Sockets and signals: listening, serving on one thread, and ending in order. What is served is `web`'s business.

use std::{io, net::TcpListener, path::Path, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    database::{self, Database, OpenError},
    late::{self, LateError, Variables},
    settings::Settings,
    web::{self, Shop},
};

/// Connections served at once; more wait in the listening socket. Well below the 1024 files that a process may usually have open.
const CONNECTIONS_MAX: usize = 512;
/// A connection may be silent for so long between two requests, and a request's head may take as long to arrive. Longer than proxies keep idle
/// connections (60 s is common), so that it is the proxy that closes first, and no request meets a closing connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Room for a request's head. A browser's has 1 or 2 KiB.
const BUFFER_MAX_BYTES: usize = 32 * 1024;
/// After a signal, requests that are being answered may take so long to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// A pause after a failed `accept`, which is mostly for want of file descriptors and passes when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("port {port} of {host} is taken by another program")]
    PortTaken { host: String, port: u16 },
    #[error("cannot listen on port {port} of {host}: {source}")]
    Listen { host: String, port: u16, source: io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Late(#[from] LateError),
    #[error("the system refuses what a server needs: {0}")]
    System(#[from] io::Error),
}

/// A shop that listens. Nobody is answered yet.
pub(crate) struct Door {
    listener: TcpListener,
    runtime: Runtime,
}

impl Door {
    pub(crate) fn open(host: &str, port: u16) -> Result<Self, ServeError> {
        let listener = TcpListener::bind((host, port)).map_err(|source| {
            let host = host.to_owned();
            match source.kind() {
                io::ErrorKind::AddrInUse => ServeError::PortTaken { host, port },
                _ => ServeError::Listen { host, port, source },
            }
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { listener, runtime })
    }

    /// Waits until it is said whose shop it is; `None` when it is to end instead.
    pub(crate) fn told(&self, path: &Path) -> Result<Option<Variables>, ServeError> {
        self.runtime.block_on(async {
            let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            crate::say(&"waiting to be told whose shop this is");
            tokio::select! {
                () = asked_to_end(&mut terminate, &mut interrupt) => Ok(None),
                variables = late::variables(path) => Ok(Some(variables?)),
            }
        })
    }

    /// Serves the shop until SIGTERM or SIGINT.
    pub(crate) fn serve(self, settings: Settings) -> Result<(), ServeError> {
        let database = Database::open(&settings.database)?;
        let router = web::router(Shop::new(settings, database)?);
        self.runtime.block_on(accept(self.listener, router))
    }
}

async fn accept(listener: TcpListener, router: Router) -> Result<(), ServeError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    crate::say(&format_args!("listening on http://{}", listener.local_addr()?));

    let open_connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            () = asked_to_end(&mut terminate, &mut interrupt) => break,
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let stream = tokio::select! {
            () = asked_to_end(&mut terminate, &mut interrupt) => break,
            accepted = listener.accept() => accepted,
        };
        match stream {
            Ok((stream, _)) => {
                let connection = open_connections.watch(connection(stream, &router));
                tokio::spawn(async move {
                    // An error here is a client that went away or does not speak HTTP. Neither is news.
                    let _ = connection.await;
                    drop(place);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    if timeout(DRAIN_TIMEOUT, open_connections.shutdown()).await.is_err() {
        crate::say(&"some requests did not end in time, and were cut off");
    }
    Ok(())
}

async fn asked_to_end(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: &Router) -> Connection {
    // An answer is written at once and whole. Waiting for more of it to send would only delay it, and the option fails on nothing but a closed socket.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()))
}
