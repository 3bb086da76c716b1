//! A request to sign-up, API and console, over the simulated world: no server error, every refusal in the documented form, nothing done for whom it is not for.
//! The input is a request as one reads it: `METHOD /path`, lines of headers, an empty line, the body.

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, header},
};
use http_body_util::{BodyExt, Limited};
use secrecy::{SecretSlice, SecretString};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wharf_domain::Code;
use wharf_http::{HttpState, Rate, SignupLimits};
use wharf_testkit::sim::{SimIds, SimWharf};

/// What inputs call the admin token. Where a credential stands it becomes `ADMIN`, which no input spells: so an answer that tells it has it from Wharf.
const TOKEN: &str = "wharf_0123456789abcdef0123456789abcdef";
const ADMIN: &str = "wharf_6b1f0c93d2a84e75b6c81d3f90a27e54";
/// Where the token stands in a form.
const LOGIN: &str = "/console/login";
/// In an input, a tag; in a page, somebody else's script.
const TAG: &str = "<xss";
/// What operators alone may do.
const OPERATORS: &[&str] = &[
    "/instances",
    "/services/",
    "/events",
    "/repair",
    "/tenants/",
    "/console",
];
const ANSWER_MAX: usize = 4 << 20;

pub fn run(data: &[u8]) {
    let Some((request, is_admins)) = parsed(data) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let sim = SimWharf::new(1).await;
        let stopping = CancellationToken::new();
        let path = request.uri().path().to_owned();
        let has_no_body = request.method() == Method::HEAD;
        let had_tag = String::from_utf8_lossy(data).contains(TAG);
        let answer = router(&sim, stopping.clone())
            .oneshot(request)
            .await
            .expect("a router never fails");
        // Streams end with the server.
        stopping.cancel();
        let (parts, body) = answer.into_parts();
        let reading = Limited::new(body, ANSWER_MAX).collect();
        let body = match tokio::time::timeout(Duration::from_mins(1), reading).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => panic!("the answer breaks off: {error}"),
            Err(late) => panic!("the answer does not end: {late}"),
        };
        sim.dissolve();
        let status = parts.status;
        let text = String::from_utf8_lossy(&body);
        assert!(!status.is_server_error(), "{status}: {text}");
        assert!(!text.contains(ADMIN), "{text}");
        assert_eq!(
            parts
                .headers
                .get("x-content-type-options")
                .map(header::HeaderValue::as_bytes),
            Some(&b"nosniff"[..])
        );
        let media = media(&parts.headers);
        if media == "text/html" && had_tag {
            assert!(
                !text.contains(TAG),
                "what the request says stands in the page as it is: {text}"
            );
        }
        if media == "application/problem+json" {
            if !has_no_body {
                is_a_problem(&body, status.as_u16());
            }
        } else if status.is_client_error() {
            assert!(
                matches!(media.as_str(), "text/html" | "application/json" | ""),
                "{media}: {text}"
            );
        }
        if !is_admins && OPERATORS.iter().any(|begin| path.starts_with(begin)) {
            assert!(
                !status.is_success() || path.starts_with("/console"),
                "{path} is answered to anybody: {text}"
            );
        }
    });
}

fn media(headers: &HeaderMap) -> String {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media
        .and_then(|media| media.split(';').next())
        .unwrap_or_default()
        .to_owned()
}

fn is_a_problem(body: &[u8], status: u16) {
    let problem: Value = serde_json::from_slice(body).expect("a problem is JSON");
    let code = problem["code"].as_str().expect("a problem has a code");
    let known = Code::ALL
        .iter()
        .find(|known| known.as_str() == code)
        .expect("a code that is known");
    assert_ne!(*known, Code::Internal, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["type"], format!("/errors/{code}"), "{problem}");
}

fn parsed(data: &[u8]) -> Option<(Request<Body>, bool)> {
    let end = data
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .map_or(data.len(), |at| at + 2);
    let head = std::str::from_utf8(&data[..end]).ok()?;
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut builder = Request::builder().method(method).uri(path);
    let mut is_admins = false;
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        is_admins |= value.contains(TOKEN) || name.trim().eq_ignore_ascii_case("cookie");
        let value = if name.trim().eq_ignore_ascii_case("authorization") {
            value.replace(TOKEN, ADMIN)
        } else {
            value.to_owned()
        };
        builder = builder.header(name.trim(), value.trim());
    }
    let body = match std::str::from_utf8(&data[end..]) {
        Ok(form) if path == LOGIN => Body::from(form.replace(TOKEN, ADMIN)),
        _ => Body::from(data[end..].to_vec()),
    };
    let mut request = builder.body(body).ok()?;
    let peer: SocketAddr = ([198, 51, 100, 7], 50_000).into();
    request.extensions_mut().insert(ConnectInfo(peer));
    Some((request, is_admins || path.contains(TOKEN)))
}

fn router(sim: &SimWharf, stopping: CancellationToken) -> Router {
    wharf_http::router(HttpState {
        tally: None,
        wharf: sim.wharf().clone(),
        clock: Arc::new(sim.world.clock()),
        ids: Arc::new(SimIds::new(99)),
        admin_token: SecretString::from(ADMIN),
        session_key: SecretSlice::from(vec![5; 32]),
        limits: SignupLimits {
            per_address: Rate {
                count: 5,
                per: Duration::from_hours(1),
            },
            open: true,
        },
        trusted_proxies: Vec::new(),
        public_url: "http://localhost:8080".to_owned(),
        secure: false,
        metrics: Box::new(|_| {}),
        restoring: Arc::new(|| 0),
        stopping,
    })
}
