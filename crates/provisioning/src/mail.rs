//! Mails: what the outbox holds of them, and how they are rendered. Everything that users gave is escaped; no secret is in
//! one, only the link behind which the first password is shown once.
//!
//! What must not be here: the words (`mail/letters`), and when a mail is tried (`outbox`).

mod letters;

pub use letters::{Letters, ServiceLetters};

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use wharf_domain::{
    Attempt, Code, Email, Failure, Instance, InstanceId, LetterKind, Resources, ServiceName, State, StatusToken,
    Tenant, Timestamp, WebhookName, service::AfterTrial, webhook::Announcement,
};
use wharf_platform::Mail;
use wharf_saga::store::OutboxMail;

use crate::{
    settings::Settings,
    tokens::TokenKey,
    webhooks::{CHOICE, Order, Told},
};
use letters::Values;

/// A mail in the outbox. It is rendered when it is handed over, from the record as it is then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Letter {
    /// It is ready, and here is how to get in.
    Ready,
    /// A name that was paid for cannot be had: choose another.
    Choose { order: Box<Order> },
    /// Its trial ends at this time.
    Trial { end: Timestamp },
    /// Not a mail: what was paid for has ended, and the tenant is stopped at this time.
    Lapse { at: Timestamp },
    /// Not a mail either: others are told of the instance.
    Event {
        to: WebhookName,
        event: Announcement,
        at: Timestamp,
        told: Box<Told>,
    },
}

impl Letter {
    pub(crate) fn read(id: &str, body: &str) -> Result<Self, Failure> {
        serde_json::from_str(body).map_err(|error| Failure::internal(format!("mail {id} cannot be read: {error}")))
    }

    /// What it is about, as listings say it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ready => LetterKind::Ready.name(),
            Self::Choose { .. } => LetterKind::Choose.name(),
            Self::Trial { .. } => LetterKind::Trial.name(),
            Self::Lapse { .. } => "lapse",
            Self::Event { event, .. } => event.name(),
        }
    }

    /// As it stands in the outbox.
    pub(crate) fn body(&self) -> String {
        serde_json::to_string(self).expect("a letter is plain data")
    }
}

/// The mail that tells a tenant that the application is there.
pub(crate) fn ready(instance: &InstanceId) -> OutboxMail {
    OutboxMail {
        id: format!("ready-{instance}"),
        body: Letter::Ready.body(),
    }
}

/// The mail that tells a tenant when its trial ends: one for each end.
pub(crate) fn trial(instance: &InstanceId, end: Timestamp) -> OutboxMail {
    OutboxMail {
        id: format!("trial-{instance}-{}", end.as_millis()),
        body: Letter::Trial { end }.body(),
    }
}

/// What becomes of a letter now.
pub(crate) enum Rendered {
    Mail(Box<Mail>),
    /// There is nobody to write to any more.
    Nobody,
    /// It has no URL before it runs again, and there is nothing to lead its reader to.
    NotNow,
}

/// Renders the mail of a Ready instance, from the record as it is now.
pub(crate) fn render_ready(id: &str, instance: &Instance, settings: &Settings, tokens: &TokenKey) -> Rendered {
    let Some(tenant) = &instance.tenant else {
        return Rendered::Nobody;
    };
    if matches!(instance.state, State::Ended { .. } | State::Failed { .. }) {
        return Rendered::Nobody;
    }
    let Some(url) = settings.url(instance) else {
        return Rendered::NotNow;
    };
    let own = vec![
        ("url", url),
        ("password_url", password_url(settings, &tokens.reveal(&instance.id))),
        ("password_days", days(settings.password_link.as_secs())),
        ("instance_id", instance.id.to_string()),
    ];
    let reader = Reader::of(tenant, &instance.service.name);
    Rendered::Mail(Box::new(written(id, LetterKind::Ready, &reader, settings, own)))
}

/// Renders the mail about the end of a trial, unless it ends at another time by now.
pub(crate) fn render_trial(id: &str, instance: &Instance, end: Timestamp, settings: &Settings) -> Rendered {
    let (Some(tenant), Some(trial)) = (&instance.tenant, &instance.service.trial) else {
        return Rendered::Nobody;
    };
    if instance.state.is_final() || instance.expires_at != Some(end) {
        return Rendered::Nobody;
    }
    let url = settings
        .url(instance)
        .unwrap_or_else(|| settings.addresses.tenant_url(tenant.subdomain.as_str()));
    let reader = Reader::of(tenant, &instance.service.name);
    let own = about_trial(url, end, trial.then);
    Rendered::Mail(Box::new(written(id, LetterKind::Trial, &reader, settings, own)))
}

fn about_trial(url: String, end: Timestamp, then: AfterTrial) -> Values {
    let what_then = match then {
        AfterTrial::End => "it is removed, with all its data",
        AfterTrial::Stop => "it is stopped, and its data is kept",
    };
    vec![
        ("url", url),
        ("ends_at", end.in_words()),
        ("what_then", what_then.to_owned()),
    ]
}

