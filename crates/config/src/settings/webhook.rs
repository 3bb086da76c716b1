//! `[webhooks.NAME]` and `[notify.NAME]`, typed. What a kind of webhook leaves open is filled in here.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use wharf_domain::{
    WebhookName,
    webhook::{Announcement, FieldPath, WebhookFields, WebhookKind, WebhookRules},
};

use crate::{
    keys::webhook as keys,
    resolved::Resolved,
    setting::Setting,
    table::{Key, join},
    values::{HookUrl, Secret, WebhookForm},
};

/// What a webhook is called that is Stripe's unless it is said.
const STRIPE: &str = "stripe";

/// `[webhooks.NAME]`: webhooks that come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    pub rules: WebhookRules,
    /// From the environment; several between commas. Where it is `None`, `aws_secret` may name it.
    pub secret: Option<Secret>,
    /// A secret of Secrets Manager, by name or ARN.
    pub aws_secret: Option<String>,
}

/// `[notify.NAME]`: who is told of instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notify {
    pub url: HookUrl,
    pub secret: Option<Secret>,
    pub aws_secret: Option<String>,
    pub events: BTreeSet<Announcement>,
}

pub(crate) fn webhooks(from: &mut Resolved<'_>) -> BTreeMap<WebhookName, Webhook> {
    let names = from.named.get(keys::WEBHOOKS.name).cloned().unwrap_or_default();
    let read = names.into_iter().map(|name| {
        let webhook = read_webhook(from, &name);
        (name, webhook)
    });
    read.collect()
}

fn read_webhook(from: &mut Resolved<'_>, name: &WebhookName) -> Webhook {
    let path = join(keys::WEBHOOKS.name, name.as_str());
    let given = from.get(&path, &keys::KIND);
    let form = given.unwrap_or(WebhookForm(if name.as_str() == STRIPE {
        WebhookKind::Stripe
    } else {
        WebhookKind::Standard
    }));
    from.settle(&join(&path, keys::KIND.name), form.show());
    let is_stripe = form.0 == WebhookKind::Stripe;
    let mut types = |key: &'static Key<Option<Vec<String>>>, stripe: &[&str], standard: &[&str]| {
        let known = if is_stripe { stripe } else { standard };
        let types = from
            .get(&path, key)
            .unwrap_or_else(|| known.iter().map(|kind| (*kind).to_owned()).collect());
        from.settle(&join(&path, key.name), types.show());
        types
    };
    let provision = types(
        &keys::PROVISION,
        &["checkout.session.completed", "checkout.session.async_payment_succeeded"],
        &["tenant.provision"],
    );
    let stop = types(&keys::STOP, &["customer.subscription.deleted"], &["tenant.stop"]);
    let mut places = |key: &'static Key<Option<Vec<FieldPath>>>, stripe: &[&str], standard: &str| {
        let places = from.get(&path, key).unwrap_or_else(|| {
            let known = if is_stripe { stripe } else { &[standard] };
            known.iter().filter_map(|place| place.parse().ok()).collect()
        });
        from.settle(&join(&path, key.name), places.show());
        places
    };
    let fields = WebhookFields {
        subdomain: places(
            &keys::SUBDOMAIN,
            &["metadata.subdomain", "custom_fields.subdomain"],
            "subdomain",
        ),
        company_name: places(
            &keys::COMPANY_NAME,
            &[
                "metadata.company_name",
                "custom_fields.company_name",
                "custom_fields.company",
                "customer_details.business_name",
                "customer_details.name",
            ],
            "company_name",
        ),
        admin_email: places(
            &keys::ADMIN_EMAIL,
            &["metadata.admin_email", "customer_details.email", "customer_email"],
            "admin_email",
        ),
        contract: places(&keys::CONTRACT, &["subscription", "id"], "contract"),
    };
    Webhook {
        rules: WebhookRules {
            kind: form.0,
            service: from.get(&path, &keys::SERVICE),
            tolerance: from.get(&path, &keys::TOLERANCE),
            grace: from.get(&path, &keys::GRACE),
            provision,
            stop,
            fields,
        },
        secret: from.get(&path, &keys::SECRET),
        aws_secret: from.get(&path, &keys::AWS_SECRET),
    }
}

pub(crate) fn notify(from: &Resolved<'_>) -> BTreeMap<WebhookName, Notify> {
    let names = from.named.get(keys::NOTIFY.name).into_iter().flatten();
    let read = names.filter_map(|name| {
        let path = join(keys::NOTIFY.name, name.as_str());
        let notify = Notify {
            // A receiver without an address is a problem that was reported.
            url: from.get(&path, &keys::NOTIFY_URL)?,
            secret: from.get(&path, &keys::NOTIFY_SECRET),
            aws_secret: from.get(&path, &keys::AWS_SECRET),
            events: from
                .get(&path, &keys::NOTIFY_EVENTS)
                .into_iter()
                .map(|announced| announced.0)
                .collect(),
        };
        Some((name.clone(), notify))
    });
    read.collect()
}
