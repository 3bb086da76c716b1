//! The registry on DynamoDB: [`wharf_saga::Store`] on Wharf's own table and the two documented ones.
//!
//! | file | what it is for |
//! |---|---|
//! | `tables` | the tables as data, and how they are made |
//! | `row` | the one item of an instance that its driver writes; logs and their pages |
//! | `decide` | what a batch makes of a row, and what refuses it: pure |
//! | `commit` | a batch, committed: drafted, written, and drafted anew where something moved |
//! | `rights` | reservations, ports and documented names as items |
//! | `counters` | counts, and the limit on live instances, in shards |
//! | `messages` | inbox and history |
//! | `outbox` | mails |
//! | `listing` | listings, counts, what is due |
//! | `survey` | reservations and mails, whoever they belong to |
//! | `ports` | a free port |
//! | `action`, `write`, `read` | items written, on conditions, and read |
//! | `attributes`, `packed` | values as attributes and back; texts made small |
//! | `meter` | what it all costs |
//!
//! # What is guaranteed, beside the trait
//!
//! - What a batch writes is one transaction, or one conditional write where it is one item. A commit whose answer is lost is
//!   asked for again with the same token, and looked for in the row; only if that does not answer either is it
//!   [`CommitError::Unknown`].
//! - `load`, `inbox`, `history`, `reservation`, `reservations_of` and `counts` read what is committed. `list`, `due` and
//!   `outbox` go over an index, which DynamoDB fills a moment after the commit, and `survey` over the tables as they were a moment ago: they may miss what came in that moment. What
//!   `list` and `outbox` give was read again and is so; what `due` gives was due a moment ago, and a driver reads the record
//!   first. The engine depends on no more: the sweep comes again.
//! - `at_most_live` is never exceeded by claims that have the same limit, however many there are at once (see `counters`).
//!   After a limit was lowered, or beside instances that came without one, claims at the same moment may go beyond it by
//!   their own number, at most.
//! - Nothing is removed by `tidy`: what is over has a time to live, and DynamoDB removes it at no price, within days. No
//!   condition waits for that.
//! - A batch has at most 90 reservations, releases and mails: a transaction has a hundred actions.

mod action;
mod attributes;
mod commit;
mod counters;
mod decide;
mod listing;
mod messages;
mod meter;
mod outbox;
mod packed;
mod ports;
mod read;
mod rights;
mod row;
mod survey;
pub mod tables;
mod tally;
mod write;

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::{
    Batch, Clock, CommitError, Committed, Ids, Store, StoreError,
    store::{
        Count, Due, InboxEntry, Kind, Mails, Numbered, Pending, Posted, Query, Reservation, Settle, Stored, Survey,
    },
};

pub use meter::StoreCounters;
pub use tables::Tables;

use crate::clients::Clients;
use meter::Meter;
use ports::Offers;
use read::failed;
use row::Row;

/// Rows remembered, so that a driver's next commit need not read what its last one wrote.
const REMEMBERED_MOST: usize = 1_000;
/// Writers of one instance in this process go one after another, so that they do not refuse each other; instances share so many turns.
const TURNS: usize = 256;

/// The registry in DynamoDB.
pub struct DynamoStore {
    base: Base,
    remembered: Mutex<HashMap<InstanceId, Arc<Row>>>,
    turns: Vec<tokio::sync::Mutex<()>>,
    offers: Mutex<Offers>,
}

/// What every part of the store calls DynamoDB with.
struct Base {
    clients: Arc<Clients>,
    tables: Tables,
    ids: Arc<dyn Ids>,
    clock: Arc<dyn Clock>,
    meter: Meter,
    /// The last number that `order` gave.
    order: AtomicU64,
}

impl fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStore")
            .field("tables", &self.base.tables)
            .finish_non_exhaustive()
    }
}

impl DynamoStore {
    /// Calls nobody: the first use makes the client. The tables must be there (see [`Tables::create`]).
    #[must_use]
    pub fn new(clients: Arc<Clients>, tables: Tables, ids: Arc<dyn Ids>, clock: Arc<dyn Clock>) -> Self {
        Self {
            base: Base {
                clients,
                tables,
                ids,
                clock,
                meter: Meter::default(),
                order: AtomicU64::new(0),
            },
            remembered: Mutex::default(),
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
            offers: Mutex::default(),
        }
    }

    /// What it has cost.
    #[must_use]
    pub fn counters(&self) -> StoreCounters {
        self.base.meter.counters()
    }

    /// Makes the tables that are not there.
    pub async fn create_tables(&self) -> Result<(), wharf_domain::Failure> {
        self.base.tables.create(self.base.client().await).await
    }

