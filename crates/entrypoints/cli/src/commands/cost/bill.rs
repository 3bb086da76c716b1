//! The bill, from prices and use: pure arithmetic. Nothing is read or printed here.

use serde::Serialize;

use super::prices::{Item, Prices};

/// The most that a start may use of what Wharf itself is billed for: `cargo xtask bench` holds it to this.
const START_BILLED_SECONDS: f64 = 0.5;
const START_WRITE_UNITS: f64 = 40.0;
/// What the function has in the template unless told otherwise: 256 MiB.
const FUNCTION_GB: f64 = 0.25;

/// How much there is of everything, in a month.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Use {
    pub(super) services: u32,
    pub(super) hours: f64,
    /// Availability zones of a load balancer. It has a public address in each.
    pub(super) zones: u32,
    /// Capacity units of all services' traffic together, on average.
    pub(super) lcus: f64,
    /// Of each task, of which each service has one.
    pub(super) vcpu: f64,
    pub(super) memory_gb: f64,
    pub(super) starts: u32,
}

/// A quantity of something, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    /// How many of them there are.
    pub(super) count: f64,
    /// How much each takes in a month, in the unit of its price.
    pub(super) each: f64,
    pub(super) sum: f64,
}

impl Line {
    fn new(count: f64, each: f64, price: f64) -> Self {
        Self {
            count,
            each,
            sum: count * each * price,
        }
    }

    /// To the cent, so that what is shown adds up.
    fn in_cents(self) -> Self {
        Self {
            sum: cents(self.sum),
            ..self
        }
    }
}

/// What differs between a load balancer for each service and one for all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Compared {
    pub(super) item: Item,
    pub(super) one_each: Line,
    pub(super) one_for_all: Line,
}

/// What is the same in both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Same {
    pub(super) item: Item,
    #[serde(flatten)]
    pub(super) line: Line,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bill {
    pub(super) load_balancers: [Compared; 3],
    pub(super) one_each: f64,
    pub(super) one_for_all: f64,
    pub(super) saving: f64,
    pub(super) saving_a_year: f64,
    /// Beside it, either way. Wharf's own part is the most that it may be.
    pub(super) either_way: [Same; 4],
}

pub(super) fn bill(prices: &Prices, used: &Use) -> Bill {
    let before = f64::from(used.services);
    let after = f64::from(used.services.min(1));
    let zones = f64::from(used.zones);
    let compared = |item: Item, before: f64, after: f64| {
        let line = |count| Line::new(count, used.hours, prices.amount(item)).in_cents();
        Compared {
            item,
            one_each: line(before),
            one_for_all: line(after),
        }
    };
    // The same requests come in either way: what they take of capacity is shared out among five, or all of it is one's.
    let lcus = used.lcus * after;
    let load_balancers = [
        compared(Item::LoadBalancerHour, before, after),
        compared(Item::PublicIpv4Hour, before * zones, after * zones),
        compared(Item::CapacityUnitHour, lcus, lcus),
    ];
    let same = |item: Item, count: f64, each: f64| Same {
        item,
        line: Line::new(count, each, prices.amount(item)),
    };
    let starts = f64::from(used.starts);
    let one_each = cents(load_balancers.iter().map(|row| row.one_each.sum).sum());
    let one_for_all = cents(load_balancers.iter().map(|row| row.one_for_all.sum).sum());
    Bill {
        load_balancers,
        one_each,
        one_for_all,
        saving: cents(one_each - one_for_all),
        saving_a_year: cents(12.0 * (one_each - one_for_all)),
        either_way: [
            same(Item::FargateVcpuHour, before * used.vcpu, used.hours),
            same(Item::FargateGbHour, before * used.memory_gb, used.hours),
            same(Item::LambdaGbSecond, starts, START_BILLED_SECONDS * FUNCTION_GB),
            same(Item::DynamodbWriteUnit, starts, START_WRITE_UNITS),
        ],
    }
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Use = Use {
        services: 5,
        hours: 730.0,
        zones: 2,
        lcus: 1.0,
        vcpu: 0.25,
        memory_gb: 0.5,
        starts: 1000,
    };

    fn of(used: Use) -> Bill {
        bill(&Prices::load(&[]).expect("prices"), &used)
    }

    fn is(amount: f64, cents: f64) -> bool {
        ((amount * 100.0).round() - cents).abs() < 0.5
    }

    #[test]
    fn one_in_place_of_five_saves_four_load_balancers_and_their_addresses() {
        let bill = of(FIVE);
        let four = 4.0 * 730.0 * (0.0225 + 2.0 * 0.005);
        assert!((bill.saving - four).abs() < 1e-9, "{bill:?}");
        assert!(is(bill.one_each, 12_447.0) && is(bill.one_for_all, 2957.0), "{bill:?}");
        assert!((bill.saving_a_year - 12.0 * four).abs() < 1e-9);
    }

    #[test]
    fn what_is_shown_adds_up_to_the_cent() {
        for services in 1..40 {
            let bill = of(Use {
                services,
                lcus: 0.3,
                ..FIVE
            });
            let shown = |line: fn(&Compared) -> f64| -> i64 {
                bill.load_balancers
                    .iter()
                    .map(|row| (line(row) * 100.0).round() as i64)
                    .sum()
            };
            assert_eq!(shown(|row| row.one_each.sum), (bill.one_each * 100.0).round() as i64);
            assert_eq!(
                shown(|row| row.one_for_all.sum),
                (bill.one_for_all * 100.0).round() as i64
            );
        }
    }

    #[test]
    fn traffic_costs_the_same_however_many_share_it() {
        let busy = of(Use { lcus: 40.0, ..FIVE });
        assert!((busy.saving - of(FIVE).saving).abs() < 1e-9);
        assert!(busy.one_for_all > of(FIVE).one_for_all);
    }

    #[test]
    fn one_service_saves_nothing_and_none_costs_nothing() {
        assert!(of(Use { services: 1, ..FIVE }).saving.abs() < 1e-9);
        let none = of(Use { services: 0, ..FIVE });
        assert!(none.one_each.abs() < 1e-9 && none.one_for_all.abs() < 1e-9);
    }
}
