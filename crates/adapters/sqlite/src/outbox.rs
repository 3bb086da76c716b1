//! The mails of the outbox, whatever became of them: a page by number, and one by its id.

use rusqlite::{Connection, Row};
use wharf_saga::{
    StoreError,
    store::{Fate, Mails, PAGE_MAX, Posted},
};

use crate::{
    columns::{instance, limit_column, time},
    read::rows,
};

const COLUMNS: &str = "number, id, instance, body, tries, state, at, error";

/// Where a page begins: after the mail of this number.
pub(crate) fn place(from: Option<&str>) -> Result<i64, StoreError> {
    from.map_or(Ok(0), |from| from.parse().map_err(|_| StoreError::no_such_place(from)))
}

/// Reads the page that begins after the mail of this number.
pub(crate) fn page(connection: &Connection, after: i64, limit: usize) -> rusqlite::Result<Mails> {
    let limit = limit.clamp(1, PAGE_MAX);
    let mails = rows(
        connection,
        &format!("SELECT {COLUMNS} FROM outbox WHERE number > ?1 ORDER BY number LIMIT ?2"),
        &[&after, &limit_column(limit)],
        |row| Ok((row.get::<_, i64>(0)?, posted(row)?)),
    )?;
    let last = mails.last().filter(|_| mails.len() == limit);
    Ok(Mails {
        next: last.map(|(number, _)| number.to_string()),
        mails: mails.into_iter().map(|(_, mail)| mail).collect(),
    })
}

pub(crate) fn one(connection: &Connection, id: &str) -> rusqlite::Result<Option<Posted>> {
    let found = rows(
        connection,
        &format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"),
        &[&id],
        posted,
    )?;
    Ok(found.into_iter().next())
}

fn posted(row: &Row<'_>) -> rusqlite::Result<Posted> {
    let fate = match row.get_ref(5)?.as_str()? {
        "pending" => Fate::Waits { next_at: time(row, 6)? },
        "sent" => Fate::Sent { at: time(row, 6)? },
        _ => Fate::Dead,
    };
    Ok(Posted {
        id: row.get(1)?,
        instance: instance(row, 2)?,
        body: row.get(3)?,
        tries: row.get(4)?,
        fate,
        error: row.get(7)?,
    })
}
