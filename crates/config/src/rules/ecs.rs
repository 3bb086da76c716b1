//! What ECS and its load balancers ask of a service that runs there.

use std::collections::{BTreeMap, BTreeSet};
use wharf_domain::{
    Code,
    service::{EcsTask, Launch, ListenerRule, PortRule, RouteRule},
};

use super::placeholders::{self, Place};
use crate::{
    keys::{
        ecs::{
            ASSIGN_PUBLIC_IP, CAPACITY_PROVIDERS, CLUSTER, COMMAND, CONTAINER_PORT, LAUNCH, PORT, ROUTE_ARNS,
            ROUTE_KIND, ROUTE_URL, RULE, RULE_HOST, RULE_LISTENER, RULE_PATH, SECURITY_GROUPS, SUBNETS,
            TASK_DEFINITION,
        },
        service::{ENVIRONMENT, TENANT},
    },
    resolved::{Entry, Resolved},
    services::Read,
    setting::shown,
    table::{AnyKey, join},
    values::{LaunchType, page},
};

/// `awsvpcConfiguration` takes no more.
const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 5;

pub(super) fn check(resolved: &mut Resolved<'_>, read: &Read, task: &EcsTask) {
    if !resolved.sections.contains(&read.run) {
        resolved.report(
            &[&read.path, &read.run, "platform.kind"],
            Code::ConfigInvalid,
            "there is no section for the platform in force, ecs",
            "add ecs = { cluster = \"my-cluster\", task_definition = \"my-task\" }",
        );
        return;
    }
    check_names(resolved, read, task);
    check_network(resolved, read, task);
    check_ports(resolved, read, task);
    check_launch(resolved, read);
    check_placeholders(resolved, read, task);
    check_targets(resolved, read);
}

/// Which task, and where.
fn check_names(resolved: &mut Resolved<'_>, read: &Read, task: &EcsTask) {
    let needed: [(&dyn AnyKey, &str, &str); 2] = [
        (&CLUSTER, &task.cluster, "\"my-cluster\""),
        (&TASK_DEFINITION, &task.task_definition, "\"my-task\""),
    ];
    for (key, name, example) in needed {
        let path = join(&read.run, key.name());
        if name.trim().is_empty() {
            let variables: Vec<_> = key
                .facts()
                .variables
                .iter()
                .map(|variable| variable.name_at(&path))
                .collect();
            let hint = format!("add {} = {example}, or set {}", key.name(), variables.join(" or "));
            resolved.report(&[&path], Code::ConfigInvalid, "is missing", hint);
        } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let why = format!("{} is neither a name nor an ARN", shown(name));
            resolved.report(
                &[&path],
                Code::ConfigInvalid,
                why,
                format!("write it as in {} = {example}", key.name()),
            );
        }
    }
}

fn check_network(resolved: &mut Resolved<'_>, read: &Read, task: &EcsTask) {
    let lists = [
        (SUBNETS.name, &task.subnets, "subnet-", SUBNETS_MAX),
        (SECURITY_GROUPS.name, &task.security_groups, "sg-", SECURITY_GROUPS_MAX),
    ];
    for (name, ids, prefix, most) in lists {
        let path = join(&read.run, name);
        for id in ids {
            if !id.starts_with(prefix) || id.len() == prefix.len() {
                let why = format!("{} is not the id of one", shown(id));
                resolved.report(
                    &[&path],
                    Code::ConfigInvalid,
                    why,
                    format!("an id begins with {prefix}"),
                );
            }
        }
        if ids.len() > most {
            let why = format!("a task takes at most {most}, and these are {}", ids.len());
            resolved.report(&[&path], Code::ConfigInvalid, why, "name fewer");
        }
    }
    let subnets = join(&read.run, SUBNETS.name);
    if task.subnets.is_empty() {
        if task.launch == Launch::Fargate {
            resolved.report(
                &[&subnets, &join(&read.run, LAUNCH.name)],
                Code::ConfigInvalid,
                "tasks on Fargate have a network interface of their own, and it is not said in which subnets",
                "add subnets = [\"subnet-…\"], or launch = \"ec2\"",
            );
        }
        for key in [SECURITY_GROUPS.name, ASSIGN_PUBLIC_IP.name] {
            let path = join(&read.run, key);
            if is_in_file(resolved.entries.get(&path)) {
                resolved.report(
                    &[&path, &subnets],
                    Code::ConfigInvalid,
                    "this is of tasks with a network interface of their own, and it is not said in which subnets",
                    "add subnets = [\"subnet-…\"], or take it out",
                );
            }
        }
    }
}

