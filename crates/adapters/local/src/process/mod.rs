//! Tasks as child processes of Wharf.
//!
//! | file | what it is for |
//! |---|---|
//! | `mod` | [`ProcessTasks`]: the traits `Tasks` and `TaskEvents` |
//! | `world` | what all tasks share: the table, the events, the looks at processes |
//! | `launch` | from a specification to program, arguments, environment and folder |
//! | `start` | a start from beginning to end, at most one for each owner; what a former Wharf left |
//! | `starter` | the one thread that starts everything |
//! | `vfork` | the start itself, on Linux |
//! | `task` | one task and its watcher |
//! | `table` | which tasks there are |
//! | `survey` | one look at all processes, shared |
//! | `marker`, `records` | how processes are known to be a task's when nobody watches them |
//! | `orphans` | ending those |
//! | `memory` | limits of memory |
//! | `cause` | why a task stopped, in words |
//! | `linux`, `sockets`, `portable` | what the system tells of processes, and of who listens |
//!
//! What must not be here: what a task is for.
//!
//! # What a task is
//!
//! A process, started in a session of its own, and everything that descends from it and either stayed in that session
//! or kept its environment. It is over when its first process is; what is left then is ended too, before its end is
//! told: whoever hears of it can have its port.
//!
//! # What ends with Wharf
//!
//! Everything. A task's first process has the parent-death signal, so it is killed if Wharf is, however that happens;
//! what it had started itself is found by the next Wharf ([`ProcessTasks::reap_orphans`]). A program that is
//! set-user-ID loses that signal at exec and is found in the same way.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "what only Linux offers is asked for only there")
)]

mod cause;
mod launch;
#[cfg(target_os = "linux")]
mod linux;
mod marker;
mod memory;
mod orphans;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", expect(dead_code, reason = "on Linux only its tests use it"))]
mod portable;
mod records;
#[cfg(target_os = "linux")]
mod sockets;
mod start;
mod starter;
mod survey;
mod table;
mod task;
#[cfg(target_os = "linux")]
mod vfork;
mod world;

#[cfg(target_os = "linux")]
use linux as sys;
#[cfg(not(target_os = "linux"))]
use portable as sys;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use std::{ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use wharf_domain::{Code, DeploymentId, Failure, instance::TaskRef, service::RunSpec};
use wharf_platform::{Owner, PortSource, RouteKey, Stopping, TaskEvent, TaskEvents, TaskSpec, TaskStatus, Tasks};

use crate::{files, logs::FileLogs};
pub use launch::check_command;
use marker::Key;
use start::{Shared, result_of};
use survey::Seen;
use table::Entry;
use task::Task;

/// How often, and after what time each, it is looked whether a task stands still that was told to.
const STANDS_STILL_LOOKS: u32 = 200;
const STANDS_STILL_LOOK: Duration = Duration::from_millis(1);
/// How often orphans are looked for again: each time, those that the ones before had still started.
const REAP_ROUNDS: u32 = 5;

/// What [`ProcessTasks`] has to know.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    pub deployment: DeploymentId,
    /// The data directory; each instance has a folder in it.
    pub data: PathBuf,
    /// What relative paths in a service's command are relative to: the folder of `wharf.toml`.
    pub base: PathBuf,
    /// What the command `wharf` means: this program's own file.
    pub own_program: PathBuf,
    /// Where dynamic ports are leased from. Best outside of what the system hands out by itself (`ip_local_port_range`).
    pub ports: RangeInclusive<u16>,
}

/// A process that a former Wharf left behind, and that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub pid: u32,
    /// Whose it was, where it still said so.
    pub owner: Option<Owner>,
}

/// Runs tasks as child processes, each with its port on 127.0.0.1.
///
/// All children die when this is dropped, and when its process ends in whatever way (on Linux).
#[derive(Debug)]
pub struct ProcessTasks {
    shared: Arc<Shared>,
    memory: JoinHandle<()>,
}

