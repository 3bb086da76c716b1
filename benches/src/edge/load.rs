//! One round of load: `wrk` with 64 connections, every answer a good one.

use std::{
    env,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use super::proxy::HOST;
use crate::{Result, children::Running};

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Round {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
}

/// As a browser sends them, so that a proxy has headers to work on. They begin each line of `wrk`'s command.
const HEADERS: [&str; 4] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Cookie: session=2f6c0b1e8a3d4c5f9e7a1b2c3d4e5f60; theme=light",
];

/// Loads a proxy for so long (at least a second: `wrk` knows whole ones).
pub(crate) fn round(address: SocketAddr, stretch: Duration) -> Result<Round> {
    let mut command = Command::new(program("wrk")?);
    command
        .args(["--threads", "2", "--connections", "64"])
        .arg(format!("--duration={}s", stretch.as_secs().max(1)))
        .args(["--header", &format!("Host: {HOST}")]);
    for header in HEADERS {
        command.args(["--header", header]);
    }
    let load = Running::start(
        command
            .arg(format!("http://{address}/"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    )?;
    let output = load.take_stdout().ok_or("wrk without an output")?;
    read(&std::io::read_to_string(output)?)
}

/// What `wrk` prints at its end.
fn read(text: &str) -> Result<Round> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return Err(format!("requests failed: {text}").into());
    }
    let number_beside = |words: &str| {
        let line = text.lines().find(|line| line.contains(words))?;
        line.split_whitespace().find_map(|word| word.parse::<f64>().ok())
    };
    match (number_beside("requests in"), number_beside("Requests/sec")) {
        (Some(requests), Some(per_second)) if requests > 0.0 => Ok(Round { requests, per_second }),
        _ => Err(format!("wrk has printed something else: {text}").into()),
    }
}

/// Where a program is. Debian keeps servers where only root's search path leads.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("there is no {name} on this machine (Debian: apt-get install nginx-light wrk)").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running 2s test @ http://127.0.0.1:1/\n  2 threads and 64 connections\n  \
        40512 requests in 2.00s, 7.00MB read\nRequests/sec:  20251.31\nTransfer/sec:      3.50MB\n";

    #[test]
    fn what_wrk_prints_is_read() {
        let round = read(PRINTED).expect("as it prints");
        assert_eq!(
            round,
            Round {
                requests: 40_512.0,
                per_second: 20_251.31
            }
        );
    }

    #[test]
    fn a_round_with_failed_requests_is_none() {
        let failed = format!("{PRINTED}  Non-2xx or 3xx responses: 7\n");
        assert!(read(&failed).is_err());
        assert!(read("").is_err());
    }
}
