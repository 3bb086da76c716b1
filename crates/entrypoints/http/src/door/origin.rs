//! Own origin: a change is taken from our own pages, or from a program that is no page at all. The embedded load balancer
//! refuses foreign `Host`s; this refuses foreign pages that know ours.

use axum::http::{HeaderMap, header};
use std::net::IpAddr;
use wharf_domain::Code;

use crate::problem::{Answer, Problem};

/// The origins that our pages have.
#[derive(Debug)]
pub(crate) struct Origins {
    own: Vec<String>,
}

impl Origins {
    /// From the public URL. One on loopback is reached under every name of loopback.
    pub(crate) fn new(public_url: &str) -> Self {
        let (scheme, rest) = public_url.split_once("://").unwrap_or(("http", public_url));
        let authority = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
            _ => (authority.as_str(), None),
        };
        // A browser leaves its scheme's own port out.
        let port = port
            .filter(|port| (scheme.as_str(), *port) != ("http", "80") && (scheme.as_str(), *port) != ("https", "443"));
        let origin = |host: &str| match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        let mut own = vec![origin(host)];
        if is_loopback(host) {
            own.extend(["localhost", "127.0.0.1", "[::1]"].map(origin));
        }
        Self { own }
    }

    /// Refuses a change that a foreign page asks for. No page at all is fine: a program sends no `Origin`.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Answer<()> {
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        let is_own = if origins.peek().is_some() {
            origins.all(|origin| {
                origin
                    .to_str()
                    .is_ok_and(|origin| self.own.iter().any(|own| own.eq_ignore_ascii_case(origin)))
            })
        } else {
            // A browser that leaves `Origin` out may still say that the page is foreign.
            headers
                .get("sec-fetch-site")
                .is_none_or(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
        };
        if is_own {
            Ok(())
        } else {
            Err(Problem::new(
                Code::OriginRefused,
                "a page that is not Wharf's own asks for a change",
                format!("use the page at {}", self.own.first().map_or("", String::as_str)),
            ))
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(public_url: &str, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header"));
        }
        Origins::new(public_url).check(&headers).is_ok()
    }

    #[test]
    fn our_pages_and_programs_may_ask() {
        for origin in ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert!(is_taken("http://localhost:8080", &[("origin", origin)]), "{origin}");
        }
        assert!(is_taken(
            "https://console.example.com/",
            &[("origin", "https://console.example.com")]
        ));
        assert!(is_taken("http://localhost:80", &[("origin", "http://localhost")]));
        assert!(is_taken("http://localhost:8080", &[]));
        assert!(is_taken("http://localhost:8080", &[("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn foreign_pages_may_not() {
        for origin in [
            "http://acme.localhost:8080",
            "http://localhost:8081",
            "https://localhost:8080",
            "http://localhost",
            "https://evil.example",
            "null",
            "",
        ] {
            assert!(!is_taken("http://localhost:8080", &[("origin", origin)]), "{origin}");
        }
        // Off loopback, loopback is foreign.
        assert!(!is_taken(
            "https://console.example.com",
            &[("origin", "http://localhost:8080")]
        ));
        let two = [("origin", "http://localhost:8080"), ("origin", "https://evil.example")];
        assert!(!is_taken("http://localhost:8080", &two));
        for site in ["cross-site", "same-site"] {
            assert!(!is_taken("http://localhost:8080", &[("sec-fetch-site", site)]));
        }
    }
}
