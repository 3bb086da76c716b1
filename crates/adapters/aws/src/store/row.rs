//! The one item in which an instance's record stands, with all that changes together with it: lease, wake, the newest of its inbox and its
//! history, and what it holds.
//!
//! A write replaces the item, on the condition that its version is still the one that was seen; so whatever is decided about it is decided here and
//! in `decide`, on plain data. Nothing in it grows with the instance's life: of history and inbox it has the newest entries (see [`Log`]), and what it
//! holds ends.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_saga::store::{Kind, Lease, Stored, Wake};

use super::{
    attributes::{Item, Read, bytes, item, number, size, text, time, truth},
    packed::{pack, unpack},
};

/// The sort key of this item within its instance's collection.
pub(super) const SORT: &str = "instance";
/// Of what is due there are so many shards, by instance: a partition of an index takes 1,000 writes a second.
pub(super) const DUE_SHARDS: u8 = 8;

/// A numbered sequence of texts, of which the item has the newest. Older ones stand in *pages*, items of their own under the number of their last entry.
///
/// A page is written before the commit that leaves its entries out of the row: they were committed already, and an entry never changes, so a page that is
/// written twice, or whose commit comes to nothing, does no harm. That way it needs no transaction, which would double its price.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The number of the newest entry ever.
    pub(super) head: u64,
    /// The newest ones.
    pub(super) entries: Vec<Box<RawValue>>,
}

impl Log {
    /// The number of the first entry that the row has, or would have.
    pub(super) fn first(&self) -> u64 {
        self.head + 1 - self.entries.len() as u64
    }

    pub(super) fn push(&mut self, entries: impl IntoIterator<Item = Box<RawValue>>) {
        let before = self.entries.len();
        self.entries.extend(entries);
        self.head += (self.entries.len() - before) as u64;
    }

    /// Leaves out the entries up to this number.
    pub(super) fn cut(&mut self, up_to: u64) {
        let gone = (up_to + 1).saturating_sub(self.first()) as usize;
        self.entries.drain(..gone.min(self.entries.len()));
    }

    /// The entries after `after`, with their numbers.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = (u64, &RawValue)> {
        (self.first()..)
            .zip(self.entries.iter().map(Box::as_ref))
            .filter(move |(number, _)| *number > after)
    }
}

/// What listings filter and count by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) name: Option<String>,
    pub(super) service: String,
    pub(super) state: String,
    pub(super) live: bool,
}

impl Facts {
    /// The listing's partition.
    pub(super) fn partition(&self) -> String {
        format!("{}#{}", self.service, self.state)
    }
}

/// A reservation that the instance was given; whether it still has it the reservation itself says.
pub(super) type Held = (Kind, String, Option<Timestamp>);

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: InstanceId,
    /// One higher with each write.
    pub(super) version: u64,
    /// Of the commit that wrote it: by this a driver whose answer was lost knows its own.
    pub(super) token: String,
    /// Which of the counters it is counted in.
    pub(super) shard: u8,
    /// `None`: there is no record, but the id holds something.
    pub(super) record: Option<(Box<RawValue>, Facts)>,
    pub(super) lease: Lease,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) wake_seq: u64,
    pub(super) inbox: Log,
    pub(super) inbox_read: u64,
    pub(super) history: Log,
    pub(super) held: Vec<Held>,
}

#[derive(Serialize)]
struct Contents<'a> {
    body: Option<&'a RawValue>,
    inbox: &'a [Box<RawValue>],
    held: &'a [Held],
    history: &'a [Box<RawValue>],
}

#[derive(Deserialize)]
struct OwnedContents {
    body: Option<Box<RawValue>>,
    inbox: Vec<Box<RawValue>>,
    held: Vec<Held>,
    history: Vec<Box<RawValue>>,
}

impl Row {
    pub(super) fn new(id: InstanceId, shard: u8) -> Self {
        Self {
            id,
            version: 0,
            token: String::new(),
            shard,
            record: None,
            lease: Lease::default(),
            wake_at: None,
            wake_seq: 0,
            inbox: Log::default(),
            inbox_read: 0,
            history: Log::default(),
            held: Vec::new(),
        }
    }

    pub(super) fn facts(&self) -> Option<&Facts> {
        self.record.as_ref().map(|(_, facts)| facts)
    }

    pub(super) fn key(id: &InstanceId) -> Item {
        item([("pk", text(id.as_str())), ("sk", text(SORT))])
    }

    pub(super) fn to_item(&self) -> Result<Item, Failure> {
        let contents = Contents {
            body: self.record.as_ref().map(|(body, _)| body.as_ref()),
            inbox: &self.inbox.entries,
            held: &self.held,
            history: &self.history.entries,
        };
        let contents = serde_json::to_string(&contents).map_err(|error| Failure::internal(error.to_string()))?;
        let mut row = Self::key(&self.id);
        row.extend(item([
            ("version", number(self.version)),
            ("token", text(&self.token)),
            ("shard", number(self.shard)),
            ("epoch", number(self.lease.epoch)),
            ("renewals", number(self.lease.renewals)),
            ("wake_seq", number(self.wake_seq)),
            ("inbox", number(self.inbox.head)),
            ("inbox_read", number(self.inbox_read)),
            ("history", number(self.history.head)),
            ("contents", bytes(pack(&contents)?)),
        ]));
        if let Some(holder) = &self.lease.holder {
            row.insert("holder".to_owned(), text(holder));
        }
        if let Some(at) = self.wake_at {
            row.extend(item([("due", text(due_shard(&self.id))), ("due_at", time(at))]));
        }
        if let Some(facts) = self.facts() {
            row.extend(item([("list", text(facts.partition())), ("live", truth(facts.live))]));
            if let Some(name) = &facts.name {
                row.insert("name".to_owned(), text(name));
            }
        }
        Ok(row)
    }

