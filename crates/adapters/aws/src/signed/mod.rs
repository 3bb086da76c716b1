//! Calls of those APIs for which no SDK is linked, since they are few and it would be large: requests signed by hand (Signature Version 4),
//! over the same TLS. What is asked and what the answer says is the business of `databases`, `ec2`, `logs` and `sts`.

mod credentials;

use async_trait::async_trait;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::ServiceConfigKey;
use http_body_util::{BodyExt, Limited};
use std::{
    fmt::{self, Write},
    sync::{Arc, OnceLock},
    time::{Duration, UNIX_EPOCH},
};
use tokio::time::{Instant, timeout};
use wharf_domain::{Code, Failure};
use wharf_saga::Clock;

use crate::{
    Clients, Governor,
    failure::{self, is_throttling},
    governor::{Refusal, Verdict},
    operations::Operation,
};
use credentials::CachedCredentials;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// As the SDK's clients: an answer that has not come by then is taken for lost.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// A page of DescribeInstances has up to a thousand instances; a page of log events up to a mebibyte.
const LARGEST_ANSWER: usize = 8 << 20;

/// A service that is called by hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// As it stands in signatures, IAM actions and host names.
    pub(crate) name: &'static str,
    /// As it stands in `AWS_ENDPOINT_URL_<SERVICE>`, and in a profile's `services` section.
    pub(crate) id: &'static str,
}

pub(crate) const EC2: Service = Service { name: "ec2", id: "EC2" };
pub(crate) const LOGS: Service = Service {
    name: "logs",
    id: "CloudWatch Logs",
};
pub(crate) const STS: Service = Service { name: "sts", id: "STS" };
pub(crate) const LAMBDA: Service = Service {
    name: "lambda",
    id: "Lambda",
};
/// It has one place for all regions, and is signed for [`IAM_REGION`].
pub(crate) const IAM: Service = Service { name: "iam", id: "IAM" };
pub(crate) const IAM_REGION: &str = "us-east-1";

/// What is asked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) service: Service,
    /// Another region than the configured one.
    pub(crate) region: Option<String>,
    /// What follows the service's address and a slash.
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    /// `X-Amz-Target` of an awsJson API.
    pub(crate) target: Option<String>,
    pub(crate) body: String,
    /// An answer that has not come by then is taken for lost.
    pub(crate) timeout: Duration,
}

/// A function's payload may have secrets in it.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("service", &self.service.name)
            .field("path", &self.path)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Question {
    /// A question to an API of the Query protocol: form in, XML out.
    pub(crate) fn query(service: Service, action: &str, version: &str, parameters: &[(String, String)]) -> Self {
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            body.push('&');
            body.push_str(name);
            body.push('=');
            percent_encode(value, &mut body);
        }
        Self {
            service,
            region: None,
            path: String::new(),
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            target: None,
            body,
            timeout: TRY_TIMEOUT,
        }
    }

    /// A question to an API of the protocol awsJson 1.1.
    pub(crate) fn json(service: Service, target: &str, body: &serde_json::Value) -> Self {
        Self {
            service,
            region: None,
            path: String::new(),
            content_type: "application/x-amz-json-1.1",
            target: Some(target.to_owned()),
            body: body.to_string(),
            timeout: TRY_TIMEOUT,
        }
    }

    /// A function, by name or ARN, with what it is given; its answer is waited for so long.
    pub(crate) fn invocation(function: &str, payload: String, timeout: Duration) -> Self {
        let mut path = "2015-03-31/functions/".to_owned();
        percent_encode(function, &mut path);
        path.push_str("/invocations");
        Self {
            service: LAMBDA,
            region: None,
            path,
            content_type: "application/json",
            target: None,
            body: payload,
            timeout,
        }
    }
}

fn percent_encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// Why there is no answer, or which one there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignedError {
    /// Nobody says who asks.
    NoCredentials(String),
    /// The request could not be made, or not be signed.
    NotSent(String),
    /// No whole answer.
    Broken(String),
    Answered {
        status: u16,
        code: String,
        message: String,
    },
    /// A function was invoked, and ended without an answer of its own: it crashed, or its time was over.
    FunctionFailed(String),
}

