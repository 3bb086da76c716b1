//! How many instances there are: by service and state, and how many are live.
//!
//! An instance is counted in the transaction that changes its state, in one of [`SHARDS`] items that its claim chose; so claims rarely meet on one.
//! The limit on live instances is split among the shards: a claim adds to one whose share is not used up, and that is a condition of its transaction.
//! So the sum of all never goes beyond the limit, however many claim at once, and no item is written by all of them.

use std::collections::BTreeMap;
use wharf_domain::Failure;
use wharf_saga::store::Count;

use super::{
    action::{Action, Verb},
    attributes::{Item, Read, item, number, text},
    row::Facts,
};

/// Two of fifty claims at the same moment meet with a likelihood of one in three at a time; one read of all of them is two kilobytes and a half.
pub(super) const SHARDS: u8 = 64;
/// The partition key of all of them.
pub(super) const PARTITION: &str = "counters";

/// All shards, as they were read.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    live: Vec<u64>,
    states: BTreeMap<String, i64>,
}

impl Counters {
    pub(super) fn read<'a>(items: impl IntoIterator<Item = &'a Item>) -> Result<Self, Failure> {
        let mut live = vec![0; usize::from(SHARDS)];
        let mut states: BTreeMap<String, i64> = BTreeMap::new();
        for item in items {
            let shard: usize = item
                .text("sk")?
                .parse()
                .map_err(|_| super::attributes::damaged(item, "sk"))?;
            if let Some(of_shard) = live.get_mut(shard) {
                *of_shard = item.optional_number("live")?.unwrap_or(0);
            }
            for (name, value) in item {
                let count = value.as_n().ok().and_then(|digits| digits.parse::<i64>().ok());
                if let Some(count) = count.filter(|_| name.contains('#')) {
                    *states.entry(name.clone()).or_default() += count;
                }
            }
        }
        Ok(Self { live, states })
    }

    pub(super) fn live(&self) -> u64 {
        self.live.iter().sum()
    }

    /// Those that there are, as `service#state`: the partitions of the listing.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &str> {
        let some = self.states.iter().filter(|(_, count)| **count > 0);
        some.map(|(partition, _)| partition.as_str())
    }

    pub(super) fn counts(&self) -> Vec<Count> {
        self.states
            .iter()
            .filter_map(|(partition, count)| {
                let (service, state) = partition.rsplit_once('#')?;
                let count = u64::try_from(*count).ok().filter(|count| *count > 0)?;
                Some(Count {
                    service: service.to_owned(),
                    state: state.to_owned(),
                    count,
                })
            })
            .collect()
    }

    /// A shard with room for one more, `most` being allowed in all; the first one from `start` on. With it comes how many it may have at most.
    ///
    /// Where an earlier, higher limit has filled shards unevenly there may be room in all and in none of the shares: then it is the emptiest shard,
    /// as it was seen.
    pub(super) fn room(&self, most: u64, start: u8) -> Option<(u8, u64)> {
        if self.live() >= most {
            return None;
        }
        let shards = u64::from(SHARDS);
        let share = |shard: u8| most / shards + u64::from(u64::from(shard) < most % shards);
        let of_shard = |shard: u8| self.live[usize::from(shard)];
        let order = (0..SHARDS).map(|offset| (start + offset) % SHARDS);
        let within = order.clone().find(|shard| of_shard(*shard) < share(*shard));
        if let Some(shard) = within {
            return Some((shard, share(shard)));
        }
        let emptiest = order.min_by_key(|shard| of_shard(*shard))?;
        Some((emptiest, of_shard(emptiest) + 1))
    }
}

/// The write by which an instance is counted as it is after, and no longer as it was before. `None` if nothing changes. `most` is what a shard that
/// gets one more live instance may have.
pub(super) fn recount(
    table: &str,
    shard: u8,
    before: Option<&Facts>,
    after: Option<&Facts>,
    most: Option<u64>,
) -> Option<Action> {
    let mut changes: BTreeMap<String, i64> = BTreeMap::new();
    for (facts, change) in [(before, -1), (after, 1)] {
        if let Some(facts) = facts {
            *changes.entry(facts.partition()).or_default() += change;
            *changes.entry("live".to_owned()).or_default() += change * i64::from(facts.live);
        }
    }
    changes.retain(|_, change| *change != 0);
    if changes.is_empty() && most.is_none() {
        return None;
    }
    let mut action = Action::new(
        table,
        Verb::Update {
            key: item([("pk", text(PARTITION)), ("sk", text(format!("{shard:02}")))]),
            expression: String::new(),
        },
    );
    // Also one that is not live itself comes only where there is room.
    changes.entry("live".to_owned()).or_insert(0);
    let mut parts = Vec::new();
    for (n, (name, change)) in changes.into_iter().enumerate() {
        parts.push(format!("#c{n} :c{n}"));
        action.aliases.insert(format!("#c{n}"), name);
        action.values.insert(format!(":c{n}"), number(change));
    }
    action.verb = match action.verb {
        Verb::Update { key, .. } => Verb::Update {
            key,
            expression: format!("ADD {}", parts.join(", ")),
        },
        other => other,
    };
    Some(match most {
        Some(most) => action.only_if(
            "attribute_not_exists(#live) OR #live < :most",
            item([(":most", number(most))]),
        ),
        None => action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(live: &[(u8, u64)]) -> Counters {
        let items: Vec<_> = live
            .iter()
            .map(|(shard, count)| item([("sk", text(format!("{shard:02}"))), ("live", number(count))]))
            .collect();
        Counters::read(&items).expect("counters")
    }

    #[test]
    fn the_shares_of_all_shards_are_the_limit() {
        for most in [0, 1, 37, 64, 65, 1_000] {
            let mut counters = counters(&[]);
            let mut start = 0;
            while let Some((shard, share)) = counters.room(most, start) {
                let live = &mut counters.live[usize::from(shard)];
                assert!(*live < share);
                *live += 1;
                start = (start + 7) % SHARDS;
            }
            assert_eq!(counters.live(), most);
        }
    }

    #[test]
    fn what_a_higher_limit_left_uneven_still_has_its_room() {
        let uneven = counters(&[(9, 3)]);
        assert_eq!(uneven.room(3, 0), None);
        assert_eq!(uneven.room(4, 5), Some((0, 1)), "shards 0 to 3 have a share of one");
        let none_within = counters(&[(0, 1), (1, 1), (9, 0)]);
        assert_eq!(none_within.room(2, 0), None);
        let over_elsewhere = counters(&[(0, 2), (1, 0)]);
        assert_eq!(over_elsewhere.room(2, 0), None);
        assert_eq!(over_elsewhere.room(3, 0).map(|(_, most)| most), Some(1));
    }

    #[test]
    fn a_change_of_state_moves_one_and_no_change_writes_nothing() {
        let facts = |state: &str, live| Facts {
            name: None,
            service: "shop".to_owned(),
            state: state.to_owned(),
            live,
        };
        let ready = facts("ready", true);
        assert!(recount("t", 3, Some(&ready), Some(&ready), None).is_none());
        let ended = facts("ended", false);
        let action = recount("t", 3, Some(&ready), Some(&ended), None).expect("a change");
        let names = action.names().expect("names");
        let change = |name: &str| {
            let alias = names.iter().find(|(_, named)| *named == name).expect("named").0;
            action.values[&alias.replace('#', ":")]
                .as_n()
                .expect("a number")
                .clone()
        };
        assert_eq!(
            (change("shop#ready"), change("shop#ended"), change("live")),
            ("-1".to_owned(), "1".to_owned(), "-1".to_owned())
        );
    }
}
