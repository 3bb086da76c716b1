//! Items read: one, many by their keys, or those of a partition in order. Every read has its bound.

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use futures::future::try_join_all;
use std::{collections::HashMap, time::Duration};
use wharf_domain::{Code, Failure};
use wharf_saga::StoreError;

use super::{
    Base,
    action::add_names,
    attributes::{Item, Read, item, text},
};
use crate::{failure::failure, operations::Operation};

/// Keys of one request: DynamoDB's limit.
const KEYS_AT_ONCE: usize = 100;
/// Items that one request looks at: with a filter at least, and in any case at most.
const LOOKED_AT_LEAST: usize = 100;
const LOOKED_AT_MOST: usize = 1000;
/// Requests under way at once on behalf of one read.
const REQUESTS_AT_ONCE: usize = 8;
/// How often keys are asked for again that a request left out, as DynamoDB does when it is throttled.
const ASKED_AGAIN: u32 = 8;
const PAUSE: Duration = Duration::from_millis(25);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// A partition of a table or an index, or a part of it, in the order of its sort key.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    pub(super) table: &'a str,
    pub(super) index: Option<&'static str>,
    /// Attributes as `#attribute`, values as `:placeholder`.
    pub(super) keys: &'static str,
    pub(super) filter: Option<String>,
    pub(super) values: Item,
    pub(super) newest_first: bool,
    /// The most items.
    pub(super) limit: usize,
}

impl Base {
    /// One item, as it is now.
    pub(super) async fn get(&self, table: &str, key: Item) -> Result<Option<Item>, StoreError> {
        let got = self
            .client()
            .await
            .get_item()
            .table_name(table)
            .set_key(Some(key))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failed(failure(&error, &Operation::DynamoGetItem.on(table))))?;
        self.meter.read(got.consumed_capacity());
        Ok(got.item)
    }

    /// The items with these keys, each in the place of its key. No key may be there twice.
    pub(super) async fn get_many(
        &self,
        keys: &[(&str, Item)],
        consistent: bool,
    ) -> Result<Vec<Option<Item>>, StoreError> {
        let parts: Vec<&[(&str, Item)]> = keys.chunks(KEYS_AT_ONCE).collect();
        let mut found = Vec::with_capacity(keys.len());
        for parts in parts.chunks(REQUESTS_AT_ONCE) {
            let mut requests = Vec::with_capacity(parts.len());
            for part in parts {
                requests.push(self.get_some(part, consistent));
            }
            found.extend(try_join_all(requests).await?.into_iter().flatten());
        }
        Ok(found)
    }

    async fn get_some(&self, keys: &[(&str, Item)], consistent: bool) -> Result<Vec<Option<Item>>, StoreError> {
        let mut asked: HashMap<String, Vec<Item>> = HashMap::new();
        for (table, key) in keys {
            asked.entry((*table).to_owned()).or_default().push(key.clone());
        }
        let mut found: Vec<(String, Item)> = Vec::new();
        for attempt in 0..ASKED_AGAIN {
            let mut request = HashMap::new();
            for (table, keys) in asked {
                let keys = KeysAndAttributes::builder()
                    .set_keys(Some(keys))
                    .consistent_read(consistent)
                    .build()
                    .map_err(|error| failed(Failure::internal(error.to_string())))?;
                request.insert(table, keys);
            }
            let table = request.keys().next().cloned().unwrap_or_default();
            let got = self
                .client()
                .await
                .batch_get_item()
                .set_request_items(Some(request))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| failed(failure(&error, &Operation::DynamoBatchGetItem.on(&table))))?;
            self.meter.read(got.consumed_capacity());
            for (table, items) in got.responses.unwrap_or_default() {
                found.extend(items.into_iter().map(|item| (table.clone(), item)));
            }
            asked = got
                .unprocessed_keys
                .unwrap_or_default()
                .into_iter()
                .map(|(table, keys)| (table, keys.keys))
                .collect();
            if asked.is_empty() {
                return Ok(keys
                    .iter()
                    .map(|(table, key)| {
                        let is_it = |(of, item): &(String, Item)| {
                            of == table && key.iter().all(|(name, value)| item.get(name) == Some(value))
                        };
                        found.iter().find(|entry| is_it(entry)).map(|(_, item)| item.clone())
                    })
                    .collect());
            }
            self.pause(attempt, PAUSE, PAUSE_LONGEST).await;
        }
        Err(failed(Failure::new(
            Code::AwsThrottled,
            "dynamodb:BatchGetItem is throttled: some items are left out again and again",
        )))
    }

    /// The items that an [`Ask`] is for. Of the table itself they are as they are now; of an index, as they were a moment ago.
    pub(super) async fn query(&self, ask: &Ask<'_>) -> Result<Vec<Item>, StoreError> {
        let mut names = HashMap::new();
        add_names(ask.keys, &mut names);
        add_names(ask.filter.as_deref().unwrap_or_default(), &mut names);
        let mut found = Vec::new();
        let mut from = None;
        while found.len() < ask.limit {
            // With a filter, the limit is one of what is looked at, and not of what is found.
            let least = if ask.filter.is_some() { LOOKED_AT_LEAST } else { 1 };
            let page = (ask.limit - found.len()).clamp(least, LOOKED_AT_MOST);
            let got = self
                .client()
                .await
                .query()
                .table_name(ask.table)
                .set_index_name(ask.index.map(str::to_owned))
                .key_condition_expression(ask.keys)
                .set_filter_expression(ask.filter.clone())
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(Some(ask.values.clone()))
                .scan_index_forward(!ask.newest_first)
                .consistent_read(ask.index.is_none())
                .set_limit(i32::try_from(page).ok())
                .set_exclusive_start_key(from)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| failed(failure(&error, &Operation::DynamoQuery.on(ask.table))))?;
            self.meter.read(got.consumed_capacity());
            found.extend(got.items.unwrap_or_default());
            from = got.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        found.truncate(ask.limit);
        Ok(found)
    }

    /// The items of one partition of Wharf's table whose sort keys are from `first` to `last`.
    pub(super) async fn between(
        &self,
        partition: &str,
        first: &str,
        last: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StoreError> {
        self.query(&Ask {
            table: &self.tables().wharf,
            index: None,
            keys: "#pk = :pk AND #sk BETWEEN :first AND :last",
            filter: None,
            values: item([(":pk", text(partition)), (":first", text(first)), (":last", text(last))]),
            newest_first: false,
            limit,
        })
        .await
    }
}

/// The ids of what an index gave.
pub(super) fn partition_keys(items: &[Item]) -> Result<Vec<String>, StoreError> {
    items
        .iter()
        .map(|item| item.text("pk").map(str::to_owned).map_err(failed))
        .collect()
}

pub(super) fn failed(failure: Failure) -> StoreError {
    StoreError { failure }
}
