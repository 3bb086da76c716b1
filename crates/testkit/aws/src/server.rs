//! The endpoint: takes connections, reads requests, lets happen to them what is ordered, and has the rest answered by the world.

use crate::access::Permission;
use crate::calls::{Call, Calls};
use crate::clock::{Clock, Moment};
use crate::control;
use crate::delivery::Outbox;
use crate::faults::{Fate, Faults, Mishap};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::sts;
use crate::throttle::Throttles;
use crate::wire::answer::{self, Answer};
use crate::wire::request::{Input, Request, Service};
use crate::world::World;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;

/// What a request's body may have; AWS's own bounds are below it.
const MOST_BODY: usize = 1 << 20;
/// Connections at a time: an SDK client opens one for each call under way.
const MOST_CONNECTIONS: usize = 2_048;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) world: Mutex<World>,
    pub(crate) faults: Faults,
    /// What the caller may, where that is not everything.
    pub(crate) policy: Mutex<Option<Policy>>,
    pub(crate) throttles: Mutex<Throttles>,
    pub(crate) calls: Calls,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) events: broadcast::Sender<Value>,
    /// Something is due earlier than it was.
    pub(crate) changed: Notify,
    requests: AtomicU64,
}

/// The connection ends here, as if the network had ended it.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection is dropped, as ordered")
    }
}

impl std::error::Error for Dropped {}

impl Core {
    pub(crate) fn new(
        clock: Clock,
        world: World,
        throttles: Throttles,
        outbox: Outbox,
        events: broadcast::Sender<Value>,
    ) -> Self {
        Self {
            clock,
            world: Mutex::new(world),
            faults: Faults::default(),
            policy: Mutex::new(None),
            throttles: Mutex::new(throttles),
            calls: Calls::default(),
            outbox: Mutex::new(outbox),
            events,
            changed: Notify::new(),
            requests: AtomicU64::new(0),
        }
    }

    /// Does something in the world as it is now, lets everybody know what changed by it, and wakes who waits for what is due next.
    pub(crate) fn with_world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let now = self.clock.now();
        let mut world = self.world.lock();
        world.settle(now);
        let result = act(&mut world);
        world.settle(now);
        // Under the world's lock, so that two calls' events keep the order of their changes.
        let mut outbox = self.outbox.lock();
        for change in world.changes.drain(..) {
            outbox.put(&change);
        }
        for event in outbox.take_due(now) {
            // Nobody has to listen.
            let _ = self.events.send(event);
        }
        drop((world, outbox));
        self.changed.notify_one();
        result
    }

    fn next_due(&self) -> Option<Moment> {
        let world = self.world.lock().next_due();
        let outbox = self.outbox.lock().next_due();
        [world, outbox].into_iter().flatten().min()
    }

    /// Lets what is due happen when it is due, where time passes by itself.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let wait = self.next_due().and_then(|due| self.clock.wait_for(due));
            tokio::select! {
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => self.with_world(|_| ()),
                // Where `with_world` above notified only this loop itself, one more look finds nothing new.
                () = self.changed.notified() => {}
            }
        }
    }

    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
                Some(_) = connections.join_next() => continue,
            };
            // An accept that fails (too many open files) says nothing about the next one.
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let core = Arc::clone(&self);
            connections.spawn(async move {
                let service = service_fn(move |request| Arc::clone(&core).answer(request));
                // It ends by an error where the client goes away, and where that is ordered.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response<Full<Bytes>>, io::Error> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = format!("00000000-0000-4000-8000-{number:012x}");
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MOST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let refusal = Refusal::new("RequestEntityTooLarge", "the request is too large").with_status(413);
                return Ok(answer::unreadable(true, &refusal, &request_id));
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        if let Some(path) = head.uri.path().strip_prefix(control::PREFIX) {
            return Ok(control::answer(&self, &head.method, path, &body));
        }
        let request = match Request::read(&head.headers, &body) {
            Ok(request) => request,
            Err((json, refusal)) => return Ok(answer::unreadable(json, &refusal, &request_id)),
        };
        let permissions = self.with_world(|world| world.permissions(&request));
        let fate = {
            let mut actions: Vec<&str> = permissions
                .iter()
                .map(|permission| permission.action.as_str())
                .collect();
            actions.dedup();
            let mut fate = self.faults.fate(&actions, &String::from_utf8_lossy(&body));
            let denied = actions.get(fate.denied).copied().unwrap_or_default();
            fate.denied = permissions
                .iter()
                .position(|permission| permission.action == denied)
                .unwrap_or(0);
            if fate.mishap.is_none()
                && let Some(denied) = self.beyond_policy(&permissions)
            {
                fate.mishap = Some(Mishap::Denied);
                fate.denied = denied;
            }
            fate
        };
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        let outcome = self.outcome(&request, &permissions, &fate);
        let dropped = matches!(fate.mishap, Some(Mishap::AnswerLost | Mishap::Refused));
        let (response, error) = match outcome {
            Ok(answer) => (
                answer::success(request.service, &request.operation, answer, &request_id),
                None,
            ),
            Err(refusal) => (
                answer::refused(request.service, &refusal, &request_id),
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
        if dropped {
            Err(io::Error::other(Dropped))
        } else {
            Ok(response)
        }
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
            Some(Mishap::AnswerLost | Mishap::Delayed(_)) | None => {}
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
