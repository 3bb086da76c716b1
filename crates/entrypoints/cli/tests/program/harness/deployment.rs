//! A deployment of a test's own: a folder, a configuration, the server that runs on them. It ends with the test, and a test
//! fails that leaves a process behind.

use futures::future::join_all;
use rustix::process::Signal;
use serde_json::Value;
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

use super::cli::{self, Following, Ran};
use wharf_harness::{
    Client, Ports,
    processes::{self, Process},
    wait::{PATIENCE, eventually_blocking, spin},
};

/// How long what was started may take to be gone, at the end of a test.
const LAST_PATIENCE: Duration = Duration::from_secs(20);

/// What a deployment is made of, before it runs.
pub(crate) struct Setup {
    folder: TempDir,
    pub(crate) ports: Ports,
    environment: Vec<(&'static str, String)>,
    wrapper: Vec<String>,
    console_host: &'static str,
    tenant_domain: &'static str,
}

/// A deployment, running or not.
pub(crate) struct Deployment {
    setup: Setup,
    server: Option<Child>,
    /// What the last start printed.
    pub(crate) up: Value,
}

/// How a server ended that was not to run.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            ports: Ports::claim(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            console_host: "localhost",
            tenant_domain: "localhost",
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// What is there because of this test.
    pub(crate) fn processes(&self) -> Vec<Process> {
        processes::all(self.folder(), &self.data())
    }

    fn config(&self) -> PathBuf {
        self.folder().join("wharf.toml")
    }

    /// With this configuration.
    pub(crate) fn configured(self, toml: &str) -> Self {
        fs::write(self.config(), toml).expect("a configuration");
        self
    }

    /// The server with one variable more.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// The server behind a command that executes it.
    pub(crate) fn behind(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Under the hosts that its configuration has.
    #[allow(dead_code, reason = "for the tests of the example of one server")]
    pub(crate) fn at(self, console_host: &'static str, tenant_domain: &'static str) -> Self {
        Self {
            console_host,
            tenant_domain,
            ..self
        }
    }

    pub(crate) fn not_running(self) -> Deployment {
        Deployment {
            setup: self,
            server: None,
            up: Value::Null,
        }
    }

    pub(crate) async fn up(self) -> Deployment {
        let mut deployment = self.not_running();
        deployment.up().await;
        deployment
    }
}

impl Deployment {
    /// One without a configuration, running.
    pub(crate) async fn new() -> Self {
        Setup::new().up().await
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.setup.data()
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.setup.ports.listen()
    }

    /// Replaces the configuration; it is read by the next start.
    pub(crate) fn configure(&self, toml: &str) {
        fs::write(self.setup.config(), toml).expect("a configuration");
    }

    /// One variable more, from the next start on.
    #[allow(dead_code, reason = "for the tests of the example of one server")]
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.setup.environment.push((name, value.to_owned()));
    }

    /// Starts the server, at the same address and on the same data each time.
    pub(crate) async fn up(&mut self) {
        if let Err(refused) = self.try_up().await {
            panic!("the server does not start: {refused:#?}");
        }
    }

    pub(crate) async fn try_up(&mut self) -> Result<(), Refused> {
        let listen = self.listen().to_string();
        self.try_up_with(&["--listen", &listen]).await
    }

    pub(crate) async fn try_up_with(&mut self, options: &[&str]) -> Result<(), Refused> {
        assert!(self.server.is_none(), "it runs already");
        let (server, up) = self.start(options).await?;
        self.server = Some(server);
        self.up = up;
        Ok(())
    }

    /// Starts so many servers at once, each at an address of its own. Gives how those ended that were refused.
    pub(crate) async fn race(&mut self, count: usize) -> Vec<Refused> {
        let starts = join_all((0..count).map(|_| self.start(&["--listen", "127.0.0.1:0"]))).await;
        let mut refused = Vec::new();
        for start in starts {
            match start {
                Ok((server, up)) => {
                    assert!(
                        self.server.is_none(),
                        "two servers run on the same data:\n{}",
                        self.log()
                    );
                    self.server = Some(server);
                    self.up = up;
                }
                Err(refusal) => refused.push(refusal),
            }
        }
        refused
    }

    /// A server that runs, and what it says; or how it ended.
    async fn start(&self, options: &[&str]) -> Result<(Child, Value), Refused> {
        let before = self.log().len();
        let mut command = self.command();
        command.args(["up", "--json"]).args(options);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(self.log_file())
            .spawn()
            .expect("the program starts");
        let mut stdout = child.stdout.take().expect("piped");
        let mut printed = Vec::new();
        let says = async {
            loop {
                if let Ok(value) = serde_json::from_slice::<Value>(&printed) {
                    return Some(value);
                }
                if stdout.read_buf(&mut printed).await.expect("its output") == 0 {
                    return None;
                }
            }
        };
        let said = timeout(PATIENCE, says)
            .await
            .unwrap_or_else(|_| panic!("it does not say that it is up:\n{}", self.log()));
        if let Some(up) = said {
            return Ok((child, up));
        }
        let status = timeout(PATIENCE, child.wait())
            .await
            .expect("it ends")
            .expect("its end");
        Err(Refused {
            code: status.code(),
            stderr: self.log()[before..].to_owned(),
        })
    }

