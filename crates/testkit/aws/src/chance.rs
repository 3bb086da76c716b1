//! Chance that a seed decides: the same seed, the same numbers. Nothing in here is hard to guess.

use std::time::Duration;

/// SplitMix64: neighbouring seeds give streams that have nothing in common.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One more stream out of the same seed: what is drawn from one does not shift the others.
    pub(crate) fn branch(seed: u64, name: u64) -> Self {
        let mut root = Self(seed ^ name.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self(root.next())
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// From 0 up to, and without, 1.
    pub(crate) const fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) const fn is(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// One of so many, counted from 0; 0 where there are none.
    pub(crate) const fn of(&mut self, many: usize) -> usize {
        if many == 0 {
            0
        } else {
            (self.next() % many as u64) as usize
        }
    }

    pub(crate) fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.fraction())
    }

    /// How long it is until something that comes on the average after `mean`, and has no memory. At most ten times as long.
    pub(crate) fn until_next(&mut self, mean: Duration) -> Duration {
        mean.mul_f64((-(1.0 - self.fraction()).ln()).min(10.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_its_stream_and_a_branch_is_another_one() {
        let draw = |mut chance: Chance| (0..8).map(|_| chance.next()).collect::<Vec<_>>();
        assert_eq!(draw(Chance::new(7)), draw(Chance::new(7)));
        assert_ne!(draw(Chance::branch(7, 1)), draw(Chance::branch(7, 2)));
        assert_ne!(draw(Chance::branch(7, 1)), draw(Chance::branch(8, 1)));
    }

    #[test]
    fn what_comes_after_a_mean_time_comes_so_on_the_average() {
        let mut chance = Chance::new(3);
        let total: Duration = (0..10_000).map(|_| chance.until_next(Duration::from_secs(10))).sum();
        let mean = total.as_secs_f64() / 10_000.0;
        assert!((9.5..10.5).contains(&mean), "{mean}");
    }
}
