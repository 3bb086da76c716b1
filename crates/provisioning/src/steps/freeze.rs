//! `freeze`: makes the task of an instance that sleeps stand still, its memory kept.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::Instance;
use wharf_saga::{Context, Outcome, Step};

use super::{World, missing};

pub(crate) struct Freeze(pub(crate) Arc<World>);

#[async_trait]
impl Step<Instance> for Freeze {
    fn name(&self) -> &'static str {
        "freeze"
    }

    async fn run(&self, _: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let Some(task) = &instance.held.task else {
            return missing("task");
        };
        let owner = self.0.owner(instance, task.attempt);
        match self.0.platform.tasks.pause(&owner, task).await {
            Ok(()) => Outcome::Done,
            Err(failure) => Outcome::from_failure(failure),
        }
    }

    /// It is woken by what comes after, whichever way it came to that.
    async fn undo(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        super::NOTHING_TO_UNDO
    }
}