impl ProcessTasks {
    /// Raises this process's limit of open files to what it may be: a task costs two.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(options: ProcessOptions, logs: Arc<FileLogs>) -> Result<Self, Failure> {
        let data = files::data_directory(&options.data)?;
        let options = ProcessOptions { data, ..options };
        world::raise_open_files();
        let shared = Shared::new(options, logs)
            .map_err(|error| Failure::internal(format!("tasks cannot be started here: {error}")))?;
        let memory = tokio::spawn(memory::watch(shared.world.clone()));
        Ok(Self {
            shared: Arc::new(shared),
            memory,
        })
    }

    /// Ends every process that carries this deployment's mark and is not a task of this value: what a Wharf that was
    /// killed left behind. To be called before anything is started; the second `wharf up` on one data directory has to
    /// be refused before that.
    pub async fn reap_orphans(&self) -> Result<Vec<Orphan>, Failure> {
        let mut reaped: Vec<Orphan> = Vec::new();
        for _ in 0..REAP_ROUNDS {
            let found = self.shared.orphans().await?;
            if found.is_empty() {
                return Ok(reaped);
            }
            let processes: Vec<Seen> = found.iter().map(|(_, seen)| *seen).collect();
            // Those that are found later were started by the first, and have had their time.
            let (grace, killed) = if reaped.is_empty() {
                (orphans::GRACE, orphans::KILLED)
            } else {
                (Duration::ZERO, orphans::KILLED_AGAIN)
            };
            orphans::end(&processes, grace, killed).await;
            for (owner, seen) in found {
                let orphan = Orphan {
                    pid: seen.pid.as_raw_pid() as u32,
                    owner,
                };
                if !reaped.contains(&orphan) {
                    reaped.push(orphan);
                }
            }
        }
        let left: Vec<String> = self
            .shared
            .orphans()
            .await?
            .iter()
            .map(|(_, seen)| seen.pid.to_string())
            .collect();
        if left.is_empty() {
            return Ok(reaped);
        }
        Err(Failure::new(
            Code::TaskStopTimeout,
            format!("processes of a former run cannot be ended: {}", left.join(", ")),
        )
        .hint("look what they wait for (a disk or a network file system that hangs), or restart the machine"))
    }

    /// Whether what listens on this port of 127.0.0.1 is the owner's own task: a visitor's request would be answered by
    /// it and nobody else. `false` also where nobody listens.
    pub async fn owns_port(&self, owner: &Owner, port: u16) -> Result<bool, Failure> {
        let key = Key::of(owner);
        let Some(task) = self.shared.world.running(&key) else {
            return Ok(false);
        };
        let (leader, unreadable) = (task.leader, |error: std::io::Error| {
            Failure::internal(format!("the list of listening sockets cannot be read: {error}"))
        });
        let foreign = files::blocking(move || {
            let mut sockets = sys::listeners(port).map_err(unreadable)?;
            if sockets.is_empty() {
                return Ok(None);
            }
            sys::strike_out_sockets(leader, &mut sockets);
            Ok(Some(sockets))
        })
        .await?;
        let Some(mut sockets) = foreign else {
            return Ok(false);
        };
        if !sockets.is_empty() {
            // One of its children may be the one that listens.
            let survey = self.shared.world.survey().await?;
            sockets = files::blocking(move || {
                for seen in survey.rest_of(&key) {
                    sys::strike_out_sockets(seen.pid, &mut sockets);
                }
                Ok(sockets)
            })
            .await?;
        }
        // What outlives the first process is about to be ended. While that was not reaped, its number was its own.
        Ok(sockets.is_empty() && task.lives())
    }

    /// Whether nobody listens on this port of 127.0.0.1.
    pub fn port_is_free(port: u16) -> bool {
        start::port_is_free(port)
    }

    /// Ends all tasks, asking first, and waits for it. No more are started, and no event is told: nothing of this is a crash.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), Failure> {
        let world = &self.shared.world;
        world.table.lock().is_closing = true;
        let deadline = Instant::now() + grace + orphans::KILLED;
        loop {
            let settled = world.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            let is_busy = {
                let table = world.table.lock();
                for task in table.tasks() {
                    task.ask_to_end(grace);
                }
                table.is_busy()
            };
            if !is_busy {
                return Ok(());
            }
            if timeout_at(deadline, settled).await.is_err() {
                let left = world.table.lock().leaders().len();
                return Err(Failure::new(
                    Code::TaskStopTimeout,
                    format!("{left} tasks could not be ended in time"),
                )
                .hint("they are killed when Wharf ends"));
            }
        }
    }
}

impl ProcessTasks {
    /// A task of this value's own.
    fn known(&self, owner: &Owner, task: &TaskRef) -> Result<Arc<Task>, Failure> {
        let key = self.shared.check_owner(owner)?;
        match self.shared.world.table.lock().get(&key) {
            Some(Entry::Known(known)) if known.reference == *task => Ok(known.clone()),
            _ => Err(has_ended(task)),
        }
    }
}

fn has_ended(task: &TaskRef) -> Failure {
    Failure::new(Code::TaskLost, format!("the process {} has ended", task.id))
}

impl Drop for ProcessTasks {
    fn drop(&mut self) {
        self.memory.abort();
    }
}

#[async_trait]
impl Tasks for ProcessTasks {
    fn port_source(&self) -> PortSource {
        PortSource::Leased(self.shared.options.ports.clone())
    }

    async fn can_have_port(&self, port: u16) -> bool {
        Self::port_is_free(port)
    }

    fn survives_restart(&self) -> bool {
        false
    }

    async fn check(&self, run: &RunSpec, _route: Option<&RouteKey>) -> Result<(), Failure> {
        let (shared, run) = (self.shared.clone(), run.clone());
        files::blocking(move || shared.places.check(&run)).await
    }

