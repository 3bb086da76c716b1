//! The registry of one machine: [`wharf_saga::Store`] in one SQLite file.
//!
//! Durability comes first: WAL with `synchronous=FULL`, so that what was acknowledged survives a loss of power. Speed comes
//! from writing in company: one thread owns the only writing connection, takes every batch that waits, and commits them
//! together with one fsync. Reads go beside it, over connections of their own.
//!
//! | file | what it is for |
//! |---|---|
//! | `open` | a registry is made, checked, brought to the present format and taken over |
//! | `backup` | a copy of it is made beside everything else, and what makes a file such a copy |
//! | `restore` | a copy is put in its place |
//! | `schema` | the formats, one SQL file each, and the way from one to the next |
//! | `writer` | the writing thread as its callers see it: the answers, and the bounds on every wait |
//! | `queue` | what waits for it, handed out in groups |
//! | `group` | many writes in one transaction, and what to do when the disk does not take them |
//! | `batch` | one [`Batch`] in SQL: all its conditions, then all its writes |
//! | `outbox` | the mails, whatever became of them |
//! | `upkeep` | the other writes: inbox messages, mails' fates, tidying |
//! | `read`, `list` | the reading connections; listings and their filters |
//! | `ports` | which ports are taken, in memory |
//! | `columns` | values as columns and back |
//! | `trouble` | what an SQLite error means to an operator |
//!
//! One process at a time: whoever opens a registry holds an exclusive lock on its data directory (the `wharf` program sees to
//! that), for opening takes every lease from the dead.

mod backup;
mod batch;
mod columns;
mod group;
mod list;
mod open;
mod outbox;
mod ports;
mod queue;
mod read;
mod restore;
mod schema;
mod survey;
mod trouble;
mod upkeep;
mod writer;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{ops::RangeInclusive, path::Path, sync::Arc};
use wharf_domain::{DeploymentId, Failure, InstanceId, Timestamp};
use wharf_saga::{
    Batch, CommitError, Committed, Ids, Store, StoreError,
    store::{
        Count, Due, InboxEntry, Kind, Mails, Numbered, Pending, Posted, Query, Reservation, Settle, Stored, Survey,
    },
};

use batch::Prepared;
use ports::Ports;
use read::Readers;
use upkeep::Message;
use writer::{Done, Work, Writer};

pub use backup::{Snapshot, backup};
pub use restore::{Restored, restore};
pub use writer::Counters;

/// The registry in one SQLite file.
///
/// Dropping it writes what was handed in, joins the writing thread and folds the write-ahead log into the file; that takes
/// an fsync or two, so the last holder had better not drop it on a thread that others wait for.
///
/// A call whose future is dropped may or may not have been carried out. Time-outs run on tokio's clock: a runtime whose clock is paused
/// would let them pass at once.
#[derive(Debug)]
pub struct SqliteStore {
    deployment: DeploymentId,
    // Dropped before the writer: the last connection to close is the one that folds the log into the file.
    readers: Readers,
    ports: Arc<Mutex<Ports>>,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the registry at `path`, or makes one there (mode 0600) if there is no such file. Its folder must exist.
    ///
    /// Whatever was being driven when the process before this one ended is free (the epoch stays) and due at `now`; what slept
    /// keeps its time. The caller holds the exclusive lock on the data directory: no other process has this registry open.
    ///
    /// Fails with `data.directory`, `store.damaged`, `store.newer`, `store.full` or `store.unavailable`. A registry that
    /// cannot be opened is left as it is.
    pub fn open(path: &Path, ids: &dyn Ids, now: Timestamp) -> Result<Self, Failure> {
        let opened = open::open(path, ids, now)?;
        let ports = Arc::new(Mutex::new(opened.ports));
        Ok(Self {
            deployment: opened.deployment,
            readers: Readers::open(path)?,
            writer: Writer::start(opened.connection, opened.live, ports.clone(), path)?,
            ports,
        })
    }

    /// The id by which this deployment's resources in the world are known: made with the registry, and never changed.
    pub fn deployment_id(&self) -> &DeploymentId {
        &self.deployment
    }

    /// What the writer has done since the registry was opened.
    pub fn counters(&self) -> Counters {
        self.writer.counters()
    }

    /// Reads the whole file and fails with `store.damaged` if something in it is not as it should be. Two milliseconds for a megabyte, beside everything else.
    pub async fn check(&self) -> Result<(), Failure> {
        Ok(self.readers.check().await?)
    }

    /// Carries out a write that has no conditions of its own to fail.
    async fn write(&self, work: Work) -> Result<Done, StoreError> {
        self.writer.submit(work).await.map_err(|error| match error {
            CommitError::Store(error) => error,
            CommitError::Unknown(failure) => StoreError { failure },
            refusal => StoreError {
                failure: Failure::internal(format!("a write without conditions was refused: {refusal}")),
            },
        })
    }
}

/// The writer answers each kind of work with its own kind of answer.
fn mismatch() -> StoreError {
    StoreError {
        failure: Failure::internal("the registry's writer gave another's answer"),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, CommitError> {
        let work = Work::Commit(Box::new(Prepared::new(batch)?));
        match self.writer.submit(work).await? {
            Done::Committed(committed) => Ok(committed),
            _ => Err(mismatch().into()),
        }
    }

    async fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError> {
        self.readers.load(id)
    }

    async fn append(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let message = Message {
            instance: id.clone(),
            body,
            key,
            now,
        };
        match self.write(Work::Append(message)).await? {
            Done::Appended(seq) => Ok(seq),
            _ => Err(mismatch()),
        }
    }

    async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError> {
        self.readers.inbox(id, after, limit).await
    }

    async fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError> {
        self.readers.reservation(kind, key)
    }

    async fn reservations_of(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError> {
        self.readers.reservations_of(owner)
    }

    async fn free_port(&self, range: RangeInclusive<u16>, now: Timestamp) -> Result<Option<u16>, StoreError> {
        Ok(self.ports.lock().offer(range, now))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.readers.due(now, limit).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.readers.list(query).await
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.readers.counts().await
    }

    async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        self.readers.history(id, after, limit).await
    }

    async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        self.readers.outbox(now, limit).await
    }

    async fn settle(&self, mail: &str, settle: Settle) -> Result<(), StoreError> {
        self.write(Work::Settle(mail.to_owned(), settle)).await.map(drop)
    }

    async fn posted(&self, from: Option<String>, limit: usize) -> Result<Mails, StoreError> {
        self.readers.mails(from, limit).await
    }

    async fn mail(&self, id: &str) -> Result<Option<Posted>, StoreError> {
        self.readers.mail(id).await
    }

    async fn survey(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        self.readers.survey(from, limit).await
    }

    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError> {
        match self.write(Work::Tidy(now)).await? {
            Done::Tidied(removed) => Ok(removed),
            _ => Err(mismatch()),
        }
    }
}
