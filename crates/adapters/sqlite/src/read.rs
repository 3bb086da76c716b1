//! The reading connections.
//!
//! In WAL mode a reader waits for nobody: not for the writer, not for its fsync. A read of a row or a few takes some
//! microseconds from the system's page cache, less than handing it to another thread and back costs; so it is done where it
//! is asked for, on the caller's thread. It holds that thread up only if a page has to come from the disk, or if as many reads go on at once as there are
//! connections, and then for as long as one of them takes. What may be long (a page of a listing, a history, counts) goes to tokio's
//! blocking threads, over connections of its own, so that it never stands before a short one.

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, ToSql};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_saga::{
    StoreError,
    store::{Count, Due, InboxEntry, Kind, Mails, Numbered, Pending, Posted, Query, Reservation, Stored, Survey, Wake},
};

use crate::{
    columns::{
        RESERVATION, STORED, column, instance, kind, limit_column, number, reservation, stored, time, time_column,
        unreadable,
    },
    list,
    open::{BUSY_TIMEOUT, check_pages},
    outbox, survey, trouble,
};

/// Connections for reads of a few rows: as many can go on at once.
const SHORT: usize = 2;
/// Connections for longer reads.
const LONG: usize = 2;
/// Up to so many rows a read is short.
const SHORT_ROWS: usize = 64;
/// How long a longer read waits for a connection.
const LONG_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Readers {
    short: [Mutex<Connection>; SHORT],
    long: Arc<Long>,
    path: PathBuf,
}

