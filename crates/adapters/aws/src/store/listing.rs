//! Listings, counts, and what is due.
//!
//! An index shows what was committed a moment ago. What it finds is read again, consistently, and held against the query: a listing may miss what
//! came in the last moment, and never shows what is no longer so.

use futures::future::try_join_all;
use std::collections::BTreeSet;
use wharf_domain::Timestamp;
use wharf_saga::{
    StoreError,
    store::{Due, PAGE_MAX, Query, Stored, Wake},
};

use super::{
    DynamoStore,
    attributes::{Item, Read, damaged, item, text, time, truth},
    counters::{Counters, PARTITION, SHARDS},
    read::{Ask, failed, partition_keys},
    row::{DUE_SHARDS, Row, due_partition},
    tables::{DUE, LIST, NAME},
};

impl DynamoStore {
    pub(super) async fn list_records(&self, query: &Query) -> Result<Vec<Stored>, StoreError> {
        let limit = query.limit.min(PAGE_MAX);
        let mut before = query.before.as_ref().map(|id| id.as_str().to_owned());
        let mut found = Vec::new();
        // What the index shows and the record does not confirm leaves a gap, which the next round fills.
        while found.len() < limit {
            let wanted = limit - found.len();
            let ids = self.find_ids(query, before.as_deref(), wanted).await?;
            let full = ids.len() >= wanted;
            before = ids.last().cloned();
            for row in self.rows(&ids).await? {
                if matches(query, &row) {
                    found.extend(row.stored());
                }
            }
            if !full {
                break;
            }
        }
        Ok(found)
    }

    /// The newest instances that the indexes show, of those that the query is for.
    async fn find_ids(&self, query: &Query, before: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let asks: Vec<(&'static str, String)> = match &query.name {
            Some(name) => vec![(NAME, name.clone())],
            None => self
                .read_counters()
                .await?
                .partitions()
                .filter(|partition| {
                    let (service, state) = partition.rsplit_once('#').unwrap_or_default();
                    query.service.as_ref().is_none_or(|wanted| wanted == service)
                        && query.state.as_ref().is_none_or(|wanted| wanted == state)
                })
                .map(|partition| (LIST, partition.to_owned()))
                .collect(),
        };
        let parts = asks
            .into_iter()
            .map(|(index, partition)| self.find_in(index, partition, query, before, limit));
        let mut ids = BTreeSet::new();
        for part in try_join_all(parts).await? {
            ids.extend(partition_keys(&part)?);
        }
        Ok(ids.into_iter().rev().take(limit).collect())
    }

    async fn find_in(
        &self,
        index: &'static str,
        partition: String,
        query: &Query,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Item>, StoreError> {
        // Beyond every id: `~` sorts after all that an id is made of.
        let before = before.unwrap_or("~");
        let mut values = item([(":partition", text(partition)), (":before", text(before))]);
        let mut filters = Vec::new();
        if index == LIST {
            if let Some(live) = query.live {
                filters.push("#live = :live");
                values.insert(":live".to_owned(), truth(live));
            }
            match query.named {
                Some(true) => filters.push("attribute_exists(#name)"),
                Some(false) => filters.push("attribute_not_exists(#name)"),
                None => {}
            }
        }
        self.base
            .query(&Ask {
                table: &self.base.tables().wharf,
                index: Some(index),
                keys: if index == LIST {
                    "#list = :partition AND #pk < :before"
                } else {
                    "#name = :partition AND #pk < :before"
                },
                filter: (!filters.is_empty()).then(|| filters.join(" AND ")),
                values,
                newest_first: true,
                limit,
            })
            .await
    }

    /// The rows of these instances, in this order.
    async fn rows(&self, ids: &[String]) -> Result<Vec<Row>, StoreError> {
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let id = id.parse().map_err(|_| failed(damaged(&Item::new(), "pk")))?;
            keys.push((self.base.tables().wharf.as_str(), Row::key(&id)));
        }
        let items = self.base.get_many(&keys, true).await?;
        let read = items.iter().flatten().filter_map(|item| match Row::from_item(item) {
            Ok(row) => Some(row),
            // One that cannot be read must not hide the others; its own reader is told.
            Err(failure) => {
                tracing::error!(error = %failure.message, "left out of a listing");
                None
            }
        });
        Ok(read.collect())
    }

    pub(super) async fn read_counters(&self) -> Result<Counters, StoreError> {
        let items = self.base.between(PARTITION, "00", "99", usize::from(SHARDS)).await?;
        Counters::read(&items).map_err(failed)
    }

    pub(super) async fn due_instances(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let shards = (0..DUE_SHARDS).map(|shard| async move {
            self.base
                .query(&Ask {
                    table: &self.base.tables().wharf,
                    index: Some(DUE),
                    keys: "#due = :due AND #due_at <= :now",
                    filter: None,
                    values: item([(":due", text(due_partition(shard))), (":now", time(now))]),
                    newest_first: false,
                    limit,
                })
                .await
        });
        let mut due = Vec::new();
        for item in try_join_all(shards).await?.iter().flatten() {
            let at = item.number("due_at").map_err(failed)?;
            let seq = item.number("wake_seq").map_err(failed)?;
            let id = item.text("pk").map_err(failed)?;
            due.push(Due {
                id: id.parse().map_err(|_| failed(damaged(item, "pk")))?,
                wake: Wake { at: Timestamp(at), seq },
            });
        }
        due.sort_by(|a, b| (a.wake.at, &a.id).cmp(&(b.wake.at, &b.id)));
        due.truncate(limit);
        Ok(due)
    }
}

fn matches(query: &Query, row: &Row) -> bool {
    let Some(facts) = row.facts() else {
        return false;
    };
    query.state.as_ref().is_none_or(|state| *state == facts.state)
        && query.service.as_ref().is_none_or(|service| *service == facts.service)
        && query.name.as_ref().is_none_or(|name| facts.name.as_ref() == Some(name))
        && query.named.is_none_or(|named| named == facts.name.is_some())
        && query.live.is_none_or(|live| live == facts.live)
}
