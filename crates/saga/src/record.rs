//! The record: a workflow's data, and how far a saga on it has come.
//!
//! This is what the journal's current entry is kept as: with every intent and outcome the whole record is written, so that a
//! driver needs nothing else to go on. The journal's past is the history.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::time::Duration;
use wharf_domain::{Failure, Timestamp};

/// What the store keeps for one instance, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<D> {
    pub data: D,
    /// The saga under way, or halted; `None` at rest.
    #[serde(default, deserialize_with = "placed", skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Number of the last wait.
    #[serde(default)]
    pub wake_seq: u64,
}

/// A saga stands at one of its steps, or behind the last. One that stands elsewhere was damaged: it would count as over, with nothing undone.
fn placed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Progress>, D::Error> {
    let progress = Option::<Progress>::deserialize(deserializer)?;
    if let Some(saga) = &progress {
        let is_nowhere = saga.at > saga.steps.len() || (saga.begun && saga.current().is_none());
        if is_nowhere {
            let (at, count) = (saga.at, saga.steps.len());
            return Err(D::Error::custom(format!("the saga is at step {at} of {count}")));
        }
    }
    Ok(progress)
}

impl<D> Record<D> {
    #[must_use]
    pub const fn new(data: D) -> Self {
        Self {
            data,
            progress: None,
            wake_seq: 0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record(at: usize, begun: bool) -> Value {
        let step = json!({"step": "task", "way": "run"});
        json!({"data": null, "progress": {
            "saga": "provision", "steps": [step, step], "on_failure": "unwind", "at": at, "begun": begun, "since": 0, "tries": 0
        }})
    }

    #[test]
    fn a_saga_that_stands_nowhere_is_damage() {
        let read = |at, begun| serde_json::from_value::<Record<Option<()>>>(record(at, begun));
        for (at, begun) in [(0, false), (1, true), (2, false)] {
            read(at, begun).expect("it stands at a step, or behind the last");
        }
        for (at, begun) in [(2, true), (3, false), (usize::MAX, true)] {
            let error = read(at, begun).expect_err("it stands nowhere");
            assert!(error.to_string().contains(&format!("step {at} of 2")), "{error}");
        }
    }
}
