//! What the engine needs from a registry. Adapters implement [`Store`]; the contract suite in `testkit` holds them to it.
//!
//! A registry keeps, for each instance, one *record* (an opaque JSON body with a few indexed facts), a *lease*, an *inbox*
//! and a *history*; and beside them *reservations* (exclusive rights to a key: a name, a port, an endpoint, a trigger's
//! key) and an *outbox* (mails to hand over). Everything that belongs together is written by one [`Batch`], or not at all.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{fmt, ops::RangeInclusive};
use wharf_domain::{Code, Failure, InstanceId, Timestamp};

/// Changes that are committed together, durably, or not at all.
///
/// One batch has a dozen reservations, releases and mails, and never more than fifty: a transaction of DynamoDB has a hundred parts.
///
/// The conditions (`expect`, `inbox_at`, `at_most_live`, and those of `reserve` and `release`) are checked first, in this order; if one does not
/// hold nothing is written and the error says which.
#[derive(Clone, Debug)]
pub struct Batch {
    pub instance: InstanceId,
    pub expect: Expect,
    pub lease: LeaseChange,
    /// The inbox's head must still be here: a wait is written only against the inbox that was read.
    pub inbox_at: Option<u64>,
    /// With [`Expect::Absent`]: refused if as many instances are live already.
    pub at_most_live: Option<u64>,
    /// The new record, if it changes.
    pub record: Option<RecordWrite>,
    /// Inbox entries up to here are dealt with and may be dropped.
    pub consumed: Option<u64>,
    pub reserve: Vec<Reserve>,
    pub release: Vec<Release>,
    /// Appended to the instance's history, numbered by the store.
    pub history: Vec<HistoryEntry>,
    pub outbox: Vec<OutboxMail>,
    /// What others read of the instance in a table of a documented form, where the registry keeps one; given whenever the state changes.
    pub documented: Option<Documented>,
}

/// An instance as its documented table shows it. A registry without such tables passes it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documented {
    /// The table's key (`userId`).
    pub key: String,
    /// Beside the key, by their documented names; what is not known yet is not there.
    pub fields: Vec<(&'static str, Field)>,
    /// The key is this instance's; without it, another may have it.
    pub live: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Text(String),
    Number(i64),
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub const fn new(instance: InstanceId, expect: Expect, lease: LeaseChange) -> Self {
        Self {
            instance,
            expect,
            lease,
            inbox_at: None,
            at_most_live: None,
            record: None,
            consumed: None,
            reserve: Vec::new(),
            release: Vec::new(),
            history: Vec::new(),
            outbox: Vec::new(),
            documented: None,
        }
    }
}

/// What must be true of the record for a batch to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no record of this id: a claim.
    Absent,
    /// The lease is still as it was seen: nobody has written as its holder since.
    Lease { epoch: u64, renewals: u64 },
    /// Nothing: a batch that touches no record (reservations only).
    Anything,
}

/// What a batch does to the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseChange {
    Keep,
    /// Epoch one higher, renewals zero, held by this holder.
    Take {
        holder: String,
    },
    /// Renewals one higher.
    Renew,
    /// Held by nobody; the epoch stays, and renewals are one higher: of two who have read it at rest, and write, the second has not read what the
    /// first one wrote.
    Release,
}

/// Who may write a record. It has no time in it: see guarantee 3 in the design (a lease is taken over when the same epoch and
/// renewal count were seen twice, a lease and a margin apart, by the observer's own clock).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub epoch: u64,
    pub renewals: u64,
    pub holder: Option<String>,
}

/// A record as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWrite {
    /// JSON.
    pub body: String,
    pub index: Index,
    /// When somebody should look at it again; `None` at rest.
    pub wake: Option<Wake>,
}

/// What listings filter and count by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub name: Option<String>,
    pub service: String,
    pub state: &'static str,
    /// Counts towards the limit on instances.
    pub live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    pub at: Timestamp,
    /// One higher with each wait: a wake with another number is stale.
    pub seq: u64,
}

/// What a reservation is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A tenant's name.
    Name,
    /// A port that Wharf leases; the key is its number in decimal.
    Port,
    /// `ip:port` or EC2 instance and port, while a task listens there.
    Endpoint,
    /// A trigger's key; `value` is the hash of the fields sent with it.
    Trigger,
    /// The hash of a status token.
    Token,
    /// A first password that may still be shown.
    Reveal,
    /// The hash of a console session that was ended before its time; no instance's, and over when the session would be.
    Session,
    /// A schedule's name; no instance's. `value` says what was done of it, and it ends long after the last time.
    Schedule,
    /// What was paid for and waits for a name to be chosen, by the hash of the link's token; `value` says what.
    Order,
    /// A contract with somebody who pays, such as a subscription: whose instance it is for.
    Contract,
    /// One of the places that an e-mail address has, where it has only so many; the key is the address's hash and the place's number.
    Email,
}

