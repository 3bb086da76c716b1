//! What an answer of Resend's means for the mail, by the errors that its reference lists (<https://resend.com/docs/api-reference/errors>).

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::time::Duration;
use wharf_platform::MailError;

use crate::words::{plain, words};

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    name: String,
    #[serde(default)]
    message: String,
}

/// Whether the mail was taken, and if not whether that can change by itself.
pub(super) fn meaning(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), MailError> {
    if status.is_success() {
        return Ok(());
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let words = words(&refusal.message);
    let why = format!("Resend answered {} {}: {words}", status.as_u16(), plain(&refusal.name));
    Err(match (status, refusal.name.as_str()) {
        // The first try is still under way: the next one learns what became of it.
        (StatusCode::CONFLICT, "concurrent_idempotent_requests") => MailError::Passing(why),
        // A quota that is used up is a 429 too: it is there again the next day, or when somebody pays.
        (StatusCode::TOO_MANY_REQUESTS, _) => later(headers, why),
        (StatusCode::REQUEST_TIMEOUT, _) => MailError::Passing(why),
        (status, _) if status.is_server_error() => later(headers, why),
        (StatusCode::CONFLICT, "invalid_idempotent_request") => {
            MailError::Permanent("Resend took a mail of this id before, with other words in it".to_owned())
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => MailError::Permanent(format!(
            "{why}; look at RESEND_API_KEY, and whether the sender's domain is verified"
        )),
        _ => MailError::Permanent(why),
    })
}

fn later(headers: &HeaderMap, why: String) -> MailError {
    let seconds = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    match seconds {
        Some(seconds) => MailError::Later {
            why,
            after: Duration::from_secs(seconds),
        },
        None => MailError::Passing(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(status: u16, name: &str) -> Result<(), MailError> {
        let body = format!(r#"{{"statusCode": {status}, "name": "{name}", "message": "words"}}"#);
        meaning(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            body.as_bytes(),
        )
    }

    #[test]
    fn each_error_of_the_reference_passes_or_does_not() {
        for (status, name) in [
            (409, "concurrent_idempotent_requests"),
            (429, "rate_limit_exceeded"),
            (429, "daily_quota_exceeded"),
            (429, "monthly_quota_exceeded"),
            (500, "application_error"),
            (500, "internal_server_error"),
            (503, "service_unavailable"),
        ] {
            assert!(
                matches!(of(status, name), Err(MailError::Passing(_))),
                "{status} {name}"
            );
        }
        for (status, name) in [
            (400, "invalid_idempotency_key"),
            (400, "validation_error"),
            (401, "missing_api_key"),
            (401, "restricted_api_key"),
            (403, "invalid_api_key"),
            (403, "validation_error"),
            (404, "not_found"),
            (405, "method_not_allowed"),
            (409, "invalid_idempotent_request"),
            (422, "invalid_from_address"),
            (422, "missing_required_field"),
            (451, "security_error"),
        ] {
            assert!(
                matches!(of(status, name), Err(MailError::Permanent(_))),
                "{status} {name}"
            );
        }
        assert_eq!(of(200, ""), Ok(()));
    }

    #[test]
    fn what_resend_wants_waited_for_is_told() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let error = meaning(StatusCode::TOO_MANY_REQUESTS, &headers, b"{}").unwrap_err();
        assert!(
            matches!(error, MailError::Later { after, .. } if after == Duration::from_secs(7)),
            "{error}"
        );
        // A date is allowed there too; a pause of our own does as well.
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from_static("Fri, 20 Nov 2026 10:00:00 GMT"),
        );
        let error = meaning(StatusCode::TOO_MANY_REQUESTS, &headers, b"{}").unwrap_err();
        assert!(matches!(error, MailError::Passing(_)), "{error}");
    }

    #[test]
    fn an_address_is_not_repeated() {
        let body = br#"{"name": "validation_error", "message": "Invalid `to`: ada@example.com\nis no address <eve@example.com>"}"#;
        let error = meaning(StatusCode::UNPROCESSABLE_ENTITY, &HeaderMap::new(), body)
            .unwrap_err()
            .to_string();
        assert!(!error.contains("example.com") && error.contains("Invalid"), "{error}");
    }

    #[test]
    fn what_is_no_json_has_its_status_for_a_reason() {
        let error = meaning(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>").unwrap_err();
        assert!(
            matches!(&error, MailError::Passing(why) if why.contains("502")),
            "{error}"
        );
        let error = meaning(
            StatusCode::UNPROCESSABLE_ENTITY,
            &HeaderMap::new(),
            &vec![b'x'; 100_000],
        )
        .unwrap_err();
        assert!(error.to_string().len() < 400);
    }
}
