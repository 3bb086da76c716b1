//! Health checks of what is registered: one task looks after all of them, whatever their number, and sweeps the pools on its
//! way.
//!
//! Each endpoint is asked at its own interval, a tenth earlier or later, so that those registered together are not asked
//! together. One that is well and that nobody uses is asked less and less often, down to an eighth, and as often as before as soon as a check speaks
//! against it, a request goes wrong, or somebody uses it: many tenants of whom nobody wants anything would otherwise cost more than busy ones.
//! The number of checks a second is bounded besides. Beyond it the healthy are asked less often than that, and those in doubt still are asked as often.

use futures::stream::{FuturesUnordered, StreamExt};
use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use wharf_domain::Failure;

use crate::{
    ask::{Question, ask},
    core::Shared,
    upstream::{CALMEST, Upstream},
};

/// Checks under way at once.
const AT_ONCE: usize = 64;
/// Between two sweeps of idle connections.
const SWEEP: Duration = Duration::from_secs(5);

/// However calm it is, it is looked at as often as this, unless its own interval is longer.
const LONGEST: Duration = Duration::from_secs(8);

/// Those that are looked at seldom are looked at together with others, so often: to wake up for a single one costs more than its check.
const GATHER: Duration = Duration::from_millis(250);
/// What is due after less than this is not made to wait for others.
const SELDOM: Duration = Duration::from_secs(2);

/// An endpoint and when it is looked at next, unless it has a later appointment.
struct Due {
    at: Instant,
    appointment: u32,
    upstream: Weak<Upstream>,
}

/// Looks after everything registered, until it is dropped.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let registry = &shared.registry;
    let mut pace = Pace::new(shared.config.limits.checks_per_second);
    let mut heap: BinaryHeap<Due> = BinaryHeap::new();
    let mut running = FuturesUnordered::new();
    let mut sweep_at = Instant::now() + SWEEP;
    loop {
        let next = heap.peek().filter(|_| running.len() < AT_ONCE).map(|due| due.at);
        let wake = next.unwrap_or(sweep_at).min(sweep_at);
        tokio::select! {
            biased;
            () = registry.news.notified() => {}
            Some(Looked { upstream, appointment }) = running.next(), if !running.is_empty() => {
                if upstream.is_appointed(appointment) {
                    heap.extend(pace.next(&upstream));
                }
            }
            () = sleep_until(wake) => {}
        }
        let now = Instant::now();
        let newcomers = registry.take_newcomers();
        heap.extend(
            newcomers
                .iter()
                .filter_map(Weak::upgrade)
                .filter_map(|upstream| pace.next(&upstream)),
        );
        let suspects = registry.take_suspects();
        heap.extend(
            suspects
                .iter()
                .filter_map(Weak::upgrade)
                .filter_map(|upstream| Pace::soon(&upstream)),
        );
        if now >= sweep_at {
            registry.sweep(shared.config.timeouts.backend_idle);
            sweep_at = now + SWEEP;
        }
        while running.len() < AT_ONCE && heap.peek().is_some_and(|due| due.at <= now) {
            let Some(due) = heap.pop() else { break };
            let is_due = |upstream: &Arc<Upstream>| !upstream.is_retired() && upstream.is_appointed(due.appointment);
            if let Some(upstream) = due.upstream.upgrade().filter(is_due) {
                running.push(look(Arc::clone(&shared), upstream, due.appointment));
            }
        }
    }
}

/// A check that is over, and the appointment that it kept.
struct Looked {
    upstream: Arc<Upstream>,
    appointment: u32,
}

/// One look at an endpoint. What comes of it is told to the registry.
async fn look(shared: Arc<Shared>, upstream: Arc<Upstream>, appointment: u32) -> Looked {
    let was_used = upstream.begin_check();
    let outcome = check(&shared, &upstream).await;
    let was_good = outcome.is_ok();
    shared.registry.checked(&upstream, outcome);
    upstream.end_check(was_good, was_used);
    Looked { upstream, appointment }
}

