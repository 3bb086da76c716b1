//! One batch, committed: what is known of the row decides what is written, the conditions of the write decide whether it still holds, and what
//! refuses it is looked at anew.

use std::{sync::Arc, time::Duration};
use wharf_domain::{Code, Failure, InstanceId};
use wharf_saga::{
    StoreError,
    store::{Batch, CommitError, Committed, Expect, Kind},
};

use super::{
    DynamoStore,
    action::{Action, Verb},
    attributes::{Item, Read, bytes, item, number, text},
    counters::{SHARDS, recount},
    decide::{self, INBOX, Page},
    outbox, packed,
    rights::{self, Change, Standing},
    row::Row,
    write::{Trouble, Wrote},
};

/// A commit that others keep coming before is given up after so many tries; each of them means that another commit came through.
const TRIES: u32 = 40;
/// The pause before another try where two transactions met, or another was first twice: at random up to this, longer with each try.
const PAUSE: Duration = Duration::from_millis(15);
const PAUSE_LONGEST: Duration = Duration::from_millis(250);

/// What is known of the row.
#[derive(Clone, Debug)]
struct Known {
    row: Option<Arc<Row>>,
    /// Read just now, and not only remembered or assumed: what it refuses is refused.
    fresh: bool,
}

/// What an action of the write is for: how its refusal is to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Row,
    Counter,
    Right(Kind, String),
    Documented(String),
    Mail(String),
}

/// A batch as it would be written now.
struct Draft {
    actions: Vec<Action>,
    parts: Vec<Part>,
    pages: Vec<Page>,
    row: Option<Row>,
}

impl DynamoStore {
    pub(super) async fn commit_batch(&self, mut batch: Batch) -> Result<Committed, CommitError> {
        decide::misuse(&batch)?;
        let mut seen = std::collections::BTreeSet::new();
        batch.outbox.retain(|mail| seen.insert(mail.id.clone()));
        let _turn = self.turn(&batch.instance).await;
        let token = self.base.token();
        let mut known = self.known(&batch).await?;
        for attempt in 0..TRIES {
            let draft = match self.draft(&batch, &known, &token).await {
                Ok(draft) => draft,
                Err(error) if known.fresh || matches!(error, CommitError::Store(_)) => return Err(error),
                Err(_) => {
                    known = self.look(&batch.instance).await?;
                    continue;
                }
            };
            self.write_pages(&batch.instance, &draft.pages).await?;
            let request = format!("{token}{attempt}");
            match self.base.write(&draft.actions, &request).await {
                Ok(Wrote::Done) => return Ok(self.done(&batch, &known, draft).await),
                Ok(Wrote::Conflict) => {
                    self.base.pause(attempt, PAUSE, PAUSE_LONGEST).await;
                }
                Ok(Wrote::Refused(refused)) => {
                    // In the order of the actions, which is the order of the conditions.
                    let Some((index, old)) = refused.into_iter().next() else {
                        continue;
                    };
                    match &draft.parts[index] {
                        Part::Row => {
                            let row = parse_row(&old)?;
                            if row.as_ref().is_some_and(|row| row.token == token) {
                                // An earlier try of ours came through, and only its answer was lost.
                                return Ok(self.done(&batch, &known, draft).await);
                            }
                            // Whoever came first may do so again and again: a crowd is spread, so that each has its turn.
                            known = if attempt > 1 {
                                self.base.pause(attempt, PAUSE, PAUSE_LONGEST).await;
                                self.look(&batch.instance).await?
                            } else {
                                Known {
                                    row: row.map(Arc::new),
                                    fresh: true,
                                }
                            };
                        }
                        Part::Counter => {}
                        Part::Right(kind, key) => {
                            if let Some(by) = refusal(&batch, *kind, key, &old)? {
                                return Err(by);
                            }
                        }
                        Part::Documented(key) => {
                            return Err(rights::taken(Kind::Name, key, rights::documented_owner(&old)));
                        }
                        Part::Mail(id) => batch.outbox.retain(|mail| mail.id != *id),
                    }
                }
                Err(Trouble::Failed(failure)) if failure.code.is_passing() => {
                    // It is the last one of the SDK's tries that was refused: one before it may have come through.
                    let refused = CommitError::Store(StoreError { failure });
                    return self.find_out(&batch, &known, draft, &token, refused).await;
                }
                Err(Trouble::Failed(failure)) => return Err(StoreError { failure }.into()),
                Err(Trouble::Unknown(failure)) => {
                    let unknown = CommitError::Unknown(failure);
                    return self.find_out(&batch, &known, draft, &token, unknown).await;
                }
            }
        }
        let failure = Failure::new(
            Code::AwsThrottled,
            format!(
                "{} is written by so many at once that this commit does not come through",
                batch.instance
            ),
        );
        Err(StoreError { failure }.into())
    }

