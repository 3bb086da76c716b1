//! One driver on one instance: reads, lets the pure core decide, calls steps, commits. The acting rim.
//!
//! What holds here, and nowhere else has to be looked for:
//! - A step is called only by the holder of the lease, with enough of it left; one with an effect only after its intent was committed.
//! - Whatever the last commit's answer said of the inbox is read before the next step is called.
//! - Outcomes without effects ride along with the next commit (`pending`).
//! - After `Fenced` nothing more is called and nothing more is written.
//!
//! How it writes stands in `journal`, and how it waits in `rest`.

mod journal;
mod rest;

use futures::FutureExt;
use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};
use tokio::time::Instant;
use wharf_domain::{Code, Failure, InstanceId, Timestamp};

use crate::{
    engine::{Claimed, Inner, Slot},
    limits,
    plan::{Action, After},
    record::{Ending, OnFailure, Progress, Record, Way},
    step::{Context, Outcome, Step, Writes},
    store::{Happening, HistoryEntry, Lease, LeaseChange, Stored, Wake},
    workflow::{Decision, Next, Plan, Workflow},
};

/// How a drive ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drove {
    /// Nothing is to be done until a message comes.
    Rests,
    /// It waits, and was put down until then.
    Sleeps(Timestamp),
    /// Another driver has it.
    Held,
    /// There is no such instance.
    Unknown,
    /// This version lacks the step, and leaves the saga alone.
    Lacks { step: String },
    /// The store failed. The sweep takes it up again.
    Broken(Failure),
}

/// Why a drive cannot go on.
enum Stop {
    Fenced,
    /// What is in memory may not be what is stored: start again from the store.
    Reload,
    /// Another has what the commit wanted: the record fell back to the last commit, and goes on from there.
    Refused,
    Store(Failure),
}

type Result<T> = std::result::Result<T, Stop>;

/// A driver with an instance in its hands.
pub(crate) struct Drive<W: Workflow> {
    engine: Arc<Inner<W>>,
    slot: Arc<Slot>,
    id: InstanceId,
    record: Record<W::Data>,
    /// As it was last committed: what a refused commit falls back to.
    committed: Record<W::Data>,
    state: &'static str,
    lease: Lease,
    /// When our lease was taken or renewed; `None`: it is not ours yet.
    held_since: Option<Instant>,
    wake: Option<Wake>,
    inbox_head: u64,
    inbox_read: u64,
    /// The inbox position that the last commit reported as dealt with.
    inbox_settled: u64,
    /// The workflow has been told that the saga is halted.
    halt_told: bool,
    pending: Pending,
}

/// What the next commit takes along.
#[derive(Default)]
struct Pending {
    dirty: bool,
    writes: Writes,
    history: Vec<HistoryEntry>,
    /// The state has changed: the documented table is told.
    documented: bool,
}

impl<W: Workflow> Drive<W> {
    /// Takes up an instance as the store has it.
    pub(crate) fn stored(engine: Arc<Inner<W>>, slot: Arc<Slot>, stored: Stored) -> std::result::Result<Self, Failure> {
        let record: Record<W::Data> = serde_json::from_str(&stored.body).map_err(|error| {
            Failure::new(
                Code::StoreDamaged,
                format!("the record of {} cannot be read: {error}", stored.id),
            )
            .hint("it may have been written by a later version of Wharf: upgrade, or restore a backup")
        })?;
        Ok(Self {
            state: engine.workflow.index(&record.data).state,
            committed: record.clone(),
            id: stored.id,
            lease: stored.lease,
            held_since: None,
            wake: stored.wake,
            inbox_head: stored.inbox_head,
            inbox_read: stored.inbox_read,
            inbox_settled: stored.inbox_read,
            halt_told: record.is_halted(),
            record,
            pending: Pending::default(),
            engine,
            slot,
        })
    }

    /// Goes on with an instance that this very engine has claimed.
    pub(crate) fn claimed(engine: Arc<Inner<W>>, slot: Arc<Slot>, id: InstanceId, claimed: Claimed<W::Data>) -> Self {
        let Claimed {
            record,
            committed,
            wake,
            asked_at,
        } = claimed;
        Self {
            state: engine.workflow.index(&record.data).state,
            committed: record.clone(),
            record,
            id,
            lease: committed.lease,
            held_since: Some(asked_at),
            wake: Some(wake),
            inbox_head: committed.inbox_head,
            inbox_read: 0,
            inbox_settled: 0,
            halt_told: false,
            pending: Pending::default(),
            engine,
            slot,
        }
    }