    pub(super) fn from_item(item: &Item) -> Result<Self, Failure> {
        let unreadable = || super::attributes::damaged(item, "contents");
        let contents: OwnedContents =
            serde_json::from_str(&unpack(item.bytes("contents")?)?).map_err(|_| unreadable())?;
        let facts = item
            .optional_text("list")
            .and_then(|list| list.rsplit_once('#'))
            .map(|(service, state)| Facts {
                name: item.optional_text("name").map(str::to_owned),
                service: service.to_owned(),
                state: state.to_owned(),
                live: item.flag("live"),
            });
        Ok(Self {
            id: item.text("pk")?.parse().map_err(|_| unreadable())?,
            version: item.number("version")?,
            token: item.text("token")?.to_owned(),
            shard: u8::try_from(item.number("shard")?).map_err(|_| unreadable())?,
            record: contents.body.zip(facts),
            lease: Lease {
                epoch: item.number("epoch")?,
                renewals: item.number("renewals")?,
                holder: item.optional_text("holder").map(str::to_owned),
            },
            wake_at: item.optional_time("due_at")?,
            wake_seq: item.number("wake_seq")?,
            inbox: Log {
                head: item.number("inbox")?,
                entries: contents.inbox,
            },
            inbox_read: item.number("inbox_read")?,
            history: Log {
                head: item.number("history")?,
                entries: contents.history,
            },
            held: contents.held,
        })
    }

    /// As the engine reads it; `None` where there is no record.
    pub(super) fn stored(&self) -> Option<Stored> {
        let (body, _) = self.record.as_ref()?;
        Some(Stored {
            id: self.id.clone(),
            body: body.get().to_owned(),
            lease: self.lease.clone(),
            wake: self.wake_at.map(|at| Wake { at, seq: self.wake_seq }),
            inbox_head: self.inbox.head,
            inbox_read: self.inbox_read,
        })
    }

    /// How many kilobytes a write of it counts.
    pub(super) fn kilobytes(&self) -> Result<usize, Failure> {
        Ok(size(&self.to_item()?).div_ceil(1024))
    }
}

/// Which shard of what is due an instance stands in.
fn due_shard(id: &InstanceId) -> String {
    let sum = id.as_str().bytes().fold(0_u8, u8::wrapping_add);
    due_partition(sum % DUE_SHARDS)
}

pub(super) fn due_partition(shard: u8) -> String {
    format!("due#{shard}")
}

/// JSON that is kept as it was written, to the byte.
pub(super) fn raw(json: String) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(json).map_err(|error| Failure::internal(format!("what is to be kept is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let id = InstanceId::new(Timestamp(1_700_000_000_000), [7; 10]);
        Row {
            version: 3,
            token: "token".to_owned(),
            record: Some((
                raw("{\"data\": {\"a\":1}}".to_owned()).expect("JSON"),
                Facts {
                    name: Some("acme".to_owned()),
                    service: "a#b".to_owned(),
                    state: "ready".to_owned(),
                    live: true,
                },
            )),
            lease: Lease {
                epoch: 2,
                renewals: 1,
                holder: Some("one".to_owned()),
            },
            wake_at: Some(Timestamp(5)),
            wake_seq: 9,
            held: vec![(Kind::Name, "acme".to_owned(), None)],
            ..Row::new(id, 12)
        }
    }

    #[test]
    fn a_row_is_read_back_as_it_was_written() {
        let mut row = row();
        row.inbox.push([raw("\"one\"".to_owned()).expect("JSON")]);
        row.history
            .push(["1", "2"].map(|text| raw(text.to_owned()).expect("JSON")));
        let read = Row::from_item(&row.to_item().expect("an item")).expect("a row");
        assert_eq!(format!("{read:?}"), format!("{row:?}"));
        assert_eq!(read.stored().expect("a record").body, "{\"data\": {\"a\":1}}");
    }

    #[test]
    fn a_log_numbers_what_it_has_and_forgets_from_its_beginning() {
        let mut log = Log::default();
        assert_eq!(log.first(), 1);
        log.push(["1", "2", "3"].map(|text| raw(text.to_owned()).expect("JSON")));
        let numbers = |log: &Log, after| log.after(after).map(|(number, _)| number).collect::<Vec<_>>();
        assert_eq!(numbers(&log, 1), [2, 3]);
        log.cut(2);
        assert_eq!((log.head, log.first(), numbers(&log, 0)), (3, 3, vec![3]));
        log.cut(1);
        log.cut(99);
        assert_eq!((log.first(), numbers(&log, 0)), (4, vec![]));
        log.push([raw("4".to_owned()).expect("JSON")]);
        assert_eq!(numbers(&log, 0), [4]);
    }

    #[test]
    fn at_rest_it_stands_in_no_index_of_what_is_due() {
        let mut row = row();
        row.wake_at = None;
        let item = row.to_item().expect("an item");
        assert!(!item.contains_key("due") && !item.contains_key("due_at"));
    }
}
