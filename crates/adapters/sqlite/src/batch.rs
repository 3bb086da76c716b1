//! One [`Batch`] in SQL: all its conditions, then all its writes.
//!
//! Because every condition is checked before the first write, a refused batch has written nothing, and can stand in a
//! transaction with others without a savepoint of its own.
//!
//! An `UPDATE` maintains every index over the columns that it names, changed or not. So what seldom changes (holder, wake, what
//! listings filter by) has statements of its own, run only if it does change.

use rusqlite::{Connection, OptionalExtension, params};
use wharf_domain::{Failure, Timestamp};
use wharf_saga::{
    Batch, CommitError, Committed, StoreError,
    store::{Expect, Index, Kind, Lease, LeaseChange, RecordWrite, Release, Reserve, Wake},
};

use crate::{
    columns::{RESERVATION, column, instance, number, optional_time, reservation, time_column},
    ports::{Change, taken_until},
};

/// Why a write was not carried out.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A condition did not hold. Nothing was written.
    Refused(CommitError),
    /// SQLite failed. The transaction has to be rolled back.
    Broken(rusqlite::Error),
}

impl From<CommitError> for Stop {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error)
    }
}

/// What the writer knows beside the file, as the transaction at hand leaves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// How many instances are live.
    pub(crate) live: u64,
    /// What became of ports; applied to [`Ports`](crate::ports::Ports) once it is committed.
    pub(crate) ports: Vec<Change>,
}

/// A batch that is well-formed, with its history as text: made on the caller's thread, to spare the writer's.
#[derive(Debug)]
pub(crate) struct Prepared {
    batch: Batch,
    history: Vec<String>,
}

impl Prepared {
    pub(crate) fn new(batch: Batch) -> Result<Self, CommitError> {
        let misuse = |what: &str| {
            CommitError::from(StoreError {
                failure: Failure::internal(format!("a batch for {} {what}", batch.instance)),
            })
        };
        match batch.expect {
            Expect::Absent if batch.record.is_none() => return Err(misuse("claims without a record")),
            Expect::Anything
                if batch.record.is_some() || batch.consumed.is_some() || batch.lease != LeaseChange::Keep =>
            {
                return Err(misuse("expects nothing of a record and changes it"));
            }
            _ => {}
        }
        let history = batch
            .history
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<_, _>>()
            .map_err(|error| misuse(&format!("has a history that is no JSON: {error}")))?;
        Ok(Self { batch, history })
    }

    /// Checks all conditions, then writes everything.
    pub(crate) fn execute(&self, connection: &Connection, tally: &mut Tally) -> Result<Committed, Stop> {
        let batch = &self.batch;
        let standing = self.check(connection, tally)?;
        let lease = changed(&standing.lease, &batch.lease);
        match (&batch.expect, &batch.record) {
            (Expect::Absent, Some(record)) => self.claim(connection, record, &lease, tally)?,
            _ => self.update(connection, &standing, &lease, tally)?,
        }
        for wanted in &batch.reserve {
            reserve(connection, batch, wanted, tally)?;
        }
        for given in &batch.release {
            release(connection, batch, given, tally)?;
        }
        for mail in &batch.outbox {
            connection
                .prepare_cached(
                    "INSERT INTO outbox (id, instance, state, tries, at, body) VALUES (?1, ?2, 'pending', 0, 0, ?3)
                     ON CONFLICT (id) DO NOTHING",
                )?
                .execute(params![mail.id, batch.instance.as_str(), mail.body])?;
        }
        Ok(Committed {
            inbox_head: standing.inbox_head,
            lease,
        })
    }

    fn check(&self, connection: &Connection, tally: &Tally) -> Result<Standing, Stop> {
        let batch = &self.batch;
        let standing = Standing::find(connection, batch)?;
        match (&batch.expect, &standing) {
            (Expect::Absent, Some(_)) => return Err(CommitError::Exists.into()),
            (Expect::Lease { epoch, renewals }, Some(standing))
                if (standing.lease.epoch, standing.lease.renewals) == (*epoch, *renewals) => {}
            (Expect::Lease { .. }, _) => return Err(CommitError::Fenced.into()),
            _ => {}
        }
        let is_there = standing.is_some();
        let standing = standing.unwrap_or_default();
        if batch.inbox_at.is_some_and(|at| at != standing.inbox_head) {
            return Err(CommitError::InboxMoved.into());
        }
        if batch.expect == Expect::Absent && batch.at_most_live.is_some_and(|most| tally.live >= most) {
            return Err(CommitError::TooMany { live: tally.live }.into());
        }
        for wanted in &batch.reserve {
            check_free(connection, batch, wanted)?;
        }
        for given in batch.release.iter().filter(|given| given.must_hold) {
            check_held(connection, batch, given)?;
        }
        if batch.expect == Expect::Anything && !batch.history.is_empty() && !is_there {
            let failure = Failure::internal(format!("there is no instance {} to have a history", batch.instance));
            return Err(CommitError::from(StoreError { failure }).into());
        }
        Ok(standing)
    }

