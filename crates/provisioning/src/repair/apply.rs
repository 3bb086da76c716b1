//! Applies a plan, one mend after the other. What is applied was compared a moment ago: each mend checks once more that it still fits.

use std::time::Duration;
use wharf_domain::{Code, Failure, Instance, InstanceId, State};
use wharf_saga::{
    Batch,
    store::{Expect, Kind, LeaseChange, Release},
};

use super::{Class, Finding, Mend, Mended, Outcome, leads_to};
use crate::{message::Message, wharf::Wharf};

/// How long repair lets an orphan end by itself.
const GRACE: Duration = Duration::from_secs(5);

impl Wharf {
    /// Does what the plan says, as far as it is allowed. Gives one line for each mend that it came to.
    pub async fn repair_apply(&self, plan: Vec<Finding>, allowed: Class) -> Vec<Mended> {
        let mut done = Vec::new();
        let is_allowed = |finding: &Finding| finding.class.is_some_and(|class| class <= allowed);
        for mend in plan.into_iter().filter(is_allowed).filter_map(|finding| finding.mend) {
            let (outcome, text) = match self.mend(&mend).await {
                Ok(()) => (Outcome::Done, mend.to_string()),
                Err(failure) if failure.code == Code::InstanceState => (Outcome::PassedOver, failure.message),
                Err(failure) => (Outcome::Failed, failure.message),
            };
            tracing::info!(mend = %mend, ?outcome, text, "repair");
            done.push(Mended { mend, outcome, text });
        }
        done
    }

    async fn mend(&self, mend: &Mend) -> Result<(), Failure> {
        let platform = self.platform();
        match mend {
            Mend::StopTask { owner, task } => {
                if let Ok(instance) = self.instance(&owner.instance).await
                    && instance.held.task.as_ref() == Some(task)
                {
                    return Err(changed());
                }
                platform.tasks.stop(owner, task, GRACE).await.map(|_| ())
            }
            Mend::WithdrawRoute { owner, route, endpoint } => platform
                .routes
                .withdraw(owner, route, Some(endpoint), GRACE)
                .await
                .map(|_| ()),
            Mend::RemoveSecrets { instance } => {
                self.must_be_over(instance).await?;
                platform.secrets.remove(instance).await
            }
            Mend::RemoveDatabase { instance, name } => {
                self.must_be_over(instance).await?;
                platform.databases.remove(instance, name).await
            }
            Mend::ReleaseReservations { instance } => {
                self.must_be_over(instance).await?;
                let now = self.clock().now();
                let rest = self.settings().port_quarantine;
                let mut batch = Batch::new(instance.clone(), Expect::Anything, LeaseChange::Keep);
                for (kind, key, reservation) in self.store().reservations_of(instance).await? {
                    if matches!(kind, Kind::Name | Kind::Port | Kind::Endpoint) && !reservation.resting {
                        batch.release.push(Release {
                            kind,
                            key,
                            rest_until: Some(now + rest),
                            must_hold: false,
                        });
                    }
                }
                self.store()
                    .commit(batch)
                    .await
                    .map(|_| ())
                    .map_err(|error| Failure::new(Code::StoreUnavailable, error.to_string()))
            }
            Mend::BringBack { instance } => {
                let current = self.instance(instance).await?;
                if !matches!(current.state, State::Ready { .. }) || self.is_there(&current).await? {
                    return Err(changed());
                }
                let cause = Failure::new(Code::TaskLost, "repair found it gone");
                let attempt = current.attempt;
                self.send(instance, Message::Lost { attempt, cause }).await
            }
        }
    }

    /// Whether an instance's task runs and its route leads to it.
    async fn is_there(&self, instance: &Instance) -> Result<bool, Failure> {
        let Some(task) = &instance.held.task else {
            return Ok(false);
        };
        let platform = self.platform();
        let run = std::slice::from_ref(&instance.service.run);
        let tasks = platform.tasks.all(run).await?;
        let runs = tasks.iter().any(|(_, running)| running == task);
        let Some(key) = self.settings().route_key(instance) else {
            return Ok(runs);
        };
        let registered = platform.routes.all(std::slice::from_ref(&key)).await?;
        Ok(runs && registered.iter().any(|at| at.key == key && leads_to(at, instance)))
    }

    /// An instance that the registry does not know is over too.
    async fn must_be_over(&self, id: &InstanceId) -> Result<(), Failure> {
        match self.instance(id).await {
            Ok(instance) if !instance.state.is_final() => Err(changed()),
            Ok(_) => Ok(()),
            Err(failure) if failure.code == Code::InstanceUnknown => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

fn changed() -> Failure {
    Failure::new(
        Code::InstanceState,
        "it has changed since the plan was made: make a new one",
    )
}
