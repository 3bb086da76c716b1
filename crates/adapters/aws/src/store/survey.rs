//! A page of what stands beside the records: a walk over Wharf's own table, then over that of the ports.
//!
//! No index has these items: whoever looks for them is in no hurry, and an index would have its price at every claim. A page looks at as many items as it may give,
//! so it may be empty though there is more.

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use std::collections::HashMap;
use wharf_saga::{
    StoreError,
    store::{Kind, Mails, PAGE_MAX, Survey, Unsent},
};

use super::{
    DynamoStore,
    action::add_names,
    attributes::{Item, Read, damaged, item, number, text},
    outbox,
    read::failed,
    rights::{ALONE, reservation},
};
use crate::{failure::failure, operations::Operation};

/// What of Wharf's own table is looked for.
const WANTED: &str = "begins_with(#pk, :name) OR begins_with(#pk, :endpoint) OR begins_with(#pk, :mail) AND attribute_not_exists(#sent_at)";
/// What of the ports' is: another program's items have no owner.
const OWNED: &str = "attribute_exists(#owner)";
/// Before the number of the port after which a page begins.
const PORTS: &str = "port#";

impl DynamoStore {
    pub(super) async fn survey_page(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        match from.as_deref().and_then(|from| from.strip_prefix(PORTS)) {
            Some(after) => {
                let start = (!after.is_empty()).then(|| item([("port", number(after))]));
                self.survey_ports(start, limit).await
            }
            None => self.survey_own(from, limit).await,
        }
    }

    /// A page of the mails, whatever became of them.
    pub(super) async fn mails_page(&self, from: Option<String>, limit: usize) -> Result<Mails, StoreError> {
        if let Some(from) = from.as_deref().filter(|from| !is_place(from)) {
            return Err(StoreError::no_such_place(from));
        }
        let values = item([(":mail", text("mail#"))]);
        let table = &self.base.tables().wharf;
        let (items, last) = self
            .walk(table, "begins_with(#pk, :mail)", Some(values), begin(from), limit)
            .await?;
        Ok(Mails {
            mails: items.iter().map(outbox::posted).collect::<Result<_, _>>()?,
            next: last.as_ref().map(place).transpose()?,
        })
    }

    async fn survey_own(&self, from: Option<String>, limit: usize) -> Result<Survey, StoreError> {
        let start = begin(from);
        let values = item([
            (":name", text(format!("{}#", Kind::Name))),
            (":endpoint", text(format!("{}#", Kind::Endpoint))),
            (":mail", text("mail#")),
        ]);
        let table = &self.base.tables().wharf;
        let (items, last) = self.walk(table, WANTED, Some(values), start, limit).await?;
        let mut survey = Survey::default();
        for item in items {
            let (kind, key) = item.text("pk").map_err(failed)?.split_once('#').unwrap_or_default();
            if kind == "mail" {
                survey.mails.push(unsent(&item)?);
                continue;
            }
            let kind = Kind::HELD.iter().find(|known| known.as_str() == kind);
            if let (Some(kind), Some(found)) = (kind, reservation(&item).map_err(failed)?)
                && item.text("sk").map_err(failed)? == ALONE
            {
                survey.reservations.push((*kind, key.to_owned(), found));
            }
        }
        survey.next = Some(match last {
            Some(last) => place(&last)?,
            None => PORTS.to_owned(),
        });
        Ok(survey)
    }

    async fn survey_ports(&self, start: Option<Item>, limit: usize) -> Result<Survey, StoreError> {
        let table = &self.base.tables().ports;
        let (items, last) = self.walk(table, OWNED, None, start, limit).await?;
        let mut survey = Survey::default();
        for item in items {
            let port = item.number("port").map_err(failed)?;
            if let Some(found) = reservation(&item).map_err(failed)? {
                survey.reservations.push((Kind::Port, port.to_string(), found));
            }
        }
        if let Some(last) = last {
            survey.next = Some(format!("{PORTS}{}", last.number("port").map_err(failed)?));
        }
        Ok(survey)
    }

    /// Looks at so many items of a table, and gives those that are wanted, and the key of the last one that was looked at unless it was the last of all.
    async fn walk(
        &self,
        table: &str,
        filter: &str,
        values: Option<Item>,
        start: Option<Item>,
        limit: usize,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let mut names = HashMap::new();
        add_names(filter, &mut names);
        let got = self
            .base
            .client()
            .await
            .scan()
            .table_name(table)
            .filter_expression(filter)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values)
            .set_limit(i32::try_from(limit.clamp(1, PAGE_MAX)).ok())
            .set_exclusive_start_key(start)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failed(failure(&error, &Operation::DynamoScan.on(table))))?;
        self.base.meter.read(got.consumed_capacity());
        Ok((got.items.unwrap_or_default(), got.last_evaluated_key))
    }
}

/// Where a walk goes on: after any item, not only after one of those that are looked for.
fn begin(from: Option<String>) -> Option<Item> {
    let from = from?;
    let (partition, sort) = from.split_once('\n')?;
    Some(item([("pk", text(partition)), ("sk", text(sort))]))
}

/// Whether it can be what a page has given as `next`. DynamoDB takes no key with an empty part.
fn is_place(from: &str) -> bool {
    let parts = from.split_once('\n');
    parts.is_some_and(|(partition, sort)| !partition.is_empty() && !sort.is_empty())
}

fn place(last: &Item) -> Result<String, StoreError> {
    Ok(format!(
        "{}\n{}",
        last.text("pk").map_err(failed)?,
        last.text("sk").map_err(failed)?
    ))
}

fn unsent(item: &Item) -> Result<Unsent, StoreError> {
    let instance = item.text("instance").map_err(failed)?;
    Ok(Unsent {
        id: item.text("id").map_err(failed)?.to_owned(),
        instance: instance.parse().map_err(|_| failed(damaged(item, "instance")))?,
        tries: item.number("tries").map_err(failed)? as u32,
        next_at: item.optional_time("due_at").map_err(failed)?,
        error: item.optional_text("error").map(str::to_owned),
    })
}
