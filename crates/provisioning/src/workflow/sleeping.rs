//! The decisions about sleep: who goes to sleep, who wakes with the task that it has and who with a new one, and who does not sleep after all. Pure, like the others.

use wharf_domain::{Code, Failure, Instance, State, Timestamp};
use wharf_saga::{Decision, Next, Progress, Way, step::Writes};

use super::{Provisioning, turn_to};
use crate::sagas;

impl Provisioning {
    /// Nobody uses it.
    pub(super) fn fall_asleep(&self, instance: &mut Instance, now: Timestamp) -> Decision {
        match (instance.service.sleep, self.settings.url(instance)) {
            (Some(sleep), Some(url)) => turn_to(instance, State::Sleeping { since: now, url }, sagas::sleep(sleep.by)),
            _ => Decision::Continue,
        }
    }

    /// Somebody asks for what sleeps, or is falling asleep just now: with the task that it has, where that was not told to end.
    pub(super) fn wake(instance: &mut Instance, saga: Option<&Progress>, now: Timestamp) -> Decision {
        let held = &instance.held;
        let is_at_rest = saga.is_none() && held.task.is_none() && held.endpoint.is_none() && !held.route;
        let plan = if held.task.is_some() && !saga.is_some_and(ends_the_task) {
            sagas::wake()
        } else if is_at_rest {
            sagas::restore_from_rest()
        } else {
            sagas::restore()
        };
        instance.pause_until = None;
        turn_to(
            instance,
            State::Restoring {
                since: now,
                cause: asleep(),
            },
            plan,
        )
    }

    /// There was no room to wake it for as long as that may be waited for: it sleeps on without a task, and whoever asks for it next asks for room again. Says
    /// whether that is how it is.
    pub(super) fn sleeps_on(
        &self,
        instance: &mut Instance,
        cause: &Failure,
        now: Timestamp,
        writes: &mut Writes,
    ) -> bool {
        let was_asleep =
            matches!(&instance.state, State::Restoring { cause, .. } if cause.code == Code::InstanceAsleep);
        let Some(url) = self.settings.url(instance).filter(|_| was_asleep) else {
            return false;
        };
        if cause.code != Code::LimitQueue || instance.service.sleep.is_none() || instance.held.task.is_some() {
            return false;
        }
        if let Err(error) = instance.transition(State::Sleeping { since: now, url }) {
            tracing::error!(instance = %instance.id, %error, "what found no room cannot sleep on");
            return false;
        }
        // It has not woken, and its memory is as free as it was.
        instance.slept.times = instance.slept.times.saturating_sub(1);
        instance.slept.freed = instance.service.run.memory().unwrap_or_default();
        writes.notes.push(format!("it sleeps on: {}", cause.message));
        true
    }

    /// It goes to sleep no more: somebody used it before its route was withdrawn, and it is Ready as it was; or it could not be paused, and goes on.
    pub(super) fn stay_awake(&self, instance: &mut Instance, cause: &Failure, now: Timestamp) -> Next {
        let slept = instance.slept;
        // Whatever else went wrong may have gone wrong after the route was withdrawn.
        let is_untouched = instance.held.route && cause.code == Code::InstanceState;
        let (next, then) = match self.settings.url(instance).filter(|_| is_untouched) {
            Some(url) => (State::Ready { since: now, url }, Next::Rest),
            None => (
                State::Restoring {
                    since: now,
                    cause: cause.clone(),
                },
                Next::Begin(sagas::wake()),
            ),
        };
        match instance.transition(next) {
            Ok(()) => {
                instance.slept = slept;
                then
            }
            Err(error) => {
                tracing::error!(instance = %instance.id, %error, "what does not sleep cannot go on");
                Next::Rest
            }
        }
    }
}

/// Whether the task may have been told to end.
fn ends_the_task(saga: &Progress) -> bool {
    let first = saga
        .steps
        .iter()
        .position(|planned| planned.step == "task" && planned.way == Way::Undo);
    first.is_some_and(|task| saga.at > task || (saga.at == task && saga.begun))
}

fn asleep() -> Failure {
    Failure::new(Code::InstanceAsleep, "it slept, and somebody asks for it")
}
