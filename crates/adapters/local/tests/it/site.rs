//! A data directory of its own with tasks in it, and what tests ask of it.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fs,
    ops::{Deref, RangeInclusive},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use wharf_domain::{DeploymentId, Timestamp, instance::TaskRef, service::RunSpec};
use wharf_local::{FileLogs, OsIds, ProcessOptions, ProcessTasks};
use wharf_platform::{Owner, Stopping, TaskSpec, TaskStatus, Tasks};
use wharf_saga::Ids;
use wharf_testkit::contracts::harness::{eventually, some_owner};

/// The program that behaves well or badly, by name.
pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_wharf-local-helper");
pub(crate) const PORTS: RangeInclusive<u16> = 4000..=4999;
/// Long enough to be asked politely.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Tasks in a data directory. When it goes, nothing is left of either.
pub(crate) struct Site {
    pub(crate) tasks: Arc<ProcessTasks>,
    pub(crate) logs: Arc<FileLogs>,
    pub(crate) deployment: DeploymentId,
    /// Dropped after the tasks: what those left behind, because a test wanted it so.
    pub(crate) leavings: Leavings,
    data: TempDir,
}

/// Kills what still carries a deployment's mark when a test is over.
pub(crate) struct Leavings(DeploymentId);

impl Drop for Leavings {
    fn drop(&mut self) {
        loop {
            let left = marked(&self.0);
            if left.is_empty() {
                return;
            }
            for pid in left {
                let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
                // Gone meanwhile is as good.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

impl Deref for Site {
    type Target = ProcessTasks;

    fn deref(&self) -> &ProcessTasks {
        &self.tasks
    }
}

impl Site {
    /// Of a deployment that no other test has: they run at the same time, and find processes by it.
    pub(crate) fn new() -> Self {
        let mut random = [0; 10];
        OsIds.fill(&mut random);
        Self::of(DeploymentId::new(random), tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn of(deployment: DeploymentId, data: TempDir) -> Self {
        let logs = Arc::new(FileLogs::new(data.path()).expect("logs"));
        let options = ProcessOptions {
            deployment: deployment.clone(),
            data: data.path().into(),
            base: data.path().into(),
            own_program: HELPER.into(),
            ports: PORTS,
        };
        let tasks = ProcessTasks::new(options, logs.clone()).expect("tasks");
        Self {
            tasks: Arc::new(tasks),
            logs,
            leavings: Leavings(deployment.clone()),
            deployment,
            data,
        }
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn owner(&self) -> Owner {
        some_owner(&self.deployment)
    }

    pub(crate) async fn run(&self, command: &[&str]) -> (Owner, TaskRef) {
        let owner = self.owner();
        let task = self.start(spec(&owner, run(command))).await.expect("it starts");
        (owner, task)
    }

    pub(crate) async fn status(&self, (owner, task): &(Owner, TaskRef)) -> TaskStatus {
        self.look(owner, task).await.expect("it can be looked at")
    }

    pub(crate) async fn until_over(&self, task: &(Owner, TaskRef)) -> TaskStatus {
        eventually("the task is over", async || match self.status(task).await {
            TaskStatus::Running { .. } | TaskStatus::Pending { .. } => None,
            over => Some(over),
        })
        .await
    }

    pub(crate) async fn until_stopped(&self, (owner, task): &(Owner, TaskRef), grace: Duration) {
        eventually("the task has stopped", async || {
            let stopping = self.stop(owner, task, grace).await.expect("it can be stopped");
            (stopping == Stopping::Stopped).then_some(())
        })
        .await;
    }

    /// All that the instance has printed so far.
    pub(crate) fn printed(&self, owner: &Owner) -> String {
        let folder = self.data().join("instances").join(owner.instance.as_str());
        fs::read_to_string(folder.join("output.log")).unwrap_or_default()
    }

    pub(crate) async fn until_printed(&self, owner: &Owner, text: &str) {
        eventually(text, async || self.printed(owner).contains(text).then_some(())).await;
    }

    /// A program shows its environment a moment after its start.
    pub(crate) async fn until_marked(&self, count: usize) {
        eventually("all that should run can be seen", async || {
            (self.marked().len() == count).then_some(())
        })
        .await;
    }

    /// The processes that carry this deployment's mark.
    pub(crate) fn marked(&self) -> Vec<u32> {
        marked(&self.deployment)
    }
}

pub(crate) fn marked(deployment: &DeploymentId) -> Vec<u32> {
    let mark = format!("WHARF_DEPLOYMENT={}", deployment.as_str());
    let is_marked = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|b| *b == 0)
            .any(|variable| variable == mark.as_bytes())
    };
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(is_marked)
        .collect()
}

pub(crate) fn run(command: &[&str]) -> RunSpec {
    RunSpec::Process {
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        memory: None,
        directory: None,
    }
}

pub(crate) fn spec(owner: &Owner, run: RunSpec) -> TaskSpec {
    TaskSpec {
        owner: owner.clone(),
        service: "test".parse().expect("a name"),
        run,
        port: None,
        environment: BTreeMap::new(),
        public: false,
        intended_at: Timestamp(1_760_000_000_000),
    }
}

/// The parts of an end.
pub(crate) fn stopped(status: TaskStatus) -> (wharf_domain::Failure, Option<i32>, String) {
    match status {
        TaskStatus::Stopped {
            cause,
            exit_code,
            output,
        } => (cause, exit_code, output.unwrap_or_default()),
        other => panic!("not over: {other:?}"),
    }
}