    /// Drives until there is nothing to do.
    pub(crate) async fn run(mut self) -> Drove {
        let mut reloads = 0;
        loop {
            match self.advance().await {
                Ok(drove) => return drove,
                Err(Stop::Fenced) => return Drove::Held,
                Err(Stop::Store(failure)) => return Drove::Broken(failure),
                Err(Stop::Refused) => {}
                Err(Stop::Reload) => {
                    reloads += 1;
                    if reloads > limits::TRIES {
                        return Drove::Broken(Failure::new(
                            Code::StoreUnavailable,
                            "the store keeps losing its answers",
                        ));
                    }
                    match self.engine.store.load(&self.id).await {
                        // While we did not know better, another driver has taken over.
                        Ok(Some(stored)) if !self.engine.may_take(&self.id, &stored.lease) => {
                            return self.engine.leave_to(&self.id, &stored.lease).await;
                        }
                        Ok(Some(stored)) => match Self::stored(self.engine.clone(), self.slot.clone(), stored) {
                            Ok(fresh) => {
                                // Whether the commit came through or not: this is how it is, and somebody may wait to hear of it.
                                fresh.tell();
                                self = fresh;
                            }
                            Err(failure) => return Drove::Broken(failure),
                        },
                        Ok(None) => return Drove::Unknown,
                        Err(error) => return Drove::Broken(error.failure),
                    }
                }
            }
        }
    }

    /// Tells how the record is, where no commit of ours did.
    pub(crate) fn tell(&self) {
        self.engine.untold.lock().remove(&self.id);
        self.engine
            .observer
            .committed(&self.id, &self.record.data, self.state, &[]);
    }

    async fn advance(&mut self) -> Result<Drove> {
        // A record at rest is asked once about an appointment, also without messages.
        let mut asked_about = None;
        loop {
            // Whoever reads the messages has to know of a halt first.
            let is_halted = self.record.is_halted() && self.halt_told;
            let has_halted = self.record.is_halted() && !self.halt_told;
            if !has_halted && self.inbox_head > self.inbox_read {
                self.read_inbox().await?;
                continue;
            }
            if let Some(at) = self.appointment()
                && at <= self.engine.clock.now()
                && asked_about != Some(at)
            {
                asked_about = Some(at);
                self.decide(Vec::new());
                continue;
            }
            let Some(progress) = self.record.progress.as_ref().filter(|_| !is_halted) else {
                match self.rest(None).await? {
                    Some(drove) => return Ok(drove),
                    None => continue,
                }
            };
            match progress.action() {
                Action::Call { step, way } => {
                    let Some(timeout) = self.engine.workflow.step(&step).map(Step::timeout) else {
                        return Ok(Drove::Lacks { step });
                    };
                    if self.engine.is_nearly_over(timeout.min(limits::STEP_TIMEOUT)) {
                        match self.rest(Some(self.engine.clock.now())).await? {
                            Some(drove) => return Ok(drove),
                            None => continue,
                        }
                    }
                    if let Some(until) = self.call(&step, way).await?
                        && let Some(drove) = self.sleep(until).await?
                    {
                        return Ok(drove);
                    }
                }
                Action::End(ending) => {
                    if let Some(drove) = self.end(&ending).await? {
                        return Ok(drove);
                    }
                }
            }
        }
    }

    /// Reads what has come, and lets the workflow decide.
    async fn read_inbox(&mut self) -> Result<()> {
        let mut messages = Vec::new();
        if self.inbox_head > self.inbox_read {
            let entries = self
                .engine
                .store
                .inbox(&self.id, self.inbox_read, limits::INBOX_PAGE)
                .await
                .map_err(|e| Stop::Store(e.failure))?;
            let last = entries.last().map_or(self.inbox_head, |entry| entry.seq);
            for entry in entries {
                match serde_json::from_str(&entry.body) {
                    Ok(message) => messages.push(message),
                    // A later version's message must not stop this one for ever; what it meant is in the log.
                    Err(error) => {
                        tracing::warn!(instance = %self.id, seq = entry.seq, %error, "an inbox message cannot be read, and is passed over");
                    }
                }
            }
            self.inbox_read = last;
            self.inbox_head = self.inbox_head.max(last);
        }
        if !messages.is_empty() {
            self.decide(messages);
        }
        Ok(())
    }