    async fn turn(&self, id: &InstanceId) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.turns[hasher.finish() as usize % TURNS].lock().await
    }

    fn remembered(&self, id: &InstanceId) -> Option<Arc<Row>> {
        self.remembered.lock().get(id).cloned()
    }

    fn remember(&self, row: &Arc<Row>) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MOST {
            remembered.clear();
        }
        remembered.insert(row.id.clone(), row.clone());
    }

    fn forget(&self, id: &InstanceId) {
        self.remembered.lock().remove(id);
    }

    /// An instance's row as it is now.
    async fn read_row(&self, id: &InstanceId) -> Result<Option<Arc<Row>>, StoreError> {
        let item = self.base.get(&self.base.tables.wharf, Row::key(id)).await?;
        let Some(item) = item else {
            self.forget(id);
            return Ok(None);
        };
        let row = Arc::new(Row::from_item(&item).map_err(failed)?);
        self.remember(&row);
        Ok(Some(row))
    }

    async fn held_by(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError> {
        let Some(row) = self.read_row(owner).await? else {
            return Ok(Vec::new());
        };
        let keys: Vec<_> = row
            .held
            .iter()
            .map(|(kind, key, _)| rights::address(&self.base.tables, *kind, key))
            .collect();
        let mut held = Vec::new();
        for ((kind, key, _), item) in row.held.iter().zip(self.base.get_many(&keys, true).await?) {
            let Some(item) = item else { continue };
            let reservation = rights::reservation(&item).map_err(failed)?;
            if let Some(reservation) = reservation.filter(|reservation| reservation.owner == *owner) {
                held.push((*kind, key.clone(), reservation));
            }
        }
        Ok(held)
    }
}

impl Base {
    async fn client(&self) -> &aws_sdk_dynamodb::Client {
        self.clients.dynamodb().await
    }

    fn tables(&self) -> &Tables {
        &self.tables
    }

    /// 128 bits of chance, in 26 characters.
    fn token(&self) -> String {
        let mut random = [0; 16];
        self.ids.fill(&mut random);
        data_encoding::BASE32HEX_NOPAD.encode(&random)
    }

    /// Any number.
    fn any(&self) -> usize {
        let mut random = [0; 8];
        self.ids.fill(&mut random);
        u64::from_le_bytes(random) as usize
    }

    /// A number below `most`.
    fn chance(&self, most: u8) -> u8 {
        (self.any() % usize::from(most.max(1))) as u8
    }

    /// A number by which what is put later sorts later: microseconds of our clock, and higher than the one before.
    fn order(&self) -> u64 {
        let now = self.clock.now().as_millis().saturating_mul(1000);
        let next = |last: u64| Some((last + 1).max(now));
        self.order
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map_or(now, |last| (last + 1).max(now))
    }

    /// Waits before another try: at random up to `first`, which doubles with each try, up to `longest`.
    async fn pause(&self, attempt: u32, first: Duration, longest: Duration) {
        let most = first.saturating_mul(1 << attempt.min(16)).min(longest);
        let micros = most.as_micros().max(1) as usize;
        tokio::time::sleep(Duration::from_micros((self.any() % micros) as u64)).await;
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, CommitError> {
        self.commit_batch(batch).await
    }

    async fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError> {
        Ok(self.read_row(id).await?.and_then(|row| row.stored()))
    }

    async fn append(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        self.append_message(id, body, key, now).await
    }

    async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError> {
        self.read_inbox(id, after, limit).await
    }

    async fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError> {
        let (table, key) = rights::address(&self.base.tables, kind, key);
        match self.base.get(table, key).await? {
            Some(item) => rights::reservation(&item).map_err(failed),
            None => Ok(None),
        }
    }

    async fn reservations_of(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError> {
        self.held_by(owner).await
    }

    async fn free_port(&self, range: RangeInclusive<u16>, now: Timestamp) -> Result<Option<u16>, StoreError> {
        self.find_port(range, now).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.due_instances(now, limit).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.list_records(&query).await
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        Ok(self.read_counters().await?.counts())
    }

    async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        self.read_history(id, after, limit).await
    }

    async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        self.waiting_mails(now, limit).await
    }

    async fn settle(&self, mail: &str, settle: Settle) -> Result<(), StoreError> {
        self.settle_mail(mail, settle).await
    }

    async fn posted(&self, from: Option<String>, limit: usize) -> Result<Mails, StoreError> {
        self.mails_page(from, limit).await
    }

    async fn mail(&self, id: &str) -> Result<Option<Posted>, StoreError> {
        self.posted_mail(id).await
    }

    async fn survey(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        self.survey_page(from, limit).await
    }

    /// Nothing to do: DynamoDB removes what is over by its time to live.
    async fn tidy(&self, _now: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}
