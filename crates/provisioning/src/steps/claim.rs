//! `claim`: the record under a unique name, with the trigger's key and, where Wharf picks it, the port's lease.
//!
//! The claim's commit is made by admission (`crate::claim`), which is what creates the record; here is how it is given back.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Instance, service::RouteRule};
use wharf_saga::{
    Context, Outcome, Step,
    store::{Kind, Release},
};

use super::{World, rest};

pub(crate) struct Claim(pub(crate) Arc<World>);

#[async_trait]
impl Step<Instance> for Claim {
    fn name(&self) -> &'static str {
        "claim"
    }

    fn has_effect(&self) -> bool {
        false
    }

    async fn run(&self, _: &mut Context<'_>, _: &mut Instance) -> Outcome {
        Outcome::Done
    }

    /// The trigger's key and the status token stay: the same request again is answered with what became of it.
    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        // What was a customer's goes with the customer; what a failure printed stays for a while, to be looked at.
        if instance.first_ready_at.is_some()
            && let Err(failure) = self.0.platform.logs.remove(context.id).await
        {
            return self.0.failed_to_end(context, failure);
        }
        give_back(&self.0.settings, context.now, context.writes, instance);
        Outcome::Done
    }
}

/// Releases name, port, and the place of its e-mail address. A name that was Ready rests, so that its next holder does not inherit the last one's visitors.
pub(crate) fn give_back(
    settings: &crate::Settings,
    now: wharf_domain::Timestamp,
    writes: &mut wharf_saga::step::Writes,
    instance: &mut Instance,
) {
    let release = |kind, key, rest_until| Release {
        kind,
        key,
        rest_until,
        must_hold: false,
    };
    if let Some(name) = crate::claim::reserved_name(instance) {
        let was_a_tenants = instance.tenant.is_some() && instance.first_ready_at.is_some();
        let rests = if was_a_tenants {
            rest(now, settings.name_rest)
        } else {
            None
        };
        writes.release.push(release(Kind::Name, name, rests));
    }
    if let (Some(place), Some(tenant)) = (instance.held.email_place.take(), &instance.tenant) {
        let key = crate::claim::email_key(&tenant.admin_email, place);
        writes.release.push(release(Kind::Email, key, None));
    }
    if let Some(port) = instance.held.port.take() {
        let quarantine = match instance.service.route {
            RouteRule::Direct { .. } if instance.first_ready_at.is_some() => settings.direct_quarantine,
            _ => settings.port_quarantine,
        };
        writes
            .release
            .push(release(Kind::Port, port.to_string(), rest(now, quarantine)));
    }
}
