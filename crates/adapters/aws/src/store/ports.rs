//! A free port, found without looking at those that are taken.
//!
//! 1. A port that was never taken is drawn like a ticket: `lastAssignedPort` of the documented `SYSTEM_CONFIG` goes up by
//!    one, outside any transaction, and no two callers draw the same.
//! 2. When the range is through, ports that were given back are in a sparse index from the end of their rest on; one of
//!    those that have been free longest is taken by chance.
//! 3. Tickets that were drawn and not used (their caller died, or lost its name to another) are in no index, for they have
//!    no item. They are looked for among the range's keys; and once each has an item, each will have one for ever.
//!
//! All of it is a hint. The commit, which puts the port's own item if nobody has it, decides.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::RangeInclusive,
    time::{Duration, Instant},
};
use wharf_domain::Timestamp;
use wharf_saga::StoreError;

use super::{
    DynamoStore,
    action::add_names,
    attributes::{Item, Read, item, number, text, time},
    read::{Ask, failed},
    rights::{POOL, reservation},
    tables::FREE,
};
use crate::{failure::failure, operations::Operation};

/// The documented item, and its attribute for the documented range, which begins at 8000.
const SYSTEM_CONFIG: &str = "SYSTEM_CONFIG";
const LAST_ASSIGNED: &str = "lastAssignedPort";
const DOCUMENTED_FIRST: u16 = 8000;
/// Tickets drawn at once, at most: as many as turn out to be taken by others double the next draw.
const TICKETS_MOST: u16 = 64;
/// Of the ports that were given back, by chance one of so many.
const CHOICE: usize = 64;
/// Keys looked at in one request for ports without an item.
const KEYS_AT_ONCE: usize = 100;
/// So long a port is not offered again by this process while there are others.
const OFFER_LASTS: Duration = Duration::from_secs(30);
/// Ports remembered as offered, and tickets kept for the next caller.
const REMEMBERED_MOST: usize = 10_000;

/// What this process knows of ports. None of it is a promise.
#[derive(Debug, Default)]
pub(super) struct Offers {
    offered: BTreeMap<u16, Instant>,
    /// Drawn, free when they were looked at, and not offered yet; by the range's ends.
    tickets: BTreeMap<(u16, u16), VecDeque<u16>>,
    /// Ranges that are through.
    drawn: BTreeSet<(u16, u16)>,
    /// Ranges each of whose ports has an item.
    full: BTreeSet<(u16, u16)>,
}

impl Offers {
    fn is_offered(&self, port: u16) -> bool {
        self.offered.get(&port).is_some_and(|at| at.elapsed() < OFFER_LASTS)
    }

    fn offer(&mut self, port: u16) {
        if self.offered.len() >= REMEMBERED_MOST {
            self.offered.retain(|_, at| at.elapsed() < OFFER_LASTS);
        }
        if self.offered.len() < REMEMBERED_MOST {
            self.offered.insert(port, Instant::now());
        }
    }

    /// One of these by chance, rather one that was not offered lately. `chance` is any number.
    fn choose(&mut self, ports: &[u16], chance: usize) -> Option<u16> {
        let fresh: Vec<u16> = ports.iter().copied().filter(|port| !self.is_offered(*port)).collect();
        let ports = if fresh.is_empty() { ports } else { &fresh };
        let port = *ports.get(chance.checked_rem(ports.len())?)?;
        self.offer(port);
        Some(port)
    }
}

/// The attribute of `SYSTEM_CONFIG` with the last ticket of the range that begins at `first`.
fn hint(first: u16) -> String {
    if first == DOCUMENTED_FIRST {
        LAST_ASSIGNED.to_owned()
    } else {
        format!("{LAST_ASSIGNED}From{first}")
    }
}

