//! Reads what a request says: its body, its query, the words in its path. Everything is bounded, in bytes and in time.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde_json::{Map, Value};
use std::error::Error;
use wharf_domain::{Code, Failure};

use crate::{
    fields::{Field, Fields},
    limits,
    problem::{Answer, Problem},
};

/// The word in a path: `{id}`, `{token}`, `{name}`.
pub(crate) struct Word(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Word {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(word)) => Ok(Self(word)),
            Err(_) => Err(Problem::new(
                Code::RequestNotFound,
                "the address is not one that can be read",
                "encode what stands in it as UTF-8, and then as percent signs",
            )),
        }
    }
}

/// The fields of a query.
pub(crate) fn query(request: &Request, table: &'static [Field]) -> Answer<Fields> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).map_err(|error| {
        invalid(
            format!("the query cannot be read: {error}"),
            "encode it as name=value&name=value",
        )
    })?;
    Ok(Fields::from_pairs(table, pairs))
}

/// The fields of a JSON object. No body at all is an object without fields.
pub(crate) async fn object(request: Request, table: &'static [Field]) -> Answer<Fields> {
    let object = match json(request).await? {
        None => Map::new(),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(invalid("the body is not a JSON object", "send {\"field\": \"value\"}")),
    };
    Ok(Fields::from_object(table, object))
}

/// A JSON body, of whatever shape; `None` where there is none.
pub(crate) async fn json(request: Request) -> Answer<Option<Value>> {
    let (parts, body) = request.into_parts();
    let bytes = read(&parts.headers, body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if !is_media(&parts.headers, "application/json") {
        return Err(invalid(
            "the body is not marked as JSON",
            "send it with the header Content-Type: application/json",
        )
        .status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| invalid(format!("the body is not JSON: {error}"), "check it with a JSON tool"))
}

/// The fields of a form as a browser sends it.
pub(crate) async fn form(request: Request, table: &'static [Field]) -> Answer<Fields> {
    let (parts, body) = request.into_parts();
    let bytes = read(&parts.headers, body).await?;
    if !is_media(&parts.headers, "application/x-www-form-urlencoded") {
        return Err(
            invalid("the body is not a form", "send application/x-www-form-urlencoded")
                .status(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        );
    }
    let whole = Request::from_parts(parts, Body::from(bytes));
    let axum::Form(pairs) = axum::Form::<Vec<(String, String)>>::from_request(whole, &())
        .await
        .map_err(|error| {
            invalid(
                format!("the form cannot be read: {error}"),
                "send name=value&name=value",
            )
        })?;
    Ok(Fields::from_pairs(table, pairs))
}

/// A header's text, if it is there. One that is there twice, or is no text, cannot be used.
pub(crate) fn text_header<'a>(headers: &'a HeaderMap, name: &'static str) -> Answer<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    match (first.map(header::HeaderValue::to_str), second) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text)),
        _ => Err(invalid(
            format!("the header {name} is there more than once, or is not visible ASCII"),
            "send it once, as plain text",
        )),
    }
}

/// Whether the body is marked as of this media type.
pub(crate) fn is_media(headers: &HeaderMap, media: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(media))
}

/// The whole body as it came, whatever it is, within a bound of its own.
pub(crate) async fn raw(headers: &HeaderMap, body: Body, most: usize) -> Answer<axum::body::Bytes> {
    read_up_to(headers, body, most).await
}

/// The whole body, if it is not too long and does not take too long.
async fn read(headers: &HeaderMap, body: Body) -> Answer<axum::body::Bytes> {
    read_up_to(headers, body, limits::BODY_MAX).await
}

async fn read_up_to(headers: &HeaderMap, body: Body, most: usize) -> Answer<axum::body::Bytes> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large(most));
    }
    let reading = axum::body::to_bytes(body, most);
    match tokio::time::timeout(limits::BODY_TIMEOUT, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length(&error) => Err(too_large(most)),
        Ok(Err(error)) => Err(invalid(format!("the body broke off: {error}"), "send it again")),
        Err(_) => Err(
            invalid("the body did not come in time", "send it again, without pauses")
                .status(StatusCode::REQUEST_TIMEOUT),
        ),
    }
}

fn is_length(error: &axum::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn invalid(what: impl Into<String>, hint: &str) -> Problem {
    Failure::new(Code::RequestInvalid, what).hint(hint).into()
}

fn too_large(most: usize) -> Problem {
    Problem::new(
        Code::RequestTooLarge,
        format!("the body is larger than {} KiB", most / 1024),
        "send less",
    )
}
