//! The data directory: what lies where, who may read it, and who runs on it.
//!
//! ```text
//! .wharf/
//!   lock           held by the server that runs here; its pid is in it
//!   server.json    where that server listens (there only while it runs)
//!   registry.db    every instance, its history, its journal
//!   admin-token    what the CLI and operators show the API
//!   token-key      what status and password links are derived from
//!   secrets/ databases/ instances/ mail/ warm/
//! ```

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, test_kill_process},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{ErrorKind, Read, Seek, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use wharf_domain::{Code, Failure};
use wharf_saga::Ids;

/// What an admin token begins with: the edge takes what does out of what it passes on.
pub(crate) const TOKEN_PREFIX: &str = "wharf_";

/// How long the lock of a server that was killed may outlive it: a child that it was about to start has it too, for the moment until
/// that is a program of its own, or dead.
const OUTLIVED: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// The server that runs on a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    /// Where its API is.
    pub(crate) url: String,
}

/// The exclusive right to a data directory, for as long as it lives.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
    server: PathBuf,
}

impl Drop for DataLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.server);
    }
}

impl Layout {
    pub(crate) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What containers that were started ahead are told.
    pub(crate) fn warm(&self) -> PathBuf {
        self.root.join("warm")
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.root.join("registry.db")
    }

    /// Makes the directory, readable by its owner alone, and takes it for this process.
    pub(crate) fn take(&self) -> Result<DataLock, Failure> {
        let refuse = |what: &str, error: std::io::Error| unusable(&self.root, what, &error);
        fs::create_dir_all(&self.root).map_err(|error| refuse("made", error))?;
        self.close().map_err(|error| refuse("made private", error))?;
        let mut file = private()
            .read(true)
            .create(true)
            .truncate(false)
            .open(self.root.join("lock"))
            .map_err(|error| refuse("locked", error))?;
        if let Err(pid) = lock(&mut file) {
            let who = if pid.is_empty() {
                String::new()
            } else {
                format!(" (pid {pid})")
            };
            return Err(Failure::new(
                Code::ServerRunning,
                format!("another server{who} runs on {}", self.root.display()),
            )
            .hint("use that one, end it, or choose another folder with --data-dir"));
        }
        let pid = std::process::id();
        file.rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| writeln!(file, "{pid}"))
            .map_err(|error| refuse("written", error))?;
        Ok(DataLock {
            _file: file,
            server: self.root.join("server.json"),
        })
    }

    /// Nobody else sees what is in the directory. Who was let pass through it, as the user of a managed database server is, still passes: a server that the last run
    /// left behind would end of it.
    fn close(&self) -> std::io::Result<()> {
        let mode = fs::metadata(&self.root)?.permissions().mode() & 0o777;
        if mode != 0o710 {
            fs::set_permissions(&self.root, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// Tells clients where the server is.
    pub(crate) fn announce(&self, running: &Running) -> Result<(), Failure> {
        let json = serde_json::to_vec(running).map_err(|error| Failure::internal(error.to_string()))?;
        self.put("server.json", &json)
    }

    /// The server that runs here, if one does.
    pub(crate) fn running(&self) -> Option<Running> {
        let running: Running = serde_json::from_slice(&fs::read(self.root.join("server.json")).ok()?).ok()?;
        // A server that was killed leaves the file behind. (Trying the lock instead could get into the way of one that starts.)
        let pid = Pid::from_raw(i32::try_from(running.pid).ok()?)?;
        match test_kill_process(pid) {
            Err(rustix::io::Errno::SRCH) => None,
            _ => Some(running),
        }
    }

    /// Whether the directory can be used, without changing it.
    pub(crate) fn examine(&self) -> Result<(), Failure> {
        let existing = self
            .root
            .ancestors()
            .find(|folder| !folder.as_os_str().is_empty() && folder.exists())
            .unwrap_or_else(|| Path::new("."));
        rustix::fs::access(existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .map_err(|error| unusable(existing, "written", &error.into()))?;
        if !existing.is_dir() {
            return Err(unusable(
                existing,
                "used",
                &std::io::Error::from(ErrorKind::NotADirectory),
            ));
        }
        Ok(())
    }

    /// The admin token, if there is one that we may read.
    pub(crate) fn admin_token(&self) -> Option<SecretString> {
        let text = fs::read_to_string(self.root.join("admin-token")).ok()?;
        Some(SecretString::from(text.trim().to_owned()))
    }

    /// The admin token, made at the first start.
    pub(crate) fn make_admin_token(&self, ids: &dyn Ids) -> Result<SecretString, Failure> {
        if let Some(token) = self
            .admin_token()
            .filter(|token| token.expose_secret().len() > TOKEN_PREFIX.len() + 16)
        {
            return Ok(token);
        }
        let token = SecretString::from(format!("{TOKEN_PREFIX}{}", hex::<24>(ids)));
        self.put("admin-token", format!("{}\n", token.expose_secret()).as_bytes())?;
        Ok(token)
    }

    /// Puts an admin token that was made elsewhere where clients on this machine look for it.
    pub(crate) fn keep_admin_token(&self, token: &SecretString) -> Result<(), Failure> {
        self.put("admin-token", format!("{}\n", token.expose_secret()).as_bytes())
    }

    /// The key that links are derived from, made at the first start.
    pub(crate) fn make_token_key(&self, ids: &dyn Ids) -> Result<[u8; 32], Failure> {
        let path = self.root.join("token-key");
        match fs::read(&path) {
            Ok(bytes) => <[u8; 32]>::try_from(bytes).map_err(|_| {
                Failure::new(Code::DataDirectory, format!("{} has not the 32 bytes that it should", path.display()))
                    .hint("restore it from a backup; without it, links that were sent do not work any more (remove the file to go on without)")
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut key = [0; 32];
                ids.fill(&mut key);
                self.put("token-key", &key)?;
                Ok(key)
            }
            Err(error) => Err(unusable(&path, "read", &error)),
        }
    }

    /// Writes a private file whole or not at all.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (path, next) = (self.root.join(name), self.root.join(format!("{name}.new")));
        let write = || {
            let _ = fs::remove_file(&next);
            let mut file = private().create_new(true).open(&next)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&next, &path)?;
            File::open(&self.root)?.sync_all()
        };
        write().map_err(|error| unusable(&path, "written", &error))
    }
}

/// Takes the lock, or gives the pid of the server that has it, as far as that is known.
fn lock(file: &mut File) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        if flock(&*file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(());
        }
        let mut pid = String::new();
        let _ = file.rewind().and_then(|()| file.read_to_string(&mut pid));
        let pid = pid.trim().to_owned();
        let holder = pid.parse().ok().and_then(Pid::from_raw);
        let is_dead = holder.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH));
        if !is_dead || begun.elapsed() > OUTLIVED {
            return Err(pid);
        }
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Readable and writable by the owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn hex<const N: usize>(ids: &dyn Ids) -> String {
    let mut bytes = [0; N];
    ids.fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

fn unusable(path: &Path, what: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        Code::DataDirectory,
        format!("{} cannot be {what}: {error}", path.display()),
    )
    .hint("give this user the right to write there, make room, or choose another folder with --data-dir")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_local::OsIds;

    #[test]
    fn a_second_server_is_told_the_first_ones_pid() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().join("data"));
        let lock = layout.take().expect("free");
        let failure = layout.take().expect_err("taken");
        assert_eq!(failure.code, Code::ServerRunning);
        assert!(
            failure.message.contains(&format!("pid {}", std::process::id())),
            "{failure}"
        );
        drop(lock);
        layout.take().expect("free again");
    }

    #[test]
    fn a_file_of_a_dead_server_is_no_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().to_owned());
        let _lock = layout.take().expect("free");
        let mut running = Running {
            pid: std::process::id(),
            url: "http://localhost:1".into(),
        };
        layout.announce(&running).expect("written");
        assert_eq!(layout.running(), Some(running.clone()));
        let mut child = std::process::Command::new("true").spawn().expect("a child");
        child.wait().expect("its end");
        running.pid = child.id();
        layout.announce(&running).expect("written");
        assert_eq!(layout.running(), None);
    }

    #[test]
    fn tokens_are_private_and_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().to_owned());
        let token = layout.make_admin_token(&OsIds).expect("made");
        assert_eq!(
            layout.make_admin_token(&OsIds).expect("read").expose_secret(),
            token.expose_secret()
        );
        let key = layout.make_token_key(&OsIds).expect("made");
        assert_eq!(layout.make_token_key(&OsIds).expect("read"), key);
        for name in ["admin-token", "token-key"] {
            let mode = fs::metadata(folder.path().join(name))
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
