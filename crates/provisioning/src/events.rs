//! EventBridge's start and stop events, and the answers in their documented form.

use serde_json::{Value, json};
use std::time::Duration;
use wharf_domain::{
    Code, Failure, Fault, State,
    event::{Ask, Event, StartDetail, StopDetail},
    request::{Start, TriggerKey},
};

use crate::{
    claim::{Accepted, Caller},
    view::InstanceView,
    wharf::Wharf,
};

/// Beyond a service's own start time-out: how long an answer may take to notice how the start ended.
const NOTICE: Duration = Duration::from_secs(5);

impl Wharf {
    /// Does what an event asks for, and answers as documented: `{"statusCode", "body"}`.
    pub async fn handle_event(&self, event: &Value) -> Value {
        match self.try_event(event).await {
            Ok(body) => json!({"statusCode": 200, "body": body}),
            Err(failure) => {
                json!({"statusCode": status(&failure), "body": {"error": failure.message, "code": failure.code, "hint": failure.hint}})
            }
        }
    }

    async fn try_event(&self, event: &Value) -> Result<Value, Failure> {
        let event = Event::parse(event)?;
        if !event.unknown.is_empty() {
            tracing::warn!(fields = ?event.unknown, source = event.source, "an event has fields that are not known");
        }
        match &event.ask {
            Ask::Start(detail) => self.start_event(&event, detail).await,
            Ask::Stop(detail) => self.stop_event(detail).await,
        }
    }

    async fn start_event(&self, event: &Event, detail: &StartDetail) -> Result<Value, Failure> {
        let Some(service) = detail.service.clone() else {
            let known: Vec<_> = self.settings().services.keys().map(ToString::to_string).collect();
            return Err(Failure::new(
                Code::EventNotAllowed,
                "the event names no service, and this platform runs configured services only",
            )
            .hint(format!("name one of {} in \"detail.service\"", known.join(", "))));
        };
        let ignored = ignored(detail);
        let key = event
            .id
            .as_deref()
            .map(|id| Self::start_key(Caller::Event, id))
            .transpose()?;
        let count = usize::try_from(detail.count.unwrap_or(1)).unwrap_or(1);
        let mut accepted = Vec::with_capacity(count);
        for i in 0..count {
            let request = Start {
                service: service.clone(),
                environment: detail.environment.clone().unwrap_or_default(),
            };
            let key = key
                .as_ref()
                .map(|key: &TriggerKey| if count > 1 { key.nth(i) } else { key.clone() });
            accepted.push(self.start_service(request, Caller::Event, key).await?);
        }
        let wait_for_healthy = detail.wait_for_healthy.unwrap_or(false);
        let mut views = Vec::with_capacity(count);
        for accepted in &accepted {
            views.push(self.settled(accepted, wait_for_healthy).await?);
        }
        if let Some(failure) = views
            .iter()
            .find_map(|view| {
                matches!(
                    view.state,
                    State::Failed { .. } | State::Stuck { .. } | State::Down { .. }
                )
                .then(|| view.cause.clone())
            })
            .flatten()
        {
            return Err(failure.without_detail());
        }
        if wait_for_healthy && let Some(late) = views.iter().find(|view| !matches!(view.state, State::Ready { .. })) {
            return Err(
                Failure::new(Code::RouteUnhealthy, format!("{} is not healthy yet", late.id))
                    .hint(format!("follow it with `wharf show {}`", late.id)),
            );
        }
        let instances: Vec<Value> = views.iter().map(answer).collect();
        let mut body = instances.first().cloned().unwrap_or_default();
        if let Some(object) = body.as_object_mut() {
            object.insert("message".into(), "Task started and registered".into());
            object.insert("instances".into(), instances.into());
            if !ignored.is_empty() {
                object.insert("ignored".into(), json!(ignored));
            }
        }
        Ok(body)
    }

