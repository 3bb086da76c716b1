//! `wharf up` as a process of the system.

use rustix::process::Signal;
use serde_json::Value;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};
use wharf_harness::{
    Ports,
    processes::{self, MARK},
    wait::spin,
};

/// How long it may take until it says that it is up, on a machine that does other things as well.
const START: Duration = Duration::from_mins(1);
/// How long it may take to end in order: it gives requests ten seconds.
const END: Duration = Duration::from_secs(30);
/// Of what it printed, for people.
const LAST_LINES: usize = 12;
/// Has a shell ignore the signal that a limit of files' sizes sends, and go on as the program: what is left then is the error.
const SHIELD: &str = "trap '' XFSZ; exec \"$@\"";

pub(super) struct Server {
    program: PathBuf,
    folder: PathBuf,
    listen: String,
    dynamic_ports: String,
    is_shielded: bool,
    child: Option<Child>,
}

impl Server {
    pub(super) fn new(program: PathBuf, folder: &Path, ports: &Ports, is_shielded: bool) -> Self {
        Self {
            program,
            folder: folder.to_owned(),
            listen: ports.listen().to_string(),
            dynamic_ports: ports.dynamic(),
            is_shielded,
            child: None,
        }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// With an environment of nothing but what it needs.
    fn command(&self, listen: &str) -> Command {
        let mut command = if self.is_shielded {
            let mut shell = Command::new("sh");
            shell.args(["-c", SHIELD, "sh"]).arg(&self.program);
            shell
        } else {
            Command::new(&self.program)
        };
        command
            .args(["up", "--json", "--listen", listen, "--data-dir"])
            .arg(self.folder.join("data"))
            .arg("--config")
            .arg(self.folder.join("wharf.toml"))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env_clear()
            .env(MARK, &self.folder)
            .env("WHARF_PLATFORM_DYNAMIC_PORTS", &self.dynamic_ports)
            .kill_on_drop(true);
        for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn log_file(&self) -> Result<File, String> {
        let mut options = File::options();
        options.create(true).append(true);
        options
            .open(self.log_path())
            .map_err(|error| format!("there is no log: {error}"))
    }

    fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let mut lines: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }

    /// Starts it, and waits until it says that it is up.
    pub(super) async fn start(&mut self) -> Result<(), String> {
        let mut child = self
            .command(&self.listen)
            .stdout(Stdio::piped())
            .stderr(self.log_file()?)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        match timeout(START, says_that_it_is_up(&mut child)).await {
            Ok(Ok(true)) => {
                self.child = Some(child);
                Ok(())
            }
            Ok(Ok(false)) => {
                let status = timeout(END, child.wait()).await;
                Err(format!("it ends with {status:?}:\n{}", self.last_lines()))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "it does not say within {START:?} that it is up:\n{}",
                self.last_lines()
            )),
        }
    }

    /// Starts it, and kills it this long after.
    pub(super) async fn start_for(&mut self, time: Duration) -> Result<(), String> {
        let child = self
            .command(&self.listen)
            .stdout(Stdio::null())
            .stderr(self.log_file()?)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        self.child = Some(child);
        spin(time).await;
        self.kill().await
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            processes::send(pid, signal);
        }
    }

    pub(super) async fn kill(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let killed = timeout(END, child.kill()).await;
        killed
            .map_err(|_| "it cannot be killed".to_owned())?
            .map_err(|error| format!("it cannot be killed: {error}"))
    }

    /// Asks it to end. An error says that it did not, or not in order.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        self.signal(Signal::TERM);
        let Some(mut child) = self.child.take() else {
            return Err("it does not run".to_owned());
        };
        match timeout(END, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{status}\n{}", self.last_lines())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                let _ = child.kill().await;
                Err(format!("it still runs after {END:?}\n{}", self.last_lines()))
            }
        }
    }

    /// Starts a second one on the same data. Gives how it was refused.
    pub(super) async fn intrude(&self) -> Result<String, String> {
        let mut child = self
            .command("127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        if timeout(START, says_that_it_is_up(&mut child))
            .await
            .is_ok_and(Result::unwrap_or_default)
        {
            let _ = child.kill().await;
            return Err("a second server runs on the same data".to_owned());
        }
        let output = timeout(END, child.wait_with_output())
            .await
            .map_err(|_| "a second server neither runs nor ends".to_owned())?
            .map_err(|error| error.to_string())?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(1) && words.contains("server.running") {
            return Ok("server.running".to_owned());
        }
        Err(format!(
            "a second server is not refused as it should be: {}: {words}",
            output.status
        ))
    }

    /// What no server should say, of all that they have said.
    pub(super) fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let mut complaints: Vec<String> = log
            .lines()
            .filter(|line| line.contains("panicked at") || line.contains("a decision without a way"))
            .map(|line| format!("the server says: {line}"))
            .collect();
        complaints.dedup();
        complaints
    }

    /// However it stands.
    pub(super) fn drop_dead(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.start_kill();
            while matches!(child.try_wait(), Ok(None)) {
                std::thread::park_timeout(super::LOOK);
            }
        }
    }
}

/// `false`: it has closed its output without a word.
async fn says_that_it_is_up(child: &mut Child) -> io::Result<bool> {
    let Some(mut stdout) = child.stdout.take() else {
        return Ok(false);
    };
    let mut printed = Vec::new();
    while serde_json::from_slice::<Value>(&printed).is_err() {
        if stdout.read_buf(&mut printed).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
