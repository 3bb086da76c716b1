//! Reservations as items: a port stands in the documented table of ports, everything else in Wharf's own. Which write takes a right or gives it back,
//! and on which condition.

use std::collections::HashMap;
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_saga::store::{Batch, CommitError, Documented, Field, Kind, Release, Reservation, Reserve};

use super::{
    action::{Action, Verb},
    attributes::{Item, Read, item, number, text, time, truth},
    tables::Tables,
};

/// The sort key of items that stand alone in their collection.
pub(super) const ALONE: &str = "-";
/// The partition, in the index of free ports, of those that are free or will be.
pub(super) const POOL: &str = "free";
/// How long after its end a reservation stays before DynamoDB may remove it: its end is judged by clocks that differ.
const KEPT_AFTER_END_SECONDS: u64 = 24 * 3600;

/// What a batch does with one key. At least one of the two is there; where both are, what was taken is given back at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) kind: Kind,
    pub(super) key: &'a str,
    pub(super) reserve: Option<&'a Reserve>,
    pub(super) release: Option<&'a Release>,
}

/// The items of the keys that a batch is about, as they stand.
pub(super) type Standing = HashMap<(Kind, String), Item>;

/// What a batch does with each key, reservations first, in its order.
pub(super) fn changes(batch: &Batch) -> Vec<Change<'_>> {
    let mut changes: Vec<Change<'_>> = Vec::new();
    for reserve in &batch.reserve {
        let change = Change {
            kind: reserve.kind,
            key: &reserve.key,
            reserve: Some(reserve),
            release: None,
        };
        match changes.iter_mut().find(|other| other.is_of(change.kind, change.key)) {
            Some(same) => *same = change,
            None => changes.push(change),
        }
    }
    for release in &batch.release {
        match changes.iter_mut().find(|other| other.is_of(release.kind, &release.key)) {
            Some(same) if same.release.is_none() => same.release = Some(release),
            Some(_) => {}
            None => changes.push(Change {
                kind: release.kind,
                key: &release.key,
                reserve: None,
                release: Some(release),
            }),
        }
    }
    changes
}

/// What refuses a batch, its keys being as they stand: in its order, reservations first.
pub(super) fn judge(batch: &Batch, standing: &Standing) -> Result<(), CommitError> {
    for Reserve { kind, key, now, .. } in &batch.reserve {
        if let Some(by) = found(standing, *kind, key)?
            && by.owner != batch.instance
            && by.until.is_none_or(|until| until > *now)
        {
            return Err(taken(*kind, key, by));
        }
    }
    for Release { kind, key, .. } in batch.release.iter().filter(|release| release.must_hold) {
        if !holds(standing, &batch.instance, *kind, key)? {
            return Err(CommitError::NotHeld {
                kind: *kind,
                key: key.clone(),
            });
        }
    }
    Ok(())
}

pub(super) fn holds(standing: &Standing, owner: &InstanceId, kind: Kind, key: &str) -> Result<bool, CommitError> {
    Ok(found(standing, kind, key)?.is_some_and(|held| held.owner == *owner && !held.resting))
}

fn found(standing: &Standing, kind: Kind, key: &str) -> Result<Option<Reservation>, CommitError> {
    match standing.get(&(kind, key.to_owned())) {
        Some(item) => Ok(reservation(item).map_err(failed)?),
        None => Ok(None),
    }
}

fn failed(failure: Failure) -> CommitError {
    wharf_saga::StoreError { failure }.into()
}

pub(super) fn taken(kind: Kind, key: &str, by: Reservation) -> CommitError {
    CommitError::Taken {
        kind,
        key: key.to_owned(),
        by,
    }
}

/// Whose an item is; `None` for a port that nobody has.
///
/// What another program wrote into a documented table has no owner that Wharf knows. It gets one that is no instance's: of its time, and without chance.
pub(super) fn reservation(item: &Item) -> Result<Option<Reservation>, Failure> {
    let Some(owner) = item.optional_text("owner") else {
        if item.contains_key("free_at") {
            return Ok(None);
        }
        return Ok(Some(foreign(item)));
    };
    Ok(Some(Reservation {
        owner: owner.parse().map_err(|_| super::attributes::damaged(item, "owner"))?,
        value: item.optional_text("value").unwrap_or_default().to_owned(),
        resting: item.flag("resting"),
        until: item.optional_time("until")?,
    }))
}

/// The reservation that an item of another program's amounts to.
pub(super) fn foreign(item: &Item) -> Reservation {
    let since = item.optional_time("createdAt").ok().flatten().unwrap_or_default();
    Reservation {
        owner: InstanceId::new(since, [0; 10]),
        value: String::new(),
        resting: false,
        until: None,
    }
}

/// The table and the key of a reservation's item.
pub(super) fn address<'a>(tables: &'a Tables, kind: Kind, key: &str) -> (&'a str, Item) {
    if kind == Kind::Port {
        return (&tables.ports, item([("port", number(port(key)))]));
    }
    (
        &tables.wharf,
        item([("pk", text(format!("{kind}#{key}"))), ("sk", text(ALONE))]),
    )
}

/// A port's key is its number; what is none is a port that no machine has, so that nobody gets it twice either.
fn port(key: &str) -> u64 {
    key.parse().unwrap_or(u64::from(u16::MAX) + 1)
}

