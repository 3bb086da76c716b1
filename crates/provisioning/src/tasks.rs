//! Tasks that change by themselves: what the platform tells of them becomes a message to the instance. And because it may not
//! tell, or nobody may have listened, a look now and then at whether every Ready instance's task is there, and no other.
//!
//! A task may turn up long after it was asked for, when its instance is over: the platform took its time, or our question and its answer were lost. So
//! every look stops what nobody wants any more.

use futures::StreamExt;
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use wharf_domain::{Code, Failure, Instance, InstanceId, State, instance::TaskRef};
use wharf_platform::{Owner, TaskEvent, TaskStatus};
use wharf_saga::store::{PAGE_MAX, Query};

use crate::{
    message::Message,
    wharf::{Wharf, read},
};

/// How long a task that nobody wants has to end by itself.
const STRAY_GRACE: Duration = Duration::from_secs(5);

/// Whether a task that is there is not its instance's any more: that is over, rests without a task, or has a later one.
fn is_stray(instance: &Instance, task: &TaskRef) -> bool {
    let rests = matches!(
        instance.state,
        State::Stopped { .. } | State::Down { .. } | State::Sleeping { .. }
    );
    let held = instance.held.task.as_ref();
    // A platform may start one attempt twice; the one that the record names is the one.
    let is_twin = held.is_some_and(|held| held.attempt == task.attempt && held.id != task.id);
    instance.state.is_final() || task.attempt < instance.attempt || (rests && held.is_none()) || is_twin
}

