//! A client that speaks AWS's protocols by hand, so that what the tests hold is what is on the wire.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{self, Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::fmt::Write as _;
use wharf_aws_simulator::{Options, Simulator};

pub(crate) struct Client {
    pub(crate) simulator: Simulator,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(crate) async fn start(options: Options) -> Self {
        Self {
            simulator: Simulator::start(options).await.expect("loopback has a free port"),
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<(u16, String), legacy::Error> {
        let response = self.http.request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).expect("UTF-8")))
    }

    pub(crate) async fn json(&self, target: &str, service: &str, input: &Value) -> Result<(u16, Value), legacy::Error> {
        let request = Request::post(self.simulator.url())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .header("authorization", authorization(service))
            .body(Full::from(input.to_string()))
            .expect("a request");
        let (status, body) = self.send(request).await?;
        Ok((status, serde_json::from_str(&body).expect("JSON")))
    }

    pub(crate) async fn try_ecs(&self, operation: &str, input: Value) -> Result<(u16, Value), legacy::Error> {
        self.json(
            &format!("AmazonEC2ContainerServiceV20141113.{operation}"),
            "ecs",
            &input,
        )
        .await
    }

    /// The answer to a call that AWS does not refuse.
    pub(crate) async fn ecs(&self, operation: &str, input: Value) -> Value {
        let (status, answer) = self.try_ecs(operation, input).await.expect("an answer");
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// Code and message of a call that AWS refuses.
    pub(crate) async fn ecs_refusal(&self, operation: &str, input: Value) -> (String, String) {
        let (status, answer) = self.try_ecs(operation, input).await.expect("an answer");
        assert_eq!(status, 400, "{operation}: {answer}");
        (text(&answer["__type"]), text(&answer["message"]))
    }

    pub(crate) async fn query(&self, service: &str, action: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let mut form = format!("Action={action}&Version=2015-12-01");
        for (name, value) in fields {
            write!(form, "&{name}=").expect("a string takes all");
            for byte in value.bytes() {
                write!(form, "%{byte:02X}").expect("a string takes all");
            }
        }
        let request = Request::post(self.simulator.url())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", authorization(service))
            .body(Full::from(form))
            .expect("a request");
        self.send(request).await.expect("an answer")
    }

    pub(crate) async fn elb(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let (status, body) = self.query("elasticloadbalancing", action, fields).await;
        assert_eq!(status, 200, "{action}: {body}");
        body
    }

    /// The code of a call that AWS refuses.
    pub(crate) async fn elb_refusal(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let (status, body) = self.query("elasticloadbalancing", action, fields).await;
        assert_eq!(status, 400, "{action}: {body}");
        assert!(body.starts_with("<ErrorResponse><Error>"), "{body}");
        elements(&body, "Code").remove(0)
    }
}

pub(crate) fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20261102/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// What stands in every innermost element of this name.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1);
    parts
        .filter_map(|part| part.split_once(&close))
        .map(|(inner, _)| inner.to_owned())
        .collect()
}
