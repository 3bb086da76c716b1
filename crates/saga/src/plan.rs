//! The pure core of the engine: a saga's progress and a step's outcome in, the next progress out. No store, no time of its own, no waiting.

use std::time::Duration;
use wharf_domain::{Failure, Timestamp};

use crate::{
    limits,
    record::{Ending, OnFailure, Planned, Progress, Way},
    step::Outcome,
};

/// What a saga wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call the step's `run` or `undo`.
    Call { step: String, way: Way },
    /// It is over.
    End(Ending),
}

/// What to do after an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// Go on at once.
    Next,
    /// Call the same step again then.
    Sleep(Timestamp),
}

impl Progress {
    /// What comes next.
    #[must_use]
    pub fn action(&self) -> Action {
        if let Some(cause) = &self.halted {
            let step = self.current().map_or_else(String::new, |planned| planned.step.clone());
            return Action::End(Ending::Halted {
                step,
                cause: cause.clone(),
            });
        }
        match (self.current(), &self.unwinding) {
            (Some(planned), None) => Action::Call {
                step: planned.step.clone(),
                way: planned.way,
            },
            (Some(planned), Some(_)) => Action::Call {
                step: planned.step.clone(),
                way: Way::Undo,
            },
            (None, None) => Action::End(Ending::Done),
            (None, Some(cause)) => Action::End(Ending::Undone { cause: cause.clone() }),
        }
    }

    /// The step at hand.
    #[must_use]
    pub fn current(&self) -> Option<&Planned> {
        match self.unwinding {
            None => self.steps.get(self.at),
            Some(_) => self.at.checked_sub(1).and_then(|index| self.steps.get(index)),
        }
    }

    /// Turns to undoing: everything that was done, and the step whose effect may have happened. A saga that unwinds already keeps its first cause.
    pub fn unwind(&mut self, cause: Failure, now: Timestamp) {
        if self.unwinding.is_some() {
            return;
        }
        if self.begun {
            self.at += 1;
        }
        self.unwinding = Some(cause);
        self.halted = None;
        self.reset(now);
        self.skip_what_cannot_be_undone();
    }

    /// Takes a halted saga up again.
    pub fn resume(&mut self, now: Timestamp) {
        self.halted = None;
        self.tries = 0;
        self.begin(now);
    }

    /// The step at hand is begun: its time runs from now on.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.since = now;
        self.expected = None;
        self.unattended = Duration::ZERO;
    }

    /// Somebody is about to look at the step at hand. The time is not the step's in which nobody was there to: the server stood still or did not run, or what
    /// was to wake it came hours later.
    pub fn attend(&mut self, now: Timestamp) {
        let late = now.since(self.expected.unwrap_or(self.since));
        if late > limits::UNATTENDED {
            self.unattended += late;
            self.expected = Some(now);
        }
    }

    /// Whether the step at hand fails for good if it fails once more.
    #[must_use]
    pub fn is_last_try(&self) -> bool {
        let limit = if self.is_undoing() {
            limits::UNDO_TRIES
        } else {
            limits::TRIES
        };
        self.tries + 1 >= limit
    }

    /// Whether the step at hand is undone, in whichever direction the saga goes.
    pub(crate) fn is_undoing(&self) -> bool {
        self.unwinding.is_some() || self.current().is_some_and(|planned| planned.way == Way::Undo)
    }

    /// What an outcome of the step at hand means. `chance` (any byte) spreads retries.
    pub fn apply(&mut self, outcome: Outcome, now: Timestamp, chance: u8) -> After {
        match outcome {
            Outcome::Done => {
                if self.unwinding.is_some() {
                    self.at = self.at.saturating_sub(1);
                } else {
                    self.at += 1;
                }
                self.reset(now);
                self.skip_what_cannot_be_undone();
                After::Next
            }
            Outcome::Wait { until, why } => {
                self.waits_for = Some(why);
                self.expected = Some(until);
                After::Sleep(until)
            }
            Outcome::Retry(failure) => {
                if self.is_last_try() {
                    return self.apply(Outcome::Fail(failure), now, chance);
                }
                self.tries += 1;
                self.waits_for = Some(failure.message);
                let until = now + backoff(self.tries, chance);
                self.expected = Some(until);
                After::Sleep(until)
            }
            Outcome::Fail(failure) => {
                // What could not be taken away is still there: nothing may be built on that, and nothing taken back below it.
                if self.is_undoing() || self.on_failure == OnFailure::Halt {
                    self.waits_for = None;
                    self.halted = Some(failure);
                } else {
                    self.unwind(failure, now);
                }
                After::Next
            }
        }
    }

    fn reset(&mut self, now: Timestamp) {
        self.begun = false;
        self.tries = 0;
        self.begin(now);
        self.waits_for = None;
    }

    fn skip_what_cannot_be_undone(&mut self) {
        while self.unwinding.is_some() && self.current().is_some_and(|planned| planned.way == Way::Undo) {
            self.at -= 1;
        }
    }
}

