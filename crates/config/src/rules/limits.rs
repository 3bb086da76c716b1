//! What may be booked must be enough for one task; and what another books is not booked here.

use wharf_domain::{Booking, Code, booking::bytes};

use crate::{
    Config,
    keys::{docker, limits as keys, service},
    resolved::Resolved,
    services::Read,
    table::join,
    values::PlatformKind,
};

pub(super) fn check(resolved: &mut Resolved<'_>, config: &Config, services: &[Read]) {
    if config.platform.kind == PlatformKind::Ecs {
        let given = [
            (keys::STARTS_AT_ONCE.name, config.limits.starts_at_once.is_some()),
            (keys::MEMORY.name, config.limits.memory.is_some()),
            (keys::CPU_UNITS.name, config.limits.cpu_units.is_some()),
        ];
        for (key, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            resolved.report(
                &[&join("limits", key), "platform.kind"],
                Code::ConfigInvalid,
                "tasks on ECS are counted and booked by ECS, not by each process of Wharf",
                "take it out, and let the cluster's capacity be the limit",
            );
        }
        return;
    }
    // What follows from this machine may be another on the one that it is for: doctor holds that against the services.
    let memory = resolved.get("limits", &keys::MEMORY).map(|memory| memory.0);
    let cpu_units = resolved.get("limits", &keys::CPU_UNITS).map(u64::from);
    let waiting = config.waiting();
    for read in services {
        let booking = Booking::of(&read.service.run);
        let with_waiting = booking.plus(waiting);
        let wants = |limit: Option<u64>, alone: u64, together: u64| {
            limit.is_some_and(|limit| alone <= limit && together > limit)
        };
        let limits = [
            (keys::MEMORY.name, wants(memory, booking.memory, with_waiting.memory)),
            (
                keys::CPU_UNITS.name,
                wants(cpu_units, booking.cpu_units, with_waiting.cpu_units),
            ),
        ];
        for (key, _) in limits.into_iter().filter(|(_, is_too_much)| *is_too_much) {
            resolved.report(
                &[&join(&read.path, service::WARM.name), &join("limits", key)],
                Code::ConfigInvalid,
                format!(
                    "beside the containers that wait (`warm`) there is no room for one task of {}, limits.{key}",
                    read.path
                ),
                "let fewer wait, or raise the limit",
            );
        }
        let of_task = |key: &str| join(&read.run, key);
        if memory.is_some_and(|limit| booking.memory > limit) {
            let own = match config.platform.kind {
                PlatformKind::Docker => docker::MEMORY.name,
                _ => service::MEMORY.name,
            };
            resolved.report(
                &[&of_task(own), "limits.memory"],
                Code::ConfigInvalid,
                format!(
                    "one task books {}, and all together may book {}, limits.memory",
                    bytes(booking.memory),
                    bytes(memory.unwrap_or_default())
                ),
                "let it ask for less, or raise limits.memory",
            );
        }
        if cpu_units.is_some_and(|limit| booking.cpu_units > limit) {
            resolved.report(
                &[&of_task(docker::CPU_UNITS.name), "limits.cpu_units"],
                Code::ConfigInvalid,
                format!(
                    "one task books {} CPU units, and all together may book {}, limits.cpu_units",
                    booking.cpu_units,
                    cpu_units.unwrap_or_default()
                ),
                "let it ask for less, or raise limits.cpu_units",
            );
        }
    }
}
