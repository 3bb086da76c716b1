//! Child processes that end with this run, however it ends: at the end of their scope, by a failure, by Ctrl-C, by the clock.
//!
//! Each is the head of a process group of its own and is ended with all of it. What `wharf up` has started follows it by itself:
//! that is one of its guarantees, and ending it this way relies on it.

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::HashMap,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::Result;

static RUNNING: LazyLock<Mutex<HashMap<u64, Child>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);
/// As a shell counts a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
const TOO_LONG: i32 = 124;

/// A child process. Dropping it kills it and whatever it has in its group, and waits for its end.
#[derive(Debug)]
pub(crate) struct Running {
    key: u64,
    id: u32,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        // Under the lock, so that an interrupt finds either no child or a registered one.
        let mut running = RUNNING.lock();
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", command.get_program().display()))?;
        let (key, id) = (NEXT.fetch_add(1, Ordering::Relaxed), child.id());
        running.insert(key, child);
        Ok(Self { key, id })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn take_stdout(&self) -> Option<std::process::ChildStdout> {
        RUNNING.lock().get_mut(&self.key)?.stdout.take()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let mut running = RUNNING.lock();
        running
            .get_mut(&self.key)
            .is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = RUNNING.lock().remove(&self.key) {
            end(child);
        }
    }
}

fn end(mut child: Child) {
    // A child that was waited for has no number any more: it may be somebody else's.
    if matches!(child.try_wait(), Ok(None)) {
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
    }
}

/// Sees to it that Ctrl-C, SIGTERM and a run that takes longer than `longest` end every child and remove `scratch`.
pub(crate) fn end_on_interrupt(scratch: PathBuf, longest: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        let code = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => INTERRUPTED,
                _ = terminate.recv() => INTERRUPTED,
                () = tokio::time::sleep(longest) => {
                    eprintln!("the run takes longer than {longest:?}, and is ended");
                    TOO_LONG
                }
            }
        });
        // The lock is kept: nothing is started any more.
        let mut running = RUNNING.lock();
        for (_, child) in running.drain() {
            end(child);
        }
        let _ = std::fs::remove_dir_all(&scratch);
        std::process::exit(code);
    })?;
    Ok(())
}
