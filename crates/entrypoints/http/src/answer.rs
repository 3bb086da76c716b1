//! Answers that are not problems: JSON, text, redirects.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// JSON with this status.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    (status, Json(value)).into_response()
}

/// Text of this media type.
pub(crate) fn text(media: &'static str, body: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(media))], body.into()).into_response()
}

/// Goes on at another address of ours, with a GET.
pub(crate) fn see_other(to: &str) -> Response {
    with_header(StatusCode::SEE_OTHER.into_response(), header::LOCATION, to)
}

/// With one header more. A value that cannot stand in a header is left out.
pub(crate) fn with_header(mut response: Response, name: header::HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}
