//! What all tasks share: the table of them, the events, the looks at processes, the limit of open files.
//!
//! What must not be here: how a task is started.

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit};
use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::sync::{Notify, broadcast};
use wharf_domain::{DeploymentId, Failure};
use wharf_platform::{Stopping, TaskEvent, TaskStatus};

use super::{
    marker::Key,
    orphans,
    survey::{Survey, Surveyor},
    sys,
    table::{Entry, Table},
    task::Task,
};

/// Events that a slow subscriber may be behind. More tasks than this rarely end at once, and a lost event is found by looking.
const EVENTS: usize = 1024;

/// The tasks of this process.
#[derive(Debug)]
pub(super) struct World {
    deployment: DeploymentId,
    pub(super) table: Mutex<Table>,
    pub(super) events: broadcast::Sender<TaskEvent>,
    /// A start or an end is over.
    pub(super) settled: Notify,
    /// A task with a limit of memory runs.
    pub(super) limited: Notify,
    surveyor: Surveyor,
    /// Tasks of a former Wharf that are being ended.
    being_ended: Mutex<HashSet<Key>>,
}

impl World {
    pub(super) fn new(deployment: DeploymentId) -> Self {
        Self {
            deployment,
            table: Mutex::default(),
            events: broadcast::Sender::new(EVENTS),
            settled: Notify::new(),
            limited: Notify::new(),
            surveyor: Surveyor::default(),
            being_ended: Mutex::default(),
        }
    }

    /// The processes as they are now, or a moment later.
    pub(super) async fn survey(self: &Arc<Self>) -> Result<Arc<Survey>, Failure> {
        let world = self.clone();
        self.surveyor
            .fresh(move || {
                let leaders = world.table.lock().leaders();
                sys::survey(world.deployment.as_str(), &leaders)
            })
            .await
    }

    /// A task has been started.
    pub(super) fn put(&self, task: &Arc<Task>) {
        self.table.lock().put(task.clone());
        if task.memory.is_some() {
            self.limited.notify_one();
        }
        self.tell(task, task.running());
    }

    pub(super) fn running(&self, key: &Key) -> Option<Arc<Task>> {
        match self.table.lock().get(key) {
            Some(Entry::Known(task)) if !task.is_gone() => Some(task.clone()),
            _ => None,
        }
    }

    /// Tells everybody who listens, unless Wharf is ending: then a task's end is no news.
    pub(super) fn tell(&self, task: &Task, status: TaskStatus) {
        if self.table.lock().is_closing {
            return;
        }
        // An error says that nobody listens.
        let _ = self.events.send(TaskEvent {
            instance: task.key.instance.clone(),
            task: task.reference.clone(),
            status,
        });
    }

    /// Nothing of a task runs any more.
    pub(super) fn settled(&self, task: &Task) {
        self.table.lock().set_over(task.key.clone());
        self.settled.notify_waiters();
    }

    /// Ends what carries the mark of a task that this Wharf did not start.
    pub(super) async fn stop_unknown(self: &Arc<Self>, key: Key, grace: Duration) -> Result<Stopping, Failure> {
        let rest = self.survey().await?.rest_of(&key).to_vec();
        if rest.is_empty() {
            return Ok(Stopping::Stopped);
        }
        if self.being_ended.lock().insert(key.clone()) {
            let world = self.clone();
            tokio::spawn(async move {
                orphans::end(&rest, grace, orphans::KILLED).await;
                // From now on a look that finds more of them ends those too.
                world.being_ended.lock().remove(&key);
            });
        }
        Ok(Stopping::Underway)
    }
}

/// What this process was given when it was started.
static GIVEN_OPEN_FILES: LazyLock<Rlimit> = LazyLock::new(|| rustix::process::getrlimit(Resource::Nofile));

/// The limit of open files that tasks are started with: the one that Wharf was.
pub(super) fn given_open_files() -> Rlimit {
    *GIVEN_OPEN_FILES
}

/// Takes as many open files as may be had: a task costs Wharf a pipe and a process descriptor.
pub(super) fn raise_open_files() {
    let given = given_open_files();
    let raised = Rlimit {
        current: given.maximum,
        maximum: given.maximum,
    };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
