//! The shop's process: started with settings of a test's own, ended in the ways in which processes end.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const INSTANCE: &str = "i-0123";
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Shop {
    process: Child,
    pub(crate) address: SocketAddr,
    log: Receiver<String>,
}

/// The shop's command with every setting, its database in `folder`, on a free port.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storefront"));
    command
        .env_clear()
        .env("PORT", "0")
        .env("DATABASE_URL", format!("sqlite://{}/shop.db", folder.display()))
        .env("APP_PASSWORD", PASSWORD)
        .env("COMPANY_NAME", "Acme & Sons")
        .env("USER_ID", "acme")
        .env("WHARF_INSTANCE_ID", INSTANCE)
        .env("GREETING", "Welcome to Acme & Sons")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Shop {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::run(&mut command(folder))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        let mut process = command.spawn().expect("the shop starts");
        let stderr = process.stderr.take().expect("stderr is piped");
        let (lines, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut shop = Self {
            process,
            address: ([127, 0, 0, 1], 0).into(),
            log,
        };
        let line = shop.next_line();
        let address = line
            .strip_prefix("storefront: listening on http://")
            .unwrap_or_else(|| panic!("{line}"));
        shop.address = address.parse().expect("an address");
        shop
    }

    /// The next line of its log.
    pub(crate) fn next_line(&mut self) -> String {
        self.log.recv_timeout(PATIENCE).expect("a line on stderr")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("the process is there to be signalled");
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.check_log();
        self.process.wait().expect("the process can be waited for")
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("and waited for");
    }

    /// Reads the log to its end, which is the process's end: no thread may have panicked.
    fn check_log(&self) {
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            assert!(!line.contains("panicked"), "{line}");
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !std::thread::panicking() {
            self.check_log();
        }
    }
}