    /// Lets the workflow decide about messages, or about an appointment that has come.
    fn decide(&mut self, messages: Vec<W::Message>) {
        let now = self.engine.clock.now();
        let mut writes = Writes::default();
        let is_kept = messages.is_empty();
        let decision = self.engine.workflow.decide(
            &mut self.record.data,
            self.record.progress.as_ref(),
            messages,
            now,
            &mut writes,
        );
        self.keep(writes, now);
        // What was done about an appointment is in the data: it is not asked about again.
        self.pending.dirty |= is_kept;
        match decision {
            Decision::Continue => {}
            Decision::Unwind(cause) => {
                if let Some(progress) = &mut self.record.progress {
                    progress.unwind(cause, now);
                    self.pending.dirty = true;
                }
            }
            Decision::Resume => {
                if let Some(progress) = &mut self.record.progress {
                    progress.resume(now);
                    self.halt_told = false;
                    self.pending.dirty = true;
                }
            }
            Decision::Begin(plan) => self.begin(&plan, 0, now),
            Decision::BeginAfter(plan, done) => self.begin(&plan, done, now),
            Decision::Drop => {
                self.record.progress = None;
                self.pending.dirty = true;
            }
        }
    }

    fn begin(&mut self, plan: &Plan, done: usize, now: Timestamp) {
        let mut progress = plan.begin(now);
        progress.at = done;
        self.record.progress = Some(progress);
        self.halt_told = false;
        self.note(
            now,
            Happening::Began {
                saga: plan.saga.to_owned(),
            },
        );
        self.pending.dirty = true;
    }

    fn note(&mut self, at: Timestamp, what: Happening) {
        self.pending.history.push(HistoryEntry {
            at,
            attempt: self.engine.workflow.attempt(&self.record.data),
            what,
        });
    }

    /// Puts a step's or a decision's writes with what the next commit takes along.
    fn keep(&mut self, writes: Writes, now: Timestamp) {
        let Writes {
            reserve,
            release,
            outbox,
            notes,
        } = writes;
        for text in notes {
            self.note(now, Happening::Note { text });
        }
        self.pending.dirty |= !(reserve.is_empty() && release.is_empty() && outbox.is_empty());
        self.pending.writes.reserve.extend(reserve);
        self.pending.writes.release.extend(release);
        self.pending.writes.outbox.extend(outbox);
    }

    /// Calls the step at hand, its intent written first. Gives when to call it again, if it is not done.
    async fn call(&mut self, name: &str, way: Way) -> Result<Option<Timestamp>> {
        let engine = self.engine.clone();
        let Some(step) = engine.workflow.step(name) else {
            return Ok(None);
        };
        let undo = way == Way::Undo;
        let timeout = step.timeout().min(limits::STEP_TIMEOUT);
        let is_first = !self.progress()?.begun;
        if is_first {
            let now = engine.clock.now();
            let progress = self.progress_mut()?;
            progress.begun = true;
            progress.begin(now);
            let step = name.to_owned();
            self.note(now, Happening::Started { step, undo });
        }
        // The intent comes before the effect. And where it was another driver's, only the new holder of the lease may go on from it.
        if is_first && step.has_effect() || self.held_since.is_none() {
            self.commit(self.working_lease()).await?;
        }
        if self.lease_left() < timeout + limits::LEASE_MARGIN {
            self.commit(LeaseChange::Renew).await?;
            if self.lease_left() < timeout + limits::LEASE_MARGIN {
                return Err(Stop::Store(Failure::new(
                    Code::StoreUnavailable,
                    "the registry takes so long that a lease is over before it can be used",
                )));
            }
        }
        if self.inbox_head > self.inbox_read {
            return Ok(None);
        }

        let before = self.record.data.clone();
        let mut writes = Writes::default();
        let now = engine.clock.now();
        let progress = self.progress_mut()?;
        progress.attend(now);
        let (since, unattended, tries) = (progress.since, progress.unattended, progress.tries);
        let mut context = Context {
            id: &self.id,
            now,
            since,
            unattended,
            tries,
            writes: &mut writes,
        };
        let data = &mut self.record.data;
        let call = async {
            if undo {
                step.undo(&mut context, data).await
            } else {
                step.run(&mut context, data).await
            }
        };
        let outcome = match tokio::time::timeout(timeout, AssertUnwindSafe(call).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Outcome::Fail(Failure::internal(format!(
                "step {name} panicked: {}",
                panic_text(panic.as_ref())
            ))),
            Err(_) => Outcome::Retry(Failure::new(
                Code::StepTimeout,
                format!("step {name} did not return within {timeout:?}"),
            )),
        };
        Ok(self.take_outcome(name, undo, outcome, before, writes))
    }

