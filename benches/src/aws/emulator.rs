//! The emulator of DynamoDB, SQS and Secrets Manager, `ministack`, as a child of this run. `cargo xtask bench` installs it and says where it is.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, children::Running};

/// Where its program is. The tests of the adapter find it by the same name.
const VARIABLE: &str = "WHARF_TEST_MINISTACK";
const START_WITHIN: Duration = Duration::from_secs(30);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(20);

/// An emulator with nothing in it. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Emulator {
    _process: Running,
    pub(crate) address: SocketAddr,
}

impl Emulator {
    pub(crate) fn start() -> Result<Self> {
        let program = env::var_os(VARIABLE).ok_or(
            "DynamoDB is emulated by ministack, which is not here: run it by `cargo xtask bench`, which installs it",
        )?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(program);
        command
            .env("BIND_HOST", address.ip().to_string())
            .env("GATEWAY_PORT", address.port().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Running::start(&mut command)?;
        let until = Instant::now() + START_WITHIN;
        while TcpStream::connect(address).is_err() {
            if process.has_ended() || Instant::now() > until {
                return Err("ministack does not start".into());
            }
            thread::park_timeout(PAUSE);
        }
        Ok(Self {
            _process: process,
            address,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
