//! A figure: what was measured, what it is held against, and whether the goal is reached. Nothing in here measures.

use serde::Serialize;
use std::fmt;

use crate::samples::{Samples, Summary};

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Milliseconds,
    Microseconds,
    PerSecond,
    /// Of 1,000,000 bytes.
    Megabytes,
    Count,
}

impl Unit {
    /// A value as people read it.
    pub(crate) fn show(self, value: f64) -> String {
        let number = match value.abs() {
            size if size >= 100.0 => thousands(value),
            size if size >= 10.0 => format!("{value:.1}"),
            _ if self == Self::Count && value.fract() == 0.0 => format!("{value:.0}"),
            _ => format!("{value:.2}"),
        };
        match self {
            Self::Milliseconds => format!("{number} ms"),
            Self::Microseconds => format!("{number} µs"),
            Self::PerSecond => format!("{number}/s"),
            Self::Megabytes => format!("{number} MB"),
            Self::Count => number,
        }
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// What is to be reached, by the median.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Of the ratio to the peer or limit.
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

impl Goal {
    fn show(self, unit: Unit) -> String {
        match self {
            Self::AtMost(value) => format!("≤ {}", unit.show(value)),
            Self::AtLeast(value) => format!("≥ {}", unit.show(value)),
            Self::RatioAtMost(ratio) => format!("≤ {ratio:.2} ×"),
            Self::RatioAtLeast(ratio) => format!("≥ {ratio:.2} ×"),
        }
    }
}

/// A peer or a limit, measured in the same run.
#[derive(Clone, Debug)]
pub(crate) struct Against {
    pub(crate) what: String,
    pub(crate) samples: Samples,
}

#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) samples: Samples,
    pub(crate) against: Option<Against>,
    /// Without one it stands there to explain another figure.
    pub(crate) goal: Option<Goal>,
    pub(crate) note: Option<String>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: Unit, samples: Samples) -> Self {
        Self {
            name: name.into(),
            unit,
            samples,
            against: None,
            goal: None,
            note: None,
        }
    }

    pub(crate) fn against(mut self, what: impl Into<String>, samples: &Samples) -> Self {
        self.against = Some(Against {
            what: what.into(),
            samples: samples.clone(),
        });
        self
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(crate) fn ratio(&self) -> Option<f64> {
        self.against
            .as_ref()
            .map(|against| self.samples.ratio(&against.samples))
    }

    /// `None` where there is no goal, or none that this can be held against.
    pub(crate) fn reached(&self) -> Option<bool> {
        let median = self.samples.summary().median;
        match self.goal? {
            Goal::AtMost(most) => Some(median <= most),
            Goal::AtLeast(least) => Some(median >= least),
            Goal::RatioAtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Goal::RatioAtLeast(least) => self.ratio().map(|ratio| ratio >= least),
        }
    }

    /// The cells of its line: name, measured, peer or limit, ratio, goal, reached.
    pub(crate) fn cells(&self) -> [String; 6] {
        let spread = |summary: Summary| {
            let median = self.unit.show(summary.median);
            if summary.rounds == 1 {
                return median;
            }
            format!(
                "{median} ({}–{})",
                bare(self.unit, summary.min),
                bare(self.unit, summary.max)
            )
        };
        let none = || "–".to_owned();
        [
            self.name.clone(),
            spread(self.samples.summary()),
            self.against.as_ref().map_or_else(none, |against| {
                format!("{}: {}", against.what, spread(against.samples.summary()))
            }),
            self.ratio().map_or_else(none, |ratio| format!("{ratio:.2}")),
            self.goal.map_or_else(none, |goal| goal.show(self.unit)),
            match self.reached() {
                Some(true) => "yes".to_owned(),
                Some(false) => "NO".to_owned(),
                None => none(),
            },
        ]
    }
}

/// A value without its unit, where the unit stands beside it.
fn bare(unit: Unit, value: f64) -> String {
    let text = unit.show(value);
    text.split([' ', '/']).next().unwrap_or(&text).to_owned()
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cells().join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(value: f64) -> Samples {
        Samples::new(vec![value]).expect("a value")
    }

    #[test]
    fn a_goal_is_held_against_what_it_is_of() {
        let figure = Figure::new("x", Unit::Milliseconds, samples(3.0)).against("y", &samples(2.0));
        assert_eq!(figure.clone().goal(Goal::AtMost(3.0)).reached(), Some(true));
        assert_eq!(figure.clone().goal(Goal::AtLeast(3.1)).reached(), Some(false));
        assert_eq!(figure.clone().goal(Goal::RatioAtMost(1.4)).reached(), Some(false));
        assert_eq!(figure.clone().goal(Goal::RatioAtLeast(1.5)).reached(), Some(true));
        assert_eq!(figure.reached(), None);
    }

    #[test]
    fn a_line_says_it_all() {
        let figure = Figure::new(
            "sagas",
            Unit::PerSecond,
            Samples::new(vec![2_000.0, 3_000.0, 12_345.6]).expect("values"),
        )
        .against("bare", &samples(5_700.0))
        .goal(Goal::AtLeast(2_500.0));
        assert_eq!(
            figure.cells(),
            [
                "sagas",
                "3,000/s (2,000–12,346)",
                "bare: 5,700/s",
                "0.53",
                "≥ 2,500/s",
                "yes"
            ]
        );
    }
}
