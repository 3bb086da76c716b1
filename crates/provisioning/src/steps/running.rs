//! `running`: waits until the task runs, and fails fast when it stopped.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Code, Failure, Instance};
use wharf_platform::TaskStatus;
use wharf_saga::{Context, Outcome, Step};

use super::{World, is_over, missing};
use crate::tasks::{gone, with_output};

pub(crate) struct Running(pub(crate) Arc<World>);

#[async_trait]
impl Step<Instance> for Running {
    fn name(&self) -> &'static str {
        "running"
    }

    fn has_effect(&self) -> bool {
        false
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let Some(task) = &instance.held.task else {
            return missing("task");
        };
        let owner = self.0.owner(instance, task.attempt);
        let allowed = instance.service.start_timeout;
        // A look is the back-stop of the platform's events, never the first means.
        let longest = self.0.settings.pace.look_at_tasks;
        match self.0.platform.tasks.look(&owner, task).await {
            Ok(TaskStatus::Running {
                endpoint: Some(endpoint),
            }) => {
                instance.held.endpoint = Some(endpoint);
                Outcome::Done
            }
            Ok(TaskStatus::Running { endpoint: None } | TaskStatus::Pending { .. }) if is_over(context, allowed) => {
                Outcome::Fail(
                    Failure::new(Code::TaskTimeout, format!("the task did not run within {allowed:?}"))
                        .hint("raise the service's `start_timeout`, or see with `wharf logs` what it waits for"),
                )
            }
            Ok(TaskStatus::Running { endpoint: None }) => self.0.look_again(context, longest, "the task's address"),
            Ok(TaskStatus::Pending { why }) => self.0.look_again(context, longest, why),
            Ok(TaskStatus::Stopped { cause, output, .. }) => Outcome::Fail(with_output(cause, output)),
            Ok(TaskStatus::Paused { cause }) => Outcome::Fail(cause),
            // A platform that is not sure of itself yet is asked again.
            Ok(TaskStatus::Gone) if !is_over(context, self.0.platform.tasks.unknown_for()) => {
                self.0.look_again(context, longest, "the platform to know the task")
            }
            Ok(TaskStatus::Gone) => Outcome::Fail(gone()),
            Err(failure) => self.0.failed(context, instance, failure),
        }
    }

    async fn undo(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        super::NOTHING_TO_UNDO
    }
}