fn check_ports(resolved: &mut Resolved<'_>, read: &Read, task: &EcsTask) {
    if matches!(read.service.port, PortRule::Static { .. }) && task.launch == Launch::Fargate {
        resolved.report(
            &[&read.range, &join(&read.run, LAUNCH.name)],
            Code::ConfigInvalid,
            "tasks on Fargate have addresses of their own, and so no port of a host to lease",
            "choose kind = \"dynamic\", or another launch",
        );
    }
    let (short, long) = (join(&read.run, PORT.name), join(&read.run, CONTAINER_PORT.name));
    let given = |path: &str| resolved.entries.get(path).filter(|entry| entry.raw.is_some());
    if let (Some(short_entry), Some(long_entry)) = (given(&short), given(&long))
        && !long_entry.is_documented
        && !short_entry.shown.starts_with('{')
        && short_entry.shown != long_entry.shown
    {
        let why = format!("{} says {}", CONTAINER_PORT.name, long_entry.shown);
        resolved.report(&[&short, &long], Code::ConfigInvalid, why, "say it once");
    }
}

fn check_launch(resolved: &mut Resolved<'_>, read: &Read) {
    let (launch, providers) = (join(&read.run, LAUNCH.name), join(&read.run, CAPACITY_PROVIDERS.name));
    let has_providers = resolved
        .entries
        .get(&providers)
        .is_some_and(|entry| entry.raw.is_some() && entry.shown != "[]");
    if has_providers
        && is_in_file(resolved.entries.get(&launch))
        && resolved.get(&read.run, &LAUNCH) != LaunchType::Auto
    {
        resolved.report(
            &[&launch, &providers],
            Code::ConfigInvalid,
            "ECS takes a launch type or capacity providers, not both",
            "take one of them out",
        );
    }
}

fn check_placeholders(resolved: &mut Resolved<'_>, read: &Read, task: &EcsTask) {
    let service = &read.service;
    let is_leased = matches!(service.port, PortRule::Static { .. });
    let command = join(&read.run, COMMAND.name);
    for (i, argument) in task.command.iter().flatten().enumerate() {
        let path = join(&command, &i.to_string());
        for (why, hint) in placeholders::faults(argument, Place::Command, service.tenant) {
            resolved.report(&[&path, &join(&read.path, TENANT.name)], Code::ConfigInvalid, why, hint);
        }
        check_port_word(resolved, &path, argument, is_leased);
    }
    for (name, value) in &service.environment {
        let path = join(&join(&read.path, ENVIRONMENT.name), name);
        check_port_word(resolved, &path, value, is_leased);
    }
}

fn check_port_word(resolved: &mut Resolved<'_>, path: &str, text: &str, is_leased: bool) {
    if !is_leased && placeholders::words(text).any(|(word, _)| word == "port") {
        resolved.report(
            &[path],
            Code::ConfigInvalid,
            "{port} is known before the start only where it is static",
            "take it out: in its container the task listens on the port of its task definition",
        );
    }
}

