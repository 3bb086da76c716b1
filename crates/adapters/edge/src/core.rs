//! What one core works with, and what all cores share.

use hyper::client::conn::http1 as client;
use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    config::{DEFAULT_HEADER_COUNT, EdgeConfig},
    control::Control,
    crowd::Crowd,
    host::Hosts,
    metrics::Counters,
    pool::Place,
    registry::Registry,
    signal::Signal,
};

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: EdgeConfig,
    pub(crate) hosts: Hosts,
    pub(crate) registry: Arc<Registry>,
    pub(crate) references: References,
    /// The connections of each client address, over all cores.
    pub(crate) crowd: Arc<Crowd>,
    /// Requests that wait for something to start, over all cores.
    pub(crate) held: Arc<AtomicU64>,
    /// Those of them that have waited longer than a visit does.
    pub(crate) staying: Arc<AtomicU64>,
}

/// One core's own.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) index: usize,
    pub(crate) cores: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) control: Control,
    pub(crate) counters: Counters,
    pub(crate) server: hyper::server::conn::http1::Builder,
    pub(crate) client: client::Builder,
    /// No new connections, and those there are end with their requests.
    pub(crate) stop: Signal,
    /// What has not ended is cut off.
    pub(crate) cut_off: Signal,
}

impl Core {
    pub(crate) fn new(index: usize, cores: usize, shared: Arc<Shared>, control: Control) -> Self {
        let limits = &shared.config.limits;
        let buffer = limits.buffer_bytes.max(8 * 1024);
        let mut server = hyper::server::conn::http1::Builder::new();
        // The watch over the connection keeps all times, with one timer: see `connection`.
        server
            .header_read_timeout(None)
            .max_buf_size(buffer.max(limits.header_bytes))
            .max_header_size(limits.header_bytes);
        if limits.header_count != DEFAULT_HEADER_COUNT {
            server.max_headers(limits.header_count);
        }
        let mut client = client::Builder::new();
        client.max_buf_size(buffer);
        Self {
            index,
            cores,
            shared,
            control,
            counters: Counters::default(),
            server,
            client,
            stop: Signal::default(),
            cut_off: Signal::default(),
        }
    }

    /// Where this core keeps connections to a backend.
    pub(crate) fn place(&self) -> Place {
        Place {
            core: self.index,
            cores: self.cores,
            most: self.shared.config.limits.idle_per_backend,
        }
    }
}

/// Makes the references under which a failure stands both in its answer and in the log: a mark of this run and a number.
#[derive(Debug)]
pub(crate) struct References {
    run: u32,
    count: AtomicU64,
}

impl References {
    pub(crate) fn new() -> Self {
        // Only has to differ from run to run; the standard library's hashing keys do.
        Self {
            run: RandomState::new().hash_one(()) as u32,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{:08x}-{number}", self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_references_are_the_same() {
        let references = References::new();
        assert_ne!(references.next(), references.next());
    }
}