impl Refusal for SignedError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Answered { status, code, .. } if *status == 429 || is_throttling(code) => Verdict::Throttled,
            Self::Answered { status, .. } if *status >= 500 => Verdict::Broken,
            Self::Broken(_) => Verdict::Broken,
            Self::NoCredentials(_) | Self::NotSent(_) | Self::Answered { .. } | Self::FunctionFailed(_) => {
                Verdict::Final
            }
        }
    }
}

impl SignedError {
    fn into_failure(self, operation: Operation, resource: &str) -> Failure {
        let call = operation.on(resource);
        match self {
            Self::NoCredentials(why) => failure::answered("MissingAuthenticationToken", &why, 403, &call),
            Self::NotSent(why) => Failure::internal(format!("{call} could not be asked for: {why}")),
            Self::Broken(why) => failure::unavailable(&call, &why),
            // A function that nobody has called for weeks has lost its place in the network, and gets it back by the first call.
            Self::Answered { code, message, .. }
                if operation == Operation::LambdaInvokeFunction && code == "ResourceConflictException" =>
            {
                failure::unavailable(&call, &message)
            }
            Self::Answered { status, code, message } => failure::answered(&code, &message, status, &call),
            Self::FunctionFailed(why) => Failure::new(
                Code::AwsUnavailable,
                format!("{call} failed within the function: {why}"),
            )
            .hint("its own log says why; it is tried again by itself"),
        }
    }
}

/// Sends one signed request: what the tests of those who ask stand in for.
#[async_trait]
pub(crate) trait Transport: Send + Sync + fmt::Debug {
    async fn send(&self, question: &Question) -> Result<String, SignedError>;
}

/// Asks, by way of the governor.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    sender: Arc<dyn Transport>,
    governor: Arc<Governor>,
}

impl Signed {
    pub(crate) fn new(clients: Arc<Clients>, governor: Arc<Governor>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sender: Arc::new(Sender {
                clients,
                clock,
                connector: OnceLock::new(),
                credentials: CachedCredentials::default(),
            }),
            governor,
        }
    }

    pub(crate) async fn ask(
        &self,
        operation: Operation,
        resource: &str,
        deadline: Instant,
        question: &Question,
    ) -> Result<String, Failure> {
        self.governor
            .call(operation, deadline, || self.sender.send(question))
            .await
            .map_err(|error| error.into_failure(operation, |error| error.into_failure(operation, resource)))
    }
}

struct Sender {
    clients: Arc<Clients>,
    clock: Arc<dyn Clock>,
    connector: OnceLock<SharedHttpConnector>,
    credentials: CachedCredentials,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for Sender {
    async fn send(&self, question: &Question) -> Result<String, SignedError> {
        let request = self.signed(question).await?;
        let exchange = async {
            let answer = self
                .connector()
                .call(request)
                .await
                .map_err(|error| SignedError::Broken(failure::chain(&error)))?;
            let status = answer.status().as_u16();
            let header = |name: &str| answer.headers().get(name).map(str::to_owned);
            let (kind, function_error) = (header("x-amzn-errortype"), header("x-amz-function-error"));
            let body = Limited::new(answer.into_body(), LARGEST_ANSWER)
                .collect()
                .await
                .map_err(|error| SignedError::Broken(error.to_string()))?;
            let body = String::from_utf8(body.to_bytes().into())
                .map_err(|_| SignedError::Broken("the answer is not UTF-8".to_owned()))?;
            Ok((status, kind, function_error, body))
        };
        let (status, kind, function_error, body) = timeout(question.timeout, exchange)
            .await
            .map_err(|_| SignedError::Broken("no answer came in time".to_owned()))??;
        if (200..300).contains(&status) {
            return match function_error {
                None => Ok(body),
                Some(_) => Err(SignedError::FunctionFailed(function_failure(&body))),
            };
        }
        let (mut code, message) = refusal(&body);
        // An API of the protocol restJson says its code in a header, with a URL behind it.
        if let Some(kind) = kind.filter(|_| code.is_empty()) {
            kind.split(':').next().unwrap_or_default().clone_into(&mut code);
        }
        Err(SignedError::Answered { status, code, message })
    }
}

impl Sender {
    fn connector(&self) -> &SharedHttpConnector {
        self.connector.get_or_init(|| {
            if let Some(connector) = self.clients.connector() {
                return connector;
            }
            let settings = HttpConnectorSettings::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .build();
            let connector = Connector::builder()
                .connector_settings(settings)
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build();
            SharedHttpConnector::new(connector)
        })
    }

