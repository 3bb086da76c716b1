//! Tasks that end by themselves: what the platform tells of them becomes a message to the instance. And because it may not
//! tell, or nobody may have listened, a look now and then at whether every Ready instance's task is there.

use futures::StreamExt;
use std::{collections::HashSet, time::Duration};
use wharf_domain::{Code, Failure, Instance, State};
use wharf_platform::{Owner, TaskEvent, TaskStatus};
use wharf_saga::store::{PAGE_MAX, Query};

use crate::{
    message::Message,
    wharf::{Wharf, read},
};

/// Why a task runs no more; `None` while it does.
pub(crate) fn end_of(status: TaskStatus) -> Option<Failure> {
    match status {
        TaskStatus::Pending { .. } | TaskStatus::Running { .. } => None,
        TaskStatus::Stopped { cause, output, .. } => Some(with_output(cause, output)),
        TaskStatus::Gone => Some(gone()),
    }
}

/// The last lines that it printed are the best evidence there is.
pub(crate) fn with_output(cause: Failure, output: Option<String>) -> Failure {
    match output {
        Some(output) if cause.detail.is_none() => cause.detail(output),
        _ => cause,
    }
}

pub(crate) fn gone() -> Failure {
    Failure::new(Code::TaskLost, "the task is gone, and nothing tells why")
}

impl Wharf {
    /// Tells instances of the end of their tasks as the platform tells it, until the returned future is dropped.
    pub async fn follow_tasks(&self) {
        let mut events = self.platform().events.subscribe();
        while let Some(event) = events.next().await {
            let instance = event.instance.clone();
            if let Err(failure) = self.heard(event).await {
                tracing::warn!(instance = %instance, error = %failure.message, "an event is left to the next look at all tasks");
            }
        }
    }

    async fn heard(&self, event: TaskEvent) -> Result<(), Failure> {
        let Some(cause) = end_of(event.status) else {
            // Whoever waits for it to run looks now rather than later.
            self.engine().poke(&event.instance);
            return Ok(());
        };
        let instance = match self.instance(&event.instance).await {
            Err(failure) if failure.code == Code::InstanceUnknown => return Ok(()),
            result => result?,
        };
        let wants_it = instance.state.is_coming() || matches!(instance.state, State::Ready { .. });
        if wants_it && event.task.attempt == instance.attempt {
            self.task_ended(&instance, &event.task.id, cause).await?;
        }
        Ok(())
    }

    async fn task_ended(&self, instance: &Instance, task: &str, cause: Failure) -> Result<(), Failure> {
        let attempt = instance.attempt;
        let message = if cause.code == Code::TaskLost {
            Message::Lost { attempt, cause }
        } else {
            Message::TaskStopped { attempt, cause }
        };
        // The same end told twice is one message.
        let key = format!("end of {task} ({attempt})");
        self.engine().send(&instance.id, &message, Some(key)).await.map(drop)
    }

    /// Looks now and then whether every Ready instance's task is there, until the returned future is dropped: the back-stop of the events.
    pub async fn check_tasks_forever(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(failure) = self.check_tasks().await {
                tracing::warn!(error = %failure.message, "the tasks cannot be looked at now");
            }
        }
    }

    /// Looks once. Gives how many Ready instances have lost their task.
    pub async fn check_tasks(&self) -> Result<usize, Failure> {
        // The registry first: a task that is started meanwhile is then not missed, but not expected either.
        let mut expected = Vec::new();
        let mut before = None;
        loop {
            let query = Query {
                state: Some("ready".to_owned()),
                before,
                limit: PAGE_MAX,
                ..Query::default()
            };
            let page = self.store().list(query).await?;
            let is_last = page.len() < PAGE_MAX;
            before = page.last().map(|last| last.id.clone());
            expected.extend(page.iter().filter_map(|stored| Some(read(stored).ok()?.data)));
            if is_last {
                break;
            }
        }
        let present: HashSet<_> = self
            .platform()
            .tasks
            .all(&crate::repair::runs(self.settings().services.values(), expected.iter()))
            .await?
            .into_iter()
            .map(|(_, task)| task)
            .collect();
        let mut lost = 0;
        for instance in expected {
            let Some(task) = instance.held.task.as_ref().filter(|task| !present.contains(task)) else {
                continue;
            };
            // Known to be lost, and waiting for its turn to come back.
            if self.restore_queue().waits(&instance.id) {
                continue;
            }
            let owner = Owner {
                deployment: self.settings().deployment.clone(),
                instance: instance.id.clone(),
                attempt: task.attempt,
            };
            let status = self.platform().tasks.look(&owner, task).await?;
            if let Some(cause) = end_of(status) {
                self.task_ended(&instance, &task.id, cause).await?;
                lost += 1;
            }
        }
        Ok(lost)
    }
}
