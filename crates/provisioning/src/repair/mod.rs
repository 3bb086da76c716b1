//! Repair: registry and world compared, both ways; the plan shown; applied only when asked for. It touches nothing but what
//! carries this deployment's own mark, and passes over whatever a live saga has in its hands.

mod apply;
mod compare;

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};
use wharf_domain::{
    Endpoint, Instance, InstanceId, Service,
    instance::TaskRef,
    service::{RouteRule, RunSpec},
};
use wharf_platform::{Owner, Registered, RouteKey};

use crate::settings::Settings;

/// One difference between registry and world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In plain words, with the cause if it is known.
    pub what: String,
    /// What would mend it; `None` where a person has to decide.
    pub mend: Option<Mend>,
    /// What that person can do.
    pub hint: Option<String>,
}

/// Something that repair can do by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mend", rename_all = "snake_case")]
pub enum Mend {
    StopTask {
        owner: Owner,
        task: TaskRef,
    },
    WithdrawRoute {
        owner: Owner,
        route: RouteKey,
        endpoint: Endpoint,
    },
    RemoveSecrets {
        instance: InstanceId,
    },
    RemoveDatabase {
        instance: InstanceId,
        name: String,
    },
    ReleaseReservations {
        instance: InstanceId,
    },
    BringBack {
        instance: InstanceId,
    },
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopTask { task, .. } => write!(f, "stop task {}", task.id),
            Self::WithdrawRoute {
                route: RouteKey::Host { host },
                ..
            } => write!(f, "withdraw the route {host}"),
            Self::WithdrawRoute {
                route: RouteKey::Path { prefix },
                ..
            } => write!(f, "withdraw the route {prefix}"),
            Self::WithdrawRoute {
                route: RouteKey::TargetGroups { arns, .. },
                endpoint,
                ..
            } => write!(
                f,
                "deregister the target {} from {}",
                endpoint.key(),
                arns.join(" and ")
            ),
            Self::RemoveSecrets { instance } => write!(f, "remove the secrets of {instance}"),
            Self::RemoveDatabase { name, .. } => write!(f, "remove the database {name}"),
            Self::ReleaseReservations { instance } => write!(f, "release what {instance} still holds"),
            Self::BringBack { instance } => write!(f, "bring {instance} back with a new attempt"),
        }
    }
}

/// What became of one mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    pub mend: Mend,
    /// What went wrong, if it did.
    pub error: Option<String>,
}

/// Whether what a load balancer has is this instance's own, by its mark or by its address.
fn leads_to(registered: &Registered, instance: &Instance) -> bool {
    match &registered.owner {
        Some((id, attempt)) => *id == instance.id && *attempt == instance.attempt,
        None => instance
            .held
            .endpoint
            .as_ref()
            .is_some_and(|endpoint| endpoint.key() == registered.endpoint.key()),
    }
}

/// What tasks may have been started from: as it is configured now, and as instances have it frozen.
pub(crate) fn runs<'a>(
    configured: impl Iterator<Item = &'a Service>,
    live: impl Iterator<Item = &'a Instance>,
) -> Vec<RunSpec> {
    let mut runs = Vec::new();
    for run in configured
        .map(|service| &service.run)
        .chain(live.map(|instance| &instance.service.run))
    {
        if !runs.contains(run) {
            runs.push(run.clone());
        }
    }
    runs
}

/// The shared places that routes may be in. A host belongs to one instance, and a load balancer that has hosts lists them by itself.
fn keys(settings: &Settings, live: &[Instance]) -> Vec<RouteKey> {
    let configured = settings.services.values().filter_map(|service| match &service.route {
        RouteRule::TargetGroups { arns, rule, .. } => Some(RouteKey::TargetGroups {
            arns: arns.clone(),
            rule: rule.clone(),
        }),
        _ => None,
    });
    let frozen = live
        .iter()
        .filter_map(|instance| settings.route_key(instance))
        .filter(|key| matches!(key, RouteKey::TargetGroups { .. }));
    configured.chain(frozen).collect::<BTreeSet<_>>().into_iter().collect()
}
