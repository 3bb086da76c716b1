//! The client of a running server: finds it, and speaks its API. The admin token is read from the data directory, and goes
//! nowhere but into the request's header.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{path::Path, time::Duration};
use wharf_domain::{Code, Failure};

use crate::{args::Global, commands::data_dir, up::layout::Layout};

/// The longest answer that is read whole.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that an answer's head may take: a start event that waits inline takes its service's time-out.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(15);

/// A server that was found.
pub(crate) struct Client {
    base: String,
    token: Option<SecretString>,
    http: HyperClient<HttpConnector, Full<Bytes>>,
}

/// What `POST /provision` and the starts answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}

/// RFC 9457, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Problem {
    code: Option<Code>,
    detail: Option<String>,
    title: Option<String>,
    hint: Option<String>,
    #[serde(default)]
    errors: Vec<FieldProblem>,
}

#[derive(Debug, Deserialize)]
struct FieldProblem {
    field: String,
    detail: String,
    hint: Option<String>,
}

impl Client {
    /// The server of the command line, or the one that runs on the data directory.
    pub(crate) fn find(global: &Global) -> Result<Self, Failure> {
        let layout = Layout::new(data_dir(global)?);
        let base = match &global.server {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => layout
                .running()
                .map(|running| running.url)
                .ok_or_else(|| not_running(layout.root()))?,
        };
        if !base.starts_with("http://") {
            return Err(Failure::new(
                Code::ConfigInvalid,
                format!("{base:?} is not an address of the form http://host:port"),
            )
            .hint("behind TLS, talk to the server's own listener on its machine"));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self {
            base,
            token: layout.admin_token(),
            http,
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, None, None).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        self.call(Method::POST, path, Some(body), None).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, path, Some(&Value::Null), None).await
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let (status, text) = self.exchange(method, path, body, key).await?;
        if !status.is_success() {
            return Err(problem(status, &text));
        }
        serde_json::from_slice(&text).map_err(|error| not_wharf(&self.base, &error.to_string()))
    }

    /// The status and the whole body, whatever they are.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let response = self.send(method, path, body, key).await?;
        let status = response.status();
        let text = Limited::new(response.into_body(), ANSWER_MAX)
            .collect()
            .await
            .map_err(|error| not_wharf(&self.base, &error.to_string()))?
            .to_bytes();
        Ok((status, text))
    }

    /// An answer that comes bit by bit.
    pub(crate) async fn stream(&self, path: &str) -> Result<Incoming, Failure> {
        let response = self.send(Method::GET, path, None, None).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let text = Limited::new(response.into_body(), ANSWER_MAX)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Err(problem(status, &text))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<http::Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let bytes = match body {
            Some(Value::Null) | None => Bytes::new(),
            Some(body) => Bytes::from(body.to_string()),
        };
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(bytes))
            .map_err(|error| Failure::new(Code::RequestInvalid, format!("{path:?} cannot be asked for: {error}")))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.http.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::new(
                Code::ServerUnreachable,
                format!("no server answers at {}: {}", self.base, root_cause(&error)),
            )
            .hint("start it with `wharf up`, or name it with --server")),
            Err(_) => Err(Failure::new(
                Code::ServerUnreachable,
                format!("the server at {} takes too long to answer", self.base),
            )),
        }
    }
}

/// Encodes what stands in a path, so that a name with a slash or a question mark stays one segment.
pub(crate) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn problem(status: StatusCode, text: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<Problem>(text) else {
        return not_wharf("the server", &format!("status {status}"));
    };
    let mut failure = Failure::new(
        problem.code.unwrap_or(Code::Internal),
        problem
            .detail
            .or(problem.title)
            .unwrap_or_else(|| format!("the server answers {status}")),
    );
    failure.hint = problem.hint;
    // One problem says itself; several are listed.
    if problem.errors.len() > 1 {
        let lines: Vec<String> = problem
            .errors
            .iter()
            .map(|error| match &error.hint {
                Some(hint) => format!("{}: {} ({hint})", error.field, error.detail),
                None => format!("{}: {}", error.field, error.detail),
            })
            .collect();
        failure = failure.detail(lines.join("\n"));
    }
    failure
}

fn not_wharf(base: &str, why: &str) -> Failure {
    Failure::new(
        Code::ServerUnreachable,
        format!("what answers at {base} does not speak Wharf's API: {why}"),
    )
    .hint("check the address, and that client and server are of one version")
}

fn not_running(data: &Path) -> Failure {
    Failure::new(Code::ServerUnreachable, format!("no server runs on {}", data.display()))
        .hint("start it with `wharf up`, or name its folder with --data-dir, or its address with --server")
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
