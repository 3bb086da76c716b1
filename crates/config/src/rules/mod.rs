//! What settings mean together: the checks that no value can make by itself. Each says what is wrong and what would be right.

mod exposure;
mod placeholders;
mod ports;
mod services;

pub(crate) use placeholders::table as placeholder_table;
pub(crate) use ports::static_ranges;

use wharf_domain::{Code, ServiceName};

use crate::{Config, Machine, keys::service as keys, resolved::Resolved, services::Read, values::PlatformKind};

/// Checks everything; the problems are in `resolved`.
pub(crate) fn check(resolved: &mut Resolved<'_>, config: &Config, services: &[Read], machine: Machine) {
    check_platform(resolved, config);
    exposure::check(resolved, config);
    ports::check(resolved, config, services, machine);
    check_heal(resolved, config);
    for read in services {
        services::check(resolved, read);
    }
    services::check_prefixes(resolved, services);
}

fn check_platform(resolved: &mut Resolved<'_>, config: &Config) {
    let kind = config.platform.kind;
    if kind != PlatformKind::Process {
        resolved.report(
            &["platform.kind"],
            Code::ConfigInvalid,
            format!("this version runs services as processes only, not on {}", kind.name()),
            "choose kind = \"process\"; the services' other sections may stay in the file",
        );
        resolved.distrust("platform.kind");
    }
}

fn check_heal(resolved: &mut Resolved<'_>, config: &Config) {
    if config.heal.backoff_first > config.heal.backoff_max {
        resolved.report(
            &["heal.backoff_first", "heal.backoff_max"],
            Code::ConfigInvalid,
            "the first pause is longer than the longest, heal.backoff_max",
            "make it shorter, or heal.backoff_max longer",
        );
    }
}

/// The service that a sign-up gets if it names none.
pub(crate) fn tenant_service(
    resolved: &mut Resolved<'_>,
    chosen: Option<&ServiceName>,
    services: &[Read],
) -> Option<ServiceName> {
    let tenants: Vec<_> = services.iter().filter(|read| read.service.tenant).collect();
    let names = tenants
        .iter()
        .map(|read| read.service.name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let Some(chosen) = chosen else {
        return match tenants.as_slice() {
            [] => None,
            [only] => Some(only.service.name.clone()),
            [first, ..] => {
                let tenant = format!("{}.{}", first.path, keys::TENANT.name);
                resolved.report(
                    &["signup.service", &tenant],
                    Code::ConfigInvalid,
                    format!("several services are for tenants: {names}"),
                    format!(
                        "say which one a sign-up gets: [signup] service = \"{}\"",
                        first.service.name
                    ),
                );
                None
            }
        };
    };
    match services.iter().find(|read| read.service.name == *chosen) {
        Some(read) if read.service.tenant => Some(chosen.clone()),
        found => {
            let why = if found.is_some() {
                "is not for tenants"
            } else {
                "is not configured"
            };
            let hint = match (found, names.as_str()) {
                (Some(read), _) => format!("set {}.tenant = true, or choose another", read.path),
                (None, "") => "take it out, or add a service with tenant = true".to_owned(),
                (None, names) => format!("choose one of: {names}"),
            };
            let tenant = found.map(|read| format!("{}.{}", read.path, keys::TENANT.name));
            let paths: Vec<_> = std::iter::once("signup.service").chain(tenant.as_deref()).collect();
            resolved.report(
                &paths,
                Code::ConfigInvalid,
                format!("the service \"{chosen}\" {why}"),
                hint,
            );
            None
        }
    }
}