/// The pause before the n-th further try: doubling, capped, and spread over half of itself.
fn backoff(tries: u32, chance: u8) -> Duration {
    let doubled = limits::RETRY_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16));
    let whole = doubled.min(limits::RETRY_LONGEST);
    whole / 2 + whole.mul_f64(f64::from(chance) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::Plan;
    use wharf_domain::Code;

    const NOW: Timestamp = Timestamp(1_000);

    fn progress(on_failure: OnFailure) -> Progress {
        Plan {
            saga: "test",
            steps: vec![("a", Way::Undo), ("b", Way::Run), ("c", Way::Run)],
            on_failure,
        }
        .begin(NOW)
    }

    fn broken() -> Failure {
        Failure::new(Code::TaskCrashed, "it broke")
    }

    fn call(step: &str, way: Way) -> Action {
        Action::Call { step: step.into(), way }
    }

    #[test]
    fn steps_go_forward_in_order() {
        let mut saga = progress(OnFailure::Unwind);
        for expected in [call("a", Way::Undo), call("b", Way::Run), call("c", Way::Run)] {
            assert_eq!(saga.action(), expected);
            assert_eq!(saga.apply(Outcome::Done, NOW, 0), After::Next);
        }
        assert_eq!(saga.action(), Action::End(Ending::Done));
    }

    #[test]
    fn a_begun_step_is_undone_too_and_a_teardown_is_not() {
        let mut saga = progress(OnFailure::Unwind);
        saga.apply(Outcome::Done, NOW, 0);
        saga.apply(Outcome::Done, NOW, 0);
        saga.begun = true;
        saga.apply(Outcome::Fail(broken()), NOW, 0);
        assert_eq!(saga.action(), call("c", Way::Undo));
        saga.apply(Outcome::Done, NOW, 0);
        assert_eq!(saga.action(), call("b", Way::Undo));
        saga.apply(Outcome::Done, NOW, 0);
        assert_eq!(saga.action(), Action::End(Ending::Undone { cause: broken() }));
    }

    #[test]
    fn a_step_that_was_never_begun_is_not_undone() {
        let mut saga = progress(OnFailure::Unwind);
        saga.apply(Outcome::Done, NOW, 0);
        saga.apply(Outcome::Done, NOW, 0);
        saga.unwind(broken(), NOW);
        assert_eq!(saga.action(), call("b", Way::Undo));
    }

    #[test]
    fn what_cannot_be_taken_away_halts_a_saga_that_would_unwind() {
        let mut saga = progress(OnFailure::Unwind);
        saga.begun = true;
        saga.apply(Outcome::Fail(broken()), NOW, 0);
        let halted = Ending::Halted {
            step: "a".into(),
            cause: broken(),
        };
        assert_eq!(saga.action(), Action::End(halted));
        saga.resume(NOW);
        assert_eq!(saga.action(), call("a", Way::Undo));
    }

    #[test]
    fn retries_are_bounded_and_then_fail() {
        let mut saga = progress(OnFailure::Halt);
        for _ in 1..limits::UNDO_TRIES {
            assert!(matches!(saga.apply(Outcome::Retry(broken()), NOW, 255), After::Sleep(until) if until > NOW));
        }
        assert_eq!(saga.apply(Outcome::Retry(broken()), NOW, 0), After::Next);
        assert_eq!(
            saga.action(),
            Action::End(Ending::Halted {
                step: "a".into(),
                cause: broken()
            })
        );
        saga.resume(NOW);
        assert_eq!(saga.action(), call("a", Way::Undo));
    }

    #[test]
    fn a_failed_undo_halts_at_its_step() {
        let mut saga = progress(OnFailure::Unwind);
        saga.apply(Outcome::Done, NOW, 0);
        saga.begun = true;
        saga.unwind(broken(), NOW);
        saga.apply(Outcome::Fail(broken()), NOW, 0);
        assert_eq!(
            saga.action(),
            Action::End(Ending::Halted {
                step: "b".into(),
                cause: broken()
            })
        );
    }

    #[test]
    fn the_first_cause_stands() {
        let mut saga = progress(OnFailure::Unwind);
        saga.unwind(broken(), NOW);
        saga.unwind(Failure::internal("later"), NOW);
        assert_eq!(saga.action(), Action::End(Ending::Undone { cause: broken() }));
    }

    #[test]
    fn what_nobody_was_there_for_is_not_the_steps_time() {
        let mut saga = progress(OnFailure::Unwind);
        saga.begin(NOW);
        let wait = |until| Outcome::Wait {
            until,
            why: "something".to_owned(),
        };
        let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
        saga.attend(NOW + second);
        saga.apply(wait(NOW + second * 3), NOW + second, 0);
        // A message came first; the wake came a little late.
        saga.attend(NOW + second * 2);
        saga.attend(NOW + second * 5);
        assert_eq!(saga.unattended, Duration::ZERO);
        saga.attend(NOW + second * 3 + hour);
        assert_eq!(saga.unattended, hour);
        // The driver died in that look, and another one came much later.
        saga.attend(NOW + second * 3 + hour * 2);
        assert_eq!(saga.unattended, hour * 2);
        saga.apply(Outcome::Done, NOW + hour * 3, 0);
        assert_eq!((saga.unattended, saga.expected), (Duration::ZERO, None));
    }

    #[test]
    fn pauses_grow_to_a_cap() {
        assert!(backoff(1, 0) >= limits::RETRY_FIRST / 2);
        assert!(backoff(30, 255) <= limits::RETRY_LONGEST);
        assert!(backoff(3, 0) >= backoff(2, 0));
    }
}
