//! What a service says must fit together, and two services must not want the same address.

use std::collections::BTreeMap;
use wharf_domain::{
    Code,
    service::{RouteRule, RunSpec},
};

use super::{
    docker, ecs,
    placeholders::{self, Place},
};
use crate::{
    keys::service::{
        COMMAND, ENVIRONMENT, HEALTH_TIMEOUT, ROUTE_KIND, ROUTE_PREFIX, ROUTE_URL, SINGLETON, SLEEP_AFTER,
        START_TIMEOUT, TENANT, TTL, TTL_NOTICE,
    },
    resolved::Resolved,
    services::Read,
    setting::shown,
    table::join,
    values::{PlatformKind, page},
};

/// Variables that Wharf gives to every task, to tenants' tasks, and to those with a database.
const ALWAYS_GIVEN: &[&str] = &["PORT"];
const GIVEN_TO_TENANTS: &[&str] = &["USER_ID", "COMPANY_NAME", "APP_PASSWORD"];
const GIVEN_WITH_DATABASE: &[&str] = &["DB_NAME", "DATABASE_URL"];

pub(super) fn check(resolved: &mut Resolved<'_>, read: &Read) {
    match &read.service.run {
        RunSpec::Process { command, .. } => check_command(resolved, read, command),
        RunSpec::Docker(task) => docker::check(resolved, read, task),
        RunSpec::Ecs(task) => ecs::check(resolved, read, task),
    }
    if read.warm > 0 {
        docker::check_warm(resolved, read);
    }
    check_environment(resolved, read);
    check_route(resolved, read);
    check_sleep(resolved, read);
    let service = &read.service;
    if service.tenant && service.singleton {
        resolved.report(
            &[&join(&read.path, SINGLETON.name), &join(&read.path, TENANT.name)],
            Code::ConfigInvalid,
            "a tenants' service has one instance for each tenant, and cannot be a singleton as well",
            "take singleton out, or set tenant = false",
        );
    }
    if let Some(trial) = &service.trial
        && trial.notice >= trial.length
    {
        resolved.report(
            &[&join(&read.path, TTL_NOTICE.name), &join(&read.path, TTL.name)],
            Code::ConfigInvalid,
            "a tenant would be told of the end before its trial has begun",
            "make ttl_notice shorter than ttl",
        );
    }
    if service.health.timeout > service.start_timeout {
        resolved.report(
            &[
                &join(&read.health, HEALTH_TIMEOUT.name),
                &join(&read.path, START_TIMEOUT.name),
            ],
            Code::ConfigInvalid,
            "one answer may take longer than the whole start, start_timeout",
            "make it shorter, or start_timeout longer",
        );
    }
}

fn check_command(resolved: &mut Resolved<'_>, read: &Read, command: &[String]) {
    if !resolved.sections.contains(&read.run) {
        resolved.report(
            &[&read.path, &read.run, "platform.kind"],
            Code::ConfigInvalid,
            format!(
                "there is no section for the platform in force, {}",
                PlatformKind::Process.name()
            ),
            "add process = { command = [\"./program\", \"--port\", \"{port}\"] }",
        );
        return;
    }
    let path = join(&read.run, COMMAND.name);
    match command.first() {
        None => {
            let hint = "write the program and its arguments: [\"./program\", \"--port\", \"{port}\"]";
            resolved.report(&[&path], Code::ConfigInvalid, "the command is empty", hint);
        }
        Some(program) if program.trim().is_empty() => {
            let hint = "write the program first: [\"./program\", \"--port\", \"{port}\"]";
            resolved.report(&[&path], Code::ConfigInvalid, "the command has no program", hint);
        }
        Some(program) if placeholders::words(program).next().is_some() => {
            let why = format!(
                "the program {} has a placeholder, which could start anything",
                shown(program)
            );
            resolved.report(
                &[&path],
                Code::ConfigInvalid,
                why,
                "use placeholders in the arguments only",
            );
        }
        Some(_) => {}
    }
    for (i, argument) in command.iter().enumerate().skip(1) {
        for (why, hint) in placeholders::faults(argument, Place::Command, read.service.tenant) {
            resolved.report(
                &[&join(&path, &i.to_string()), &join(&read.path, TENANT.name)],
                Code::ConfigInvalid,
                why,
                hint,
            );
        }
    }
}

fn check_environment(resolved: &mut Resolved<'_>, read: &Read) {
    let service = &read.service;
    for (name, value) in &service.environment {
        let path = join(&join(&read.path, ENVIRONMENT.name), name);
        for (why, hint) in placeholders::faults(value, Place::Environment, service.tenant) {
            resolved.report(&[&path, &join(&read.path, TENANT.name)], Code::ConfigInvalid, why, hint);
        }
        let name = name.as_str();
        let given = ALWAYS_GIVEN.contains(&name)
            || (service.tenant && GIVEN_TO_TENANTS.contains(&name))
            || (service.database && GIVEN_WITH_DATABASE.contains(&name));
        if given {
            let hint = "take it out; the task finds it in its environment";
            resolved.report(
                &[&path],
                Code::ConfigInvalid,
                format!("{name} is set by Wharf itself"),
                hint,
            );
        }
    }
}