    /// What is known of the row before anything is asked.
    async fn known(&self, batch: &Batch) -> Result<Known, StoreError> {
        let needed = match batch.expect {
            // A new id is new; the write finds out if it is not.
            Expect::Absent => false,
            Expect::Lease { .. } => true,
            Expect::Anything => !(batch.history.is_empty() && batch.reserve.is_empty()),
        };
        match self.remembered(&batch.instance) {
            Some(row) => Ok(Known {
                row: Some(row),
                fresh: false,
            }),
            None if needed => self.look(&batch.instance).await,
            None => Ok(Known {
                row: None,
                fresh: false,
            }),
        }
    }

    async fn look(&self, id: &InstanceId) -> Result<Known, StoreError> {
        let row = self.read_row(id).await?;
        Ok(Known { row, fresh: true })
    }

    /// The batch as it is to be written, if nothing that is known refuses it.
    async fn draft(&self, batch: &Batch, known: &Known, token: &str) -> Result<Draft, CommitError> {
        let before = known.row.as_deref();
        decide::expected(batch, before)?;
        let is_claim = batch.expect == Expect::Absent;
        let (shard, most) = match (before, batch.at_most_live.filter(|_| is_claim)) {
            (_, Some(most)) => {
                let counters = self.read_counters().await?;
                let room = counters.room(most, self.base.chance(SHARDS));
                let (shard, share) = room.ok_or_else(|| CommitError::TooMany { live: counters.live() })?;
                (shard, Some(share))
            }
            (Some(row), None) if !is_claim => (row.shard, None),
            _ => (self.base.chance(SHARDS), None),
        };
        let changes = rights::changes(batch);
        let standing = if batch.release.is_empty() {
            Standing::new()
        } else {
            let standing = self.standing(&changes).await?;
            rights::judge(batch, &standing)?;
            standing
        };
        let mut rights = Vec::new();
        let mut released = Vec::new();
        for change in &changes {
            let user = batch
                .documented
                .as_ref()
                .map_or(batch.instance.as_str(), |documented| documented.key.as_str());
            if let Some(action) = change.action(self.base.tables(), &batch.instance, user, &standing)? {
                rights.push((Part::Right(change.kind, change.key.to_owned()), action));
                released.push(*change);
            }
        }
        let mut draft = Draft {
            actions: Vec::new(),
            parts: Vec::new(),
            pages: Vec::new(),
            row: None,
        };
        let writes_row = batch.expect != Expect::Anything || !batch.history.is_empty() || !batch.reserve.is_empty();
        if writes_row {
            self.draft_row(batch, before, &released, (shard, most), token, &mut draft)?;
        }
        for (part, action) in rights {
            draft.add(part, action);
        }
        if let Some(documented) = &batch.documented {
            let action = rights::documented(self.base.tables(), &batch.instance, documented);
            draft.add(Part::Documented(documented.key.clone()), action);
        }
        for mail in &batch.outbox {
            let action = outbox::put(&self.base.tables().wharf, &batch.instance, mail, self.base.order());
            draft.add(Part::Mail(mail.id.clone()), action);
        }
        Ok(draft)
    }

