//! What is known of one client connection, shared by its byte stream ([`crate::wire`]), its requests ([`crate::front`]) and
//! the watch over its time limits ([`crate::connection`]).
//!
//! All of them run in one task on one thread; the fields are atomics only because hyper wants the stream to be `Send`. So
//! every access is relaxed, and there is one timer a connection instead of one for each request and each wait.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{config::Timeouts, scan::Facts};

/// What the connection is waiting for, which decides how long it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// For a request to begin.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For the head of an upstream's answer, or for the client's body to pass.
    Upstream,
    /// For Wharf itself, which bounds its own work; but the client's body has to come.
    Own,
    /// For the next piece of an answer, from the upstream or to the client.
    Answer,
}

impl Phase {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Idle,
            1 => Self::Head,
            2 => Self::Upstream,
            3 => Self::Own,
            _ => Self::Answer,
        }
    }
}

/// What follows a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The next request's head.
    Nothing,
    /// So many bytes of body.
    Bytes(u64),
    /// A chunked body.
    Chunks,
}

const EXPECTED_UNKNOWN: u64 = u64::MAX;
const EXPECTED_CHUNKS: u64 = u64::MAX - 1;

/// What the watch finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing is over time; look again then.
    Again(Instant),
    /// The phase lasts too long.
    Expired(Phase),
}

#[derive(Debug)]
pub(crate) struct Line {
    opened: Instant,
    phase: AtomicU8,
    /// Milliseconds after `opened` at which the phase began or last made progress.
    moved: AtomicU64,
    /// The request under way was given up for its time.
    expired: AtomicBool,
    /// The request under way sends more than it may.
    too_large: AtomicBool,
    /// The body of the request under way ended before its end, or was none.
    broken: AtomicBool,
    /// Bytes of a request's body are outstanding.
    uploading: AtomicBool,
    /// A backend would take more of the body than the client has sent.
    client_awaited: AtomicBool,
    /// Bytes of a head are there that no request was made of yet.
    head_begun: AtomicBool,
    /// The connection carries another protocol now.
    tunnel: AtomicBool,
    expected: AtomicU64,
    facts: AtomicU8,
}

