//! One task, from its start until nothing of it runs: its state, and who watches it.
//!
//! What must not be here: other tasks. What is needed of them comes through [`World`].
//!
//! The first process of a task leads a session and a group of its own; both have its number. As long as it is not reaped the
//! number is nobody else's, so that the group can be signalled. So it is reaped last, when everything else of the task is gone.

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use wharf_domain::{Endpoint, Failure, instance::TaskRef};
use wharf_platform::{Stopping, TaskStatus};

use super::{
    cause::{self, Ending, Exit},
    marker::Key,
    survey::Seen,
    sys::{self, Child, Process},
    world::World,
};
use crate::logs::Output;

/// How long after a crash the event may wait for the remains: a process that even SIGKILL does not end (it waits for a dead
/// disk) must not keep a crash secret.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// Between looks at processes that do not go, although they were killed.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// The same, where they could not even be watched (no descriptors left).
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) key: Arc<Key>,
    pub(super) reference: TaskRef,
    /// Its first process.
    pub(super) leader: Pid,
    /// Bytes that all its processes together may have.
    pub(super) memory: Option<u64>,
    pub(super) endpoint: Option<Endpoint>,
    state: Mutex<State>,
    /// There is an order for its watcher.
    ordered: Notify,
}

#[derive(Debug, Default)]
struct State {
    ending: Option<Ending>,
    /// Whoever still runs then is killed.
    kill_at: Option<Instant>,
    /// The group was killed at `kill_at`.
    is_killed: bool,
    /// As it is told: its first process is over.
    stopped: Option<TaskStatus>,
    /// Its group was told to stand still.
    is_paused: bool,
    /// Nothing of it runs, its number is free.
    is_gone: bool,
}

impl Task {
    pub(super) fn new(
        key: Arc<Key>,
        reference: TaskRef,
        leader: Pid,
        memory: Option<u64>,
        endpoint: Option<Endpoint>,
    ) -> Self {
        Self {
            key,
            reference,
            leader,
            memory,
            endpoint,
            state: Mutex::default(),
            ordered: Notify::new(),
        }
    }

    pub(super) fn status(&self) -> TaskStatus {
        let state = self.state.lock();
        match &state.stopped {
            Some(stopped) => stopped.clone(),
            None if self.has_exited(&state) => TaskStatus::Pending {
                why: "what it left behind to end".to_owned(),
            },
            None if state.is_paused && sys::stands_still(self.leader) => TaskStatus::Paused { cause: cause::paused() },
            None => self.running(),
        }
    }

    /// Tells its group to stand still, or to go on; says whether there is one to be told.
    pub(super) fn set_paused(&self, is_paused: bool) -> bool {
        let mut state = self.state.lock();
        if state.stopped.is_some() || state.ending.is_some() || self.has_exited(&state) {
            return false;
        }
        state.is_paused = is_paused;
        self.signal_group(&state, if is_paused { Signal::STOP } else { Signal::CONT });
        true
    }

    pub(super) fn running(&self) -> TaskStatus {
        TaskStatus::Running {
            endpoint: self.endpoint.clone(),
        }
    }

    /// Whether nothing of it runs any more.
    pub(super) fn is_gone(&self) -> bool {
        self.state.lock().is_gone
    }

    /// Whether its first process runs, as the system has it: the watcher may hear of its end a moment later.
    pub(super) fn lives(&self) -> bool {
        !self.has_exited(&self.state.lock())
    }

    /// The state says whether the number is still the task's own.
    fn has_exited(&self, state: &State) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        state.is_gone || !matches!(waitid(WaitId::Pid(self.leader), look), Ok(None))
    }

    /// Whether its first process runs, and nobody has ended it.
    pub(super) fn is_running(&self) -> bool {
        let state = self.state.lock();
        !state.is_gone && state.stopped.is_none() && state.ending.is_none()
    }

    /// Asks its group to end; after `grace` it is made to. A second call can only shorten the time.
    pub(super) fn ask_to_end(&self, grace: Duration) -> Stopping {
        let mut state = self.state.lock();
        if state.is_gone {
            return Stopping::Stopped;
        }
        let at = Instant::now() + grace;
        match state.kill_at {
            None => {
                state.ending.get_or_insert(Ending::Asked);
                state.kill_at = Some(at);
                if !grace.is_zero() {
                    self.signal_group(&state, Signal::TERM);
                    if std::mem::take(&mut state.is_paused) {
                        // What stands still hears nothing.
                        self.signal_group(&state, Signal::CONT);
                    }
                }
            }
            Some(earlier) => state.kill_at = Some(earlier.min(at)),
        }
        drop(state);
        self.ordered.notify_one();
        Stopping::Underway
    }

    /// Ends it for having too much memory.
    pub(super) fn end_for_memory(&self, used: u64, limit: u64) {
        let mut state = self.state.lock();
        if state.stopped.is_some() || state.ending.is_some() {
            return;
        }
        state.ending = Some(Ending::Memory { used, limit });
        state.kill_at = Some(Instant::now());
        drop(state);
        self.ordered.notify_one();
    }

    /// The state says whether the number is still the task's own: it is passed to show that it is locked.
    fn signal_group(&self, state: &State, signal: Signal) {
        if !state.is_gone {
            // A group whose processes are all gone is as good.
            let _ = rustix::process::kill_process_group(self.leader, signal);
        }
    }

    fn kill_group(&self) {
        let mut state = self.state.lock();
        state.is_killed = true;
        self.signal_group(&state, Signal::KILL);
    }

    /// When it is to be killed, if that is ordered and was not done.
    fn kill_at(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.kill_at.filter(|_| !state.is_killed)
    }

    /// Until when what is left of it may end by itself. `None`: no longer.
    fn patience(&self) -> Option<Instant> {
        let state = self.state.lock();
        match state.ending {
            Some(Ending::Asked) => state.kill_at.filter(|at| *at > Instant::now()),
            _ => None,
        }
    }

    fn ending(&self) -> Option<Ending> {
        self.state.lock().ending
    }
}

