//! Chance that repeats: the same at every run.

use std::time::Duration;

/// What is drawn follows from the number that it begins with.
#[derive(Clone, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// SplitMix64.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A time below this one.
    pub fn up_to(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.draw() % limit)
    }

    /// A number below this one, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() % (limit.max(1) as u64)) as usize
    }

    /// Whether something happens that does so many times in a hundred.
    pub fn percent(&mut self, share: u64) -> bool {
        self.draw() % 100 < share
    }

    /// One of them; `None` where there is none.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }

    /// Another source, so that two who draw at the same time do not depend on who comes first.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.draw())
    }
}