    /// Takes a step's outcome into the record.
    fn take_outcome(
        &mut self,
        name: &str,
        undo: bool,
        outcome: Outcome,
        before: W::Data,
        mut writes: Writes,
    ) -> Option<Timestamp> {
        let now = self.engine.clock.now();
        let step = name.to_owned();
        match &outcome {
            Outcome::Done => {
                let since = self.record.progress.as_ref().map_or(now, |progress| progress.since);
                let millis = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
                self.note(now, Happening::Done { step, undo, millis });
            }
            Outcome::Wait { why, .. } => {
                if self
                    .record
                    .progress
                    .as_ref()
                    .is_some_and(|progress| progress.waits_for.as_ref() != Some(why))
                {
                    self.note(
                        now,
                        Happening::Waits {
                            step,
                            undo,
                            why: why.clone(),
                        },
                    );
                }
            }
            Outcome::Retry(cause) | Outcome::Fail(cause) => {
                let last = matches!(outcome, Outcome::Fail(_))
                    || self.record.progress.as_ref().is_some_and(Progress::is_last_try);
                tracing::info!(instance = %self.id, step = name, undo, code = %cause.code, error = %cause.message, last, "a step failed");
                self.note(
                    now,
                    Happening::Failed {
                        step,
                        undo,
                        last,
                        cause: cause.clone(),
                    },
                );
                self.record.data = before;
            }
        }
        if !matches!(outcome, Outcome::Done) {
            writes = Writes {
                notes: writes.notes,
                ..Writes::default()
            };
        }
        self.keep(writes, now);
        self.pending.dirty = true;
        if let Some((plan, done)) = self.again(&outcome) {
            self.begin(&plan, done, now);
            return None;
        }
        let chance = self.engine.chance();
        match self.record.progress.as_mut()?.apply(outcome, now, chance) {
            After::Next => None,
            After::Sleep(until) => Some(until),
        }
    }

    /// What the workflow would rather begin than undo what this outcome ends.
    fn again(&self, outcome: &Outcome) -> Option<(Plan, usize)> {
        let progress = self.record.progress.as_ref()?;
        let cause = match outcome {
            Outcome::Fail(cause) => cause,
            Outcome::Retry(cause) if progress.is_last_try() => cause,
            _ => return None,
        };
        let turns = progress.on_failure == OnFailure::Unwind && !progress.is_undoing();
        turns
            .then(|| self.engine.workflow.again(&self.record.data, progress, cause))
            .flatten()
    }

    /// A saga is over: the workflow says what that means.
    async fn end(&mut self, ending: &Ending) -> Result<Option<Drove>> {
        let now = self.engine.clock.now();
        let saga = self.progress()?.saga.clone();
        let mut writes = Writes::default();
        let next = self
            .engine
            .workflow
            .ended(&mut self.record.data, &saga, ending, now, &mut writes);
        self.keep(writes, now);
        self.pending.dirty = true;
        if matches!(ending, Ending::Halted { .. }) {
            self.halt_told = true;
        } else {
            self.record.progress = None;
        }
        match next {
            Next::Begin(plan) => {
                self.begin(&plan, 0, now);
                Ok(None)
            }
            Next::Rest if self.appointment().is_some_and(|at| at <= now) => Ok(None),
            Next::Rest => self.rest(None).await,
        }
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
