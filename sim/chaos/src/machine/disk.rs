//! A disk that can be filled: a small file system in a mount name space of this program's own, or, where none may be mounted, a limit to the size of files.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{
    fmt, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};
use wharf_harness::disk;

use crate::arguments::Disk;

/// Says to the program that it is in a name space of its own.
const CONFINED: &str = "WHARF_CHAOS_CONFINED";
/// Room for a registry, some shops and their logs, and soon full.
const MEBIBYTES: u32 = 96;

/// Goes on in a name space in which a disk may be mounted, if this user may have one. There, it is gone with the last process, however that ends.
pub(crate) fn confine(disk: Disk) -> Result<(), String> {
    if disk != Disk::Small || std::env::var_os(CONFINED).is_some() {
        return Ok(());
    }
    let probe = tempfile::tempdir().map_err(|error| format!("a folder cannot be made: {error}"))?;
    let Some([unshare, options @ ..]) = disk::allowed(probe.path()) else {
        return Ok(());
    };
    let own = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    drop(probe);
    let error = Command::new(unshare)
        .args(options)
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(CONFINED, "1")
        .exec();
    Err(format!("{unshare} cannot be run: {error}"))
}

/// How a disk is filled.
pub(super) enum Room {
    /// A file system of its own, with a file that takes what is left.
    Small {
        ballast: PathBuf,
    },
    /// Processes whose files cannot grow.
    Limited {
        limited: Vec<u32>,
    },
    Real,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small { .. } => write!(f, "a file system of {MEBIBYTES} MiB"),
            Self::Limited { .. } => f.write_str("a limit to files' sizes stands for a full disk"),
            Self::Real => f.write_str("a disk that is not filled"),
        }
    }
}

impl Room {
    pub(super) fn new(disk: Disk, data: &Path) -> Result<Self, String> {
        match disk {
            Disk::Real => Ok(Self::Real),
            Disk::Small if std::env::var_os(CONFINED).is_some() => {
                let mounted = Command::new("sh")
                    .args(["-c", &disk::mount(MEBIBYTES)])
                    .arg(data)
                    .output()
                    .map_err(|error| format!("nothing can be mounted: {error}"))?;
                if !mounted.status.success() {
                    return Err(format!(
                        "nothing can be mounted: {}",
                        String::from_utf8_lossy(&mounted.stderr)
                    ));
                }
                Ok(Self::Small {
                    ballast: data.join("ballast"),
                })
            }
            Disk::Small | Disk::Limited => Ok(Self::Limited { limited: Vec::new() }),
        }
    }

    /// Whether the server has to be started so that the limit's signal does not kill it.
    pub(super) const fn needs_a_shield(&self) -> bool {
        matches!(self, Self::Limited { .. })
    }

    /// `false`: it cannot be filled.
    pub(super) fn fill(&mut self, processes: &[u32]) -> Result<bool, String> {
        match self {
            Self::Real => Ok(false),
            Self::Small { ballast } => {
                disk::fill(ballast).map_err(|error| format!("the disk cannot be filled: {error}"))?;
                Ok(true)
            }
            Self::Limited { limited } => {
                limited.extend(processes.iter().copied().filter(|pid| limit(*pid, Some(0))));
                Ok(!limited.is_empty())
            }
        }
    }

    /// `processes` may have been started with the limit of those that started them.
    pub(super) fn make(&mut self, processes: &[u32]) -> Result<(), String> {
        match self {
            Self::Real => Ok(()),
            Self::Small { ballast } => match fs::remove_file(ballast) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(format!("no room can be made: {error}"))
                }
                _ => Ok(()),
            },
            Self::Limited { limited } => {
                for pid in limited.drain(..).chain(processes.iter().copied()) {
                    limit(pid, None);
                }
                Ok(())
            }
        }
    }

    /// Copies what would be gone with the name space.
    pub(super) fn save(&self, data: &Path, folder: &Path) {
        if let Self::Small { .. } = self {
            let _ = Command::new("cp")
                .arg("-a")
                .arg(data)
                .arg(folder.join("data-at-the-end"))
                .status();
        }
    }

    /// The folder that was mounted over can be removed again.
    pub(super) fn give_back(&mut self) {
        if let Self::Small { ballast } = self
            && let Some(data) = ballast.parent()
        {
            let _ = Command::new("umount").arg("--lazy").arg(data).status();
        }
    }
}

/// Sets how large files may become that a process writes. It may be gone.
fn limit(pid: u32, bytes: Option<u64>) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    let wanted = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Some(pid), Resource::Fsize, wanted).is_ok()
}
