//! One request and what comes of it: who may, what goes wrong with it, how long it is on its way, and what the world answers. No socket is here: the
//! endpoint brings requests, and so does who calls in process.

use crate::access::Permission;
use crate::calls::Call;
use crate::control;
use crate::core::Core;
use crate::faults::{Fate, Mishap};
use crate::refusal::Refusal;
use crate::sts;
use crate::wire::answer::{self, Answer};
use crate::wire::request::{Input, Request, Service};
use bytes::Bytes;
use http::Response;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The connection ended without an answer, as if the network had ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection is dropped, as ordered")
    }
}

impl std::error::Error for Dropped {}

impl Core {
    pub(crate) fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012x}")
    }

    pub(crate) async fn respond(self: Arc<Self>, request: http::Request<Bytes>) -> Result<Response<Bytes>, Dropped> {
        let request_id = self.request_id();
        let (head, body) = request.into_parts();
        if let Some(path) = head.uri.path().strip_prefix(control::PREFIX) {
            return Ok(control::answer(&self, &head.method, path, &body));
        }
        let request = match Request::read(&head.headers, &body) {
            Ok(request) => request,
            Err((json, refusal)) => return Ok(answer::unreadable(json, &refusal, &request_id)),
        };
        let permissions = self.with_world(|world| world.permissions(&request));
        let fate = self.fate(&permissions, &body);
        pause(fate.delay).await;
        if let Some(Mishap::Late(by)) = fate.mishap {
            let core = Arc::clone(&self);
            tokio::spawn(async move {
                tokio::time::sleep(by).await;
                core.carry_out(&request, permissions, &fate, &request_id);
            });
            return Err(Dropped);
        }
        let response = self.carry_out(&request, permissions, &fate, &request_id);
        pause(fate.answer_delay).await;
        match fate.mishap {
            Some(Mishap::AnswerLost | Mishap::Refused) => Err(Dropped),
            _ => Ok(response),
        }
    }

    /// What is ordered; where nothing is, what the weather brings.
    fn fate(&self, permissions: &[Permission], body: &[u8]) -> Fate {
        let mut actions: Vec<&str> = permissions
            .iter()
            .map(|permission| permission.action.as_str())
            .collect();
        actions.dedup();
        let mut fate = self.faults.fate(&actions, &String::from_utf8_lossy(body));
        let denied = actions.get(fate.denied).copied().unwrap_or_default();
        fate.denied = permissions
            .iter()
            .position(|permission| permission.action == denied)
            .unwrap_or(0);
        if fate.mishap.is_none()
            && let Some(denied) = self.beyond_policy(permissions)
        {
            fate.mishap = Some(Mishap::Denied);
            fate.denied = denied;
        }
        let weather = self.sky.lock().fate();
        fate.delay += weather.delay;
        fate.answer_delay += weather.answer_delay;
        fate.mishap = fate.mishap.or(weather.mishap);
        fate
    }

    /// Does it, once or twice, and takes note of it.
    fn carry_out(
        &self,
        request: &Request,
        permissions: Vec<Permission>,
        fate: &Fate,
        request_id: &str,
    ) -> Response<Bytes> {
        let mut outcome = self.outcome(request, &permissions, fate);
        if fate.mishap == Some(Mishap::Twice) {
            outcome = self.outcome(request, &permissions, fate);
        }
        let dropped = matches!(
            fate.mishap,
            Some(Mishap::AnswerLost | Mishap::Refused | Mishap::Late(_))
        );
        let (response, error) = match outcome {
            Ok(answer) => (
                answer::success(request.service, &request.operation, answer, request_id),
                None,
            ),
            Err(refusal) => (
                answer::refused(request.service, &refusal, request_id),
                Some(refusal.code),
            ),
        };
        tracing::debug!(
            action = request.action(),
            status = response.status().as_u16(),
            dropped,
            "call"
        );
        self.calls.record(Call {
            at: self.clock.now(),
            action: request.action(),
            permissions,
            status: if dropped { 0 } else { response.status().as_u16() },
            error,
        });
        response
    }

    /// The first of the permissions that the policy does not give.
    fn beyond_policy(&self, permissions: &[Permission]) -> Option<usize> {
        let policy = self.policy.lock();
        let policy = policy.as_ref()?;
        // Everybody may ask who he is, whatever a policy says.
        let free = |permission: &Permission| permission.action == "sts:GetCallerIdentity";
        permissions
            .iter()
            .position(|permission| !free(permission) && !policy.allows(permission))
    }

    /// Whether a call of this action on this resource is allowed for good.
    fn may(&self, action: &str, resource: &str) -> bool {
        let permission = Permission {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context: Vec::new(),
        };
        !self.faults.denies(action) && self.beyond_policy(&[permission]).is_none()
    }

    fn outcome(&self, request: &Request, permissions: &[Permission], fate: &Fate) -> Result<Answer, Refusal> {
        match &fate.mishap {
            Some(Mishap::Denied) => {
                let permission = permissions.get(fate.denied);
                return Err(self.with_world(|world| denied(&world.account.caller(), request.service, permission)));
            }
            Some(Mishap::Refused) => return Err(Refusal::new("Refused", "the connection was dropped")),
            Some(Mishap::ServerError) => return Err(server_error(request.service)),
            Some(Mishap::Throttled) => return Err(throttled(request.service)),
            Some(Mishap::Error { status, code, message }) => {
                return Err(Refusal::new(code, message).with_status(*status));
            }
            Some(Mishap::AnswerLost | Mishap::Delayed(_) | Mishap::Twice | Mishap::Late(_)) | None => {}
        }
        let json = match &request.input {
            Input::Json(input) => Some(input),
            Input::Query(_) => None,
        };
        if !self.throttles.lock().admit(&request.action(), json, self.clock.now()) {
            return Err(throttled(request.service));
        }
        let operation = request.operation.as_str();
        self.with_world(|world| match (request.service, &request.input) {
            (Service::Ecs, Input::Json(input)) => world.ecs(operation, input).map(Answer::Json),
            (Service::Logs, Input::Json(input)) => world.logs(operation, input).map(Answer::Json),
            (Service::Elb, Input::Query(query)) => world.elb(operation, query).map(Answer::Xml),
            (Service::Ec2, Input::Query(query)) => world.ec2(operation, query).map(Answer::Xml),
            (Service::Sts, Input::Query(_)) => sts::sts(&world.account, operation).map(Answer::Xml),
            (Service::Iam, Input::Query(query)) => {
                sts::iam(&|action, resource| self.may(action, resource), operation, query).map(Answer::Xml)
            }
            _ => Err(Refusal::new(
                "UnknownOperationException",
                format!("{operation} is not simulated"),
            )),
        })
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn denied(caller: &str, service: Service, permission: Option<&Permission>) -> Refusal {
    let (action, resource) = permission.map_or(("", "*"), |permission| (&permission.action, &permission.resource));
    let because = format!("because no identity-based policy allows the {action} action");
    let message = format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {because}");
    match service {
        Service::Ecs | Service::Logs => Refusal::new("AccessDeniedException", message),
        Service::Ec2 => {
            let message = format!(
                "You are not authorized to perform this operation. User: {caller} is not authorized to perform: {action} {because}"
            );
            Refusal::new("UnauthorizedOperation", message).with_status(403)
        }
        Service::Elb | Service::Sts | Service::Iam => Refusal::new("AccessDenied", message).with_status(403),
    }
}

fn throttled(service: Service) -> Refusal {
    match service {
        Service::Ecs | Service::Logs => Refusal::new("ThrottlingException", "Rate exceeded"),
        Service::Ec2 => Refusal::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503),
        Service::Elb | Service::Sts | Service::Iam => Refusal::new("Throttling", "Rate exceeded"),
    }
}

fn server_error(service: Service) -> Refusal {
    let code = if service.speaks_json() {
        "ServerException"
    } else {
        "InternalFailure"
    };
    Refusal::new(code, "Service Unavailable. Please try again later.").with_status(500)
}
