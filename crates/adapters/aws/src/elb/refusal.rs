//! ELB's refusals: what each means to an operator, and how it is mended. What is not listed here is `failure`'s.

use wharf_domain::{Code, Failure};

pub(super) fn no_such_group(arn: &str) -> Failure {
    Failure::new(Code::RouteMismatch, format!("there is no target group {arn}"))
        .hint("name one that exists, in this account and region, in the service's `route.arns` or TARGET_GROUP_ARN; `wharf doctor` checks all of them")
}

/// Of a call about a target, or about a rule that leads to the group.
pub(super) fn of_target(code: &str, message: &str, group: &str, target: &str) -> Option<Failure> {
    Some(match code {
        "TargetGroupNotFound" => no_such_group(group),
        // What EC2 has started and not booted yet. It passes, or the task is lost.
        "InvalidTarget" if message.contains("running state") => Failure::new(
            Code::RouteUnready,
            format!("the target group {group} does not take {target} yet: {message}"),
        ),
        "InvalidTarget" => Failure::new(
            Code::RouteMismatch,
            format!("the target group {group} does not take {target}: {message}"),
        )
        .hint("the target has to be of the group's type and in its VPC: compare the task's subnets with the target group's VPC"),
        "TooManyTargets" => Failure::new(
            Code::RouteMismatch,
            format!("the target group {group} is full: {message}"),
        )
        .hint("a load balancer has 1000 targets unless AWS grants more: remove what nobody uses (`wharf repair`), or spread services over several"),
        "TooManyRegistrationsForTargetId" => Failure::new(
            Code::RouteMismatch,
            format!("{target} is registered too often in {group}: {message}"),
        )
        .hint("run fewer tasks on one host, or use network mode awsvpc with a target group of type ip"),
        _ => return None,
    })
}

/// Of a call about the rules of a listener.
pub(super) fn of_rule(code: &str, message: &str, listener: &str, group: &str) -> Option<Failure> {
    let refused = |what: &str| Failure::new(Code::AwsRefused, format!("the listener {listener} {what}: {message}"));
    let mismatch = |what: &str| Failure::new(Code::RouteMismatch, format!("{what}: {message}"));
    Some(match code {
        "TargetGroupNotFound" => no_such_group(group),
        "ListenerNotFound" => Failure::new(Code::RouteMismatch, format!("there is no listener {listener}"))
            .hint("name one that exists in `route.rule.listener`, in this account and region"),
        "TooManyRules" => refused("takes no more rules")
            .hint("a load balancer has 100 rules unless AWS grants more: use one rule for many tenants with Wharf's own edge behind it, or ask AWS"),
        "TooManyUniqueTargetGroupsPerLoadBalancer" | "TooManyTargetGroups" => refused("takes no more target groups")
            .hint("a load balancer has 100 target groups, which AWS does not raise: use Wharf's own edge behind one of them"),
        "TargetGroupAssociationLimit" => mismatch(&format!("the target group {group} belongs to another load balancer"))
            .hint("a target group serves one load balancer: name a target group of its own for this listener"),
        "IncompatibleProtocols" | "UnsupportedProtocol" | "InvalidConfigurationRequest" | "InvalidLoadBalancerAction" => {
            mismatch(&format!("the listener {listener} cannot forward to {group}"))
                .hint("listener and target group have to be of one protocol and one VPC")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let of = |code, message| of_target(code, message, "web", "i-1:80").expect("known");
        let booting = "The following targets are not in a running state and cannot be registered: 'i-1'";
        assert!(of("InvalidTarget", booting).code.is_passing());
        for (code, message) in [
            (
                "InvalidTarget",
                "The IP address '8.8.8.8' is not within a valid private range",
            ),
            ("TargetGroupNotFound", ""),
            ("TooManyTargets", ""),
            ("TooManyRegistrationsForTargetId", ""),
        ] {
            let failure = of(code, message);
            assert!(!failure.code.is_passing() && failure.hint.is_some(), "{code}");
            assert!(failure.message.contains("web"), "{}", failure.message);
        }
        assert_eq!(of_target("AccessDenied", "", "web", "i-1:80"), None);
    }

    #[test]
    fn every_refusal_of_a_rule_has_a_hint() {
        for code in [
            "TargetGroupNotFound",
            "ListenerNotFound",
            "TooManyRules",
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            "TargetGroupAssociationLimit",
            "IncompatibleProtocols",
        ] {
            let failure = of_rule(code, "words", "listener", "web").expect("known");
            assert!(!failure.code.is_passing() && failure.hint.is_some(), "{code}");
        }
        assert_eq!(of_rule("PriorityInUse", "", "", ""), None);
    }
}
