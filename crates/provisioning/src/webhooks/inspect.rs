//! The pure parts of a webhook's way, for whoever holds inputs of his own against them (`fuzz/`): nothing is asked of anybody, and nothing comes of it.
//!
//! It is no interface of this crate's: it calls what [`Wharf::take_webhook`](crate::Wharf::take_webhook) calls, in the same order, and may change with it. What must
//! not be here: rules.

use secrecy::SecretString;
use wharf_domain::{Email, Failure, Tenant, Timestamp, webhook::WebhookRules};

use super::{
    reading::{self, Paid, What},
    signature::{self, Headers},
};

/// What a webhook asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    Nothing,
    Provision(Tenant),
    /// Paid for by this one, under a name that no tenant can have.
    Choose(Email),
    Stop,
}

/// The event's id, and what it asks for.
pub fn inspect(
    rules: &WebhookRules,
    secrets: &[SecretString],
    headers: Headers<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(String, Meant), Failure> {
    let id = signature::check(rules.kind, secrets, headers, body, now, rules.tolerance)?;
    let event = reading::read(rules, id, body)?;
    let meant = match event.what {
        What::Nothing => Meant::Nothing,
        What::Provision {
            paid: Paid::Good(tenant),
            ..
        } => Meant::Provision(tenant),
        What::Provision {
            paid: Paid::Unnamed { admin_email, .. },
            ..
        } => Meant::Choose(admin_email),
        What::Stop { .. } => Meant::Stop,
    };
    Ok((event.id, meant))
}
