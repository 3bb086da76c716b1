//! Tasks: what the platform runs for an instance. An ECS task, a Docker container, a local process.

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::SecretString;
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};
use wharf_domain::{Code, Endpoint, Failure, InstanceId, ServiceName, Timestamp, instance::TaskRef, service::RunSpec};

use crate::{Owner, RouteKey};

/// What to start.
#[derive(Clone, Debug)]
pub struct TaskSpec {
    pub owner: Owner,
    pub service: ServiceName,
    /// With every placeholder filled in.
    pub run: RunSpec,
    /// The port that Wharf leased for it, where it did. The task finds it in `PORT`.
    pub port: Option<u16>,
    /// Complete, secrets included.
    pub environment: BTreeMap<String, SecretString>,
    /// Whether its own address is what visitors are given (a direct URL): where it has a public one beside a private one, that is its endpoint's.
    pub public: bool,
    /// The intent's time: an adapter whose platform forgets tokens compares it with what it finds.
    pub intended_at: Timestamp,
}

/// Who decides on a dynamic port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortSource {
    /// Wharf leases one from this range before the start.
    Leased(RangeInclusive<u16>),
    /// The platform, or the task has an address of its own; known once it runs.
    Platform,
}

/// How a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// Accepted, and on its way: `why` says on what it waits.
    Pending { why: String },
    /// It runs. The endpoint is there as soon as the platform can tell it.
    Running { endpoint: Option<Endpoint> },
    /// It is there and stands still: somebody paused it, which is Wharf where its instance sleeps. `cause` says what to make of it where nobody in Wharf did.
    Paused { cause: Failure },
    /// It runs no more.
    Stopped {
        /// `task.crashed`, `task.memory`, `task.command`, …, with reason and exit code in words.
        cause: Failure,
        exit_code: Option<i32>,
        /// The last lines it printed, at most 4 KiB.
        output: Option<String>,
    },
    /// The platform knows nothing of it (any more).
    Gone,
}

/// How far a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// Nothing of it runs: its port can be leased again.
    Stopped,
    /// It was told; look again.
    Underway,
}

/// Starts and stops tasks.
///
/// Expected flow: `start` → `look` until Running → … → `stop` until `Stopped`.
///
/// Guarantees wanted:
/// - `start` with an owner (instance and attempt) that was started before gives that task again, running or stopped, and starts no second one, also across a crash of Wharf, as long as the platform remembers it.
/// - `stop` of a task with children of its own ends them too.
/// - `all` lists every task of this deployment, also those that Wharf forgot.
#[async_trait]
pub trait Tasks: Send + Sync + 'static {
    /// Where dynamic ports come from.
    fn port_source(&self) -> PortSource;

    /// Whether a port that is about to be leased can be had: not where another program listens on it just now. Asked before the claim,
    /// so that a start meets such a program only where the two come at once.
    async fn can_have_port(&self, port: u16) -> bool {
        let _ = port;
        true
    }

    /// Whether tasks live on when Wharf ends. Where they do not, an instance that was Ready is restored at the next start.
    fn survives_restart(&self) -> bool;

    /// How long a task that was started may be unknown to `look`: until then `Gone` means nothing.
    fn unknown_for(&self) -> Duration {
        Duration::ZERO
    }

    /// How long after the first `stop` with this grace a task may be under way to its end. Later than that somebody has to see to it.
    fn stops_within(&self, grace: Duration) -> Duration {
        grace + Duration::from_secs(30)
    }

    /// What can be known to be wrong before anything is started: a command that does not exist, a target group that cannot take such a task. An error that
    /// does not pass is final.
    async fn check(&self, run: &RunSpec, route: Option<&RouteKey>) -> Result<(), Failure>;

    async fn start(&self, spec: TaskSpec) -> Result<TaskRef, Failure>;

    async fn look(&self, owner: &Owner, task: &TaskRef) -> Result<TaskStatus, Failure>;

    /// The task of a `start` that may have happened without an answer. `spec` is what was to be started, its environment left out. A platform that knows a repeated
    /// request by its token may ask again with the same one, and so start now what was not started then: whoever calls this is about to stop it.
    async fn find(&self, spec: &TaskSpec) -> Result<Option<TaskRef>, Failure>;

    /// Asks it to end, and after `grace` makes it. Never waits for that: call again until `Stopped`.
    async fn stop(&self, owner: &Owner, task: &TaskRef, grace: Duration) -> Result<Stopping, Failure>;

    /// Whether [`pause`](Self::pause) can do it.
    fn can_pause(&self) -> bool {
        false
    }

    /// Makes it stand still where it is, its memory kept. One that is paused already stays so.
    async fn pause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        let _ = owner;
        Err(cannot_pause(task))
    }

    /// Lets it go on where it stands. One that runs goes on running; one that has ended is `task.lost`.
    async fn unpause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        let _ = owner;
        Err(cannot_pause(task))
    }

    /// Bytes of memory that it uses just now; `None` where the platform does not tell.
    async fn memory(&self, owner: &Owner, task: &TaskRef) -> Result<Option<u64>, Failure> {
        let _ = (owner, task);
        Ok(None)
    }

    /// Every task that carries this deployment's mark and is not stopped. `runs` are those that some may have been started from: a platform with several places
    /// to look in (clusters) finds them there.
    async fn all(&self, runs: &[RunSpec]) -> Result<Vec<(Owner, TaskRef)>, Failure>;
}

fn cannot_pause(task: &TaskRef) -> Failure {
    Failure::new(
        Code::TaskPause,
        format!("task {} cannot be paused: its platform has no such thing", task.id),
    )
    .hint("let the service's instances sleep by a stop: `sleep = \"stop\"`")
}

/// Something happened to a task. Events may be lost, late, doubled and out of order: they say where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    pub instance: InstanceId,
    pub task: TaskRef,
    pub status: TaskStatus,
}

/// What the platform tells by itself.
pub trait TaskEvents: Send + Sync + 'static {
    /// Events from now on. A subscriber that is too slow loses the oldest.
    fn subscribe(&self) -> BoxStream<'static, TaskEvent>;
}
