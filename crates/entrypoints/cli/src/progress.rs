//! Follows an instance to its end: the steps as they pass, on standard error, and only on a terminal.

use http_body_util::BodyExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::{io::IsTerminal, time::Duration};
use wharf_domain::Failure;
use wharf_saga::store::{Happening, Numbered};

use crate::{
    client::{Client, segment},
    output,
};

/// States in which nothing more happens by itself.
const SETTLED: &[&str] = &["ready", "sleeping", "down", "stopped", "failed", "stuck", "ended"];
/// The longest line of an event stream.
const LINE_MAX: usize = 1024 * 1024;

/// Follows the instance until it has settled in one of `wanted`, or in any settled state where the last saga ends. Gives it as it is then.
pub(crate) async fn follow(client: &Client, id: &str, wanted: &[&str]) -> Result<Value, Failure> {
    let path = format!("/instances/{}", segment(id));
    let bar = spinner();
    loop {
        // The stream ends when the instance has settled, and when the server stops: the record decides which it was.
        let mut stream = client.stream(&format!("{path}/events")).await?;
        let mut lines = Lines::default();
        while let Some(Ok(frame)) = stream.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            for line in lines.push(&data) {
                if let Some(Ok(event)) = line
                    .strip_prefix("data:")
                    .map(|json| serde_json::from_str::<Numbered>(json.trim()))
                {
                    show(&bar, &event);
                }
            }
        }
        let shown: Value = client.get(&path).await?;
        let status = shown["status"].as_str().unwrap_or_default();
        if wanted.contains(&status) || SETTLED.contains(&status) {
            bar.finish_and_clear();
            return Ok(shown);
        }
    }
}

fn spinner() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show(bar: &ProgressBar, event: &Numbered) {
    let name = |step: &str, undo: bool| if undo { format!("undo {step}") } else { step.to_owned() };
    match &event.entry.what {
        Happening::Started { step, undo } => bar.set_message(name(step, *undo)),
        Happening::Waits { step, undo, why } => bar.set_message(format!("{}: waits for {why}", name(step, *undo))),
        Happening::Done { step, undo, millis } => bar.println(format!(
            "✓ {} ({})",
            name(step, *undo),
            output::span(Duration::from_millis(*millis))
        )),
        Happening::Failed {
            step,
            undo,
            cause,
            last,
        } => bar.println(format!(
            "{} {}: {cause}",
            if *last { "✗" } else { "…" },
            name(step, *undo)
        )),
        Happening::Note { text } => bar.println(format!("· {text}")),
        Happening::Began { .. } | Happening::State { .. } => {}
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if self.rest.len() > LINE_MAX {
            self.rest.clear();
        }
        lines
    }
}