const FACT_BARE_LINE_FEED: u8 = 1;
const FACT_DISAGREEMENT: u8 = 2;
const FACT_LENGTHS_SHIFT: u8 = 2;
const FACT_ENCODINGS_SHIFT: u8 = 4;

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            moved: AtomicU64::new(0),
            expired: AtomicBool::new(false),
            too_large: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            uploading: AtomicBool::new(false),
            client_awaited: AtomicBool::new(false),
            head_begun: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            expected: AtomicU64::new(EXPECTED_UNKNOWN),
            facts: AtomicU8::new(0),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Relaxed))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.touch();
    }

    fn touch(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(since, Relaxed);
    }

    /// Bytes came from the client. They are no progress of a head: that has to be whole within its time.
    pub(crate) fn received(&self) {
        match self.phase() {
            Phase::Idle => self.enter(Phase::Head),
            Phase::Head => {}
            Phase::Upstream | Phase::Own | Phase::Answer => self.touch(),
        }
    }

    /// Bytes went to the client.
    pub(crate) fn sent(&self) {
        if self.phase() == Phase::Answer {
            self.touch();
        }
    }

    /// A request's head was parsed: what the scan noticed in it. The caller says what follows.
    pub(crate) fn begin(&self, expected: Expected) -> Facts {
        self.expired.store(false, Relaxed);
        self.too_large.store(false, Relaxed);
        self.broken.store(false, Relaxed);
        self.client_awaited.store(false, Relaxed);
        self.head_begun.store(false, Relaxed);
        self.uploading.store(expected != Expected::Nothing, Relaxed);
        self.expected.store(
            match expected {
                Expected::Nothing => 0,
                Expected::Bytes(length) => length.min(EXPECTED_CHUNKS - 1),
                Expected::Chunks => EXPECTED_CHUNKS,
            },
            Relaxed,
        );
        self.enter(Phase::Upstream);
        let facts = self.facts.swap(0, Relaxed);
        Facts {
            bare_line_feed: facts & FACT_BARE_LINE_FEED != 0,
            content_lengths: (facts >> FACT_LENGTHS_SHIFT) & 3,
            transfer_encodings: (facts >> FACT_ENCODINGS_SHIFT) & 3,
            disagreement: facts & FACT_DISAGREEMENT != 0,
        }
    }

    /// The answer was handed over, to its last byte.
    pub(crate) fn finish(&self) {
        self.enter(if self.head_begun.load(Relaxed) {
            Phase::Head
        } else {
            Phase::Idle
        });
    }

    pub(crate) fn note(&self, facts: Facts) {
        let bits = (u8::from(facts.bare_line_feed) * FACT_BARE_LINE_FEED)
            | (u8::from(facts.disagreement) * FACT_DISAGREEMENT)
            | (facts.content_lengths << FACT_LENGTHS_SHIFT)
            | (facts.transfer_encodings << FACT_ENCODINGS_SHIFT);
        self.facts.fetch_or(bits, Relaxed);
    }

    pub(crate) fn note_head_begun(&self) {
        self.head_begun.store(true, Relaxed);
    }

    /// What follows the head that was read last, once; `None` where no request was made of it yet.
    pub(crate) fn take_expected(&self) -> Option<Expected> {
        match self.expected.swap(EXPECTED_UNKNOWN, Relaxed) {
            EXPECTED_UNKNOWN => None,
            EXPECTED_CHUNKS => Some(Expected::Chunks),
            0 => Some(Expected::Nothing),
            length => Some(Expected::Bytes(length)),
        }
    }

    pub(crate) fn uploaded(&self) {
        self.uploading.store(false, Relaxed);
    }

    pub(crate) fn is_uploading(&self) -> bool {
        self.uploading.load(Relaxed)
    }

    pub(crate) fn await_client(&self, awaited: bool) {
        self.client_awaited.store(awaited, Relaxed);
    }

    /// Whether it is the client that the request waits for.
    pub(crate) fn is_client_awaited(&self) -> bool {
        self.client_awaited.load(Relaxed)
    }

    pub(crate) fn become_tunnel(&self) {
        self.tunnel.store(true, Relaxed);
    }

    pub(crate) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Relaxed)
    }

    pub(crate) fn note_too_large(&self) {
        self.too_large.store(true, Relaxed);
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large.load(Relaxed)
    }

    pub(crate) fn note_broken(&self) {
        self.broken.store(true, Relaxed);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    pub(crate) fn expire(&self) {
        self.expired.store(true, Relaxed);
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    /// Whether the phase has lasted too long. `Again` is never later than the shortest limit from now, so that a phase
    /// that begins after this look is still ended in time.
    pub(crate) fn check(&self, now: Instant, timeouts: &Timeouts) -> Check {
        let limit = match self.phase() {
            Phase::Idle => Some(timeouts.client_idle),
            Phase::Head => Some(timeouts.client_header),
            Phase::Upstream if self.is_expired() => None,
            Phase::Upstream if self.is_uploading() => Some(timeouts.response_header.min(timeouts.stream_idle)),
            Phase::Upstream => Some(timeouts.response_header),
            Phase::Own if self.is_uploading() => Some(timeouts.stream_idle),
            Phase::Own => None,
            Phase::Answer => Some(timeouts.stream_idle),
        };
        let again = now + timeouts.shortest();
        let Some(limit) = limit else { return Check::Again(again) };
        let due = self.opened + Duration::from_millis(self.moved.load(Relaxed)) + limit;
        if due <= now {
            Check::Expired(self.phase())
        } else {
            Check::Again(due.min(again))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_and_expectations_come_back_as_they_were_noted() {
        let line = Line::new();
        let facts = Facts {
            bare_line_feed: true,
            content_lengths: 2,
            transfer_encodings: 1,
            disagreement: false,
        };
        line.note(facts);
        assert_eq!(line.take_expected(), None);
        assert_eq!(line.begin(Expected::Bytes(7)), facts);
        assert_eq!(line.take_expected(), Some(Expected::Bytes(7)));
        assert_eq!(line.take_expected(), None);
        assert_eq!(line.begin(Expected::Chunks), Facts::default());
        assert_eq!(line.take_expected(), Some(Expected::Chunks));
        line.begin(Expected::Nothing);
        assert_eq!(line.take_expected(), Some(Expected::Nothing));
    }

    #[test]
    fn bytes_prolong_an_answer_and_not_a_head() {
        let timeouts = Timeouts {
            client_header: Duration::from_secs(1),
            ..Timeouts::default()
        };
        let line = Line::new();
        line.received();
        assert_eq!(line.phase(), Phase::Head);
        let late = line.opened + Duration::from_secs(2);
        assert_eq!(line.check(late, &timeouts), Check::Expired(Phase::Head));
        line.enter(Phase::Answer);
        assert!(matches!(line.check(late, &timeouts), Check::Again(_)));
    }

    #[test]
    fn a_look_is_never_further_away_than_the_shortest_limit() {
        let timeouts = Timeouts::default();
        let line = Line::new();
        let now = Instant::now();
        assert!(matches!(line.check(now, &timeouts), Check::Again(at) if at <= now + timeouts.shortest()));
    }
}