impl Kind {
    /// Those of which a [`Survey`] tells: what an instance has to itself until it gives it back.
    pub const HELD: &[Self] = &[Self::Name, Self::Port, Self::Endpoint];

    pub const ALL: &[Self] = &[
        Self::Name,
        Self::Port,
        Self::Endpoint,
        Self::Trigger,
        Self::Token,
        Self::Reveal,
        Self::Session,
        Self::Schedule,
        Self::Order,
        Self::Contract,
        Self::Email,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Port => "port",
            Self::Endpoint => "endpoint",
            Self::Trigger => "trigger",
            Self::Token => "token",
            Self::Reveal => "reveal",
            Self::Session => "session",
            Self::Schedule => "schedule",
            Self::Order => "order",
            Self::Contract => "contract",
            Self::Email => "email",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Takes an exclusive right for the batch's instance. It holds if the key is free, its rest or its time is over (at `now`),
/// or the same instance has it already (its value and end are then replaced).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    pub kind: Kind,
    pub key: String,
    pub value: String,
    /// Ends by itself then; `None`: held until released.
    pub until: Option<Timestamp>,
    /// The clock by which rests and ends are judged.
    pub now: Timestamp,
}

/// Gives a right back. Not held by the batch's instance, or not there: nothing happens, unless `must_hold`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub kind: Kind,
    pub key: String,
    /// Nobody else gets the key before then; `None`: free at once.
    pub rest_until: Option<Timestamp>,
    /// [`CommitError::NotHeld`] if the instance does not hold it.
    pub must_hold: bool,
}

/// A reservation as it stands. Past its end or rest it may still be there until the store tidies up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub owner: InstanceId,
    pub value: String,
    /// Released, and resting until `until`.
    pub resting: bool,
    pub until: Option<Timestamp>,
}

/// One line of an instance's history: what the journal says to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub at: Timestamp,
    pub attempt: u32,
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    /// A saga began.
    Began { saga: String },
    /// A step is about to be run or undone: the intent.
    Started { step: String, undo: bool },
    /// It was done, this long after it was first begun.
    Done { step: String, undo: bool, millis: u64 },
    /// It waits, for this.
    Waits { step: String, undo: bool, why: String },
    /// It failed: for now (`last` false) or for good.
    Failed {
        step: String,
        undo: bool,
        last: bool,
        cause: Failure,
    },
    /// The state changed.
    State { state: String, cause: Option<Failure> },
    /// A line for the reader: a message came, a mail was sent.
    Note { text: String },
}

/// A history entry with its number: 1, 2, 3, … within its instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    pub seq: u64,
    #[serde(flatten)]
    pub entry: HistoryEntry,
}

/// A mail to be handed over, once. `id` is its idempotency key, and the same mail put twice is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMail {
    pub id: String,
    /// JSON; what is in it is the workflow's business. No secret stands in it.
    pub body: String,
}

/// A mail that waits, with what was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: String,
    pub instance: InstanceId,
    pub body: String,
    pub tries: u32,
    pub next_at: Timestamp,
}

/// A mail that was put into the outbox and was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    pub id: String,
    pub instance: InstanceId,
    pub tries: u32,
    /// When it is to be tried next; `None`: it was given up.
    pub next_at: Option<Timestamp>,
    /// What the last try met.
    pub error: Option<String>,
}

/// A mail that is in the outbox, whatever has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub id: String,
    pub instance: InstanceId,
    /// JSON, as it was put.
    pub body: String,
    pub tries: u32,
    pub fate: Fate,
    /// What the last try met; nothing once it was sent.
    pub error: Option<String>,
}

/// Where a mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// To be tried, not before then.
    Waits { next_at: Timestamp },
    /// Handed over then.
    Sent { at: Timestamp },
    /// Given up.
    Dead,
}

/// A page of the outbox. It may be empty though there is more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mails {
    pub mails: Vec<Posted>,
    /// To be given as `from` for the next page; `None` on the last one.
    pub next: Option<String>,
}

/// A page of what stands beside the records. One of its lists may be empty, and both may, though there is more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Of names, ports and endpoints; also those that rest, or are over and not tidied away.
    pub reservations: Vec<(Kind, String, Reservation)>,
    pub mails: Vec<Unsent>,
    /// To be given as `from` for the next page; `None` on the last one.
    pub next: Option<String>,
}

/// What became of a try to hand a mail over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settle {
    Sent {
        at: Timestamp,
    },
    Later {
        at: Timestamp,
        error: String,
    },
    /// Never to be tried again by itself.
    Dead {
        error: String,
    },
    /// Somebody wants it tried again: the tries are counted anew, from none. What the last one met is kept.
    Again {
        at: Timestamp,
    },
}

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub id: InstanceId,
    pub body: String,
    pub lease: Lease,
    pub wake: Option<Wake>,
    /// The number of the newest inbox entry ever appended.
    pub inbox_head: u64,
    /// The number up to which they are dealt with.
    pub inbox_read: u64,
}

