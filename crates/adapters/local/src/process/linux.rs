//! What Linux tells of processes: `/proc` and process descriptors.
//!
//! What must not be here: what is done about it. `portable.rs` answers the same questions where there is no `/proc`.
//!
//! A number means another process as soon as its first bearer was reaped. So a process is named by its number *and* its
//! start time ([`Seen`]), and signalled through a descriptor that was checked against both ([`Process`]).

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    launch::{Launch, Stage, Surroundings},
    marker::{self, Key, Mark},
    survey::{Seen, Survey},
    vfork,
};

pub(super) use super::sockets::{listeners, strike_out_sockets};

/// An environment of more than this is not searched to its end. Wharf puts its own variables first.
const LONGEST_ENVIRONMENT: u64 = 1 << 20;

/// Whether processes that outlive Wharf are found by their environment. Elsewhere they are written down.
pub(super) const FINDS_MARKERS: bool = true;
/// Where the end of the environment stands in `/proc/<pid>/stat`, counted from the state: the 51st field of proc(5).
const ENVIRONMENT_END: usize = 48;
/// How often a process in the middle of an exec is looked at again, and after what time each.
const LOOKS_AT_AN_EXEC: u32 = 100;
const EXEC: Duration = Duration::from_millis(1);

/// What starts programs: made by, and for, the one thread that does.
pub(super) struct Starter(vfork::Stack);

/// What a new process is watched by.
pub(super) type Born = OwnedFd;

impl Starter {
    pub(super) fn new() -> Self {
        vfork::block_signals();
        Self(vfork::Stack::new())
    }

    pub(super) fn start(
        &mut self,
        launch: &Launch,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Pid, Born), (Stage, io::Error)> {
        vfork::spawn(launch, surroundings, &mut self.0)
    }
}

/// `/proc/<pid>/stat`, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Dead, and not yet reaped by its parent.
    is_over: bool,
    /// Told by a signal to stand still.
    is_stopped: bool,
    parent: i32,
    group: i32,
    /// In clock ticks since boot.
    start: u64,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may itself hold spaces and parentheses; what follows the last one does not.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The fields are counted from 1 in proc(5): state is the third, the start time the twenty-second.
    let start = fields.nth(16)?.parse().ok()?;
    Some(Stat {
        is_over: matches!(state, "Z" | "X"),
        is_stopped: state == "T",
        parent,
        group,
        start,
    })
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether a signal made the process stand still.
pub(super) fn stands_still(pid: Pid) -> bool {
    stat(pid.as_raw_pid()).is_some_and(|stat| stat.is_stopped)
}

/// When the process was started, in a unit of the system's own.
pub(super) fn start_time(pid: Pid) -> Option<u64> {
    stat(pid.as_raw_pid()).map(|stat| stat.start)
}

/// Looks at every process, and says which belong to tasks: those of the sessions that `leaders` lead, and those that
/// carry this deployment's mark. Leaders themselves are left out: their watchers know more of them.
pub(super) fn survey(deployment: &str, leaders: &HashMap<i32, Arc<Key>>) -> io::Result<Survey> {
    let own_line = own_line();
    let mut reader = MarkReader::new(deployment);
    let mut survey = Survey::default();
    let mut too_early = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if leaders.contains_key(&pid) || own_line.contains(&pid) {
            continue;
        }
        match leaders.get(&session(pid)) {
            Some(key) => add(&mut survey, pid, Some(key.clone())),
            None => match reader.read(pid) {
                Reading::None => {}
                Reading::TooEarly => too_early.push(pid),
                Reading::Mark(mark) => add_marked(&mut survey, pid, mark),
            },
        }
    }
    // An exec takes no time to speak of; but on a busy machine its process may not get any for a while.
    for _ in 0..LOOKS_AT_AN_EXEC {
        if too_early.is_empty() {
            break;
        }
        thread::park_timeout(EXEC);
        too_early.retain(|pid| match reader.read(*pid) {
            Reading::None => false,
            Reading::TooEarly => true,
            Reading::Mark(mark) => {
                add_marked(&mut survey, *pid, mark);
                false
            }
        });
    }
    Ok(survey)
}

fn add_marked(survey: &mut Survey, pid: i32, mark: Mark) {
    let key = match mark {
        Mark::Unclaimed => None,
        Mark::Task(key) => Some(Arc::new(key)),
    };
    add(survey, pid, key);
}

fn add(survey: &mut Survey, number: i32, key: Option<Arc<Key>>) {
    // What is gone by now, or only waits to be reaped, is nobody's any more.
    if let Some(stat) = stat(number).filter(|stat| !stat.is_over)
        && let Some(pid) = Pid::from_raw(number)
    {
        survey.add(
            key,
            Seen {
                pid,
                start: stat.start,
                group: stat.group,
            },
        );
    }
}

/// The session of a process, by the number of its leader. Cheaper than a file, and for most processes of most tasks it is enough.
#[expect(
    unsafe_code,
    reason = "rustix's form promises a positive number, and threads of the kernel have 0"
)]
fn session(pid: i32) -> i32 {
    // SAFETY: a number in, a number out.
    unsafe { libc::getsid(pid) }
}

