//! The record: a workflow's data, and how far a saga on it has come.
//!
//! This is what the journal's current entry is kept as: with every intent and outcome the whole record is written, so that a
//! driver needs nothing else to go on. The journal's past is the history.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use wharf_domain::{Failure, Timestamp};

/// What the store keeps for one instance, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<D> {
    pub data: D,
    /// The saga under way, or halted; `None` at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Number of the last wait.
    #[serde(default)]
    pub wake_seq: u64,
    /// At rest, and to be asked again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest_until: Option<Timestamp>,
}

impl<D> Record<D> {
    #[must_use]
    pub const fn new(data: D) -> Self {
        Self {
            data,
            progress: None,
            wake_seq: 0,
            rest_until: None,
        }
    }
}

impl<D> Record<D> {
    /// Whether a saga stands still until a person decides.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.halted.is_some())
    }
}

/// How a saga uses a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `run`, and `undo` if the saga unwinds.
    Run,
    /// `undo`, as a step forward of a saga that takes things down. Nothing brings it back.
    Undo,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub step: String,
    pub way: Way,
}

/// What a saga does when a step fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Undoes, in reverse order, whatever was begun. Where something could not be taken away ([`Way::Undo`]) it halts all the same.
    Unwind,
    /// Halts where it is, and waits for a person. For sagas that only go forward.
    Halt,
}

/// A saga under way. The steps are frozen when it begins: a later version of the program goes on with these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub saga: String,
    pub steps: Vec<Planned>,
    pub on_failure: OnFailure,
    /// Forward: the step to be run, and the number of those done. Unwinding: the number of steps still to be undone.
    pub at: usize,
    /// The intent of the step at hand is journaled: its effect may have happened.
    pub begun: bool,
    /// When the step at hand was first begun.
    pub since: Timestamp,
    /// How often it was tried before.
    pub tries: u32,
    /// When it was to be looked at again, or was, after it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Timestamp>,
    /// For how long of the time since it was begun nobody was there to look at it.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub unattended: Duration,
    /// Why the saga unwinds, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwinding: Option<Failure>,
    /// What it waits for, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why it stands still until a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<Failure>,
}

/// How a saga ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step is done.
    Done,
    /// Everything that was begun is undone.
    Undone { cause: Failure },
    /// A step could be neither done nor undone.
    Halted { step: String, cause: Failure },
}
