//! The two cookies of the shop: read from a request, written into an answer. What is in them is another file's business.

use axum::http::{HeaderMap, HeaderValue, header, request::Parts};

/// A cookie by its name and the part of the shop that gets to see it. Scripts never see it, and other sites' pages cannot have it sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookie {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) max_age_seconds: i64,
}

impl Cookie {
    /// Every value that the request has for this cookie: a browser may have kept several, of several paths.
    pub(super) fn values<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let name = self.name;
        headers
            .get_all(header::COOKIE)
            .into_iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }

    /// The header's value that gives the cookie to the browser. `value` is ours, of characters that a cookie can have.
    pub(super) fn set(&self, value: &str, secure: bool) -> HeaderValue {
        self.header(value, self.max_age_seconds, secure)
    }

    pub(super) fn clear(&self, secure: bool) -> HeaderValue {
        self.header("", 0, secure)
    }

    fn header(&self, value: &str, max_age_seconds: i64, secure: bool) -> HeaderValue {
        let secure = if secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path={}; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict{secure}",
            self.name, self.path
        );
        HeaderValue::try_from(text).expect("the values are hexadecimal digits and dots, the rest is constant")
    }
}

/// Whether the browser speaks TLS, as the proxy before us says. A lie of the client's own takes nothing but its own cookie away from it.
pub(super) fn is_secure(parts: &Parts) -> bool {
    parts
        .headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: Cookie = Cookie {
        name: "basket",
        path: "/",
        max_age_seconds: 60,
    };

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=1; basket=x;basket_old=y; mybasket=z"),
        );
        headers.append(header::COOKIE, HeaderValue::from_static("basket=w; basket; =; ;;"));
        assert_eq!(COOKIE.values(&headers).collect::<Vec<_>>(), ["x", "w"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_passed_over() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_bytes(b"basket=\xff\xfe").unwrap());
        assert_eq!(COOKIE.values(&headers).count(), 0);
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_other_sites() {
        assert_eq!(
            COOKIE.set("ab", false),
            "basket=ab; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            COOKIE.clear(true),
            "basket=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
        );
    }
}
