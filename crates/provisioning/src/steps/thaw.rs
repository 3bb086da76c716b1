//! `thaw`: lets a task go on that stood still while its instance slept, and leads the route to it. One step, and so one commit: somebody waits for it.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Instance, service::SleepBy};
use wharf_saga::{Context, Outcome, Step};

use super::{World, missing, route::Route};

pub(crate) struct Thaw {
    world: Arc<World>,
    route: Route,
}

impl Thaw {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            route: Route(world.clone()),
        }
    }
}

#[async_trait]
impl Step<Instance> for Thaw {
    fn name(&self) -> &'static str {
        "thaw"
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let Some(task) = &instance.held.task else {
            return missing("task");
        };
        // One that was about to be stopped never stood still.
        if instance.service.sleep.is_some_and(|sleep| sleep.by == SleepBy::Pause) {
            let owner = self.world.owner(instance, task.attempt);
            if let Err(failure) = self.world.platform.tasks.unpause(&owner, task).await {
                return Outcome::from_failure(failure);
            }
        }
        self.route.run(context, instance).await
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        self.route.undo(context, instance).await
    }
}
