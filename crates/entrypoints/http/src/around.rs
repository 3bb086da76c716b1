//! What every request passes on its way in and out: panics become problems, problems become pages where a browser asks, every
//! answer gets the headers that keep pages safe, and all are counted.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc};
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use crate::{answer, pages, problem::Problem, state::App};

/// On every answer that does not say otherwise. Scripts, styles and images come from here and from nowhere else; nobody frames
/// our pages; what stands in an address (a status link, a password link) is told to no other site.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Where requests are counted that lead to no operation.
const NOWHERE: &str = "(none)";

pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let is_page = prefers_page(request.headers());
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| NOWHERE.to_owned(), |path| path.as_str().to_owned());

    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(%method, path, "a handler panicked");
            Problem::from(Failure::internal("a handler panicked"))
                .for_visitors()
                .into_response()
        }
    };
    if let Some(problem) = response.extensions().get::<Arc<Problem>>().cloned() {
        response = present(response, &problem, &method, is_page);
    }
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    // Not the address itself: tokens stand in some.
    tracing::debug!(%method, path, status, ?took, "answered");
    app.metrics.answered(&method, &path, status, took);
    response
}

/// A problem as the one who asked reads it.
fn present(response: Response, problem: &Problem, method: &Method, is_page: bool) -> Response {
    if !is_page {
        return vary(response);
    }
    // Who only looks is shown the way in.
    if problem.failure.code == Code::AuthMissing && *method == Method::GET {
        return vary(answer::see_other(pages::LOGIN));
    }
    let mut page = (problem.status, Html(pages::trouble(problem))).into_response();
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            page.headers_mut().insert(name.clone(), value.clone());
        }
    }
    vary(page)
}

/// The answer depends on what was asked for as well as on the address.
fn vary(response: Response) -> Response {
    answer::with_header(response, header::VARY, "accept")
}

/// Whether a page is wanted rather than JSON: a browser names `text/html`, a program does not.
pub(crate) fn prefers_page(headers: &HeaderMap) -> bool {
    let quality = |media: &str| {
        headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let is_it = parts.next()?.eq_ignore_ascii_case(media);
                let quality = parts
                    .filter_map(|part| part.split_once('='))
                    .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                    .map_or(1.0, |(_, value)| value.trim().parse::<f32>().unwrap_or(0.0));
                is_it.then_some(quality)
            })
            .fold(0.0_f32, f32::max)
    };
    let json = quality("application/json").max(quality(crate::problem::MEDIA));
    let page = quality("text/html");
    page > 0.0 && page >= json
}

/// No operation has this path.
pub(crate) async fn nothing_here(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(
        Code::RequestNotFound,
        format!("nothing is at {path}"),
        "/openapi.json has all there is",
    )
}

/// An operation has this path, with another method. Asking which ones is fine.
pub(crate) async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let shown: String = method.as_str().chars().take(32).collect();
    Problem::new(
        Code::RequestMethod,
        format!("{shown} is not what this address takes"),
        "the header Allow says what it takes",
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_page(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().expect("a header"));
        prefers_page(&headers)
    }

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        assert!(is_page(
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
        ));
        assert!(is_page("TEXT/HTML"));
        assert!(is_page("application/json;q=0.5, text/html"));
        for accept in [
            "*/*",
            "",
            "application/json",
            "application/json, text/html;q=0.9",
            "text/html;q=0",
            "text/html;q=x",
            "text/*",
        ] {
            assert!(!is_page(accept), "{accept}");
        }
        assert!(!prefers_page(&HeaderMap::new()));
    }
}