/// This process and those it descends from: whoever starts Wharf from within a task must not be ended by it.
fn own_line() -> HashSet<i32> {
    let mut line = HashSet::new();
    let mut pid = rustix::process::getpid().as_raw_pid();
    while pid > 0 && line.insert(pid) {
        pid = stat(pid).map_or(0, |stat| stat.parent);
    }
    line
}

/// Reads marks, one process after another, with one buffer for all their environments.
struct MarkReader<'a> {
    deployment: &'a str,
    own_user: u32,
    environment: Vec<u8>,
}

/// What a process's environment says.
enum Reading {
    /// It is not this deployment's, or not this user's.
    None,
    /// It is in the middle of an exec, and has no environment for a moment.
    TooEarly,
    Mark(Mark),
}

impl<'a> MarkReader<'a> {
    fn new(deployment: &'a str) -> Self {
        Self {
            deployment,
            own_user: rustix::process::geteuid().as_raw(),
            environment: Vec::new(),
        }
    }

    fn read(&mut self, pid: i32) -> Reading {
        let folder = format!("/proc/{pid}");
        if !fs::metadata(&folder).is_ok_and(|metadata| metadata.uid() == self.own_user) {
            return Reading::None;
        }
        self.environment.clear();
        let read = File::open(format!("{folder}/environ"))
            .and_then(|file| file.take(LONGEST_ENVIRONMENT).read_to_end(&mut self.environment));
        match read {
            Err(_) => Reading::None,
            Ok(0) if is_in_exec(pid) => Reading::TooEarly,
            Ok(_) => marker::find(&self.environment, self.deployment).map_or(Reading::None, Reading::Mark),
        }
    }
}

/// Whether a process without an environment will have one in a moment. One that was given none has a place for it all the same; threads of
/// the kernel and the dead have no program either.
fn is_in_exec(pid: i32) -> bool {
    let has_place = |text: &str| {
        let end = text.rsplit_once(')')?.1.split_ascii_whitespace().nth(ENVIRONMENT_END)?;
        Some(end != "0")
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|text| has_place(&text) == Some(false)) && fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// Resident memory in bytes. Pages that processes share count for each, which is more than the truth.
pub(super) fn resident(pid: Pid) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// Resident memory in bytes, shared pages divided among those that share them: the truth, and some milliseconds of work
/// for a large process.
pub(super) fn resident_share(pid: Pid) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or_else(|| resident(pid), |kibibytes| kibibytes * 1024)
}

/// Makes the kernel end this process before it ends Wharf, when memory runs out.
pub(super) fn prefer_as_victim(pid: Pid) {
    // Best effort: it may have ended already.
    let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
}

/// A process that cannot be mistaken for a later one with its number.
#[derive(Debug)]
pub(super) struct Process(AsyncFd<OwnedFd>);

impl Process {
    /// `None` if it is gone.
    pub(super) fn open(seen: &Seen) -> Option<Self> {
        let pidfd = rustix::process::pidfd_open(seen.pid, PidfdFlags::empty()).ok()?;
        // If the number was somebody else's when it was opened, it is now too, or nobody's: the first bearer does not come back.
        if start_time(seen.pid) != Some(seen.start) {
            return None;
        }
        Self::new(pidfd).ok()
    }

    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    fn new(pidfd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open, and stays the same descriptor for as long as it lives; here it is not taken out again.
        let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        Ok(Self(watched?))
    }

    pub(super) fn signal(&self, signal: Signal) {
        // Gone is as good.
        let _ = rustix::process::pidfd_send_signal(self.0.get_ref(), signal);
    }

    /// Returns when the process has ended, reaped or not.
    pub(super) async fn ended(&self) {
        // An error says that the runtime is ending: nobody waits any more.
        if self.0.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A process that this one started, and has to reap.
#[derive(Debug)]
pub(super) struct Child(Process);

impl Child {
    pub(super) fn new(pidfd: Born) -> io::Result<Self> {
        Process::new(pidfd).map(Self)
    }

    /// Waits for its end, and says how it was. It stays unreaped: its number, and its group's, remain its own until
    /// [`reap`](Self::reap). `None` if somebody else reaped it.
    pub(super) async fn exited(&self) -> Option<WaitIdStatus> {
        loop {
            let Ok(mut ready) = self.0.0.readable().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.wait(WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG) {
                Ok(Some(status)) => return Some(status),
                Ok(None) => ready.clear_ready(),
                Err(_) => return None,
            }
        }
    }

    /// To be called once, after [`exited`](Self::exited).
    pub(super) fn reap(&self) {
        let _ = self.wait(WaitIdOptions::NOHANG);
    }

    fn wait(&self, options: WaitIdOptions) -> rustix::io::Result<Option<WaitIdStatus>> {
        rustix::process::waitid(WaitId::PidFd(self.0.0.as_fd()), WaitIdOptions::EXITED | options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "4711 (a) Z (b) S 1 4700 4699 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9";
        let expected = Stat {
            is_over: false,
            is_stopped: false,
            parent: 1,
            group: 4700,
            start: 123_456,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        let pid = rustix::process::getpid();
        assert!(resident(pid) > 1 << 20);
        assert!((1..=resident(pid) * 2).contains(&resident_share(pid)));
    }
}
