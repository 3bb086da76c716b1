//! What several rounds of one measurement gave, and how rounds are run so that they can be compared.

use serde::Serialize;
use std::time::{Duration, Instant};

use crate::Result;

/// The values of one thing, one for each round, in the order of the rounds.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<f64>);

/// What is told of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Samples {
    /// `None` where there is no value, or one that is no number.
    pub(crate) fn new(values: Vec<f64>) -> Option<Self> {
        (!values.is_empty() && values.iter().all(|value| value.is_finite())).then_some(Self(values))
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        Summary {
            median: middle(&sorted),
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            rounds: sorted.len(),
        }
    }

    /// The value that this part of them does not exceed.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let within = (part.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
        sorted[within.clamp(1, sorted.len()) - 1]
    }

    /// Round by round, so that what slows the machine down for a while slows both sides and falls out.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        if self.0.len() == other.0.len() {
            let mut ratios: Vec<f64> = self.0.iter().zip(&other.0).map(|(this, that)| this / that).collect();
            ratios.sort_by(f64::total_cmp);
            middle(&ratios)
        } else {
            self.summary().median / other.summary().median
        }
    }

    /// Round by round; `None` where the rounds are not the same ones.
    pub(crate) fn sum(&self, other: &Self) -> Option<Self> {
        let sum = self.0.iter().zip(&other.0).map(|(this, that)| this + that).collect();
        (self.0.len() == other.0.len()).then_some(Self(sum))
    }

    pub(crate) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(change).collect())
    }
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[half - 1], sorted[half])
    } else {
        sorted[half]
    }
}

/// One side of a comparison: one round of it gives one value.
pub(crate) type Side<'a> = &'a mut dyn FnMut() -> Result<f64>;

/// Fewer rounds say nothing.
const ROUNDS_AT_LEAST: usize = 3;

/// How often everything is measured: so many rounds, or fewer where they would take longer than this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) count: usize,
    pub(crate) within: Duration,
}

/// Runs every side once a round, every other round in the opposite order, after one round that only warms up.
pub(crate) fn interleaved<const N: usize>(rounds: Rounds, sides: &mut [Side<'_>; N]) -> Result<[Samples; N]> {
    let mut values = [const { Vec::new() }; N];
    let began = Instant::now();
    for round in 0..=rounds.count {
        if round > ROUNDS_AT_LEAST && began.elapsed() > rounds.within {
            break;
        }
        for step in 0..N {
            let side = if round % 2 == 0 { step } else { N - 1 - step };
            let value = sides[side]()?;
            if round > 0 {
                values[side].push(value);
            }
        }
    }
    let samples: Vec<Samples> = values.into_iter().map_while(Samples::new).collect();
    samples
        .try_into()
        .map_err(|_| "a round measured nothing, or took no time at all".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Unit;

    #[test]
    fn a_slow_round_falls_out_of_the_ratio() {
        let this = Samples::new(vec![2.0, 20.0, 2.2]).expect("values");
        let that = Samples::new(vec![1.0, 10.0, 1.0]).expect("values");
        assert!((this.ratio(&that) - 2.0).abs() < 1e-9);
        assert_eq!(
            this.summary(),
            Summary {
                median: 2.2,
                min: 2.0,
                max: 20.0,
                rounds: 3
            }
        );
    }

    #[test]
    fn of_a_hundred_the_last_falls_out_of_99_in_100() {
        let samples = Samples::new((1..=100).rev().map(f64::from).collect()).expect("values");
        let found = [0.0, 0.5, 0.99, 1.0].map(|part| Unit::Count.show(samples.quantile(part)));
        assert_eq!(found, ["1", "50.0", "99.0", "100"]);
    }

    #[test]
    fn nothing_measured_is_no_sample() {
        assert!(Samples::new(Vec::new()).is_none());
        assert!(Samples::new(vec![f64::NAN]).is_none());
    }

    #[test]
    fn rounds_alternate_and_the_first_is_thrown_away() {
        let calls = std::cell::RefCell::new(String::new());
        let side = |name: char| {
            let calls = &calls;
            move || {
                calls.borrow_mut().push(name);
                Ok(calls.borrow().len() as f64)
            }
        };
        let (mut first, mut second) = (side('a'), side('b'));
        let rounds = Rounds {
            count: 2,
            within: Duration::ZERO,
        };
        let [a, b] = interleaved(rounds, &mut [&mut first, &mut second]).expect("values");
        assert_eq!(*calls.borrow(), "abbaab");
        assert_eq!((a.0, b.0), (vec![4.0, 5.0], vec![3.0, 6.0]));
    }
}
