//! What the edge itself says: a small page for people, or a problem document (RFC 9457) for programs, in the same words.
//!
//! A page is one self-contained file: no script, nothing loaded from anywhere, everything escaped. What must not be here:
//! deciding *when* something is said.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFRESH, RETRY_AFTER,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use maud::{DOCTYPE, html};
use serde_json::json;
use wharf_domain::Code;
use wharf_platform::Standing;

use crate::{accept::prefers_json, host::BadHost};

/// What may be asked of anything here; which of them it takes is for whoever answers.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    /// What it is, in a few words.
    pub(crate) title: &'static str,
    /// What it means for the reader, in a sentence or two.
    pub(crate) text: String,
    /// Under which the operator finds it in the log.
    pub(crate) reference: Option<String>,
    /// Seconds after which asking again makes sense.
    pub(crate) retry_after: Option<u8>,
    /// Whether a page asks again by itself.
    pub(crate) waits: bool,
    /// Whether the connection ends with it: what the client sends next cannot be told from what it sent.
    pub(crate) closes: bool,
}

impl Notice {
    fn new(status: StatusCode, code: Code, title: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            text: text.into(),
            reference: None,
            retry_after: None,
            waits: false,
            closes: false,
        }
    }

    /// No tenant has this host.
    pub(crate) fn no_tenant(host: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Code::InstanceUnknown,
            "There is nothing here",
            format!("Nobody has the address {host}. Check its spelling."),
        )
    }

    /// No service has a prefix of this path.
    pub(crate) fn no_service() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Code::RequestNotFound,
            "There is nothing here",
            "No service has this path.",
        )
    }

    pub(crate) fn standing(standing: Standing) -> Self {
        match standing {
            Standing::Starting => Self {
                retry_after: Some(1),
                waits: true,
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Code::InstanceState,
                    "It is starting",
                    "This application is being started. This page asks again by itself, every second.",
                )
            },
            Standing::Queued => Self {
                retry_after: Some(5),
                waits: true,
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Code::InstanceState,
                    "It waits for its turn",
                    "There is no room to start this application just now. It is started when its turn comes, and this page asks again by itself.",
                )
            },
            Standing::Stopped => Self {
                retry_after: Some(60),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Code::InstanceState,
                    "It is stopped",
                    "This application was stopped. Its data is kept, and it is here again as soon as somebody starts it.",
                )
            },
            Standing::Down => Self {
                retry_after: Some(60),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Code::InstanceState,
                    "It is out of service",
                    "This application failed again and again, and was taken out of service. Its data is kept, and its operator can see why.",
                )
            },
        }
    }

    pub(crate) fn unknown_host() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            Code::HostUnknown,
            "This address is not served here",
            "No host of this name is served here. Check the address.",
        )
    }

    pub(crate) fn malformed(why: &str) -> Self {
        Self {
            closes: true,
            ..Self::new(
                StatusCode::BAD_REQUEST,
                Code::RequestInvalid,
                "The request cannot be understood",
                format!("It was refused because {why}."),
            )
        }
    }

    pub(crate) fn method() -> Self {
        Self {
            closes: true,
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::RequestMethod,
                "This method is not served",
                "CONNECT and TRACE are not served here.",
            )
        }
    }

    pub(crate) fn uri_too_long(most: usize) -> Self {
        Self {
            closes: true,
            ..Self::new(
                StatusCode::URI_TOO_LONG,
                Code::RequestTooLarge,
                "The address is too long",
                format!("An address may have at most {most} bytes."),
            )
        }
    }

    pub(crate) fn body_too_large(most: u64) -> Self {
        Self {
            closes: true,
            ..Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::RequestTooLarge,
                "The request is too large",
                format!("A request's body may have at most {most} bytes."),
            )
        }
    }

    pub(crate) fn slow_client() -> Self {
        Self {
            closes: true,
            ..Self::new(
                StatusCode::REQUEST_TIMEOUT,
                Code::RequestInvalid,
                "The request did not come in time",
                "The rest of the request was waited for, and did not come.",
            )
        }
    }

    pub(crate) fn busy() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::LimitRate,
                "Too much at once",
                "More is asked of this server just now than it takes on at once. Try again in a moment.",
            )
        }
    }

    pub(crate) fn control_failed(reference: String) -> Self {
        Self {
            reference: Some(reference),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Internal,
                "Something went wrong",
                "This is a fault of the server's own. Its log says more under the reference.",
            )
        }
    }

    pub(crate) fn no_answer(reference: String) -> Self {
        Self {
            reference: Some(reference),
            ..Self::new(
                StatusCode::BAD_GATEWAY,
                Code::RouteUnhealthy,
                "It does not answer",
                "The application is there and did not answer this request. Try again; if it stays so, give its operator the reference.",
            )
        }
    }

    pub(crate) fn late_answer(reference: String) -> Self {
        Self {
            reference: Some(reference),
            ..Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                Code::RouteUnhealthy,
                "It takes too long",
                "The application did not answer in time. Try again; if it stays so, give its operator the reference.",
            )
        }
    }

    pub(crate) fn stranger(reference: String) -> Self {
        Self {
            reference: Some(reference),
            ..Self::new(
                StatusCode::BAD_GATEWAY,
                Code::RouteIdentity,
                "Somebody else answered",
                "Another program answered in the application's place, and its answer was not passed on. Give the operator the reference.",
            )
        }
    }

    /// The answer that says it.
    pub(crate) fn response(&self, accept: Option<&HeaderValue>) -> Response<Bytes> {
        let (kind, body) = if prefers_json(accept) {
            ("application/problem+json", self.problem())
        } else {
            ("text/html; charset=utf-8", self.page())
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(u16::from(seconds)));
        }
        if let Some(seconds) = self.retry_after.filter(|_| self.waits) {
            headers.insert(REFRESH, HeaderValue::from(u16::from(seconds)));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn problem(&self) -> String {
        let mut problem = json!({
            "title": self.code.summary(),
            "status": self.status.as_u16(),
            "code": self.code.as_str(),
            "detail": self.text,
        });
        if let Some(reference) = &self.reference {
            problem["reference"] = json!(reference);
        }
        problem.to_string()
    }

    fn page(&self) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title { (self.title) }
                    style { (STYLE) }
                }
                body {
                    main aria-busy=[self.waits.then_some("true")] {
                        @if self.waits { div.turn aria-hidden="true" {} } @else { p.status { (self.status.as_u16()) } }
                        h1 { (self.title) }
                        p role=[self.waits.then_some("status")] { (self.text) }
                        @if let Some(reference) = &self.reference {
                            p { "Reference: " code { (reference) } }
                        }
                    }
                }
            }
        }
        .into_string()
    }
}

