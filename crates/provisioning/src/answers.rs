//! The documented form of what an event is answered with: `{"statusCode", "body"}`, the first of several instances in the body's
//! own fields, and all in `instances`.

use serde_json::{Value, json};
use wharf_domain::{Code, Endpoint, Failure, Fault, State};

use crate::view::InstanceView;

/// Whether everything that was asked for has come to where it can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    All,
    /// Something is still on its way, and the answer does not wait for it any longer.
    NotYet,
}

/// An answer that tells of a failure, with the status that fits it.
#[must_use]
pub fn refused(failure: &Failure) -> Value {
    let body = json!({"error": failure.message, "code": failure.code, "hint": failure.hint});
    json!({"statusCode": status(failure), "body": body})
}

pub(crate) fn done(body: &Value) -> Value {
    json!({"statusCode": 200, "body": body})
}

/// The answer to a start.
pub(crate) fn started(views: &[InstanceView], reached: Reached, ignored: &[&str]) -> Value {
    let instances: Vec<Value> = views.iter().map(instance).collect();
    let mut body = instances.first().cloned().unwrap_or_else(|| json!({}));
    let (status, message) = match reached {
        Reached::All => (200, "Task started and registered"),
        Reached::NotYet => (202, "Task is being started"),
    };
    body["message"] = message.into();
    body["instances"] = instances.into();
    if !ignored.is_empty() {
        body["ignored"] = json!(ignored);
    }
    json!({"statusCode": status, "body": body})
}

/// The answer to a sign-up.
pub(crate) fn signed_up(view: &InstanceView) -> Value {
    done(&json!({
        "message": "Provisioning started",
        "url": view.url,
        "port": view.port,
        "userId": view.name(),
        "instance": view.id,
        "status": view.status,
    }))
}

/// Why an instance is not what was asked for, if it is over or has halted.
pub(crate) fn cause(view: &InstanceView) -> Option<Failure> {
    match view.state {
        // It wakes for whoever asks.
        State::Ready { .. } | State::Sleeping { .. } => None,
        _ if view.state.is_coming() => None,
        _ => Some(view.cause.clone().map_or_else(
            || {
                Failure::new(
                    Code::InstanceCancelled,
                    format!("{} is {} now", view.name(), view.status),
                )
                .hint("start it again")
            },
            Failure::without_detail,
        )),
    }
}

fn instance(view: &InstanceView) -> Value {
    let health = match &view.state {
        State::Ready { .. } => "healthy",
        state if state.is_coming() => "initial",
        _ => "unhealthy",
    };
    json!({
        "service": view.service,
        "instance": view.id,
        "taskArn": view.task,
        "taskId": task_id(view),
        "privateIp": view.address.as_ref().and_then(Endpoint::ip),
        "port": view.address.as_ref().map(Endpoint::port),
        "targetGroupArn": view.target_groups.first(),
        "targetGroupArns": view.target_groups,
        "healthStatus": health,
        "url": view.url,
    })
}

/// ECS names a task by the end of its ARN. Elsewhere people know it by its instance's id.
fn task_id(view: &InstanceView) -> Option<&str> {
    match view.task.as_deref() {
        Some(task) if task.starts_with("arn:") => task.rsplit('/').next(),
        None if view.is_on_ecs => None,
        _ => Some(view.id.as_str()),
    }
}

/// The HTTP status that a failure is answered with.
#[must_use]
pub fn status(failure: &Failure) -> u16 {
    match failure.code {
        Code::AuthMissing | Code::WebhookSignature | Code::WebhookStale => 401,
        Code::AuthDenied | Code::OriginRefused | Code::EventNotAllowed => 403,
        Code::InstanceUnknown
        | Code::WebhookUnknown
        | Code::MailUnknown
        | Code::ServiceUnknown
        | Code::RequestNotFound => 404,
        Code::RequestMethod => 405,
        Code::NameTaken
        | Code::NameResting
        | Code::KeyReused
        | Code::LimitEmail
        | Code::InstanceState
        | Code::InstanceCancelled => 409,
        Code::PasswordShown | Code::ChoiceUsed => 410,
        Code::RequestTooLarge => 413,
        Code::HostUnknown => 421,
        Code::LimitRate => 429,
        Code::LimitInstances
        | Code::LimitQueue
        | Code::PortExhausted
        | Code::StoreUnavailable
        | Code::StoreFull
        | Code::ServerUnreachable => 503,
        Code::NameInvalid | Code::NameReserved | Code::EmailInvalid | Code::CompanyInvalid | Code::WebhookInvalid => {
            422
        }
        code => match code.fault() {
            Fault::Caller => 400,
            Fault::Service => 502,
            Fault::Operator | Fault::Wharf => 500,
        },
    }
}