struct Long {
    /// Those that nobody uses just now.
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let connect = || connect(path).map_err(|error| trouble::opening(&error, path));
        let mut idle = Vec::with_capacity(LONG);
        for _ in 0..LONG {
            idle.push(connect()?);
        }
        Ok(Self {
            short: [Mutex::new(connect()?), Mutex::new(connect()?)],
            long: Arc::new(Long {
                idle: Mutex::new(idle),
                permits: Semaphore::new(LONG),
            }),
            path: path.to_owned(),
        })
    }

    pub(crate) fn load(&self, id: &InstanceId) -> Result<Option<Stored>, StoreError> {
        self.short(|connection| {
            connection
                .prepare_cached(&format!("SELECT {STORED} FROM instances WHERE id = ?1"))?
                .query_row([id.as_str()], stored)
                .optional()
        })
    }

    pub(crate) fn reservation(&self, kind: Kind, key: &str) -> Result<Option<Reservation>, StoreError> {
        self.short(|connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {RESERVATION} FROM reservations WHERE kind = ?1 AND key = ?2"
                ))?
                .query_row([kind.as_str(), key], |row| reservation(row, 0))
                .optional()
        })
    }

    pub(crate) fn reservations_of(&self, owner: &InstanceId) -> Result<Vec<(Kind, String, Reservation)>, StoreError> {
        self.short(|connection| {
            rows(
                connection,
                &format!("SELECT kind, key, {RESERVATION} FROM reservations WHERE owner = ?1 ORDER BY kind, key"),
                &[&owner.as_str()],
                |row| Ok((kind(row, 0)?, row.get(1)?, reservation(row, 2)?)),
            )
        })
    }

    pub(crate) async fn inbox(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<InboxEntry>, StoreError> {
        let id = id.clone();
        self.rows(limit, move |connection| {
            rows(
                connection,
                "SELECT seq, body FROM inbox
                 WHERE instance = (SELECT number FROM instances WHERE id = ?1) AND seq > ?2 AND dealt = 0
                 ORDER BY seq LIMIT ?3",
                &[&id.as_str(), &column(after), &limit_column(limit)],
                |row| {
                    Ok(InboxEntry {
                        seq: number(row, 0)?,
                        body: row.get(1)?,
                    })
                },
            )
        })
        .await
    }

    pub(crate) async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.rows(limit, move |connection| {
            rows(
                connection,
                "SELECT id, wake_at, wake_seq FROM instances WHERE wake_at <= ?1 ORDER BY wake_at, number LIMIT ?2",
                &[&time_column(now), &limit_column(limit)],
                |row| {
                    Ok(Due {
                        id: instance(row, 0)?,
                        wake: Wake {
                            at: time(row, 1)?,
                            seq: number(row, 2)?,
                        },
                    })
                },
            )
        })
        .await
    }

    pub(crate) async fn outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        self.rows(limit, move |connection| {
            rows(
                connection,
                "SELECT id, instance, body, tries, at FROM outbox
                 WHERE state = 'pending' AND at <= ?1 ORDER BY number LIMIT ?2",
                &[&time_column(now), &limit_column(limit)],
                |row| {
                    Ok(Pending {
                        id: row.get(0)?,
                        instance: instance(row, 1)?,
                        body: row.get(2)?,
                        tries: row.get(3)?,
                        next_at: time(row, 4)?,
                    })
                },
            )
        })
        .await
    }

    pub(crate) async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        let id = id.clone();
        self.rows(limit, move |connection| {
            rows(
                connection,
                "SELECT seq, entry FROM history
                 WHERE instance = (SELECT number FROM instances WHERE id = ?1) AND seq > ?2 ORDER BY seq LIMIT ?3",
                &[&id.as_str(), &column(after), &limit_column(limit)],
                |row| {
                    Ok(Numbered {
                        seq: number(row, 0)?,
                        entry: serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|error| unreadable(1, error))?,
                    })
                },
            )
        })
        .await
    }

    pub(crate) async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.long(move |connection| list::page(connection, &query)).await
    }

    pub(crate) async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.long(|connection| {
            rows(
                connection,
                "SELECT service, state, count(*) FROM instances GROUP BY service, state ORDER BY service, state",
                &[],
                |row| {
                    Ok(Count {
                        service: row.get(0)?,
                        state: row.get(1)?,
                        count: number(row, 2)?,
                    })
                },
            )
        })
        .await
    }

    pub(crate) async fn mails(&self, from: Option<String>, limit: usize) -> Result<Mails, StoreError> {
        let after = outbox::place(from.as_deref())?;
        self.long(move |connection| outbox::page(connection, after, limit))
            .await
    }

    pub(crate) async fn mail(&self, id: &str) -> Result<Option<Posted>, StoreError> {
        let id = id.to_owned();
        self.rows(1, move |connection| outbox::one(connection, &id)).await
    }

    pub(crate) async fn survey(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        self.long(move |connection| survey::page(connection, from.as_deref(), limit))
            .await
    }

    /// Whether the whole file is as it should be.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let outcome = self.long(move |connection| check_pages(connection, &path)).await?;
        outcome.map_err(|failure| StoreError { failure })
    }

    async fn rows<T: Send + 'static>(
        &self,
        limit: usize,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if limit <= SHORT_ROWS {
            self.short(read)
        } else {
            self.long(read).await
        }
    }

    fn short<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self
            .short
            .iter()
            .find_map(Mutex::try_lock)
            .unwrap_or_else(|| self.short[0].lock());
        read(&connection).map_err(|error| failed(&error, &self.path))
    }

    async fn long<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(Ok(_permit)) = timeout(LONG_TIMEOUT, self.long.permits.acquire()).await else {
            return Err(StoreError::new(
                Code::StoreUnavailable,
                format!("the registry was busy with other reads for {LONG_TIMEOUT:?}"),
            ));
        };
        let long = self.long.clone();
        let path = self.path.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let idle = long.idle.lock().pop();
            // A read that was given up may still be using its connection, though its permit is back: then a new one is made.
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&path).map_err(|error| failed(&error, &path))?,
            };
            let outcome = read(&connection).map_err(|error| failed(&error, &path));
            let mut idle = long.idle.lock();
            if idle.len() < LONG {
                idle.push(connection);
            }
            outcome
        });
        reading.await.unwrap_or_else(|error| {
            Err(StoreError {
                failure: Failure::internal(format!("a read of the registry did not end: {error}")),
            })
        })
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Small: what the writer commits makes it void, and the system's page cache lies behind it.
    connection.execute_batch("PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

pub(crate) fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

fn failed(error: &rusqlite::Error, path: &Path) -> StoreError {
    StoreError {
        failure: trouble::failure(error, "read the registry", path),
    }
}
