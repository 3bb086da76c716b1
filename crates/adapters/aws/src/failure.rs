//! What an error of the SDK means to an operator: a [`Failure`] that names the action and the resource, and says what to do.
//!
//! What only one service knows (a task that cannot be placed, a condition that does not hold) is told apart before it comes here.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{DispatchFailure, SdkError},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::{error::Error, fmt};
use wharf_domain::{Code, Failure};

/// A call as an operator knows it: the IAM action, such as `ecs:RunTask`, and what it is about (an ARN where there is one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    pub action: &'static str,
    pub resource: &'a str,
}

impl<'a> Call<'a> {
    #[must_use]
    pub const fn new(action: &'static str, resource: &'a str) -> Self {
        Self { action, resource }
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

/// How the message begins where it is not a role that lacks a right, but nobody is known by the credentials.
pub(crate) const STRANGER: &str = "AWS does not know who calls";

/// The role may not do it.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "NotAuthorized",
    "UnauthorizedOperation",
];
/// Nobody is known by these credentials, or not any more.
const STRANGERS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
const UNAVAILABLE: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
];

/// Whether these codes mean that less often would have been well.
#[must_use]
pub fn is_throttling(code: &str) -> bool {
    THROTTLED.contains(&code)
}

/// Whether what was asked for may have happened although no answer says so. The same request, with the same token, finds out.
#[must_use]
pub fn may_have_happened<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => {
            let unsent = failure.is_user()
                || find::<CredentialsError>(failure).is_some()
                || find::<hyper_util::client::legacy::Error>(failure)
                    .is_some_and(hyper_util::client::legacy::Error::is_connect);
            !unsent
        }
        SdkError::ServiceError(answer) => answer.raw().status().is_server_error(),
        _ => true,
    }
}

/// The failure that an error of a call amounts to: `aws.denied`, `aws.throttled`, `aws.unavailable` (both pass), or `aws.refused`.
#[must_use]
pub fn failure<E>(error: &SdkError<E, HttpResponse>, call: &Call<'_>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => answered(
            answer.err().code().unwrap_or_default(),
            answer.err().message().unwrap_or_default(),
            answer.raw().status().as_u16(),
            call,
        ),
        SdkError::TimeoutError(_) => unavailable(call, "no answer came in time"),
        SdkError::ResponseError(_) => unavailable(call, "the answer cannot be read"),
        SdkError::DispatchFailure(failure) => match find::<CredentialsError>(failure) {
            Some(error) => stranger(call, &chain(error)),
            None if failure.is_timeout() => unavailable(call, "no connection came about in time"),
            None => unavailable(
                call,
                &failure.as_connector_error().map_or_else(String::new, |e| chain(e)),
            ),
        },
        other => Failure::internal(format!("{call} could not be asked for: {}", chain(other))),
    }
}

/// As [`failure`], of an answer with this code, message and HTTP status: for calls that are not the SDK's.
#[must_use]
pub fn answered(code: &str, message: &str, status: u16, call: &Call<'_>) -> Failure {
    if DENIED.contains(&code) {
        denied(call, message)
    } else if STRANGERS.contains(&code) {
        stranger(call, &format!("{code}: {message}"))
    } else if is_throttling(code) || status == 429 {
        Failure::new(Code::AwsThrottled, format!("{call} is throttled: {code}"))
            .hint("it is tried again by itself; if it stays so, ask AWS for a higher quota of this API")
    } else if UNAVAILABLE.contains(&code) || status >= 500 {
        unavailable(call, &format!("{code} ({status}) {message}"))
    } else {
        Failure::new(Code::AwsRefused, format!("{call} was refused: {code}: {message}"))
    }
}

/// AWS's message names the action and the resource that it looked at, which may be another one than what was called (a transaction's, `iam:PassRole`).
fn denied(call: &Call<'_>, message: &str) -> Failure {
    let action = after(message, "not authorized to perform: ").unwrap_or(call.action);
    let resource = after(message, "on resource: ").unwrap_or(call.resource);
    Failure::new(
        Code::AwsDenied,
        format!("the role may not call {action} on {resource}"),
    )
    .hint(format!(
        "allow the action {action} on the resource {resource} in the role's IAM policy; `wharf doctor` checks all that are needed"
    ))
    .detail(message)
}

fn stranger(call: &Call<'_>, why: &str) -> Failure {
    Failure::new(Code::AwsDenied, format!("{STRANGER} {call}: {why}")).hint(
        "give credentials that are valid now: a role of the function or the machine, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; and check the machine's clock",
    )
}

pub(crate) fn unavailable(call: &Call<'_>, why: &str) -> Failure {
    Failure::new(Code::AwsUnavailable, format!("{call} cannot be reached: {why}")).hint(
        "it is tried again by itself; if it stays so, look at the network's way to AWS (endpoint, DNS, NAT or VPC endpoints), the region, and AWS_ENDPOINT_URL",
    )
}

/// The word that follows a phrase, without quotes and the full stop.
fn after<'a>(message: &'a str, phrase: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(phrase)?;
    let word = rest.split_whitespace().next()?;
    let word = word.trim_matches(['"', '\'']).trim_end_matches('.');
    (!word.is_empty()).then_some(word)
}

