//! A webhook: whether it is genuine, and what it asks for. Nobody without the secret is believed, whatever the headers say; of a genuine one any body is read or
//! refused, and is what its signature is over.
//!
//! An input is the kind of its sender (`stripe` or anything else), headers, an empty line, and the body.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;
use std::{collections::BTreeMap, time::Duration};
use wharf_domain::{
    Code, Failure, Timestamp,
    webhook::{FieldPath, WebhookFields, WebhookKind, WebhookRules},
};
use wharf_provisioning::webhooks::{
    ID, SIGNATURE, STRIPE_SIGNATURE, TIMESTAMP,
    inspect::{Meant, inspect},
};

const KEY: &[u8] = b"nobody who makes inputs knows it";
const NOW: Timestamp = Timestamp(1_795_000_000_000);
const TOLERANCE: Duration = Duration::from_mins(5);

type Headers = BTreeMap<String, String>;

pub fn run(data: &[u8]) {
    let (head, body) = split(data);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let kind = match lines.next() {
        Some("stripe") => WebhookKind::Stripe,
        _ => WebhookKind::Standard,
    };
    let given: Headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rules = rules(kind);
    let forged = look(&rules, &given, body, NOW);
    assert!(
        matches!(&forged, Err(failure) if failure.code == Code::WebhookSignature),
        "{forged:?} by {given:?}"
    );

    let signed = signed(kind, body, NOW);
    let seen = look(&rules, &signed, body, NOW);
    match &seen {
        Ok((id, meant)) => {
            assert!(!id.is_empty() && id.len() <= 256, "{id:?}");
            if let Meant::Provision(tenant) = meant {
                assert_eq!(tenant.subdomain.as_str().parse().as_ref(), Ok(&tenant.subdomain));
                assert_eq!(tenant.admin_email.as_str().parse().as_ref(), Ok(&tenant.admin_email));
                assert_eq!(tenant.company_name.as_str().parse().as_ref(), Ok(&tenant.company_name));
            }
        }
        Err(failure) => {
            assert_eq!(failure.code, Code::WebhookInvalid, "{failure}");
            assert!(failure.message.len() < 2000, "{failure}");
        }
    }
    // As long as it is of now, it is the same; a body that is not the signed one is nobody's.
    assert_eq!(look(&rules, &signed, body, NOW + TOLERANCE), seen);
    let late = look(&rules, &signed, body, NOW + TOLERANCE + Duration::from_secs(1));
    assert!(
        matches!(&late, Err(failure) if failure.code == Code::WebhookStale),
        "{late:?}"
    );
    let mut other = body.to_vec();
    other.push(b' ');
    let changed = look(&rules, &signed, &other, NOW);
    assert!(
        matches!(&changed, Err(failure) if failure.code == Code::WebhookSignature),
        "{changed:?}"
    );
}

/// Before and after the first empty line.
fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    at.map_or((data, &[]), |at| (&data[..at], &data[at + 2..]))
}

fn look(rules: &WebhookRules, headers: &Headers, body: &[u8], now: Timestamp) -> Result<(String, Meant), Failure> {
    let secret = match rules.kind {
        WebhookKind::Stripe => String::from_utf8_lossy(KEY).into_owned(),
        WebhookKind::Standard => format!("whsec_{}", BASE64.encode(KEY)),
    };
    let get = |name: &str| headers.get(name).cloned();
    inspect(rules, &[SecretString::from(secret)], &get, body, now)
}

/// What a sender who has the secret puts into the headers.
fn signed(kind: WebhookKind, body: &[u8], now: Timestamp) -> Headers {
    let seconds = (now.as_millis() / 1000).to_string();
    let mac = |before: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key of any length");
        mac.update(before.as_bytes());
        mac.update(body);
        mac.finalize().into_bytes()
    };
    let headers = match kind {
        WebhookKind::Stripe => {
            let signature = HEXLOWER.encode(&mac(&format!("{seconds}.")));
            vec![(STRIPE_SIGNATURE, format!("t={seconds},v1={signature}"))]
        }
        WebhookKind::Standard => {
            let signature = BASE64.encode(&mac(&format!("msg_1.{seconds}.")));
            vec![
                (ID, "msg_1".to_owned()),
                (TIMESTAMP, seconds),
                (SIGNATURE, format!("v1,{signature}")),
            ]
        }
    };
    headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn rules(kind: WebhookKind) -> WebhookRules {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let places =
        |places: &[&str]| -> Vec<FieldPath> { places.iter().map(|place| place.parse().expect("a place")).collect() };
    WebhookRules {
        kind,
        service: None,
        tolerance: TOLERANCE,
        grace: Duration::ZERO,
        provision: texts(&["checkout.session.completed", "tenant.provision"]),
        stop: texts(&["customer.subscription.deleted", "tenant.stop"]),
        fields: WebhookFields {
            subdomain: places(&["metadata.subdomain", "custom_fields.subdomain", "subdomain"]),
            company_name: places(&["metadata.company_name", "custom_fields.company", "company_name"]),
            admin_email: places(&["customer_details.email", "admin_email"]),
            contract: places(&["subscription", "id", "contract"]),
        },
    }
}
