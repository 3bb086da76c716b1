//! A registry in memory: the same semantics as the real ones, the same answers for the same calls, and faults to order.
//!
//! It outlives the engines that use it, as a file does: a test "crashes" by dropping an engine and starting another on the
//! same store, after [`SimStore::restart`]. No hash order, no clock, no threads of its own.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeInclusive,
    time::Duration,
};
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_saga::store::{
    Batch, CommitError, Committed, Count, Due, Expect, InboxEntry, Kind, Lease, LeaseChange, Numbered, PAGE_MAX,
    Pending, Query, RecordWrite, Release, Reservation, Reserve, Settle, Store, StoreError, Stored, Wake,
};

/// As long as the real stores know the key of a message that was dealt with.
const KEYS_KEPT: Duration = Duration::from_hours(48);
/// As long as they keep a mail that was sent.
const SENT_KEPT: Duration = Duration::from_hours(30 * 24);

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
    world: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    instances: BTreeMap<InstanceId, Instance>,
    reservations: BTreeMap<(Kind, String), Reservation>,
    mails: Vec<Mail>,
    /// By range: the port offered last.
    offered: BTreeMap<(u16, u16), u16>,
    /// For the writes to come, in order: what goes wrong with each.
    faults: VecDeque<Option<Fault>>,
    /// For every write after those.
    always: Option<Fault>,
    latency: Duration,
    commits: u64,
}

#[derive(Clone, Debug)]
struct Instance {
    body: String,
    name: Option<String>,
    service: String,
    state: &'static str,
    live: bool,
    lease: Lease,
    wake_at: Option<Timestamp>,
    wake_seq: u64,
    inbox: BTreeMap<u64, Message>,
    inbox_head: u64,
    inbox_read: u64,
    history: Vec<Numbered>,
}

#[derive(Clone, Debug)]
struct Message {
    body: String,
    key: Option<String>,
    at: Timestamp,
}

#[derive(Clone, Debug)]
struct Mail {
    pending: Pending,
    fate: Fate,
}

#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Waits,
    Sent(Timestamp),
    Dead,
}

impl SimStore {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The n-th write from now (1: the next one) goes wrong like this. Writes are `commit`, `append`, `settle` and `tidy`.
    pub fn fail_nth(&self, n: usize, fault: Fault) {
        let mut world = self.world.lock();
        let index = n.saturating_sub(1);
        if world.faults.len() <= index {
            world.faults.resize(index + 1, None);
        }
        world.faults[index] = Some(fault);
    }

    /// From now on every write goes wrong like this; `None`: no more. Faults ordered by [`Self::fail_nth`] come first.
    pub fn fail_always(&self, fault: Option<Fault>) {
        self.world.lock().always = fault;
    }

    /// Every call takes this long by tokio's clock (which a test pauses). Nothing by default.
    pub fn set_latency(&self, latency: Duration) {
        self.world.lock().latency = latency;
    }

    /// How many writes were carried out. A batch that was refused, or failed before it was written, is none.
    pub fn commits(&self) -> u64 {
        self.world.lock().commits
    }

    /// The process that used the store is dead, and another opens it: leases are free (epochs stay), and what was held is due now.
    pub fn restart(&self, now: Timestamp) {
        let mut world = self.world.lock();
        for instance in world.instances.values_mut() {
            if instance.lease.holder.take().is_some() {
                instance.wake_at = instance.wake_at.map(|at| at.min(now));
            }
        }
    }

    /// Every reservation of anybody: what a test looks through for leftovers.
    pub fn reservations(&self) -> Vec<(Kind, String, Reservation)> {
        let world = self.world.lock();
        let all = world.reservations.iter();
        all.map(|((kind, key), reservation)| (*kind, key.clone(), reservation.clone()))
            .collect()
    }

    /// Every mail that was ever put and not tidied away, also those that were sent or given up.
    pub fn mails(&self) -> Vec<Pending> {
        self.world
            .lock()
            .mails
            .iter()
            .map(|mail| mail.pending.clone())
            .collect()
    }

    async fn delay(&self) {
        let latency = self.world.lock().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    async fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.delay().await;
        read(&self.world.lock())
    }

