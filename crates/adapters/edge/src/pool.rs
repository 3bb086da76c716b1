//! Connections to one upstream that no request uses just now, kept for the next one. Each core keeps its own: a connection
//! never wakes another core. They belong to one instance and attempt, and go with it.

use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{body::RequestBody, upstream::Visit};

pub(crate) type Sender = SendRequest<RequestBody>;

/// A connection that was used so lately is reused even for a request that could not be sent twice. Servers close idle
/// connections after some whole seconds; one that does so just as such a request arrives would lose it.
const SURELY_OPEN: Duration = Duration::from_secs(1);

/// The idle connections to one upstream.
#[derive(Default)]
pub(crate) struct Pool {
    /// Made at first use: most of ten thousand routes are quiet.
    cores: OnceLock<Box<[Mutex<Vec<Idle>>]>>,
    closed: AtomicBool,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// A connection that seems open, the last used first. `once`: the request cannot be sent a second time.
    pub(crate) fn take(&self, core: usize, once: bool) -> Option<Sender> {
        let mut list = self.cores.get()?[core].lock();
        while let Some(idle) = list.last() {
            let usable = idle.sender.is_ready();
            if usable && once && idle.since.elapsed() > SURELY_OPEN {
                return None;
            }
            let idle = list.pop()?;
            if usable {
                return Some(idle.sender);
            }
        }
        None
    }

    fn put(&self, place: Place, sender: Sender) {
        let cores = self
            .cores
            .get_or_init(|| (0..place.cores).map(|_| Mutex::default()).collect());
        let mut list = cores[place.core].lock();
        // Read under the lock: `close` empties each list after it has said so.
        if list.len() < place.most && !self.closed.load(Ordering::SeqCst) {
            list.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }

    /// Closes what is kept, and keeps nothing any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.each(Vec::clear);
    }

    /// Closes what was not used for `longest`, or was closed by the other side.
    pub(crate) fn sweep(&self, longest: Duration) {
        self.each(|list| {
            list.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < longest);
            list.shrink_to(list.len() * 2);
        });
    }

    fn each(&self, act: impl Fn(&mut Vec<Idle>)) {
        for list in self.cores.get().into_iter().flatten() {
            act(&mut list.lock());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// Where a core's connections are kept, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) core: usize,
    pub(crate) cores: usize,
    pub(crate) most: usize,
}

impl Place {
    /// The same with room for none: what is put there is closed.
    pub(crate) fn without_room(self) -> Self {
        Self { most: 0, ..self }
    }
}

/// A connection in use by one request. It goes back to the pool when the answer has ended, and is closed otherwise.
#[derive(Debug)]
pub(crate) struct Borrowed {
    sender: Option<Sender>,
    visit: Visit,
    place: Place,
}

impl Borrowed {
    pub(crate) fn new(sender: Sender, visit: Visit, place: Place) -> Self {
        Self {
            sender: Some(sender),
            visit,
            place,
        }
    }

    /// The answer's last byte is here.
    pub(crate) fn answer_ended(&mut self) {
        let Some(mut sender) = self.sender.take() else { return };
        let place = self.place;
        if sender.is_ready() {
            self.visit.upstream().pool.put(place, sender);
        } else if !sender.is_closed() {
            // The answer came before the request was sent to its end, or the connection's task has not seen the end yet.
            let upstream = Arc::clone(self.visit.upstream());
            tokio::spawn(async move {
                if sender.ready().await.is_ok() {
                    upstream.pool.put(place, sender);
                }
            });
        }
    }
}
