//! Whether a webhook is genuine: a MAC over the raw body and its time, by a secret that both sides have. Pure; nothing of a body is looked into before.
//!
//! Stripe: <https://docs.stripe.com/webhooks#verify-manually>. Standard Webhooks: <https://github.com/standard-webhooks/standard-webhooks>.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::time::Duration;
use wharf_domain::{Code, Failure, Timestamp, webhook::WebhookKind};

/// What secrets begin with; in Standard Webhooks what follows is base64.
const PREFIX: &str = "whsec_";
/// Signatures in one header, at the most: as many secrets are never valid at once.
const SIGNATURES_MAX: usize = 16;
const ID_MAX: usize = 256;

/// The headers that Standard Webhooks has.
pub const ID: &str = "webhook-id";
pub const TIMESTAMP: &str = "webhook-timestamp";
pub const SIGNATURE: &str = "webhook-signature";
/// Stripe's one header.
pub const STRIPE_SIGNATURE: &str = "stripe-signature";

/// Reads a header of a request; `None` where it is not there, there more than once, or no text.
pub type Headers<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// Whether the body is from somebody who has one of the secrets, and of now. Gives the message's id where the headers have one.
pub(super) fn check(
    kind: WebhookKind,
    secrets: &[SecretString],
    headers: Headers<'_>,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<Option<String>, Failure> {
    let claim = match kind {
        WebhookKind::Stripe => stripe(headers)?,
        WebhookKind::Standard => standard(headers)?,
    };
    let mut signed = claim.before.into_bytes();
    signed.extend_from_slice(body);
    let is_genuine = secrets.iter().any(|secret| {
        let Some(mac) = mac(kind, secret, &signed) else {
            return false;
        };
        // Each is compared in a time that does not tell how much of it was right.
        claim
            .signatures
            .iter()
            .any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if !is_genuine {
        return Err(forged("the signature is not that of this body by the webhook's secret"));
    }
    // After the signature: the time is part of what it is over, and who has no secret learns nothing of our clock.
    let at = Timestamp(claim.seconds.saturating_mul(1000));
    let apart = if at > now { at.since(now) } else { now.since(at) };
    if apart > tolerance {
        let side = if at > now { "ahead of" } else { "behind" };
        return Err(Failure::new(
            Code::WebhookStale,
            format!(
                "the webhook's time is {} s {side} this machine's, and {} s are allowed",
                apart.as_secs(),
                tolerance.as_secs()
            ),
        )
        .hint("look at this machine's clock; its sender signs it anew when it tries again"));
    }
    Ok(claim.id)
}

/// What a request's headers say of its signature.
struct Claim {
    id: Option<String>,
    seconds: u64,
    /// What is signed before the body.
    before: String,
    signatures: Vec<Vec<u8>>,
}

/// `t=1492774577,v1=5257a8…,v1=…`: several while a secret is being replaced, and others of schemes that are none of ours.
fn stripe(headers: Headers<'_>) -> Result<Claim, Failure> {
    let header = headers(STRIPE_SIGNATURE).ok_or_else(|| unsigned(STRIPE_SIGNATURE))?;
    let parts = header.split(',').filter_map(|part| part.trim().split_once('='));
    let mut time = None;
    let mut signatures = Vec::new();
    for (name, value) in parts {
        match name {
            "t" if time.is_none() => time = Some(value.to_owned()),
            "t" => return Err(forged("the signature has two times")),
            "v1" if signatures.len() < SIGNATURES_MAX => {
                signatures.extend(HEXLOWER.decode(value.as_bytes()).ok());
            }
            _ => {}
        }
    }
    let time = time.ok_or_else(|| forged("the signature has no time"))?;
    Ok(Claim {
        id: None,
        seconds: seconds(&time)?,
        before: format!("{time}."),
        signatures,
    })
}

/// `v1,K5oZ…= v1,…=`: several while a secret is being replaced, and others of schemes that are none of ours.
fn standard(headers: Headers<'_>) -> Result<Claim, Failure> {
    let get = |name| headers(name).ok_or_else(|| unsigned(name));
    let (id, time, signature) = (get(ID)?, get(TIMESTAMP)?, get(SIGNATURE)?);
    if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(forged("its id has not 1 to 256 visible ASCII characters"));
    }
    let signatures = signature
        .split(' ')
        .filter_map(|part| part.strip_prefix("v1,"))
        .filter_map(|encoded| BASE64.decode(encoded.as_bytes()).ok())
        .take(SIGNATURES_MAX)
        .collect();
    Ok(Claim {
        seconds: seconds(&time)?,
        before: format!("{id}.{time}."),
        id: Some(id),
        signatures,
    })
}

fn seconds(text: &str) -> Result<u64, Failure> {
    let is_plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    let number = if is_plain { text.parse().ok() } else { None };
    number.ok_or_else(|| forged("its time is not a number of seconds"))
}

/// The MAC over what is signed; `None` where a secret is none.
fn mac(kind: WebhookKind, secret: &SecretString, signed: &[u8]) -> Option<Hmac<Sha256>> {
    let secret = secret.expose_secret().trim();
    let mut mac = match kind {
        WebhookKind::Stripe => Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?,
        WebhookKind::Standard => {
            let encoded = secret.strip_prefix(PREFIX).unwrap_or(secret);
            Hmac::<Sha256>::new_from_slice(&BASE64.decode(encoded.as_bytes()).ok()?).ok()?
        }
    };
    mac.update(signed);
    Some(mac)
}

/// The headers of a message that goes out, as Standard Webhooks has them: a signature for each secret, the newest first.
pub(crate) fn sign(
    id: &str,
    now: Timestamp,
    body: &str,
    secrets: &[SecretString],
) -> Option<[(&'static str, String); 3]> {
    let time = (now.as_millis() / 1000).to_string();
    let signed = format!("{id}.{time}.{body}");
    let signatures: Vec<String> = secrets
        .iter()
        .filter_map(|secret| mac(WebhookKind::Standard, secret, signed.as_bytes()))
        .map(|mac| format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes())))
        .collect();
    let is_signed = !signatures.is_empty();
    is_signed.then(|| {
        [
            (ID, id.to_owned()),
            (TIMESTAMP, time),
            (SIGNATURE, signatures.join(" ")),
        ]
    })
}