    async fn start(&self, spec: TaskSpec) -> Result<TaskRef, Failure> {
        let key = self.shared.check_owner(&spec.owner)?;
        let started = {
            let mut table = self.shared.world.table.lock();
            match table.get(&key) {
                Some(Entry::Known(task)) => return Ok(task.reference.clone()),
                Some(Entry::Starting(started)) => started.clone(),
                None if table.is_closing => return Err(Failure::new(Code::TaskLost, "Wharf is ending")),
                None => {
                    let (told, started) = watch::channel(None);
                    table.insert(key, Entry::Starting(started.clone()));
                    tokio::spawn(self.shared.clone().begin(spec, told));
                    started
                }
            }
        };
        result_of(started).await
    }

    async fn look(&self, owner: &Owner, task: &TaskRef) -> Result<TaskStatus, Failure> {
        let key = self.shared.check_owner(owner)?;
        let table = self.shared.world.table.lock();
        Ok(match table.get(&key) {
            Some(Entry::Known(known)) if known.reference == *task => known.status(),
            Some(Entry::Starting(_)) => TaskStatus::Pending {
                why: "its process is being started".to_owned(),
            },
            Some(Entry::Known(_)) | None => TaskStatus::Gone,
        })
    }

    async fn find(&self, spec: &TaskSpec) -> Result<Option<TaskRef>, Failure> {
        let key = self.shared.check_owner(&spec.owner)?;
        let entry = self.shared.world.table.lock().get(&key).cloned();
        match entry {
            Some(Entry::Known(task)) => Ok(Some(task.reference.clone())),
            // A start that fails has left nothing.
            Some(Entry::Starting(started)) => Ok(result_of(started).await.ok()),
            None => Ok(None),
        }
    }

    async fn stop(&self, owner: &Owner, task: &TaskRef, grace: Duration) -> Result<Stopping, Failure> {
        let key = self.shared.check_owner(owner)?;
        let entry = self.shared.world.table.lock().get(&key).cloned();
        if let Some(Entry::Starting(started)) = entry {
            // Failed: there is nothing to stop. Otherwise it is known now.
            let _ = result_of(started).await;
        }
        let known = match self.shared.world.table.lock().get(&key) {
            Some(Entry::Known(known)) => Some(known.clone()),
            _ => None,
        };
        match known {
            Some(known) if known.reference == *task => Ok(known.ask_to_end(grace)),
            // The number is another process's by now.
            Some(_) => Ok(Stopping::Stopped),
            // A former Wharf's: what of it still carries its mark is ended.
            None => self.shared.world.stop_unknown(key, grace).await,
        }
    }

    fn can_pause(&self) -> bool {
        true
    }

    /// Its process group stands still; what has left that group goes on.
    async fn pause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        let known = self.known(owner, task)?;
        if !known.set_paused(true) {
            return Err(has_ended(task));
        }
        // The signal takes a moment.
        for _ in 0..STANDS_STILL_LOOKS {
            if !matches!(known.status(), TaskStatus::Running { .. }) {
                return Ok(());
            }
            tokio::time::sleep(STANDS_STILL_LOOK).await;
        }
        known.set_paused(false);
        let waited = STANDS_STILL_LOOK * STANDS_STILL_LOOKS;
        Err(Failure::new(
            Code::TaskPause,
            format!("task {} did not stand still within {waited:?}", task.id),
        ))
    }

    async fn unpause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        if self.known(owner, task)?.set_paused(false) {
            Ok(())
        } else {
            Err(has_ended(task))
        }
    }

    async fn memory(&self, owner: &Owner, task: &TaskRef) -> Result<Option<u64>, Failure> {
        let known = self.known(owner, task)?;
        memory::of(&self.shared.world, known).await.map(Some)
    }

    async fn all(&self, _runs: &[RunSpec]) -> Result<Vec<(Owner, TaskRef)>, Failure> {
        let deployment = &self.shared.options.deployment;
        let mut all: Vec<(Owner, TaskRef)> = self
            .shared
            .world
            .table
            .lock()
            .tasks()
            .filter(|task| !task.is_gone())
            .map(|task| (task.key.owner(deployment), task.reference.clone()))
            .collect();
        for (owner, seen) in self.shared.orphans().await? {
            // One process for each task: the first that was seen.
            if let Some(owner) = owner
                && !all.iter().any(|(known, _)| *known == owner)
            {
                let reference = TaskRef {
                    id: format!("{}:{}", seen.pid, seen.start),
                    attempt: owner.attempt,
                };
                all.push((owner, reference));
            }
        }
        Ok(all)
    }
}

impl TaskEvents for ProcessTasks {
    fn subscribe(&self) -> BoxStream<'static, TaskEvent> {
        let receiver = self.shared.world.events.subscribe();
        stream::unfold(receiver, async |mut receiver| {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, receiver)),
                    Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "a listener to task events is too slow"),
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}
