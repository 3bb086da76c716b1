//! The program as a client, or as anything else that ends by itself: its exit code, and what it printed.

use serde_json::Value;
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use wharf_harness::{processes::MARK, wait::PATIENCE};

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What `--json` printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// As people and snapshots see it.
    pub(crate) fn shown(&self) -> String {
        let part = |name: &str, text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("--- {name} ---\n{}\n", text.trim_end())
            }
        };
        format!(
            "exit code {}\n{}{}",
            self.code,
            part("stdout", &self.stdout),
            part("stderr", &self.stderr)
        )
    }
}

/// The program, in a folder and with an environment of nothing but what it needs: nothing of the developer's own reaches it.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_clear()
        .env(MARK, folder)
        .kill_on_drop(true);
    for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// One that goes on printing.
pub(crate) struct Following {
    child: Child,
    stdout: ChildStdout,
    printed: Vec<u8>,
}

impl Following {
    pub(crate) fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("piped");
        Self {
            child,
            stdout,
            printed: Vec::new(),
        }
    }

    /// Reads until it has printed this text so many times.
    pub(crate) async fn prints(&mut self, text: &str, times: usize) {
        let reading = async {
            while String::from_utf8_lossy(&self.printed).matches(text).count() < times {
                let read = self.stdout.read_buf(&mut self.printed).await.expect("its output");
                assert_ne!(read, 0, "it ended after {}", String::from_utf8_lossy(&self.printed));
            }
        };
        timeout(PATIENCE, reading)
            .await
            .unwrap_or_else(|_| panic!("{text:?} is not printed"));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Waits for its end. Gives its exit code, and all that it has printed.
    pub(crate) async fn ends(mut self) -> (Option<i32>, String) {
        let ending = async {
            let reading = self.stdout.read_to_end(&mut self.printed);
            reading.await.expect("its output");
            self.child.wait().await.expect("its end").code()
        };
        let code = timeout(PATIENCE, ending).await.expect("it ends");
        (code, String::from_utf8_lossy(&self.printed).into_owned())
    }
}

/// Runs it to its end.
pub(crate) async fn run(mut command: Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A program that does not read its input closes it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{command:?} does not end"))
        .expect("its output");
    Ran {
        code: output
            .status
            .code()
            .unwrap_or_else(|| panic!("{command:?} was ended by a signal: {output:?}")),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
