//! How often one client may do something: so many times within any stretch of some length. What is remembered is bounded; when
//! it is full, those who did nothing for longest are forgotten.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;
use wharf_domain::Code;

use super::Client;
use crate::{
    limits,
    problem::{Answer, Problem},
    state::{Rate, Tally},
};

/// More than this within one stretch is counted as this.
const COUNT_MAX: u32 = 10_000;

pub(crate) struct Limiter {
    count: usize,
    per: Duration,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    /// When each client did it, lately.
    of: HashMap<Client, VecDeque<Instant>>,
    stamps: usize,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            count: rate.count.min(COUNT_MAX) as usize,
            per: rate.per,
            recent: Mutex::default(),
        }
    }

    /// Counts one more time, if it may be.
    pub(crate) fn take(&self, client: Client) -> Answer<()> {
        let now = Instant::now();
        let mut recent = self.recent.lock();
        self.check(&mut recent, client, now)?;
        recent.make_room(now, self.per);
        recent.of.entry(client).or_default().push_back(now);
        recent.stamps += 1;
        Ok(())
    }

    /// Whether one more time may be, without counting it.
    pub(crate) fn look(&self, client: Client) -> Answer<()> {
        self.check(&mut self.recent.lock(), client, Instant::now())
    }

    fn check(&self, recent: &mut Recent, client: Client, now: Instant) -> Answer<()> {
        recent.drop_old(client, now, self.per);
        let Some(pause) = recent.pause(client, now, self.count, self.per) else {
            return Ok(());
        };
        let words = crate::words::span;
        Err(Problem::new(
            Code::LimitRate,
            format!("at most {} within {} from one address", self.count, words(self.per)),
            format!("try again in {}", words(pause)),
        )
        .retry_after(pause))
    }
}

/// The same over many processes, in stretches that begin at fixed times: what each of them remembers alone is forgotten with it.
pub(crate) struct SharedLimiter {
    rate: Rate,
    tally: Tally,
}

impl SharedLimiter {
    pub(crate) fn new(rate: Rate, tally: Tally) -> Self {
        Self { rate, tally }
    }

    /// Counts one more time, if it may be.
    pub(crate) async fn take(&self, client: Client) -> Answer<()> {
        let Rate { count, per } = self.rate;
        let counted = (self.tally)(format!("signup {client}"), per).await?;
        if counted <= u64::from(count) {
            return Ok(());
        }
        let words = crate::words::span;
        Err(Problem::new(
            Code::LimitRate,
            format!("at most {count} within {} from one address", words(per)),
            format!("try again in {}", words(per)),
        )
        .retry_after(per))
    }
}

impl Recent {
    fn drop_old(&mut self, client: Client, now: Instant, per: Duration) {
        if let Some(times) = self.of.get_mut(&client) {
            while times.front().is_some_and(|time| now.duration_since(*time) >= per) {
                times.pop_front();
                self.stamps -= 1;
            }
            if times.is_empty() {
                self.of.remove(&client);
            }
        }
    }

    /// How long the client has to wait; `None` if not at all.
    fn pause(&self, client: Client, now: Instant, count: usize, per: Duration) -> Option<Duration> {
        let times = self.of.get(&client);
        let done = times.map_or(0, VecDeque::len);
        if done < count {
            return None;
        }
        // With a count of zero there is nothing to wait for.
        let oldest = times.and_then(VecDeque::front).copied().unwrap_or(now);
        Some(per.saturating_sub(now.duration_since(oldest)))
    }

    fn make_room(&mut self, now: Instant, per: Duration) {
        let is_full = |recent: &Self| recent.of.len() >= limits::RATE_ADDRESSES || recent.stamps >= limits::RATE_STAMPS;
        if !is_full(self) {
            return;
        }
        self.of
            .retain(|_, times| times.back().is_some_and(|time| now.duration_since(*time) < per));
        // A quarter at once, so that a flood of addresses does not make every request look through all of them.
        if self.of.len() >= limits::RATE_ADDRESSES {
            let mut last: Vec<Instant> = self.of.values().filter_map(|times| times.back().copied()).collect();
            let quarter = last.len() / 4;
            let (_, edge, _) = last.select_nth_unstable(quarter);
            let edge = *edge;
            self.of.retain(|_, times| times.back().is_some_and(|time| *time > edge));
        }
        self.stamps = self.of.values().map(VecDeque::len).sum();
        if self.stamps >= limits::RATE_STAMPS {
            self.of.clear();
            self.stamps = 0;
        }
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

    fn client(number: u32) -> Client {
        let mut request = Request::new(Body::empty());
        let address = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), 1));
        request.extensions_mut().insert(ConnectInfo(address));
        Clients::new(Vec::new()).of(&request)
    }

    fn limiter(count: u32) -> Limiter {
        Limiter::new(Rate {
            count,
            per: Duration::from_mins(1),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn no_stretch_has_more_than_the_count() {
        let limiter = limiter(3);
        let mut taken = Vec::new();
        let begin = Instant::now();
        for _ in 0..600 {
            if limiter.take(client(1)).is_ok() {
                taken.push(begin.elapsed());
            }
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert!(taken.len() >= 15, "{taken:?}");
        for four in taken.windows(4) {
            assert!(four[3] >= four[0] + Duration::from_mins(1), "{four:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_as_told_is_let_in() {
        let limiter = limiter(2);
        assert!(limiter.take(client(1)).is_ok());
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(limiter.take(client(1)).is_ok());
        let recent = limiter.recent.lock().pause(client(1), Instant::now(), 2, limiter.per);
        assert_eq!(recent, Some(Duration::from_secs(40)));
        assert!(limiter.take(client(1)).is_err());
        assert!(limiter.take(client(2)).is_ok(), "one client's rate is not another's");
        tokio::time::advance(Duration::from_secs(40)).await;
        assert!(limiter.take(client(1)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_addresses_stays_within_bounds() {
        let limiter = limiter(1_000);
        for number in 0..50_000 {
            assert!(limiter.take(client(number)).is_ok());
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        let recent = limiter.recent.lock();
        assert!(recent.of.len() <= limits::RATE_ADDRESSES);
        assert_eq!(recent.stamps, recent.of.values().map(VecDeque::len).sum::<usize>());
        assert!(recent.of.contains_key(&client(49_999)), "the latest are known");
    }
}
