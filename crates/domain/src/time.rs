//! Points in time, as whole milliseconds since the epoch. Reading the clock is somebody else's business (`wharf_saga::Clock`).

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So much later than it was sent, at the most, a call to a platform is taken to have its effect whose answer was lost. No platform promises one: it is what retries,
/// deadlines and queues on the way add up to, and a little more. Addresses rest for longer than this, and repair finds what came later still.
pub const LATE_EFFECT_MOST: Duration = Duration::from_mins(5);

/// Milliseconds since 1970-01-01T00:00:00Z. The unit is the registry's too (`createdAt`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later than every real time: "without end".
    pub const MAX: Self = Self(i64::MAX as u64);

    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }
}
