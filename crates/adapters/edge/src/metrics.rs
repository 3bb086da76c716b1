//! What the edge counts. Each core counts for itself, so that counting costs no traffic between cores; a snapshot adds up.

use http::StatusCode;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The sums over all cores at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Answers by class: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx. The control service's are among them.
    pub answers: [u64; 5],
    /// Requests that a backend did not answer properly: 502 and 504.
    pub backend_errors: u64,
    /// Requests for which the edge opened a connection to a backend; the others found one open.
    pub backend_connections: u64,
    /// Requests sent once more because a kept connection turned out to be closed.
    pub replays: u64,
    /// Requests that were refused for their form: 400, 413, 414.
    pub refusals: u64,
    /// Connections closed at once, because their client had as many as it may.
    pub turned_away: u64,
    /// Requests under way now, upgraded connections not among them.
    pub in_flight: u64,
    /// Client connections open now, upgraded ones among them.
    pub connections: u64,
    /// Requests that wait now for a backend to start.
    pub held: u64,
}

/// One core's counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    answers: [AtomicU64; 5],
    pub(crate) backend_errors: Counter,
    pub(crate) backend_connections: Counter,
    pub(crate) replays: Counter,
    pub(crate) refusals: Counter,
    pub(crate) turned_away: Counter,
    pub(crate) in_flight: Arc<AtomicU64>,
    pub(crate) connections: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Counters {
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.answers[class].fetch_add(1, Relaxed);
    }

    pub(crate) fn add_to(&self, sum: &mut Metrics) {
        for (total, own) in sum.answers.iter_mut().zip(&self.answers) {
            *total += own.load(Relaxed);
        }
        sum.backend_errors += self.backend_errors.0.load(Relaxed);
        sum.backend_connections += self.backend_connections.0.load(Relaxed);
        sum.replays += self.replays.0.load(Relaxed);
        sum.refusals += self.refusals.0.load(Relaxed);
        sum.turned_away += self.turned_away.0.load(Relaxed);
        sum.in_flight += self.in_flight.load(Relaxed);
        sum.connections += self.connections.load(Relaxed);
    }
}

/// One of something that is there now: counted up when made, down when dropped.
#[derive(Debug)]
pub(crate) struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub(crate) fn up(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }

    /// One more, unless there are `most` already.
    pub(crate) fn up_to(count: &Arc<AtomicU64>, most: usize) -> Option<Self> {
        let gauge = Self::up(count);
        (count.load(Relaxed) <= most as u64).then_some(gauge)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_goes_down_with_its_holder() {
        let count = Arc::new(AtomicU64::new(0));
        let first = Gauge::up_to(&count, 1);
        assert!(first.is_some());
        assert!(Gauge::up_to(&count, 1).is_none());
        drop(first);
        assert_eq!(count.load(Relaxed), 0);
    }

    #[test]
    fn answers_are_counted_by_class() {
        let counters = Counters::default();
        for status in [
            StatusCode::SWITCHING_PROTOCOLS,
            StatusCode::OK,
            StatusCode::NOT_FOUND,
            StatusCode::BAD_GATEWAY,
        ] {
            counters.answered(status);
        }
        let mut sum = Metrics::default();
        counters.add_to(&mut sum);
        assert_eq!(sum.answers, [1, 1, 0, 1, 1]);
    }
}
