//! What a system without `/proc` tells of processes: `ps`, `lsof`, and the signal that a child has ended.
//!
//! What must not be here: what `linux.rs` does better. This is for developing on other systems: it asks programs, which
//! takes milliseconds, and what it cannot know it leaves out. It is compiled and tested on Linux too, so that it does
//! not rot.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    launch::{Launch, Stage, Surroundings},
    marker::Key,
    survey::{Seen, Survey},
};

/// Environments of other processes cannot be read: running tasks are written down.
pub(super) const FINDS_MARKERS: bool = false;

/// Between looks at a process that is not our child: nothing tells us of its end.
const LOOK: Duration = Duration::from_millis(50);

/// What starts programs. Nothing kills them when the starter ends.
pub(super) struct Starter;

/// What a new process is watched by.
pub(super) type Born = Pid;

impl Starter {
    pub(super) fn new() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the same form as on Linux")]
    pub(super) fn start(
        &mut self,
        launch: &Launch,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Pid, Born), (Stage, io::Error)> {
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let stream = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(Stdio::from);
        let mut command = Command::new(text(launch.program.as_bytes()));
        if let Some(name) = launch.arguments.first() {
            command.arg0(text(name.as_bytes()));
        }
        command.args(
            launch
                .arguments
                .iter()
                .skip(1)
                .map(|argument| text(argument.as_bytes())),
        );
        command
            .env_clear()
            .envs(launch.environment.iter().filter_map(|variable| {
                let bytes = variable.as_bytes();
                let middle = bytes.iter().position(|b| *b == b'=')?;
                Some((text(&bytes[..middle]), text(&bytes[middle + 1..])))
            }));
        let started = stream(surroundings.input)
            .and_then(|input| Ok((input, stream(surroundings.output)?, stream(surroundings.output)?)))
            .map_err(|error| (Stage::Prepare, error))
            .and_then(|(input, output, errors)| {
                command
                    .current_dir(text(launch.directory.as_bytes()))
                    .process_group(0)
                    .stdin(input)
                    .stdout(output)
                    .stderr(errors)
                    .spawn()
                    .map_err(|error| (Stage::Exec, error))
            })?;
        let pid = Pid::from_child(&started);
        Ok((pid, pid))
    }
}

/// A line for each process: number, group, resident KiB, state, start. `None` if there is no `ps`.
fn ps(arguments: &[&str]) -> Option<String> {
    let output = Command::new("ps").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// The start as `ps` writes it, to the second, as a number.
fn start_number(text: &str) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    words.for_each(|word| word.hash(&mut hasher));
    Some(hasher.finish())
}

/// Whether a signal made the process stand still.
pub(super) fn stands_still(pid: Pid) -> bool {
    ps(&["-o", "stat=", "-p", &pid.to_string()]).is_some_and(|state| state.trim_start().starts_with('T'))
}

/// When the process was started, in a unit of the system's own.
pub(super) fn start_time(pid: Pid) -> Option<u64> {
    start_number(&ps(&["-o", "lstart=", "-p", &pid.to_string()])?)
}

/// As on Linux, by groups instead of sessions, and without marks.
pub(super) fn survey(_deployment: &str, leaders: &HashMap<i32, Arc<Key>>) -> io::Result<Survey> {
    let listed = ps(&["-axo", "pid=,pgid=,stat=,lstart="]).ok_or(io::ErrorKind::NotFound)?;
    let mut survey = Survey::default();
    for line in listed.lines() {
        if let Some((seen, is_over)) = parse_process(line)
            && !is_over
            && !leaders.contains_key(&seen.pid.as_raw_pid())
            && let Some(key) = leaders.get(&seen.group)
        {
            survey.add(Some(key.clone()), seen);
        }
    }
    Ok(survey)
}

/// A process, and whether it only waits to be reaped.
fn parse_process(line: &str) -> Option<(Seen, bool)> {
    let mut words = line.split_ascii_whitespace();
    let pid = Pid::from_raw(words.next()?.parse::<i32>().ok().filter(|pid| *pid > 0)?)?;
    let group = words.next()?.parse().ok()?;
    let is_over = words.next()?.starts_with('Z');
    let start = start_number(&words.collect::<Vec<_>>().join(" "))?;
    Some((Seen { pid, start, group }, is_over))
}

/// Resident memory in bytes.
pub(super) fn resident(pid: Pid) -> u64 {
    ps(&["-o", "rss=", "-p", &pid.to_string()])
        .and_then(|text| text.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Nothing tells what is shared.
pub(super) fn resident_share(pid: Pid) -> u64 {
    resident(pid)
}

/// Nothing to be said to the kernel.
pub(super) fn prefer_as_victim(_pid: Pid) {}

/// Who listens on the port: here a socket is named by the process that has it.
pub(super) fn listeners(port: u16) -> io::Result<HashSet<u64>> {
    let output = Command::new("lsof")
        .args(["-nP", "-sTCP:LISTEN", "-Fp"])
        .arg(format!("-iTCP:{port}"))
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix('p')?.parse().ok())
        .collect())
}

