//! Simulated output: the last lines of each instance, and those to come.

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use std::collections::VecDeque;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use wharf_domain::{Failure, InstanceId};
use wharf_platform::{LogLine, Logs, Printer};

use super::{SimWorld, calls::Calls, world::State};

/// Lines kept for each instance.
const KEPT: usize = 1000;
/// Bytes of a line.
const LINE_MAX: usize = 16 * 1024;

/// What an instance has printed.
#[derive(Debug)]
pub(crate) struct Output {
    lines: VecDeque<String>,
    sender: broadcast::Sender<String>,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            sender: broadcast::Sender::new(KEPT),
        }
    }
}

impl State {
    pub(crate) fn print(&mut self, id: &InstanceId, text: &str) {
        let output = self.output.entry(id.clone()).or_default();
        for line in text.lines() {
            let mut line = line.to_owned();
            line.truncate(line.floor_char_boundary(LINE_MAX));
            if output.lines.len() == KEPT {
                output.lines.pop_front();
            }
            // Nobody may be reading.
            let _ = output.sender.send(line.clone());
            output.lines.push_back(line);
        }
    }
}

/// Output, as one process reads it.
pub(crate) struct SimLogs(pub(crate) Calls);

#[async_trait]
impl Logs for SimLogs {
    async fn read(
        &self,
        printer: &Printer,
        lines: usize,
        follow: bool,
    ) -> Result<BoxStream<'static, LogLine>, Failure> {
        let instance = printer.instance.clone();
        let (past, future) = self
            .0
            .make("logs.read", instance.to_string(), move |state, _| {
                let output = state.output.entry(instance.clone()).or_default();
                let skipped = output.lines.len().saturating_sub(lines);
                let past: Vec<String> = output.lines.iter().skip(skipped).cloned().collect();
                Ok((past, follow.then(|| output.sender.subscribe())))
            })
            .await?;
        let past = stream::iter(past);
        let lines = match future {
            None => past.boxed(),
            Some(future) => {
                let future = BroadcastStream::new(future).filter_map(|line| std::future::ready(line.ok()));
                past.chain(future).boxed()
            }
        };
        Ok(lines.map(|text| LogLine { text }).boxed())
    }

    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure> {
        let instance = instance.clone();
        self.0
            .make("logs.remove", instance.to_string(), move |state, _| {
                state.output.remove(&instance);
                Ok(())
            })
            .await
    }
}

impl SimWorld {
    /// An instance's task prints something.
    pub fn print(&self, id: &InstanceId, text: &str) {
        self.state().print(id, text);
    }
}