    /// Waits for what the answer has to tell: registered, or healthy.
    async fn settled(&self, accepted: &Accepted, wait_for_healthy: bool) -> Result<InstanceView, Failure> {
        let patience = accepted.instance.service.start_timeout + NOTICE;
        let watch = self.watch(&accepted.id);
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let changed = watch.changed();
            let view = self.show(&accepted.id).await?;
            let moving = view.state.is_coming();
            let registered = view.step.as_deref() == Some("healthy") && view.cause.is_none();
            if !moving || (registered && !wait_for_healthy) || tokio::time::timeout_at(deadline, changed).await.is_err()
            {
                return Ok(view);
            }
        }
    }

    async fn stop_event(&self, detail: &StopDetail) -> Result<Value, Failure> {
        for name in &detail.services {
            self.settings().service(name)?;
        }
        let mut ids = Vec::new();
        if detail.services.is_empty() {
            ids = self.instances_of(None).await?;
        }
        for name in &detail.services {
            ids.extend(self.instances_of(Some(name)).await?);
        }
        let mut stopped = Vec::with_capacity(ids.len());
        for id in ids {
            match self.stop(&id).await {
                Ok(()) => stopped.push(id.to_string()),
                // It ended by itself a moment ago.
                Err(failure) if failure.code == Code::InstanceState => {}
                Err(failure) => return Err(failure),
            }
        }
        let mut body =
            json!({"message": format!("{} instances are being stopped", stopped.len()), "instances": stopped});
        if !detail.deregister_targets {
            body["note"] = "the embedded load balancer has no targets that outlive their tasks: they are deregistered all the same".into();
        }
        Ok(body)
    }
}

/// What an event may name on ECS and what means nothing here.
fn ignored(detail: &StartDetail) -> Vec<&'static str> {
    [
        ("cluster", detail.cluster.is_some()),
        ("taskDefinition", detail.task_definition.is_some()),
        ("targetGroupArn", detail.target_group_arn.is_some()),
        ("targetGroupArns", detail.target_group_arns.is_some()),
        ("subnets", detail.subnets.is_some()),
        ("securityGroups", detail.security_groups.is_some()),
        ("containerName", detail.container_name.is_some()),
        ("port", detail.port.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect()
}

fn answer(view: &InstanceView) -> Value {
    let health = match view.state {
        State::Ready { .. } => "healthy",
        State::Provisioning { .. } | State::Queued { .. } | State::Restoring { .. } => "initial",
        _ => "unhealthy",
    };
    let (ip, port) = view
        .endpoint
        .as_deref()
        .and_then(|endpoint| endpoint.rsplit_once(':'))
        .unzip();
    json!({
        "service": view.service,
        "taskArn": view.task,
        "taskId": view.id,
        "privateIp": ip,
        "port": port.and_then(|port| port.parse::<u16>().ok()),
        "targetGroupArn": Value::Null,
        "healthStatus": health,
        "url": view.url,
    })
}

/// The HTTP status that a failure is answered with.
#[must_use]
pub fn status(failure: &Failure) -> u16 {
    match failure.code {
        Code::AuthMissing => 401,
        Code::AuthDenied | Code::OriginRefused | Code::EventNotAllowed => 403,
        Code::InstanceUnknown | Code::ServiceUnknown | Code::RequestNotFound => 404,
        Code::RequestMethod => 405,
        Code::NameTaken | Code::NameResting | Code::KeyReused | Code::InstanceState | Code::InstanceCancelled => 409,
        Code::PasswordShown => 410,
        Code::RequestTooLarge => 413,
        Code::HostUnknown => 421,
        Code::LimitRate => 429,
        Code::LimitInstances
        | Code::PortExhausted
        | Code::StoreUnavailable
        | Code::StoreFull
        | Code::ServerUnreachable => 503,
        Code::NameInvalid | Code::NameReserved | Code::EmailInvalid | Code::CompanyInvalid => 422,
        code => match code.fault() {
            Fault::Caller => 400,
            Fault::Service => 502,
            Fault::Operator | Fault::Wharf => 500,
        },
    }
}
