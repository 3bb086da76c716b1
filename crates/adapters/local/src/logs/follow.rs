//! Reading a log's end, and going on with what comes.
//!
//! What must not be here: a queue between writer and reader. A reader holds nothing but a position in the files, so
//! however slow it is, the task is not held up and no memory is used; a reader that falls behind by more than the files
//! hold is told what it missed.

use futures::stream::{self, BoxStream, StreamExt};
use std::{collections::VecDeque, sync::Arc};
use wharf_domain::{Code, Failure};
use wharf_platform::{
    LogLine,
    lines::{self, Splitter},
};

use super::rotating::RotatingLog;
use crate::files;

/// More lines than this are not gathered at once: with the longest lines it is what both files hold.
const MOST_LINES: usize = 10_000;
/// What a follower reads at once.
const PIECE: usize = 64 * 1024;

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(Code::Internal, format!("the task's output cannot be read: {error}"))
}

/// The last lines, and where the lines after them begin.
struct Tail {
    lines: VecDeque<LogLine>,
    position: u64,
}

/// With `whole`, a line that has not ended yet counts as one; without, it is left to who reads on.
fn tail(log: &RotatingLog, count: usize, whole: bool) -> Result<Tail, Failure> {
    let wanted = count.min(MOST_LINES);
    let (bytes, end) = log.read_last(0, u64::MAX).map_err(|error| unreadable(&error))?;
    let ended = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
    let (complete, partial) = bytes.split_at(ended);
    let mut kept: VecDeque<LogLine> = VecDeque::new();
    if whole && !partial.is_empty() && wanted > 0 {
        let cut = &partial[..partial.len().min(lines::LONGEST_LINE)];
        kept.push_front(LogLine {
            text: wharf_platform::logs::clean(cut),
        });
    }
    let backwards = complete.strip_suffix(b"\n").unwrap_or(complete).rsplit(|b| *b == b'\n');
    for line in backwards.take(if complete.is_empty() { 0 } else { wanted - kept.len() }) {
        let cut = &line[..line.len().min(lines::LONGEST_LINE)];
        kept.push_front(LogLine {
            text: wharf_platform::logs::clean(cut),
        });
    }
    Ok(Tail {
        lines: kept,
        position: end - partial.len() as u64,
    })
}

struct Follower {
    log: Arc<RotatingLog>,
    ready: VecDeque<LogLine>,
    position: u64,
    splitter: Splitter,
}

impl Follower {
    async fn next(mut self) -> Option<(LogLine, Self)> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some((line, self));
            }
            if self.log.is_removed() {
                return None;
            }
            let log = self.log.clone();
            let changed = log.changed.notified();
            tokio::pin!(changed);
            // From here on a change is not missed, even if it comes before the wait.
            changed.as_mut().enable();
            if !self.read_on().await? {
                changed.await;
            }
        }
    }

    /// Whether there was anything; `None` ends the stream.
    async fn read_on(&mut self) -> Option<bool> {
        if self.position == self.log.end() {
            return Some(false);
        }
        let (log, position) = (self.log.clone(), self.position);
        let piece = files::blocking(move || log.read_at(position, PIECE).map_err(|error| unreadable(&error)))
            .await
            .inspect_err(|error| tracing::debug!(%error, "following a log ended"))
            .ok()?;
        if piece.lost > 0 {
            self.splitter = Splitter::default();
            self.ready.push_back(LogLine {
                text: format!("=== {} bytes of output came too fast to be shown ===", piece.lost),
            });
        }
        self.position = piece.next;
        let ready = &mut self.ready;
        self.splitter
            .push(&piece.bytes, |text| ready.push_back(LogLine { text }));
        Some(true)
    }
}

/// The last `lines` lines, and with `follow` those that come, until the reader drops the stream or the instance is forgotten.
pub(super) async fn read(
    log: Arc<RotatingLog>,
    lines: usize,
    follow: bool,
) -> Result<BoxStream<'static, LogLine>, Failure> {
    let reader = log.clone();
    let tail = files::blocking(move || tail(&reader, lines, !follow)).await?;
    if !follow {
        return Ok(stream::iter(tail.lines).boxed());
    }
    let follower = Follower {
        log,
        ready: tail.lines,
        position: tail.position,
        splitter: Splitter::default(),
    };
    Ok(stream::unfold(follower, Follower::next).boxed())
}
