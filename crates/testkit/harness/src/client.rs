//! HTTP to a deployment, a connection for each request. `acme.localhost` need not resolve: it connects to the address, and says the host.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, request::Builder};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{net::TcpStream, time::timeout};

use crate::{events::Events, wait::PATIENCE};

/// Who asks, and whom.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: SocketAddr,
    pub host: String,
    /// Sent with every request.
    pub headers: Vec<(&'static str, String)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// It has this status.
    #[track_caller]
    #[allow(
        clippy::return_self_not_must_use,
        reason = "that it has the status is what was to be known"
    )]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// It is this problem.
    #[track_caller]
    #[allow(
        clippy::return_self_not_must_use,
        reason = "that it is the problem is what was to be known"
    )]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.json()["code"], code, "{}", answer.text());
        answer
    }
}

impl Client {
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    /// As a browser asks for a page.
    pub async fn page(&self, path: &str) -> Answer {
        self.clone().with("accept", "text/html,*/*;q=0.8").get(path).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }

    pub async fn post_form(&self, path: &str, fields: &str) -> Answer {
        self.try_post_form(path, fields)
            .await
            .unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    pub async fn try_post_form(&self, path: &str, fields: &str) -> Result<Answer, String> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, Bytes::copy_from_slice(fields.as_bytes())).await
    }

    pub async fn try_get(&self, path: &str) -> Result<Answer, String> {
        self.try_ask(Method::GET, path, None).await
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_ask(method.clone(), path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path} of {}: {error}", self.host))
    }

    /// For servers that may be gone.
    pub async fn try_ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let mut request = self.request(method, path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        self.send(
            request,
            body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
        )
        .await
    }

    /// A request of ours, to be sent with a body.
    pub fn request(&self, method: Method, path: &str) -> Builder {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    pub async fn send(&self, request: Builder, body: Bytes) -> Result<Answer, String> {
        let whole = async {
            let (head, body) = self.begin(request, body).await?.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| format!("the answer broke off: {error}"))?
                .to_bytes();
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            })
        };
        timeout(PATIENCE, whole)
            .await
            .unwrap_or_else(|_| Err(format!("no whole answer within {PATIENCE:?}")))
    }

    /// The answer's head, its body still to come.
    async fn begin(&self, request: Builder, body: Bytes) -> Result<http::Response<Incoming>, String> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| format!("no connection: {error}"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let request = request.body(Full::new(body)).expect("a request");
        sender
            .send_request(request)
            .await
            .map_err(|error| format!("no answer: {error}"))
    }

    /// Server-sent events, from the past on.
    pub async fn events(&self, path: &str) -> Events {
        let request = self.request(Method::GET, path).header("accept", "text/event-stream");
        let response = self
            .begin(request, Bytes::new())
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}"));
        assert_eq!(response.status(), 200, "GET {path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events::new(response.into_body())
    }
}
