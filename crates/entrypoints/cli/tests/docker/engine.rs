//! A Docker Engine as its own command line shows it; and one that a test may take away.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};
use tempfile::TempDir;

use crate::harness::eventually;

const HOST_VARIABLE: &str = "WHARF_TEST_DOCKER_HOST";
const PROGRAM: &str = env!("CARGO_BIN_EXE_wharf");
const IMAGE: &str = "wharf-test-shop";

/// The command line of one Docker.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    pub(crate) host: String,
}

impl Docker {
    /// The suite's.
    pub(crate) fn of_the_suite() -> Self {
        let host = std::env::var(HOST_VARIABLE)
            .unwrap_or_else(|_| panic!("{HOST_VARIABLE} says no Docker: run `cargo xtask test --suite docker`"));
        Self { host }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(&self.host).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// What it prints, if it succeeds.
    pub(crate) fn try_run(&self, words: &[&str]) -> Option<String> {
        let ran = self.command(words).output().expect("docker, which the suite installs");
        ran.status
            .success()
            .then(|| String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    }

    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let ran = self.command(words).output().expect("docker, which the suite installs");
        assert!(
            ran.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Names of an instance's containers that run.
    pub(crate) fn running(&self, instance: &str) -> Vec<String> {
        self.lines(&["ps", "--filter", &named(instance), "--format", "{{.Names}}"])
    }

    /// Names of an instance's containers, however they are.
    pub(crate) fn all(&self, instance: &str) -> Vec<String> {
        self.lines(&["ps", "--all", "--filter", &named(instance), "--format", "{{.Names}}"])
    }

    /// The only container of an instance that runs.
    #[track_caller]
    pub(crate) fn container(&self, instance: &str) -> String {
        let [name] = <[String; 1]>::try_from(self.running(instance)).expect("one container");
        name
    }

    /// Ids of a deployment's containers that were started ahead and are nobody's.
    pub(crate) fn waiting(&self, deployment: &str) -> Vec<String> {
        let named = format!("name=^/?wharf-{deployment}-warm-");
        self.lines(&["ps", "--no-trunc", "--quiet", "--filter", &named])
    }

    fn lines(&self, words: &[&str]) -> Vec<String> {
        self.run(words).lines().map(str::to_owned).collect()
    }

    pub(crate) fn inspect(&self, container: &str, format: &str) -> String {
        self.run(&["inspect", "--format", format, container])
    }

    /// Removes everything that carries a deployment's mark.
    pub(crate) fn clear(&self, deployment: &str) {
        let label = format!("label=wharf.deployment={deployment}");
        for container in self
            .try_run(&["ps", "--all", "--quiet", "--filter", &label])
            .unwrap_or_default()
            .lines()
        {
            let _ = self.try_run(&["rm", "--force", "--volumes", container]);
        }
        let _ = self.try_run(&["network", "prune", "--force", "--filter", &label]);
    }

    /// The image of the shop: this very program, and the libraries that it is loaded with.
    pub(crate) fn shop(&self) -> String {
        let built = fs::metadata(PROGRAM).expect("the program");
        let age = built
            .modified()
            .ok()
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let name = format!("{IMAGE}:{:x}-{:x}", built.len(), age.unwrap_or_default().as_nanos());
        if self.try_run(&["image", "inspect", &name]).is_some() {
            return name;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        let put = |from: &Path, inside: &Path| {
            let to = root.join(inside.strip_prefix("/").unwrap_or(inside));
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(from, to).expect("copied");
        };
        put(Path::new(PROGRAM), Path::new("wharf"));
        for library in libraries(Path::new(PROGRAM)) {
            put(&library, &library);
        }
        // In a container the whole of the network is the application's own.
        let dockerfile =
            "FROM scratch\nCOPY root /\nENV HOST=0.0.0.0\nENTRYPOINT [\"/wharf\", \"storefront\"]\nEXPOSE 8000\n";
        fs::write(folder.path().join("Dockerfile"), dockerfile).expect("written");
        let context = folder.path().to_str().expect("UTF-8");
        self.run(&["build", "--quiet", "--tag", &name, context]);
        name
    }
}

/// An instance's containers, by their names: labels do not say whose it became that was started ahead.
fn named(instance: &str) -> String {
    format!("name=^/?wharf-.*-{instance}-")
}

/// What a program is loaded with, by absolute paths.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let words = text.split_whitespace();
    words.filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// An engine of the test's own, with a containerd of its own, as a system's services are: it outlives a Docker that is killed.
pub(crate) struct Engine {
    folder: TempDir,
    options: &'static [&'static str],
    containerd: Child,
    dockerd: Option<Child>,
}

/// It does not touch the firewall: there is one for all engines of a machine, and each takes it for its own.
const BESIDE_OTHERS: &[&str] = &["--iptables=false", "--ip-masq=false"];

impl Engine {
    /// One of several on this machine.
    pub(crate) async fn new() -> Self {
        Self::with(BESIDE_OTHERS).await
    }

    pub(crate) async fn with(options: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
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
            .expect("containerd, which the suite installs");
        let mut engine = Self {
            folder,
            options,
            containerd,
            dockerd: None,
        };
        engine.start().await;
        engine
    }

    pub(crate) fn docker(&self) -> Docker {
        Docker {
            host: format!("unix://{}/socket", self.folder.path().display()),
        }
    }

    pub(crate) async fn start(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let docker = self.docker();
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--containerd")
            .arg(at("containerd"))
            .args(["--host", &docker.host, "--bridge", "none"])
            .args(["--default-address-pool", &addresses()])
            .args(self.options)
            .stdout(Stdio::null())
            .stderr(log(self.folder.path()))
            .spawn()
            .expect("dockerd, which the suite installs");
        self.dockerd = Some(child);
        eventually("Docker answers", async || docker.try_run(&["version"])).await;
    }

    /// As a crash, or as `systemctl stop docker`.
    pub(crate) fn end(&mut self, crash: bool) {
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
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let inside = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let mut inside: Vec<&str> = inside
            .filter(|mount| Path::new(mount).starts_with(self.folder.path()))
            .collect();
        inside.reverse();
        for mount in inside {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
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