    /// Carries out a write, or lets it go wrong as was ordered.
    async fn write<T>(&self, write: impl FnOnce(&mut World) -> Result<T, CommitError>) -> Result<T, CommitError> {
        self.delay().await;
        let mut world = self.world.lock();
        let fault = match world.faults.pop_front() {
            Some(fault) => fault,
            None => world.always,
        };
        let refuse = |code, message| Err(StoreError::new(code, message).into());
        match fault {
            Some(Fault::Before) => return refuse(Code::StoreUnavailable, "the write was refused, as was ordered"),
            Some(Fault::Full) => return refuse(Code::StoreFull, "the disk is full, as was ordered"),
            Some(Fault::LoseRequest) => return Err(lost()),
            Some(Fault::LoseAnswer) | None => {}
        }
        let written = write(&mut world)?;
        world.commits += 1;
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

impl World {
    fn check(&self, batch: &Batch) -> Result<(), CommitError> {
        let misuse = |what: &str| {
            let failure = Failure::internal(format!("a batch for {} {what}", batch.instance));
            Err(StoreError { failure }.into())
        };
        let instance = self.instances.get(&batch.instance);
        match (&batch.expect, instance) {
            (Expect::Absent, _) if batch.record.is_none() => return misuse("claims without a record"),
            (Expect::Anything, _)
                if batch.record.is_some() || batch.consumed.is_some() || batch.lease != LeaseChange::Keep =>
            {
                return misuse("expects nothing of a record and changes it");
            }
            (Expect::Absent, Some(_)) => return Err(CommitError::Exists),
            (Expect::Lease { epoch, renewals }, Some(instance))
                if (instance.lease.epoch, instance.lease.renewals) == (*epoch, *renewals) => {}
            (Expect::Lease { .. }, _) => return Err(CommitError::Fenced),
            _ => {}
        }
        let head = instance.map_or(0, |instance| instance.inbox_head);
        if batch.inbox_at.is_some_and(|at| at != head) {
            return Err(CommitError::InboxMoved);
        }
        if let (Expect::Absent, Some(most)) = (&batch.expect, batch.at_most_live) {
            let live = self.instances.values().filter(|instance| instance.live).count() as u64;
            if live >= most {
                return Err(CommitError::TooMany { live });
            }
        }
        for Reserve { kind, key, now, .. } in &batch.reserve {
            match self.reservations.get(&(*kind, key.clone())) {
                Some(by) if by.owner != batch.instance && by.until.is_none_or(|until| until > *now) => {
                    return Err(CommitError::Taken {
                        kind: *kind,
                        key: key.clone(),
                        by: by.clone(),
                    });
                }
                _ => {}
            }
        }
        for Release { kind, key, .. } in batch.release.iter().filter(|release| release.must_hold) {
            if !self.holds(&batch.instance, *kind, key) {
                return Err(CommitError::NotHeld {
                    kind: *kind,
                    key: key.clone(),
                });
            }
        }
        if batch.expect == Expect::Anything && !batch.history.is_empty() && instance.is_none() {
            return misuse("has a history, but there is no such instance");
        }
        Ok(())
    }

    fn holds(&self, owner: &InstanceId, kind: Kind, key: &str) -> bool {
        self.reservations
            .get(&(kind, key.to_owned()))
            .is_some_and(|held| held.owner == *owner && !held.resting)
    }

    fn commit(&mut self, batch: Batch) -> Result<Committed, CommitError> {
        self.check(&batch)?;
        let mut committed = Committed {
            inbox_head: 0,
            lease: Lease::default(),
        };
        if let (Expect::Absent, Some(record)) = (&batch.expect, &batch.record) {
            self.instances.insert(batch.instance.clone(), Instance::new(record));
        }
        if let Some(instance) = self.instances.get_mut(&batch.instance) {
            instance.lease.change(batch.lease);
            if let Some(record) = batch.record {
                instance.write(record);
            }
            if let Some(up_to) = batch.consumed {
                instance.consume(up_to);
            }
            for entry in batch.history {
                let seq = instance.history.len() as u64 + 1;
                instance.history.push(Numbered { seq, entry });
            }
            committed = Committed {
                inbox_head: instance.inbox_head,
                lease: instance.lease.clone(),
            };
        }
        for Reserve {
            kind,
            key,
            value,
            until,
            ..
        } in batch.reserve
        {
            let reservation = Reservation {
                owner: batch.instance.clone(),
                value,
                resting: false,
                until,
            };
            self.reservations.insert((kind, key), reservation);
        }
        for Release {
            kind, key, rest_until, ..
        } in batch.release
        {
            if !self.holds(&batch.instance, kind, &key) {
                continue;
            }
            if rest_until.is_none() {
                self.reservations.remove(&(kind, key));
            } else if let Some(held) = self.reservations.get_mut(&(kind, key)) {
                held.resting = true;
                held.until = rest_until;
            }
        }
        for mail in batch.outbox {
            if self.mails.iter().all(|present| present.pending.id != mail.id) {
                let pending = Pending {
                    id: mail.id,
                    instance: batch.instance.clone(),
                    body: mail.body,
                    tries: 0,
                    next_at: Timestamp(0),
                };
                self.mails.push(Mail {
                    pending,
                    fate: Fate::Waits,
                });
            }
        }
        Ok(committed)
    }

    fn settle(&mut self, id: &str, settle: &Settle) {
        let Some(mail) = self.mails.iter_mut().find(|mail| mail.pending.id == id) else {
            return;
        };
        if matches!(mail.fate, Fate::Sent(_)) {
            return;
        }
        mail.pending.tries += 1;
        mail.fate = match settle {
            Settle::Sent { at } => Fate::Sent(*at),
            Settle::Later { at, .. } => {
                mail.pending.next_at = *at;
                Fate::Waits
            }
            Settle::Dead { .. } => Fate::Dead,
        };
    }

    fn tidy(&mut self, now: Timestamp) -> u64 {
        let over = |at: Timestamp, kept: Duration| at + kept <= now;
        let mut removed = 0;
        self.reservations.retain(|_, reservation| {
            let keep = reservation.until.is_none_or(|until| until > now);
            removed += u64::from(!keep);
            keep
        });
        for instance in self.instances.values_mut() {
            let read = instance.inbox_read;
            instance.inbox.retain(|seq, message| {
                let keep = *seq > read || (message.key.is_some() && !over(message.at, KEYS_KEPT));
                removed += u64::from(!keep);
                keep
            });
        }
        self.mails.retain(|mail| {
            let keep = !matches!(mail.fate, Fate::Sent(at) if over(at, SENT_KEPT));
            removed += u64::from(!keep);
            keep
        });
        removed
    }

    fn offer_port(&mut self, first: u16, last: u16, now: Timestamp) -> Option<u16> {
        let free = |port: &u16| {
            self.reservations
                .get(&(Kind::Port, port.to_string()))
                .is_none_or(|taken| taken.until.is_some_and(|until| until <= now))
        };
        let begin = match self.offered.get(&(first, last)) {
            Some(&port) if port < last => port + 1,
            _ => first,
        };
        let port = (begin..=last).find(free).or_else(|| (first..begin).find(free))?;
        self.offered.insert((first, last), port);
        Some(port)
    }
}

impl Instance {
    fn new(record: &RecordWrite) -> Self {
        Self {
            body: String::new(),
            name: None,
            service: String::new(),
            state: record.index.state,
            live: false,
            lease: Lease::default(),
            wake_at: None,
            wake_seq: 0,
            inbox: BTreeMap::new(),
            inbox_head: 0,
            inbox_read: 0,
            history: Vec::new(),
        }
    }

    fn write(&mut self, RecordWrite { body, index, wake }: RecordWrite) {
        self.body = body;
        self.name = index.name;
        self.service = index.service;
        self.state = index.state;
        self.live = index.live;
        self.wake_at = wake.map(|wake| wake.at);
        self.wake_seq = wake.map_or(self.wake_seq, |wake| wake.seq);
    }

    fn consume(&mut self, up_to: u64) {
        self.inbox_read = up_to.min(self.inbox_head).max(self.inbox_read);
        let read = self.inbox_read;
        self.inbox.retain(|seq, message| *seq > read || message.key.is_some());
    }

    fn append(&mut self, body: String, key: Option<String>, now: Timestamp) -> u64 {
        if key.is_some()
            && let Some((first, _)) = self.inbox.iter().find(|(_, message)| message.key == key)
        {
            return *first;
        }
        self.inbox_head += 1;
        self.inbox.insert(self.inbox_head, Message { body, key, at: now });
        self.wake_at = Some(self.wake_at.map_or(now, |at| at.min(now)));
        self.inbox_head
    }

    fn wake(&self) -> Option<Wake> {
        self.wake_at.map(|at| Wake { at, seq: self.wake_seq })
    }

    fn stored(&self, id: &InstanceId) -> Stored {
        Stored {
            id: id.clone(),
            body: self.body.clone(),
            lease: self.lease.clone(),
            wake: self.wake(),
            inbox_head: self.inbox_head,
            inbox_read: self.inbox_read,
        }
    }

    fn matches(&self, query: &Query) -> bool {
        query.state.as_ref().is_none_or(|state| state == self.state)
            && query.service.as_ref().is_none_or(|service| *service == self.service)
            && query.name.as_ref().is_none_or(|name| self.name.as_ref() == Some(name))
            && query.named.is_none_or(|named| named == self.name.is_some())
            && query.live.is_none_or(|live| live == self.live)
    }
}

/// What a change makes of a lease.
trait Change {
    fn change(&mut self, change: LeaseChange);
}

impl Change for Lease {
    fn change(&mut self, change: LeaseChange) {
        match change {
            LeaseChange::Keep => {}
            LeaseChange::Take { holder } => {
                *self = Self {
                    epoch: self.epoch + 1,
                    renewals: 0,
                    holder: Some(holder),
                }
            }
            LeaseChange::Renew => self.renewals += 1,
            LeaseChange::Release => self.holder = None,
        }
    }
}

#[async_trait]
impl Store for SimStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, CommitError> {
        self.write(|world| world.commit(batch)).await
    }

    async fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError> {
        Ok(self
            .read(|world| world.instances.get(id).map(|instance| instance.stored(id)))
            .await)
    }

    async fn append(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        self.write(|world| {
            let instance = world.instances.get_mut(id);
            Ok(instance.map(|instance| instance.append(body, key, now)))
        })
        .await
        .map_err(without_conditions)
    }

    async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError> {
        let entries = self.read(|world| {
            let Some(instance) = world.instances.get(id) else {
                return Vec::new();
            };
            let from = after.max(instance.inbox_read).saturating_add(1);
            let unread = instance.inbox.range(from..).take(limit);
            unread
                .map(|(seq, message)| InboxEntry {
                    seq: *seq,
                    body: message.body.clone(),
                })
                .collect()
        });
        Ok(entries.await)
    }

    async fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError> {
        Ok(self
            .read(|world| world.reservations.get(&(kind, key.to_owned())).cloned())
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
        Ok(self.world.lock().offer_port(*range.start(), *range.end(), now))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let due = self.read(|world| {
            let mut due: Vec<_> = world
                .instances
                .iter()
                .filter_map(|(id, instance)| {
                    let wake = instance.wake().filter(|wake| wake.at <= now)?;
                    Some(Due { id: id.clone(), wake })
                })
                .collect();
            due.sort_by_key(|due| due.wake.at);
            due.truncate(limit);
            due
        });
        Ok(due.await)
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        let page = self.read(|world| {
            world
                .instances
                .iter()
                .rev()
                .filter(|(id, _)| query.before.as_ref().is_none_or(|before| *id < before))
                .filter(|(_, instance)| instance.matches(&query))
                .map(|(id, instance)| instance.stored(id))
                .take(query.limit.min(PAGE_MAX))
                .collect()
        });
        Ok(page.await)
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        let counts = self.read(|world| {
            let mut counts: BTreeMap<(String, &str), u64> = BTreeMap::new();
            for instance in world.instances.values() {
                *counts.entry((instance.service.clone(), instance.state)).or_default() += 1;
            }
            counts
                .into_iter()
                .map(|((service, state), count)| Count {
                    service,
                    state: state.to_owned(),
                    count,
                })
                .collect()
        });
        Ok(counts.await)
    }

    async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        let entries = self.read(|world| {
            let history = world.instances.get(id).map_or(&[][..], |instance| &instance.history);
            let newer = history.iter().filter(|numbered| numbered.seq > after);
            newer.take(limit).cloned().collect()
        });
        Ok(entries.await)
    }

    async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        let pending = self.read(|world| {
            let waiting = world.mails.iter().filter(|mail| mail.fate == Fate::Waits);
            let due = waiting
                .map(|mail| &mail.pending)
                .filter(|pending| pending.next_at <= now);
            due.take(limit).cloned().collect()
        });
        Ok(pending.await)
    }

    async fn settle(&self, mail: &str, settle: Settle) -> Result<(), StoreError> {
        self.write(|world| {
            world.settle(mail, &settle);
            Ok(())
        })
        .await
        .map_err(without_conditions)
    }

    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write(|world| Ok(world.tidy(now)))
            .await
            .map_err(without_conditions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::store::Fixture;
    use std::sync::Arc;
    use wharf_saga::store::Index;

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
