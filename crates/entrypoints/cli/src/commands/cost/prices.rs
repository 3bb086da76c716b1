//! What AWS asks for what, as data with a date (`prices.json`). How much of it is used is not known here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wharf_domain::{Code, Failure};

/// The prices that come along. They differ by region and change: `--price` puts others in their place.
const TABLE: &str = include_str!("prices.json");

/// What has a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Item {
    LoadBalancerHour,
    /// An LCU-hour of a load balancer: the largest of four measures of its traffic.
    CapacityUnitHour,
    PublicIpv4Hour,
    /// Of Linux on x86-64, as are the two lines below where it matters.
    FargateVcpuHour,
    FargateGbHour,
    /// On arm64, which is the template's default.
    LambdaGbSecond,
    /// On demand. A write in a transaction counts twice.
    DynamodbWriteUnit,
}

impl Item {
    const ALL: [Self; 7] = [
        Self::LoadBalancerHour,
        Self::CapacityUnitHour,
        Self::PublicIpv4Hour,
        Self::FargateVcpuHour,
        Self::FargateGbHour,
        Self::LambdaGbSecond,
        Self::DynamodbWriteUnit,
    ];

    /// As `--price` and `prices.json` write it.
    const fn name(self) -> &'static str {
        match self {
            Self::LoadBalancerHour => "load_balancer_hour",
            Self::CapacityUnitHour => "capacity_unit_hour",
            Self::PublicIpv4Hour => "public_ipv4_hour",
            Self::FargateVcpuHour => "fargate_vcpu_hour",
            Self::FargateGbHour => "fargate_gb_hour",
            Self::LambdaGbSecond => "lambda_gb_second",
            Self::DynamodbWriteUnit => "dynamodb_write_unit",
        }
    }
}

/// A price, where it was read and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Price {
    pub(super) amount: f64,
    pub(super) unit: String,
    /// The month in which it was so; none of one that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
}

/// All prices, of one region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Prices {
    pub(super) region: String,
    pub(super) currency: String,
    #[serde(rename = "prices")]
    by_item: BTreeMap<Item, Price>,
}

impl Prices {
    /// Those that come along, with those that were given (`NAME=AMOUNT`) in place of them.
    pub(super) fn load(given: &[String]) -> Result<Self, Failure> {
        let mut prices: Self = serde_json::from_str(TABLE)
            .map_err(|error| Failure::internal(format!("the table of prices cannot be read: {error}")))?;
        for text in given {
            let (item, amount) = parse(text)?;
            let price = prices.by_item.entry(item);
            price.and_modify(|price| {
                *price = Price {
                    amount,
                    unit: price.unit.clone(),
                    as_of: None,
                    source: None,
                };
            });
        }
        Ok(prices)
    }

    pub(super) fn amount(&self, item: Item) -> f64 {
        self.by_item.get(&item).map_or(0.0, |price| price.amount)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Item, &Price)> {
        self.by_item.iter().map(|(item, price)| (*item, price))
    }
}

fn parse(text: &str) -> Result<(Item, f64), Failure> {
    let bad = |what: String| {
        let names: Vec<_> = Item::ALL.into_iter().map(Item::name).collect();
        Failure::new(Code::RequestInvalid, what).hint(format!(
            "write a price as NAME=AMOUNT, such as load_balancer_hour=0.0252; the names are {}",
            names.join(", ")
        ))
    };
    let (name, amount) = text
        .split_once('=')
        .ok_or_else(|| bad(format!("{text:?} is no price")))?;
    let item = Item::ALL
        .into_iter()
        .find(|item| item.name() == name)
        .ok_or_else(|| bad(format!("{name:?} is nothing that has a price here")))?;
    let amount = amount
        .parse()
        .ok()
        .filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
    Ok((item, amount.ok_or_else(|| bad(format!("{text:?} has no amount")))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_price_with_a_date_and_a_source() {
        let prices = Prices::load(&[]).expect("the table");
        assert_eq!(prices.by_item.keys().copied().collect::<Vec<_>>(), Item::ALL);
        for (item, price) in prices.iter() {
            assert!(price.amount > 0.0, "{item:?}");
            let date = price.as_of.as_deref().and_then(|date| date.split_once('-'));
            assert!(
                date.is_some_and(|(year, month)| year.len() == 4 && month.len() == 2),
                "{item:?}"
            );
            assert!(
                price
                    .source
                    .as_deref()
                    .is_some_and(|source| source.starts_with("https://aws.amazon.com/"))
            );
            let written = serde_json::to_value(item).expect("a text");
            assert_eq!(written, item.name());
        }
    }

    #[test]
    fn a_given_price_is_taken_and_has_no_date() {
        let prices = Prices::load(&["load_balancer_hour=0.0252".to_owned()]).expect("a price");
        assert!((prices.amount(Item::LoadBalancerHour) - 0.0252).abs() < f64::EPSILON);
        let given = prices.iter().find(|(item, _)| *item == Item::LoadBalancerHour);
        assert!(given.is_some_and(|(_, price)| price.as_of.is_none() && price.source.is_none()));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in [
            "",
            "load_balancer_hour",
            "load_balancer_hour=",
            "alb=1",
            "lcu=-1",
            "capacity_unit_hour=-1",
            "capacity_unit_hour=nan",
        ] {
            let failure = Prices::load(&[text.to_owned()]).expect_err(text);
            assert_eq!(failure.code, Code::RequestInvalid, "{text}");
            assert!(failure.hint.is_some_and(|hint| hint.contains("public_ipv4_hour")));
        }
    }
}