impl From<BadHost> for Notice {
    fn from(BadHost(why): BadHost) -> Self {
        Self::malformed(why)
    }
}

/// The colours are those of the sign-up page; what is neither of a tenant nor of Wharf's own pages wants to look like neither.
const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#f3f6f7;--paper:#fff;--ink:#14262b;--quiet:#566a70;--line:#d6e0e2;--main:#0b6e74}\
@media(prefers-color-scheme:dark){:root{--ground:#0e1719;--paper:#162225;--ink:#e4eef0;--quiet:#9bb0b5;--line:#2b3c40;--main:#5fd0c5}}\
body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.05rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}\
main{box-sizing:border-box;max-width:34rem;margin:1rem;padding:1.75rem;background:var(--paper);border:1px solid var(--line);border-radius:.9rem;overflow-wrap:anywhere}\
h1{margin:.2rem 0 .6rem;font-size:1.6rem;line-height:1.2}\
p{margin:0}p+p{margin-top:.75rem}\
.status{color:var(--quiet);font-size:.9rem}\
.turn{width:1.5rem;height:1.5rem;margin-bottom:.75rem;border:3px solid var(--line);border-top-color:var(--main);border-radius:50%;animation:turn .8s linear infinite}\
@keyframes turn{to{transform:rotate(1turn)}}\
@media(prefers-reduced-motion:reduce){.turn{animation:none}}\
code{font-size:1.05em;user-select:all}";

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<Notice> {
        vec![
            Notice::no_tenant("acme.localhost"),
            Notice::no_service(),
            Notice::standing(Standing::Starting),
            Notice::standing(Standing::Queued),
            Notice::standing(Standing::Stopped),
            Notice::standing(Standing::Down),
            Notice::unknown_host(),
            Notice::malformed("it has no Host header"),
            Notice::method(),
            Notice::uri_too_long(1),
            Notice::body_too_large(1),
            Notice::slow_client(),
            Notice::busy(),
            Notice::control_failed("r-1".to_owned()),
            Notice::no_answer("r-2".to_owned()),
            Notice::late_answer("r-3".to_owned()),
            Notice::stranger("r-4".to_owned()),
        ]
    }

    #[test]
    fn every_notice_is_a_page_and_a_problem_in_the_same_words() {
        let json = HeaderValue::from_static("application/json");
        for notice in every() {
            let page = notice.response(None);
            let problem = notice.response(Some(&json));
            assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(problem.headers()[CONTENT_TYPE], "application/problem+json");
            let body: serde_json::Value = serde_json::from_slice(problem.body()).unwrap();
            assert_eq!(body["status"], notice.status.as_u16());
            assert_eq!(body["code"], notice.code.as_str());
            let page = String::from_utf8(page.into_body().to_vec()).unwrap();
            assert!(page.contains(&maud::html! { (body["detail"].as_str().unwrap()) }.into_string()));
            assert!(page.contains("<html lang=\"en\">") && !page.contains("<script"));
            if let Some(reference) = &notice.reference {
                assert!(page.contains(reference.as_str()));
                assert_eq!(body["reference"], reference.as_str());
            }
        }
    }

    #[test]
    fn nothing_that_the_edge_says_is_kept_by_anybody() {
        for notice in every() {
            assert_eq!(notice.response(None).headers()[CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let page = Notice::no_tenant("<script>alert(1)</script>").page();
        assert!(!page.contains("<script>"));
    }

    #[test]
    fn only_the_page_that_waits_asks_again() {
        for notice in every() {
            let response = notice.response(None);
            assert_eq!(response.headers().contains_key(REFRESH), notice.waits);
            assert_eq!(
                response.headers().contains_key(RETRY_AFTER),
                notice.status == StatusCode::SERVICE_UNAVAILABLE
            );
        }
    }
}
