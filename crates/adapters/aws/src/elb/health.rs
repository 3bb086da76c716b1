//! What ELB's words for a target's health mean: good, not yet, or never; and what an operator can do about it.

use wharf_domain::{Code, Failure};

use super::{groups::TargetGroup, looks::Seen, target::Target};

/// A group's word on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    Good,
    /// The group does not check its targets.
    None,
    Pending(Failure),
    /// Nothing forwards to the group: it checks its targets as soon as something does.
    NotInUse(Failure),
    Hopeless(Failure),
}

/// What is said of `target`; nothing is `seen` where the group does not have it.
pub(super) fn view(group: &TargetGroup, target: &Target, seen: Option<&Seen>) -> View {
    let Some(seen) = seen else {
        return View::Pending(
            unhealthy(group, target, "it is not registered")
                .hint("if something else deregisters Wharf's targets, take that group away from it"),
        );
    };
    match (seen.state.as_str(), seen.reason.as_str()) {
        ("healthy", _) => View::Good,
        (_, "Target.NotInUse") => View::NotInUse(
            Failure::new(
                Code::RouteMismatch,
                format!("no listener or rule forwards to the target group {}, so that it never checks its targets", group.name),
            )
            .hint("give it a listener rule (`route.rule` makes one), or name the target group that the load balancer uses"),
        ),
        (_, "Target.IpUnusable") => View::Hopeless(
            Failure::new(
                Code::RouteMismatch,
                format!("the target group {} cannot use {target}: {}", group.name, seen.description),
            )
            .hint("the address belongs to a load balancer; give tasks another subnet"),
        ),
        ("unused", "Target.InvalidState") => View::Hopeless(Failure::new(
            Code::TaskLost,
            format!("the EC2 instance of {target} does not run any more: {}", seen.description),
        )),
        ("unavailable", "Target.HealthCheckDisabled") => View::None,
        ("initial", _) => View::Pending(unhealthy(group, target, &words(seen)).hint(first_look(group))),
        ("unhealthy", reason) => View::Pending(unhealthy(group, target, &words(seen)).hint(mend(group, target, reason))),
        _ => View::Pending(unhealthy(group, target, &words(seen))),
    }
}

fn unhealthy(group: &TargetGroup, target: &Target, why: &str) -> Failure {
    Failure::new(
        Code::RouteUnhealthy,
        format!(
            "the target {target} of the target group {} is not healthy: {why}",
            group.name
        ),
    )
}

/// State, reason and description, as far as ELB gives them.
fn words(seen: &Seen) -> String {
    let parts = [&seen.state, &seen.reason, &seen.description];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect();
    parts.join(", ")
}

fn first_look(group: &TargetGroup) -> String {
    format!(
        "its health check asks every {:?} and wants {} good answers; shorter ones make starts quicker (5 s and 2 are the least)",
        group.check.interval, group.check.healthy
    )
}

/// Where to look, by what the health check met with.
fn mend(group: &TargetGroup, target: &Target, reason: &str) -> String {
    let check = &group.check;
    let path = check.path.as_deref().unwrap_or_default();
    let port = match check.port.as_str() {
        "traffic-port" => target.port.to_string(),
        other => other.to_owned(),
    };
    match reason {
        "Target.ResponseCodeMismatch" => format!(
            "the load balancer wants a status of {} from {path}: make the service answer that, or change the target group's health check (path, matcher)",
            check.matcher.as_deref().unwrap_or("200"),
        ),
        "Target.Timeout" => format!(
            "nothing answered on port {port} within {:?}: let the load balancer's security group in by that of the task or its host, and see that the service listens on 0.0.0.0 and not on 127.0.0.1",
            check.timeout
        ),
        _ => format!(
            "see with `wharf logs` whether the service listens on port {port} (0.0.0.0, not 127.0.0.1) and answers {} {path} there; and that the security group lets the load balancer in",
            check.protocol
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elb::groups::{TargetKind, example};

    fn target() -> Target {
        Target {
            id: "10.0.0.5".to_owned(),
            port: 8080,
        }
    }

    fn of(state: &str, reason: &str, description: &str) -> View {
        let seen = Seen {
            target: target(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            description: description.to_owned(),
        };
        view(&example(TargetKind::Ip), &target(), Some(&seen))
    }

    #[test]
    fn an_unhealthy_target_says_why_and_where_to_look() {
        for (reason, description, place) in [
            (
                "Target.ResponseCodeMismatch",
                "Health checks failed with these codes: [503]",
                "/healthz",
            ),
            ("Target.Timeout", "Request timed out", "security group"),
            ("Target.FailedHealthChecks", "Health checks failed", "8080"),
        ] {
            let View::Pending(failure) = of("unhealthy", reason, description) else {
                panic!("{reason} may pass")
            };
            assert_eq!(failure.code, Code::RouteUnhealthy);
            for part in ["10.0.0.5:8080", "web", reason, description] {
                assert!(failure.message.contains(part), "{part}: {}", failure.message);
            }
            let hint = failure.hint.expect("a hint");
            assert!(hint.contains(place), "{hint}");
        }
    }

    #[test]
    fn what_waiting_does_not_mend_is_hopeless() {
        let hopeless = |view| match view {
            View::Hopeless(failure) | View::NotInUse(failure) => Some(failure.code),
            _ => None,
        };
        assert_eq!(hopeless(of("unused", "Target.NotInUse", "")), Some(Code::RouteMismatch));
        assert_eq!(
            hopeless(of("unused", "Target.IpUnusable", "reserved")),
            Some(Code::RouteMismatch)
        );
        let stopped = of("unused", "Target.InvalidState", "Target is in the stopped state");
        assert_eq!(hopeless(stopped), Some(Code::TaskLost));
    }

    #[test]
    fn what_may_pass_is_pending() {
        for (state, reason) in [
            ("initial", "Elb.RegistrationInProgress"),
            ("initial", "Elb.InitialHealthChecking"),
            ("draining", "Target.DeregistrationInProgress"),
            ("unused", "Target.NotRegistered"),
            ("unavailable", "Elb.InternalError"),
            ("something.new", ""),
        ] {
            assert!(matches!(of(state, reason, ""), View::Pending(_)), "{state} {reason}");
        }
        let absent = view(&example(TargetKind::Ip), &target(), None);
        assert!(matches!(absent, View::Pending(_)));
        assert_eq!(of("healthy", "", ""), View::Good);
        assert_eq!(of("unavailable", "Target.HealthCheckDisabled", ""), View::None);
    }
}
