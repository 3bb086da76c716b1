//! Which processes there are, and whose: what `/proc` tells.

use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path};

/// Marks what a test starts, by its folder. It does not reach the tasks, which get an environment of their own.
pub const MARK: &str = "TEST_FOLDER";

/// A process that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub environment: Vec<String>,
    pub command: String,
}

impl Process {
    /// The value of a variable of its environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn kill(&self) {
        send(self.pid, Signal::KILL);
    }

    /// It is there, and does nothing any more.
    pub fn freeze(&self) {
        send(self.pid, Signal::STOP);
    }
}

/// Sends a signal to a process, if it is still there.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes that `wanted` takes.
pub(crate) fn find(wanted: impl Fn(&Process) -> bool) -> Vec<Process> {
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| read(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(wanted)
        .collect()
}

/// `None`: it ended meanwhile, it waits for its parent to notice its end, or it is another user's.
fn read(pid: u32) -> Option<Process> {
    let folder = Path::new("/proc").join(pid.to_string());
    let words = |file: &str| -> Option<Vec<String>> {
        let bytes = fs::read(folder.join(file)).ok().filter(|bytes| !bytes.is_empty())?;
        Some(
            bytes
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty())
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect(),
        )
    };
    Some(Process {
        pid,
        environment: words("environ")?,
        command: words("cmdline").unwrap_or_default().join(" "),
    })
}

/// What a deployment started: all that carries a deployment's mark and lives in a folder of this data directory.
pub fn tasks(data: &Path) -> Vec<Process> {
    let home = format!("HOME={}/", data.join("instances").display());
    find(|process| {
        process.variable("WHARF_DEPLOYMENT").is_some()
            && process.environment.iter().any(|variable| variable.starts_with(&home))
    })
}

/// All that is there because of a test: its servers and clients, which its folder marks, and its tasks.
pub fn all(folder: &Path, data: &Path) -> Vec<Process> {
    let mark = format!("{}={}", MARK, folder.display());
    let mut all = find(|process| process.environment.contains(&mark));
    all.extend(tasks(data));
    all
}
