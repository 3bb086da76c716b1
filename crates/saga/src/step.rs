//! What a step is, and how it ends.

use async_trait::async_trait;
use std::time::Duration;
use wharf_domain::{Failure, InstanceId, Timestamp};

use crate::{
    limits,
    store::{OutboxMail, Release, Reserve},
};

/// How a step's `run` or `undo` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Not yet: look again at `until`, or when a message comes. `why` is shown to people.
    Wait {
        until: Timestamp,
        why: String,
    },
    /// It went wrong in a way that may pass. The engine tries again with growing pauses, a bounded number of times.
    Retry(Failure),
    /// It went wrong for good: the saga turns to undoing. From an undo: the instance is stuck.
    Fail(Failure),
}

impl Outcome {
    /// `Retry` or `Fail`, as the failure's code says.
    #[must_use]
    pub fn from_failure(failure: Failure) -> Self {
        if failure.code.is_passing() {
            Self::Retry(failure)
        } else {
            Self::Fail(failure)
        }
    }
}

impl From<Result<(), Failure>> for Outcome {
    fn from(result: Result<(), Failure>) -> Self {
        result.map_or_else(Self::from_failure, |()| Self::Done)
    }
}

/// What a step is told, and where it puts what is to be committed with its outcome.
#[derive(Debug)]
pub struct Context<'a> {
    pub id: &'a InstanceId,
    pub now: Timestamp,
    /// When this step was first begun (in this direction).
    pub since: Timestamp,
    /// For how long since then nobody was there to look at it: what is waited for has had so much less of its time.
    pub unattended: Duration,
    /// How often it was tried before.
    pub tries: u32,
    pub writes: &'a mut Writes,
}

/// Reservations and mails that are committed together with the step's outcome, if it is `Done`.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    pub reserve: Vec<Reserve>,
    pub release: Vec<Release>,
    pub outbox: Vec<OutboxMail>,
    /// Lines for the history, written whatever the outcome.
    pub notes: Vec<String>,
}

/// One step of a saga.
///
/// Expected flow: the engine journals the intent, calls `run`, journals the outcome together with the next intent.
///
/// Assumptions that an author must meet:
/// - `run` and `undo` are *idempotent*: the engine may call either again after a crash, with the same data.
/// - `undo` copes with a `run` that never happened, happened in part, or happened and lost its answer.
/// - Both return within [`timeout`](Step::timeout); what takes longer is a `Wait`.
/// - Changes to `data` count only if the outcome is `Done` or `Wait`.
#[async_trait]
pub trait Step<D>: Send + Sync {
    /// The step's name: it stands in journals, and is never changed.
    fn name(&self) -> &'static str;

    /// Whether it changes something outside the registry. A step that does not needs no intent of its own, and saves a commit.
    fn has_effect(&self) -> bool {
        true
    }

    /// After this long a call is given up, with its outcome unknown, and tried again. Longer than [`limits::STEP_TIMEOUT`] counts as that: a
    /// call has to be over before the lease is.
    fn timeout(&self) -> Duration {
        limits::STEP_TIMEOUT
    }

    async fn run(&self, context: &mut Context<'_>, data: &mut D) -> Outcome;

    async fn undo(&self, context: &mut Context<'_>, data: &mut D) -> Outcome;
}
