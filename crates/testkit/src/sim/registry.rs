//! The registry as one process sees it: every call passes the process's gate and stands in the trace. What goes wrong with a
//! write is ordered from the store itself.

use async_trait::async_trait;
use std::{fmt::Display, ops::RangeInclusive, sync::Arc};
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::store::{
    Batch, CommitError, Committed, Count, Due, Happening, InboxEntry, Kind, LeaseChange, Numbered, Pending, Query,
    Reservation, Settle, Store, StoreError, Stored, Survey,
};

use super::{SimStore, SimWorld, calls::Calls};

pub(crate) struct SimRegistry {
    store: Arc<SimStore>,
    calls: Calls,
}

impl SimRegistry {
    pub(crate) const fn new(store: Arc<SimStore>, calls: Calls) -> Self {
        Self { store, calls }
    }

    /// A call that goes through the gate, both ways.
    async fn through<T, E: Display>(
        &self,
        call: &'static str,
        what: impl Display,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = self.calls.enter(call).await;
        let result = work.await;
        let outcome = match &result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        self.calls.leave(begun, what, outcome).await;
        result
    }
}

/// A batch in one line.
fn shown(batch: &Batch) -> String {
    let lease = match &batch.lease {
        LeaseChange::Keep => "keep",
        LeaseChange::Take { .. } => "take",
        LeaseChange::Renew => "renew",
        LeaseChange::Release => "release",
    };
    let mut parts = vec![format!("{} {lease}", batch.instance)];
    if let Some(record) = &batch.record {
        parts.push(record.index.state.to_owned());
    }
    parts.extend(batch.history.iter().map(|entry| happening(&entry.what)));
    parts.extend(batch.reserve.iter().map(|reserve| format!("+{}", reserve.kind)));
    parts.extend(batch.release.iter().map(|release| format!("-{}", release.kind)));
    parts.extend(batch.outbox.iter().map(|mail| format!("mail {}", mail.id)));
    parts.join(", ")
}

fn happening(what: &Happening) -> String {
    let undo = |undo: &bool| if *undo { "undo " } else { "" };
    match what {
        Happening::Began { saga } => format!("began {saga}"),
        Happening::Started { step, undo: way } => format!("started {}{step}", undo(way)),
        Happening::Done { step, undo: way, .. } => format!("done {}{step}", undo(way)),
        Happening::Waits { step, undo: way, .. } => format!("waits {}{step}", undo(way)),
        Happening::Failed {
            step, undo: way, cause, ..
        } => format!("failed {}{step} {}", undo(way), cause.code),
        Happening::State { state, .. } => format!("state {state}"),
        Happening::Note { text } => format!("note {text:?}"),
    }
}

#[async_trait]
impl Store for SimRegistry {
    async fn commit(&self, batch: Batch) -> Result<Committed, CommitError> {
        let what = shown(&batch);
        let body = batch.record.as_ref().map(|record| record.body.clone());
        let id = batch.instance.clone();
        let result = self.through("store.commit", what, async {
            let result = self.store.commit(batch).await;
            if let (Ok(_), Some(body)) = (&result, body) {
                self.calls.world.state().journal.push((id, body));
            }
            result
        });
        result.await
    }

    async fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError> {
        self.through("store.load", id, self.store.load(id)).await
    }

    async fn append(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let what = format!("{id} {body}");
        self.through("store.append", what, self.store.append(id, body, key, now))
            .await
    }

    async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError> {
        self.through("store.inbox", id, self.store.inbox(id, after, limit))
            .await
    }

    async fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError> {
        self.through("store.reservation", kind, self.store.reservation(kind, key))
            .await
    }

    async fn reservations_of(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError> {
        self.through("store.reservations_of", owner, self.store.reservations_of(owner))
            .await
    }

    async fn free_port(&self, range: RangeInclusive<u16>, now: Timestamp) -> Result<Option<u16>, StoreError> {
        let what = format!("{}-{}", range.start(), range.end());
        self.through("store.free_port", what, self.store.free_port(range, now))
            .await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.through("store.due", "", self.store.due(now, limit)).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.through("store.list", "", self.store.list(query)).await
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.through("store.counts", "", self.store.counts()).await
    }

    async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        self.through("store.history", id, self.store.history(id, after, limit))
            .await
    }

    async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        self.through("store.outbox", "", self.store.outbox(now, limit)).await
    }

    async fn settle(&self, mail: &str, settle: Settle) -> Result<(), StoreError> {
        self.through("store.settle", mail, self.store.settle(mail, settle))
            .await
    }

    async fn survey(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        self.through("store.survey", "", self.store.survey(from, limit)).await
    }

    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.through("store.tidy", "", self.store.tidy(now)).await
    }
}

impl SimWorld {
    /// Every body that was committed for an instance, the oldest first.
    #[must_use]
    pub fn journal(&self, id: &InstanceId) -> Vec<String> {
        let state = self.state();
        let bodies = state.journal.iter().filter(|(whose, _)| whose == id);
        bodies.map(|(_, body)| body.clone()).collect()
    }
}
