//! One client connection from its first byte to its last: hyper serves it, and a watch with a single timer keeps all of its
//! time limits.
//!
//! hyper could keep the time of each head, and each wait on a backend could have a timeout of its own; that would be several
//! timers set and cleared for every request. The watch looks as often as the shortest limit, and finds in the [`Line`] what
//! the connection waits for and since when.

use http_body::Body;
use hyper::{
    rt::{Read, Write},
    server::conn::http1::UpgradeableConnection,
    service::{HttpService, service_fn},
};
use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep, timeout},
};

use crate::{
    core::Core,
    crowd::Seat,
    front::Front,
    line::{Check, Line, Phase},
    metrics::Gauge,
    pages::Notice,
    wire::Wire,
};

/// How a connection ended, apart from hyper's own end of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides are through with it, or it is a tunnel now.
    Served,
    /// A request's head did not come in time.
    HeadLate,
    /// Nothing moved for too long.
    Silent,
}

/// `places`: what the connection holds of its core's places and of its client's.
pub(crate) async fn serve(core: Arc<Core>, stream: TcpStream, peer: SocketAddr, places: (OwnedSemaphorePermit, Seat)) {
    let open = Gauge::up(&core.counters.connections);
    let line = Arc::new(Line::new());
    let wire = Wire::new(stream, Arc::clone(&line), places, open);
    let front = Arc::new(Front::new(Arc::clone(&core), Arc::clone(&line), peer));
    let service = service_fn(move |request| front.take(request));
    let mut connection = core.server.serve_connection(wire, service).with_upgrades();
    let end = watched(&core, &line, &mut connection).await;
    tracing::trace!(%peer, ?end, "a connection ended");
    if end == End::HeadLate
        && let Some(parts) = connection.into_parts()
    {
        say_too_late(parts.io.into_stream()).await;
    }
}

/// Drives the connection to its end, or until the watch ends it.
async fn watched<S, B>(core: &Core, line: &Line, connection: &mut UpgradeableConnection<Wire, S>) -> End
where
    S: HttpService<hyper::body::Incoming, ResBody = B> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Wire: Read + Write + Unpin,
{
    let mut alarm = pin!(sleep(core.shared.config.timeouts.shortest()));
    let mut stop = pin!(core.stop.given());
    let mut listens_for_stop = false;
    let mut told_to_stop = false;
    poll_fn(|cx| {
        // Polled once, to be woken; after that the flag is cheaper to look at.
        if !listens_for_stop {
            listens_for_stop = true;
            let _ = stop.as_mut().poll(cx);
        }
        if !told_to_stop && core.stop.is_given() {
            told_to_stop = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        if let Some(end) = look(core, line, alarm.as_mut(), cx) {
            return Poll::Ready(end);
        }
        Pin::new(&mut *connection).poll(cx).map(|ended| {
            if let Err(error) = ended {
                tracing::trace!(%error, "a connection broke off");
            }
            End::Served
        })
    })
    .await
}

/// What the watch does about the time.
fn look(core: &Core, line: &Line, mut alarm: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Option<End> {
    while alarm.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        let timeouts = &core.shared.config.timeouts;
        let again = match line.check(now, timeouts) {
            Check::Again(at) => at,
            Check::Expired(Phase::Head) => return Some(End::HeadLate),
            Check::Expired(Phase::Upstream) => {
                // The request itself answers; it is polled with the connection.
                line.expire();
                now + timeouts.shortest()
            }
            Check::Expired(Phase::Idle | Phase::Own | Phase::Answer) => return Some(End::Silent),
        };
        alarm.as_mut().reset(again.into());
    }
    None
}

/// Tells a client that its request came too slowly. The client has shown that it is in no hurry, so it gets one try.
async fn say_too_late(mut stream: TcpStream) {
    let notice = Notice::slow_client();
    let text = format!(
        "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{}",
        notice.text.len(),
        notice.text
    );
    let told = async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    };
    let _ = timeout(std::time::Duration::from_secs(1), told).await;
}
