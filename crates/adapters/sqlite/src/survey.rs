//! A page of what stands beside the records: first the reservations, by kind and key, then the mails that were not sent, by number.

use rusqlite::Connection;
use wharf_saga::store::{PAGE_MAX, Survey, Unsent};

use crate::{
    columns::{RESERVATION, instance, kind, limit_column, reservation, time, unreadable},
    read::rows,
};

/// Where a page begins.
enum From<'a> {
    /// After this kind and key.
    Reservations(&'a str, &'a str),
    /// After the mail of this number.
    Mails(i64),
}

/// Reads the page that begins at `from`: what a page before gave as `next`.
pub(crate) fn page(connection: &Connection, from: Option<&str>, limit: usize) -> rusqlite::Result<Survey> {
    let limit = limit.clamp(1, PAGE_MAX);
    match begins(from)? {
        From::Reservations(after_kind, after_key) => {
            let reservations = rows(
                connection,
                &format!(
                    "SELECT kind, key, {RESERVATION} FROM reservations
                     WHERE (kind, key) > (?1, ?2) AND kind IN ('name', 'port', 'endpoint') ORDER BY kind, key LIMIT ?3"
                ),
                &[&after_kind, &after_key, &limit_column(limit)],
                |row| Ok((kind(row, 0)?, row.get::<_, String>(1)?, reservation(row, 2)?)),
            )?;
            let last = reservations.last().filter(|_| reservations.len() == limit);
            let next = last.map_or_else(|| "mails 0".to_owned(), |(kind, key, _)| format!("{kind} {key}"));
            Ok(Survey {
                reservations,
                next: Some(next),
                ..Survey::default()
            })
        }
        From::Mails(after) => {
            let mails = rows(
                connection,
                "SELECT number, id, instance, tries, state, at, error FROM outbox
                 WHERE number > ?1 AND state <> 'sent' ORDER BY number LIMIT ?2",
                &[&after, &limit_column(limit)],
                |row| {
                    let waits = row.get_ref(4)?.as_str()? == "pending";
                    let mail = Unsent {
                        id: row.get(1)?,
                        instance: instance(row, 2)?,
                        tries: row.get(3)?,
                        next_at: if waits { Some(time(row, 5)?) } else { None },
                        error: row.get(6)?,
                    };
                    Ok((row.get::<_, i64>(0)?, mail))
                },
            )?;
            let last = mails.last().filter(|_| mails.len() == limit);
            let next = last.map(|(number, _)| format!("mails {number}"));
            Ok(Survey {
                mails: mails.into_iter().map(|(_, mail)| mail).collect(),
                next,
                ..Survey::default()
            })
        }
    }
}

fn begins(from: Option<&str>) -> rusqlite::Result<From<'_>> {
    let Some(from) = from else {
        return Ok(From::Reservations("", ""));
    };
    let wrong = || unreadable(0, format!("{from:?} is no place to go on from"));
    let (kind, key) = from.split_once(' ').ok_or_else(wrong)?;
    if kind == "mails" {
        key.parse().map(From::Mails).map_err(|_| wrong())
    } else {
        Ok(From::Reservations(kind, key))
    }
}
