//! What a batch makes of an instance's row, and what refuses it: pure, on plain data.

use wharf_domain::Failure;
use wharf_saga::{
    StoreError,
    store::{Batch, CommitError, Expect, LeaseChange, Release},
};

use super::{
    action::{Action, Verb},
    attributes::{item, number},
    rights::Change,
    row::{Facts, Held, Log, Row, raw},
};

/// The most that one batch may write: a transaction has a hundred actions, and beside these come the row, a counter and the documented tables.
pub(super) const ACTIONS_MOST: usize = 90;
/// Entries of more than this together move to a page, whatever it costs.
const INLINE_MOST: usize = 8 * 1024;

/// Entries that leave the row: of which log, and its newest number as it was.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) log: &'static str,
    pub(super) entries: Log,
}

/// The sort keys of pages begin with this.
pub(super) const HISTORY: &str = "history";
pub(super) const INBOX: &str = "inbox";

/// A batch that no caller should have made.
pub(super) fn misuse(batch: &Batch) -> Result<(), CommitError> {
    let wrong = |what: &str| {
        let failure = Failure::internal(format!("a batch for {} {what}", batch.instance));
        Err(CommitError::Store(StoreError { failure }))
    };
    let writes = batch.reserve.len() + batch.release.len() + batch.outbox.len();
    match batch.expect {
        Expect::Absent if batch.record.is_none() => wrong("claims without a record"),
        Expect::Anything if batch.record.is_some() || batch.consumed.is_some() || batch.lease != LeaseChange::Keep => {
            wrong("expects nothing of a record and changes it")
        }
        _ if writes > ACTIONS_MOST => wrong(&format!(
            "has {writes} reservations and mails, more than the {ACTIONS_MOST} that one transaction takes"
        )),
        _ => Ok(()),
    }
}

/// Whether the row as it stands is the one that the batch expects.
pub(super) fn expected(batch: &Batch, row: Option<&Row>) -> Result<(), CommitError> {
    let record = row.filter(|row| row.record.is_some());
    match (&batch.expect, record) {
        (Expect::Absent, Some(_)) => return Err(CommitError::Exists),
        (Expect::Lease { epoch, renewals }, record)
            if record.is_none_or(|row| (row.lease.epoch, row.lease.renewals) != (*epoch, *renewals)) =>
        {
            return Err(CommitError::Fenced);
        }
        _ => {}
    }
    let head = record.map_or(0, |row| row.inbox.head);
    if batch.inbox_at.is_some_and(|at| at != head) {
        return Err(CommitError::InboxMoved);
    }
    Ok(())
}

/// The row as the batch makes it. `released` are the keys that it really gives back.
pub(super) fn next(
    batch: &Batch,
    before: &Row,
    released: &[Change<'_>],
    token: &str,
) -> Result<(Row, Vec<Page>), CommitError> {
    let failed = |failure| CommitError::Store(StoreError { failure });
    let mut row = Row {
        version: before.version + 1,
        token: token.to_owned(),
        ..before.clone()
    };
    match &batch.lease {
        LeaseChange::Keep => {}
        LeaseChange::Take { holder } => {
            row.lease.epoch += 1;
            row.lease.renewals = 0;
            row.lease.holder = Some(holder.clone());
        }
        LeaseChange::Renew => row.lease.renewals += 1,
        LeaseChange::Release => {
            row.lease.renewals += 1;
            row.lease.holder = None;
        }
    }
    if let Some(record) = &batch.record {
        let facts = Facts {
            name: record.index.name.clone(),
            service: record.index.service.clone(),
            state: record.index.state.to_owned(),
            live: record.index.live,
        };
        row.record = Some((raw(record.body.clone()).map_err(failed)?, facts));
        row.wake_at = record.wake.map(|wake| wake.at);
        row.wake_seq = record.wake.map_or(row.wake_seq, |wake| wake.seq);
    }
    if let Some(up_to) = batch.consumed {
        row.inbox_read = up_to.min(row.inbox.head).max(row.inbox_read);
        row.inbox.cut(row.inbox_read);
    }
    if !batch.history.is_empty() && row.record.is_none() {
        let failure = Failure::internal(format!(
            "a batch for {} has a history, but there is no such instance",
            batch.instance
        ));
        return Err(failed(failure));
    }
    let mut entries = Vec::with_capacity(batch.history.len());
    for entry in &batch.history {
        let text = serde_json::to_string(entry).map_err(|error| failed(Failure::internal(error.to_string())))?;
        entries.push(raw(text).map_err(failed)?);
    }
    row.history.push(entries);
    hold(batch, &mut row.held, released);
    let pages = page_out(before, &mut row).map_err(failed)?;
    Ok((row, pages))
}

/// What the instance holds after the batch; what has ended by its clock is forgotten.
fn hold(batch: &Batch, held: &mut Vec<Held>, released: &[Change<'_>]) {
    if let Some(now) = batch.reserve.iter().map(|reserve| reserve.now).max() {
        held.retain(|(_, _, until)| until.is_none_or(|until| until > now));
    }
    let mut set = |kind, key: &str, until| {
        held.retain(|(other_kind, other_key, _)| (*other_kind, other_key.as_str()) != (kind, key));
        if let Some(until) = until {
            held.push((kind, key.to_owned(), until));
        }
    };
    for reserve in &batch.reserve {
        set(reserve.kind, &reserve.key, Some(reserve.until));
    }
    for Change { kind, key, release, .. } in released {
        if let Some(Release { rest_until, .. }) = release {
            set(*kind, key, rest_until.map(Some));
        }
    }
}

/// Moves what was committed before out of the row, where that makes it a kilobyte less, or there is too much of it.
pub(super) fn page_out(before: &Row, row: &mut Row) -> Result<Vec<Page>, Failure> {
    let mut pages = Vec::new();
    for (log, of) in [(HISTORY, history as fn(&mut Row) -> &mut Log), (INBOX, inbox)] {
        let mut old = before.clone();
        let mut entries = of(&mut old).clone();
        entries.cut(if log == INBOX { row.inbox_read } else { 0 });
        let size: usize = entries.entries.iter().map(|entry| entry.get().len()).sum();
        if size == 0 {
            continue;
        }
        let mut smaller = row.clone();
        of(&mut smaller).cut(entries.head);
        if size > INLINE_MOST || smaller.kilobytes()? < row.kilobytes()? {
            *row = smaller;
            pages.push(Page { log, entries });
        }
    }
    Ok(pages)
}

fn history(row: &mut Row) -> &mut Log {
    &mut row.history
}

fn inbox(row: &mut Row) -> &mut Log {
    &mut row.inbox
}

/// The write of a row over the one that was seen (`None`: there was none).
pub(super) fn replace(table: &str, row: &Row, before: Option<&Row>) -> Result<Action, Failure> {
    let action = Action::new(table, Verb::Put(row.to_item()?));
    Ok(match before {
        None => action.only_if("attribute_not_exists(#pk)", item([])),
        Some(before) => action.only_if("#version = :version", item([(":version", number(before.version))])),
    })
}