/// An error of this kind among those that kept a request from being sent, or its answer from coming.
fn find<E: Error + 'static>(failure: &DispatchFailure) -> Option<&E> {
    let mut source: Option<&(dyn Error + 'static)> = failure.as_connector_error()?.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

/// An error and its sources, of which the SDK's own texts tell nothing ("dispatch failure").
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::{ClientOptions, Clients};
    use aws_sdk_dynamodb::types::AttributeValue;
    use std::time::Duration;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    const CALL: Call<'static> = Call::new("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:1:table/wharf");

    /// What a call amounts to at this address, tried once.
    async fn called(options: ClientOptions) -> (Failure, bool) {
        let clients = Clients::new(ClientOptions {
            attempts: 1,
            connect_timeout: Duration::from_millis(500),
            registry_attempt_timeout: Duration::from_millis(500),
            ..options
        });
        let call = clients.dynamodb().await.get_item().table_name("wharf");
        let error = call
            .key("pk", AttributeValue::S("x".to_owned()))
            .send()
            .await
            .expect_err("nobody answers well");
        (failure(&error, &CALL), may_have_happened(&error))
    }

    /// A server that gives each caller this answer, or hangs up if there is none.
    async fn server(status: u16, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 64 * 1024];
                let _ = stream.read(&mut request).await;
                if status > 0 {
                    let head = format!(
                        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                }
            }
        });
        format!("http://{address}")
    }

    async fn answered_with(status: u16, body: &'static str) -> (Failure, bool) {
        called(ClientOptions::emulator(server(status, body).await)).await
    }

    #[tokio::test]
    async fn a_denied_call_names_action_and_resource() {
        let body = r#"{"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "User: arn:aws:sts::1:assumed-role/wharf/x is not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:1:table/other because no identity-based policy allows the dynamodb:PutItem action"}"#;
        let (failure, may_have_happened) = answered_with(400, body).await;
        assert_eq!(failure.code, Code::AwsDenied);
        let hint = failure.hint.expect("a hint");
        for part in ["dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:1:table/other"] {
            assert!(failure.message.contains(part) && hint.contains(part), "{part}");
        }
        assert!(!may_have_happened);
    }

    #[test]
    fn a_denial_without_words_names_what_was_called() {
        let failure = answered("UnauthorizedOperation", "", 403, &CALL);
        assert_eq!(failure.code, Code::AwsDenied);
        assert!(failure.message.contains(CALL.action) && failure.message.contains(CALL.resource));
    }

    #[test]
    fn each_code_has_its_meaning() {
        for (code, status, expected) in [
            ("AccessDeniedException", 400, Code::AwsDenied),
            ("ExpiredTokenException", 400, Code::AwsDenied),
            ("ThrottlingException", 400, Code::AwsThrottled),
            ("", 429, Code::AwsThrottled),
            ("ServerException", 500, Code::AwsUnavailable),
            ("SomethingNew", 503, Code::AwsUnavailable),
            ("InvalidParameterException", 400, Code::AwsRefused),
        ] {
            let failure = answered(code, "words", status, &CALL);
            assert_eq!(failure.code, expected, "{code} {status}");
            assert!(failure.message.contains(CALL.resource), "{}", failure.message);
        }
    }

    #[tokio::test]
    async fn what_passes_is_told_from_what_does_not() {
        let throttled = r#"{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"}"#;
        let (failure, may_have_happened) = answered_with(400, throttled).await;
        assert_eq!((failure.code, may_have_happened), (Code::AwsThrottled, false));
        let refused = r#"{"__type": "x#ResourceNotFoundException", "message": "no such table"}"#;
        let (failure, may_have_happened) = answered_with(400, refused).await;
        assert_eq!((failure.code, may_have_happened), (Code::AwsRefused, false));
        assert!(failure.message.contains("no such table"), "{}", failure.message);
        let (failure, may_have_happened) = answered_with(500, "{}").await;
        assert_eq!((failure.code, may_have_happened), (Code::AwsUnavailable, true));
        assert!(failure.code.is_passing());
    }

    #[tokio::test]
    async fn a_lost_answer_may_have_happened() {
        let (failure, may_have_happened) = answered_with(0, "").await;
        assert_eq!((failure.code, may_have_happened), (Code::AwsUnavailable, true));
        // It takes the connection, and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let (failure, may_have_happened) = called(ClientOptions::emulator(url)).await;
        assert_eq!((failure.code, may_have_happened), (Code::AwsUnavailable, true));
        assert!(failure.message.contains("in time"), "{}", failure.message);
    }

    #[tokio::test]
    async fn nobody_there_and_no_such_name_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let (failure, may_have_happened) = called(ClientOptions::emulator(url)).await;
        assert_eq!((failure.code, may_have_happened), (Code::AwsUnavailable, false));
        assert!(failure.message.contains("refused"), "{}", failure.message);
        let (failure, _) = called(ClientOptions::emulator("http://no-such-host.invalid:80")).await;
        assert_eq!(failure.code, Code::AwsUnavailable);
        assert!(failure.message.contains("dns"), "{}", failure.message);
    }
}
