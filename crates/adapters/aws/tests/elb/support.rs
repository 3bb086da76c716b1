//! What the tests share: a simulated account, routes into it, instances, and time that passes for both at once.

use std::{
    net::Ipv4Addr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use wharf_aws::{ClientOptions, Clients, ElbRoutes, Governor};
use wharf_aws_simulator::{Options, Simulator, TargetPlan, TargetSeen};
use wharf_domain::{
    Attempt, DeploymentId, Endpoint, InstanceId, Timestamp,
    service::{HealthCheck, ListenerRule},
};
use wharf_platform::{Backend, Owner, RouteKey};
use wharf_saga::Ids;

pub(crate) const HEALTHY_AT_ONCE: TargetPlan = TargetPlan::HealthyAfter(Duration::ZERO);
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// Chance that is the same at every run.
struct Counted(AtomicU64);

impl Ids for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            *byte = count.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0];
        }
    }
}

pub(crate) fn deployment(number: u8) -> DeploymentId {
    DeploymentId::new([number; 10])
}

/// Routes as a process of its own has them: it remembers nothing of what others did.
pub(crate) fn process(options: ClientOptions, deployment: DeploymentId) -> ElbRoutes {
    let ids: Arc<dyn Ids> = Arc::new(Counted(AtomicU64::new(1)));
    let governor = Arc::new(Governor::new(NonZeroU32::MIN, ids.clone()));
    ElbRoutes::new(Arc::new(Clients::new(options)), governor, deployment, ids)
}

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) routes: ElbRoutes,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(setup: Options) -> Self {
        let simulator = Simulator::start(setup).await.expect("a simulator");
        let routes = process(ClientOptions::emulator(simulator.url()), deployment(1));
        Self { simulator, routes }
    }

    /// Another process of the same deployment.
    pub(crate) fn other(&self) -> ElbRoutes {
        self.of(deployment(1))
    }

    pub(crate) fn of(&self, deployment: DeploymentId) -> ElbRoutes {
        process(ClientOptions::emulator(self.simulator.url()), deployment)
    }

    /// So much time passes, there and here.
    pub(crate) async fn pass(&self, time: Duration) {
        self.simulator.advance(time);
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// Id, port and state of the group's targets.
    pub(crate) fn targets(&self, group: &str) -> Vec<(String, u16, String)> {
        let of_group = self
            .simulator
            .targets()
            .into_iter()
            .filter(|target| target.group == group);
        of_group
            .map(|TargetSeen { id, port, state, .. }| (id, port, state))
            .collect()
    }

    pub(crate) fn count(&self, action: &str) -> u64 {
        let action = format!("elasticloadbalancing:{action}");
        self.simulator.call_counts().get(&action).copied().unwrap_or(0)
    }
}

pub(crate) fn owner() -> Owner {
    attempt(1)
}

/// A later attempt of the same instance.
pub(crate) fn attempt(number: u32) -> Owner {
    Owner {
        deployment: deployment(1),
        instance: InstanceId::new(Timestamp(1), [7; 10]),
        attempt: Attempt(number),
    }
}

pub(crate) fn address(last: u8, port: u16) -> Endpoint {
    Endpoint::Address {
        ip: Ipv4Addr::new(10, 0, 0, last).into(),
        port,
    }
}

pub(crate) fn groups(arns: &[&String]) -> RouteKey {
    RouteKey::TargetGroups {
        arns: arns.iter().map(|arn| (*arn).clone()).collect(),
        rule: None,
    }
}

pub(crate) fn with_rule(arn: &str, listener: &str, path: &str) -> RouteKey {
    RouteKey::TargetGroups {
        arns: vec![arn.to_owned()],
        rule: Some(ListenerRule {
            listener: listener.to_owned(),
            host: None,
            path: Some(path.to_owned()),
        }),
    }
}

pub(crate) fn backend(key: &RouteKey, endpoint: &Endpoint) -> Backend {
    Backend {
        owner: owner(),
        key: key.clone(),
        endpoint: endpoint.clone(),
        identity_header: None,
        health: HealthCheck {
            path: "/healthz".to_owned(),
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            healthy: 1,
            unhealthy: 3,
        },
    }
}
