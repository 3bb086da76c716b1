//! `endpoint`: one instance for each address, in the registry, until the address has rested.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Instance, Timestamp};
use wharf_saga::{
    Context, Outcome, Step,
    step::Writes,
    store::{Kind, Release, Reserve},
};

use super::{World, missing, rest};
use crate::Settings;

pub(crate) struct Endpoint(pub(crate) Arc<World>);

#[async_trait]
impl Step<Instance> for Endpoint {
    fn name(&self) -> &'static str {
        "endpoint"
    }

    fn has_effect(&self) -> bool {
        false
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let Some(endpoint) = &instance.held.endpoint else {
            return missing("endpoint");
        };
        context.writes.reserve.push(Reserve {
            kind: Kind::Endpoint,
            key: endpoint.key(),
            value: instance.attempt.to_string(),
            until: None,
            now: context.now,
        });
        Outcome::Done
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        release(&self.0.settings, context.now, context.writes, instance);
        Outcome::Done
    }
}

/// Gives the address back to rest.
pub(crate) fn release(settings: &Settings, now: Timestamp, writes: &mut Writes, instance: &mut Instance) {
    if let Some(endpoint) = instance.held.endpoint.take() {
        writes.release.push(Release {
            kind: Kind::Endpoint,
            key: endpoint.key(),
            rest_until: rest(now, settings.port_quarantine),
            must_hold: false,
        });
    }
}
