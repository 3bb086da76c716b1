//! The registry as one process sees it: every call passes the process's gate, meets what was ordered for it, and stands in the
//! trace.

use async_trait::async_trait;
use std::{
    fmt::Display,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_saga::store::{
    Batch, CommitError, Committed, Count, Due, Expect, Happening, InboxEntry, Kind, LeaseChange, Mails, Numbered,
    Pending, Posted, Query, Reservation, Settle, Store, StoreError, Stored, Survey,
};

use super::{
    Flaw, SimStore, SimWorld,
    calls::{Begun, Calls, ordered},
};

/// Of so many messages one is lost by [`Flaw::LosesMessages`].
const LOST_OF: u64 = 7;

pub(crate) struct SimRegistry {
    store: Arc<SimStore>,
    calls: Calls,
    appended: AtomicU64,
}

fn lost(code: Code) -> Failure {
    ordered(code, "the answer was lost")
}

fn refused(code: Code) -> StoreError {
    StoreError {
        failure: ordered(code, "the call was refused"),
    }
}

impl SimRegistry {
    pub(crate) const fn new(store: Arc<SimStore>, calls: Calls) -> Self {
        Self {
            store,
            calls,
            appended: AtomicU64::new(0),
        }
    }

    /// A call that changes nothing: through the gate, both ways.
    async fn read<T>(
        &self,
        call: &'static str,
        what: impl Display,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = self.calls.enter(call).await;
        let result = match begun.fate.refuse.or(begun.fate.lose) {
            Some(code) => Err(refused(code)),
            None => work.await,
        };
        self.leave(begun, what, &result).await;
        result
    }

    /// A call that writes and cannot leave its caller in doubt of more than whether it was done.
    async fn write<T: Send + 'static>(
        &self,
        call: &'static str,
        what: impl Display,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let begun = self.calls.enter(call).await;
        let fate = begun.fate;
        let result = if let Some(code) = fate.refuse {
            Err(refused(code))
        } else if let Some((after, code)) = fate.lands {
            self.land(after, call, what.to_string(), async move {
                let _ = work.await;
            });
            Err(StoreError { failure: lost(code) })
        } else {
            match (fate.lose, work.await) {
                (Some(code), Ok(_)) => Err(StoreError { failure: lost(code) }),
                (_, result) => result,
            }
        };
        self.leave(begun, what, &result).await;
        result
    }

    async fn leave<T, E: Display>(&self, begun: Begun, what: impl Display, result: &Result<T, E>) {
        match result {
            Ok(_) => self.calls.leave(begun, what, "ok").await,
            Err(error) => self.calls.leave(begun, what, error).await,
        }
    }

    /// Does so much later what was asked for, and tells nobody.
    fn land(&self, after: Duration, call: &'static str, what: String, work: impl Future<Output = ()> + Send + 'static) {
        let (world, name) = (self.calls.world.clone(), self.calls.gate.name.clone());
        world.state().on_their_way += 1;
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            world.note(&name, format_args!("{call} {what} lands"));
            work.await;
            world.state().on_their_way -= 1;
        });
    }

    /// A batch, as the mistake of this world has it written.
    async fn bend(&self, batch: &mut Batch) {
        let Some(flaw) = self.calls.world.flaw() else { return };
        let stored = self.store.load(&batch.instance).await.ok().flatten();
        match (flaw, &mut batch.expect) {
            (Flaw::SkipsFencing, Expect::Lease { epoch, renewals }) => {
                if let Some(stored) = stored {
                    (*epoch, *renewals) = (stored.lease.epoch, stored.lease.renewals);
                }
            }
            (Flaw::IgnoresInbox, _) => batch.inbox_at = None,
            (Flaw::SharesNames, _) => batch.reserve.retain(|reserve| reserve.kind != Kind::Name),
            (Flaw::ForgetsKeys, _) => batch.reserve.retain(|reserve| reserve.kind != Kind::Trigger),
            (Flaw::ForgetsAppointments, _) => {
                if let Some(record) = batch.record.as_mut().filter(|record| record.index.state == "ready") {
                    record.wake = None;
                }
            }
            (Flaw::NeverRests, _) => batch.release.iter_mut().for_each(|release| release.rest_until = None),
            _ => {}
        }
    }

    /// What [`Flaw::JournalsAfter`] answers instead of writing an intent.
    async fn skipped(&self, batch: &Batch) -> Option<Committed> {
        let is_intent = batch.lease == LeaseChange::Renew
            && batch
                .history
                .iter()
                .any(|entry| matches!(entry.what, Happening::Started { undo: false, .. }));
        if !(self.calls.world.has(Flaw::JournalsAfter) && is_intent) {
            return None;
        }
        let stored = self.store.load(&batch.instance).await.ok()??;
        let Expect::Lease { epoch, renewals } = batch.expect else {
            return None;
        };
        ((stored.lease.epoch, stored.lease.renewals) == (epoch, renewals)).then_some(Committed {
            inbox_head: stored.inbox_head,
            lease: stored.lease,
        })
    }
}

