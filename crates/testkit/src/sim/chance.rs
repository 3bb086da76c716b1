//! Chance from a seed: the same seed, the same numbers. Nothing in here is secret or hard to guess.

use parking_lot::Mutex;
use wharf_saga::Ids;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut mixed: u64) -> u64 {
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn fraction(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// From 0 up to, and without, 1: what the seed says of these numbers, whatever was drawn before.
#[must_use]
pub fn draw(seed: u64, of: &[u64]) -> f64 {
    let number = of.iter().fold(mix(seed.wrapping_add(STEP)), |mixed, number| {
        mix(mixed.wrapping_add(STEP) ^ number.wrapping_mul(STEP))
    });
    fraction(number)
}

/// A stream of numbers (SplitMix64) that its seed decides.
#[derive(Debug)]
pub struct Chance(Mutex<u64>);

impl Chance {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    pub fn next(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(STEP);
        mix(*state)
    }

    /// From 0 up to, and without, 1.
    pub fn fraction(&self) -> f64 {
        fraction(self.next())
    }

    /// Below `bound`, which is not 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Ids and random bytes that a seed decides.
#[derive(Debug)]
pub struct SimIds(Chance);

impl SimIds {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Chance::new(seed))
    }
}

impl Ids for SimIds {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.0.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let draw = |seed| {
            let (chance, mut bytes) = (Chance::new(seed), [0; 13]);
            SimIds::new(seed).fill(&mut bytes);
            (chance.next(), chance.next(), bytes)
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn fractions_are_spread() {
        let chance = Chance::new(1);
        let low = (0..1000).filter(|_| chance.fraction() < 0.25).count();
        assert!((200..300).contains(&low), "{low}");
    }
}
