//! How many streams are open at once: in all, and of one client. A pass is held as long as the stream is.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use wharf_domain::Code;

use super::Client;
use crate::problem::{Answer, Problem};

#[derive(Debug)]
pub(crate) struct Streams {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    most: usize,
    most_of_one: usize,
    of: Mutex<HashMap<Client, usize>>,
    under_way: Arc<AtomicU64>,
}

/// The right to one stream.
#[derive(Debug)]
pub(crate) struct Pass {
    client: Client,
    shared: Arc<Shared>,
}

impl Streams {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                most,
                most_of_one,
                of: Mutex::default(),
                under_way: Arc::default(),
            }),
        }
    }

    /// How many there are: for the metrics.
    pub(crate) fn under_way(&self) -> Arc<AtomicU64> {
        self.shared.under_way.clone()
    }

    pub(crate) fn enter(&self, client: Client) -> Answer<Pass> {
        let shared = &self.shared;
        let mut of = shared.of.lock();
        let all: usize = of.values().sum();
        let own = of.get(&client).copied().unwrap_or_default();
        // This machine's own programs are bounded by the whole alone.
        if all >= shared.most || (own >= shared.most_of_one && !client.is_local) {
            return Err(Problem::new(
                Code::LimitRate,
                "as many streams are open as may be",
                "ask for the state now and then instead, or close other pages",
            )
            .retry_after(Duration::from_secs(10)));
        }
        *of.entry(client).or_default() += 1;
        shared.under_way.store(all as u64 + 1, Ordering::Relaxed);
        Ok(Pass {
            client,
            shared: shared.clone(),
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut of = self.shared.of.lock();
        if let Some(own) = of.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                of.remove(&self.client);
            }
        }
        self.shared
            .under_way
            .store(of.values().sum::<usize>() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Clients;
    use axum::{
        body::Body,
        extract::{ConnectInfo, Request},
    };
    use std::net::{Ipv4Addr, SocketAddr};

    fn client(last: u8) -> Client {
        let mut request = Request::new(Body::empty());
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), 1))));
        Clients::new(Vec::new()).of(&request)
    }

    #[test]
    fn a_pass_counts_until_it_is_dropped() {
        let streams = Streams::new(3, 2);
        let first = streams.enter(client(1)).expect("room");
        let second = streams.enter(client(1)).expect("room");
        assert!(streams.enter(client(1)).is_err(), "one client has no more");
        let third = streams.enter(client(2)).expect("room");
        assert!(streams.enter(client(3)).is_err(), "there are no more");
        drop(first);
        assert!(streams.enter(client(3)).is_ok());
        drop((second, third));
        assert_eq!(streams.under_way().load(Ordering::Relaxed), 0);
        assert!(streams.shared.of.lock().is_empty());
    }
}
