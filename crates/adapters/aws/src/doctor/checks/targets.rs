//! Target groups and the listener: that they take such tasks, that somebody forwards to them, and that their health checks can succeed
//! in the time that a start has.

use std::{cmp::Ordering, time::Duration};

use super::{
    super::{
        case::{Case, short},
        finding::Notes,
        world::{Known, World, of},
    },
    list,
};
use crate::{
    ecs::{NetworkMode, target_type_fits},
    elb::{TargetGroup, TargetKind},
};

/// ELB's own quota on an Application Load Balancer, unless AWS granted more.
const RULES: usize = 100;
/// From this many on somebody should know.
const RULES_MANY: usize = 90;
const TRAFFIC_PORT: &str = "traffic-port";

pub(super) fn check(case: &Case<'_>, world: &World, notes: &mut Notes) {
    for arn in case.arns {
        match world.target_groups.get(arn) {
            Some(Known::Is(group)) => one(case, world, arn, group, notes),
            Some(Known::Absent) => notes.fail(
                format!("target group {}", short(arn)),
                format!("there is none of the ARN {arn} in {}", world.region),
                "create it (deploy/alb.yaml does), or correct the service's `route.arns` (TARGET_GROUP_ARN)",
            ),
            Some(Known::Unknown) | None => {}
        }
    }
    if case.rule.is_some() {
        listener(case, world, notes);
    }
}

fn one(case: &Case<'_>, world: &World, arn: &str, group: &TargetGroup, notes: &mut Notes) {
    let what = format!("target group {}", group.name);
    if let (Some(network), Some(definition)) = (
        case.network().filter(|mode| *mode != NetworkMode::None),
        case.definition,
    ) {
        let kind = kind(&group.kind);
        match target_type_fits(arn, kind, network, &definition.name()) {
            Ok(()) => notes.ok(
                format!("{what}: target type"),
                format!("{kind}, as the network mode {} needs", network.name()),
            ),
            Err(failure) => notes.fail(
                format!("{what}: target type"),
                failure.message,
                failure.hint.unwrap_or_default(),
            ),
        }
    }
    let is_ruled = case.rule.is_some() && case.arns.first().is_some_and(|first| first == arn);
    if !group.load_balancers.is_empty() {
        notes.ok(
            format!("{what}: load balancer"),
            format!(
                "{} forwards to it",
                list(group.load_balancers.iter().map(|arn| short(arn)))
            ),
        );
    } else if !is_ruled {
        notes.fail(
            format!("{what}: load balancer"),
            "no listener forwards to it: its targets stay `unused` (Target.NotInUse) and are never healthy",
            "let a listener or a rule forward to it, or give the service a `route.rule`, so that Wharf makes one",
        );
    }
    health(case, group, &what, notes);
    draining(case, world, arn, &what, notes);
}

fn health(case: &Case<'_>, group: &TargetGroup, what: &str, notes: &mut Notes) {
    let what = format!("{what}: health check");
    let check = &group.check;
    let (timeout, own) = (case.service.start_timeout, &case.service.health.path);
    let mend = format!(
        "aws elbv2 modify-target-group --target-group-arn {} --health-check-interval-seconds 10 --healthy-threshold-count 2, or raise \
         the service's `start_timeout`",
        group.arn
    );
    let all = check.interval * check.healthy;
    let looks = format!("{} × {}", check.healthy, seconds(check.interval));
    if check.interval >= timeout {
        notes.fail(
            &what,
            format!(
                "it looks every {}, and a start has {}: the first look comes too late",
                seconds(check.interval),
                seconds(timeout)
            ),
            mend,
        );
    } else if all > timeout {
        notes.warn(
            &what,
            format!(
                "{looks} until a target is healthy, and a start has {} in all",
                seconds(timeout)
            ),
            mend,
        );
    } else {
        let path = check.path.as_deref().map(|path| format!(" {path}")).unwrap_or_default();
        notes.ok(&what, format!("{}{path} on {}, {looks}", check.protocol, check.port));
    }
    if let Some(path) = check.path.as_ref().filter(|path| *path != own) {
        notes.warn(
            format!("{what} path"),
            format!("the load balancer asks for {path}, and the service's `health.path` is {own}: what the load balancer asks for counts"),
            format!(
                "say the same in both: health = {{ path = \"{path}\" }}, or aws elbv2 modify-target-group --target-group-arn {} \
                 --health-check-path {own}",
                group.arn
            ),
        );
    }
    if check.port == TRAFFIC_PORT {
        return;
    }
    let ports = case.ports();
    if ports.is_some_and(|(first, last)| first != last) {
        notes.fail(
            format!("{what} port"),
            format!(
                "it asks port {} of every target, and each task has a port of its own",
                check.port
            ),
            format!(
                "aws elbv2 modify-target-group --target-group-arn {} --health-check-port {TRAFFIC_PORT}",
                group.arn
            ),
        );
    } else if let Some((port, _)) = ports.filter(|(port, _)| port.to_string() != check.port) {
        notes.warn(
            format!("{what} port"),
            format!(
                "it asks port {}, and requests go to port {port}: a task can be healthy that does not answer",
                check.port
            ),
            format!(
                "aws elbv2 modify-target-group --target-group-arn {} --health-check-port {TRAFFIC_PORT}",
                group.arn
            ),
        );
    }
}