    async fn signed(&self, question: &Question) -> Result<HttpRequest, SignedError> {
        let config = self.clients.config().await;
        let region = question
            .region
            .clone()
            .or_else(|| config.region().map(ToString::to_string));
        let region =
            region.ok_or_else(|| SignedError::NotSent("no region is configured: set AWS_REGION".to_owned()))?;
        let now = self.clock.now();
        let credentials = self.credentials.get(config, now).await?;
        let identity = credentials.into();

        let not_sent = |error: &dyn fmt::Display| SignedError::NotSent(error.to_string());
        let url = endpoint(config, question.service, &region) + &question.path;
        let mut request = http::Request::post(&url).header(http::header::CONTENT_TYPE, question.content_type);
        if let Some(target) = &question.target {
            request = request.header("x-amz-target", target);
        }
        let mut request = request
            .body(SdkBody::from(question.body.as_str()))
            .map_err(|error| not_sent(&error))?;
        let headers = request.headers().iter();
        let headers: Vec<(&str, &str)> = headers
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        let body = SignableBody::Bytes(question.body.as_bytes());
        let signable =
            SignableRequest::new("POST", &url, headers.into_iter(), body).map_err(|error| not_sent(&error))?;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name(question.service.name)
            .time(UNIX_EPOCH + Duration::from_millis(now.as_millis()))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| not_sent(&error))?;
        let (instructions, _) = sign(signable, &parameters.into())
            .map_err(|error| not_sent(&error))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request).map_err(|error| not_sent(&error))
    }
}

/// `AWS_ENDPOINT_URL_<SERVICE>` (or the profile's), `AWS_ENDPOINT_URL`, or where AWS has it.
fn endpoint(config: &aws_config::SdkConfig, service: Service, region: &str) -> String {
    let key = ServiceConfigKey::builder()
        .service_id(service.id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_service = key.ok().and_then(|key| config.service_config()?.load_config(key));
    let url = of_service
        .or_else(|| config.endpoint_url().map(str::to_owned))
        .unwrap_or_else(|| {
            let suffix = if region.starts_with("cn-") {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            };
            if service.name == IAM.name {
                return format!("https://{}.{suffix}", service.name);
            }
            format!("https://{}.{region}.{suffix}", service.name)
        });
    format!("{}/", url.trim_end_matches('/'))
}

/// Code and message of an error, as JSON (`__type`) or as XML (`<Code>`, wherever it stands).
fn refusal(body: &str) -> (String, String) {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(body) {
        let text = |name: &str| json.get(name).and_then(serde_json::Value::as_str);
        let code = text("__type").unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or(code);
        let message = text("message").or_else(|| text("Message")).unwrap_or_default();
        return (code.to_owned(), message.to_owned());
    }
    let Ok(document) = roxmltree::Document::parse(body) else {
        return (String::new(), body.chars().take(200).collect());
    };
    let text = |name: &str| {
        let node = document.descendants().find(|node| node.tag_name().name() == name);
        node.and_then(|node| node.text()).unwrap_or_default().to_owned()
    };
    (text("Code"), text("Message"))
}

/// What Lambda says of a function that did not end well. Its stack is left out.
fn function_failure(body: &str) -> String {
    let said: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(serde_json::Value::as_str);
    let (kind, message) = (text("errorType"), text("errorMessage"));
    let words: Vec<&str> = kind.into_iter().chain(message).collect();
    words.join(": ").chars().take(300).collect()
}

#[cfg(test)]
pub(crate) mod tests;
