//! Started before anybody knows whose shop it will be: waits for the file that says so, and reads what otherwise the environment says.
//!
//! What must not be here: what the variables mean.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// By this variable the shop is told that it has to wait, and for which file: one object of JSON, names and values as strings, that appears
/// at once and whole.
const VARIABLE: &str = "WHARF_CONFIGURATION";
/// More than any environment has.
const FILE_MAX: u64 = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LateError {
    #[error("the file in {VARIABLE} cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("the file in {VARIABLE} has {0} bytes, and {FILE_MAX} are the most")]
    TooLong(u64),
    /// Without what is in it: that may be secret.
    #[error("the file in {VARIABLE} has to be one object of JSON with strings as its values")]
    Form,
}

pub(crate) type Variables = BTreeMap<String, String>;

/// The file to wait for, if the environment says that there is one.
pub(crate) fn path() -> Option<PathBuf> {
    std::env::var_os(VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Waits for the file, however long it takes, and reads it.
pub(crate) async fn variables(path: &Path) -> Result<Variables, LateError> {
    let changes = Changes::of(path.parent().unwrap_or(Path::new("/")))?;
    loop {
        match read(path) {
            Err(LateError::Read(error)) if error.kind() == ErrorKind::NotFound => changes.next().await?,
            read => return read,
        }
    }
}

/// One variable, as the environment would give it.
pub(crate) fn variable(variables: &Variables, name: &str) -> Option<OsString> {
    variables.get(name).map(OsString::from)
}

fn read(path: &Path) -> Result<Variables, LateError> {
    let length = fs::metadata(path)?.len();
    if length > FILE_MAX {
        return Err(LateError::TooLong(length));
    }
    serde_json::from_slice(&fs::read(path)?).map_err(|_| LateError::Form)
}

#[cfg(target_os = "linux")]
use watched::Changes;

/// The kernel tells of files that appear in a folder: nothing is asked again and again, however many shops wait.
#[cfg(target_os = "linux")]
mod watched {
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    use std::{
        io::{self, ErrorKind},
        path::Path,
    };
    use tokio::net::unix::pipe::Receiver;

    /// What the kernel tells can be read like a pipe.
    pub(super) struct Changes(Receiver);

    impl Changes {
        pub(super) fn of(folder: &Path) -> io::Result<Self> {
            let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let appears = WatchFlags::CREATE | WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO;
            add_watch(&watch, folder, appears)?;
            Receiver::from_owned_fd_unchecked(watch).map(Self)
        }

        /// Something has appeared, or has been written.
        pub(super) async fn next(&self) -> io::Result<()> {
            // Which one does not matter: whoever waits looks for himself. A name has 255 bytes at the most.
            let mut told = [0; 4096];
            loop {
                self.0.readable().await?;
                match self.0.try_read(&mut told) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    read => return read.map(drop),
                }
            }
        }
    }
}

/// Elsewhere it is looked for.
#[cfg(not(target_os = "linux"))]
struct Changes;

#[cfg(not(target_os = "linux"))]
impl Changes {
    fn of(_: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&self) -> io::Result<()> {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_waited_for_until_it_is_there_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("environment.json");
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { variables(&path).await }
        });
        tokio::task::yield_now().await;
        // Another file is not it.
        fs::write(folder.path().join("unfinished"), r#"{"PORT": "8000"}"#).unwrap();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        fs::rename(folder.path().join("unfinished"), &path).unwrap();
        let variables = waiting.await.unwrap().unwrap();
        assert_eq!(variable(&variables, "PORT"), Some(OsString::from("8000")));
        assert_eq!(variable(&variables, "HOST"), None);
    }

    #[tokio::test]
    async fn what_is_no_configuration_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("environment.json");
        for text in ["hunter2", r#"{"PORT": 8000}"#, r#"["hunter2"]"#] {
            fs::write(&path, text).unwrap();
            let error = variables(&path).await.unwrap_err();
            assert!(matches!(error, LateError::Form) && !error.to_string().contains("hunter2"));
        }
        fs::write(&path, vec![b' '; FILE_MAX as usize + 1]).unwrap();
        assert!(matches!(variables(&path).await.unwrap_err(), LateError::TooLong(_)));
        let nowhere = variables(&folder.path().join("none/file")).await;
        assert!(matches!(nowhere.unwrap_err(), LateError::Read(_)));
    }
}
