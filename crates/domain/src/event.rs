//! Start and stop events, in an EventBridge envelope or bare, as the requirements document them; and sign-ups in their two bare forms.
//!
//! Unknown fields are kept lenient (the caller logs them): an event's producer moves on its own schedule. A later
//! `schemaVersion` is refused, because what it means by a known field may have changed.

mod allow;
mod resolve;

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::{Code, CompanyName, Email, Failure, ServiceName, Subdomain, request};

pub use allow::{Allow, Pattern};
pub use resolve::Known;

/// The schema of `detail` that this version knows.
pub const SCHEMA_VERSION: u64 = 1;
/// ECS starts at most ten tasks with one call; an event asks for no more.
pub const COUNT_MAX: u64 = 10;
/// More of them than AWS takes: 16 subnets, 5 security groups, 5 target groups for a task.
const LIST_MAX: usize = 16;

const START: &str = "Start ECS Task";
const STOP: &str = "Stop ECS Tasks";

/// An event that asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// EventBridge's id: the trigger's key.
    pub id: Option<String>,
    pub source: Option<String>,
    pub ask: Ask,
    /// Fields of `detail` that are not known: to be logged.
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Start(Box<StartDetail>),
    Stop(StopDetail),
    SignUp(Box<SignUp>),
}

/// A sign-up as `{"userId": …}`, or with the three fields of the sign-up page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct SignUp {
    #[serde(alias = "userId")]
    pub subdomain: Subdomain,
    /// The operator's own where it is left out.
    #[serde(default, alias = "email")]
    pub admin_email: Option<Email>,
    /// The tenant's name where it is left out.
    #[serde(default, alias = "companyName")]
    pub company_name: Option<CompanyName>,
    #[serde(default)]
    pub service: Option<ServiceName>,
}

/// `detail` of "Start ECS Task". What it leaves out comes from the environment, then from the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartDetail {
    pub service: Option<ServiceName>,
    pub cluster: Option<String>,
    pub task_definition: Option<String>,
    pub target_group_arn: Option<String>,
    pub target_group_arns: Option<Vec<String>>,
    pub subnets: Option<Vec<String>>,
    pub security_groups: Option<Vec<String>>,
    pub container_name: Option<String>,
    pub port: Option<u16>,
    pub wait_for_healthy: Option<bool>,
    pub count: Option<u64>,
    pub environment: Option<BTreeMap<String, String>>,
}

/// `detail` of "Stop ECS Tasks".
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StopDetail {
    /// Empty: all that have no tenants.
    pub services: Vec<ServiceName>,
    pub deregister_targets: bool,
}

impl Default for StopDetail {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            deregister_targets: true,
        }
    }
}

const START_FIELDS: &[&str] = &[
    "service",
    "cluster",
    "taskDefinition",
    "targetGroupArn",
    "targetGroupArns",
    "subnets",
    "securityGroups",
    "containerName",
    "port",
    "waitForHealthy",
    "count",
    "environment",
    "schemaVersion",
];
const STOP_FIELDS: &[&str] = &["services", "deregister_targets", "schemaVersion"];
const SIGN_UP_FIELDS: &[&str] = &[
    "userId",
    "subdomain",
    "admin_email",
    "email",
    "company_name",
    "companyName",
    "service",
    "schemaVersion",
];

fn invalid(why: impl Into<String>) -> Failure {
    Failure::new(Code::EventInvalid, why).hint(
        "send {\"source\": \"custom.app\", \"detail-type\": \"Start ECS Task\", \"detail\": {\"service\": \"auth\"}}, or the detail alone",
    )
}

