//! Target groups, described once: what they take, how they check, whose they are, how long they drain.

use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use super::api::Api;
use crate::once::Once;

/// After this long a group is described anew: an operator may have changed its health check.
const KEPT_FOR: Duration = Duration::from_mins(10);
/// Far more than a deployment has; events may name groups of their own.
const MOST: usize = 512;

/// What a target group registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetKind {
    Ip,
    Instance,
    /// `lambda`, `alb`: nothing that a task can be.
    Other(String),
}

/// How a target group checks its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub protocol: String,
    /// None for checks that only connect.
    pub path: Option<String>,
    /// A number, or `traffic-port`.
    pub port: String,
    pub interval: Duration,
    pub timeout: Duration,
    /// Good answers in a row until a target is healthy.
    pub healthy: u32,
    /// The statuses that are good, such as `200-399`.
    pub matcher: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    pub arn: String,
    pub name: String,
    pub kind: TargetKind,
    pub vpc: Option<String>,
    pub check: HealthCheck,
    /// Those whose listeners or rules forward to it; none: it never checks its targets.
    pub load_balancers: Vec<String>,
}

#[derive(Debug)]
pub(super) struct TargetGroups {
    api: Arc<Api>,
    groups: Once<String, Arc<TargetGroup>>,
    delays: Once<String, Duration>,
}

impl TargetGroups {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self {
            api,
            groups: Once::new(MOST, Some(KEPT_FOR)),
            delays: Once::new(MOST, Some(KEPT_FOR)),
        }
    }

    /// A group that does not exist is `route.mismatch`.
    pub(super) async fn get(&self, arn: &str, deadline: Instant) -> Result<Arc<TargetGroup>, Failure> {
        let ask = async || self.api.target_group(arn, deadline).await.map(Arc::new);
        self.groups.get(arn.to_owned(), ask).await
    }

    /// As [`get`](Self::get); `None` if there is no such group (any more).
    pub(super) async fn find(&self, arn: &str, deadline: Instant) -> Result<Option<Arc<TargetGroup>>, Failure> {
        match self.get(arn, deadline).await {
            Ok(group) => Ok(Some(group)),
            Err(failure) if failure.code == Code::RouteMismatch => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// How long a target that was deregistered drains.
    pub(super) async fn deregistration_delay(&self, arn: &str, deadline: Instant) -> Result<Duration, Failure> {
        let ask = async || self.api.deregistration_delay(arn, deadline).await;
        self.delays.get(arn.to_owned(), ask).await
    }

    /// What was known of it may be wrong.
    pub(super) fn forget(&self, arn: &str) {
        self.groups.forget(&arn.to_owned());
    }
}

/// A group for tests.
#[cfg(test)]
pub(super) fn example(kind: TargetKind) -> TargetGroup {
    TargetGroup {
        arn: "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/1".to_owned(),
        name: "web".to_owned(),
        kind,
        vpc: Some("vpc-1".to_owned()),
        check: HealthCheck {
            protocol: "HTTP".to_owned(),
            path: Some("/healthz".to_owned()),
            port: "traffic-port".to_owned(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            healthy: 3,
            matcher: Some("200".to_owned()),
        },
        load_balancers: vec!["arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/1".to_owned()],
    }
}