/// Takes out of `wanted` the sockets that this process has open.
pub(super) fn strike_out_sockets(pid: Pid, wanted: &mut HashSet<u64>) {
    wanted.remove(&(pid.as_raw_pid() as u64));
}

/// A process, by number and start time.
#[derive(Debug)]
pub(super) struct Process(Seen);

impl Process {
    /// `None` if it is gone.
    pub(super) fn open(seen: &Seen) -> Option<Self> {
        (start_time(seen.pid) == Some(seen.start)).then_some(Self(*seen))
    }

    pub(super) fn signal(&self, signal: Signal) {
        if Self::open(&self.0).is_some() {
            let _ = rustix::process::kill_process(self.0.pid, signal);
        }
    }

    /// Returns when the process has ended.
    pub(super) async fn ended(&self) {
        while Self::open(&self.0).is_some() && resident(self.0.pid) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A process that this one started, and has to reap.
#[derive(Debug)]
pub(super) struct Child(Pid);

impl Child {
    #[expect(clippy::unnecessary_wraps, reason = "the same form as on Linux")]
    pub(super) fn new(born: Born) -> io::Result<Self> {
        Ok(Self(born))
    }

    /// As on Linux. Every child's end wakes every watcher: good for tens of tasks.
    pub(super) async fn exited(&self) -> Option<WaitIdStatus> {
        let mut ends = signal(SignalKind::child()).ok()?;
        loop {
            match self.wait(WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG) {
                Ok(Some(status)) => return Some(status),
                Ok(None) => ends.recv().await?,
                Err(_) => return None,
            }
        }
    }

    /// To be called once, after [`exited`](Self::exited).
    pub(super) fn reap(&self) {
        let _ = self.wait(WaitIdOptions::NOHANG);
    }

    fn wait(&self, options: WaitIdOptions) -> rustix::io::Result<Option<WaitIdStatus>> {
        rustix::process::waitid(WaitId::Pid(self.0), WaitIdOptions::EXITED | options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        io::{Read, pipe},
        os::fd::AsFd,
    };
    use wharf_domain::{Attempt, InstanceId, Timestamp};

    #[test]
    fn a_line_of_ps_is_read() {
        let (seen, is_over) = parse_process("  42  40 Ss+  Fri Nov 20 21:40:01 2026").unwrap();
        assert_eq!((seen.pid.as_raw_pid(), seen.group, is_over), (42, 40, false));
        assert!(parse_process("42 40 Z Fri Nov 20 21:40:01 2026").unwrap().1);
        assert!(parse_process("").is_none());
    }

    #[tokio::test]
    async fn a_program_is_started_seen_and_ended_without_proc() {
        let null = File::open("/dev/null").unwrap();
        let (mut reader, writer) = pipe().unwrap();
        let launch = Launch {
            program: c"/bin/sh".into(),
            arguments: vec![c"sh".into(), c"-c".into(), c"echo $GREETING; sleep 3600 & wait".into()],
            environment: vec![c"GREETING=hello".into(), c"PATH=/usr/bin:/bin".into()],
            directory: c"/".into(),
        };
        let surroundings = Surroundings {
            input: null.as_fd(),
            output: writer.as_fd(),
            open_files: rustix::process::getrlimit(rustix::process::Resource::Nofile),
        };
        let (pid, born) = Starter::new().start(&launch, &surroundings).unwrap();
        drop(writer);
        let child = Child::new(born).unwrap();
        let mut printed = [0; 6];
        reader.read_exact(&mut printed).unwrap();
        assert_eq!(&printed, b"hello\n");

        let key = Arc::new(Key {
            instance: InstanceId::new(Timestamp(1), [0; 10]),
            attempt: Attempt(1),
        });
        let leaders = HashMap::from([(pid.as_raw_pid(), key.clone())]);
        let rest = loop {
            let survey = survey("", &leaders).unwrap();
            match survey.rest_of(&key) {
                [] => tokio::task::yield_now().await,
                rest => break rest.to_vec(),
            }
        };
        assert!(resident(pid) > 0);
        Process::open(&rest[0]).unwrap().signal(Signal::TERM);
        let leader = Seen {
            pid,
            start: start_time(pid).unwrap(),
            group: pid.as_raw_pid(),
        };
        Process::open(&leader).unwrap().signal(Signal::TERM);
        assert!(child.exited().await.is_some());
        child.reap();
        Process(leader).ended().await;
    }
}
