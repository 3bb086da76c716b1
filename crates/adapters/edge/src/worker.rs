//! One core's thread: a current-thread runtime that accepts connections and serves them, until it is told to stop.

use std::{net::TcpListener as StdListener, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::Builder,
    sync::{Semaphore, oneshot},
    time::sleep,
};

use crate::{connection, core::Core};

/// After an accept that failed (out of file descriptors, mostly) the next one waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections of one core, whatever is configured: what can be waited for at once.
const MOST_PLACES: usize = 1 << 28;

/// A core's thread. When `stopped` is told, its connections are over.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) core: Arc<Core>,
    pub(crate) stopped: oneshot::Receiver<()>,
}

impl Worker {
    /// Starts the thread, and serves what comes on the listener.
    pub(crate) fn start(core: Arc<Core>, listener: StdListener) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sender, stopped) = oneshot::channel();
        let working = Arc::clone(&core);
        std::thread::Builder::new()
            .name(format!("edge-{}", core.index))
            .spawn(move || {
                if let Err(error) = runtime.block_on(accept(working, listener)) {
                    tracing::error!(%error, "a core of the edge cannot accept connections");
                }
                // Whatever has not ended by now is cut off here.
                drop(runtime);
                let _ = sender.send(());
            })?;
        Ok(Self { core, stopped })
    }
}

async fn accept(core: Arc<Core>, listener: StdListener) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let most = core.shared.config.limits.connections_per_core.clamp(1, MOST_PLACES);
    let places = Arc::new(Semaphore::new(most));
    let mut stop = pin!(core.stop.given());
    loop {
        let accepted = async {
            // Without a place the connection stays in the kernel's queue.
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let accepted = tokio::select! {
            // What the kernel has accepted already is served too; then the address is given up.
            biased;
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        match accepted {
            (Ok((stream, peer)), Ok(place)) => {
                let Some(seat) = core.shared.crowd.enter(peer.ip()) else {
                    core.counters.turned_away.add();
                    continue;
                };
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection::serve(Arc::clone(&core), stream, peer, (place, seat)));
            }
            (Err(error), _) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
            (Ok(_), Err(_)) => break,
        }
    }
    drop(listener);
    tokio::select! {
        // All places free again: all connections are over.
        _ = places.acquire_many(most as u32) => {}
        () = core.cut_off.given() => {}
    }
    Ok(())
}
