//! What settings mean together: the checks that no value can make by itself. Each says what is wrong and what would be right.

mod databases;
mod docker;
mod ecs;
mod exposure;
mod limits;
mod mail;
mod placeholders;
mod ports;
mod services;
mod webhook;

pub(crate) use placeholders::table as placeholder_table;
pub(crate) use ports::static_ranges;

use wharf_domain::{Code, ServiceName};

use crate::{
    Config, Machine, builtin,
    keys::{service as keys, system::DEFAULT_SERVICE},
    resolved::Resolved,
    services::Read,
    setting::{Setting, shown},
    values::{PlatformKind, RegistryKind, page},
};

/// Checks everything; the problems are in `resolved`.
pub(crate) fn check(resolved: &mut Resolved<'_>, config: &Config, services: &[Read], machine: Machine) {
    exposure::check(resolved, config);
    ports::check(resolved, config, services, machine);
    check_heal(resolved, config);
    limits::check(resolved, config, services);
    for read in services {
        services::check(resolved, read);
    }
    services::check_prefixes(resolved, services);
    ecs::check_sharing(resolved, services);
    databases::check(resolved, config, services);
    docker::check_machine(resolved, config, services);
    mail::check(resolved, config, machine);
    webhook::check(resolved, config);
    check_aws(resolved, config);
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

fn check_aws(resolved: &mut Resolved<'_>, config: &Config) {
    if config.registry.kind == RegistryKind::Dynamodb && config.platform.kind != PlatformKind::Ecs {
        let tasks = match config.platform.kind {
            PlatformKind::Docker => "containers",
            PlatformKind::Process | PlatformKind::Ecs => "processes",
        };
        resolved.report(
            &["registry.kind", "platform.kind"],
            Code::ConfigInvalid,
            format!("{tasks} belong to this machine, and a registry in DynamoDB to several"),
            "choose kind = \"sqlite\", or run the services on ecs",
        );
    }
    if let Some(url) = &config.aws.queue_url
        && page(url).is_none()
    {
        resolved.report(
            &["aws.queue_url"],
            Code::ConfigInvalid,
            format!("{} is not the URL of a queue", shown(url)),
            "write it as in \"https://sqs.eu-west-1.amazonaws.com/123456789012/wharf-wakes\"",
        );
    }
}

/// The service that a start event starts which names none.
pub(crate) fn default_service(resolved: &mut Resolved<'_>, services: &[Read]) -> Option<ServiceName> {
    let chosen = resolved.get("events", &DEFAULT_SERVICE);
    let Some(chosen) = chosen else {
        let found = services
            .iter()
            .map(|read| &read.service)
            .find(|service| service.name.as_str() == builtin::DEFAULT_NAME && !service.tenant)?;
        resolved.settle("events.default_service", found.name.show());
        return Some(found.name.clone());
    };
    let (why, hint) = match services.iter().find(|read| read.service.name == chosen) {
        Some(read) if !read.service.tenant => return Some(chosen),
        Some(_) => (
            "is for tenants",
            "an event that names no service names no tenant either: choose another".to_owned(),
        ),
        None => {
            let known: Vec<_> = services
                .iter()
                .filter(|read| !read.service.tenant)
                .map(|read| read.service.name.as_str())
                .collect();
            let hint = if known.is_empty() {
                "take it out, or add a service without tenants".to_owned()
            } else {
                format!("choose one of: {}", known.join(", "))
            };
            ("is not configured", hint)
        }
    };
    resolved.report(
        &["events.default_service"],
        Code::ConfigInvalid,
        format!("the service \"{chosen}\" {why}"),
        hint,
    );
    None
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
