//! One round of load by `wrk`.

use std::process::Command;

use crate::edge::HOST;

/// What a round came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) requests: f64,
    pub(crate) requests_per_second: f64,
}

/// So many seconds of requests on 64 connections. Any error is one too many.
pub(crate) fn round(port: u16, seconds: u32) -> Round {
    let output = Command::new("wrk")
        .args(["-t2", "-c64", &format!("-d{seconds}s"), "-H", &format!("Host: {HOST}")])
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .expect("wrk is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        !text.contains("Socket errors") && !text.contains("Non-2xx"),
        "requests failed: {text}"
    );
    let number_before = |word: &str| {
        let line = text.lines().find(|line| line.contains(word)).unwrap();
        line.split_whitespace()
            .find_map(|word| word.parse::<f64>().ok())
            .unwrap()
    };
    Round {
        requests: number_before("requests in"),
        requests_per_second: number_before("Requests/sec"),
    }
}