impl Change<'_> {
    fn is_of(&self, kind: Kind, key: &str) -> bool {
        self.kind == kind && self.key == key
    }

    /// The write that it amounts to; `None` for a release of what is not held. `user` is the documented name of whoever gets a port.
    pub(super) fn action(
        &self,
        tables: &Tables,
        owner: &InstanceId,
        user: &str,
        standing: &Standing,
    ) -> Result<Option<Action>, CommitError> {
        let (table, key) = address(tables, self.kind, self.key);
        let held = |value: &str, until, resting| {
            let mut whole = key.clone();
            whole.extend(item([("owner", text(owner.as_str())), ("value", text(value))]));
            if resting {
                whole.insert("resting".to_owned(), truth(true));
            }
            if let Some(until) = until {
                whole.insert("until".to_owned(), time(until));
            }
            whole
        };
        let action = match (self.reserve, self.release) {
            (Some(reserve), release) => {
                let mut whole = match release {
                    None => held(&reserve.value, reserve.until, false),
                    Some(release) => held(&reserve.value, release.rest_until, true),
                };
                let is_gone = release.is_some_and(|release| release.rest_until.is_none());
                self.finish(&mut whole, user, Some(reserve.now), release.is_some());
                self.put_or_remove(table, key, whole, is_gone).only_if(
                    if self.kind == Kind::Port {
                        "attribute_not_exists(#port) OR #free_at <= :now OR #owner = :me"
                    } else {
                        "attribute_not_exists(#pk) OR #until <= :now OR #owner = :me"
                    },
                    item([(":now", time(reserve.now)), (":me", text(owner.as_str()))]),
                )
            }
            (None, Some(release)) => {
                if !holds(standing, owner, self.kind, self.key)? {
                    return Ok(None);
                }
                let stands = &standing[&(self.kind, self.key.to_owned())];
                let mut whole = held(
                    stands.optional_text("value").unwrap_or_default(),
                    release.rest_until,
                    true,
                );
                let created = stands.optional_time("createdAt").map_err(failed)?;
                self.finish(
                    &mut whole,
                    stands.optional_text("userId").unwrap_or(user),
                    created,
                    true,
                );
                let mut action = self
                    .put_or_remove(table, key, whole, release.rest_until.is_none())
                    .only_if(
                        "#owner = :me AND attribute_not_exists(#resting)",
                        item([(":me", text(owner.as_str()))]),
                    );
                action.exactly_once = release.must_hold;
                action
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(action))
    }

    fn put_or_remove(&self, table: &str, key: Item, mut whole: Item, is_gone: bool) -> Action {
        if !is_gone {
            return Action::new(table, Verb::Put(whole));
        }
        if self.kind != Kind::Port {
            return Action::new(table, Verb::Delete(key));
        }
        for name in ["owner", "value", "resting", "until"] {
            whole.remove(name);
        }
        Action::new(table, Verb::Put(whole))
    }

    /// What stands beside it: in the table of ports the documented attributes, and the time from which it is free; elsewhere the second after which
    /// it may be removed.
    fn finish(&self, whole: &mut Item, user: &str, created: Option<Timestamp>, released: bool) {
        let until = whole.optional_time("until").ok().flatten();
        if self.kind != Kind::Port {
            if let Some(until) = until {
                whole.insert("ttl".to_owned(), number(ttl(until)));
            }
            return;
        }
        let status = match (released, until) {
            (false, _) => "PROVISIONING",
            (true, Some(_)) => "RESTING",
            (true, None) => "FREE",
        };
        whole.extend(item([("userId", text(user)), ("status", text(status))]));
        if let Some(created) = created {
            whole.insert("createdAt".to_owned(), time(created));
        }
        let free_at = if released {
            Some(until.unwrap_or(Timestamp(0)))
        } else {
            until
        };
        if let Some(free_at) = free_at {
            whole.extend(item([("pool", text(POOL)), ("free_at", time(free_at))]));
        }
    }
}

/// The second after which DynamoDB may remove what ended at `until`.
pub(super) fn ttl(until: Timestamp) -> u64 {
    until.as_millis() / 1000 + KEPT_AFTER_END_SECONDS
}

/// An instance's item in the documented table of tenants. Another's that is live is never overwritten; whether it is live only Wharf's own say.
pub(super) fn documented(tables: &Tables, owner: &InstanceId, documented: &Documented) -> Action {
    let mut whole = item([
        ("userId", text(&documented.key)),
        ("instance", text(owner.as_str())),
        ("live", truth(documented.live)),
    ]);
    for (name, field) in &documented.fields {
        let value = match field {
            Field::Text(value) => text(value),
            Field::Number(value) => number(value),
        };
        whole.insert((*name).to_owned(), value);
    }
    Action::new(&tables.registry, Verb::Put(whole)).only_if(
        "attribute_not_exists(#userId) OR #instance = :me OR #live = :no",
        item([(":me", text(owner.as_str())), (":no", truth(false))]),
    )
}

/// Who has the documented name that was refused.
pub(super) fn documented_owner(item: &Item) -> Reservation {
    let mut by = foreign(item);
    if let Some(instance) = item.optional_text("instance").and_then(|text| text.parse().ok()) {
        by.owner = instance;
    }
    by
}
