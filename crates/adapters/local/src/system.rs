//! The real clock and real chance: the one place of this crate that may ask the system for them.

use std::time::{SystemTime, UNIX_EPOCH};
use wharf_domain::Timestamp;
use wharf_saga::{Clock, Ids};

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the implementation of `Clock` that everybody else is to take"
    )]
    fn now(&self) -> Timestamp {
        // A clock that stands before 1970 is not set; zero is as wrong as anything, and does not end the program.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(Timestamp::MAX.0))
    }
}

/// The kernel's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsIds;

impl Ids for OsIds {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect(
            "the kernel's random numbers are there once it has booted: without them no id or secret can be made",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_the_day_this_was_written() {
        assert!(SystemClock.now() > Timestamp(1_760_000_000_000));
    }

    #[test]
    fn two_ids_differ() {
        let now = SystemClock.now();
        assert_ne!(OsIds.instance_id(now), OsIds.instance_id(now));
    }
}