impl DynamoStore {
    pub(super) async fn find_port(
        &self,
        range: RangeInclusive<u16>,
        now: Timestamp,
    ) -> Result<Option<u16>, StoreError> {
        let ends = (*range.start(), *range.end());
        if range.is_empty() {
            return Ok(None);
        }
        if let Some(port) = self.never_taken(ends, now).await? {
            return Ok(Some(port));
        }
        if let Some(port) = self.given_back(ends, now).await? {
            return Ok(Some(port));
        }
        self.left_out(ends, now).await
    }

    /// A ticket that nobody used before.
    async fn never_taken(&self, ends: (u16, u16), now: Timestamp) -> Result<Option<u16>, StoreError> {
        let kept = self.offers.lock().tickets.get_mut(&ends).and_then(VecDeque::pop_front);
        let mut drawn: Vec<u16> = kept.into_iter().collect();
        let mut count = 1;
        loop {
            if drawn.is_empty() {
                if self.offers.lock().drawn.contains(&ends) {
                    return Ok(None);
                }
                drawn = self.draw(ends, count).await?.collect();
                if drawn.is_empty() {
                    self.offers.lock().drawn.insert(ends);
                    return Ok(None);
                }
            }
            let (free, _) = self.look_at(&drawn, now).await?;
            let mut free = free.into_iter();
            if let Some(port) = free.next() {
                let mut offers = self.offers.lock();
                offers.offer(port);
                let tickets = offers.tickets.entry(ends).or_default();
                tickets.extend(free.take(REMEMBERED_MOST));
                return Ok(Some(port));
            }
            drawn.clear();
            count = (count * 2).min(TICKETS_MOST);
        }
    }

    /// The next tickets, at most `count`; none if the range is through.
    async fn draw(&self, (first, last): (u16, u16), count: u16) -> Result<RangeInclusive<u16>, StoreError> {
        #[expect(clippy::reversed_empty_ranges, reason = "no tickets")]
        let none = 1..=0;
        let attribute = hint(first);
        let before = u64::from(first).saturating_sub(1);
        let mut count = u64::from(count).min(u64::from(last - first) + 1);
        // A hint that stands before the range is brought to its beginning first.
        let mut from: Option<u64> = None;
        for _ in 0..16 {
            let (expression, condition, values) = match from {
                None => (
                    "SET #hint = if_not_exists(#hint, :before) + :count",
                    "attribute_not_exists(#hint) OR #hint BETWEEN :before AND :room",
                    item([
                        (":before", number(before)),
                        (":count", number(count)),
                        (":room", number(u64::from(last) - count)),
                    ]),
                ),
                Some(seen) => (
                    "SET #hint = :before",
                    "#hint = :seen",
                    item([(":before", number(before)), (":seen", number(seen))]),
                ),
            };
            match self.raise(&attribute, expression, condition, values).await? {
                Ok(now) if from.is_none() => {
                    let to_port = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
                    return Ok(to_port(now + 1 - count)..=to_port(now));
                }
                Ok(_) => from = None,
                Err(stands) if stands < before => from = Some(stands),
                Err(stands) if stands >= u64::from(last) => return Ok(none),
                Err(stands) => {
                    from = None;
                    count = count.min(u64::from(last) - stands);
                }
            }
        }
        Ok(none)
    }

