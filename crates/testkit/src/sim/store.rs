//! A registry in memory: the same semantics as the real ones, the same answers for the same calls, and faults to order.
//!
//! It outlives the engines that use it, as a file does: a test "crashes" by dropping an engine and starting another on the
//! same store, after [`SimStore::restart`]. No hash order, no clock, no threads of its own.

mod contents;

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_saga::store::{
    Batch, CommitError, Committed, Count, Due, InboxEntry, Kind, Mails, Numbered, Pending, Posted, Query, Reservation,
    Settle, Store, StoreError, Stored, Survey,
};

use contents::Contents;

/// What goes wrong with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the caller is told so (`store.unavailable`).
    Before,
    /// Nothing is written: the disk is full (`store.full`).
    Full,
    /// It is written, and the answer is lost: [`CommitError::Unknown`].
    LoseAnswer,
    /// Nothing is written, and the answer is lost: the caller cannot tell it from [`Fault::LoseAnswer`].
    LoseRequest,
}

/// The simulated registry.
#[derive(Debug, Default)]
pub struct SimStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    contents: Contents,
    /// For the writes to come, in order: what goes wrong with each.
    faults: VecDeque<Option<Fault>>,
    /// For every write after those.
    always: Option<Fault>,
    latency: Duration,
    commits: u64,
}

impl SimStore {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The n-th write from now (1: the next one) goes wrong like this. Writes are `commit`, `append`, `settle` and `tidy`.
    pub fn fail_nth(&self, n: usize, fault: Fault) {
        let mut state = self.state.lock();
        let index = n.saturating_sub(1);
        if state.faults.len() <= index {
            state.faults.resize(index + 1, None);
        }
        state.faults[index] = Some(fault);
    }

    /// From now on every write goes wrong like this; `None`: no more. Faults ordered by [`Self::fail_nth`] come first.
    pub fn fail_always(&self, fault: Option<Fault>) {
        self.state.lock().always = fault;
    }

    /// Every call takes this long by tokio's clock (which a test pauses). Nothing by default.
    pub fn set_latency(&self, latency: Duration) {
        self.state.lock().latency = latency;
    }

    /// How many writes were carried out. A batch that was refused, or failed before it was written, is none.
    pub fn commits(&self) -> u64 {
        self.state.lock().commits
    }

    /// The process that used the store is dead, and another opens it: leases are free (epochs stay), and what was held is due now.
    pub fn restart(&self, now: Timestamp) {
        self.state.lock().contents.free_all(now);
    }

    /// Every reservation of anybody: what a test looks through for leftovers.
    pub fn reservations(&self) -> Vec<(Kind, String, Reservation)> {
        let state = self.state.lock();
        let all = state.contents.reservations.iter();
        all.map(|((kind, key), reservation)| (*kind, key.clone(), reservation.clone()))
            .collect()
    }

    /// A reservation as it stands, for whoever may not wait.
    pub fn reservation_now(&self, kind: Kind, key: &str) -> Option<Reservation> {
        let state = self.state.lock();
        state.contents.reservations.get(&(kind, key.to_owned())).cloned()
    }

    /// Whether a driver holds the instance's lease, dead or alive.
    pub(crate) fn is_held(&self, id: &InstanceId) -> bool {
        let state = self.state.lock();
        let instance = state.contents.instances.get(id);
        instance.is_some_and(|instance| instance.stored(id).lease.holder.is_some())
    }

    /// Every mail that was ever put and not tidied away, also those that were sent or given up.
    pub fn mails(&self) -> Vec<Pending> {
        let state = self.state.lock();
        state.contents.mails.iter().map(|mail| mail.pending.clone()).collect()
    }

    async fn delay(&self) {
        let latency = self.state.lock().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    async fn read<T>(&self, read: impl FnOnce(&Contents) -> T) -> T {
        self.delay().await;
        read(&self.state.lock().contents)
    }

    /// Carries out a write, or lets it go wrong as was ordered.
    async fn write<T>(&self, write: impl FnOnce(&mut Contents) -> Result<T, CommitError>) -> Result<T, CommitError> {
        self.delay().await;
        let mut state = self.state.lock();
        let fault = match state.faults.pop_front() {
            Some(fault) => fault,
            None => state.always,
        };
        let refuse = |code, message| Err(StoreError::new(code, message).into());
        match fault {
            Some(Fault::Before) => return refuse(Code::StoreUnavailable, "the write was refused, as was ordered"),
            Some(Fault::Full) => return refuse(Code::StoreFull, "the disk is full, as was ordered"),
            Some(Fault::LoseRequest) => return Err(lost()),
            Some(Fault::LoseAnswer) | None => {}
        }
        let written = write(&mut state.contents)?;
        state.commits += 1;
        if fault.is_some() { Err(lost()) } else { Ok(written) }
    }
}

fn lost() -> CommitError {
    CommitError::Unknown(Failure::new(
        Code::StoreUnavailable,
        "the answer was lost, as was ordered",
    ))
}

/// A write that is no batch has one kind of error.
fn without_conditions(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        CommitError::Unknown(failure) => StoreError { failure },
        refusal => StoreError {
            failure: Failure::internal(format!("a write without conditions was refused: {refusal}")),
        },
    }
}

