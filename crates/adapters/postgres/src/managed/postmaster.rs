//! The server's first process: one that was started here, or one that an earlier Wharf left behind.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{fs, path::Path, time::Duration};
use tokio::{process::Child, time::sleep};
use wharf_domain::Failure;

/// Between two looks at a process that is not our child.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) enum Postmaster {
    Child { child: Child, pid: Pid },
    Left { pid: Pid },
}

impl Postmaster {
    pub(super) fn of(child: Child) -> Result<Self, Failure> {
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| Failure::internal("a process that was just started has no number"))?;
        Ok(Self::Child { child, pid })
    }

    /// The one that runs on this cluster already. A file whose process is another program's by now is removed: PostgreSQL itself could not tell.
    pub(super) fn left(cluster: &Path) -> Result<Option<Self>, Failure> {
        let file = cluster.join("postmaster.pid");
        let Some(pid) = fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.lines().next()?.trim().parse().ok())
            .and_then(Pid::from_raw)
        else {
            return Ok(None);
        };
        if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            return Ok(None);
        }
        if is_in(pid, cluster) {
            return Ok(Some(Self::Left { pid }));
        }
        if cfg!(target_os = "linux") {
            fs::remove_file(&file)
                .map_err(|error| Failure::internal(format!("{} cannot be removed: {error}", file.display())))?;
        }
        Ok(None)
    }

    pub(super) const fn pid(&self) -> i32 {
        match self {
            Self::Child { pid, .. } | Self::Left { pid } => pid.as_raw_nonzero().get(),
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        match self {
            Self::Child { child, .. } => !matches!(child.try_wait(), Ok(None)),
            Self::Left { pid } => is_over(*pid),
        }
    }

    /// Returns when it has ended.
    pub(super) async fn wait(&mut self) {
        match self {
            Self::Child { child, .. } => {
                let _ = child.wait().await;
            }
            Self::Left { pid } => {
                while !is_over(*pid) {
                    sleep(LOOK).await;
                }
            }
        }
    }

    /// "Fast" first, as PostgreSQL calls it: connections are cut, what is in memory is written. After the grace at once.
    pub(super) async fn end(&mut self, grace: Duration) {
        for (signal, time) in [
            (Signal::INT, grace),
            (Signal::QUIT, grace.max(LOOK)),
            (Signal::KILL, LOOK),
        ] {
            if self.has_ended() {
                return;
            }
            self.send(signal);
            if tokio::time::timeout(time, self.wait()).await.is_ok() {
                return;
            }
        }
    }

    fn send(&self, signal: Signal) {
        let (Self::Child { pid, .. } | Self::Left { pid }) = self;
        let _ = kill_process(*pid, signal);
    }
}

/// Whether it runs no more. One that has ended stays in the list of processes until its parent looks, and not every first process of a container ever does.
fn is_over(pid: Pid) -> bool {
    let is_waited_for = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The name stands in parentheses, and may have some of its own.
        let (_, after) = stat.rsplit_once(')')?;
        Some(after.trim_start().starts_with('Z'))
    };
    test_kill_process(pid) == Err(rustix::io::Errno::SRCH) || is_waited_for() == Some(true)
}

/// "Fast", without waiting for it.
pub(super) fn ask_to_end(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::INT);
    }
}

/// A server's working directory is its cluster: that, and no number in a file, says that it is ours.
fn is_in(pid: Pid, cluster: &Path) -> bool {
    let works_in = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
    match (works_in, fs::canonicalize(cluster)) {
        (Ok(works_in), Ok(cluster)) => works_in == cluster,
        _ => false,
    }
}