async fn check(shared: &Shared, upstream: &Upstream) -> Result<(), Failure> {
    let host = if upstream.name.starts_with('/') {
        shared.hosts.services()
    } else {
        &upstream.name
    };
    // Boxed: up to 64 of these are kept in one task, and most of the time there is none.
    Box::pin(ask(Question {
        address: upstream.address,
        host,
        path: &upstream.settings.check.path,
        timeout: upstream.settings.check.timeout,
        instance: &upstream.instance,
        identity_header: upstream.settings.identity_header.as_ref(),
    }))
    .await
}

fn interval(upstream: &Upstream) -> Duration {
    upstream.settings.check.interval.max(Duration::from_millis(1))
}

/// Until the next look at one that has been calm for so many.
fn pause(interval: Duration, calm: u8) -> Duration {
    (interval * (1 << calm.min(CALMEST))).min(LONGEST.max(interval))
}

/// The next moment at which they gather.
fn gathered(began: Instant, at: Instant) -> Instant {
    let over = at.saturating_duration_since(began).as_nanos() % GATHER.as_nanos();
    let left = GATHER.as_nanos() - over;
    at + Duration::from_nanos(u64::try_from(left).unwrap_or_default())
}

fn due(at: Instant, upstream: &Arc<Upstream>) -> Due {
    Due {
        at,
        appointment: upstream.appoint(),
        upstream: Arc::downgrade(upstream),
    }
}

/// Decides when an endpoint is looked at next.
struct Pace {
    /// Between two checks of endpoints that are well.
    gap: Duration,
    /// The earliest time for the next one of those.
    free: Instant,
    /// From when on they gather.
    began: Instant,
    /// Where the jitter is.
    jitter: u32,
}

impl Pace {
    fn new(checks_per_second: u32) -> Self {
        Self {
            gap: Duration::from_secs(1) / checks_per_second.max(1),
            free: Instant::now(),
            began: Instant::now(),
            jitter: 0,
        }
    }

    fn next(&mut self, upstream: &Arc<Upstream>) -> Option<Due> {
        if upstream.is_retired() {
            return None;
        }
        let now = Instant::now();
        let pause = self.jittered(pause(interval(upstream), upstream.calm()));
        let wished = if pause < SELDOM {
            now + pause
        } else {
            gathered(self.began, now + pause)
        };
        let at = if upstream.is_healthy() {
            self.free = self.free.max(now) + self.gap;
            wished.max(self.free)
        } else {
            wished
        };
        Some(due(at, upstream))
    }

    /// A request to it went wrong: it is looked at as if it had never been calm, and so at once unless its last check is no longer ago than its interval.
    fn soon(upstream: &Arc<Upstream>) -> Option<Due> {
        let left = interval(upstream).saturating_sub(upstream.checked_ago());
        (!upstream.is_retired()).then(|| due(Instant::now() + left, upstream))
    }

    /// Between 90 and 110 percent, evenly: multiples of the golden ratio, which never bunch.
    fn jittered(&mut self, interval: Duration) -> Duration {
        self.jitter = self.jitter.wrapping_add(0x9E37_79B9);
        interval.mul_f64(0.9 + 0.2 * f64::from(self.jitter) / f64::from(u32::MAX))
    }
}

impl Ord for Due {
    /// The earliest is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calmest_are_looked_at_an_eighth_as_often_and_every_eight_seconds_at_least() {
        let seconds = Duration::from_secs;
        let one = Duration::from_millis(20);
        assert_eq!(
            [0, 1, 2, 3, 200].map(|calm| pause(one, calm)),
            [1, 2, 4, 8, 8].map(|times| one * times)
        );
        assert_eq!(pause(seconds(1), 3), seconds(8));
        assert_eq!([pause(seconds(5), 0), pause(seconds(5), 1)], [seconds(5), seconds(8)]);
        assert_eq!(pause(seconds(30), 3), seconds(30));
    }

    #[test]
    fn those_that_are_looked_at_seldom_gather() {
        let began = Instant::now();
        let after = |millis| gathered(began, began + Duration::from_millis(millis)) - began;
        assert_eq!(
            [1, 249, 250, 3_999].map(after),
            [250, 250, 500, 4_000].map(Duration::from_millis)
        );
    }
}
