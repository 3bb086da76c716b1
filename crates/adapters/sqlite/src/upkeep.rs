//! The writes beside batches: a message into an inbox, what became of a mail, and tidying up.

use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::store::Settle;

use crate::columns::{column, limit_column, number, optional_time, time_column};

/// How long the key of a message that was dealt with is known, counted from its arrival.
const KEYS_KEPT: Duration = Duration::from_hours(48);
/// How long a mail that was sent stays: as long as its being put twice has to be noticed, and somebody might ask for it.
const SENT_KEPT: Duration = Duration::from_hours(30 * 24);
/// The most of each kind that one call of `tidy` removes: a few milliseconds of the writer's time.
const TIDY_AT_ONCE: usize = 500;

/// A message for an inbox.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) instance: InstanceId,
    pub(crate) body: String,
    pub(crate) key: Option<String>,
    pub(crate) now: Timestamp,
}

/// Appends it and makes the instance due. `None`: there is no such instance.
pub(crate) fn append(connection: &Connection, message: &Message) -> rusqlite::Result<Option<u64>> {
    let instance = connection
        .prepare_cached("SELECT number, inbox_head, wake_at FROM instances WHERE id = ?1")?
        .query_row([message.instance.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, number(row, 1)?, optional_time(row, 2)?))
        })
        .optional()?;
    let Some((instance, head, wake_at)) = instance else {
        return Ok(None);
    };
    if let Some(key) = &message.key {
        let first = connection
            .prepare_cached("SELECT seq FROM inbox WHERE instance = ?1 AND key = ?2")?
            .query_row(params![instance, key], |row| number(row, 0))
            .optional()?;
        if first.is_some() {
            return Ok(first);
        }
    }
    let seq = head + 1;
    connection
        .prepare_cached("INSERT INTO inbox (instance, seq, key, at, dealt, body) VALUES (?1, ?2, ?3, ?4, 0, ?5)")?
        .execute(params![
            instance,
            column(seq),
            message.key,
            time_column(message.now),
            message.body
        ])?;
    connection
        .prepare_cached("UPDATE instances SET inbox_head = ?2 WHERE number = ?1")?
        .execute(params![instance, column(seq)])?;
    if wake_at.is_none_or(|at| at > message.now) {
        connection
            .prepare_cached("UPDATE instances SET wake_at = ?2 WHERE number = ?1")?
            .execute(params![instance, time_column(message.now)])?;
    }
    Ok(Some(seq))
}

/// Writes down what became of a mail. Nothing takes back that it was sent; a dead one may be revived.
pub(crate) fn settle(connection: &Connection, mail: &str, settle: &Settle) -> rusqlite::Result<()> {
    match settle {
        Settle::Sent { at } => connection
            .prepare_cached(
                "UPDATE outbox SET state = 'sent', tries = tries + 1, at = ?2, error = NULL
                 WHERE id = ?1 AND state <> 'sent'",
            )?
            .execute(params![mail, time_column(*at)])?,
        Settle::Later { at, error } => connection
            .prepare_cached(
                "UPDATE outbox SET state = 'pending', tries = tries + 1, at = ?2, error = ?3
                 WHERE id = ?1 AND state <> 'sent'",
            )?
            .execute(params![mail, time_column(*at), error])?,
        Settle::Dead { error } => connection
            .prepare_cached(
                "UPDATE outbox SET state = 'dead', tries = tries + 1, error = ?2
                 WHERE id = ?1 AND state <> 'sent'",
            )?
            .execute(params![mail, error])?,
        Settle::Again { at } => connection
            .prepare_cached(
                "UPDATE outbox SET state = 'pending', tries = 0, at = ?2 WHERE id = ?1 AND state <> 'sent'",
            )?
            .execute(params![mail, time_column(*at)])?,
    };
    Ok(())
}

/// Removes what is over, at most [`TIDY_AT_ONCE`] of each kind. Gives how much that was.
pub(crate) fn tidy(connection: &Connection, now: Timestamp) -> rusqlite::Result<u64> {
    let before = |kept: Duration| column(now.as_millis().saturating_sub(kept.as_millis() as u64));
    let most = limit_column(TIDY_AT_ONCE);
    let reservations = connection
        .prepare_cached(
            "DELETE FROM reservations WHERE (kind, key) IN
                 (SELECT kind, key FROM reservations WHERE until <= ?1 ORDER BY until LIMIT ?2)",
        )?
        .execute(params![time_column(now), most])?;
    let messages = connection
        .prepare_cached(
            "DELETE FROM inbox WHERE (instance, seq) IN
                 (SELECT instance, seq FROM inbox WHERE dealt = 1 AND at <= ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![before(KEYS_KEPT), most])?;
    let mails = connection
        .prepare_cached(
            "DELETE FROM outbox WHERE number IN
                 (SELECT number FROM outbox WHERE state = 'sent' AND at <= ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![before(SENT_KEPT), most])?;
    Ok((reservations + messages + mails) as u64)
}
