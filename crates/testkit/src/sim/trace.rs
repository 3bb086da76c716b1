//! What happened, in order, as a text: two runs of one seed give the same bytes.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use wharf_domain::Timestamp;

use super::clock::START;

/// The log of a simulation. A line is the time since its beginning in milliseconds, who called, what, and how it ended.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Mutex<Vec<String>>,
    is_off: AtomicBool,
}

impl Trace {
    pub(crate) fn note(&self, now: Timestamp, who: &str, what: std::fmt::Arguments<'_>) {
        if self.is_off.load(Ordering::Relaxed) {
            return;
        }
        let since = now.0.saturating_sub(START.0);
        self.lines.lock().push(format!("{since:>9} {who} {what}"));
    }

    /// From now on nothing is written down: for those who run a seed only to see how it ends.
    pub fn switch_off(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }

    /// The whole log, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.lines.lock().join("\n");
        text.push('\n');
        text
    }

    /// The lines that hold this text, in order.
    #[must_use]
    pub fn lines_with(&self, part: &str) -> Vec<String> {
        self.lines
            .lock()
            .iter()
            .filter(|line| line.contains(part))
            .cloned()
            .collect()
    }

    /// How many lines there are: what to give to [`since`](Self::since) later.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.lock().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has happened since the log had so many lines.
    #[must_use]
    pub fn since(&self, lines: usize) -> Vec<String> {
        self.lines.lock().get(lines..).map_or_else(Vec::new, <[String]>::to_vec)
    }
}
