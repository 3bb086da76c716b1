//! Repair: registry and world compared, both ways; the plan shown; applied only when asked for. It touches nothing but what
//! carries this deployment's own mark, and passes over whatever a live saga has in its hands.

mod apply;
mod compare;
mod finding;

use std::collections::BTreeSet;
use wharf_domain::{
    Instance, Service,
    service::{RouteRule, RunSpec},
};
use wharf_platform::{Registered, RouteKey};

use crate::settings::Settings;

pub use finding::{Class, Finding, Mend, Mended, Outcome, Subject};

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
