//! `route`: puts the endpoint behind the load balancer, and takes it out again: withdrawn first, drained, and only then is the task stopped.

use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use wharf_domain::{Attempt, Instance};
use wharf_platform::{Backend, RouteKey};
use wharf_saga::{Context, Outcome, Step};

use super::{World, is_over, missing};

/// How much later than the drain's end the last request may be told to be over.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

pub(crate) struct Route(pub(crate) Arc<World>);

#[async_trait]
impl Step<Instance> for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    async fn run(&self, _: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let Some(endpoint) = instance.held.endpoint.clone() else {
            return missing("endpoint");
        };
        // A direct URL has no load balancer in front.
        if let Some(key) = self.0.settings.route_key(instance) {
            let backend = Backend {
                owner: self.0.owner(instance, instance.attempt),
                key,
                endpoint,
                identity_header: instance.service.identity_header.clone(),
                health: instance.service.health.clone(),
            };
            if let Err(failure) = self.0.platform.routes.register(backend).await {
                return Outcome::from_failure(failure);
            }
        }
        instance.held.route = true;
        Outcome::Done
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let key = self.0.settings.route_key(instance);
        let is_kept = |key: &RouteKey| instance.keep_targets && matches!(key, RouteKey::TargetGroups { .. });
        if let Some(key) = key.filter(|key| !is_kept(key)) {
            let attempt: Attempt = instance
                .held
                .task
                .as_ref()
                .map_or(instance.attempt, |task| task.attempt);
            let owner = self.0.owner(instance, attempt);
            // A load balancer drains for as long as it is set to; we wait for as long as the service says. Then it is told that this is over: an
            // adapter that knows nothing of the drain's beginning could not tell, and has something to clear away when it is.
            let drain = instance.service.drain_timeout;
            let is_over = is_over(context, drain + DRAIN_MARGIN);
            let drain = if is_over { Duration::ZERO } else { drain };
            match self
                .0
                .platform
                .routes
                .withdraw(&owner, &key, instance.held.endpoint.as_ref(), drain)
                .await
            {
                Ok(true) => {}
                Ok(false) if is_over => {}
                Ok(false) => {
                    return self
                        .0
                        .look_again(context, Duration::from_secs(1), "requests under way to end");
                }
                Err(failure) => return Outcome::from_failure(failure),
            }
        }
        instance.held.route = false;
        Outcome::Done
    }
}
