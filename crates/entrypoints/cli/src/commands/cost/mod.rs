//! `cost`: what one load balancer for all services saves against one for each, for the services of the configuration.
//!
//! Prices are data (`prices`), the arithmetic is apart (`bill`). AWS is not asked, and nothing of what is used is measured.

mod bill;
mod prices;

use serde::Serialize;
use std::process::ExitCode;
use wharf_config::{Config, Overrides};
use wharf_domain::{Failure, service::RouteRule};

use self::{
    bill::{Bill, Compared, Line, Same, Use},
    prices::{Item, Prices},
};
use super::config;
use crate::{
    args::{Cost as Options, Global},
    output,
};

/// Everything that is printed.
#[derive(Debug, Serialize)]
struct Cost {
    /// Those that are behind a load balancer.
    services: Vec<String>,
    #[serde(rename = "use")]
    used: Use,
    #[serde(flatten)]
    prices: Prices,
    #[serde(flatten)]
    bill: Bill,
}

pub(crate) fn run(global: &Global, options: &Options) -> Result<ExitCode, Failure> {
    let prices = Prices::load(&options.prices)?;
    let services = balanced(&config::load(global, &Overrides::default())?);
    let used = Use {
        services: u32::try_from(services.len()).unwrap_or(u32::MAX),
        hours: options.hours,
        zones: options.zones,
        lcus: options.lcus,
        vcpu: options.vcpu,
        memory_gb: options.memory,
        starts: options.starts,
    };
    let cost = Cost {
        services,
        used,
        bill: bill::bill(&prices, &used),
        prices,
    };
    output::value(&cost, global.format(), text);
    Ok(ExitCode::SUCCESS)
}

/// The services that requests reach by a path: those could share a load balancer. Tenants have a host each, or none of it.
fn balanced(config: &Config) -> Vec<String> {
    let services = config.services.iter();
    services
        .filter(|(_, service)| {
            !service.tenant && matches!(service.route, RouteRule::Path { .. } | RouteRule::TargetGroups { .. })
        })
        .map(|(name, _)| name.to_string())
        .collect()
}

fn text(cost: &Cost) -> String {
    let Cost {
        services,
        used,
        prices,
        bill,
    } = cost;
    if services.is_empty() {
        return "no service of the configuration is behind a load balancer: there is nothing to save".to_owned();
    }
    let currency = &prices.currency;
    let head = format!(
        "{} behind load balancers: {}\na month of {} hours in {}, in {currency}\n",
        counted(services.len(), "service"),
        services.join(", "),
        used.hours,
        prices.region
    );
    let mut rows: Vec<_> = bill.load_balancers.iter().map(|row| compared(row, prices)).collect();
    rows.push(
        [
            "sum".into(),
            String::new(),
            money(bill.one_each),
            money(bill.one_for_all),
        ]
        .into(),
    );
    let table = output::table(&["", "PRICE", "ONE EACH", "ONE FOR ALL"], &rows);
    let saving = format!(
        "saves {} {currency} a month, {} a year\n",
        money(bill.saving),
        money(bill.saving_a_year)
    );
    let rows: Vec<_> = bill.either_way.iter().map(|row| same(row, prices)).collect();
    let beside = output::table(&["EITHER WAY", "PRICE", ""], &rows);
    [head, table, saving, beside, dates(prices)].join("\n")
}

fn compared(row: &Compared, prices: &Prices) -> Vec<String> {
    vec![
        what(row.item).to_owned(),
        rate(row.item, prices),
        product(&row.one_each),
        product(&row.one_for_all),
    ]
}

fn same(row: &Same, prices: &Prices) -> Vec<String> {
    vec![what(row.item).to_owned(), rate(row.item, prices), product(&row.line)]
}

const fn what(item: Item) -> &'static str {
    match item {
        Item::LoadBalancerHour => "load balancers",
        Item::CapacityUnitHour => "their capacity units",
        Item::PublicIpv4Hour => "their public addresses",
        Item::FargateVcpuHour => "processors of one task each",
        Item::FargateGbHour => "its memory",
        Item::LambdaGbSecond => "Wharf's function, by starts (at most)",
        Item::DynamodbWriteUnit => "Wharf's table, by starts (at most)",
    }
}

fn rate(item: Item, prices: &Prices) -> String {
    let price = prices.iter().find(|(known, _)| *known == item);
    price.map_or_else(String::new, |(_, price)| format!("{} per {}", price.amount, price.unit))
}

/// `5 × 730 = 82.13`, so that it can be gone over.
fn product(line: &Line) -> String {
    format!("{} × {} = {}", line.count, line.each, money(line.sum))
}

fn money(amount: f64) -> String {
    if 0.0 < amount && amount < 0.005 {
        return "<0.01".to_owned();
    }
    format!("{amount:.2}")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// When the prices were what they are here.
fn dates(prices: &Prices) -> String {
    let mut dates: Vec<_> = prices.iter().filter_map(|(_, price)| price.as_of.as_deref()).collect();
    dates.sort_unstable();
    dates.dedup();
    match (dates.first(), dates.last()) {
        (Some(first), Some(last)) => format!(
            "\nprices of {first} to {last}, without taxes, discounts and free tiers\n\
             --json says where each was read, --price NAME=AMOUNT puts another in its place"
        ),
        _ => String::new(),
    }
}