fn unsigned(header: &str) -> Failure {
    Failure::new(
        Code::WebhookSignature,
        format!("there is no header {header}, or more than one"),
    )
    .hint("webhooks come from their sender, signed, and without anything between that changes them")
}

fn forged(why: &str) -> Failure {
    Failure::new(Code::WebhookSignature, why).hint(
        "hold the webhook's secret against the one that its sender shows, and see that nothing on the way changes the body",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const FIVE: Duration = Duration::from_mins(5);
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    fn checked(
        kind: WebhookKind,
        secret: &[&str],
        headers: &BTreeMap<&str, String>,
        body: &str,
        now: Timestamp,
    ) -> Result<Option<String>, Code> {
        let headers = |name: &str| headers.get(name).cloned();
        check(kind, &secrets(secret), &headers, body.as_bytes(), now, FIVE).map_err(|failure| failure.code)
    }

    fn stripe_v1(secret: &str, time: &str, body: &str) -> String {
        let mac = mac(
            WebhookKind::Stripe,
            &SecretString::from(secret),
            format!("{time}.{body}").as_bytes(),
        );
        HEXLOWER.encode(&mac.expect("a secret").finalize().into_bytes())
    }

    fn by_stripe(header: String, body: &str, now: Timestamp) -> Result<Option<String>, Code> {
        let headers = BTreeMap::from([(STRIPE_SIGNATURE, header)]);
        checked(
            WebhookKind::Stripe,
            &["whsec_old_secret", "whsec_new_secret"],
            &headers,
            body,
            now,
        )
    }

    #[test]
    fn the_example_of_standard_webhooks_is_genuine() {
        // The vector of the reference implementations.
        let body = "{\"test\": 2432232314}";
        let now = Timestamp(1_614_265_330_000);
        let headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, body, &secrets(&[SECRET])).expect("signed");
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let headers = BTreeMap::from(headers);
        assert_eq!(
            checked(WebhookKind::Standard, &[SECRET], &headers, body, now),
            Ok(Some("msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()))
        );
    }

    #[test]
    fn a_body_that_was_changed_is_not_genuine_by_either_way() {
        let headers = BTreeMap::from(sign("msg_1", NOW, "{}", &secrets(&[SECRET])).expect("signed"));
        for body in ["", "{} ", "{ }", "[]"] {
            let refused = checked(WebhookKind::Standard, &[SECRET], &headers, body, NOW);
            assert_eq!(refused, Err(Code::WebhookSignature), "{body:?}");
            let header = format!("t=1700000000,v1={}", stripe_v1("whsec_new_secret", "1700000000", "{}"));
            assert_eq!(by_stripe(header, body, NOW), Err(Code::WebhookSignature), "{body:?}");
        }
        let mut other = headers;
        other.insert(ID, "msg_2".to_owned());
        assert_eq!(
            checked(WebhookKind::Standard, &[SECRET], &other, "{}", NOW),
            Err(Code::WebhookSignature),
            "the id is signed too"
        );
    }

    #[test]
    fn while_a_secret_is_replaced_either_one_signs() {
        for secret in ["whsec_old_secret", "whsec_new_secret"] {
            let good = stripe_v1(secret, "1700000000", "{}");
            for header in [
                format!("t=1700000000,v1={good}"),
                format!("t=1700000000,v1={},v1={good},v0=6ffbb59b", "0".repeat(64)),
                format!("v1={good}, t=1700000000"),
            ] {
                assert_eq!(by_stripe(header.clone(), "{}", NOW), Ok(None), "{header}");
            }
        }
        let other = stripe_v1("whsec_another", "1700000000", "{}");
        assert_eq!(
            by_stripe(format!("t=1700000000,v1={other}"), "{}", NOW),
            Err(Code::WebhookSignature)
        );
    }

    #[test]
    fn what_is_too_old_or_of_the_future_is_refused() {
        let header = || format!("t=1700000000,v1={}", stripe_v1("whsec_new_secret", "1700000000", "{}"));
        for (seconds, is_good) in [(0, true), (300, true), (301, false), (86_400, false)] {
            let apart = Duration::from_secs(seconds);
            let later = by_stripe(header(), "{}", NOW + apart);
            let earlier = by_stripe(header(), "{}", Timestamp(NOW.0 - seconds * 1000));
            for checked in [later, earlier] {
                let expected = if is_good { Ok(None) } else { Err(Code::WebhookStale) };
                assert_eq!(checked, expected, "{seconds}");
            }
        }
    }

    #[test]
    fn a_time_that_was_set_forward_is_not_signed() {
        let signature = stripe_v1("whsec_new_secret", "1600000000", "{}");
        assert_eq!(
            by_stripe(format!("t=1700000000,v1={signature}"), "{}", NOW),
            Err(Code::WebhookSignature)
        );
    }

    #[test]
    fn nonsense_in_headers_is_no_signature() {
        for header in [
            "",
            ",,,",
            "t=",
            "t=now,v1=00",
            "t=1700000000",
            "t=1700000000,v1=",
            "t=1700000000,v1=zz",
            "t=1700000000,t=1700000000,v1=00",
            "t=99999999999999999999,v1=00",
            "t=-1,v1=00",
            "v1=00",
            "t=1700000000,v1=é",
        ] {
            assert_eq!(
                by_stripe(header.to_owned(), "{}", NOW),
                Err(Code::WebhookSignature),
                "{header:?}"
            );
        }
        let none = BTreeMap::new();
        for kind in [WebhookKind::Stripe, WebhookKind::Standard] {
            assert_eq!(checked(kind, &[SECRET], &none, "{}", NOW), Err(Code::WebhookSignature));
        }
        let mut headers = BTreeMap::from(sign("msg_1", NOW, "{}", &secrets(&[SECRET])).expect("signed"));
        headers.insert(SIGNATURE, "v1,AAAA v2,x v1 é".to_owned());
        assert_eq!(
            checked(WebhookKind::Standard, &[SECRET], &headers, "{}", NOW),
            Err(Code::WebhookSignature)
        );
    }

    #[test]
    fn without_a_secret_nothing_is_genuine() {
        let header = format!("t=1700000000,v1={}", stripe_v1("x", "1700000000", "{}"));
        let headers = BTreeMap::from([(STRIPE_SIGNATURE, header)]);
        assert_eq!(
            checked(WebhookKind::Stripe, &[], &headers, "{}", NOW),
            Err(Code::WebhookSignature)
        );
        assert_eq!(sign("msg_1", NOW, "{}", &[]), None);
        assert_eq!(sign("msg_1", NOW, "{}", &secrets(&["whsec_not base64"])), None);
    }
}