fn draining(case: &Case<'_>, world: &World, arn: &str, what: &str, notes: &mut Notes) {
    let Some(delay) = of(&world.deregistration_delays, arn).copied() else {
        return;
    };
    let drain = case.service.drain_timeout;
    let what = format!("{what}: deregistration delay");
    let mend = format!(
        "aws elbv2 modify-target-group-attributes --target-group-arn {arn} --attributes \
         Key=deregistration_delay.timeout_seconds,Value={}, or set the service's `drain_timeout` to \"{}s\"",
        drain.as_secs(),
        delay.as_secs()
    );
    match delay.cmp(&drain) {
        Ordering::Greater => notes.warn(
            what,
            format!(
                "the load balancer leaves requests {} to end, and the task is stopped after {} (`drain_timeout`): longer ones are cut",
                seconds(delay),
                seconds(drain)
            ),
            mend,
        ),
        Ordering::Less => notes.warn(
            what,
            format!(
                "the load balancer cuts requests after {}, before the {} of `drain_timeout` are over",
                seconds(delay),
                seconds(drain)
            ),
            mend,
        ),
        Ordering::Equal => notes.ok(what, format!("{}, as `drain_timeout`", seconds(delay))),
    }
}

fn listener(case: &Case<'_>, world: &World, notes: &mut Notes) {
    let Some(rule) = case.rule else { return };
    let what = format!("listener of {}", short(&rule.listener));
    let found = match world.listeners.get(&rule.listener) {
        Some(Known::Is(found)) => found,
        Some(Known::Absent) => {
            notes.fail(
                what,
                format!("there is none of the ARN {} in {}", rule.listener, world.region),
                "correct `route.rule.listener`: aws elbv2 describe-listeners --load-balancer-arn … lists them",
            );
            return;
        }
        Some(Known::Unknown) | None => return,
    };
    match found.rules {
        Some(rules) if rules >= RULES => notes.fail(
            &what,
            format!("it has {rules} rules: a load balancer takes {RULES} unless AWS granted more"),
            "remove rules that nobody uses, ask AWS for a higher quota, or bring several services together behind one rule",
        ),
        Some(rules) if rules >= RULES_MANY => notes.warn(
            &what,
            format!("it has {rules} rules of the {RULES} that a load balancer takes"),
            "remove rules that nobody uses, or ask AWS for a higher quota",
        ),
        Some(rules) => notes.ok(&what, format!("it is there, with {rules} of {RULES} rules")),
        None => notes.ok(&what, "it is there"),
    }
    let first = case.arns.first().and_then(|arn| of(&world.target_groups, arn));
    if let Some(group) = first
        && !group.load_balancers.is_empty()
        && !group.load_balancers.contains(&found.balancer)
    {
        notes.fail(
            format!("{what}: target group {}", group.name),
            format!(
                "the group belongs to {}, and a group serves one load balancer only",
                list(group.load_balancers.iter().map(|arn| short(arn)))
            ),
            "name a listener of that load balancer, or another target group",
        );
    }
}

/// As ELB calls it.
pub(in super::super) fn kind(kind: &TargetKind) -> &str {
    match kind {
        TargetKind::Ip => "ip",
        TargetKind::Instance => "instance",
        TargetKind::Other(other) => other,
    }
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
