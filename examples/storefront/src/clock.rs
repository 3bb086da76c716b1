//! The time of day, for order dates and sessions. The only file that reads the clock: everything else takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, UTC. A clock that stands before that counts as 0.
#[expect(
    clippy::disallowed_methods,
    reason = "the shop is an application of its own: this is the one place where it looks at the clock"
)]
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}

/// A moment as people read it: `3 November 2026, 14:05 UTC`.
pub(crate) fn display(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "an unknown time".to_owned(),
        |moment| moment.strftime("%-d %B %Y, %H:%M UTC").to_string(),
    )
}

/// The same moment for a machine, as `<time datetime>` wants it.
pub(crate) fn machine(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_a_date() {
        assert_eq!(display(1_793_714_700), "3 November 2026, 14:05 UTC");
        assert_eq!(machine(1_793_714_700), "2026-11-03T14:05:00Z");
    }

    #[test]
    fn a_moment_out_of_range_is_no_panic() {
        assert_eq!(display(i64::MAX), "an unknown time");
        assert_eq!(machine(i64::MIN), "");
    }
}
