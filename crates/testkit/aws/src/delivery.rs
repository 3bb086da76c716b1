//! How events reach those who wait for them: late, out of order and more than once, where that is ordered.

use crate::clock::Moment;
use crate::ecs::events::StateChange;
use crate::weather::{EventWeather, Sky};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How "ECS Task State Change" events are delivered. AWS promises at least once, and no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// From the change to its event.
    pub after: Duration,
    /// Every second event comes so much later than that, and so after its successors.
    pub every_second_later: Duration,
    /// How many more times each event comes, so long after one another as every second one is late.
    pub copies: u32,
}

impl Delivery {
    /// Every second event 20 s late, and each of them twice.
    pub const UNTIDY: Self = Self {
        after: Duration::from_millis(300),
        every_second_later: Duration::from_secs(20),
        copies: 1,
    };
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    delivery: Delivery,
    sky: Sky<EventWeather>,
    waiting: BTreeMap<(Moment, u64), Value>,
    count: u64,
}

impl Outbox {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            ..Self::default()
        }
    }

    pub(crate) const fn change(&mut self, delivery: Delivery) {
        self.delivery = delivery;
    }

    /// From now on each event is also as late, as doubled and as lost as this says.
    pub(crate) fn weather(&mut self, sky: Sky<EventWeather>) {
        self.sky = sky;
    }

    pub(crate) fn put(&mut self, change: &StateChange) {
        let late = if change.version % 2 == 0 {
            Duration::ZERO
        } else {
            self.delivery.every_second_later
        };
        for copy in 0..=self.delivery.copies {
            let at = change.at + self.delivery.after + late + self.delivery.every_second_later * copy;
            for on_its_way in self.sky.arrivals() {
                self.count += 1;
                self.waiting.insert((at + on_its_way, self.count), change.event.clone());
            }
        }
    }

    /// What is due by now, in the order in which it is due.
    pub(crate) fn take_due(&mut self, now: Moment) -> Vec<Value> {
        let mut due = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }

    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(version: i64) -> StateChange {
        StateChange {
            at: Duration::from_secs(100 + version as u64),
            task: "task".to_owned(),
            version,
            event: json!(version),
        }
    }

    fn order(delivery: Delivery) -> Vec<i64> {
        let mut outbox = Outbox::new(delivery);
        for version in 1..=3 {
            outbox.put(&change(version));
        }
        let due = outbox.take_due(Duration::from_secs(1_000));
        due.iter().filter_map(Value::as_i64).collect()
    }

    #[test]
    fn events_come_in_order_where_nothing_else_is_ordered() {
        assert_eq!(order(Delivery::default()), [1, 2, 3]);
    }

    #[test]
    fn untidy_delivery_overtakes_and_repeats() {
        assert_eq!(order(Delivery::UNTIDY), [2, 1, 2, 3, 1, 3]);
    }
}
