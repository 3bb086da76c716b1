//! The storefront started bare: the same program as a tenant's, with a new database, and nobody between it and its first visitor.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, children::Running};

/// Between two tries to connect. The system sleeps longer than that, and no shorter pause makes it sleep less.
const PROBE_PAUSE: Duration = Duration::from_micros(50);
const GIVE_UP: Duration = Duration::from_secs(30);
/// No start takes as long, and no look at the process comes before that.
const LOOK_AFTER: Duration = Duration::from_millis(500);
const PORTS_TRIED: usize = 5;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";

/// A shop that has answered once. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Shop {
    _process: Running,
    /// From the start of the process to its first whole 200.
    pub(crate) took: Duration,
}

impl Shop {
    /// On a free port. Somebody else may take it in the moment between the look and the start; then it is another one.
    pub(crate) fn start(wharf: &Path, folder: &Path) -> Result<Self> {
        for _ in 0..PORTS_TRIED {
            if let Some(shop) = Self::try_start(wharf, folder)? {
                return Ok(shop);
            }
        }
        Err("a storefront that was started bare ended without an answer".into())
    }

    /// `None`: it has ended by itself.
    fn try_start(wharf: &Path, folder: &Path) -> Result<Option<Self>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let database = folder.join(format!("{}.db", address.port()));
        // The port may have served a round before.
        if let Err(error) = std::fs::remove_file(&database)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error.into());
        }
        let mut command = Command::new(wharf);
        command
            .arg("storefront")
            .env_clear()
            .env("PORT", address.port().to_string())
            .env("DATABASE_URL", format!("sqlite://{}", database.display()))
            .env("APP_PASSWORD", "password")
            .env("COMPANY_NAME", "Acme Inc.")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let began = Instant::now();
        let process = Running::start(&mut command)?;
        while !answers(address) {
            if began.elapsed() > LOOK_AFTER && process.has_ended() {
                return Ok(None);
            }
            if began.elapsed() > GIVE_UP {
                return Err("a storefront that was started bare does not answer".into());
            }
            thread::park_timeout(PROBE_PAUSE);
        }
        Ok(Some(Self {
            _process: process,
            took: began.elapsed(),
        }))
    }
}

fn answers(address: SocketAddr) -> bool {
    let exchange = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(GIVE_UP))?;
        stream.write_all(REQUEST)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, io::Error>(answer)
    };
    exchange().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200") && is_whole(&answer))
}

/// Whether the body is as long as its head says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .is_some_and(|(_, length)| length.trim().parse() == Ok(body.len()))
}
