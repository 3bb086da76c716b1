//! `unused`: takes the route away from an instance that nobody uses, so that it can sleep. Somebody who comes in the same moment is served, and it does not sleep; whoever
//! comes later waits until it is awake.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Code, Failure, Instance, service::SleepBy};
use wharf_saga::{Context, Outcome, Step};

use super::{NOTHING_TO_UNDO, World, missing};

pub(crate) struct Unused(pub(crate) Arc<World>);

impl Unused {
    /// Bytes that a stop of its task sets free: what it uses now where that can be told, otherwise what it may use.
    async fn freed(&self, instance: &Instance) -> u64 {
        let booked = instance.service.run.memory().unwrap_or_default();
        let Some(task) = &instance.held.task else { return 0 };
        let owner = self.0.owner(instance, task.attempt);
        match self.0.platform.tasks.memory(&owner, task).await {
            Ok(used) => used.unwrap_or(booked),
            Err(failure) => {
                tracing::debug!(instance = %instance.id, error = %failure.message, "nobody can tell how much memory a task uses");
                booked
            }
        }
    }
}

#[async_trait]
impl Step<Instance> for Unused {
    fn name(&self) -> &'static str {
        "unused"
    }

    async fn run(&self, _: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let (Some(sleep), Some(key)) = (instance.service.sleep, self.0.settings.route_key(instance)) else {
            return missing("route through which it is used");
        };
        let freed = match sleep.by {
            SleepBy::Stop => self.freed(instance).await,
            SleepBy::Pause => 0,
        };
        let owner = self.0.owner(instance, instance.attempt);
        match self.0.platform.routes.withdraw_unused(&owner, &key, sleep.after).await {
            Ok(true) => {
                instance.held.route = false;
                instance.slept.freed = freed;
                Outcome::Done
            }
            Ok(false) => Outcome::Fail(Failure::new(Code::InstanceState, "somebody used it just then")),
            Err(failure) => Outcome::from_failure(failure),
        }
    }

    /// What comes after says whether it sleeps all the same or gets its route again.
    async fn undo(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        NOTHING_TO_UNDO
    }
}
