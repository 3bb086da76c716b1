//! Constants that belong together, and the inequalities that hold between them.

use std::time::Duration;

/// How long a lease lasts without renewal, on a server.
pub const LEASE: Duration = Duration::from_secs(30);
/// What must be left of a lease, beyond a call's own time-out, for the call to start; and what an observer adds before it takes a lease over.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// The longest that one call of a step may take: a step that wants longer returns `Wait`.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// A wait that is no longer than this is waited out by the driver itself, holding the lease: nothing is lost if it dies, for the intent is journaled.
pub const LINGER: Duration = Duration::from_secs(2);
/// How often the sweep looks for what is due.
pub const SWEEP: Duration = Duration::from_secs(5);
/// A look that comes so much later than it was to did not come late: nobody was there. A lost wake is found sooner.
pub const UNATTENDED: Duration = Duration::from_secs(10);
/// How many due instances one sweep takes up.
pub const SWEEP_BATCH: usize = 256;
/// The longest that the sweep passes over an instance whose record it cannot do anything with.
pub const ASIDE_LONGEST: Duration = Duration::from_mins(10);
/// Instances that the sweep passes over at once.
pub const ASIDE_MOST: usize = 10_000;
/// How long another's lease is remembered that was seen once.
pub const SEEN_KEPT: Duration = Duration::from_mins(10);
/// How often a step is tried that fails with `Retry`, before it fails for good.
pub const TRIES: u32 = 8;
/// The first pause between tries; each later one is twice as long, with jitter.
pub const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest pause between tries.
pub const RETRY_LONGEST: Duration = Duration::from_secs(10);
/// Undoing is tried longer: what is left behind costs somebody money.
pub const UNDO_TRIES: u32 = 16;
/// Messages read from an inbox at once.
pub const INBOX_PAGE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_lease_covers_a_step() {
        assert!(STEP_TIMEOUT + LEASE_MARGIN < LEASE);
        assert!(LINGER + LEASE_MARGIN < LEASE);
    }

    #[test]
    fn a_retry_is_shorter_than_a_lease() {
        assert!(RETRY_FIRST < RETRY_LONGEST && RETRY_LONGEST < LEASE);
        assert!(SWEEP < LEASE);
    }

    #[test]
    fn a_lost_wake_is_no_absence() {
        assert!(LINGER < UNATTENDED && SWEEP < UNATTENDED);
    }

    #[test]
    fn a_lease_is_remembered_until_it_can_be_taken_over() {
        assert!(SEEN_KEPT > 2 * (LEASE + LEASE_MARGIN) + SWEEP);
        assert!(SWEEP < ASIDE_LONGEST);
    }
}
