//! `healthy`: a whole HTTP answer, from this very instance, by the means that the platform offers.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Code, Failure, Instance};
use wharf_platform::{Health, Probe, TaskStatus};
use wharf_saga::{Context, Outcome, Step};

use super::{World, is_over, missing, pause};

pub(crate) struct Healthy(pub(crate) Arc<World>);

impl Healthy {
    /// The load balancer's view where it has one, our own probes elsewhere.
    async fn check(&self, context: &Context<'_>, instance: &Instance, probe: &Probe) -> Result<Health, Failure> {
        let platform = &self.0.platform;
        if let Some(key) = self.0.settings.route_key(instance)
            && let Some(view) = platform.routes.health(&probe.owner, &key, &probe.endpoint).await?
        {
            return Ok(view);
        }
        for _ in 0..instance.service.health.healthy.max(1) {
            if let Err(why) = platform.prober.probe(probe).await {
                let look_in = pause(context, instance.service.health.interval);
                return Ok(Health::Pending { why, look_in });
            }
        }
        Ok(Health::Good)
    }
}

#[async_trait]
impl Step<Instance> for Healthy {
    fn name(&self) -> &'static str {
        "healthy"
    }

    fn has_effect(&self) -> bool {
        false
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let Some((task, endpoint)) = instance.held.task.clone().zip(instance.held.endpoint.clone()) else {
            return missing("task");
        };
        let service = &instance.service;
        let key = self.0.settings.route_key(instance);
        let host = match &instance.tenant {
            Some(tenant) => self.0.settings.addresses.tenant_host(tenant.subdomain.as_str()),
            None => self.0.settings.addresses.services_host.clone(),
        };
        let owner = self.0.owner(instance, instance.attempt);
        let probe = Probe {
            owner: owner.clone(),
            task: task.clone(),
            endpoint,
            host,
            path: service.health.path.clone(),
            timeout: service.health.timeout,
            identity_header: service.identity_header.clone(),
        };
        let (failure, look_in) = match self.check(context, instance, &probe).await {
            Ok(Health::Good) => match &key {
                Some(key) => return Outcome::from(self.0.platform.routes.open(&owner, key).await),
                None => return Outcome::Done,
            },
            Ok(Health::Pending { why, look_in }) => (why, look_in),
            Ok(Health::Hopeless(failure)) => return Outcome::Fail(failure),
            Err(failure) => return Outcome::from_failure(failure),
        };
        // The platform tells when a task ends, unless that is lost: what has ended is not waited for.
        let looked = self.0.platform.tasks.look(&owner, &task).await;
        let is_unclear = matches!(looked, Ok(TaskStatus::Pending { .. }));
        if let Ok(status) = looked
            && let Some(cause) = crate::tasks::end_of(status)
        {
            return Outcome::Fail(cause);
        }
        // Somebody else at our address does not go away by waiting; unless it is what a task left that is ending just now.
        if failure.code == Code::RouteIdentity && !is_unclear {
            return Outcome::Fail(failure);
        }
        if is_over(context, service.start_timeout) {
            return Outcome::Fail(
                Failure::new(
                    Code::RouteUnhealthy,
                    format!(
                        "{} did not answer within {:?}: {}",
                        service.health.path, service.start_timeout, failure.message
                    ),
                )
                .hint(failure.hint.unwrap_or_else(|| {
                    "see with `wharf logs` what the task does; it has to listen on the port in PORT".to_owned()
                })),
            );
        }
        Outcome::Wait {
            until: context.now + look_in,
            why: "the task to answer".to_owned(),
        }
    }

    async fn undo(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        super::NOTHING_TO_UNDO
    }
}