/// A message to an instance's driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    pub seq: u64,
    /// JSON.
    pub body: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The inbox's head at this commit: whether something has come since it was last read.
    pub inbox_head: u64,
    /// The lease as it is now.
    pub lease: Lease,
}

/// An instance that wants a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub id: InstanceId,
    pub wake: Wake,
}

/// Which records a page of a listing has. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub state: Option<String>,
    pub service: Option<String>,
    pub name: Option<String>,
    /// Only those with (`true`) or without a name.
    pub named: Option<bool>,
    /// Only live ones (`true`), or only ended ones.
    pub live: Option<bool>,
    /// Older than this id: the last one of the page before.
    pub before: Option<InstanceId>,
    /// At most this many; a store gives at most [`PAGE_MAX`].
    pub limit: usize,
}

/// The longest page.
pub const PAGE_MAX: usize = 1000;

/// How many records are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub service: String,
    pub state: String,
    pub count: u64,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct StoreError {
    pub failure: Failure,
}

impl StoreError {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(code, message),
        }
    }

    /// A page is asked for from a place that no page before has named.
    #[must_use]
    pub fn no_such_place(from: &str) -> Self {
        let why = format!("{from:?} is no place to go on from");
        Self {
            failure: Failure::new(Code::RequestInvalid, why).hint("give what the page before says is `next`"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        error.failure
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else has taken the lease: whoever gets this must stop at once.
    #[error("the lease is another's now")]
    Fenced,
    /// Something came into the inbox: read it first.
    #[error("the inbox has moved on")]
    InboxMoved,
    /// There is a record of this id already.
    #[error("there is such a record already")]
    Exists,
    /// As many instances are live as may be.
    #[error("there are {live} live instances already")]
    TooMany { live: u64 },
    /// Another instance has the key.
    #[error("{kind} {key} is taken")]
    Taken { kind: Kind, key: String, by: Reservation },
    /// A release that had to hold did not.
    #[error("{kind} {key} is not held")]
    NotHeld { kind: Kind, key: String },
    /// Nothing was written, for a reason of the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known whether it was written: read before anything else.
    #[error("the outcome of the write is not known: {0}")]
    Unknown(Failure),
}

/// The registry.
///
/// Guarantees wanted of an adapter:
/// - *Durable*: when `commit` or `append` returns `Ok`, a loss of power does not take it back.
/// - *Atomic*: a batch is written whole or not at all, and its conditions are checked in the same transaction.
/// - *Ordered*: what one caller committed, every later read sees.
/// - *Bounded*: no read is longer than its `limit`; no call waits for ever.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes a batch. See [`Batch`] for the conditions.
    async fn commit(&self, batch: Batch) -> Result<Committed, CommitError>;

    /// The record and what stands beside it.
    async fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError>;

    /// Appends a message (JSON) to an instance's inbox, and makes the instance due at `now` if it was not due earlier. Gives the message's number; `None` if there is no such instance.
    /// A message whose `key` was appended to this inbox before (in the last 48 hours at the least) is not appended again; the first one's number is given.
    async fn append(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError>;

    /// The messages after `after`, in order, at most `limit`.
    async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError>;

    /// A reservation, also one that rests or is over.
    async fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError>;

    /// All reservations of one instance.
    async fn reservations_of(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError>;

    /// A port of the range that nobody has at `now`; callers at the same time get different ones as far as can be, and the commit decides.
    async fn free_port(&self, range: RangeInclusive<u16>, now: Timestamp) -> Result<Option<u16>, StoreError>;

    /// What is due at `now`, the longest due first, at most `limit`.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError>;

    /// A page of records, newest first.
    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError>;

    /// How many records there are, by service and state.
    async fn counts(&self) -> Result<Vec<Count>, StoreError>;

    /// An instance's history after number `after`, in order, at most `limit`.
    async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError>;

    /// Mails that may be tried at `now`, oldest first.
    async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError>;

    /// Writes down what became of a mail.
    async fn settle(&self, mail: &str, settle: Settle) -> Result<(), StoreError>;

    /// The mails of the outbox, also those that were given up, and those that were sent and are not tidied away; in an order of the store's own. At most `limit`. What no page
    /// has given as `next` is `request.invalid`.
    async fn posted(&self, from: Option<String>, limit: usize) -> Result<Mails, StoreError>;

    /// One of them.
    async fn mail(&self, id: &str) -> Result<Option<Posted>, StoreError>;

    /// A page of the reservations of names, ports and endpoints and of the mails that were not sent, whoever they belong to; at most `limit` of each. It may miss what changes while its
    /// pages are read. What another program wrote into a table that it shares with the registry is not in it.
    async fn survey(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError>;

    /// Removes what is over: ended reservations, inbox entries that were dealt with, mails sent long ago. Gives how much. Bounded; call it again.
    /// A store that sees to it by itself does nothing, and gives 0.
    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError>;
}
