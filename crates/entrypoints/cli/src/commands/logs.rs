//! `logs`: what a task prints, as it comes.

use http_body_util::BodyExt;
use std::{
    io::{self, Write},
    process::ExitCode,
};
use wharf_domain::{Code, Failure};

use super::instances::path;
use crate::{
    args::{Global, Logs},
    client::Client,
    output,
    progress::Lines,
};

pub(crate) async fn run(global: &Global, options: &Logs) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let mut stream = client
        .stream(&format!(
            "{}/logs?lines={}&follow={}",
            path(&options.name),
            options.lines,
            options.follow
        ))
        .await?;
    let mut lines = Lines::default();
    let mut all = Vec::new();
    while let Some(frame) = stream.frame().await {
        let frame =
            frame.map_err(|error| Failure::new(Code::ServerUnreachable, format!("the server went away: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        for line in lines.push(&data) {
            if global.json && !options.follow {
                all.push(line);
            } else if print(&line, global.json).is_err() {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    if global.json && !options.follow {
        output::value(&all, global.format(), |_| String::new());
    }
    Ok(ExitCode::SUCCESS)
}

fn print(line: &str, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::Value::from(line))
    } else {
        writeln!(out, "{line}")
    }
}
