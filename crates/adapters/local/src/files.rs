//! What the adapters that keep files share: private folders, work that blocks, and failures in words.
//!
//! What must not be here: anything that knows what a file is for.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use wharf_domain::{Code, Failure};

/// What only this user may enter.
const FOLDER_MODE: u32 = 0o700;
/// The same, and a group may pass through without seeing what is in it: the user of a managed database server does, on the way to its own folder. Closed, it
/// would end that server at its next checkpoint.
const PASSABLE_MODE: u32 = 0o710;
/// What only this user may read.
const FILE_MODE: u32 = 0o600;

/// Makes a folder, and those above it, that only this user may enter. One that is there already loses the rights of others.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    make_or_close(path, &[FOLDER_MODE])
}

fn make_or_close(path: &Path, good: &[u32]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && !good.contains(&mode) {
        fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE))?;
    }
    Ok(())
}

/// The data directory as an absolute path: children have another working directory, and databases' URLs name files by it.
pub(crate) fn data_directory(path: &Path) -> Result<PathBuf, Failure> {
    let unusable = |error: io::Error| failure(Code::DataDirectory, "use", path, &error);
    make_or_close(path, &[FOLDER_MODE, PASSABLE_MODE]).map_err(unusable)?;
    let absolute = fs::canonicalize(path).map_err(unusable)?;
    if absolute.to_str().is_none() {
        return Err(Failure::new(
            Code::DataDirectory,
            format!("the path of the data directory {} is not valid UTF-8", path.display()),
        )
        .hint("choose another one with --data-dir"));
    }
    Ok(absolute)
}

/// "cannot {doing} {path}: {why}", with a hint where the reason has a remedy.
pub(crate) fn failure(code: Code, doing: &str, path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(code, format!("cannot {doing} {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.hint("free some room on that disk"),
        io::ErrorKind::PermissionDenied => failure.hint("give the user that runs Wharf the right to do so"),
        io::ErrorKind::ReadOnlyFilesystem => failure.hint("mount that disk so that it can be written"),
        _ => failure,
    }
}

/// Writes a file that only this user may read; one that is there keeps the rights that it has.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    options.open(path)?.write_all(bytes)
}

/// Makes a folder's entries outlast a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Whether something is there, be it a dangling link.
pub(crate) fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// `Ok` also if it was gone already.
pub(crate) fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Does work that may wait for a disk where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure::internal(format!("work on files ended early: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_folder_is_closed_to_others_even_if_it_was_open() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a/b");
        private_folder(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_data_directory_that_a_group_may_pass_through_stays_so_and_a_readable_one_is_closed() {
        let base = tempfile::tempdir().unwrap();
        let mode = |mode| {
            fs::set_permissions(base.path(), fs::Permissions::from_mode(mode)).unwrap();
            data_directory(base.path()).unwrap();
            fs::metadata(base.path()).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(0o710), 0o710);
        for open in [0o711, 0o750, 0o755, 0o777] {
            assert_eq!(mode(open), 0o700, "{open:o}");
        }
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_says_why() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = data_directory(&file.join("data")).unwrap_err();
        assert_eq!(failure.code, Code::DataDirectory);
        assert!(failure.message.contains("Not a directory"), "{}", failure.message);
    }
}
