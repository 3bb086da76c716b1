//! A Docker Engine for the suite `docker` and for the benchmark of that name, and for nobody else: its data, its socket and its processes are its own,
//! and end with the run. What is
//! done with it is for the tests.
//!
//! What must not be here: the machine's own Docker, if it has one.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{error::Error, workspace::Workspace};

/// By this variable of the environment tests find it.
const HOST_VARIABLE: &str = "WHARF_TEST_DOCKER_HOST";
/// How long it may take to answer, and to end.
const PATIENCE: Duration = Duration::from_mins(1);
/// The addresses of the tests' networks. Tests with engines of their own give those from 10.200 on.
const ADDRESSES: &str = "base=10.180.0.0/16,size=24";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Engine {
    /// In the system's folder for what is temporary: the path of a socket is short.
    folder: PathBuf,
    child: Child,
    host: OsString,
}

impl Engine {
    pub(crate) fn start(workspace: &Workspace) -> Result<Self, Error> {
        let folder = env::temp_dir().join(format!("wharf-docker-{}", process::id()));
        let failed = |source| Error::Read {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let log = File::create(folder.join("log")).map_err(failed)?;
        let mut host = OsString::from("unix://");
        host.push(folder.join("socket"));
        let mut command = workspace.program("dockerd");
        for (flag, place) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(folder.join(place));
        }
        // Each test has networks of its own, more of them at once than Docker usually has addresses for.
        command
            .args(["--bridge", "none", "--default-address-pool", ADDRESSES, "--host"])
            .arg(&host);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|source| Error::Start {
            program: "dockerd".to_owned(),
            source,
        })?;
        let mut engine = Self { folder, child, host };
        engine.until_it_answers()?;
        Ok(engine)
    }

    pub(crate) fn variable(&self) -> (&'static str, &OsStr) {
        (HOST_VARIABLE, &self.host)
    }

    fn until_it_answers(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if ping(&self.folder.join("socket")).is_ok_and(|answer| answer.contains("200 OK")) {
                return Ok(());
            }
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            thread::park_timeout(PAUSE);
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(3).collect();
        Err(Error::Failed {
            command: format!("dockerd (it needs root, and iptables): {}", last.join(" | ")),
        })
    }

    /// What tests that failed have left.
    fn clear(&self) {
        let ask = |words: &[&str]| {
            let mut command = Command::new("docker");
            command.arg("--host").arg(&self.host).args(words);
            command.stdin(Stdio::null()).stderr(Stdio::null()).output()
        };
        let left = ask(&["ps", "--all", "--quiet"])
            .map(|listed| listed.stdout)
            .unwrap_or_default();
        let left = String::from_utf8_lossy(&left);
        let left: Vec<&str> = left.split_whitespace().collect();
        if !left.is_empty() {
            let _ = ask(&[&["rm", "--force"], left.as_slice()].concat());
        }
        let _ = ask(&["network", "prune", "--force"]);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.clear();
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            thread::park_timeout(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        unmount(&self.folder);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ping(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What an engine that did not end in order leaves mounted.
fn unmount(folder: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let inside = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut inside: Vec<&str> = inside.filter(|mount| Path::new(mount).starts_with(folder)).collect();
    inside.reverse();
    for mount in inside {
        let _ = Command::new("umount").arg("--lazy").arg(mount).status();
    }
}
