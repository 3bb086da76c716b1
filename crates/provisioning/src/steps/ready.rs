//! `ready`: Ready with its URL, and the first time the mail into the outbox, in one commit. A failed mail never fails a tenant.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Failure, Instance, State};
use wharf_saga::{
    Context, Outcome, Step,
    store::{Kind, Reserve},
};

use super::{World, missing};
use crate::{mail, trial, webhooks};

pub(crate) struct Ready(pub(crate) Arc<World>);

#[async_trait]
impl Step<Instance> for Ready {
    fn name(&self) -> &'static str {
        "ready"
    }

    fn has_effect(&self) -> bool {
        false
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let Some(url) = self.0.settings.url(instance) else {
            return missing("URL");
        };
        if let Err(error) = instance.transition(State::Ready {
            since: context.now,
            url,
        }) {
            return Outcome::Fail(Failure::internal(error.to_string()));
        }
        // A task that was lost is nobody else's business; what somebody was told is stopped or down, and runs again, is.
        let asked_back = std::mem::take(&mut instance.asked_back);
        if instance.first_ready_at.is_none() || asked_back {
            let told = webhooks::announce(&self.0.settings, instance, context.now);
            context.writes.outbox.extend(told);
        }
        if instance.first_ready_at.is_none() {
            instance.first_ready_at = Some(context.now);
            trial::begin(instance, context.now);
            if instance.tenant.is_some() {
                context.writes.reserve.push(Reserve {
                    kind: Kind::Reveal,
                    key: self.0.tokens.reveal(context.id).hash(),
                    value: String::new(),
                    until: Some(context.now + self.0.settings.password_link),
                    now: context.now,
                });
                context.writes.outbox.push(mail::ready(context.id));
            }
        }
        Outcome::Done
    }

    async fn undo(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        super::NOTHING_TO_UNDO
    }
}
