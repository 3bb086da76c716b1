//! How many wrong passwords are heard: a few at once, then one every few seconds. Pure but for the time, which is an argument.
//!
//! All visitors share one allowance. Behind a proxy every visitor has the proxy's address, and an allowance for each address that a header claims would be no limit.

use std::time::Duration;

use tokio::time::Instant;

const AT_ONCE: u32 = 10;
const ONE_MORE_AFTER: Duration = Duration::from_secs(6);

/// Each wrong password is a debt of `ONE_MORE_AFTER`, which time pays off.
#[derive(Debug)]
pub(super) struct Attempts {
    /// When all debts are paid; `None` before the first.
    paid: Option<Instant>,
}

impl Attempts {
    pub(super) const fn new() -> Self {
        Self { paid: None }
    }

    /// Whether a password may be tried now; otherwise, how long to wait.
    pub(super) fn check(&self, now: Instant) -> Result<(), Duration> {
        let debt = self
            .paid
            .map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        match debt.checked_sub(ONE_MORE_AFTER * (AT_ONCE - 1)) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    pub(super) fn wrong(&mut self, now: Instant) {
        self.paid = Some(self.paid.map_or(now, |paid| paid.max(now)) + ONE_MORE_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_run_out_and_come_back_one_by_one() {
        let (mut attempts, start) = (Attempts::new(), Instant::now());
        for _ in 0..AT_ONCE {
            assert_eq!(attempts.check(start), Ok(()));
            attempts.wrong(start);
        }
        assert_eq!(attempts.check(start), Err(ONE_MORE_AFTER));
        assert_eq!(
            attempts.check(start + Duration::from_secs(4)),
            Err(Duration::from_secs(2))
        );

        let later = start + ONE_MORE_AFTER;
        assert_eq!(attempts.check(later), Ok(()));
        attempts.wrong(later);
        assert!(attempts.check(later).is_err());
    }

    #[test]
    fn a_long_pause_gives_no_more_than_the_first_allowance() {
        let (mut attempts, start) = (Attempts::new(), Instant::now());
        attempts.wrong(start);
        let later = start + Duration::from_secs(1_000_000);
        for _ in 0..AT_ONCE {
            assert_eq!(attempts.check(later), Ok(()));
            attempts.wrong(later);
        }
        assert!(attempts.check(later).is_err());
    }
}
