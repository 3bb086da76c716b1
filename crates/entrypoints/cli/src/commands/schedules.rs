//! `list schedules`: what starts and stops by the clock.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;
use std::process::ExitCode;
use wharf_domain::Failure;

use crate::{args::Global, client::Client, output};

pub(crate) async fn list(global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let answer: Value = client.get("/schedules").await?;
    let schedules = answer["schedules"].as_array().cloned().unwrap_or_default();
    output::value(&schedules, global.format(), |schedules| {
        if schedules.is_empty() {
            return "no schedules; `wharf config explain schedules.NAME.cron` says how to write one".to_owned();
        }
        let rows: Vec<_> = schedules.iter().map(row).collect();
        output::table(&["NAME", "WHEN", "WHAT", "NEXT", "LAST"], &rows)
    });
    Ok(ExitCode::SUCCESS)
}

fn row(schedule: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let services = schedule["services"].as_array().into_iter().flatten();
    let services: Vec<_> = services.filter_map(Value::as_str).collect();
    let zone = text(&schedule["time_zone"]);
    let at = |value: &Value| {
        value
            .as_u64()
            .map_or_else(|| "-".to_owned(), |millis| local(millis, &zone))
    };
    let last = &schedule["last"];
    let outcome = last["cause"]["code"].as_str().map(|code| format!(", failed: {code}"));
    vec![
        text(&schedule["name"]),
        format!("{} {zone}", text(&schedule["cron"])),
        format!("{} {}", text(&schedule["action"]), services.join(" ")),
        at(&schedule["next"]),
        format!("{}{}", at(&last["at"]), outcome.unwrap_or_default()),
    ]
}

/// By the schedule's own clock; in UTC where this machine does not know its zone.
fn local(millis: u64, zone: &str) -> String {
    let at = i64::try_from(millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let Some(at) = at else { return "-".to_owned() };
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M %Z").to_string()
}
