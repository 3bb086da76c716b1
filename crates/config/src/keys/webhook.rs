//! The keys of webhooks: those that come in (`webhooks.NAME`) and those that go out (`notify.NAME`).

use std::time::Duration;
use wharf_domain::{ServiceName, webhook::FieldPath};

use crate::{
    table::{Key, Node::Leaf, Presence::Named, Section, Variable},
    values::{Announced, HookUrl, Secret, WebhookForm},
};

pub(crate) static KIND: Key<Option<WebhookForm>> = Key::new(
    "kind",
    || None,
    "How they are signed. `stripe`: as Stripe does it. `standard`: with the headers of Standard Webhooks (`webhook-id`, \
     `webhook-timestamp`, `webhook-signature`).",
)
.default_note("`stripe` for `webhooks.stripe`, else `standard`");
pub(crate) static SECRET: Key<Option<Secret>> = Key::new(
    "secret",
    || None,
    "The secret that they are signed with (`whsec_…`), several between commas while one is being replaced. Not in the file; it is never \
     shown.",
)
.variables(&[Variable::of_service("WEBHOOK_SECRET")]);
pub(crate) static AWS_SECRET: Key<Option<String>> = Key::new(
    "aws_secret",
    || None,
    "On ECS and AWS Lambda: the name or the ARN of the secret in Secrets Manager that holds it, in place of the variable.",
);
pub(crate) static SERVICE: Key<Option<ServiceName>> =
    Key::new("service", || None, "The service that a payment is for.").default_note("the one that a sign-up gets");
pub(crate) static TOLERANCE: Key<Duration> = Key::new(
    "tolerance",
    || Duration::from_mins(5),
    "How far a webhook's time may be from this machine's. One that is older is refused, since it may be a copy.",
)
.between(&[Duration::from_secs(1), Duration::from_hours(1)]);
pub(crate) static GRACE: Key<Duration> = Key::new(
    "grace",
    || Duration::from_hours(3 * 24),
    "How long after the end of what was paid for the tenant is stopped. Its name and its data are kept.",
)
.between(&[Duration::ZERO, Duration::from_hours(365 * 24)]);
pub(crate) static PROVISION: Key<Option<Vec<String>>> = Key::new(
    "provision",
    || None,
    "The types of events that provision a tenant. Of Stripe's, those that are not paid yet are passed over.",
)
.default_note("`[\"checkout.session.completed\", \"checkout.session.async_payment_succeeded\"]`; `[\"tenant.provision\"]` with `kind = \"standard\"`");
pub(crate) static STOP: Key<Option<Vec<String>>> = Key::new(
    "stop",
    || None,
    "The types of events after which a tenant is stopped. All others are answered, and ignored.",
)
.default_note("`[\"customer.subscription.deleted\"]`; `[\"tenant.stop\"]` with `kind = \"standard\"`");
pub(crate) static SUBDOMAIN: Key<Option<Vec<FieldPath>>> = Key::new(
    "subdomain",
    || None,
    "Where the tenant's name stands in the event's object: places that are tried in turn. In a list a name chooses the entry with that `key`.",
)
.default_note("`[\"metadata.subdomain\", \"custom_fields.subdomain\"]`; `[\"subdomain\"]` with `kind = \"standard\"`");
pub(crate) static COMPANY_NAME: Key<Option<Vec<FieldPath>>> = Key::new(
    "company_name",
    || None,
    "Where the company's name stands. Where none of these is there, it is the subdomain.",
)
.default_note(
    "`[\"metadata.company_name\", \"custom_fields.company_name\", \"custom_fields.company\", \"customer_details.business_name\", \
     \"customer_details.name\"]`; `[\"company_name\"]` with `kind = \"standard\"`",
);
pub(crate) static ADMIN_EMAIL: Key<Option<Vec<FieldPath>>> = Key::new(
    "admin_email",
    || None,
    "Where the address stands that the mail goes to.",
)
.default_note(
    "`[\"metadata.admin_email\", \"customer_details.email\", \"customer_email\"]`; `[\"admin_email\"]` with `kind = \"standard\"`",
);
pub(crate) static CONTRACT: Key<Option<Vec<FieldPath>>> = Key::new(
    "contract",
    || None,
    "Where it says for what is paid: by this the end of a subscription is joined to the tenant that its beginning made.",
)
.default_note("`[\"subscription\", \"id\"]`; `[\"contract\"]` with `kind = \"standard\"`");

pub(crate) static WEBHOOKS: Section = Section {
    name: "webhooks",
    doc: "Webhooks that come in, each sender below its name: they are taken at `POST /webhooks/NAME`.",
    presence: Named,
    children: &[
        Leaf(&KIND),
        Leaf(&SECRET),
        Leaf(&AWS_SECRET),
        Leaf(&SERVICE),
        Leaf(&TOLERANCE),
        Leaf(&GRACE),
        Leaf(&PROVISION),
        Leaf(&STOP),
        Leaf(&SUBDOMAIN),
        Leaf(&COMPANY_NAME),
        Leaf(&ADMIN_EMAIL),
        Leaf(&CONTRACT),
    ],
};

pub(crate) static NOTIFY_URL: Key<Option<HookUrl>> = Key::new(
    "url",
    || None,
    "Where events are posted to: `https`, or `http` on this machine. Redirects are not followed.",
)
.required("\"https://example.com/hooks/wharf\"");
pub(crate) static NOTIFY_SECRET: Key<Option<Secret>> = Key::new(
    "secret",
    || None,
    "The secret that they are signed with (`whsec_…`), as Standard Webhooks has it; several between commas while one is being replaced. \
     Not in the file; it is never shown.",
)
.variables(&[Variable::of_service("NOTIFY_SECRET")]);
pub(crate) static NOTIFY_EVENTS: Key<Vec<Announced>> = Key::new("events", Announced::all, "Which events it gets.");

pub(crate) static NOTIFY: Section = Section {
    name: "notify",
    doc: "Who is told of instances by signed webhooks, each receiver below its name. Nobody else is ever called.",
    presence: Named,
    children: &[
        Leaf(&NOTIFY_URL),
        Leaf(&NOTIFY_SECRET),
        Leaf(&AWS_SECRET),
        Leaf(&NOTIFY_EVENTS),
    ],
};
