//! The steps: one file each, `run` and `undo` together. A step's name stands in journals and never changes.

mod attempt;
mod claim;
mod database;
mod endpoint;
mod freeze;
mod healthy;
mod pause;
mod ready;
mod route;
mod running;
mod secrets;
mod task;
mod thaw;
mod unused;

use std::{sync::Arc, time::Duration};
use wharf_domain::{Attempt, Code, Failure, Instance, State, Timestamp};
use wharf_platform::{Owner, Platform};
use wharf_saga::{Context, Outcome, Step};

pub(crate) use claim::give_back;
pub(crate) use endpoint::release as release_endpoint;
pub use task::Ahead;

use crate::{gate::Gate, settings::Settings};

/// What steps work with.
pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) settings: Arc<Settings>,
    pub(crate) ids: Arc<dyn wharf_saga::Ids>,
    pub(crate) tokens: crate::tokens::TokenKey,
    pub(crate) gate: Arc<Gate>,
}

impl World {
    fn owner(&self, instance: &Instance, attempt: Attempt) -> Owner {
        Owner {
            deployment: self.settings.deployment.clone(),
            instance: instance.id.clone(),
            attempt,
        }
    }

    /// Looks again after about an eighth of the time that it has taken so far: quick things are found at once, slow ones are not pestered.
    fn look_again(&self, context: &Context<'_>, longest: Duration, why: impl Into<String>) -> Outcome {
        Outcome::Wait {
            until: context.now + pause(context, longest).max(self.settings.pace.shortest_look),
            why: why.into(),
        }
    }

    /// What a failure of the platform does to a step. A platform that is away as a whole (Docker is being restarted) is no fault of the step's, and a count of
    /// tries would be over too soon: it is waited for. Only who was never Ready is told in the end that there is nothing to be had.
    fn failed(&self, context: &Context<'_>, instance: &Instance, failure: Failure) -> Outcome {
        let goes_up = matches!(instance.state, State::Provisioning { .. } | State::Queued { .. });
        let is_over = goes_up && is_over(context, self.settings.pace.capacity_wait);
        if !failure.code.is_outage() || is_over {
            return Outcome::from_failure(failure);
        }
        self.away(context, &failure)
    }

    /// The same where something is to end: however long the platform is away, what it has will have to go, and nobody is stuck for it.
    fn failed_to_end(&self, context: &Context<'_>, failure: Failure) -> Outcome {
        if failure.code.is_outage() {
            self.away(context, &failure)
        } else {
            Outcome::from_failure(failure)
        }
    }

    fn away(&self, context: &Context<'_>, failure: &Failure) -> Outcome {
        self.look_again(
            context,
            OUTAGE_LOOK,
            format!("the platform to come back: {}", failure.message),
        )
    }
}

/// Between two tries of a platform that is away.
const OUTAGE_LOOK: Duration = Duration::from_secs(5);

/// Every step that this version has.
pub(crate) fn all(world: &Arc<World>) -> Vec<Box<dyn Step<Instance>>> {
    vec![
        Box::new(claim::Claim(world.clone())),
        Box::new(secrets::Secrets(world.clone())),
        Box::new(database::Database(world.clone())),
        Box::new(pause::Pause),
        Box::new(attempt::NextAttempt),
        Box::new(task::Task(world.clone())),
        Box::new(running::Running(world.clone())),
        Box::new(endpoint::Endpoint(world.clone())),
        Box::new(route::Route(world.clone())),
        Box::new(healthy::Healthy(world.clone())),
        Box::new(ready::Ready(world.clone())),
        Box::new(unused::Unused(world.clone())),
        Box::new(freeze::Freeze(world.clone())),
        Box::new(thaw::Thaw::new(world)),
    ]
}

/// About an eighth of the time that a step has taken so far.
fn pause(context: &Context<'_>, longest: Duration) -> Duration {
    let taken = context.now.since(context.since);
    (taken / 8).clamp(Duration::from_millis(1), longest.max(Duration::from_millis(1)))
}

/// Whether a step that began at `since` has had its time, as far as somebody was there to look at it.
fn is_over(context: &Context<'_>, allowed: Duration) -> bool {
    context.now.since(context.since) >= allowed + context.unattended
}

/// A step that is nothing in the world has nothing to undo.
const NOTHING_TO_UNDO: Outcome = Outcome::Done;

/// The secrets of an instance, by these names.
pub(crate) const APP_PASSWORD: &str = "APP_PASSWORD";
pub(crate) const DATABASE_PASSWORD: &str = "DATABASE_PASSWORD";

/// When a release at `now` ends its rest; `None` where it does not rest.
fn rest(now: Timestamp, quarantine: Duration) -> Option<Timestamp> {
    (!quarantine.is_zero()).then(|| now + quarantine)
}

/// A step was reached without what an earlier one should have made.
fn missing(what: &str) -> Outcome {
    Outcome::Fail(Failure::new(Code::Internal, format!("the record holds no {what}")))
}
