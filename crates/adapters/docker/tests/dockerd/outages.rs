//! Docker going away and coming back, with containers on it: one of the test's own, which nobody else uses.

use crate::site::{Site, open, spec, stopped};
use futures::StreamExt;
use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use wharf_domain::{Code, DeploymentId, service::RunSpec};
use wharf_platform::{TaskEvents, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::{eventually, soon};

/// A Docker Engine in a folder of its own, with a containerd of its own, as a system's services are: it outlives a Docker that is killed.
struct Engine {
    folder: TempDir,
    containerd: Child,
    dockerd: Option<Child>,
    flags: &'static [&'static str],
}

impl Engine {
    async fn new(flags: &'static [&'static str]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), flags).await
    }

    /// Its data on a disk of their own, in memory, which has room for the tests' image and little more.
    async fn on_a_small_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512m", "tmpfs"])
            .arg(&data)
            .status()
            .unwrap();
        assert!(mounted.success(), "the suite runs as root");
        Self::in_folder(folder, &[]).await
    }

    async fn in_folder(folder: TempDir, flags: &'static [&'static str]) -> Self {
        let at = |name: &str| folder.path().join(name);
        let containerd = Command::new("containerd")
            .arg("--root")
            .arg(at("containers"))
            .arg("--state")
            .arg(at("state"))
            .arg("--address")
            .arg(at("containerd"))
            .stdout(Stdio::null())
            .stderr(log(folder.path()))
            .spawn()
            .expect("containerd, which the suite `docker` installs");
        let mut engine = Self {
            folder,
            containerd,
            dockerd: None,
            flags,
        };
        engine.start().await;
        engine
    }

    fn host(&self) -> String {
        format!("unix://{}/socket", self.folder.path().display())
    }

    async fn start(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--containerd")
            .arg(at("containerd"))
            .args(["--host", &self.host(), "--bridge", "none"])
            .args([
                "--iptables=false",
                "--ip-masq=false",
                "--default-address-pool",
                &addresses(),
            ])
            .args(self.flags)
            .stdout(Stdio::null())
            .stderr(log(self.folder.path()))
            .spawn()
            .expect("dockerd, which the suite `docker` installs");
        self.dockerd = Some(child);
        let host = self.host();
        eventually("Docker answers", async || {
            let docker = bollard::Docker::connect_with_unix(&host, 5, bollard::API_DEFAULT_VERSION).ok()?;
            docker.negotiate_version().await.ok().map(drop)
        })
        .await;
    }

    /// As `systemctl stop docker`, or a crash.
    fn end(&mut self, crash: bool) {
        let Some(mut child) = self.dockerd.take() else { return };
        if crash {
            let _ = child.kill();
        } else {
            ask_to_end(&child);
        }
        let _ = child.wait();
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
        ask_to_end(&self.containerd);
        let _ = self.containerd.wait();
        end_shims(self.folder.path());
        unmount(self.folder.path());
    }
}

/// Addresses that no other engine of this machine gives. (Nor does it touch the firewall: there is one for all of them, and each takes it for its own.)
fn addresses() -> String {
    format!("base=10.{}.0.0/16,size=24", 200 + std::process::id() % 50)
}

fn log(folder: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap()
}

/// What a Docker that was not there any more could not end: its containers' keepers, and what they keep.
fn end_shims(folder: &Path) {
    let Some(folder) = folder.to_str() else { return };
    let pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for pid in pids {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        if !(words.contains("containerd-shim") && words.contains(folder)) {
            continue;
        }
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for pid in children.split_whitespace().chain([pid.to_string().as_str()]) {
            let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
        }
    }
}

fn ask_to_end(child: &Child) {
    let _ = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
}

fn unmount(folder: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let inside = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for mount in inside
        .filter(|mount| Path::new(mount).starts_with(folder))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        let _ = Command::new("umount").arg("--lazy").arg(mount).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_docker_ends_containers_and_that_is_told_as_no_fault_of_theirs() {
    let mut engine = Engine::new(&[]).await;
    for crash in [false, true] {
        let site = Site::on(engine.host()).await;
        let mut events = site.subscribe();
        let running = site.run(&["rest"]).await;
        engine.end(crash);
        let away = site.look(&running.0, &running.1).await.unwrap_err();
        assert_eq!(away.code, Code::DockerUnavailable, "{away}");
        assert!(away.code.is_outage() && away.hint.is_some());
        engine.start().await;
        let told = soon("its end is told", async {
            loop {
                let event = events.next().await.unwrap();
                if event.task == running.1 && !matches!(event.status, TaskStatus::Running { .. }) {
                    return event.status;
                }
            }
        })
        .await;
        let (cause, ..) = stopped(told);
        assert_eq!(cause.code, Code::TaskLost, "killed: {crash}: {cause}");
        // And it can be begun again.
        let next = site.run(&["rest"]).await;
        assert!(matches!(site.status(&next).await, TaskStatus::Running { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_live_through_a_restart_of_docker_are_heard_of_again() {
    let mut engine = Engine::new(&["--live-restore"]).await;
    let site = Site::on(engine.host()).await;
    let mut events = site.subscribe();
    let running = site.run(&["serve"]).await;
    let endpoint = site.endpoint(&running).await;
    engine.end(true);
    engine.start().await;
    let status = eventually("it runs", async || site.look(&running.0, &running.1).await.ok()).await;
    assert_eq!(
        status,
        TaskStatus::Running {
            endpoint: Some(endpoint)
        }
    );
    // Docker's events are heard again: what happens after the restart is told.
    let crashing = eventually("it is started", async || {
        let owner = site.owner();
        let run = RunSpec::Docker(site.task(&["crash"]));
        site.start(spec(&owner, run)).await.ok()
    })
    .await;
    soon("its end is told", async {
        loop {
            let event = events.next().await.unwrap();
            if event.task == crashing && matches!(event.status, TaskStatus::Stopped { .. }) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_as_such_and_starts_go_on_when_there_is_room_again() {
    let engine = Engine::on_a_small_disk().await;
    let site = Site::on(engine.host()).await;
    let running = site.run(&["rest"]).await;
    let filler = engine.folder.path().join("data/filler");
    let mut file = File::create(&filler).unwrap();
    let full = std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let owner = site.owner();
    let run = RunSpec::Docker(site.task(&["rest"]));
    let failure = site.start(spec(&owner, run.clone())).await.unwrap_err();
    assert_eq!(failure.code, Code::DockerDisk, "{failure}");
    assert!(failure.hint.unwrap().contains("docker system df"));
    assert!(
        matches!(site.status(&running).await, TaskStatus::Running { .. }),
        "who runs goes on"
    );
    let all = site.all(&[]).await.unwrap();
    assert_eq!(all, std::slice::from_ref(&running), "nothing is left of it");

    drop(file);
    fs::remove_file(&filler).unwrap();
    let started = site.start(spec(&owner, run)).await.unwrap();
    assert!(matches!(
        site.look(&owner, &started).await,
        Ok(TaskStatus::Running { .. })
    ));
}

#[tokio::test]
async fn no_docker_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let host = format!("unix://{}/none", folder.path().display());
    let deployment = DeploymentId::new([1; 10]);
    let failure = open(&host, &deployment, folder.path(), Vec::new()).await.unwrap_err();
    assert_eq!(failure.code, Code::DockerUnavailable, "{failure}");
    assert!(failure.hint.unwrap().contains("systemctl start docker"));
}