/// At the time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Watches a task from its start until nothing of it runs, carries out the orders, and tells how it ended.
pub(super) async fn watch(task: Arc<Task>, child: Child, output: Output, world: Arc<World>) {
    let exit = until_exit(&task, &child).await;
    let mut report = Report {
        task: &task,
        world: &world,
        exit,
        output: Some(output),
        left_behind: 0,
    };
    clear_away(&mut report).await;
    {
        // Under the lock: nobody signals the group while its number becomes free.
        let mut state = task.state.lock();
        child.reap();
        state.is_gone = true;
    }
    // Afterwards, so that whoever hears of the end can have the port at once.
    report.tell().await;
    world.settled(&task);
}

/// Until the first process has ended.
async fn until_exit(task: &Task, child: &Child) -> Exit {
    loop {
        tokio::select! {
            biased;
            status = child.exited() => return Exit::of(status.as_ref()),
            () = task.ordered.notified() => {}
            () = at(task.kill_at()) => task.kill_group(),
        }
    }
}

/// What is to be told of a task's end, once.
struct Report<'a> {
    task: &'a Arc<Task>,
    world: &'a Arc<World>,
    exit: Exit,
    /// Taken when it is told.
    output: Option<Output>,
    left_behind: usize,
}

impl Report<'_> {
    async fn tell(&mut self) {
        let Some(output) = self.output.take() else { return };
        let status = TaskStatus::Stopped {
            cause: cause::cause(&self.task.key.instance, self.task.ending(), self.exit, self.left_behind),
            exit_code: self.exit.code(),
            output: output.finish().await,
        };
        self.task.state.lock().stopped = Some(status.clone());
        self.world.tell(self.task, status);
    }
}

/// Ends what is left of a task whose first process is over: what stayed in its session, and what left it but carries
/// its mark. After a request to stop they have the rest of the grace; after a crash none, because the next attempt
/// wants the port.
async fn clear_away(report: &mut Report<'_>) {
    let task = report.task;
    let since = Instant::now();
    let mut is_first_look = true;
    loop {
        let rest = match report.world.rest_of(&task.key).await {
            Ok(rest) => rest,
            Err(failure) => {
                tracing::warn!(instance = %task.key.instance, %failure, "cannot see what is left of a task");
                tokio::time::sleep(KILL_AGAIN).await;
                continue;
            }
        };
        if is_first_look {
            report.left_behind = rest.len();
        }
        if rest.is_empty() {
            return;
        }
        let patience = task.patience();
        let processes: Vec<Process> = rest.iter().filter_map(Process::open).collect();
        match patience {
            // Those in the group were asked together with the first process.
            Some(_) if is_first_look => ask(&rest, task.leader),
            Some(_) => {}
            None => {
                task.kill_group();
                for process in &processes {
                    process.signal(Signal::KILL);
                }
            }
        }
        is_first_look = false;
        if since.elapsed() >= TELL_AFTER && task.ending() != Some(Ending::Asked) {
            report.tell().await;
        }
        let pause = if processes.is_empty() { LOOK_AGAIN } else { KILL_AGAIN };
        tokio::select! {
            biased;
            () = all_ended(&processes), if !processes.is_empty() => {}
            () = task.ordered.notified() => {}
            () = sleep_until(patience.unwrap_or(Instant::now() + pause)) => {}
        }
    }
}

/// Asks those to end that have left the group.
fn ask(rest: &[Seen], group: Pid) {
    for seen in rest.iter().filter(|seen| seen.group != group.as_raw_pid()) {
        if let Some(process) = Process::open(seen) {
            process.signal(Signal::TERM);
        }
    }
}

pub(super) async fn all_ended(processes: &[Process]) {
    for process in processes {
        process.ended().await;
    }
}

impl World {
    async fn rest_of(self: &Arc<Self>, key: &Key) -> Result<Vec<Seen>, Failure> {
        Ok(self.survey().await?.rest_of(key).to_vec())
    }
}