    /// Changes a hint. Gives what it is now, or, if the condition does not hold, what stands there.
    async fn raise(
        &self,
        attribute: &str,
        expression: &str,
        condition: &str,
        values: Item,
    ) -> Result<Result<u64, u64>, StoreError> {
        let table = &self.base.tables().registry;
        let mut names = HashMap::from([("#hint".to_owned(), attribute.to_owned())]);
        add_names(expression, &mut names);
        let result = self
            .base
            .client()
            .await
            .update_item()
            .table_name(table)
            .set_key(Some(item([("userId", text(SYSTEM_CONFIG))])))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match result {
            Ok(done) => {
                self.base.meter.wrote(done.consumed_capacity());
                let stands = done.attributes.unwrap_or_default().number(attribute);
                stands.map(Ok).map_err(failed)
            }
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), UpdateItemError::ConditionalCheckFailedException(_)) =>
            {
                self.base.meter.refused();
                let item = match error.into_err() {
                    UpdateItemError::ConditionalCheckFailedException(refused) => refused.item.unwrap_or_default(),
                    _ => Item::new(),
                };
                item.number(attribute).map(Err).map_err(failed)
            }
            Err(error) => Err(failed(failure(&error, &Operation::DynamoUpdateItem.on(table)))),
        }
    }

    /// One of the ports that were given back longest ago.
    async fn given_back(&self, (first, last): (u16, u16), now: Timestamp) -> Result<Option<u16>, StoreError> {
        let found = self
            .base
            .query(&Ask {
                table: &self.base.tables().ports,
                index: Some(FREE),
                keys: "#pool = :pool AND #free_at <= :now",
                filter: Some("#port BETWEEN :first AND :last".to_owned()),
                values: item([
                    (":pool", text(POOL)),
                    (":now", time(now)),
                    (":first", number(first)),
                    (":last", number(last)),
                ]),
                newest_first: false,
                limit: CHOICE,
            })
            .await?;
        let mut ports = Vec::new();
        for found in found {
            ports.extend(u16::try_from(found.number("port").map_err(failed)?));
        }
        // The index may still show some that were taken in the last moment.
        while !ports.is_empty() {
            let Some(port) = self.offers.lock().choose(&ports, self.base.any()) else {
                break;
            };
            if !self.look_at(&[port], now).await?.0.is_empty() {
                return Ok(Some(port));
            }
            ports.retain(|other| *other != port);
        }
        Ok(None)
    }

    /// A port of the range that no index shows.
    async fn left_out(&self, ends: (u16, u16), now: Timestamp) -> Result<Option<u16>, StoreError> {
        if self.offers.lock().full.contains(&ends) {
            return Ok(None);
        }
        let ports: Vec<u16> = (ends.0..=ends.1).collect();
        let parts: Vec<&[u16]> = ports.chunks(KEYS_AT_ONCE).collect();
        let start = self.base.any() % parts.len();
        let mut is_full = true;
        for part in parts[start..].iter().chain(&parts[..start]) {
            let (free, absent) = self.look_at(part, now).await?;
            is_full &= absent == 0;
            let chosen = self.offers.lock().choose(&free, self.base.any());
            if chosen.is_some() {
                return Ok(chosen);
            }
        }
        if is_full {
            self.offers.lock().full.insert(ends);
        }
        Ok(None)
    }

    /// Which of these ports nobody has, and how many of them have no item at all.
    async fn look_at(&self, ports: &[u16], now: Timestamp) -> Result<(Vec<u16>, usize), StoreError> {
        let table = self.base.tables().ports.as_str();
        let keys: Vec<_> = ports
            .iter()
            .map(|port| (table, item([("port", number(port))])))
            .collect();
        let items = self.base.get_many(&keys, true).await?;
        let absent = items.iter().filter(|item| item.is_none()).count();
        let mut free = Vec::new();
        for (port, item) in ports.iter().zip(items) {
            let taken = match item {
                None => None,
                Some(item) => reservation(&item).map_err(failed)?,
            };
            if taken.is_none_or(|taken| taken.until.is_some_and(|until| until <= now)) {
                free.push(*port);
            }
        }
        Ok((free, absent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_at_the_same_time_are_offered_different_ports() {
        let mut offers = Offers::default();
        let ports: Vec<u16> = (8000..8010).collect();
        let offered: BTreeSet<_> = (0..10).filter_map(|n| offers.choose(&ports, n * 3)).collect();
        assert_eq!(offered.len(), 10);
        assert!(
            offers.choose(&ports, 5).is_some(),
            "rather one that was offered than none"
        );
        assert_eq!(offers.choose(&[], 5), None);
    }

    #[test]
    fn the_documented_range_has_the_documented_attribute() {
        assert_eq!(hint(8000), "lastAssignedPort");
        assert_eq!(hint(9001), "lastAssignedPortFrom9001");
    }
}