#[async_trait]
impl Store for SimStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, CommitError> {
        self.write(|contents| contents.commit(batch)).await
    }

    async fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError> {
        Ok(self
            .read(|contents| contents.instances.get(id).map(|instance| instance.stored(id)))
            .await)
    }

    async fn append(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        self.write(|contents| {
            let instance = contents.instances.get_mut(id);
            Ok(instance.map(|instance| instance.append(body, key, now)))
        })
        .await
        .map_err(without_conditions)
    }

    async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError> {
        Ok(self.read(|contents| contents.inbox(id, after, limit)).await)
    }

    async fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError> {
        Ok(self
            .read(|contents| contents.reservations.get(&(kind, key.to_owned())).cloned())
            .await)
    }

    async fn reservations_of(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError> {
        self.delay().await;
        let mut all = self.reservations();
        all.retain(|(_, _, reservation)| reservation.owner == *owner);
        Ok(all)
    }

    async fn free_port(&self, range: RangeInclusive<u16>, now: Timestamp) -> Result<Option<u16>, StoreError> {
        self.delay().await;
        let mut state = self.state.lock();
        Ok(state.contents.offer_port(*range.start(), *range.end(), now))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        Ok(self.read(|contents| contents.due(now, limit)).await)
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        Ok(self.read(|contents| contents.list(&query)).await)
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        Ok(self.read(Contents::counts).await)
    }

    async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        Ok(self.read(|contents| contents.history(id, after, limit)).await)
    }

    async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        Ok(self.read(|contents| contents.outbox(now, limit)).await)
    }

    async fn settle(&self, mail: &str, settle: Settle) -> Result<(), StoreError> {
        self.write(|contents| {
            contents.settle(mail, &settle);
            Ok(())
        })
        .await
        .map_err(without_conditions)
    }

    async fn posted(&self, from: Option<String>, limit: usize) -> Result<Mails, StoreError> {
        let from = match &from {
            Some(from) => from.parse().map_err(|_| StoreError::no_such_place(from))?,
            None => 0,
        };
        Ok(self.read(|contents| contents.mails(from, limit)).await)
    }

    async fn mail(&self, id: &str) -> Result<Option<Posted>, StoreError> {
        Ok(self.read(|contents| contents.mail(id)).await)
    }

    async fn survey(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        Ok(self.read(|contents| contents.survey(from.as_deref(), limit)).await)
    }

    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write(|contents| Ok(contents.tidy(now)))
            .await
            .map_err(without_conditions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::store::Fixture;
    use std::sync::Arc;
    use wharf_saga::store::{Expect, Index, LeaseChange, RecordWrite, Wake};

    async fn make() -> Fixture {
        Fixture::new(Arc::new(SimStore::new()), ())
    }

    mod contract {
        crate::store_contract!(super::make);
    }

    const NOW: Timestamp = Timestamp(1_000_000);

    fn claim(n: u64, wake_at: u64) -> Batch {
        let index = Index {
            name: None,
            service: "shop".to_owned(),
            state: "queued",
            live: true,
        };
        let wake = Some(Wake {
            at: Timestamp(wake_at),
            seq: 1,
        });
        Batch {
            record: Some(RecordWrite {
                body: "{}".to_owned(),
                index,
                wake,
            }),
            ..Batch::new(
                InstanceId::new(Timestamp(n), [0; 10]),
                Expect::Absent,
                LeaseChange::Take {
                    holder: "one".to_owned(),
                },
            )
        }
    }

    #[tokio::test]
    async fn a_fault_before_the_commit_writes_nothing() {
        let store = SimStore::new();
        store.fail_nth(2, Fault::Before);
        store.commit(claim(1, 0)).await.expect("the first one is well");
        let refused = store.commit(claim(2, 0)).await;
        assert!(matches!(refused, Err(CommitError::Store(_))), "{refused:?}");
        assert_eq!(store.commits(), 1);
        store.commit(claim(2, 0)).await.expect("nothing of it was written");
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_write_and_a_lost_request_does_not() {
        let store = SimStore::new();
        for (n, fault, written) in [(1, Fault::LoseAnswer, true), (2, Fault::LoseRequest, false)] {
            store.fail_nth(1, fault);
            let unknown = store.commit(claim(n, 0)).await;
            assert!(matches!(unknown, Err(CommitError::Unknown(_))), "{unknown:?}");
            let id = InstanceId::new(Timestamp(n), [0; 10]);
            assert_eq!(store.load(&id).await.expect("load").is_some(), written);
        }
        assert_eq!(store.commits(), 1);
    }

    #[tokio::test]
    async fn a_full_disk_refuses_all_writes_until_there_is_room() {
        let store = SimStore::new();
        store.fail_always(Some(Fault::Full));
        for n in 1..4 {
            match store.commit(claim(n, 0)).await {
                Err(CommitError::Store(error)) => assert_eq!(error.failure.code, Code::StoreFull),
                other => panic!("{other:?}"),
            }
        }
        store.fail_always(None);
        store.commit(claim(1, 0)).await.expect("there is room");
    }

    #[tokio::test]
    async fn a_restart_frees_leases_and_makes_due_what_was_held() {
        let store = SimStore::new();
        let late = NOW.0 + 30_000;
        store.commit(claim(1, late)).await.expect("claim");
        let asleep = Batch {
            lease: LeaseChange::Keep,
            ..claim(2, late)
        };
        store.commit(asleep).await.expect("claim");
        store.restart(NOW);
        let due = store.due(NOW, 10).await.expect("due");
        assert_eq!(due.len(), 1, "what sleeps keeps its time");
        let held = store.load(&due[0].id).await.expect("load").expect("record");
        assert_eq!((held.lease.epoch, held.lease.holder), (1, None));
    }
}
