//! How a run ended.

use std::{collections::BTreeMap, fmt, time::Duration};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Since the run's beginning.
    pub at: Duration,
    /// The rule's name.
    pub rule: &'static str,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} {}: {}", self.at.as_millis(), self.rule, self.what)
    }
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first ones; empty when all is well.
    pub violations: Vec<Violation>,
    /// The time that passed in it.
    pub simulated: Duration,
    /// How many instances were in which state when all was quiet, before they were ended.
    pub states: BTreeMap<&'static str, u64>,
    /// How often what was done or went wrong.
    pub counts: BTreeMap<String, u64>,
    /// What happened, line by line, if it was to be written down.
    pub log: String,
}

impl Report {
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.violations.is_empty()
    }
}
