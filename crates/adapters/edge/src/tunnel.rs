//! Upgraded connections (WebSockets): bytes both ways until one side ends or both are silent for too long.

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    time::{Instant, sleep},
};

use crate::upstream::Visit;

/// Bytes buffered in each direction.
const BUFFER: usize = 8 * 1024;

/// When one side has said its last word, how long the other may be silent: it has little more to say.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Joins both sides as soon as both have changed protocol. The backend counts as visited until the tunnel's end.
pub(crate) fn open(client: OnUpgrade, backend: OnUpgrade, visit: Visit, longest_silence: Duration) {
    tokio::spawn(async move {
        match futures::future::try_join(client, backend).await {
            Ok((client, backend)) => carry(client, backend, longest_silence).await,
            Err(error) => tracing::debug!(%error, "a tunnel did not come about"),
        }
        drop(visit);
    });
}

async fn carry(client: Upgraded, backend: Upgraded, longest_silence: Duration) {
    let motion = Arc::new(Motion::default());
    let mut client = Watched {
        io: TokioIo::new(client),
        motion: Arc::clone(&motion),
    };
    let mut backend = TokioIo::new(backend);
    tokio::select! {
        ended = copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER) => {
            tracing::trace!(?ended, "a tunnel ended");
        }
        () = motion.silence(longest_silence) => tracing::debug!("a tunnel was silent for too long"),
    }
}

/// What moves in a tunnel.
#[derive(Debug, Default)]
struct Motion {
    moved: AtomicU64,
    half_closed: AtomicBool,
}

impl Motion {
    /// Ends when nothing moved for `longest`. It looks more often than that, so it may take a little longer.
    async fn silence(&self, longest: Duration) {
        let mut seen = self.moved.load(Relaxed);
        let mut since = Instant::now();
        loop {
            let limit = if self.half_closed.load(Relaxed) {
                longest.min(LAST_WORDS)
            } else {
                longest
            };
            if since.elapsed() >= limit {
                return;
            }
            sleep((limit / 2).min(LAST_WORDS)).await;
            let now = self.moved.load(Relaxed);
            if now != seen {
                seen = now;
                since = Instant::now();
            }
        }
    }
}

/// The client's side: every byte of the tunnel passes it, in or out.
struct Watched {
    io: TokioIo<Upgraded>,
    motion: Arc<Motion>,
}

impl Watched {
    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.motion.moved.fetch_add(1, Relaxed);
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if polled.is_ready() && buffer.filled().len() == before {
            self.motion.half_closed.store(true, Relaxed);
        }
        self.note(polled)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.motion.half_closed.store(true, Relaxed);
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
