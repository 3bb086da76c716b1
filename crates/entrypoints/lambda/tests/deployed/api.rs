//! AWS's services on the wire, as far as a test asks them for something: JSON, forms and XML over HTTP. What is asked for is the tests' business.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, request::Builder};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::fmt::Write;

/// One endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) url: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// It has this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// The text of the first element of this name.
    #[track_caller]
    pub(crate) fn element(&self, name: &str) -> String {
        let text = self.text();
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let found = document.descendants().find(|node| node.tag_name().name() == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .text()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Api {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            http: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub(crate) async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Answer {
        let request = request.body(Full::new(body.into())).expect("a request");
        let response = self.http.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.expect("a whole answer").to_bytes(),
        }
    }

    pub(crate) fn request(&self, service: &str, method: Method, path: &str) -> Builder {
        let credential = format!("test/20261121/{}/{service}/aws4_request", crate::account::REGION);
        let signature = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0");
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", signature)
    }

    /// A call in AWS's JSON protocols: `sqs` and `AmazonSQS.SendMessage`.
    pub(crate) async fn call(&self, service: &str, target: &str, input: &Value) -> Value {
        let request = self
            .request(service, Method::POST, "/")
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0");
        let answer = self.send(request, input.to_string()).await.is(200);
        if answer.body.is_empty() {
            json!({})
        } else {
            answer.json()
        }
    }

    /// A call in AWS's Query protocol.
    pub(crate) async fn query(&self, service: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self
            .request(service, Method::POST, "/")
            .header("content-type", "application/x-www-form-urlencoded");
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        self.send(request, body.join("&")).await.is(200)
    }
}

/// As it stands in a form.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The other way.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let number = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(number.unwrap_or(*first));
        rest = if number.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).expect("text")
}
