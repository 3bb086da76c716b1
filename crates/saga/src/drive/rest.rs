//! How a drive waits: a short time with the lease in its hands, a longer one as data that anybody may take up.

use std::time::Duration;
use wharf_domain::Timestamp;

use super::{Drive, Drove, Result, Stop};
use crate::{
    store::{CommitError, LeaseChange, Wake},
    workflow::Workflow,
};

/// An outcome may stay unwritten during a wait that is shorter than about ten commits.
const UNWRITTEN_AT_MOST: Duration = Duration::from_millis(25);

impl<W: Workflow> Drive<W> {
    /// Waits until then: a short wait here, with the lease; a longer one as data. `None`: look again now.
    pub(super) async fn sleep(&mut self, until: Timestamp) -> Result<Option<Drove>> {
        let left = until.since(self.engine.clock.now());
        if left > self.engine.linger || self.engine.stopping.is_cancelled() {
            return self.rest(Some(until)).await;
        }
        // What a step made is not left unwritten for longer than it would take to write it.
        if left > UNWRITTEN_AT_MOST && self.pending.dirty {
            self.commit(self.working_lease()).await?;
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(left) => {}
            () = self.slot.notified() => self.look_at_head().await?,
        }
        Ok(None)
    }

    /// Something poked us: a message may have come.
    pub(super) async fn look_at_head(&mut self) -> Result<()> {
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
    pub(super) async fn rest(&mut self, until: Option<Timestamp>) -> Result<Option<Drove>> {
        // One that has come was asked about; only a workflow that does not keep it has it still.
        let now = self.engine.clock.now();
        let until = until.or_else(|| self.appointment().filter(|at| *at > now));
        let has_news = self.pending.dirty || self.inbox_read > self.inbox_settled;
        if has_news || self.held_since.is_some() || until.is_some() || self.wake.is_some() {
            let wake = until.map(|at| {
                self.record.wake_seq += 1;
                Wake {
                    at,
                    seq: self.record.wake_seq,
                }
            });
            match self.write(LeaseChange::Release, Some(self.inbox_read), wake).await {
                Ok(()) => {}
                Err(CommitError::InboxMoved) => {
                    self.look_at_head().await?;
                    if self.inbox_head == self.inbox_read {
                        return Err(Stop::Reload);
                    }
                    return Ok(None);
                }
                Err(error) => return Err(self.stop(error)),
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

    /// When a record at rest wants to be asked again.
    pub(super) fn appointment(&self) -> Option<Timestamp> {
        let at_rest = self.record.progress.is_none();
        at_rest
            .then(|| self.engine.workflow.appointment(&self.record.data))
            .flatten()
    }
}
