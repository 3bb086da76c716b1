//! `ministack`, an emulator of AWS's services, in a process of its own for one test: DynamoDB, SQS, Secrets Manager, EventBridge and more. Which of
//! them it gets wrong, and what stands in for those, is no matter of this file.
//!
//! `cargo xtask test --suite aws` installs it and says in `WHARF_TEST_MINISTACK` where it is.

use std::{
    env,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Where its program is.
const VARIABLE: &str = "WHARF_TEST_MINISTACK";
/// It is there after a fifth of a second, on a machine that has nothing else to do.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// An emulator with nothing in it. Ends with this value.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    port: u16,
}

impl Emulator {
    /// Starts one, with these variables beside its own, and waits until it takes connections.
    ///
    /// # Panics
    /// Without the program, which says how to get it, and when it does not start.
    pub async fn start(environment: &[(&str, &str)]) -> Self {
        let program = env::var_os(VARIABLE)
            .unwrap_or_else(|| panic!("{VARIABLE} is not set: run these tests by `cargo xtask test --suite aws`"));
        let until = Instant::now() + START_TIMEOUT;
        loop {
            let mut emulator = Self::spawn(&program, environment);
            while emulator.process.try_wait().expect("its state").is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, emulator.port)).is_ok() {
                    return emulator;
                }
                assert!(Instant::now() < until, "the emulator does not take connections");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Another program was faster at the port.
            assert!(Instant::now() < until, "the emulator does not start");
        }
    }

    fn spawn(program: &std::ffi::OsStr, environment: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let process = Command::new(program)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the emulator's program");
        Self { process, port }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
