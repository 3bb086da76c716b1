//! A new connection to a backend.

use hyper_util::rt::TokioIo;
use std::io;
use tokio::{net::TcpStream, time::timeout};

use crate::{core::Core, pool::Sender, upstream::Upstream};

/// Whether a failure to connect says something of the backend, and not of us (no more file descriptors, no free port).
pub(crate) fn is_backends_fault(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

/// Connects within the configured time. The connection then runs on this core until the other side, the pool or the request
/// that uses it lets go of it.
pub(crate) async fn connect(core: &Core, upstream: &Upstream) -> io::Result<Sender> {
    let connecting = TcpStream::connect(upstream.address);
    let stream = timeout(core.shared.config.timeouts.connect, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    let (sender, connection) = core
        .client
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    core.counters.backend_connections.add();
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::trace!(%error, "a connection to a backend ended");
        }
    });
    Ok(sender)
}