/// Renders the mail to somebody who has paid for a name that cannot be had. `order_id` is where the order is kept.
pub(crate) fn render_choose(
    id: &str,
    order: &Order,
    order_id: &InstanceId,
    settings: &Settings,
    tokens: &TokenKey,
) -> Mail {
    let own = vec![
        ("choose_url", choose_url(settings, &tokens.choose(order_id))),
        ("choose_days", days(CHOICE.as_secs())),
        ("reason", order.reason.clone()),
    ];
    let reader = Reader {
        company_name: order.company_name.as_str(),
        subdomain: &order.wanted,
        admin_email: &order.admin_email,
        service: &order.service,
    };
    written(id, LetterKind::Choose, &reader, settings, own)
}

fn choose_url(settings: &Settings, token: &StatusToken) -> String {
    format!("{}/choose/{}", settings.addresses.public_url, token.reveal())
}

/// Who a mail is for.
struct Reader<'a> {
    company_name: &'a str,
    subdomain: &'a str,
    admin_email: &'a Email,
    service: &'a ServiceName,
}

impl<'a> Reader<'a> {
    fn of(tenant: &'a Tenant, service: &'a ServiceName) -> Self {
        Self {
            company_name: tenant.company_name.as_str(),
            subdomain: tenant.subdomain.as_str(),
            admin_email: &tenant.admin_email,
            service,
        }
    }
}

fn password_url(settings: &Settings, token: &StatusToken) -> String {
    format!("{}/password/{}", settings.addresses.public_url, token.reveal())
}

fn days(seconds: u64) -> String {
    (seconds / 86_400).to_string()
}

/// A mail of this kind, in the words that the service has for it.
fn written(id: &str, kind: LetterKind, reader: &Reader<'_>, settings: &Settings, own: Values) -> Mail {
    let service = reader.service;
    let mut values: Values = vec![
        ("company_name", reader.company_name.to_owned()),
        ("subdomain", reader.subdomain.to_owned()),
        ("admin_email", reader.admin_email.to_string()),
        ("service", service.to_string()),
        ("console_url", settings.addresses.public_url.clone()),
    ];
    values.extend(own);
    let words = settings.letters.write(kind, service, &values);
    Mail {
        id: id.to_owned(),
        from: settings.letters.from(service).unwrap_or(&settings.mail_from).to_owned(),
        to: reader.admin_email.clone(),
        subject: words.subject,
        text: words.text,
        html: words.html,
    }
}

/// What a mail of this kind looks like, for a tenant that there need not be. Nothing is sent, and its links lead nowhere.
pub fn preview(settings: &Settings, kind: LetterKind, service: &ServiceName, tenant: &Tenant) -> Result<Mail, Failure> {
    let service = settings.service(service)?.clone();
    if !service.tenant {
        return Err(Failure::new(
            Code::ServiceTenant,
            format!("the service {} has no tenants, and so nobody to write to", service.name),
        )
        .hint("choose one with `tenant = true`"));
    }
    let id = InstanceId::new(Timestamp(0), [0; 10]);
    let nowhere = StatusToken::new([0; 16]);
    let own = match kind {
        LetterKind::Ready => {
            let sample = Instance {
                id: id.clone(),
                tenant: Some(tenant.clone()),
                environment: BTreeMap::new(),
                created_at: Timestamp(0),
                state: State::Provisioning { since: Timestamp(0) },
                attempt: Attempt(1),
                held: Resources::default(),
                first_ready_at: None,
                crashes: Vec::new(),
                losses: Vec::new(),
                pause_until: None,
                expires_at: None,
                told_of_end: None,
                slept: wharf_domain::instance::Slept::default(),
                keep_targets: false,
                asked_back: false,
                request_hash: String::new(),
                status_token_hash: None,
                service: service.clone(),
            };
            // An address that has a port in it is known only of a task that runs.
            let url = settings
                .url(&sample)
                .unwrap_or_else(|| settings.addresses.tenant_url(tenant.subdomain.as_str()));
            vec![
                ("url", url),
                ("password_url", password_url(settings, &nowhere)),
                ("password_days", days(settings.password_link.as_secs())),
                ("instance_id", id.to_string()),
            ]
        }
        LetterKind::Choose => vec![
            ("choose_url", choose_url(settings, &nowhere)),
            ("choose_days", days(CHOICE.as_secs())),
            ("reason", format!("the name \"{}\" is taken", tenant.subdomain)),
        ],
        LetterKind::Trial => about_trial(
            settings.addresses.tenant_url(tenant.subdomain.as_str()),
            Timestamp(0) + Duration::from_hours(24 * 365 * 60),
            service.trial.as_ref().map_or(AfterTrial::End, |trial| trial.then),
        ),
    };
    let reader = Reader::of(tenant, &service.name);
    Ok(written(&format!("{}-{id}", kind.name()), kind, &reader, settings, own))
}