    fn draft_row(
        &self,
        batch: &Batch,
        before: Option<&Row>,
        released: &[Change<'_>],
        (shard, most): (u8, Option<u64>),
        token: &str,
        draft: &mut Draft,
    ) -> Result<(), CommitError> {
        let failed = |failure| CommitError::Store(StoreError { failure });
        let table = &self.base.tables().wharf;
        let empty = Row::new(batch.instance.clone(), shard);
        let (mut row, pages) = decide::next(batch, before.unwrap_or(&empty), released, token)?;
        if before.is_none_or(|before| before.record.is_none()) {
            row.shard = shard;
        }
        draft.add(Part::Row, decide::replace(table, &row, before).map_err(failed)?);
        if let Some(action) = recount(table, row.shard, before.and_then(Row::facts), row.facts(), most) {
            draft.add(Part::Counter, action);
        }
        draft.pages = pages;
        draft.row = Some(row);
        Ok(())
    }

    /// The items of the keys that a batch is about, read consistently.
    async fn standing(&self, changes: &[Change<'_>]) -> Result<Standing, StoreError> {
        let addresses: Vec<_> = changes
            .iter()
            .map(|change| rights::address(self.base.tables(), change.kind, change.key))
            .collect();
        let found = self.base.get_many(&addresses, true).await?;
        Ok(changes
            .iter()
            .zip(found)
            .filter_map(|(change, item)| Some(((change.kind, change.key.to_owned()), item?)))
            .collect())
    }

    /// Entries that were committed go where they will stay, before the commit that leaves them out of the row.
    pub(super) async fn write_pages(&self, id: &InstanceId, pages: &[Page]) -> Result<(), StoreError> {
        for page in pages {
            let entries = serde_json::to_string(&page.entries.entries);
            let entries = entries.map_err(|error| StoreError {
                failure: Failure::internal(error.to_string()),
            })?;
            let whole = item([
                ("pk", text(id.as_str())),
                ("sk", text(page_key(page.log, page.entries.head))),
                ("first", number(page.entries.first())),
                (
                    "contents",
                    bytes(packed::pack(&entries).map_err(|failure| StoreError { failure })?),
                ),
            ]);
            let action = Action::new(&self.base.tables().wharf, Verb::Put(whole));
            self.base.write_alone(action).await?;
        }
        Ok(())
    }

    /// What a commit that came through leaves behind in memory, and its answer.
    async fn done(&self, batch: &Batch, known: &Known, draft: Draft) -> Committed {
        let row = match (draft.row, &known.row) {
            (Some(row), _) => {
                let row = Arc::new(row);
                self.remember(&row);
                Some(row)
            }
            (None, known) => known.clone(),
        };
        let consumed = batch.consumed.is_some()
            && known
                .row
                .as_ref()
                .is_some_and(|before| before.inbox.first() > before.inbox_read + 1);
        if let Some(row) = row.as_ref().filter(|_| consumed) {
            self.drop_pages(&row.id, INBOX, row.inbox_read).await;
        }
        row.map_or_else(
            || Committed {
                inbox_head: 0,
                lease: wharf_saga::store::Lease::default(),
            },
            |row| Committed {
                inbox_head: row.inbox.head,
                lease: row.lease.clone(),
            },
        )
    }

    /// What came of it is not certain: the row says whose the last write was.
    async fn find_out(
        &self,
        batch: &Batch,
        known: &Known,
        draft: Draft,
        token: &str,
        otherwise: CommitError,
    ) -> Result<Committed, CommitError> {
        self.forget(&batch.instance);
        if draft.row.is_some()
            && let Ok(Some(row)) = self.read_row(&batch.instance).await
            && row.token == token
        {
            return Ok(self.done(batch, known, draft).await);
        }
        // That it is not there does not mean that it will not come: the request may still be under way.
        self.forget(&batch.instance);
        Err(otherwise)
    }
}

impl Draft {
    fn add(&mut self, part: Part, action: Action) {
        self.parts.push(part);
        self.actions.push(action);
    }
}

fn parse_row(item: &Item) -> Result<Option<Row>, CommitError> {
    if item.is_empty() {
        return Ok(None);
    }
    let row = Row::from_item(item).map_err(|failure| CommitError::Store(StoreError { failure }))?;
    Ok(Some(row))
}

/// Why a right could not be taken. `None`: it is the release that no longer held, and has to be looked at again.
fn refusal(batch: &Batch, kind: Kind, key: &str, old: &Item) -> Result<Option<CommitError>, CommitError> {
    let is_reserved = batch
        .reserve
        .iter()
        .any(|reserve| reserve.kind == kind && reserve.key == key);
    if !is_reserved {
        return Ok(None);
    }
    let by = rights::reservation(old).map_err(|failure| CommitError::Store(StoreError { failure }))?;
    Ok(by.map(|by| rights::taken(kind, key, by)))
}

/// A page's sort key: pages sort by the number of their last entry.
pub(super) fn page_key(log: &str, last: u64) -> String {
    format!("{log}#{last:012}")
}

/// The entries of a page that stand after `after`, with their numbers.
pub(super) fn page_entries(item: &Item, after: u64) -> Result<Vec<(u64, String)>, Failure> {
    let entries: Vec<Box<serde_json::value::RawValue>> =
        serde_json::from_str(&packed::unpack(item.bytes("contents")?)?)
            .map_err(|_| super::attributes::damaged(item, "contents"))?;
    Ok((item.number("first")?..)
        .zip(entries)
        .filter(|(number, _)| *number > after)
        .map(|(number, entry)| (number, entry.get().to_owned()))
        .collect())
}
