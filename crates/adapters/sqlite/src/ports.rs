//! Which ports are taken, kept in memory, so that a free one is found in a walk over an array and not in as many look-ups.
//!
//! It follows what was committed, and proves nothing: the commit that reserves a port decides.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};
use wharf_domain::Timestamp;

/// Until when each port is taken, and where the next look begins.
pub(crate) struct Ports {
    /// By port: free from then on. Half a megabyte of address space; pages of it that were never written cost no memory.
    until: Vec<u64>,
    /// By range: the port offered last. The next look begins after it, so that callers at the same time are offered different
    /// ones, and a port that was given back rests as long as may be.
    offered: BTreeMap<(u16, u16), u16>,
}

/// Ranges come from configuration, of which there are few; a caller that makes them up starts over.
const RANGES_AT_MOST: usize = 64;

/// A change of a port's reservation: taken until then, or free (zero).
pub(crate) type Change = (u16, u64);

/// As a reservation's `until` has it.
pub(crate) fn taken_until(until: Option<Timestamp>) -> u64 {
    until.map_or(u64::MAX, Timestamp::as_millis)
}

impl Ports {
    pub(crate) fn new() -> Self {
        Self {
            until: vec![0; usize::from(u16::MAX) + 1],
            offered: BTreeMap::new(),
        }
    }

    pub(crate) fn apply(&mut self, changes: impl IntoIterator<Item = Change>) {
        for (port, until) in changes {
            self.until[usize::from(port)] = until;
        }
    }

    /// A free port of the range, if there is one.
    pub(crate) fn offer(&mut self, range: RangeInclusive<u16>, now: Timestamp) -> Option<u16> {
        let (first, last) = (*range.start(), *range.end());
        let begin = match self.offered.get(&(first, last)) {
            Some(&port) if port < last => port + 1,
            _ => first,
        };
        let free = |port: &u16| self.until[usize::from(*port)] <= now.as_millis();
        let port = (begin..=last).find(free).or_else(|| (first..begin).find(free))?;
        if self.offered.len() >= RANGES_AT_MOST {
            self.offered.clear();
        }
        self.offered.insert((first, last), port);
        Some(port)
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports")
            .field("offered", &self.offered)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    #[test]
    fn each_caller_is_offered_another_port() {
        let mut ports = Ports::new();
        let offers: Vec<_> = (0..3).map(|_| ports.offer(8000..=8002, NOW)).collect();
        assert_eq!(offers, [Some(8000), Some(8001), Some(8002)]);
        assert_eq!(ports.offer(8000..=8002, NOW), Some(8000), "none was taken: round again");
    }

    #[test]
    fn the_last_free_port_is_found_and_then_none() {
        let mut ports = Ports::new();
        ports.apply((8000..=8999).filter(|port| *port != 8123).map(|port| (port, u64::MAX)));
        assert_eq!(ports.offer(8000..=8999, NOW), Some(8123));
        assert_eq!(ports.offer(8000..=8999, NOW), Some(8123), "behind where the look began");
        ports.apply([(8123, u64::MAX)]);
        assert_eq!(ports.offer(8000..=8999, NOW), None);
    }

    #[test]
    fn a_rest_that_is_over_is_free() {
        let mut ports = Ports::new();
        ports.apply([(1, 1_000), (2, 1_001)]);
        assert_eq!(ports.offer(2..=2, NOW), None);
        assert_eq!(ports.offer(1..=2, NOW), Some(1));
    }

    #[test]
    fn ranges_at_the_ends_of_the_numbers_hold() {
        let mut ports = Ports::new();
        assert_eq!(ports.offer(u16::MAX..=u16::MAX, NOW), Some(u16::MAX));
        assert_eq!(ports.offer(u16::MAX..=u16::MAX, NOW), Some(u16::MAX));
        assert_eq!(ports.offer(0..=0, NOW), Some(0));
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range is the case")]
        let nothing = 2..=1;
        assert_eq!(ports.offer(nothing, NOW), None);
    }
}