    fn claim(
        &self,
        connection: &Connection,
        record: &RecordWrite,
        lease: &Lease,
        tally: &mut Tally,
    ) -> rusqlite::Result<()> {
        let Index {
            name,
            service,
            state,
            live,
        } = &record.index;
        connection
            .prepare_cached(
                "INSERT INTO instances (id, epoch, renewals, holder, wake_at, wake_seq, inbox_head, inbox_read,
                                        history_head, name, service, state, live, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                self.batch.instance.as_str(),
                column(lease.epoch),
                column(lease.renewals),
                lease.holder,
                record.wake.map(|wake| time_column(wake.at)),
                record.wake.map_or(0, |wake| column(wake.seq)),
                column(self.history.len() as u64),
                name,
                service,
                state,
                live,
                record.body,
            ])?;
        tally.live += u64::from(*live);
        self.append_history(connection, connection.last_insert_rowid(), 0)
    }

    fn update(
        &self,
        connection: &Connection,
        standing: &Standing,
        lease: &Lease,
        tally: &mut Tally,
    ) -> rusqlite::Result<()> {
        let Batch { record, consumed, .. } = &self.batch;
        let inbox_read = consumed.map_or(standing.inbox_read, |up_to| {
            up_to.min(standing.inbox_head).max(standing.inbox_read)
        });
        let changes_row = record.is_some()
            || inbox_read != standing.inbox_read
            || !self.history.is_empty()
            || (lease.epoch, lease.renewals) != (standing.lease.epoch, standing.lease.renewals);
        if changes_row {
            let wake = record.as_ref().and_then(|record| record.wake);
            connection
                .prepare_cached(
                    "UPDATE instances SET epoch = ?2, renewals = ?3, inbox_read = ?4, history_head = ?5,
                            wake_seq = coalesce(?6, wake_seq), body = coalesce(?7, body)
                     WHERE number = ?1",
                )?
                .execute(params![
                    standing.number,
                    column(lease.epoch),
                    column(lease.renewals),
                    column(inbox_read),
                    column(standing.history_head + self.history.len() as u64),
                    wake.map(|wake| column(wake.seq)),
                    record.as_ref().map(|record| &record.body),
                ])?;
        }
        if lease.holder != standing.lease.holder {
            connection
                .prepare_cached("UPDATE instances SET holder = ?2 WHERE number = ?1")?
                .execute(params![standing.number, lease.holder])?;
        }
        if let Some(record) = record {
            update_indexed(connection, standing, record)?;
            tally.live = (tally.live + u64::from(record.index.live)).saturating_sub(u64::from(standing.live));
        }
        if inbox_read > standing.inbox_read {
            drop_messages(connection, standing.number, inbox_read)?;
        }
        self.append_history(connection, standing.number, standing.history_head)
    }

    fn append_history(&self, connection: &Connection, number: i64, head: u64) -> rusqlite::Result<()> {
        if self.history.is_empty() {
            return Ok(());
        }
        let mut insert = connection.prepare_cached("INSERT INTO history (instance, seq, entry) VALUES (?1, ?2, ?3)")?;
        for (seq, entry) in (head + 1..).zip(&self.history) {
            insert.execute(params![number, column(seq), entry])?;
        }
        Ok(())
    }
}

/// An instance as it stands before the batch; all zero if it is not there.
#[derive(Debug, Default)]
struct Standing {
    number: i64,
    lease: Lease,
    inbox_head: u64,
    inbox_read: u64,
    history_head: u64,
    live: bool,
    /// Whether the batch changes what listings filter by.
    index_changes: bool,
    /// Whether the batch changes when the instance is due.
    wake_changes: bool,
}

impl Standing {
    fn find(connection: &Connection, batch: &Batch) -> rusqlite::Result<Option<Self>> {
        connection
            .prepare_cached(
                "SELECT number, epoch, renewals, holder, inbox_head, inbox_read, history_head, wake_at,
                        live, state, service, name
                 FROM instances WHERE id = ?1",
            )?
            .query_row([batch.instance.as_str()], |row| {
                let live = row.get(8)?;
                let (index_changes, wake_changes) = match &batch.record {
                    None => (false, false),
                    Some(RecordWrite { index, wake, .. }) => (
                        live != index.live
                            || row.get_ref(9)?.as_str()? != index.state
                            || row.get_ref(10)?.as_str()? != index.service
                            || row.get_ref(11)?.as_str_or_null()? != index.name.as_deref(),
                        optional_time(row, 7)? != wake.map(|Wake { at, .. }| at),
                    ),
                };
                Ok(Self {
                    number: row.get(0)?,
                    lease: Lease {
                        epoch: number(row, 1)?,
                        renewals: number(row, 2)?,
                        holder: row.get(3)?,
                    },
                    inbox_head: number(row, 4)?,
                    inbox_read: number(row, 5)?,
                    history_head: number(row, 6)?,
                    live,
                    index_changes,
                    wake_changes,
                })
            })
            .optional()
    }
}

