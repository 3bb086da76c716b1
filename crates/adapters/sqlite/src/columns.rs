//! Values as columns and back. No statements here.

use rusqlite::{Row, types::Type};
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::store::{Kind, Lease, Reservation, Stored, Wake};

/// The columns that [`stored`] reads, in its order.
pub(crate) const STORED: &str = "id, body, epoch, renewals, holder, wake_at, wake_seq, inbox_head, inbox_read";

/// The columns that [`reservation`] reads, in its order.
pub(crate) const RESERVATION: &str = "owner, value, resting, until";

/// A number as SQLite keeps it. What is beyond its range is "without end" ([`Timestamp::MAX`] is the largest that fits).
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn time_column(time: Timestamp) -> i64 {
    column(time.as_millis())
}

/// A number of rows; a caller without a limit passes `usize::MAX`.
pub(crate) fn limit_column(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A number that was written by [`column`]. A negative one is damage.
pub(crate) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

pub(crate) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    number(row, index).map(Timestamp::from_millis)
}

pub(crate) fn optional_time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get_ref(index)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => time(row, index).map(Some),
    }
}

pub(crate) fn instance(row: &Row<'_>, index: usize) -> rusqlite::Result<InstanceId> {
    let text: String = row.get(index)?;
    text.parse().map_err(|error| unreadable(index, error))
}

pub(crate) fn kind(row: &Row<'_>, index: usize) -> rusqlite::Result<Kind> {
    let text: String = row.get(index)?;
    Kind::ALL
        .iter()
        .copied()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| unreadable(index, format!("{text:?} is no kind of reservation")))
}

pub(crate) fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let wake = match optional_time(row, 5)? {
        Some(at) => Some(Wake {
            at,
            seq: number(row, 6)?,
        }),
        None => None,
    };
    Ok(Stored {
        id: instance(row, 0)?,
        body: row.get(1)?,
        lease: Lease {
            epoch: number(row, 2)?,
            renewals: number(row, 3)?,
            holder: row.get(4)?,
        },
        wake,
        inbox_head: number(row, 7)?,
        inbox_read: number(row, 8)?,
    })
}

/// A reservation, from the columns that begin at `first`.
pub(crate) fn reservation(row: &Row<'_>, first: usize) -> rusqlite::Result<Reservation> {
    Ok(Reservation {
        owner: instance(row, first)?,
        value: row.get(first + 1)?,
        resting: row.get(first + 2)?,
        until: optional_time(row, first + 3)?,
    })
}

pub(crate) fn unreadable(
    index: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into())
}
