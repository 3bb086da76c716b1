//! One token bucket, and the line before it: writes before reads, and the earlier before the later.
//!
//! Only the first of the line watches the time; whoever leaves it wakes the next. So a thousand who wait cost a thousand wakes, and not their square.

use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

use crate::operations::{Effect, Limit};

/// The part of AWS's own bucket that is used: calls overtake one another on the way, and clocks drift.
const USED: f64 = 0.95;
/// How long a bucket is closed after a refusal; the next in a row twice as long.
const CLOSED_FIRST: Duration = Duration::from_millis(250);
const CLOSED_LONGEST: Duration = Duration::from_secs(4);
/// Who comes to a line that is so long has no turn.
const LINE_LONGEST: usize = 10_000;

/// A place in the line.
pub(super) type Place = (Effect, u64);

/// The turn did not come in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoTurn;

pub(super) struct Tokens {
    limit: Limit,
    state: Mutex<State>,
}

struct State {
    tokens: f64,
    /// `tokens` is as of here.
    as_of: Option<Instant>,
    closed_until: Option<Instant>,
    refusals_in_a_row: u32,
    line: BTreeMap<Place, Arc<Notify>>,
}

enum Look {
    Taken,
    /// The first of the line has to wait until then.
    At(Instant),
    NotFirst,
}

impl Tokens {
    pub(super) fn new(limit: Limit, share: f64) -> Self {
        let limit = Limit {
            burst: (limit.burst * share * USED).max(1.0),
            per_second: limit.per_second * share * USED,
        };
        Self {
            limit,
            state: Mutex::new(State {
                tokens: limit.burst,
                as_of: None,
                closed_until: None,
                refusals_in_a_row: 0,
                line: BTreeMap::new(),
            }),
        }
    }

    /// Takes a token when it is this place's turn.
    pub(super) async fn turn(&self, place: Place, deadline: Instant) -> Result<(), NoTurn> {
        let turn = Arc::new(Notify::new());
        {
            let mut state = self.state.lock();
            if state.line.len() >= LINE_LONGEST {
                return Err(NoTurn);
            }
            state.line.insert(place, turn.clone());
        }
        // Leaves the line however this ends.
        let _waiting = Waiting { tokens: self, place };
        loop {
            let look = self.look(place, Instant::now());
            match look {
                Look::Taken => return Ok(()),
                _ if Instant::now() >= deadline => return Err(NoTurn),
                Look::At(time) => sleep_until(time.min(deadline)).await,
                Look::NotFirst => drop(timeout_at(deadline, turn.notified()).await),
            }
        }
    }

    fn look(&self, place: Place, now: Instant) -> Look {
        let mut state = self.state.lock();
        if state.line.first_key_value().is_some_and(|(first, _)| *first != place) {
            return Look::NotFirst;
        }
        if let Some(closed_until) = state.closed_until.filter(|time| *time > now) {
            return Look::At(closed_until);
        }
        self.fill(&mut state, now);
        if state.tokens >= 1.0 {
            state.tokens -= 1.0;
            return Look::Taken;
        }
        let missing = (1.0 - state.tokens) / self.limit.per_second;
        // A timer has whole milliseconds: a little later rather than a look too many.
        Look::At(now + Duration::from_secs_f64(missing) + Duration::from_micros(1))
    }

    fn fill(&self, state: &mut State, now: Instant) {
        let passed = state
            .as_of
            .map_or(Duration::ZERO, |as_of| now.saturating_duration_since(as_of));
        state.tokens = (state.tokens + passed.as_secs_f64() * self.limit.per_second).min(self.limit.burst);
        state.as_of = Some(now);
    }

    /// AWS's bucket is empty, whatever ours says: others draw from it. Those who were sent together and are refused together count once.
    pub(super) fn refused(&self, chance: f64) {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.closed_until.is_some_and(|time| time > now) {
            return;
        }
        let closed = CLOSED_FIRST * 2_u32.saturating_pow(state.refusals_in_a_row.min(16));
        let closed = closed.min(CLOSED_LONGEST).mul_f64(0.5 + chance / 2.0);
        state.refusals_in_a_row += 1;
        state.tokens = 0.0;
        state.closed_until = Some(now + closed);
        state.as_of = Some(now + closed);
    }

    pub(super) fn accepted(&self) {
        let mut state = self.state.lock();
        // An answer to a call that was sent before the refusal says nothing about now.
        if state.closed_until.is_none_or(|time| time <= Instant::now()) {
            state.refusals_in_a_row = 0;
        }
    }
}

struct Waiting<'a> {
    tokens: &'a Tokens,
    place: Place,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.tokens.state.lock();
        state.line.remove(&self.place);
        if let Some((_, next)) = state.line.first_key_value() {
            next.notify_one();
        }
    }
}
