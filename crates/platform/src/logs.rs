//! What tasks print.

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use wharf_domain::{Failure, InstanceId, instance::TaskRef, service::RunSpec};

/// One line of output, at most 16 KiB of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub text: String,
}

/// Whose output is read.
#[derive(Clone, Debug)]
pub struct Printer {
    pub instance: InstanceId,
    /// The task that prints, or printed last; `None` if none was ever started.
    pub task: Option<TaskRef>,
    pub run: RunSpec,
}

/// Reads instances' output.
///
/// Guarantees wanted: output is kept within a bound for each instance, oldest lost first, whatever a task prints; a task is never held up for long by a slow reader.
#[async_trait]
pub trait Logs: Send + Sync + 'static {
    /// The last `lines` lines, and with `follow` those to come until the reader drops the stream.
    async fn read(&self, printer: &Printer, lines: usize, follow: bool)
    -> Result<BoxStream<'static, LogLine>, Failure>;

    /// Forgets an ended instance's output.
    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure>;
}