fn check_route(resolved: &mut Resolved<'_>, read: &Read) {
    let tenant = join(&read.path, TENANT.name);
    let kind = join(&read.route, ROUTE_KIND.name);
    match (&read.service.route, read.service.tenant) {
        (RouteRule::Host, false) => resolved.report(
            &[&kind, &tenant],
            Code::ConfigInvalid,
            "a host route is a tenant's, and this service has no tenants",
            "set tenant = true, or choose kind = \"path\"",
        ),
        (RouteRule::Path { .. }, true) => resolved.report(
            &[&kind, &tenant],
            Code::ConfigInvalid,
            "a path route would give the instances of all tenants one address",
            "choose kind = \"host\", or set tenant = false",
        ),
        (RouteRule::Direct { url }, tenant) => check_url(resolved, read, url, tenant),
        (RouteRule::TargetGroups { .. }, true) => resolved.report(
            &[&kind, &tenant],
            Code::ConfigInvalid,
            "target groups that several instances share would give all tenants one address",
            "choose kind = \"host\" or \"direct\", or set tenant = false",
        ),
        (RouteRule::Host, true) | (RouteRule::Path { .. }, false) if resolved.machine.lambda => resolved.report(
            &[&kind, &tenant],
            Code::ConfigInvalid,
            "this route goes through Wharf's own load balancer, and on AWS Lambda there is none",
            "choose kind = \"target_groups\" or \"direct\" in the service's ecs section",
        ),
        (RouteRule::Host, true) | (RouteRule::Path { .. } | RouteRule::TargetGroups { .. }, false) => {}
    }
}

/// Who is to sleep has to be seen to be unused, and to be asked for while it does.
fn check_sleep(resolved: &mut Resolved<'_>, read: &Read) {
    if read.service.sleep.is_none() {
        return;
    }
    let (after, kind) = (join(&read.path, SLEEP_AFTER.name), join(&read.route, ROUTE_KIND.name));
    match (&read.service.run, &read.service.route) {
        (RunSpec::Ecs(_), _) => resolved.report(
            &[&after, "platform.kind"],
            Code::ConfigInvalid,
            "an instance on ECS is not put to sleep: what leads to it does not tell whether anybody uses it",
            "take sleep_after out; a schedule can stop a service in the evening and start it in the morning",
        ),
        (_, RouteRule::Direct { .. } | RouteRule::TargetGroups { .. }) => resolved.report(
            &[&after, &kind],
            Code::ConfigInvalid,
            "an instance that is not behind Wharf's own load balancer cannot be seen to be unused",
            "choose a route of kind \"host\" or \"path\", or take sleep_after out",
        ),
        _ => {}
    }
}

fn check_url(resolved: &mut Resolved<'_>, read: &Read, url: &str, for_tenants: bool) {
    let path = join(&read.route, ROUTE_URL.name);
    let tenant = join(&read.path, TENANT.name);
    let faults = placeholders::faults(url, Place::Url, for_tenants);
    let has_faults = !faults.is_empty();
    for (why, hint) in faults {
        resolved.report(&[&path, &tenant], Code::ConfigInvalid, why, hint);
    }
    if has_faults {
        return;
    }
    let sample = url
        .replace("{subdomain}", "acme")
        .replace("{ip}", "192.0.2.1")
        .replace("{port}", "8000");
    let good = page(&sample).is_some();
    if !good {
        let hint = "write it as in \"http://{subdomain}.{ip}.sslip.io:{port}\"";
        resolved.report(
            &[&path],
            Code::ConfigInvalid,
            format!("{} is not the address of a page", shown(url)),
            hint,
        );
    } else if placeholders::words(url).next().is_none() {
        let hint = "use {port}, {ip} or, for tenants, {subdomain}: \"http://{ip}:{port}\"";
        resolved.report(
            &[&path],
            Code::ConfigInvalid,
            "every instance would have the same address",
            hint,
        );
    }
}

/// Two services below one prefix would take each other's requests. One prefix within another is fine: the longest wins.
pub(super) fn check_prefixes(resolved: &mut Resolved<'_>, services: &[Read]) {
    let mut holders: BTreeMap<&str, &Read> = BTreeMap::new();
    for read in services {
        let RouteRule::Path { prefix } = &read.service.route else {
            continue;
        };
        match holders.get(prefix.as_str()) {
            None => {
                holders.insert(prefix, read);
            }
            Some(holder) => resolved.report(
                &[
                    &join(&read.route, ROUTE_PREFIX.name),
                    &join(&holder.route, ROUTE_PREFIX.name),
                ],
                Code::ConfigInvalid,
                format!("the prefix \"{prefix}\" is that of {} as well", holder.path),
                "give each service a prefix of its own",
            ),
        }
    }
}