fn check_targets(resolved: &mut Resolved<'_>, read: &Read) {
    let rule_path = join(&read.route, RULE.name);
    let RouteRule::TargetGroups { arns, rule, url } = &read.service.route else {
        if resolved.sections.contains(&rule_path) {
            resolved.report(
                &[&rule_path, &join(&read.route, ROUTE_KIND.name)],
                Code::ConfigInvalid,
                "a listener rule has a meaning only with kind = \"target_groups\"",
                "add kind = \"target_groups\", or take it out",
            );
        }
        return;
    };
    let path = join(&read.route, ROUTE_ARNS.name);
    if arns.is_empty() {
        let variables: Vec<_> = ROUTE_ARNS
            .facts()
            .variables
            .iter()
            .map(|variable| variable.name_at(&path))
            .collect();
        let hint = format!(
            "add arns = [\"arn:aws:elasticloadbalancing:…\"], or set {}",
            variables.join(" or ")
        );
        resolved.report(&[&path], Code::ConfigInvalid, "no target group is named", hint);
    }
    let mut seen = BTreeSet::new();
    for arn in arns {
        if !is_balancers_arn(arn) {
            let why = format!("{} is not the ARN of a target group", shown(arn));
            let hint = "write it whole: \"arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID\"";
            resolved.report(&[&path], Code::ConfigInvalid, why, hint);
        } else if !seen.insert(arn) {
            let why = format!("{} is there twice", shown(arn));
            resolved.report(&[&path], Code::ConfigInvalid, why, "name each target group once");
        }
    }
    if let Some(url) = url
        && (page(url).is_none() || placeholders::words(url).next().is_some())
    {
        let why = format!("{} is not the address of a page", shown(url));
        let hint = "write where the load balancer brings requests to the service: \"https://api.example.com/api/auth\"";
        resolved.report(&[&join(&read.route, ROUTE_URL.name)], Code::ConfigInvalid, why, hint);
    }
    if let Some(rule) = rule {
        check_rule(resolved, &rule_path, rule);
    }
}

fn check_rule(resolved: &mut Resolved<'_>, path: &str, rule: &ListenerRule) {
    let listener = join(path, RULE_LISTENER.name);
    if rule.listener.is_empty() {
        let hint = "add listener = \"arn:aws:elasticloadbalancing:…\"";
        resolved.report(&[&listener], Code::ConfigInvalid, "is missing", hint);
    } else if !is_balancers_arn(&rule.listener) {
        let why = format!("{} is not the ARN of a listener", shown(&rule.listener));
        let hint = "write it whole: \"arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/ID/ID\"";
        resolved.report(&[&listener], Code::ConfigInvalid, why, hint);
    }
    if rule.host.is_none() && rule.path.is_none() {
        resolved.report(
            &[path, &join(path, RULE_HOST.name), &join(path, RULE_PATH.name)],
            Code::ConfigInvalid,
            "the rule says neither a host nor a path, and so would take every request",
            "add path = \"/api/auth/*\", or host = \"auth.example.com\"",
        );
    }
}

fn is_balancers_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.contains(":elasticloadbalancing:") && !text.contains(char::is_whitespace)
}

/// Two services with one target group, or with one listener rule, would take each other's requests.
pub(super) fn check_sharing(resolved: &mut Resolved<'_>, services: &[Read]) {
    let mut groups: BTreeMap<&str, &Read> = BTreeMap::new();
    let mut rules: BTreeMap<&ListenerRule, &Read> = BTreeMap::new();
    for read in services {
        let RouteRule::TargetGroups { arns, rule, .. } = &read.service.route else {
            continue;
        };
        for arn in arns {
            match groups.insert(arn, read) {
                Some(holder) if holder.path != read.path => resolved.report(
                    &[
                        &join(&read.route, ROUTE_ARNS.name),
                        &join(&holder.route, ROUTE_ARNS.name),
                    ],
                    Code::ConfigInvalid,
                    format!("the target group {} is that of {} as well", shown(arn), holder.path),
                    "give each service target groups of its own",
                ),
                _ => {}
            }
        }
        if let Some(holder) = rule.as_ref().and_then(|rule| rules.insert(rule, read)) {
            resolved.report(
                &[&join(&read.route, RULE.name), &join(&holder.route, RULE.name)],
                Code::ConfigInvalid,
                format!("the listener rule is that of {} as well", holder.path),
                "give each service a path or a host of its own",
            );
        }
    }
}

/// A general variable is there for all services, whether it fits them or not; what the file says is meant.
fn is_in_file(entry: Option<&Entry<'_>>) -> bool {
    entry.is_some_and(|entry| entry.raw.is_some() && !entry.is_documented)
}
