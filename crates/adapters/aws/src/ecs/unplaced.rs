//! Why RunTask started nothing: the reasons in `failures[]`, which come with a status of 200. Pure.

use aws_sdk_ecs::types;
use std::collections::BTreeMap;
use wharf_domain::{Code, Failure};

/// One failure out of all of them: each container instance has its own reason, and room on one is enough.
pub(crate) fn failure(failures: &[types::Failure], cluster: &str) -> Failure {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for failure in failures {
        let reason = match (failure.reason(), failure.detail()) {
            (Some(reason), Some(detail)) => format!("{reason} ({detail})"),
            (Some(reason), None) => reason.to_owned(),
            (None, detail) => detail.unwrap_or("no reason given").to_owned(),
        };
        *reasons.entry(reason).or_default() += 1;
    }
    let texts: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| match count {
            1 => reason.clone(),
            count => format!("{reason} on {count} container instances"),
        })
        .collect();
    let words = match texts.as_slice() {
        [] => "ECS started nothing, and gives no reason".to_owned(),
        texts => texts.join("; "),
    };
    // An answer without a task and without a reason is not one to give up at.
    if reasons.is_empty() || reasons.keys().any(|reason| is_passing(reason)) {
        return Failure::new(
            Code::TaskCapacity,
            format!("the cluster {cluster} has no room for the task now: {words}"),
        )
        .hint("it waits for room; add capacity to the cluster, or stop what nobody needs");
    }
    Failure::new(
        Code::TaskPlacement,
        format!("the cluster {cluster} has no place for such a task: {words}"),
    )
    .hint("compare what the task definition asks for (architecture, attributes, launch type) with the cluster's container instances")
}

/// Whether room may come without anybody changing the configuration.
fn is_passing(reason: &str) -> bool {
    reason.starts_with("RESOURCE:") || reason.starts_with("AGENT") || reason.to_lowercase().contains("capacity")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reasons: &[&str]) -> Failure {
        let failures: Vec<_> = reasons
            .iter()
            .map(|reason| types::Failure::builder().reason(*reason).build())
            .collect();
        failure(&failures, "shop")
    }

    #[test]
    fn what_is_short_now_may_be_there_later() {
        for reason in [
            "RESOURCE:CPU",
            "RESOURCE:MEMORY",
            "RESOURCE:PORTS",
            "RESOURCE:ENI",
            "AGENT",
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        ] {
            let failure = of(&[reason]);
            assert_eq!(failure.code, Code::TaskCapacity, "{reason}");
            assert!(failure.message.contains(reason), "{}", failure.message);
        }
        assert_eq!(of(&[]).code, Code::TaskCapacity);
    }

    #[test]
    fn what_does_not_fit_does_not_come_to_fit() {
        for reason in ["ATTRIBUTE", "MISSING", "INACTIVE"] {
            assert_eq!(of(&[reason]).code, Code::TaskPlacement, "{reason}");
        }
    }

    #[test]
    fn one_instance_with_no_room_now_is_worth_waiting_for() {
        let failure = of(&["ATTRIBUTE", "RESOURCE:MEMORY", "RESOURCE:MEMORY"]);
        assert_eq!(failure.code, Code::TaskCapacity);
        assert!(failure.message.contains("RESOURCE:MEMORY on 2"), "{}", failure.message);
    }
}
