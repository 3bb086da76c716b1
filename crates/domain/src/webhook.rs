//! Webhooks: what those that come in are understood by, and which ones go out. Whether one is genuine is decided elsewhere, before it is looked into.
//!
//! What must not be here: secrets, signatures, and anything that is done about a webhook.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, str::FromStr, time::Duration};

use crate::{Code, Failure, ServiceName};

/// Deeper than any provider nests.
const DEPTH_MAX: usize = 8;
/// Of a text that is found as much is taken as any field may have, and a bit more, so that the field's own rule says what is wrong.
const TEXT_MAX: usize = 1024;

/// How a webhook is signed, and where in its body the event's object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// `Stripe-Signature`; the object is `data.object`.
    Stripe,
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`, as <https://www.standardwebhooks.com> has them; the object is `data`.
    Standard,
}

/// Where a value stands in an event's object: names between dots. In a list a name chooses the entry whose `key` it is, as Stripe's
/// `custom_fields` have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(String);

impl FieldPath {
    /// The text at this place. A field that wraps its value (`{"type": "text", "text": {"value": …}}`), and an object that stands for its
    /// `id`, are looked into.
    #[must_use]
    pub fn find(&self, object: &Value) -> Option<String> {
        let mut at = object;
        for name in self.0.split('.') {
            at = match at {
                Value::Object(fields) => fields.get(name)?,
                Value::Array(entries) => entries.iter().find(|entry| entry["key"] == name)?,
                _ => return None,
            };
        }
        let wrapped = at["type"].as_str().map(|kind| &at[kind]["value"]);
        let value = match at {
            Value::Object(_) => wrapped.filter(|value| !value.is_null()).unwrap_or(&at["id"]),
            other => other,
        };
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let short: String = text.chars().take(TEXT_MAX).collect();
        (!short.is_empty()).then_some(short)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FieldPath {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let names: Vec<&str> = text.split('.').collect();
        let is_name = |name: &&str| !name.is_empty() && name.len() <= 100 && !name.chars().any(char::is_control);
        if names.len() > DEPTH_MAX || !names.iter().all(is_name) {
            return Err(
                Failure::new(Code::ConfigInvalid, format!("{text:?} is not the place of a field"))
                    .hint("write it as in \"metadata.subdomain\" or \"custom_fields.company\""),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for FieldPath {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.0
    }
}

/// Which of an event's fields say what: of each list the first one that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFields {
    pub subdomain: Vec<FieldPath>,
    pub company_name: Vec<FieldPath>,
    pub admin_email: Vec<FieldPath>,
    /// What the provider calls that for which is paid: a subscription.
    pub contract: Vec<FieldPath>,
}

/// What webhooks of one name are understood by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRules {
    pub kind: WebhookKind,
    /// The service that a payment is for; the one that a sign-up gets unless it is said.
    pub service: Option<ServiceName>,
    /// How far its time may be from ours.
    pub tolerance: Duration,
    /// Between the end of a contract and the stop of its tenant.
    pub grace: Duration,
    /// Types of events that provision.
    pub provision: Vec<String>,
    /// Types of events that stop.
    pub stop: Vec<String>,
    pub fields: WebhookFields,
}

/// What Wharf tells others of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Announcement {
    #[serde(rename = "instance.ready")]
    Ready,
    #[serde(rename = "instance.failed")]
    Failed,
    #[serde(rename = "instance.stopped")]
    Stopped,
    #[serde(rename = "instance.down")]
    Down,
    /// Its trial is over before long.
    #[serde(rename = "instance.ending")]
    Ending,
    #[serde(rename = "instance.ended")]
    Ended,
}

impl Announcement {
    pub const ALL: &[Self] = &[
        Self::Ready,
        Self::Failed,
        Self::Stopped,
        Self::Down,
        Self::Ending,
        Self::Ended,
    ];

    /// The event's type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "instance.ready",
            Self::Failed => "instance.failed",
            Self::Stopped => "instance.stopped",
            Self::Down => "instance.down",
            Self::Ending => "instance.ending",
            Self::Ended => "instance.ended",
        }
    }
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str, object: &Value) -> Option<String> {
        path.parse::<FieldPath>().expect("a path").find(object)
    }

    #[test]
    fn a_field_is_found_wherever_a_provider_puts_it() {
        let object = json!({
            "subscription": {"id": "sub_1", "object": "subscription"},
            "metadata": {"subdomain": " acme ", "seats": 7, "note": ""},
            "custom_fields": [
                {"key": "company", "type": "text", "text": {"value": "Acme Inc."}},
                {"key": "size", "type": "dropdown", "dropdown": {"value": "large", "options": []}},
                {"key": "empty", "type": "text", "text": {"value": null}}
            ]
        });
        let cases = [
            ("metadata.subdomain", Some("acme")),
            ("metadata.seats", Some("7")),
            ("metadata.note", None),
            ("metadata.nothing", None),
            ("metadata", None),
            ("subscription", Some("sub_1")),
            ("custom_fields.company", Some("Acme Inc.")),
            ("custom_fields.size", Some("large")),
            ("custom_fields.empty", None),
            ("custom_fields.nothing", None),
            ("custom_fields", None),
            ("metadata.subdomain.deeper", None),
        ];
        for (path, found) in cases {
            assert_eq!(find(path, &object).as_deref(), found, "{path}");
        }
        for shape in [
            json!(null),
            json!(7),
            json!([]),
            json!([[1]]),
            json!("text"),
            json!({"metadata": [null, 1]}),
        ] {
            assert_eq!(find("metadata.subdomain", &shape), None, "{shape}");
        }
        let long = json!({"a": "x".repeat(100_000)});
        assert_eq!(find("a", &long).expect("a text").len(), TEXT_MAX);
    }

    #[test]
    fn a_path_has_names_between_its_dots() {
        for text in ["", ".", "a..b", "a.", "a\n", "a.b.c.d.e.f.g.h.i"] {
            assert!(text.parse::<FieldPath>().is_err(), "{text:?}");
        }
    }
}
