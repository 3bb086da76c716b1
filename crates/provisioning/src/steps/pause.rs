//! `pause`: the backoff before a new attempt, after the old one is gone.

use async_trait::async_trait;
use wharf_domain::Instance;
use wharf_saga::{Context, Outcome, Step};

pub(crate) struct Pause;

#[async_trait]
impl Step<Instance> for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn has_effect(&self) -> bool {
        false
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        match instance.pause_until {
            Some(until) if until > context.now => Outcome::Wait {
                until,
                why: "a moment before the next attempt".to_owned(),
            },
            _ => {
                instance.pause_until = None;
                Outcome::Done
            }
        }
    }

    async fn undo(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        super::NOTHING_TO_UNDO
    }
}