impl Event {
    /// Reads an envelope, or a bare `detail` (a start).
    pub fn parse(value: &Value) -> Result<Self, Failure> {
        let object = value
            .as_object()
            .ok_or_else(|| invalid("the event is not a JSON object"))?;
        let text = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(invalid(format!("{key:?} of the event is not a text"))),
        };
        let is_envelope =
            object.contains_key("detail-type") || object.contains_key("source") || object.contains_key("detail");
        if !is_envelope && (object.contains_key("userId") || object.contains_key("subdomain")) {
            let (sign_up, unknown) = detail::<SignUp>(object, SIGN_UP_FIELDS)?;
            return Ok(Self {
                id: None,
                source: None,
                ask: Ask::SignUp(Box::new(sign_up)),
                unknown,
            });
        }
        if !is_envelope {
            let (detail, unknown) = detail::<StartDetail>(object, START_FIELDS)?;
            return Ok(Self {
                id: None,
                source: None,
                ask: Ask::Start(Box::new(checked(detail)?)),
                unknown,
            });
        }
        let body = match object.get("detail") {
            Some(Value::Object(body)) => body,
            Some(_) => return Err(invalid("\"detail\" of the event is not an object")),
            None => return Err(invalid("the event has no \"detail\"")),
        };
        let (ask, unknown) = match text("detail-type")?.as_deref() {
            Some(START) => {
                let (detail, unknown) = detail::<StartDetail>(body, START_FIELDS)?;
                (Ask::Start(Box::new(checked(detail)?)), unknown)
            }
            Some(STOP) => {
                let (detail, unknown) = detail::<StopDetail>(body, STOP_FIELDS)?;
                (Ask::Stop(detail), unknown)
            }
            Some(other) => {
                return Err(invalid(format!(
                    "the detail-type {other:?} is neither {START:?} nor {STOP:?}"
                )));
            }
            None => return Err(invalid("the event has no \"detail-type\"")),
        };
        Ok(Self {
            id: text("id")?,
            source: text("source")?,
            ask,
            unknown,
        })
    }
}

fn detail<T: for<'de> Deserialize<'de>>(
    body: &Map<String, Value>,
    known: &[&str],
) -> Result<(T, Vec<String>), Failure> {
    match body.get("schemaVersion") {
        None | Some(Value::Null) => {}
        Some(version) => match version.as_u64() {
            Some(1..=SCHEMA_VERSION) => {}
            Some(later) if later > SCHEMA_VERSION => {
                return Err(Failure::new(
                    Code::EventSchema,
                    format!("the event is of schema version {later}, and this version of Wharf knows {SCHEMA_VERSION}"),
                )
                .hint("upgrade Wharf, or send the earlier form"));
            }
            _ => {
                return Err(invalid(format!(
                    "\"schemaVersion\" is {version}, not a whole number from 1"
                )));
            }
        },
    }
    let parsed = T::deserialize(Value::Object(body.clone()))
        .map_err(|error| invalid(format!("\"detail\" of the event: {error}")))?;
    let unknown = body
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .cloned()
        .collect();
    Ok((parsed, unknown))
}

