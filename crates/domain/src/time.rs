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

    /// So long before; the epoch at the earliest.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// For people, to the minute and in UTC: `24 December 2026, 18:00 UTC`.
    #[must_use]
    pub fn in_words(self) -> String {
        let at = i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        at.unwrap_or(jiff::Timestamp::MAX)
            .strftime("%-d %B %Y, %H:%M UTC")
            .to_string()
    }

    /// From a text as RFC 3339 has it, with its offset: `2026-12-24T18:00:00Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let at: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(at.as_millisecond()).ok().map(Self)
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_read_and_said_as_people_do() {
        let at = Timestamp::parse("2026-12-24T18:00:30+01:00").expect("a time");
        assert_eq!(at, Timestamp(1_798_131_630_000));
        assert_eq!(at.in_words(), "24 December 2026, 17:00 UTC");
        assert_eq!(
            at.before(Duration::from_secs(30)).in_words(),
            "24 December 2026, 17:00 UTC"
        );
        assert_eq!(Timestamp(5).before(Duration::from_secs(1)), Timestamp(0));
        for text in ["tomorrow", "2026-12-24", "1901-01-01T00:00:00Z"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert!(
            Timestamp::MAX.in_words().ends_with("UTC"),
            "nothing is too late to be said"
        );
    }
}