fn changed(lease: &Lease, change: &LeaseChange) -> Lease {
    let mut lease = lease.clone();
    match change {
        LeaseChange::Keep => {}
        LeaseChange::Take { holder } => {
            lease.epoch += 1;
            lease.renewals = 0;
            lease.holder = Some(holder.clone());
        }
        LeaseChange::Renew => lease.renewals += 1,
        LeaseChange::Release => {
            lease.renewals += 1;
            lease.holder = None;
        }
    }
    lease
}

fn update_indexed(connection: &Connection, standing: &Standing, record: &RecordWrite) -> rusqlite::Result<()> {
    if standing.wake_changes {
        connection
            .prepare_cached("UPDATE instances SET wake_at = ?2 WHERE number = ?1")?
            .execute(params![standing.number, record.wake.map(|wake| time_column(wake.at))])?;
    }
    if standing.index_changes {
        let Index {
            name,
            service,
            state,
            live,
        } = &record.index;
        connection
            .prepare_cached("UPDATE instances SET name = ?2, service = ?3, state = ?4, live = ?5 WHERE number = ?1")?
            .execute(params![standing.number, name, service, state, live])?;
    }
    Ok(())
}

/// Messages that were dealt with. Those that came with a key stay as long as the key has to be known.
fn drop_messages(connection: &Connection, number: i64, up_to: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM inbox WHERE instance = ?1 AND seq <= ?2 AND key IS NULL")?
        .execute(params![number, column(up_to)])?;
    connection
        .prepare_cached("UPDATE inbox SET dealt = 1, body = '' WHERE instance = ?1 AND seq <= ?2 AND dealt = 0")?
        .execute(params![number, column(up_to)])?;
    Ok(())
}

fn check_free(connection: &Connection, batch: &Batch, wanted: &Reserve) -> Result<(), Stop> {
    let present = connection
        .prepare_cached(&format!(
            "SELECT {RESERVATION} FROM reservations WHERE kind = ?1 AND key = ?2"
        ))?
        .query_row([wanted.kind.as_str(), &wanted.key], |row| reservation(row, 0))
        .optional()?;
    match present {
        Some(by) if by.owner != batch.instance && by.until.is_none_or(|until| until > wanted.now) => {
            Err(CommitError::Taken {
                kind: wanted.kind,
                key: wanted.key.clone(),
                by,
            }
            .into())
        }
        _ => Ok(()),
    }
}

fn check_held(connection: &Connection, batch: &Batch, given: &Release) -> Result<(), Stop> {
    let owner = connection
        .prepare_cached("SELECT owner FROM reservations WHERE kind = ?1 AND key = ?2 AND resting = 0")?
        .query_row([given.kind.as_str(), &given.key], |row| instance(row, 0))
        .optional()?;
    if owner.as_ref() == Some(&batch.instance) {
        return Ok(());
    }
    Err(CommitError::NotHeld {
        kind: given.kind,
        key: given.key.clone(),
    }
    .into())
}

fn reserve(connection: &Connection, batch: &Batch, wanted: &Reserve, tally: &mut Tally) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO reservations (kind, key, owner, value, resting, until) VALUES (?1, ?2, ?3, ?4, 0, ?5)
             ON CONFLICT (kind, key) DO UPDATE SET owner = ?3, value = ?4, resting = 0, until = ?5",
        )?
        .execute(params![
            wanted.kind.as_str(),
            wanted.key,
            batch.instance.as_str(),
            wanted.value,
            wanted.until.map(time_column)
        ])?;
    tally.port(wanted.kind, &wanted.key, taken_until(wanted.until));
    Ok(())
}

/// Releases come after reserves, as in a batch's order: a step that reserves and is undone before anything was committed leaves nothing.
fn release(connection: &Connection, batch: &Batch, given: &Release, tally: &mut Tally) -> rusqlite::Result<()> {
    let (kind, owner) = (given.kind.as_str(), batch.instance.as_str());
    let released = match given.rest_until {
        None => connection
            .prepare_cached("DELETE FROM reservations WHERE kind = ?1 AND key = ?2 AND owner = ?3 AND resting = 0")?
            .execute(params![kind, given.key, owner])?,
        Some(until) => connection
            .prepare_cached(
                "UPDATE reservations SET resting = 1, until = ?4
                 WHERE kind = ?1 AND key = ?2 AND owner = ?3 AND resting = 0",
            )?
            .execute(params![kind, given.key, owner, time_column(until)])?,
    };
    if released > 0 {
        let until = given.rest_until.map_or(0, Timestamp::as_millis);
        tally.port(given.kind, &given.key, until);
    }
    Ok(())
}

impl Tally {
    /// A key of the kind `Port` that is no port is a reservation like any other, and never offered.
    fn port(&mut self, kind: Kind, key: &str, until: u64) {
        if kind == Kind::Port
            && let Ok(port) = key.parse()
        {
            self.ports.push((port, until));
        }
    }
}
