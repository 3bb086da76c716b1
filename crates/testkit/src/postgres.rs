//! A PostgreSQL server of a test's own, with nothing in it: in a temporary folder, on a free port of loopback and a socket of its own.
//!
//! `cargo xtask test --suite postgres` installs Debian's and says in `WHARF_TEST_POSTGRES` in which folder its programs are; so do other suites that need it. What must not be here: anything
//! of Wharf's. The server is what an operator would have.

use std::{
    env,
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Where its programs are.
const VARIABLE: &str = "WHARF_TEST_POSTGRES";
/// It is there after a tenth of a second, on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_mins(1);
/// The superuser's name and password.
const ADMIN: &str = "admin";
const PASSWORD: &str = "p@ss/word";

/// A server. Ends with this value, whatever it does.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    user: Option<(u32, u32)>,
    process: Option<Child>,
}

impl Postgres {
    /// Starts one, with these settings (`max_connections=10`) beside those of a test.
    ///
    /// # Panics
    /// Without the programs, saying how to get them, and when it does not start.
    #[must_use]
    pub fn start(settings: &[&str]) -> Self {
        let mut server = Self::prepare(settings);
        server.up();
        server
    }

    /// Its folder is made, and it does not run.
    ///
    /// # Panics
    /// As `start`.
    #[must_use]
    pub fn prepare(settings: &[&str]) -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().expect("a folder");
        let user = ordinary_user();
        // The server runs as somebody else where the test is root: it has to come to its own folder.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("an open folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        fs::write(folder.path().join("password"), PASSWORD).expect("a file");
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&data, Some(user), Some(group)).expect("its owner");
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).expect("its owner");
        }
        fs::set_permissions(&data, Permissions::from_mode(0o700)).expect("a closed folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let server = Self {
            programs,
            folder,
            port,
            settings: settings.iter().map(ToString::to_string).collect(),
            user,
            process: None,
        };
        let mut command = server.command("initdb");
        command
            .args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"])
            .args(["--auth=scram-sha-256", "--username", ADMIN, "--pwfile"])
            .arg(server.folder.path().join("password"))
            .arg("--pgdata")
            .arg(&data);
        succeeds(&command.output().expect("initdb"));
        server
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .stdin(Stdio::null())
            .current_dir(self.folder.path())
            // Another user's keys are not for the eyes of the one that it runs as.
            .env("HOME", self.folder.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn up(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let log = fs::File::create(self.folder.path().join("log")).expect("a log");
            let mut command = self.command("postgres");
            command
                .arg("-D")
                .arg(self.folder.path().join("data"))
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
                .args(["-c", &format!("port={}", self.port)])
                .args([
                    "-c",
                    &format!("unix_socket_directories={}", self.folder.path().display()),
                ])
                .stdout(log.try_clone().expect("the log"))
                .stderr(log);
            for setting in &self.settings {
                command.args(["-c", setting]);
            }
            let mut process = command.spawn().expect("postgres");
            while process.try_wait().expect("its state").is_none() {
                if self.answers() {
                    self.process = Some(process);
                    return;
                }
                assert!(Instant::now() < until, "PostgreSQL does not answer: {}", self.log());
                std::thread::park_timeout(Duration::from_millis(10));
            }
            // After a kill, what its children had in common takes a moment to go.
            assert!(Instant::now() < until, "PostgreSQL does not start: {}", self.log());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let mut command = self.command("pg_isready");
        command.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command.status().is_ok_and(|status| status.success())
    }

    /// What it said since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it as a restart of the service does: connections are cut.
    ///
    /// # Panics
    /// When it does not run.
    pub fn down(&mut self) {
        self.end("-INT");
    }

    /// Ends it as a loss of power does.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.end("-KILL");
    }

    fn end(&mut self, signal: &str) {
        let mut process = self.process.take().expect("it runs");
        let pid = process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill");
        assert!(sent.success());
        process.wait().expect("its end");
    }

    /// As its administrator reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgresql://{ADMIN}:p%40ss%2Fword@127.0.0.1:{}/postgres", self.port)
    }

    /// Its administrator's name and password.
    #[must_use]
    pub const fn administrator(&self) -> (&'static str, &'static str) {
        (ADMIN, PASSWORD)
    }

    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its programs.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// A folder that goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs statements as the administrator, by `psql`, and gives the rows: columns are parted by `|`.
    ///
    /// # Panics
    /// When they fail.
    #[must_use]
    pub fn ask(&self, database: &str, statements: &str) -> Vec<String> {
        let url = format!("postgresql://{ADMIN}@127.0.0.1:{}/{database}", self.port);
        self.try_ask(&url, PASSWORD, statements)
            .unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Runs statements as whoever the URL says; what was wrong with them otherwise.
    pub fn try_ask(&self, url: &str, password: &str, statements: &str) -> Result<Vec<String>, String> {
        let mut command = self.command("psql");
        command
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                url,
                "-c",
                statements,
            ])
            .env("PGPASSWORD", password);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(text(&output.stdout).lines().map(str::to_owned).collect())
        } else {
            Err(text(&output.stderr))
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Without `kill` its children, which clean up after it, would outlive the folder.
            let _ = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status();
            let _ = process.wait();
        }
    }
}

/// The folder of PostgreSQL's programs.
///
/// # Panics
/// Where the suite has not said it.
#[must_use]
pub fn programs() -> PathBuf {
    env::var_os(VARIABLE).map_or_else(
        || panic!("{VARIABLE} is not set: run these tests by `cargo xtask test --suite postgres`"),
        PathBuf::from,
    )
}

/// PostgreSQL does not run as root: its own user does it then, which Debian's package makes.
fn ordinary_user() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").expect("what we are");
    let is_root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !is_root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users");
    let fields: Vec<_> = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == "postgres")
        .expect("the user postgres, as Debian's package makes it");
    Some((fields[2].parse().expect("a user"), fields[3].parse().expect("a group")))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}
