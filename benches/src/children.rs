//! Child processes that end with this run, however it ends: at the end of their scope, by a failure, by Ctrl-C, by the clock.
//!
//! Each is the head of a process group of its own and is ended with all of it. What `wharf up` has started follows it by itself:
//! that is one of its guarantees, and ending it this way relies on it.

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
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
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::Result;

static RUNNING: LazyLock<Mutex<HashMap<u64, Registered>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);
/// As a shell counts a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
const TOO_LONG: i32 = 124;

/// How long a child that is asked to end has for that.
const GRACE: Duration = Duration::from_secs(3);
/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(2);

struct Registered {
    child: Child,
    /// Asked before it is killed, so that it ends and waits for children of its own.
    is_asked: bool,
}

/// A child process. Dropping it kills it and whatever it has in its group, and waits for its end.
#[derive(Debug)]
pub(crate) struct Running {
    key: u64,
    id: u32,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Self::register(command, false)
    }

    /// One that has children of its own in its group, and is asked to end (SIGTERM) before all of them are killed.
    pub(crate) fn start_family(command: &mut Command) -> Result<Self> {
        Self::register(command, true)
    }

    fn register(command: &mut Command, is_asked: bool) -> Result<Self> {
        // Under the lock, so that an interrupt finds either no child or a registered one.
        let mut running = RUNNING.lock();
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", command.get_program().display()))?;
        let (key, id) = (NEXT.fetch_add(1, Ordering::Relaxed), child.id());
        running.insert(key, Registered { child, is_asked });
        Ok(Self { key, id })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn take_stdout(&self) -> Option<std::process::ChildStdout> {
        RUNNING.lock().get_mut(&self.key)?.child.stdout.take()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let mut running = RUNNING.lock();
        running
            .get_mut(&self.key)
            .is_none_or(|Registered { child, .. }| !matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let registered = RUNNING.lock().remove(&self.key);
        if let Some(registered) = registered {
            end(registered);
        }
    }
}

fn end(Registered { mut child, is_asked }: Registered) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return;
    };
    // A child that was waited for has no number any more: it may be somebody else's.
    let mut runs = || matches!(child.try_wait(), Ok(None));
    if is_asked && runs() {
        let _ = kill_process(group, Signal::TERM);
        let asked = Instant::now();
        while runs() && asked.elapsed() < GRACE {
            thread::park_timeout(LOOK);
        }
    }
    if runs() {
        let _ = kill_process_group(group, Signal::KILL);
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
        for (_, registered) in running.drain() {
            end(registered);
        }
        let _ = std::fs::remove_dir_all(&scratch);
        std::process::exit(code);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader},
        path::Path,
        process::Stdio,
    };

    /// A shell with a child of its own, and that child's number.
    fn family(start: fn(&mut Command) -> Result<Running>) -> (Running, String) {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]).stdout(Stdio::piped());
        let running = start(&mut command).expect("a shell");
        let output = running.take_stdout().expect("an output");
        let line = BufReader::new(output)
            .lines()
            .next()
            .expect("a line")
            .expect("a number");
        (running, line)
    }

    /// Nobody may have waited for it yet, but it runs no more.
    fn runs(id: &str) -> bool {
        let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }

    #[test]
    fn a_child_that_is_dropped_takes_its_group_along() {
        let (running, grandchild) = family(Running::start);
        assert!(!running.has_ended());
        assert!(runs(&grandchild));
        let id = running.id().to_string();
        drop(running);
        assert!(!runs(&id));
        // SIGKILL is on its way to the rest of the group.
        let began = Instant::now();
        while runs(&grandchild) {
            assert!(began.elapsed() < GRACE, "it lives on");
            thread::park_timeout(LOOK);
        }
    }

    #[test]
    fn a_child_that_has_ended_by_itself_is_noticed() {
        let running = Running::start(&mut Command::new("true")).expect("a child");
        let began = Instant::now();
        while !running.has_ended() {
            assert!(began.elapsed() < GRACE, "it lives on");
            thread::park_timeout(LOOK);
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Running::start(&mut Command::new("no-such-program")).expect_err("it is not there");
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }
}