/// Why a task runs no more; `None` while it does.
pub(crate) fn end_of(status: TaskStatus) -> Option<Failure> {
    match status {
        TaskStatus::Pending { .. } | TaskStatus::Running { .. } => None,
        TaskStatus::Stopped { cause, output, .. } => Some(with_output(cause, output)),
        TaskStatus::Paused { cause } => Some(cause),
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

    /// Something happened to a task. What it means is decided by the record as it is now: events come late, doubled and out of order.
    pub async fn heard(&self, event: TaskEvent) -> Result<(), Failure> {
        let TaskEvent { instance, task, status } = event;
        let instance = match self.instance(&instance).await {
            Err(failure) if failure.code == Code::InstanceUnknown => return Ok(()),
            result => result?,
        };
        let is_running = matches!(status, TaskStatus::Running { .. });
        let is_live = is_running || matches!(status, TaskStatus::Pending { .. });
        if is_stray(&instance, &task) {
            if is_live {
                self.stop_stray(&instance.id, &task).await?;
            }
            return Ok(());
        }
        let is_on_its_way = instance.state.is_coming();
        let ends = matches!(instance.state, State::Stopping { .. });
        let wants_it = is_on_its_way || matches!(instance.state, State::Ready { .. });
        if ends && !is_live && !self.engine().is_driving(&instance.id) {
            let key = format!("{} is gone ({})", task.id, task.attempt);
            return self
                .engine()
                .send(&instance.id, &Message::Look, Some(key))
                .await
                .map(drop);
        }
        if matches!(instance.state, State::Sleeping { .. }) {
            return self.heard_of_sleeper(&instance, &task).await;
        }
        if !wants_it || task.attempt != instance.attempt {
            return Ok(());
        }
        // Its own pause, told late, of one that has woken since, is none.
        let status = match status {
            TaskStatus::Paused { .. } => self.look_at(&instance.id, &task).await?,
            status => status,
        };
        if let Some(cause) = end_of(status) {
            return self.task_ended(&instance, &task.id, cause).await;
        }
        // Whoever waits for it to run looks now rather than later. A driver that is here is told so; one that has written its wait down is woken by a message.
        if self.engine().is_driving(&instance.id) {
            self.engine().poke(&instance.id);
        } else if is_running && is_on_its_way {
            let key = format!("{} runs ({})", task.id, task.attempt);
            self.engine().send(&instance.id, &Message::Look, Some(key)).await?;
        }
        Ok(())
    }

    async fn look_at(&self, instance: &InstanceId, task: &TaskRef) -> Result<TaskStatus, Failure> {
        let owner = self.owner(instance, task.attempt);
        self.platform().tasks.look(&owner, task).await
    }

    /// Something happened to the task of an instance that sleeps: it has ended, or somebody else has woken it; or it is what was to happen to it.
    async fn heard_of_sleeper(&self, instance: &Instance, task: &TaskRef) -> Result<(), Failure> {
        if instance.held.task.as_ref() != Some(task) {
            return Ok(());
        }
        // In this order: what runs while its saga is on its way may be about to be paused.
        let is_moving = self.show(&instance.id).await?.moving;
        match self.look_at(&instance.id, task).await? {
            TaskStatus::Paused { .. } | TaskStatus::Pending { .. } => Ok(()),
            TaskStatus::Running { .. } if is_moving => Ok(()),
            TaskStatus::Running { .. } => self.send(&instance.id, Message::Wake).await,
            status => match end_of(status) {
                Some(cause) => self.task_ended(instance, &task.id, cause).await,
                None => Ok(()),
            },
        }
    }

    /// Ends a task that nobody wants any more.
    async fn stop_stray(&self, instance: &InstanceId, task: &TaskRef) -> Result<(), Failure> {
        tracing::warn!(%instance, task = task.id, attempt = task.attempt.0, "a task runs that its instance does not want any more: it is stopped");
        let owner = Owner {
            deployment: self.settings().deployment.clone(),
            instance: instance.clone(),
            attempt: task.attempt,
        };
        self.platform().tasks.stop(&owner, task, STRAY_GRACE).await.map(drop)
    }

    /// Stops tasks that carry our mark and that no instance wants. Each record is read after the tasks were listed: a task that is there
    /// has been asked for by a record that says so.
    async fn stop_strays(&self, tasks: impl Iterator<Item = (InstanceId, TaskRef)>) -> Result<(), Failure> {
        for (id, task) in tasks {
            match self.instance(&id).await {
                Ok(instance) if is_stray(&instance, &task) => self.stop_stray(&id, &task).await?,
                Ok(_) => {}
                // A registry without any record is rather the wrong one than the one whose tasks these are.
                Err(failure) if failure.code == Code::InstanceUnknown && self.has_records().await? => {
                    self.stop_stray(&id, &task).await?;
                }
                Err(failure) if failure.code == Code::InstanceUnknown => {
                    tracing::error!(instance = %id, task = task.id, "a task carries this deployment's mark, and its registry is empty: is it the right one?");
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn has_records(&self) -> Result<bool, Failure> {
        let query = Query {
            limit: 1,
            ..Query::default()
        };
        Ok(!self.store().list(query).await?.is_empty())
    }

    pub(crate) async fn task_ended(&self, instance: &Instance, task: &str, cause: Failure) -> Result<(), Failure> {
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

    /// Looks once. Gives how many Ready instances have lost their task. Tasks that nobody wants are stopped.
    pub async fn check_tasks(&self) -> Result<usize, Failure> {
        // The registry first: a task that is started meanwhile is then not missed, but not expected either.
        let expected = self.in_state("ready").await?;
        let present: BTreeMap<TaskRef, InstanceId> = self
            .platform()
            .tasks
            .all(&crate::repair::runs(self.settings().services.values(), expected.iter()))
            .await?
            .into_iter()
            .map(|(owner, task)| (task, owner.instance))
            .collect();
        let wanted: HashSet<&TaskRef> = expected
            .iter()
            .filter_map(|instance| instance.held.task.as_ref())
            .collect();
        let others = present.iter().filter(|(task, _)| !wanted.contains(task));
        self.stop_strays(others.map(|(task, id)| (id.clone(), task.clone())))
            .await?;
        let mut lost = 0;
        for instance in expected {
            let Some(task) = instance.held.task.as_ref().filter(|task| !present.contains_key(task)) else {
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
        for sleeper in self.in_state("sleeping").await? {
            if let Some(task) = &sleeper.held.task {
                self.heard_of_sleeper(&sleeper, task).await?;
            }
        }
        Ok(lost)
    }

    /// Every instance in this state.
    pub(crate) async fn in_state(&self, state: &str) -> Result<Vec<Instance>, Failure> {
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let query = Query {
                state: Some(state.to_owned()),
                before,
                limit: PAGE_MAX,
                ..Query::default()
            };
            let page = self.store().list(query).await?;
            let is_last = page.len() < PAGE_MAX;
            before = page.last().map(|last| last.id.clone());
            found.extend(page.iter().filter_map(|stored| Some(read(stored).ok()?.data)));
            if is_last {
                return Ok(found);
            }
        }
    }
}