    fn log_file(&self) -> File {
        let mut options = File::options();
        options.create(true).append(true);
        options.open(self.log_path()).expect("a log")
    }

    /// Starts the server, and kills it this long after: mostly before it could say that it is up.
    pub(crate) async fn up_for(&mut self, time: Duration) {
        let mut command = self.command();
        command
            .args(["up", "--listen", &self.listen().to_string()])
            .stdout(Stdio::null())
            .stderr(self.log_file());
        self.server = Some(command.spawn().expect("the program starts"));
        spin(time).await;
        self.kill().await;
    }

    fn command(&self) -> Command {
        let setup = &self.setup;
        let mut command = cli::program(setup.folder());
        if let [first, rest @ ..] = setup.wrapper.as_slice() {
            let mut wrapped = Command::new(first);
            wrapped
                .args(rest)
                .arg(env!("CARGO_BIN_EXE_wharf"))
                .current_dir(setup.folder())
                .stdin(Stdio::null())
                .kill_on_drop(true);
            wrapped.env_clear().envs(
                command
                    .as_std()
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            command = wrapped;
        }
        command
            .arg("--data-dir")
            .arg(setup.data())
            .env("WHARF_PLATFORM_DYNAMIC_PORTS", setup.ports.dynamic());
        command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
        if setup.config().exists() {
            command.arg("--config").arg(setup.config());
        }
        command
    }

    fn log_path(&self) -> PathBuf {
        self.setup.folder().join("server.log")
    }

    /// All that the server has printed to standard error, over all its starts.
    pub(crate) fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().and_then(Child::id).expect("it runs")
    }

    /// Sends the server a signal, and does not wait for what comes of it.
    pub(crate) fn signal(&self, signal: Signal) {
        processes::send(self.pid(), signal);
    }

    /// Waits for the server's end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("it runs");
        timeout(PATIENCE, server.wait())
            .await
            .unwrap_or_else(|_| panic!("it does not end:\n{}", self.log()))
            .expect("its end")
    }

    /// As a loss of power would, as far as a process goes.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// Ends the server in order.
    pub(crate) async fn end(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// The program as a client of this deployment.
    pub(crate) async fn wharf(&self, arguments: &[&str]) -> Ran {
        self.wharf_reading(arguments, "").await
    }

    pub(crate) async fn wharf_reading(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        cli::run(command, input).await
    }

    /// The same, while it goes on.
    pub(crate) fn following(&self, arguments: &[&str]) -> Following {
        let mut command = self.command();
        command.args(arguments);
        Following::new(command)
    }

    /// HTTP to a host of this deployment, by nobody in particular.
    pub(crate) fn host(&self, name: &str) -> Client {
        Client {
            address: self.listen(),
            host: format!("{name}:{}", self.listen().port()),
            headers: Vec::new(),
        }
    }

    /// Sign-up and API, as a visitor.
    pub(crate) fn console(&self) -> Client {
        self.host(self.setup.console_host)
    }

    pub(crate) fn tenant(&self, subdomain: &str) -> Client {
        self.host(&format!("{subdomain}.{}", self.setup.tenant_domain))
    }

    /// The services that have path routes.
    pub(crate) fn services(&self) -> Client {
        self.host("services.localhost")
    }

    pub(crate) fn admin_token(&self) -> String {
        fs::read_to_string(self.data().join("admin-token"))
            .expect("an admin token")
            .trim()
            .to_owned()
    }

    /// The API, as the operator.
    pub(crate) fn admin(&self) -> Client {
        self.console()
            .with("authorization", format!("Bearer {}", self.admin_token()))
    }

    /// What runs for this deployment's instances.
    pub(crate) fn tasks(&self) -> Vec<Process> {
        processes::tasks(&self.data())
    }

    /// What runs for one instance.
    pub(crate) fn tasks_of(&self, id: &str) -> Vec<Process> {
        self.tasks()
            .into_iter()
            .filter(|task| task.variable("WHARF_INSTANCE_ID") == Some(id))
            .collect()
    }

    /// Ends whatever runs, and gives what does not end.
    fn clear(&mut self) -> Vec<Process> {
        if let Some(mut server) = self.server.take() {
            processes::send(server.id().unwrap_or_default(), Signal::TERM);
            if !eventually_blocking(LAST_PATIENCE, || !matches!(server.try_wait(), Ok(None))) {
                let _ = server.start_kill();
                eventually_blocking(LAST_PATIENCE, || !matches!(server.try_wait(), Ok(None)));
            }
        }
        // What was killed with the server may take a moment to be gone.
        eventually_blocking(Duration::from_secs(3), || self.setup.processes().is_empty());
        self.setup.processes()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let left = self.clear();
        for process in &left {
            process.kill();
        }
        if failed {
            eprintln!("--- the server's log ---\n{}", self.log());
        } else {
            assert!(
                left.is_empty(),
                "the test leaves processes behind: {left:#?}\n{}",
                self.log()
            );
        }
    }
}
