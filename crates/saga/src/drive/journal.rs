//! How a drive writes: what a commit takes along, which lease it needs, and what a refusal means. No step is called from here.

use std::time::Duration;
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use super::{Drive, Pending, Result, Stop};
use crate::{
    limits,
    record::Progress,
    step::Outcome,
    store::{Batch, CommitError, Expect, Happening, Kind, LeaseChange, RecordWrite, Wake},
    workflow::Workflow,
};

impl<W: Workflow> Drive<W> {
    /// Commits, and goes on working.
    pub(super) async fn commit(&mut self, lease: LeaseChange) -> Result<()> {
        let wake = self.back_stop();
        match self.write(lease, None, Some(wake)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.stop(error)),
        }
    }

    /// Should we die at work, the sweep finds the instance then.
    fn back_stop(&self) -> Wake {
        let latest = self.engine.clock.now() + limits::LEASE + limits::LEASE_MARGIN;
        self.wake.filter(|wake| wake.at <= latest).unwrap_or(Wake {
            at: latest,
            seq: self.record.wake_seq,
        })
    }

    /// Commits; a store that fails for a moment is tried again while the lease lasts.
    pub(super) async fn write(
        &mut self,
        lease: LeaseChange,
        inbox_at: Option<u64>,
        wake: Option<Wake>,
    ) -> std::result::Result<(), CommitError> {
        let mut pause = limits::RETRY_FIRST;
        loop {
            match self.write_once(lease.clone(), inbox_at, wake).await {
                Err(CommitError::Store(error))
                    if error.failure.code.is_passing() && self.lease_left() > limits::LEASE_MARGIN + pause =>
                {
                    tracing::warn!(instance = %self.id, error = %error.failure, "the store refused a write; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(limits::RETRY_LONGEST);
                }
                result => return result,
            }
        }
    }

    async fn write_once(
        &mut self,
        lease: LeaseChange,
        inbox_at: Option<u64>,
        wake: Option<Wake>,
    ) -> std::result::Result<(), CommitError> {
        let index = self.engine.workflow.index(&self.record.data);
        let now = self.engine.clock.now();
        let documented = self.pending.documented || index.state != self.state;
        self.pending.documented = documented;
        if index.state != self.state {
            let cause = self.engine.workflow.cause(&self.record.data);
            let state = index.state.to_owned();
            self.note(now, Happening::State { state, cause });
            self.state = index.state;
            self.pending.dirty = true;
        }
        let batch = Batch {
            inbox_at,
            record: Some(RecordWrite {
                body: serde_json::to_string(&self.record)
                    .map_err(|error| CommitError::Unknown(Failure::internal(error.to_string())))?,
                index,
                wake,
            }),
            consumed: (self.inbox_read > self.inbox_settled).then_some(self.inbox_read),
            reserve: self.pending.writes.reserve.clone(),
            release: self.pending.writes.release.clone(),
            history: self.pending.history.clone(),
            outbox: self.pending.writes.outbox.clone(),
            documented: documented
                .then(|| self.engine.workflow.documented(&self.record.data))
                .flatten(),
            ..Batch::new(
                self.id.clone(),
                Expect::Lease {
                    epoch: self.lease.epoch,
                    renewals: self.lease.renewals,
                },
                lease.clone(),
            )
        };
        let history = batch.history.clone();
        let asked_at = Instant::now();
        let committed = self.engine.store.commit(batch).await?;
        self.lease = committed.lease;
        self.wake = wake;
        self.inbox_head = self.inbox_head.max(committed.inbox_head);
        self.inbox_settled = self.inbox_read;
        match lease {
            LeaseChange::Take { .. } | LeaseChange::Renew => self.held_since = Some(asked_at),
            LeaseChange::Release => self.held_since = None,
            LeaseChange::Keep => {}
        }
        self.pending = Pending::default();
        self.committed.clone_from(&self.record);
        self.engine.untold.lock().remove(&self.id);
        self.engine
            .observer
            .committed(&self.id, &self.record.data, self.state, &history);
        Ok(())
    }

    /// What a commit that was not made means for the drive.
    pub(super) fn stop(&mut self, error: CommitError) -> Stop {
        match error {
            CommitError::Fenced | CommitError::Exists | CommitError::TooMany { .. } => Stop::Fenced,
            CommitError::InboxMoved => Stop::Reload,
            CommitError::Unknown(_) => {
                self.engine.untold.lock().insert(self.id.clone());
                Stop::Reload
            }
            CommitError::Store(error) => Stop::Store(error.failure),
            CommitError::Taken { kind, key, by } => {
                // A platform gives an address to whom it likes, also before it has rested here: its task is of no use, and the next one has another.
                let code = match kind {
                    Kind::Endpoint => Code::TaskLost,
                    _ => Code::ResourceForeign,
                };
                self.fall_back(
                    Failure::new(code, format!("{kind} {key} belongs to {}", by.owner))
                        .hint("`wharf repair` shows who holds what"),
                );
                Stop::Refused
            }
            CommitError::NotHeld { kind, key } => {
                self.fall_back(Failure::internal(format!("{kind} {key} is not held by {}", self.id)));
                Stop::Refused
            }
        }
    }

    /// What the steps since the last commit wanted to reserve is another's: back to that commit, and from there to undoing.
    /// Messages that were read since are read again: what was decided about them is lost with the rest.
    fn fall_back(&mut self, cause: Failure) {
        let now = self.engine.clock.now();
        self.record = self.committed.clone();
        self.halt_told = self.record.is_halted();
        self.state = self.engine.workflow.index(&self.record.data).state;
        self.inbox_read = self.inbox_settled;
        self.pending = Pending {
            dirty: true,
            ..Pending::default()
        };
        let Some(progress) = &self.record.progress else {
            return;
        };
        let step = progress
            .current()
            .map_or_else(String::new, |planned| planned.step.clone());
        let undo = progress.unwinding.is_some();
        let last = true;
        self.note(
            now,
            Happening::Failed {
                step,
                undo,
                last,
                cause: cause.clone(),
            },
        );
        let outcome = Outcome::Fail(cause);
        if let Some((plan, done)) = self.again(&outcome) {
            self.begin(&plan, done, now);
        } else if let Some(progress) = &mut self.record.progress {
            progress.apply(outcome, now, 0);
        }
    }

    /// The lease change of a commit that goes on working: taken if it is not ours, and else renewed, however much of it is left. Each commit has to
    /// change the lease's numbers: whoever has read the record just before it, to take the lease over, has not read what it wrote.
    pub(super) fn working_lease(&self) -> LeaseChange {
        match self.held_since {
            None => LeaseChange::Take {
                holder: self.engine.holder.clone(),
            },
            Some(_) => LeaseChange::Renew,
        }
    }

    pub(super) fn lease_left(&self) -> Duration {
        self.held_since
            .map_or(Duration::ZERO, |since| limits::LEASE.saturating_sub(since.elapsed()))
    }

    pub(super) fn progress(&self) -> Result<&Progress> {
        self.record.progress.as_ref().ok_or(Stop::Reload)
    }

    pub(super) fn progress_mut(&mut self) -> Result<&mut Progress> {
        self.record.progress.as_mut().ok_or(Stop::Reload)
    }
}
