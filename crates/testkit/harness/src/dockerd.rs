//! A Docker Engine that a test may take away: in a folder of its own, with a containerd of its own, as a system's services are, which outlives a Docker
//! that is killed. It takes root.

use rustix::process::Signal;
use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

use crate::{
    processes::{self, send},
    wait::eventually,
};

/// For one of several on a machine: there is one firewall for all of them, and each takes it for its own.
pub const BESIDE_OTHERS: &[&str] = &["--iptables=false", "--ip-masq=false"];

#[derive(Debug)]
pub struct Engine {
    folder: TempDir,
    options: &'static [&'static str],
    containerd: Child,
    dockerd: Option<Child>,
}

impl Engine {
    /// One that answers. `options` are for `dockerd`.
    pub async fn with(options: &'static [&'static str]) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"), options).await
    }

    /// The same, with its data on a disk of their own of this size, in memory.
    pub async fn on_a_disk_of(mebibytes: u32, options: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&data)
            .status();
        assert!(mounted.expect("mount").success(), "mounting takes root");
        Self::in_folder(folder, options).await
    }

    async fn in_folder(folder: TempDir, options: &'static [&'static str]) -> Self {
        let mut command = Command::new("containerd");
        for (flag, place) in [
            ("--root", "containers"),
            ("--state", "state"),
            ("--address", "containerd"),
        ] {
            command.arg(flag).arg(folder.path().join(place));
        }
        command.stdout(Stdio::null()).stderr(log(folder.path()));
        let containerd = command.spawn().expect("containerd, which the suite installs");
        let mut engine = Self {
            folder,
            options,
            containerd,
            dockerd: None,
        };
        engine.start().await;
        engine
    }

    /// Where its API is, as `DOCKER_HOST` says it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// Where its images and containers are.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts Docker again, and waits until it answers.
    pub async fn start(&mut self) {
        let mut command = Command::new("dockerd");
        for (flag, place) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
            ("--containerd", "containerd"),
        ] {
            command.arg(flag).arg(self.folder.path().join(place));
        }
        command
            .args(["--host", &self.host(), "--bridge", "none"])
            .args(["--default-address-pool", &addresses()])
            .args(self.options)
            .stdout(Stdio::null())
            .stderr(log(self.folder.path()));
        self.dockerd = Some(command.spawn().expect("dockerd, which the suite installs"));
        let socket = self.folder.path().join("socket");
        eventually("Docker answers", async || {
            ping(&socket).filter(|answer| answer.contains("200 OK"))
        })
        .await;
    }

    /// As a crash, or as `systemctl stop docker`.
    pub fn end(&mut self, crash: bool) {
        let Some(mut dockerd) = self.dockerd.take() else { return };
        send(dockerd.id(), if crash { Signal::KILL } else { Signal::TERM });
        let _ = dockerd.wait();
        // The next one does not start over what looks like a living one.
        let _ = fs::remove_file(self.folder.path().join("pid"));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("Docker's log, from its end: {last:#?}");
        }
        self.end(false);
        send(self.containerd.id(), Signal::TERM);
        let _ = self.containerd.wait();
        end_shims(self.folder.path());
        unmount(self.folder.path());
    }
}

/// Addresses that no other engine of this machine gives.
fn addresses() -> String {
    format!("base=10.{}.0.0/16,size=24", 200 + std::process::id() % 50)
}

fn log(folder: &Path) -> File {
    let mut options = File::options();
    options
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log")
}

fn ping(socket: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// What a Docker that was not there any more could not end: its containers' keepers, and what they keep.
fn end_shims(folder: &Path) {
    let folder = folder.display().to_string();
    let keepers = processes::find(|process| {
        process.command.contains("containerd-shim") && process.command.contains(folder.as_str())
    });
    for keeper in keepers {
        let children = format!("/proc/{0}/task/{0}/children", keeper.pid);
        let children = fs::read_to_string(children).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            send(child, Signal::KILL);
        }
        keeper.kill();
    }
}

fn unmount(folder: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let inside = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut inside: Vec<&str> = inside.filter(|mount| Path::new(mount).starts_with(folder)).collect();
    inside.reverse();
    for mount in inside {
        let _ = Command::new("umount").arg("--lazy").arg(mount).status();
    }
}
