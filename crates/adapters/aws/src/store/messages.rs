//! Inbox and history: messages appended, and both read back from the row and the pages before it.

use std::{sync::Arc, time::Duration};
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_saga::{
    StoreError,
    store::{HistoryEntry, InboxEntry, Numbered},
};

use super::{
    DynamoStore,
    action::{Action, Verb},
    attributes::{Item, Read, item, number, text, time},
    commit::{page_entries, page_key},
    decide::{self, HISTORY, INBOX},
    read::failed,
    rights::ttl,
    row::{Log, Row, raw},
    write::{Trouble, Wrote},
};

/// How long the key of a message is known.
const KEYS_KEPT: Duration = Duration::from_hours(48);
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(15);
const PAUSE_LONGEST: Duration = Duration::from_millis(250);
/// Pages that one read looks at.
const PAGES_AT_ONCE: usize = 64;

impl DynamoStore {
    pub(super) async fn append_message(
        &self,
        id: &InstanceId,
        body: String,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let body = raw(body).map_err(failed)?;
        let _turn = self.turn(id).await;
        let token = self.base.token();
        let mut known = self.remembered(id);
        for attempt in 0..TRIES {
            let row = match known.take() {
                Some(row) => row,
                None => match self.read_row(id).await? {
                    Some(row) => row,
                    None => return Ok(None),
                },
            };
            if row.record.is_none() {
                return Ok(None);
            }
            if let Some(key) = &key
                && let Some(first) = self.message_of_key(id, key, now).await?
            {
                return Ok(Some(first));
            }
            let mut next = Row {
                version: row.version + 1,
                token: token.clone(),
                ..row.as_ref().clone()
            };
            next.inbox.push([body.clone()]);
            next.wake_at = Some(next.wake_at.map_or(now, |at| at.min(now)));
            let seq = next.inbox.head;
            let pages = decide::page_out(&row, &mut next).map_err(failed)?;
            self.write_pages(id, &pages).await?;
            let table = &self.base.tables().wharf;
            let mut actions = vec![decide::replace(table, &next, Some(&row)).map_err(failed)?];
            if let Some(key) = &key {
                actions.push(remember_key(table, id, key, seq, now));
            }
            match self.base.write(&actions, &format!("{token}{attempt}")).await {
                Ok(Wrote::Done) => {
                    self.remember(&Arc::new(next));
                    return Ok(Some(seq));
                }
                Ok(Wrote::Conflict) => self.base.pause(attempt, PAUSE, PAUSE_LONGEST).await,
                Ok(Wrote::Refused(refused)) => {
                    self.forget(id);
                    let ours = refused
                        .iter()
                        .any(|(index, old)| *index == 0 && old.optional_text("token") == Some(&token));
                    if ours {
                        return Ok(Some(seq));
                    }
                    if attempt > 1 {
                        self.base.pause(attempt, PAUSE, PAUSE_LONGEST).await;
                    }
                }
                Err(Trouble::Failed(failure)) => return Err(failed(failure)),
                Err(Trouble::Unknown(failure)) => {
                    self.forget(id);
                    let found = self.read_row(id).await;
                    if matches!(&found, Ok(Some(row)) if row.token == token) {
                        return Ok(Some(seq));
                    }
                    return Err(failed(failure));
                }
            }
        }
        Err(failed(Failure::new(
            Code::AwsThrottled,
            format!("{id} is written by so many at once that this message does not come through"),
        )))
    }

    /// The number of the message that brought this key, if it is known.
    async fn message_of_key(&self, id: &InstanceId, key: &str, now: Timestamp) -> Result<Option<u64>, StoreError> {
        let found = self
            .base
            .get(&self.base.tables().wharf, key_of_message(id, key))
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let until = found.number("until").map_err(failed)?;
        if until <= now.as_millis() {
            return Ok(None);
        }
        found.number("seq").map(Some).map_err(failed)
    }

    pub(super) async fn read_inbox(
        &self,
        id: &InstanceId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<InboxEntry>, StoreError> {
        let Some(row) = self.read_row(id).await? else {
            return Ok(Vec::new());
        };
        let after = after.max(row.inbox_read);
        let entries = self.entries(id, INBOX, &row.inbox, after, limit).await?;
        Ok(entries
            .into_iter()
            .map(|(seq, body)| InboxEntry { seq, body })
            .collect())
    }

    pub(super) async fn read_history(
        &self,
        id: &InstanceId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered>, StoreError> {
        let Some(row) = self.read_row(id).await? else {
            return Ok(Vec::new());
        };
        let entries = self.entries(id, HISTORY, &row.history, after, limit).await?;
        entries
            .into_iter()
            .map(|(seq, text)| {
                let entry: HistoryEntry = serde_json::from_str(&text).map_err(|error| {
                    failed(Failure::new(
                        Code::StoreDamaged,
                        format!("entry {seq} of the history of {id} cannot be read: {error}"),
                    ))
                })?;
                Ok(Numbered { seq, entry })
            })
            .collect()
    }

    /// The entries of a log after `after`: of the pages what the row has not, then the row's own.
    async fn entries(
        &self,
        id: &InstanceId,
        name: &str,
        log: &Log,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let mut entries: Vec<(u64, String)> = Vec::new();
        // A page may overlap the next one; each entry is the same wherever it stands.
        while after + 1 < log.first() && entries.len() < limit {
            let next = entries.last().map_or(after, |(number, _)| *number);
            if next + 1 >= log.first() {
                break;
            }
            let pages = self
                .base
                .between(
                    id.as_str(),
                    &page_key(name, next + 1),
                    &page_key(name, 999_999_999_999),
                    PAGES_AT_ONCE,
                )
                .await?;
            for page in &pages {
                let last = entries.last().map_or(after, |(number, _)| *number);
                let more = page_entries(page, last).map_err(failed)?;
                entries.extend(more.into_iter().filter(|(number, _)| *number < log.first()));
            }
            if entries.last().map_or(after, |(number, _)| *number) == next {
                break;
            }
        }
        entries.extend(log.after(after).map(|(number, entry)| (number, entry.get().to_owned())));
        entries.truncate(limit);
        Ok(entries)
    }

    /// Removes pages whose entries are dealt with. What stays because this fails does no harm.
    pub(super) async fn drop_pages(&self, id: &InstanceId, name: &str, up_to: u64) {
        let table = &self.base.tables().wharf;
        let pages = self
            .base
            .between(id.as_str(), &page_key(name, 0), &page_key(name, up_to), PAGES_AT_ONCE)
            .await;
        for page in pages.into_iter().flatten() {
            let key: Item = page
                .into_iter()
                .filter(|(name, _)| matches!(name.as_str(), "pk" | "sk"))
                .collect();
            if let Err(error) = self.base.write_alone(Action::new(table, Verb::Delete(key))).await {
                tracing::warn!(instance = %id, %error, "messages that were dealt with stay");
                return;
            }
        }
    }
}

fn key_of_message(id: &InstanceId, key: &str) -> Item {
    item([("pk", text(id.as_str())), ("sk", text(format!("key#{key}")))])
}

/// That the message with this number came with this key.
fn remember_key(table: &str, id: &InstanceId, key: &str, seq: u64, now: Timestamp) -> Action {
    let until = now + KEYS_KEPT;
    let mut whole = key_of_message(id, key);
    whole.extend(item([
        ("seq", number(seq)),
        ("until", time(until)),
        ("ttl", number(ttl(until))),
    ]));
    Action::new(table, Verb::Put(whole)).only_if(
        "attribute_not_exists(#pk) OR #until <= :now",
        item([(":now", time(now))]),
    )
}
