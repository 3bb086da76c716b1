//! `POST /webhooks/{name}`: what a payment provider, or another program, tells. Whether it is genuine is looked at before anything in it is.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_domain::Code;
use wharf_provisioning::webhooks::{self, Taken};

use crate::{
    answer,
    fields::Field,
    limits,
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    request::{self, Word},
    state::App,
};

const HEADERS: &[Field] = &[
    Field::text(
        "Stripe-Signature",
        4096,
        "Stripe's: a time, and the signature over it and the body",
        "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
    ),
    Field::text(
        "webhook-id",
        256,
        "Of Standard Webhooks: the message's id",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
    ),
    Field::text(
        "webhook-timestamp",
        12,
        "Of Standard Webhooks: when it was signed, in seconds",
        "1614265330",
    ),
    Field::text(
        "webhook-signature",
        4096,
        "Of Standard Webhooks: the signature over id, time and body",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/webhooks/{name}", "webhook", Tag::SignUp, Access::Webhook, take)
            .says(
                "Take a webhook",
                "As configured below `webhooks.NAME`: Stripe's events, or those of anybody who signs as Standard Webhooks has it. The signature is \
                 over the body as it comes. The same event again is answered with what became of it; events of other types are answered, and \
                 ignored.",
            )
            .heeds(HEADERS)
            .takes_any(
                "An event; `docs/payments.md` says which",
                json!({
                    "id": "evt_1", "type": "tenant.provision",
                    "data": {"subdomain": "acme", "company_name": "Acme Inc.", "admin_email": "admin@acme.example", "contract": "sub_1"}
                }),
            )
            .answers::<Outcome>(200, "Taken, now or before", "Outcome")
            .like(json!({"outcome": "provisioned", "instance": "inst_01je4q5gkv8a9xw3n2b7c6d5eg"}))
            .fails(&[
                Code::WebhookUnknown,
                Code::WebhookSignature,
                Code::WebhookStale,
                Code::WebhookInvalid,
                Code::ServiceUnknown,
                Code::ServiceTenant,
                Code::KeyReused,
                Code::LimitInstances,
                Code::PortExhausted,
                Code::StoreFull,
            ])
            .fails(STORE),
    ]
}

/// What became of an event.
#[derive(Debug, Serialize, ToSchema)]
struct Outcome {
    /// `provisioned`, `asked` (who paid was asked for another name), `stopping` (after the grace period), `withdrawn` (nothing was made yet),
    /// `unknown` (nothing here is meant) or `ignored`.
    outcome: String,
    /// The instance that is meant, where there is one.
    instance: Option<String>,
}

async fn take(State(app): State<App>, Word(name): Word, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let body = request::raw(&parts.headers, body, limits::WEBHOOK_MAX).await?;
    let header = |name: &str| {
        let mut values = parts.headers.get_all(name).iter();
        let (first, second) = (values.next()?, values.next());
        second
            .is_none()
            .then(|| first.to_str().ok().map(str::to_owned))
            .flatten()
    };
    let headers: webhooks::Headers<'_> = &header;
    let taken = app.wharf.take_webhook(&name, headers, &body).await?;
    let (outcome, instance) = match taken {
        Taken::Provisioned(id) => ("provisioned", Some(id)),
        Taken::Asked => ("asked", None),
        Taken::Stops(id) => ("stopping", Some(id)),
        Taken::Withdrawn => ("withdrawn", None),
        Taken::Unknown => ("unknown", None),
        Taken::Ignored => ("ignored", None),
    };
    let outcome = Outcome {
        outcome: outcome.to_owned(),
        instance: instance.map(|id| id.to_string()),
    };
    Ok(answer::json(StatusCode::OK, &outcome))
}
