//! What a request asks for: which service, which operation, with what. Signatures are not verified; that there is one is.

use super::query::Query;
use crate::refusal::Refusal;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Service {
    Ecs,
    Elb,
    Ec2,
    Sts,
    Logs,
    Iam,
}

impl Service {
    /// As a signature's scope names it.
    fn from_scope(name: &str) -> Option<Self> {
        Some(match name {
            "ecs" => Self::Ecs,
            "elasticloadbalancing" => Self::Elb,
            "ec2" => Self::Ec2,
            "sts" => Self::Sts,
            "logs" => Self::Logs,
            "iam" => Self::Iam,
            _ => return None,
        })
    }

    /// As an IAM action begins: `ecs` of `ecs:RunTask`.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Elb => "elasticloadbalancing",
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Logs => "logs",
            Self::Iam => "iam",
        }
    }

    pub(crate) const fn speaks_json(self) -> bool {
        matches!(self, Self::Ecs | Self::Logs)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Input {
    Json(Value),
    Query(Query),
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) input: Input,
}

/// What is not even a request: the protocol to refuse it in (true: JSON), and why.
pub(crate) type Unreadable = (bool, Refusal);

impl Request {
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Unreadable> {
        let target = text(headers, "x-amz-target");
        let json = target.is_some();
        let Some(authorization) = text(headers, header::AUTHORIZATION.as_str()) else {
            let code = if json {
                "MissingAuthenticationTokenException"
            } else {
                "MissingAuthenticationToken"
            };
            return Err((
                json,
                Refusal::new(code, "Missing Authentication Token").with_status(403),
            ));
        };
        let scope = authorization
            .split_once("Credential=")
            .and_then(|(_, rest)| rest.split([',', ' ']).next())
            .and_then(|credential| credential.split('/').rev().nth(1));
        let Some(service) = scope.and_then(Service::from_scope) else {
            let message = format!("Credential should be scoped to a service that is simulated, not {scope:?}.");
            return Err((json, Refusal::new("SignatureDoesNotMatch", message).with_status(403)));
        };
        let input = if service.speaks_json() {
            let body = if body.is_empty() { b"{}" } else { body };
            let value = serde_json::from_slice(body).map_err(|_| (true, serialization()))?;
            Input::Json(structure(value).ok_or_else(|| (true, serialization()))?)
        } else {
            Input::Query(Query::parse(&String::from_utf8_lossy(body)))
        };
        let operation = match (&input, target) {
            (Input::Json(_), target) => target.and_then(|target| target.rsplit('.').next()),
            (Input::Query(query), _) => query.get("Action"),
        };
        let Some(operation) = operation.filter(|name| !name.is_empty()).map(str::to_owned) else {
            let code = if service.speaks_json() {
                "UnknownOperationException"
            } else {
                "MissingAction"
            };
            return Err((service.speaks_json(), Refusal::new(code, "no operation is named")));
        };
        Ok(Self {
            service,
            operation,
            input,
        })
    }

    /// `ecs:RunTask`.
    pub(crate) fn action(&self) -> String {
        format!("{}:{}", self.service.prefix(), self.operation)
    }
}

/// A whole input: an object, its nulls taken for members that are not there. serde would take a list for a structure, member by
/// member in their order; no list of lists is part of what is simulated, so that refusing those keeps lists out of such places.
fn structure(value: Value) -> Option<Value> {
    fn pruned(value: Value, in_list: bool) -> Option<Value> {
        match value {
            Value::Array(_) if in_list => None,
            Value::Array(items) => items
                .into_iter()
                .map(|item| pruned(item, true))
                .collect::<Option<Vec<_>>>()
                .map(Value::Array),
            Value::Object(members) => {
                let members = members.into_iter().filter(|(_, value)| !value.is_null());
                let members = members.map(|(name, value)| Some((name, pruned(value, false)?)));
                members.collect::<Option<serde_json::Map<_, _>>>().map(Value::Object)
            }
            plain => Some(plain),
        }
    }
    pruned(value, false).filter(Value::is_object)
}

/// A call's input as awsJson reads it: members that are unknown are let be, those of a wrong type are not.
pub(crate) fn members<T: DeserializeOwned>(input: &Value) -> Result<T, Refusal> {
    serde_json::from_value(input.clone()).map_err(|_| serialization())
}

fn serialization() -> Refusal {
    Refusal::new(
        "SerializationException",
        "the request is no JSON, or a member of it has the wrong type",
    )
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const SIGNED_FOR_ELB: &str = "AWS4-HMAC-SHA256 Credential=AKID/20261102/us-east-1/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature=0";

    #[test]
    fn the_scope_of_the_signature_tells_the_service() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static(SIGNED_FOR_ELB));
        let request = Request::read(&headers, b"Action=DescribeRules&Version=2015-12-01").expect("a request");
        assert_eq!(request.action(), "elasticloadbalancing:DescribeRules");
    }

    #[test]
    fn a_request_without_signature_is_refused_in_its_own_protocol() {
        let mut headers = HeaderMap::new();
        let (json, refusal) = Request::read(&headers, b"Action=DescribeRules").expect_err("no signature");
        assert_eq!((json, refusal.code.as_str()), (false, "MissingAuthenticationToken"));
        headers.insert(
            "x-amz-target",
            HeaderValue::from_static("AmazonEC2ContainerServiceV20141113.RunTask"),
        );
        let (json, refusal) = Request::read(&headers, b"{}").expect_err("no signature");
        assert_eq!(
            (json, refusal.code.as_str()),
            (true, "MissingAuthenticationTokenException")
        );
    }
}
