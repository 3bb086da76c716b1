//! Times at which services start and stop by themselves: options of the command line, as parameters of the stack.

use std::collections::BTreeMap;
use wharf_domain::{Code, Failure, Service, ServiceName};

use crate::args::Schedule;

/// So many schedules the template has: EventBridge Scheduler's input is fixed, and starts one service.
const MORNINGS: usize = 5;

/// What was said of times, as parameters. What was not said is left as the stack has it.
pub(super) fn parameters(
    said: &Schedule,
    services: &BTreeMap<ServiceName, Service>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut parameters = Vec::new();
    let mut put = |name: &str, value: String| parameters.push((name.to_owned(), value));
    let chosen = |names: &[String]| {
        names
            .iter()
            .map(|name| startable(name, services))
            .collect::<Result<Vec<_>, _>>()
    };
    if let Some(time) = &said.morning_start {
        let mut names = chosen(&said.morning_service)?;
        if names.is_empty() {
            names = services
                .values()
                .filter(|service| !service.tenant)
                .map(|service| service.name.as_str())
                .collect();
        }
        if names.len() > MORNINGS {
            return Err(invalid(format!(
                "{} services would start in the morning, and there are schedules for {MORNINGS}",
                names.len()
            ))
            .hint("choose them with --morning-service"));
        }
        put("MorningStart", expression(time)?);
        for number in 0..MORNINGS {
            let name = names.get(number).copied().unwrap_or_default();
            put(&format!("MorningService{}", number + 1), name.to_owned());
        }
    }
    if let Some(time) = &said.evening_stop {
        put("EveningStop", expression(time)?);
        let names = chosen(&said.evening_service)?;
        let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        put("EveningServices", quoted.join(","));
    }
    if let Some(zone) = &said.timezone {
        put("ScheduleTimezone", zone.clone());
    }
    Ok(parameters)
}

fn startable<'s>(name: &str, services: &'s BTreeMap<ServiceName, Service>) -> Result<&'s str, Failure> {
    let known = || {
        let names = services.values().filter(|service| !service.tenant);
        let names: Vec<_> = names.map(|service| service.name.as_str()).collect();
        format!("services without tenants are: {}", names.join(", "))
    };
    let service = services.values().find(|service| service.name.as_str() == name);
    match service {
        Some(service) if !service.tenant => Ok(service.name.as_str()),
        Some(_) => Err(Failure::new(
            Code::ServiceTenant,
            format!("service {name} is for tenants, and no schedule starts or stops those"),
        )
        .hint(known())),
        None => Err(Failure::new(Code::ServiceUnknown, format!("there is no service {name}")).hint(known())),
    }
}

/// `07:30` is each day; `off` is never; whatever else has to be an expression of EventBridge Scheduler.
fn expression(time: &str) -> Result<String, Failure> {
    if time == "off" {
        return Ok(String::new());
    }
    if ["cron(", "rate(", "at("].iter().any(|kind| time.starts_with(kind)) && time.ends_with(')') {
        return Ok(time.to_owned());
    }
    let clock = time
        .split_once(':')
        .and_then(|(hour, minute)| Some((hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?)))
        .filter(|(hour, minute)| *hour < 24 && *minute < 60);
    let (hour, minute) = clock
        .ok_or_else(|| invalid(format!("{time:?} is no time")).hint("write 07:30, cron(30 7 ? * MON-FRI *), or off"))?;
    Ok(format!("cron({minute} {hour} * * ? *)"))
}

fn invalid(message: String) -> Failure {
    Failure::new(Code::ConfigInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_clock_is_each_day() {
        assert_eq!(expression("07:30").expect("a time"), "cron(30 7 * * ? *)");
        assert_eq!(
            expression("cron(0 7 ? * MON-FRI *)").expect("a time"),
            "cron(0 7 ? * MON-FRI *)"
        );
        assert_eq!(expression("off").expect("a time"), "");
        for bad in ["24:00", "7", "07:60", "cron(0 7", ""] {
            assert!(expression(bad).is_err(), "{bad}");
        }
    }
}
