//! `attempt`: the next number. From here on, what carries the last one's is not the instance's any more.

use async_trait::async_trait;
use wharf_domain::Instance;
use wharf_saga::{Context, Outcome, Step};

pub(crate) struct NextAttempt;

#[async_trait]
impl Step<Instance> for NextAttempt {
    fn name(&self) -> &'static str {
        "attempt"
    }

    fn has_effect(&self) -> bool {
        false
    }

    async fn run(&self, _: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        instance.attempt = instance.attempt.next();
        Outcome::Done
    }

    async fn undo(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        super::NOTHING_TO_UNDO
    }
}
