//! Wall-clock time out of tokio's: where a test has paused that, an hour passes at once.

use std::time::Duration;
use tokio::time::Instant;
use wharf_domain::Timestamp;
use wharf_saga::Clock;

/// When every simulation begins.
pub const START: Timestamp = Timestamp(1_800_000_000_000);

/// A clock that shows [`START`] when it is made. One that is wrong is made from it by [`ahead`](Self::ahead) or [`behind`](Self::behind).
#[derive(Clone, Debug)]
pub struct SimClock {
    zero: Instant,
    shows: Timestamp,
}

impl SimClock {
    #[must_use]
    pub fn new() -> Self {
        Self {
            zero: Instant::now(),
            shows: START,
        }
    }

    /// The same clock, fast by this much: another machine's.
    #[must_use]
    pub fn ahead(&self, by: Duration) -> Self {
        Self {
            zero: self.zero,
            shows: self.shows + by,
        }
    }

    /// The same clock, slow by this much.
    #[must_use]
    pub fn behind(&self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self {
            zero: self.zero,
            shows: Timestamp(self.shows.0.saturating_sub(by)),
        }
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.shows + self.zero.elapsed()
    }
}