fn checked(detail: StartDetail) -> Result<StartDetail, Failure> {
    if let Some(count) = detail.count
        && !(1..=COUNT_MAX).contains(&count)
    {
        return Err(invalid(format!("\"count\" is {count}, not from 1 to {COUNT_MAX}")));
    }
    for (name, list) in [
        ("subnets", &detail.subnets),
        ("securityGroups", &detail.security_groups),
        ("targetGroupArns", &detail.target_group_arns),
    ] {
        if list.as_ref().is_some_and(|list| list.len() > LIST_MAX) {
            return Err(invalid(format!("{name:?} has more than {LIST_MAX} items")));
        }
    }
    if detail.port == Some(0) {
        return Err(invalid("\"port\" is 0, not from 1 to 65535"));
    }
    if let Some(environment) = &detail.environment {
        request::Start::check_environment(environment)?;
    }
    Ok(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_documented_start_event_in_its_three_forms() {
        let envelope = json!({"source": "custom.app", "detail-type": "Start ECS Task", "detail": {"service": "auth"}});
        let event = Event::parse(&envelope).expect("documented");
        let Ask::Start(detail) = event.ask else {
            panic!("a start")
        };
        assert_eq!(detail.service.expect("named").as_str(), "auth");

        let explicit = json!({
            "source": "custom.source", "detail-type": "Start ECS Task",
            "detail": {"cluster": "my-cluster", "taskDefinition": "my-task:1", "targetGroupArn": "arn:aws:elasticloadbalancing:x",
                       "subnets": ["subnet-xxx"], "securityGroups": ["sg-xxx"], "port": 8080}
        });
        let Ask::Start(detail) = Event::parse(&explicit).expect("documented").ask else {
            panic!("a start")
        };
        assert_eq!(
            (detail.cluster.as_deref(), detail.port),
            (Some("my-cluster"), Some(8080))
        );

        let Ask::Start(detail) = Event::parse(&json!({"service": "pdf"})).expect("bare").ask else {
            panic!("a start")
        };
        assert_eq!(detail.service.expect("named").as_str(), "pdf");
    }

    #[test]
    fn a_stop_deregisters_unless_told_otherwise() {
        let event = |detail: Value| {
            Event::parse(&json!({"detail-type": "Stop ECS Tasks", "detail": detail}))
                .expect("a stop")
                .ask
        };
        assert_eq!(event(json!({})), Ask::Stop(StopDetail::default()));
        let Ask::Stop(stop) = event(json!({"services": ["auth"], "deregister_targets": false})) else {
            panic!("a stop")
        };
        assert!(!stop.deregister_targets);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (json!([]), Code::EventInvalid, "not a JSON object"),
            (
                json!({"source": "custom.app", "detail-type": "Start ECS Task"}),
                Code::EventInvalid,
                "no \"detail\"",
            ),
            (json!({"detail": {}}), Code::EventInvalid, "no \"detail-type\""),
            (
                json!({"detail-type": "Start ECS Task", "detail": 7}),
                Code::EventInvalid,
                "not an object",
            ),
            (json!({"service": 7}), Code::EventInvalid, "expected a string"),
            (
                json!({"service": "auth", "count": 11}),
                Code::EventInvalid,
                "from 1 to 10",
            ),
            (
                json!({"service": "auth", "schemaVersion": 2}),
                Code::EventSchema,
                "version 2",
            ),
            (
                json!({"service": "auth", "schemaVersion": "x"}),
                Code::EventInvalid,
                "whole number",
            ),
        ];
        for (value, code, part) in cases {
            let failure = Event::parse(&value).expect_err("refused");
            assert_eq!(failure.code, code, "{value}");
            assert!(failure.message.contains(part), "{value}: {}", failure.message);
        }
    }

    #[test]
    fn the_documented_sign_ups_in_their_two_forms() {
        let sign_up = |value: Value| match Event::parse(&value).expect("documented").ask {
            Ask::SignUp(sign_up) => *sign_up,
            ask => panic!("{ask:?} is no sign-up"),
        };
        let bare = sign_up(json!({"userId": "acme"}));
        assert_eq!(
            (bare.subdomain.as_str(), bare.admin_email, bare.company_name),
            ("acme", None, None)
        );
        let form = json!({"subdomain": "acme", "admin_email": "admin@acme.example", "company_name": "Acme Inc."});
        let full = sign_up(form);
        assert_eq!(full.admin_email.expect("given").as_str(), "admin@acme.example");
        assert_eq!(full.company_name.expect("given").as_str(), "Acme Inc.");
        for wrong in [
            json!({"userId": 7}),
            json!({"userId": "A.B"}),
            json!({"subdomain": "acme", "userId": "bolt"}),
        ] {
            assert_eq!(
                Event::parse(&wrong).expect_err("refused").code,
                Code::EventInvalid,
                "{wrong}"
            );
        }
    }

    #[test]
    fn unknown_fields_are_kept_for_the_log() {
        let event = Event::parse(&json!({"service": "auth", "colour": "blue"})).expect("lenient");
        assert_eq!(event.unknown, ["colour"]);
    }
}
