//! What the engine is told about a kind of record: its steps, and the decisions that are not the engine's. Deciding is pure:
//! data and messages in, a decision out.

use serde::{Serialize, de::DeserializeOwned};
use wharf_domain::{Failure, Timestamp};

use crate::{
    record::{Ending, OnFailure, Planned, Progress, Way},
    step::{Step, Writes},
    store::{Documented, Index},
};

/// A kind of record, its steps and its decisions.
pub trait Workflow: Send + Sync + 'static {
    type Data: Clone + Serialize + DeserializeOwned + Send + Sync + 'static;
    type Message: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The step of this name; `None` if this version has none: its sagas are left alone.
    fn step(&self, name: &str) -> Option<&dyn Step<Self::Data>>;

    /// What listings show.
    fn index(&self, data: &Self::Data) -> Index;

    /// What the documented table shows, for records that stand in one.
    fn documented(&self, data: &Self::Data) -> Option<Documented> {
        let _ = data;
        None
    }

    /// Which attempt history entries belong to.
    fn attempt(&self, data: &Self::Data) -> u32;

    /// The cause of the state that the data is in, for the history.
    fn cause(&self, data: &Self::Data) -> Option<Failure>;

    /// When a record at rest wants to be asked again; `None`: when a message comes. Looked at whenever it comes to rest, so that nothing that happens meanwhile makes it forget.
    fn appointment(&self, data: &Self::Data) -> Option<Timestamp> {
        let _ = data;
        None
    }

    /// What to do about messages, or, without any, about a record whose appointment has come while no saga runs. An appointment that was kept has to be another, or none,
    /// afterwards: it is asked about once.
    fn decide(
        &self,
        data: &mut Self::Data,
        saga: Option<&Progress>,
        messages: Vec<Self::Message>,
        now: Timestamp,
        writes: &mut Writes,
    ) -> Decision;

    /// A step has failed for good, and the saga is about to turn to undoing: what is begun in its place, with so many of its first steps done.
    fn again(&self, data: &Self::Data, saga: &Progress, cause: &Failure) -> Option<(Plan, usize)> {
        let _ = (data, saga, cause);
        None
    }

    /// What a saga's end means for the data, and what comes next.
    fn ended(&self, data: &mut Self::Data, saga: &str, ending: &Ending, now: Timestamp, writes: &mut Writes) -> Next;
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on with what is under way, or stay at rest.
    Continue,
    /// Turn the saga under way to undoing.
    Unwind(Failure),
    /// Take up a halted saga where it stands.
    Resume,
    /// Drop whatever saga is there, and begin this one.
    Begin(Plan),
    /// The same, with so many of its first steps done already, by a saga before it: they are undone with the others.
    BeginAfter(Plan, usize),
    /// Drop whatever saga is there, and rest.
    Drop,
}

/// What comes after a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Rest,
    Begin(Plan),
}

/// A saga to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub saga: &'static str,
    pub steps: Vec<(&'static str, Way)>,
    pub on_failure: OnFailure,
}

impl Plan {
    /// The saga's progress before its first step.
    #[must_use]
    pub fn begin(&self, now: Timestamp) -> Progress {
        Progress {
            saga: self.saga.to_owned(),
            steps: self
                .steps
                .iter()
                .map(|(step, way)| Planned {
                    step: (*step).to_owned(),
                    way: *way,
                })
                .collect(),
            on_failure: self.on_failure,
            at: 0,
            begun: false,
            since: now,
            tries: 0,
            expected: None,
            unattended: std::time::Duration::ZERO,
            unwinding: None,
            waits_for: None,
            halted: None,
        }
    }
}
