//! Inputs made of others by chance: the same seed gives the same inputs. Blind to coverage, and so no stand-in for libFuzzer; but it runs everywhere.

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

/// What grammars are made of, and what breaks readers of them.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b":",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"=",
    b"%",
    b"..",
    b"//",
    b"-",
    b"--",
    b"@",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"18446744073709551615",
    b"1e999",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3\xa9",
    "\u{202e}".as_bytes(),
    "\u{212a}".as_bytes(),
    "\u{1f6a2}".as_bytes(),
    b"xn--",
    b"chunked",
    b"localhost",
    b"127.0.0.1",
    b"[::1]",
];

/// One input more: one of `seeds`, changed in a few places, or two of them put together.
#[must_use]
pub fn mutant(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let Some(seed) = seeds.get(chance.below(seeds.len())) else {
        return Vec::new();
    };
    let mut input = seed.clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(input.len() + 1);
        let to = (at + chance.below(16)).min(input.len());
        match chance.below(6) {
            0 => {
                input.drain(at..to);
            }
            1 => {
                let piece = PIECES[chance.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
            2 => {
                let piece = PIECES[chance.below(PIECES.len())];
                input.splice(at..to, piece.iter().copied());
            }
            3 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
            4 => {
                let again = input[at..to].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let other = &seeds[chance.below(seeds.len())];
                let from = chance.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let seeds = [b"one".to_vec(), b"another".to_vec()];
        let inputs = |seed| {
            let mut chance = Chance::new(seed);
            (0..100).map(|_| mutant(&seeds, &mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }
}
