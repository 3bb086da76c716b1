//! Requests as the HTTP API hands them over (payload format 2.0), and answers as it wants them.
//!
//! Nothing is decided here: what comes out is a request for the same router that answers on one machine, with the caller's address beside it.

use axum::{body::Body, extract::ConnectInfo};
use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};
use wharf_domain::{Code, Failure};

/// A request. What else API Gateway says of it is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpEvent {
    #[serde(default)]
    pub raw_path: String,
    #[serde(default)]
    pub raw_query_string: String,
    #[serde(default)]
    pub cookies: Vec<String>,
    /// Several of one name are joined by commas.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub is_base64_encoded: bool,
    pub request_context: RequestContext,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RequestContext {
    pub http: HttpContext,
    #[serde(default)]
    pub stage: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpContext {
    pub method: String,
    #[serde(default)]
    pub source_ip: Option<String>,
}

impl HttpEvent {
    /// The request, with the caller as its peer: API Gateway has seen that address itself, whatever the headers say.
    ///
    /// # Errors
    /// `request.invalid`: a part of it is not HTTP.
    pub fn into_request(self) -> Result<Request<Body>, Failure> {
        let method = Method::from_bytes(self.request_context.http.method.as_bytes()).map_err(invalid)?;
        let uri = self.uri()?;
        let bytes = match self.body {
            None => Bytes::new(),
            Some(text) if self.is_base64_encoded => BASE64.decode(text.as_bytes()).map_err(invalid)?.into(),
            Some(text) => text.into(),
        };
        let mut request = Request::new(Body::from(bytes));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(invalid)?;
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).map_err(invalid)?);
        }
        if !self.cookies.is_empty() {
            let cookies = self.cookies.join("; ");
            headers.insert(header::COOKIE, HeaderValue::from_str(&cookies).map_err(invalid)?);
        }
        let caller = self.request_context.http.source_ip.and_then(|ip| ip.parse().ok());
        let caller = caller.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(caller, 0)));
        Ok(request)
    }

    fn uri(&self) -> Result<Uri, Failure> {
        let stage = self
            .request_context
            .stage
            .as_deref()
            .filter(|stage| *stage != "$default");
        let without_stage = stage.and_then(|stage| {
            let rest = self.raw_path.strip_prefix('/')?.strip_prefix(stage)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        });
        let path = without_stage.unwrap_or(&self.raw_path);
        let mut text = if path.is_empty() { "/".to_owned() } else { encoded(path) };
        if !self.raw_query_string.is_empty() {
            text.push('?');
            text.push_str(&encoded(&self.raw_query_string));
        }
        text.parse().map_err(invalid)
    }
}

/// What cannot stand in a URI is written as a percent sign and its number; what is written so already stays.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic()
            && !matches!(
                byte,
                b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#'
            )
        {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn invalid(why: impl std::fmt::Display) -> Failure {
    Failure::new(Code::RequestInvalid, format!("the request cannot be read: {why}"))
        .hint("API Gateway hands over what HTTP allows: send it again")
}

/// An answer as API Gateway passes it on.
#[must_use]
pub fn answer(response: &Response<Bytes>) -> Value {
    let body = response.body();
    let text = std::str::from_utf8(body).ok().filter(|_| is_text(response.headers()));
    json!({
        "statusCode": response.status().as_u16(),
        "headers": headers(response.headers()),
        "cookies": response.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>(),
        "body": text.map_or_else(|| BASE64.encode(body), str::to_owned),
        "isBase64Encoded": text.is_none(),
    })
}

fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut joined = Map::new();
    for name in headers.keys().filter(|name| **name != header::SET_COOKIE) {
        let values: Vec<&str> = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        joined.insert(name.to_string(), values.join(", ").into());
    }
    joined
}

/// Images and fonts need no look at their bytes.
fn is_text(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media.is_none_or(|media| {
        media.starts_with("text/")
            || ["json", "javascript", "xml", "svg"]
                .iter()
                .any(|part| media.contains(part))
    })
}
