//! Requests that change something have to come from the shop's own pages. The cookies are SameSite=Strict; this is the second lock, and the one that
//! holds between shops on sister domains, which browsers take for one site.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Problem;

pub(super) async fn check(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !is_own(request.headers()) {
        return Problem::origin().into_response();
    }
    next.run(request).await
}

/// Whether the request can have come from a page of this shop. Programs send neither header, and act for nobody but themselves.
fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let (Ok(origin), Some(host)) = (
        origin.to_str(),
        headers.get(header::HOST).and_then(|host| host.to_str().ok()),
    ) else {
        return false;
    };
    // The scheme cannot be compared: before a proxy that ends TLS it is https, here it never is.
    let (origin, default_port) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(origin), _) => (origin, ":443"),
        (_, Some(origin)) => (origin, ":80"),
        _ => return false,
    };
    let plain = |authority: &str| {
        authority
            .strip_suffix(default_port)
            .unwrap_or(authority)
            .to_ascii_lowercase()
    };
    plain(origin) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn accepted(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        is_own(&headers)
    }

    #[test]
    fn own_pages_and_programs_are_accepted() {
        assert!(accepted(&[("host", "acme.localhost:8080")]));
        assert!(accepted(&[
            ("host", "acme.localhost:8080"),
            ("origin", "http://acme.localhost:8080"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(accepted(&[
            ("host", "Acme.Example"),
            ("origin", "https://acme.example")
        ]));
        assert!(accepted(&[
            ("host", "acme.example:443"),
            ("origin", "https://acme.example")
        ]));
        assert!(accepted(&[("host", "[::1]:8000"), ("origin", "http://[::1]:8000")]));
    }

    #[test]
    fn pages_of_others_are_refused() {
        let host = ("host", "acme.localhost:8080");
        for origin in [
            "http://evil.localhost:8080",
            "http://acme.localhost",
            "http://acme.localhost:8081",
            "null",
            "",
            "file://",
            "acme.localhost:8080",
        ] {
            assert!(!accepted(&[host, ("origin", origin)]), "{origin:?}");
        }
        assert!(!accepted(&[host, ("sec-fetch-site", "same-site")]));
        assert!(!accepted(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(
            !accepted(&[("origin", "http://acme.localhost:8080")]),
            "without a host there is nothing that it could be the same as"
        );
    }
}
