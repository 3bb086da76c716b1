//! A Docker Engine as its own command line shows it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};
use wharf_harness::dockerd::Engine;

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

    /// One of the test's own.
    pub(crate) fn of(engine: &Engine) -> Self {
        Self { host: engine.host() }
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
