//! The emulator of DynamoDB, SQS and Secrets Manager, `ministack`, as a child of this run. `cargo xtask bench` installs it and says where it is.

use http::StatusCode;
use serde_json::json;
use std::{
    env,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, children::Running, http::Client};

/// Where its program is. The tests of the adapter find it by the same name.
const VARIABLE: &str = "WHARF_TEST_MINISTACK";
/// The account that everything is in.
const ACCOUNT: &str = "000000000000";
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

    /// Empties it.
    pub(crate) async fn reset(&self) -> Result<()> {
        let mut client = Client::new(self.address, "localhost");
        client.post("/_ministack/reset", &json!({})).await?.json().map(drop)
    }

    /// The URL of a new queue.
    pub(crate) async fn queue(&self, name: &str) -> Result<String> {
        let mut client = Client::new(self.address, "localhost");
        let answer = client.get(&format!("/?Action=CreateQueue&QueueName={name}")).await?;
        if answer.status != StatusCode::OK {
            return Err(format!("ministack makes no queue: {}", answer.status).into());
        }
        Ok(format!("{}/{ACCOUNT}/{name}", self.url()))
    }

    /// A new secret with this name, whatever is in it.
    pub(crate) async fn secret(&self, name: &str) -> Result<()> {
        let mut client = Client::new(self.address, "localhost").with("x-amz-target", "secretsmanager.CreateSecret");
        let secret = json!({"Name": name, "SecretString": "0123456789abcdef0123456789abcdef"});
        client.post("/", &secret).await?.json().map(drop)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
