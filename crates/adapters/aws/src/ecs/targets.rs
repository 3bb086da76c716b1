//! Whether target groups can take a task of a network mode: by address or by instance. Known before anything is started.

use aws_sdk_elasticloadbalancingv2::operation::describe_target_groups::DescribeTargetGroupsError;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use super::definitions::NetworkMode;
use crate::{Clients, Governor, failure, governor::CallError, once::Once, operations::Operation};

/// Target groups that are remembered.
const MOST: usize = 1_000;
/// A group of the same ARN never gets another type, but it may be deleted.
const KEPT_FOR: Duration = Duration::from_mins(10);

#[derive(Debug)]
pub(super) struct TargetTypes {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    /// `ip`, `instance`, …, by the group's ARN.
    types: Once<String, String>,
}

impl TargetTypes {
    pub(super) fn new(clients: Arc<Clients>, governor: Arc<Governor>) -> Self {
        Self {
            clients,
            governor,
            types: Once::new(MOST, Some(KEPT_FOR)),
        }
    }

    /// Whether each of these groups takes such tasks.
    pub(super) async fn check(
        &self,
        arns: &[String],
        network: NetworkMode,
        definition: &str,
        deadline: Instant,
    ) -> Result<(), Failure> {
        for arn in arns {
            let found = self
                .types
                .get(arn.clone(), async || self.describe(arn, deadline).await)
                .await?;
            fits(arn, &found, network, definition)?;
        }
        Ok(())
    }

    async fn describe(&self, arn: &str, deadline: Instant) -> Result<String, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeTargetGroups;
        let answer = self
            .governor
            .call(operation, deadline, || {
                client.describe_target_groups().target_group_arns(arn).send()
            })
            .await;
        let answer = match answer {
            Err(CallError::Failed(error))
                if error
                    .as_service_error()
                    .is_some_and(DescribeTargetGroupsError::is_target_group_not_found_exception) =>
            {
                return Err(gone(arn));
            }
            Err(error) => {
                return Err(error.into_failure(operation, |error| failure::failure(&error, &operation.on(arn))));
            }
            Ok(answer) => answer,
        };
        let group = answer.target_groups().first().ok_or_else(|| gone(arn))?;
        Ok(group.target_type().map_or("instance", |kind| kind.as_str()).to_owned())
    }
}

fn gone(arn: &str) -> Failure {
    Failure::new(Code::RouteMismatch, format!("there is no target group {arn}"))
        .hint("correct the service's `route.arns` or TARGET_GROUP_ARN, or create the target group")
}

/// Whether a group of this target type takes tasks of this network mode; otherwise why not, and how that is mended.
pub(crate) fn fits(arn: &str, kind: &str, network: NetworkMode, definition: &str) -> Result<(), Failure> {
    let wanted = if network == NetworkMode::Awsvpc {
        "ip"
    } else {
        "instance"
    };
    if kind == wanted {
        return Ok(());
    }
    Err(Failure::new(
        Code::RouteMismatch,
        format!(
            "the target group {arn} takes targets of the type {kind}, and tasks of {definition} (network mode {}) are targets of the type {wanted}",
            network.name()
        ),
    )
    .hint(format!(
        "use a target group of the type {wanted}, or a task definition with the network mode {}",
        if kind == "ip" { "awsvpc" } else { "bridge or host" }
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_for_awsvpc_and_instances_for_the_rest() {
        assert!(fits("arn", "ip", NetworkMode::Awsvpc, "shop:3").is_ok());
        assert!(fits("arn", "instance", NetworkMode::Bridge, "shop:3").is_ok());
        assert!(fits("arn", "instance", NetworkMode::Host, "shop:3").is_ok());
        for (kind, network) in [
            ("instance", NetworkMode::Awsvpc),
            ("ip", NetworkMode::Bridge),
            ("ip", NetworkMode::Host),
            ("lambda", NetworkMode::Awsvpc),
        ] {
            let failure = fits("arn", kind, network, "shop:3").expect_err("it does not fit");
            assert_eq!(failure.code, Code::RouteMismatch);
            assert!(failure.message.contains(network.name()), "{}", failure.message);
        }
    }
}
