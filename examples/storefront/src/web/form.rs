//! What comes in with a request: forms, the numbers in addresses, and who the visitor is. Whatever is wrong with it is a `Problem`, never a panic.

use std::{convert::Infallible, time::Duration};

use axum::{
    RequestExt as _,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::FormRejection},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{Problem, cookie};
use crate::random::Token;

/// A form is sent in one piece by an honest browser, on the slowest telephone too.
const FORM_TIMEOUT: Duration = Duration::from_secs(20);

/// A form that was sent to the shop.
#[derive(Debug)]
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned + 'static, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        match tokio::time::timeout(FORM_TIMEOUT, request.extract::<axum::Form<T>, _>()).await {
            Ok(Ok(axum::Form(fields))) => Ok(Self(fields)),
            Ok(Err(rejection)) => Err(refusal(&rejection)),
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "The form came too slowly",
                "Please send it again.",
            )),
        }
    }
}

fn refusal(rejection: &FormRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "That is more than the shop takes",
            "Go back, write less, and send it again.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The form could not be read",
            "It was sent in a form that the shop does not know.",
        ),
        _ => Problem::form(),
    }
}

/// The number in an address such as `/orders/1001`. One that is none leads nowhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        number(&text).map(Self).ok_or_else(Problem::not_found)
    }
}

/// A whole number as forms and addresses have it: digits, and nothing else.
pub(super) fn number(text: &str) -> Option<i64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Who asks, as far as the shop knows: a basket, perhaps.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) basket: Option<Token>,
    /// Whether cookies may be kept to TLS.
    pub(super) secure: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let basket = super::basket::COOKIE.values(&parts.headers).find_map(Token::parse);
        Ok(Self {
            basket,
            secure: cookie::is_secure(parts),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(number("1001"), Some(1001));
        for text in ["", "-1", "+1", " 1", "1.0", "0x1", "9223372036854775808", "１"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
