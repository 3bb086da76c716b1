//! What Wharf tells others of instances: into the outbox with the change itself, and from there to each receiver that is configured, signed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use wharf_domain::{Failure, Instance, State, Timestamp, WebhookName, webhook::Announcement};
use wharf_platform::{MailError, Post};
use wharf_saga::store::OutboxMail;

use super::{HookSecrets, signature};
use crate::{mail::Letter, settings::Settings, wharf::Wharf};

/// Who is told of instances.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub url: String,
    pub secrets: HookSecrets,
    pub events: BTreeSet<Announcement>,
}

/// An instance as it was when it was told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) service: String,
    pub(crate) state: String,
    pub(crate) attempt: u32,
    pub(crate) subdomain: Option<String>,
    pub(crate) company_name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) cause: Option<Cause>,
    /// When its trial is over, where that is what is told; milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ends_at: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    code: String,
    message: String,
}

/// What goes to a receiver, as it is signed.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event: Announcement,
    /// Milliseconds since 1970.
    timestamp: u64,
    data: &'a Told,
}

/// What is put into the outbox when an instance has come into the state that it is in: one message for each receiver that wants it. An attempt comes into
/// a state once, so that a change that is written again is not told again.
pub(crate) fn announce(settings: &Settings, instance: &Instance, now: Timestamp) -> Vec<OutboxMail> {
    let event = match instance.state {
        State::Ready { .. } => Announcement::Ready,
        State::Failed { .. } => Announcement::Failed,
        State::Stopped { .. } => Announcement::Stopped,
        State::Down { .. } => Announcement::Down,
        State::Ended { .. } => Announcement::Ended,
        _ => return Vec::new(),
    };
    let occasion = format!("{}-{}-{}", instance.state.name(), instance.id, instance.attempt.0);
    messages(settings, event, &occasion, now, &told(settings, instance))
}

/// The same when its trial ends at this time: once for each end.
pub(crate) fn announce_end(
    settings: &Settings,
    instance: &Instance,
    end: Timestamp,
    now: Timestamp,
) -> Vec<OutboxMail> {
    let told = Told {
        ends_at: Some(end.as_millis()),
        ..told(settings, instance)
    };
    let occasion = format!("ending-{}-{}", instance.id, end.as_millis());
    messages(settings, Announcement::Ending, &occasion, now, &told)
}

/// One for each receiver that wants it. The same occasion is the same message.
fn messages(settings: &Settings, event: Announcement, occasion: &str, now: Timestamp, told: &Told) -> Vec<OutboxMail> {
    let receivers = settings
        .notify
        .iter()
        .filter(|(_, receiver)| receiver.events.contains(&event));
    receivers
        .map(|(name, _)| {
            let letter = Letter::Event {
                to: name.clone(),
                event,
                at: now,
                told: Box::new(told.clone()),
            };
            OutboxMail {
                id: format!("event-{occasion}-{name}"),
                body: letter.body(),
            }
        })
        .collect()
}

fn told(settings: &Settings, instance: &Instance) -> Told {
    let tenant = instance.tenant.as_ref();
    let url = match instance.state {
        State::Ready { .. } => settings.url(instance),
        _ => None,
    };
    Told {
        id: instance.id.to_string(),
        service: instance.service.name.to_string(),
        state: instance.state.name().to_owned(),
        attempt: instance.attempt.0,
        subdomain: tenant.map(|tenant| tenant.subdomain.to_string()),
        company_name: tenant.map(|tenant| tenant.company_name.to_string()),
        url,
        cause: instance.state.cause().map(|cause| Cause {
            code: cause.code.to_string(),
            message: cause.message.clone(),
        }),
        ends_at: None,
    }
}

impl Wharf {
    /// Posts an event to its receiver. The address is the configuration's of now, and nothing that anybody else could name.
    pub(crate) async fn post_event(
        &self,
        id: &str,
        to: &WebhookName,
        event: Announcement,
        at: Timestamp,
        told: &Told,
    ) -> Result<(), MailError> {
        let receiver = self
            .settings()
            .notify
            .get(to)
            .ok_or_else(|| MailError::Permanent(format!("no receiver {to} is configured any more")))?;
        let passing =
            |failure: Failure| MailError::Passing(format!("the secret of {to} cannot be had: {}", failure.message));
        let secrets = receiver.secrets.get().await.map_err(passing)?;
        let body = Body {
            event,
            timestamp: at.as_millis(),
            data: told,
        };
        let body = serde_json::to_string(&body)
            .map_err(|error| MailError::Permanent(format!("the event cannot be put together: {error}")))?;
        let headers = signature::sign(id, self.clock().now(), &body, &secrets)
            .ok_or_else(|| MailError::Passing(format!("the secret of {to} is none that can sign")))?;
        let post = Post {
            url: receiver.url.clone(),
            headers: headers.into(),
            body,
        };
        self.platform().poster.post(&post).await
    }
}
