//! The folder that a run works in. It is on the disk of the target folder, because a `/tmp` in memory would make every fsync free.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use crate::Result;

/// What leftovers of runs that were killed are told by.
const PREFIX: &str = "scratch-";

/// The scratch folder of this run, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
    /// Held as long as the run lasts: two at once would measure each other.
    _lock: File,
}

impl Scratch {
    /// Makes it below `root`, and removes what killed runs have left there.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        fs::create_dir_all(root)?;
        let lock = File::create(root.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err("another run is under way, and would be measured too".into()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self {
            folder: tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A new, empty folder in it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        Ok(tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(self.path())?
            .keep())
    }
}
