//! Mails: what the outbox holds of them, and how they are rendered. Everything that users gave is escaped; no secret is in
//! one, only the link behind which the first password is shown once.

use maud::{DOCTYPE, html};
use serde::{Deserialize, Serialize};
use wharf_domain::{Failure, Instance, InstanceId, State, Tenant};
use wharf_platform::Mail;
use wharf_saga::store::OutboxMail;

use crate::{settings::Settings, tokens::TokenKey};

/// A mail in the outbox. It is rendered when it is handed over, from the record as it is then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Letter {
    /// It is ready, and here is how to get in.
    Ready,
}

/// The mail that tells a tenant that the application is there.
pub(crate) fn ready(instance: &InstanceId) -> OutboxMail {
    let body = serde_json::to_string(&Letter::Ready).expect("a letter is plain data");
    OutboxMail {
        id: format!("ready-{instance}"),
        body,
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

/// Renders a letter, from the record as it is now.
pub(crate) fn render(
    id: &str,
    body: &str,
    instance: &Instance,
    settings: &Settings,
    tokens: &TokenKey,
) -> Result<Rendered, Failure> {
    let letter: Letter =
        serde_json::from_str(body).map_err(|error| Failure::internal(format!("mail {id} cannot be read: {error}")))?;
    let (Some(tenant), Letter::Ready) = (&instance.tenant, letter) else {
        return Ok(Rendered::Nobody);
    };
    if matches!(instance.state, State::Ended { .. } | State::Failed { .. }) {
        return Ok(Rendered::Nobody);
    }
    let Some(url) = settings.url(instance) else {
        return Ok(Rendered::NotNow);
    };
    let password = format!(
        "{}/password/{}",
        settings.addresses.public_url,
        tokens.reveal(&instance.id).reveal()
    );
    let days = settings.password_link.as_secs() / 86_400;
    Ok(Rendered::Mail(Box::new(Mail {
        id: id.to_owned(),
        from: settings.mail_from.clone(),
        to: tenant.admin_email.clone(),
        subject: format!("{} is ready", tenant.company_name),
        text: text(tenant, &url, &password, days),
        html: page(tenant, &url, &password, days),
    })))
}

fn text(tenant: &Tenant, url: &str, password: &str, days: u64) -> String {
    format!(
        "Hello,\n\n\
         {company} is ready:\n\n    {url}\n\n\
         The administrator's first password is behind this link. It is shown once, and the link works for {days} days:\n\n    {password}\n\n\
         You get this mail because {email} was given when {subdomain} was signed up.\n",
        company = tenant.company_name,
        email = tenant.admin_email,
        subdomain = tenant.subdomain,
    )
}

fn page(tenant: &Tenant, url: &str, password: &str, days: u64) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (tenant.company_name.as_str()) " is ready" } }
            body style="font-family: sans-serif; line-height: 1.5; max-width: 36rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733" {
                h1 style="font-size: 1.4rem" { (tenant.company_name.as_str()) " is ready" }
                p { a href=(url) { (url) } }
                p { "The administrator's first password is behind this link. It is shown once, and the link works for " (days) " days:" }
                p { a href=(password) { "Show the first password" } }
                p style="color: #5b6b7a; font-size: 0.85rem" {
                    "You get this mail because " (tenant.admin_email.as_str()) " was given when " (tenant.subdomain.as_str()) " was signed up."
                }
            }
        }
    }
    .into_string()
}
