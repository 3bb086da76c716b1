//! What stands in the simulated registry, and what each call makes of it. Pure: no faults, no delays, no locks.

use std::{collections::BTreeMap, time::Duration};
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_saga::store::{
    Batch, CommitError, Committed, Count, Due, Expect, Fate, InboxEntry, Kind, Lease, LeaseChange, Mails, Numbered,
    PAGE_MAX, Pending, Posted, Query, RecordWrite, Release, Reservation, Reserve, Settle, StoreError, Stored, Survey,
    Unsent, Wake,
};

/// As long as the real stores know the key of a message that was dealt with.
const KEYS_KEPT: Duration = Duration::from_hours(48);
/// As long as they keep a mail that was sent.
const SENT_KEPT: Duration = Duration::from_hours(30 * 24);

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) reservations: BTreeMap<(Kind, String), Reservation>,
    pub(super) mails: Vec<Mail>,
    /// By range: the port offered last.
    offered: BTreeMap<(u16, u16), u16>,
}

#[derive(Clone, Debug)]
pub(super) struct Instance {
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
pub(super) struct Mail {
    pub(super) pending: Pending,
    fate: Standing,
    error: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Standing {
    Waits,
    Sent(Timestamp),
    Dead,
}

impl Contents {
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

    pub(super) fn commit(&mut self, batch: Batch) -> Result<Committed, CommitError> {
        self.check(&batch)?;
        let mut committed = Committed {
            inbox_head: 0,
            lease: Lease::default(),
        };
        if let (Expect::Absent, Some(record)) = (&batch.expect, &batch.record) {
            self.instances.insert(batch.instance.clone(), Instance::new(record));
        }
        if let Some(instance) = self.instances.get_mut(&batch.instance) {
            change_lease(&mut instance.lease, batch.lease);
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
                    fate: Standing::Waits,
                    error: None,
                });
            }
        }
        Ok(committed)
    }

    pub(super) fn settle(&mut self, id: &str, settle: &Settle) {
        let Some(mail) = self.mails.iter_mut().find(|mail| mail.pending.id == id) else {
            return;
        };
        if matches!(mail.fate, Standing::Sent(_)) {
            return;
        }
        mail.pending.tries += 1;
        match settle {
            Settle::Sent { .. } => mail.error = None,
            Settle::Later { error, .. } | Settle::Dead { error } => mail.error = Some(error.clone()),
            Settle::Again { .. } => mail.pending.tries = 0,
        }
        mail.fate = match settle {
            Settle::Sent { at } => Standing::Sent(*at),
            Settle::Later { at, .. } | Settle::Again { at } => {
                mail.pending.next_at = *at;
                Standing::Waits
            }
            Settle::Dead { .. } => Standing::Dead,
        };
    }

    pub(super) fn tidy(&mut self, now: Timestamp) -> u64 {
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
            let keep = !matches!(mail.fate, Standing::Sent(at) if over(at, SENT_KEPT));
            removed += u64::from(!keep);
            keep
        });
        removed
    }

    pub(super) fn offer_port(&mut self, first: u16, last: u16, now: Timestamp) -> Option<u16> {
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

    pub(super) fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Vec<InboxEntry> {
        let Some(instance) = self.instances.get(id) else {
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
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<Due> {
        let due = self.instances.iter().filter_map(|(id, instance)| {
            let wake = instance.wake().filter(|wake| wake.at <= now)?;
            Some(Due { id: id.clone(), wake })
        });
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|due| due.wake.at);
        due.truncate(limit);
        due
    }

    pub(super) fn list(&self, query: &Query) -> Vec<Stored> {
        self.instances
            .iter()
            .rev()
            .filter(|(id, _)| query.before.as_ref().is_none_or(|before| *id < before))
            .filter(|(_, instance)| instance.matches(query))
            .map(|(id, instance)| instance.stored(id))
            .take(query.limit.min(PAGE_MAX))
            .collect()
    }

    pub(super) fn counts(&self) -> Vec<Count> {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for instance in self.instances.values() {
            *counts.entry((&instance.service, instance.state)).or_default() += 1;
        }
        let counts = counts.into_iter();
        counts
            .map(|((service, state), count)| Count {
                service: service.to_owned(),
                state: state.to_owned(),
                count,
            })
            .collect()
    }

    pub(super) fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Vec<Numbered> {
        let history = self.instances.get(id).map_or(&[][..], |instance| &instance.history);
        let newer = history.iter().filter(|numbered| numbered.seq > after);
        newer.take(limit).cloned().collect()
    }

    pub(super) fn outbox(&self, now: Timestamp, limit: usize) -> Vec<Pending> {
        let waiting = self.mails.iter().filter(|mail| mail.fate == Standing::Waits);
        let due = waiting
            .map(|mail| &mail.pending)
            .filter(|pending| pending.next_at <= now);
        due.take(limit).cloned().collect()
    }

    /// One after the other: the reservations, then the mails. `from` is the number of what was given before.
    pub(super) fn survey(&self, from: Option<&str>, limit: usize) -> Survey {
        let from: usize = from.and_then(|text| text.parse().ok()).unwrap_or_default();
        let held = self
            .reservations
            .iter()
            .filter(|((kind, _), _)| Kind::HELD.contains(kind));
        let unsent = self.mails.iter().filter(|mail| !matches!(mail.fate, Standing::Sent(_)));
        let (rights, mails) = (held.clone().count(), unsent.clone().count());
        let upto = from.saturating_add(limit.clamp(1, PAGE_MAX));
        Survey {
            reservations: held
                .take(upto)
                .skip(from)
                .map(|((kind, key), reservation)| (*kind, key.clone(), reservation.clone()))
                .collect(),
            mails: unsent
                .take(upto.saturating_sub(rights))
                .skip(from.saturating_sub(rights))
                .map(Mail::unsent)
                .collect(),
            next: (upto < rights + mails).then(|| upto.to_string()),
        }
    }

    /// `from` is the number of what was given before.
    pub(super) fn mails(&self, from: usize, limit: usize) -> Mails {
        let upto = from.saturating_add(limit.clamp(1, PAGE_MAX));
        let page = self.mails.iter().take(upto).skip(from);
        Mails {
            mails: page.map(Mail::posted).collect(),
            next: (upto < self.mails.len()).then(|| upto.to_string()),
        }
    }

    pub(super) fn mail(&self, id: &str) -> Option<Posted> {
        self.mails.iter().find(|mail| mail.pending.id == id).map(Mail::posted)
    }

    /// Leases are free, and what was held is due.
    pub(super) fn free_all(&mut self, now: Timestamp) {
        for instance in self.instances.values_mut() {
            if instance.lease.holder.take().is_some() {
                instance.wake_at = instance.wake_at.map(|at| at.min(now));
            }
        }
    }
}

impl Mail {
    fn posted(&self) -> Posted {
        Posted {
            id: self.pending.id.clone(),
            instance: self.pending.instance.clone(),
            body: self.pending.body.clone(),
            tries: self.pending.tries,
            fate: match self.fate {
                Standing::Waits => Fate::Waits {
                    next_at: self.pending.next_at,
                },
                Standing::Sent(at) => Fate::Sent { at },
                Standing::Dead => Fate::Dead,
            },
            error: self.error.clone(),
        }
    }

    fn unsent(&self) -> Unsent {
        Unsent {
            id: self.pending.id.clone(),
            instance: self.pending.instance.clone(),
            tries: self.pending.tries,
            next_at: (self.fate == Standing::Waits).then_some(self.pending.next_at),
            error: self.error.clone(),
        }
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

    pub(super) fn append(&mut self, body: String, key: Option<String>, now: Timestamp) -> u64 {
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

    pub(super) fn stored(&self, id: &InstanceId) -> Stored {
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

fn change_lease(lease: &mut Lease, change: LeaseChange) {
    match change {
        LeaseChange::Keep => {}
        LeaseChange::Take { holder } => {
            lease.epoch += 1;
            lease.renewals = 0;
            lease.holder = Some(holder);
        }
        LeaseChange::Renew => lease.renewals += 1,
        LeaseChange::Release => {
            lease.renewals += 1;
            lease.holder = None;
        }
    }
}
