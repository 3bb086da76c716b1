//! One driver on one instance: reads, lets the pure core decide, calls steps, commits. The acting rim.
//!
//! What holds here, and nowhere else has to be looked for:
//! - A step with an effect is called only after its intent was committed with our lease.
//! - Whatever the last commit's answer said of the inbox is read before the next step is called.
//! - Outcomes without effects ride along with the next commit (`pending`).
//! - After `Fenced` nothing more is called and nothing more is written.

use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, Failure, InstanceId, Timestamp};

use crate::{
    engine::{Inner, Slot},
    limits,
    plan::{Action, After},
    record::{Ending, Progress, Record, Way},
    step::{Context, Outcome, Writes},
    store::{
        Batch, CommitError, Committed, Expect, Happening, HistoryEntry, Lease, LeaseChange, RecordWrite, Stored, Wake,
    },
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
    /// The inbox position that the next commit reports as dealt with.
    consumed: Option<u64>,
    pending: Pending,
}

/// What the next commit takes along.
#[derive(Default)]
struct Pending {
    dirty: bool,
    writes: Writes,
    history: Vec<HistoryEntry>,
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
            record,
            id: stored.id,
            lease: stored.lease,
            held_since: None,
            wake: stored.wake,
            inbox_head: stored.inbox_head,
            inbox_read: stored.inbox_read,
            consumed: None,
            pending: Pending::default(),
            engine,
            slot,
        })
    }

    /// Goes on with an instance that was claimed a moment ago by this very driver.
    pub(crate) fn claimed(
        engine: Arc<Inner<W>>,
        slot: Arc<Slot>,
        id: InstanceId,
        record: Record<W::Data>,
        committed: Committed,
        wake: Wake,
    ) -> Self {
        Self {
            state: engine.workflow.index(&record.data).state,
            committed: record.clone(),
            record,
            id,
            lease: committed.lease,
            held_since: Some(Instant::now()),
            wake: Some(wake),
            inbox_head: committed.inbox_head,
            inbox_read: 0,
            consumed: None,
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
                Err(Stop::Reload) => {
                    reloads += 1;
                    if reloads > limits::TRIES {
                        return Drove::Broken(Failure::new(
                            Code::StoreUnavailable,
                            "the store keeps losing its answers",
                        ));
                    }
                    match self.engine.store.load(&self.id).await {
                        Ok(Some(stored)) => match Self::stored(self.engine.clone(), self.slot.clone(), stored) {
                            Ok(fresh) => self = fresh,
                            Err(failure) => return Drove::Broken(failure),
                        },
                        Ok(None) => return Drove::Unknown,
                        Err(error) => return Drove::Broken(error.failure),
                    }
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<Drove> {
        // A record at rest that is due is asked once, also without messages.
        let mut ask = self.record.progress.is_none();
        loop {
            if self.inbox_head > self.inbox_read || ask {
                ask = false;
                self.read_inbox().await?;
                continue;
            }
            let Some(progress) = self
                .record
                .progress
                .as_ref()
                .filter(|progress| progress.halted.is_none())
            else {
                match self.rest(None).await? {
                    Some(drove) => return Ok(drove),
                    None => continue,
                }
            };
            match progress.action() {
                Action::Call { step, way } => {
                    if self.engine.workflow.step(&step).is_none() {
                        return Ok(Drove::Lacks { step });
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
            self.consumed = Some(last);
        }
        let now = self.engine.clock.now();
        let mut writes = Writes::default();
        let decision = self.engine.workflow.decide(
            &mut self.record.data,
            self.record.progress.as_ref(),
            messages,
            now,
            &mut writes,
        );
        self.keep(writes, now);
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
                    self.pending.dirty = true;
                }
            }
            Decision::Begin(plan) => self.begin(&plan, now),
            Decision::Drop => {
                self.record.progress = None;
                self.pending.dirty = true;
            }
        }
        Ok(())
    }

    fn begin(&mut self, plan: &Plan, now: Timestamp) {
        self.record.progress = Some(plan.begin(now));
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
        let now = engine.clock.now();
        if !self.progress()?.begun {
            let progress = self.progress_mut()?;
            progress.begun = true;
            progress.since = now;
            self.note(
                now,
                Happening::Started {
                    step: name.to_owned(),
                    undo,
                },
            );
            if step.has_effect() {
                self.pending.dirty = true;
                self.commit(self.working_lease(), None).await?;
            }
        } else if step.has_effect() && self.held_since.is_none() {
            // The intent is another driver's: only as the holder of the lease may its effect be repeated.
            self.commit(self.working_lease(), None).await?;
        }
        if self.inbox_head > self.inbox_read {
            return Ok(None);
        }
        if step.has_effect() && self.lease_left() < step.timeout() + limits::LEASE_MARGIN {
            self.commit(LeaseChange::Renew, None).await?;
        }

        let before = self.record.data.clone();
        let mut writes = Writes::default();
        let (since, tries) = (self.progress()?.since, self.progress()?.tries);
        let mut context = Context {
            id: &self.id,
            now: engine.clock.now(),
            since,
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
        let outcome = match tokio::time::timeout(step.timeout(), AssertUnwindSafe(call).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Outcome::Fail(Failure::internal(format!(
                "step {name} panicked: {}",
                panic_text(panic.as_ref())
            ))),
            Err(_) => Outcome::Retry(Failure::new(
                Code::StepTimeout,
                format!("step {name} did not return within {:?}", step.timeout()),
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
                let last = matches!(outcome, Outcome::Fail(_));
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
        let chance = self.engine.chance();
        match self.record.progress.as_mut()?.apply(outcome, now, chance) {
            After::Next => None,
            After::Sleep(until) => Some(until),
        }
    }

    /// Waits until then: a short wait here, with the lease; a longer one as data. `None`: look again now.
    async fn sleep(&mut self, until: Timestamp) -> Result<Option<Drove>> {
        let left = until.since(self.engine.clock.now());
        if left > self.engine.linger || self.engine.stopping.is_cancelled() {
            return self.rest(Some(until)).await;
        }
        // What a step made is not left unwritten for longer than it would take to write it.
        if left > UNWRITTEN_AT_MOST && self.pending.dirty {
            self.commit(self.working_lease(), None).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = self.slot.notified() => self.look_at_head().await?,
        }
        Ok(None)
    }

    /// Something poked us: a message may have come.
    async fn look_at_head(&mut self) -> Result<()> {
        let entries = self
            .engine
            .store
            .inbox(&self.id, self.inbox_read, 1)
            .await
            .map_err(|e| Stop::Store(e.failure))?;
        if let Some(entry) = entries.first() {
            self.inbox_head = self.inbox_head.max(entry.seq);
        }
        Ok(())
    }

    /// Writes what is pending, lets the lease go, and rests: until a time, or until a message comes. `None`: something came meanwhile.
    async fn rest(&mut self, until: Option<Timestamp>) -> Result<Option<Drove>> {
        let due_is_over = self.wake.is_some() && until.is_none();
        if self.pending.dirty || self.consumed.is_some() || self.held_since.is_some() || until.is_some() || due_is_over
        {
            self.wake = until.map(|at| {
                self.record.wake_seq += 1;
                Wake {
                    at,
                    seq: self.record.wake_seq,
                }
            });
            match self.commit_once(LeaseChange::Release, Some(self.inbox_read)).await {
                Ok(()) => {}
                Err(CommitError::InboxMoved) => {
                    self.look_at_head().await?;
                    return Ok(None);
                }
                Err(error) => self.handle(error)?,
            }
            if self.pending.dirty {
                // The commit was refused and the record fell back: there is more to do.
                return Ok(None);
            }
        }
        match self.wake {
            Some(wake) => {
                self.engine.waker.wake(&self.id, wake.at, wake.seq).await;
                Ok(Some(Drove::Sleeps(wake.at)))
            }
            None => Ok(Some(Drove::Rests)),
        }
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
        if !matches!(ending, Ending::Halted { .. }) {
            self.record.progress = None;
        }
        match next {
            Next::Begin(plan) => {
                self.begin(&plan, now);
                Ok(None)
            }
            Next::Rest => self.rest(None).await,
            Next::RestUntil(at) => self.rest(Some(at)).await,
        }
    }

    /// Commits; a store that fails for a moment is tried again while the lease lasts.
    async fn commit(&mut self, lease: LeaseChange, inbox_at: Option<u64>) -> Result<()> {
        let mut pause = limits::RETRY_FIRST;
        loop {
            match self.commit_once(lease.clone(), inbox_at).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Store(error))
                    if error.failure.code.is_passing()
                        && self.held_since.is_some()
                        && self.lease_left() > limits::LEASE_MARGIN + pause =>
                {
                    tracing::warn!(instance = %self.id, error = %error.failure, "the store refused a write; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(limits::RETRY_LONGEST);
                }
                Err(error) => return self.handle(error),
            }
        }
    }

    fn handle(&mut self, error: CommitError) -> Result<()> {
        match error {
            CommitError::Fenced | CommitError::Exists | CommitError::TooMany { .. } => Err(Stop::Fenced),
            CommitError::InboxMoved | CommitError::Unknown(_) => Err(Stop::Reload),
            CommitError::Store(error) => Err(Stop::Store(error.failure)),
            CommitError::Taken { kind, key, by } => {
                self.refused(
                    Failure::new(Code::ResourceForeign, format!("{kind} {key} belongs to {}", by.owner))
                        .hint("`wharf repair` shows who holds what"),
                );
                Ok(())
            }
            CommitError::NotHeld { kind, key } => {
                self.refused(Failure::internal(format!("{kind} {key} is not held by {}", self.id)));
                Ok(())
            }
        }
    }

    /// What the steps since the last commit wanted to reserve is another's: back to the last commit, and from there to undoing.
    fn refused(&mut self, cause: Failure) {
        let now = self.engine.clock.now();
        self.record = self.committed.clone();
        self.pending = Pending {
            dirty: true,
            ..Pending::default()
        };
        let step = self
            .record
            .progress
            .as_ref()
            .and_then(|progress| progress.current())
            .map_or_else(String::new, |planned| planned.step.clone());
        self.note(
            now,
            Happening::Failed {
                step,
                undo: false,
                last: true,
                cause: cause.clone(),
            },
        );
        if let Some(progress) = &mut self.record.progress {
            progress.apply(Outcome::Fail(cause), now, 0);
        }
    }

    async fn commit_once(&mut self, lease: LeaseChange, inbox_at: Option<u64>) -> std::result::Result<(), CommitError> {
        let index = self.engine.workflow.index(&self.record.data);
        let now = self.engine.clock.now();
        if index.state != self.state {
            let cause = self.engine.workflow.cause(&self.record.data);
            self.note(
                now,
                Happening::State {
                    state: index.state.to_owned(),
                    cause,
                },
            );
            self.state = index.state;
            self.pending.dirty = true;
        }
        if matches!(lease, LeaseChange::Take { .. }) && self.wake.is_none_or(|wake| wake.at > now + limits::LEASE) {
            // Should we die, the sweep finds it.
            self.wake = Some(Wake {
                at: now + limits::LEASE + limits::LEASE_MARGIN,
                seq: self.record.wake_seq,
            });
        }
        let state_changed = index.state;
        let batch = Batch {
            inbox_at,
            record: Some(RecordWrite {
                body: serde_json::to_string(&self.record)
                    .map_err(|error| CommitError::Unknown(Failure::internal(error.to_string())))?,
                index,
                wake: self.wake,
            }),
            consumed: self.consumed,
            reserve: self.pending.writes.reserve.clone(),
            release: self.pending.writes.release.clone(),
            history: self.pending.history.clone(),
            outbox: self.pending.writes.outbox.clone(),
            ..Batch::new(
                self.id.clone(),
                Expect::Lease {
                    epoch: self.lease.epoch,
                    renewals: self.lease.renewals,
                },
                lease.clone(),
            )
        };
        let asked_at = Instant::now();
        let committed = self.engine.store.commit(batch).await?;
        self.lease = committed.lease;
        self.inbox_head = self.inbox_head.max(committed.inbox_head);
        match lease {
            LeaseChange::Take { .. } | LeaseChange::Renew => self.held_since = Some(asked_at),
            LeaseChange::Release => self.held_since = None,
            LeaseChange::Keep => {}
        }
        self.consumed = None;
        self.pending = Pending::default();
        self.committed.clone_from(&self.record);
        self.engine
            .observer
            .committed(&self.id, &self.record.data, state_changed);
        Ok(())
    }

    /// The lease change of a commit that goes on working: taken if it is not ours, renewed when half of it is gone.
    fn working_lease(&self) -> LeaseChange {
        match self.held_since {
            None => LeaseChange::Take {
                holder: self.engine.holder.clone(),
            },
            Some(_) if self.lease_left() < limits::LEASE / 2 => LeaseChange::Renew,
            Some(_) => LeaseChange::Keep,
        }
    }

    fn lease_left(&self) -> Duration {
        self.held_since
            .map_or(Duration::ZERO, |since| limits::LEASE.saturating_sub(since.elapsed()))
    }

    fn progress(&self) -> Result<&Progress> {
        self.record.progress.as_ref().ok_or(Stop::Reload)
    }

    fn progress_mut(&mut self) -> Result<&mut Progress> {
        self.record.progress.as_mut().ok_or(Stop::Reload)
    }
}

/// An outcome may stay unwritten during a wait that is shorter than about ten commits.
const UNWRITTEN_AT_MOST: Duration = Duration::from_millis(25);

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
