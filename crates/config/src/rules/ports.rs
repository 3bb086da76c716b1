//! Ranges of ports: apart from each other and from the system's own, so that two never want the same port. And their rest, so that two never have it one just
//! after the other.

use std::time::Duration;
use wharf_domain::{Code, service::PortRule, time::LATE_EFFECT_MOST};

use crate::{
    Config, Machine,
    resolved::Resolved,
    services::Read,
    setting::Setting,
    values::{PlatformKind, PortRange},
};

const DYNAMIC: &str = "platform.dynamic_ports";

/// The ranges of services with a static port, and where they stand.
pub(crate) fn static_ranges(services: &[Read]) -> Vec<(PortRange, String)> {
    let range = |read: &Read| match read.service.port {
        PortRule::Static { first, last } => Some((PortRange { first, last }, read.range.clone())),
        PortRule::Dynamic => None,
    };
    services.iter().filter_map(range).collect()
}

pub(super) fn check(resolved: &mut Resolved<'_>, config: &Config, services: &[Read], machine: Machine) {
    let mut statics = static_ranges(services);
    if config.platform.kind == PlatformKind::Ecs {
        check_rest(resolved, config);
    } else {
        check_this_machine(resolved, config.ports.dynamic, &statics, machine);
    }
    // In order, a range that overlaps any before it overlaps the one that reaches furthest.
    statics.sort();
    let mut furthest: Option<(PortRange, String)> = None;
    for (range, path) in statics {
        if let Some((before, other)) = &furthest
            && range.overlaps(*before)
        {
            resolved.report(
                &[&path, other],
                Code::ConfigInvalid,
                format!("the range {range} shares ports with {before} of {other}"),
                "give each service a range of its own",
            );
        }
        if furthest.as_ref().is_none_or(|(before, _)| before.last < range.last) {
            furthest = Some((range, path));
        }
    }
}

/// A registration that comes late leads visitors to whoever has the address by then, until repair has withdrawn it. On one machine nothing comes late.
fn check_rest(resolved: &mut Resolved<'_>, config: &Config) {
    let until_found = config.repair.interval.duration().unwrap_or(Duration::ZERO);
    let least = LATE_EFFECT_MOST + until_found;
    let ports = &config.ports;
    for (path, rest) in [
        ("ports.quarantine", ports.quarantine),
        ("ports.direct_quarantine", ports.direct_quarantine),
    ] {
        if rest < least {
            resolved.report(
                &[path, "repair.interval"],
                Code::ConfigInvalid,
                format!(
                    "{} is too short: a call to AWS may take effect {} late, and be found by repair {} after that",
                    rest.show(),
                    LATE_EFFECT_MOST.show(),
                    until_found.show(),
                ),
                format!("make it {} or longer, or repair.interval shorter", least.show()),
            );
        }
    }
}

/// The ports of this machine, from which tasks on ECS have none.
fn check_this_machine(
    resolved: &mut Resolved<'_>,
    dynamic: PortRange,
    statics: &[(PortRange, String)],
    machine: Machine,
) {
    if let Some(system) = machine.ip_local_port_range {
        let all = statics
            .iter()
            .map(|(range, path)| (*range, path.as_str()))
            .chain([(dynamic, DYNAMIC)]);
        for (range, path) in all.collect::<Vec<_>>() {
            if range.overlaps(system) {
                resolved.report(
                    &[path],
                    Code::ConfigInvalid,
                    format!("the range {range} shares ports with {system}, from which the system takes those of outgoing connections"),
                    "choose a range outside, or change net.ipv4.ip_local_port_range",
                );
            }
        }
    }
    for (range, path) in statics {
        if range.overlaps(dynamic) {
            resolved.report(
                &[path, DYNAMIC],
                Code::ConfigInvalid,
                format!("the range {range} shares ports with {dynamic}, from which dynamic ports are leased"),
                format!("choose a range outside, or change {DYNAMIC}"),
            );
        }
    }
}
