//! A site to ask: the router over a simulated Wharf, and what it answers in a form that tests can read.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, Response, header},
};
use futures::StreamExt;
use secrecy::{SecretSlice, SecretString};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wharf_http::{HttpState, Rate, SignupLimits, Tally};
use wharf_provisioning::Settings;
use wharf_testkit::sim::{SimIds, SimWharf, SimWorld};

use crate::document::Document;

pub(crate) const TOKEN: &str = "wharf_0123456789abcdef0123456789abcdef";
pub(crate) const ORIGIN: &str = "http://localhost:8080";
/// What a browser sends with a navigation.
pub(crate) const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

pub(crate) struct Site {
    pub(crate) sim: Arc<SimWharf>,
    pub(crate) router: Router,
    pub(crate) stopping: CancellationToken,
    document: Arc<Document>,
}

/// How a site differs from the usual one.
pub(crate) struct Plan {
    pub(crate) limits: SignupLimits,
    pub(crate) trusted_proxies: Vec<&'static str>,
    pub(crate) public_url: &'static str,
    pub(crate) secure: bool,
    /// What a defect in a handler looks like.
    pub(crate) panics: bool,
    pub(crate) tally: Option<Tally>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            limits: SignupLimits {
                per_address: Rate {
                    count: 5,
                    per: Duration::from_hours(1),
                },
                open: true,
            },
            trusted_proxies: Vec::new(),
            public_url: ORIGIN,
            secure: false,
            panics: false,
            tally: None,
        }
    }
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(Plan::default(), |_, _| {}).await
    }

    pub(crate) async fn with(plan: Plan, adjust: impl FnOnce(&SimWorld, &mut Settings)) -> Self {
        let sim = Arc::new(SimWharf::with(1, adjust).await);
        Self::over(sim, plan, 99)
    }

    /// Another entrance to the same registry, with the same keys: as after a restart.
    pub(crate) fn again(&self) -> Self {
        Self::over(self.sim.clone(), Plan::default(), 100)
    }

    fn over(sim: Arc<SimWharf>, plan: Plan, seed: u64) -> Self {
        let stopping = CancellationToken::new();
        let router = router(&sim, plan, seed, stopping.clone());
        Self {
            sim,
            router,
            stopping,
            document: Arc::new(Document::read()),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Ask {
        self.ask(Method::DELETE, path)
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask {
        Ask {
            router: self.router.clone(),
            document: self.document.clone(),
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Body::empty(),
            peer: "127.0.0.1:50000".parse().expect("an address"),
        }
    }

    /// Signs `name` up as a visitor, and gives the path of its status.
    pub(crate) async fn sign_up(&self, name: &str) -> String {
        let reply = self.post("/provision").json(&sign_up(name)).send().await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.header("location").to_owned()
    }

    /// Signs `name` up, and waits until it is Ready.
    pub(crate) async fn ready(&self, name: &str) -> String {
        let path = self.sign_up(name).await;
        let id = self.sim.wharf().find(name).await.expect("it has the name");
        self.sim.until(&id, "ready").await;
        path
    }
}

fn router(sim: &SimWharf, plan: Plan, seed: u64, stopping: CancellationToken) -> Router {
    wharf_http::router(HttpState {
        tally: plan.tally,
        wharf: sim.wharf().clone(),
        clock: Arc::new(sim.world.clock()),
        ids: Arc::new(SimIds::new(seed)),
        admin_token: SecretString::from(TOKEN),
        session_key: SecretSlice::from(vec![5; 32]),
        limits: plan.limits,
        trusted_proxies: plan
            .trusted_proxies
            .iter()
            .map(|network| network.parse().expect("a network"))
            .collect(),
        public_url: plan.public_url.to_owned(),
        secure: plan.secure,
        metrics: Box::new(|registry| {
            let counter = wharf_http::prometheus_client::metrics::counter::Counter::<u64>::default();
            registry.register("hooked", "Registered by the binary", counter);
        }),
        restoring: Arc::new(move || if plan.panics { panic!("SECRET-PLACE") } else { 3 }),
        stopping,
    })
}

/// Every byte as a percent sign and its number: fit for a path and for a form.
pub(crate) fn percent(text: &str) -> String {
    text.bytes()
        .fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}

/// The fields of a good sign-up.
pub(crate) fn sign_up(name: &str) -> Value {
    serde_json::json!({"subdomain": name, "admin_email": format!("admin@{name}.example"), "company_name": "Acme Inc."})
}

/// A request to be sent.
pub(crate) struct Ask {
    router: Router,
    document: Arc<Document>,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Body,
    peer: SocketAddr,
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn admin(self) -> Self {
        self.bearer(TOKEN)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn browser(self) -> Self {
        self.header("accept", BROWSER)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn form(self, pairs: &[(&str, &str)]) -> Self {
        let body: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
            .collect();
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn peer(mut self, peer: &str) -> Self {
        self.peer = peer.parse().expect("an address and a port");
        self
    }

    /// Sends it, and gives the answer while its body still comes.
    pub(crate) async fn open(self) -> Response<Body> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(self.body).expect("a request");
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.oneshot(request).await.expect("a router never fails");
        let headers = response.headers();
        for name in [
            "content-security-policy",
            "x-content-type-options",
            "referrer-policy",
            "cache-control",
        ] {
            assert!(
                headers.contains_key(name),
                "{} {} has no {name}",
                self.method,
                self.path
            );
        }
        self.document
            .must_know(&self.method, &self.path, response.status(), headers);
        response
    }

    /// Sends it, and reads the whole answer.
    pub(crate) async fn send(self) -> Reply {
        let (method, path, document) = (self.method.clone(), self.path.clone(), self.document.clone());
        let response = self.open().await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 16 << 20).await.expect("a whole body");
        let reply = Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        };
        if method != Method::HEAD && reply.media() == "application/json" {
            document.must_describe(&method, &path, reply.status, &reply.json());
        }
        if reply.media() == "application/problem+json" {
            let problem = reply.json();
            assert_eq!(problem["status"], reply.status, "{problem}");
            assert_eq!(
                problem["type"],
                format!("/errors/{}", problem["code"].as_str().expect("a code"))
            );
            document.must_fit("Problem", &problem);
        }
        reply
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .expect("a text")
    }

    pub(crate) fn media(&self) -> &str {
        media(&self.headers)
    }

    /// The problem's code.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.media(), "application/problem+json", "{}", self.text());
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    /// The fields that are wrong, with their codes.
    pub(crate) fn wrong_fields(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| (text(&error["field"]), text(&error["code"])))
            .collect()
    }
}

pub(crate) fn media(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
}

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// Reads a stream of events to its end, or until `enough` says so.
pub(crate) async fn read_events(response: Response<Body>, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    assert_eq!(response.status(), 200);
    assert_eq!(media(response.headers()), "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let mut rest = String::new();
    let mut events = Vec::new();
    while let Some(chunk) = body.next().await {
        rest.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("UTF-8"));
        while let Some((block, later)) = rest.split_once("\n\n") {
            events.extend(event(block));
            rest = later.to_owned();
        }
        if enough(&events) {
            break;
        }
    }
    events
}

fn event(block: &str) -> Option<Event> {
    let of = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    };
    Some(Event {
        id: of("id").map(|id| id.parse().expect("a number")),
        name: of("event")?.to_owned(),
        data: serde_json::from_str(of("data")?).expect("JSON"),
    })
}
