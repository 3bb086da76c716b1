//! Schedules, typed, and held against the services that they name.

use wharf_domain::{Code, Schedule, ScheduleName, ServiceName, schedule::Action, schedule::Calendar};

use crate::{keys::schedule as keys, resolved::Resolved, services::Read, setting::shown, table::join};

/// Reads all schedules. What is wrong with one is reported, and the whole is thrown away in the end.
pub(crate) fn read(from: &mut Resolved<'_>, services: &[Read]) -> Vec<Schedule> {
    let names = from.schedules.clone();
    names
        .into_iter()
        .filter_map(|name| read_one(from, name, services))
        .collect()
}

fn read_one(from: &mut Resolved<'_>, name: ScheduleName, services: &[Read]) -> Option<Schedule> {
    let path = join(keys::SCHEDULES.name, name.as_str());
    let [start, stop] = [&keys::START, &keys::STOP].map(|key| join(&path, key.name));
    let (starts, stops) = (from.get(&path, &keys::START), from.get(&path, &keys::STOP));
    let (action, chosen, at) = match (starts.is_empty(), stops.is_empty()) {
        (false, true) => (Action::Start, starts, start),
        (true, false) => (Action::Stop, stops, stop),
        (true, true) => {
            let hint = "name services to start = [\"auth\"], or to stop";
            from.report(
                &[&path, &start, &stop],
                Code::ConfigInvalid,
                "nothing is started or stopped",
                hint,
            );
            return None;
        }
        (false, false) => {
            let hint = "make two schedules of it, one that starts and one that stops";
            from.report(
                &[&stop, &start],
                Code::ConfigInvalid,
                "a schedule starts or stops",
                hint,
            );
            return None;
        }
    };
    for service in &chosen {
        check_service(from, &at, service, services);
    }
    Some(Schedule {
        calendar: Calendar::new(from.get(&path, &keys::CRON)?, from.get(&path, &keys::TIME_ZONE)),
        action,
        services: chosen,
        catch_up: from.get(&path, &keys::CATCH_UP),
        name,
    })
}

/// A tenant's own times are nobody else's: it sleeps when nobody asks for it.
fn check_service(from: &mut Resolved<'_>, path: &str, name: &ServiceName, services: &[Read]) {
    let found = services
        .iter()
        .map(|read| &read.service)
        .find(|service| service.name == *name);
    let why = match found {
        Some(service) if !service.tenant => return,
        Some(_) => "is for tenants, and no schedule starts or stops those",
        None => "is not configured",
    };
    let known: Vec<_> = services
        .iter()
        .filter(|read| !read.service.tenant)
        .map(|read| read.service.name.as_str())
        .collect();
    let hint = if known.is_empty() {
        "take the schedule out, or add a service without tenants".to_owned()
    } else {
        format!("services without tenants are: {}", known.join(", "))
    };
    let message = format!("the service {} {why}", shown(name.as_str()));
    from.report(&[path], Code::ConfigInvalid, message, hint);
}