/// Writes a batch, and says so to whoever checks.
async fn commit(
    world: SimWorld,
    store: Arc<SimStore>,
    process: String,
    batch: Batch,
) -> Result<Committed, CommitError> {
    let told = batch.clone();
    let committed = store.commit(batch).await?;
    if let Some(record) = &told.record {
        world.state().journal.push((told.instance.clone(), record.body.clone()));
    }
    world.audit(|audit| audit.committed(&process, &told, &committed));
    Ok(committed)
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
        let begun = self.calls.enter("store.commit").await;
        let fate = begun.fate;
        let mut batch = batch;
        self.bend(&mut batch).await;
        if fate.lose.is_some() && self.calls.world.has(Flaw::TearsCommits) {
            (batch.reserve, batch.release, batch.outbox) = Default::default();
        }
        let (world, store) = (self.calls.world.clone(), self.store.clone());
        let name = self.calls.gate.name.clone();
        let result = if let Some(code) = fate.refuse {
            Err(CommitError::Store(refused(code)))
        } else if let Some((after, code)) = fate.lands {
            self.land(after, "store.commit", what.clone(), async move {
                let _ = commit(world, store, name, batch).await;
            });
            Err(CommitError::Unknown(lost(code)))
        } else if let Some(committed) = self.skipped(&batch).await {
            Ok(committed)
        } else {
            match (fate.lose, commit(world, store, name, batch).await) {
                (Some(code), Ok(_)) => Err(CommitError::Unknown(lost(code))),
                (_, result) => result,
            }
        };
        self.leave(begun, what, &result).await;
        result
    }

    async fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError> {
        let mut stored = self.read("store.load", id, self.store.load(id)).await?;
        if self.calls.world.has(Flaw::TakesAtOnce)
            && let Some(stored) = &mut stored
        {
            stored.lease.holder = None;
        }
        Ok(stored)
    }

    async fn append(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let what = format!("{id} {body}");
        let (world, store, id) = (self.calls.world.clone(), self.store.clone(), id.clone());
        let nth = self.appended.fetch_add(1, Ordering::Relaxed);
        let is_lost = match world.flaw() {
            Some(Flaw::LosesMessages) => nth % LOST_OF == LOST_OF - 1,
            Some(Flaw::ForgetsExtensions) => body.contains(r#""message":"extend""#),
            _ => false,
        };
        let work = async move {
            let seq = if is_lost {
                store.load(&id).await?.map(|stored| stored.inbox_head + 1)
            } else {
                store.append(&id, body.clone(), key, now).await?
            };
            world.audit(|audit| audit.appended(&id, &body));
            Ok(seq)
        };
        self.write("store.append", what, work).await
    }

    async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError> {
        self.read("store.inbox", id, self.store.inbox(id, after, limit)).await
    }

    async fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError> {
        self.read("store.reservation", kind, self.store.reservation(kind, key))
            .await
    }

    async fn reservations_of(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError> {
        self.read("store.reservations_of", owner, self.store.reservations_of(owner))
            .await
    }

    async fn free_port(&self, range: RangeInclusive<u16>, now: Timestamp) -> Result<Option<u16>, StoreError> {
        let what = format!("{}-{}", range.start(), range.end());
        self.read("store.free_port", what, self.store.free_port(range, now))
            .await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let mut due = self.read("store.due", "", self.store.due(now, limit)).await?;
        if self.calls.world.has(Flaw::ForgetsTheDead) {
            due.retain(|due| !self.store.is_held(&due.id));
        }
        Ok(due)
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.read("store.list", "", self.store.list(query)).await
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.read("store.counts", "", self.store.counts()).await
    }

    async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        self.read("store.history", id, self.store.history(id, after, limit))
            .await
    }

    async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        self.read("store.outbox", "", self.store.outbox(now, limit)).await
    }

    async fn settle(&self, mail: &str, settle: Settle) -> Result<(), StoreError> {
        let (store, id) = (self.store.clone(), mail.to_owned());
        self.write("store.settle", mail, async move { store.settle(&id, settle).await })
            .await
    }

    async fn posted(&self, from: Option<String>, limit: usize) -> Result<Mails, StoreError> {
        self.read("store.posted", "", self.store.posted(from, limit)).await
    }

    async fn mail(&self, id: &str) -> Result<Option<Posted>, StoreError> {
        self.read("store.mail", id, self.store.mail(id)).await
    }

    async fn survey(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        self.read("store.survey", "", self.store.survey(from, limit)).await
    }

    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError> {
        let store = self.store.clone();
        self.write("store.tidy", "", async move { store.tidy(now).await }).await
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
