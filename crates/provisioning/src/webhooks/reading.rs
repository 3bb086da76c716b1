//! What a genuine webhook says, by its sender's rules. Pure; of a body of any shape comes an event, or a failure that says what is missing.

use serde_json::Value;
use wharf_domain::{
    Code, CompanyName, Email, Failure, Subdomain, Tenant,
    webhook::{FieldPath, WebhookKind, WebhookRules},
};

const ID_MAX: usize = 255;

/// An event, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The sender's own id of it: the same for every time that it is sent.
    pub(super) id: String,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing: another type, or something that is not paid yet.
    Nothing,
    Provision {
        paid: Paid,
        contract: Option<String>,
    },
    Stop {
        contract: Option<String>,
        subdomain: Option<String>,
    },
}

/// What was paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Paid {
    Good(Tenant),
    /// The name is none that a tenant can have; who paid is asked for another.
    Unnamed {
        /// As it was given; nothing where none was.
        wanted: String,
        company_name: CompanyName,
        admin_email: Email,
        why: Failure,
    },
}

/// `id` is the one of the headers, where they have it.
pub(super) fn read(rules: &WebhookRules, id: Option<String>, body: &[u8]) -> Result<Event, Failure> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| invalid(format!("the body is not JSON: {error}")))?;
    let kind = body["type"]
        .as_str()
        .ok_or_else(|| invalid("the event has no type".to_owned()))?;
    let own = || body["id"].as_str().map(str::to_owned);
    let id = id
        .or_else(own)
        .filter(|id| !id.is_empty() && id.len() <= ID_MAX)
        .ok_or_else(|| invalid("the event has no id, or one that is too long".to_owned()))?;
    let object = match rules.kind {
        WebhookKind::Stripe => &body["data"]["object"],
        WebhookKind::Standard => &body["data"],
    };
    let listed = |types: &[String]| types.iter().any(|listed| listed == kind);
    let find = |places: &[FieldPath]| places.iter().find_map(|place| place.find(object));
    let contract = find(&rules.fields.contract);
    let what = if listed(&rules.stop) {
        What::Stop {
            contract,
            subdomain: find(&rules.fields.subdomain),
        }
    } else if listed(&rules.provision) && is_paid(rules.kind, object) {
        if !object.is_object() {
            return Err(invalid(format!("the event {kind} has no object")));
        }
        What::Provision {
            paid: paid(rules, &find)?,
            contract,
        }
    } else {
        What::Nothing
    };
    Ok(Event { id, what })
}

/// A payment that takes days (a debit, a transfer) completes its session first, and succeeds, or not, with an event of its own.
fn is_paid(kind: WebhookKind, object: &Value) -> bool {
    kind != WebhookKind::Stripe || object["payment_status"].as_str() != Some("unpaid")
}

fn paid(rules: &WebhookRules, find: &dyn Fn(&[FieldPath]) -> Option<String>) -> Result<Paid, Failure> {
    let fields = &rules.fields;
    let admin_email: Email = find(&fields.admin_email)
        .ok_or_else(|| missing("an e-mail address", &fields.admin_email))?
        .parse()
        .map_err(|failure: Failure| invalid(failure.message))?;
    let wanted = find(&fields.subdomain).unwrap_or_default();
    // It is no use to refuse a payment for a company's name: the mail and the page do with another.
    let company = find(&fields.company_name).and_then(|name| name.parse().ok());
    let fallback = || {
        let text = if wanted.is_empty() { "your account" } else { &wanted };
        let short: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
        short.parse::<CompanyName>().or_else(|_| "your account".parse())
    };
    let company_name = company.map_or_else(fallback, Ok)?;
    Ok(match wanted.parse::<Subdomain>() {
        Ok(subdomain) => Paid::Good(Tenant {
            subdomain,
            admin_email,
            company_name,
        }),
        Err(why) => Paid::Unnamed {
            why: if wanted.is_empty() {
                Failure::new(Code::NameInvalid, "none was given")
            } else {
                why
            },
            wanted,
            company_name,
            admin_email,
        },
    })
}

fn missing(what: &str, places: &[FieldPath]) -> Failure {
    let places: Vec<&str> = places.iter().map(FieldPath::as_str).collect();
    invalid(format!("the event has {what} in none of {}", places.join(", ")))
}

fn invalid(why: String) -> Failure {
    Failure::new(Code::WebhookInvalid, why)
        .hint("[webhooks.NAME] in wharf.toml says where an event's fields stand; docs/payments.md has an example")
}
