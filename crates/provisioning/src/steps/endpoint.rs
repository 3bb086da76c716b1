//! `endpoint`: one instance for each address, in the registry, until the address has rested.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::Instance;
use wharf_saga::{
    Context, Outcome, Step,
    store::{Kind, Release, Reserve},
};

use super::{World, missing, rest};

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
        if let Some(endpoint) = instance.held.endpoint.take() {
            context.writes.release.push(Release {
                kind: Kind::Endpoint,
                key: endpoint.key(),
                rest_until: rest(context.now, self.0.settings.port_quarantine),
                must_hold: false,
            });
        }
        Outcome::Done
    }
}
