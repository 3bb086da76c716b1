//! EventBridge's start and stop events, and sign-ups that come without HTTP: what they ask for is done, and told in the documented form.

use serde_json::{Value, json};
use std::time::Duration;
use wharf_domain::{
    Code, Email, Failure, InstanceId, Service,
    event::{Ask, Event, Known, SignUp, StartDetail, StopDetail},
    request::{Provision, TriggerKey, fields_hash},
    service::{RouteRule, RunSpec},
    tenant::Tenant,
};

use crate::{
    answers::{self, Reached},
    claim::{Accepted, Caller},
    message::Message,
    view::InstanceView,
    wharf::Wharf,
};

/// Beyond a service's own start time-out: how long an answer may take to notice how the start ended.
const NOTICE: Duration = Duration::from_secs(5);

/// How an event came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery<'a> {
    /// What makes a repeated delivery the same, where the event has no id of its own.
    pub key: Option<&'a str>,
    /// How long whoever sent it waits for the answer; `None`: as long as the service may take.
    pub patience: Option<Duration>,
}

/// Where instances stand that an event asked for, as a state machine reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// `ready` when all are, and else the state of the first that is not; one that is over comes before one that is under way.
    pub state: String,
    /// In the documented form; nothing while something is under way.
    pub answer: Option<Value>,
}

impl Wharf {
    /// Does what an event asks for, and answers as documented: `{"statusCode", "body"}`. What is not there yet when the answer cannot wait any
    /// longer is a 202, and an unhealthy target never a 200 if `waitForHealthy` was asked for.
    pub async fn handle_event(&self, event: &Value) -> Value {
        self.answer_event(event, Delivery::default())
            .await
            .unwrap_or_else(|failure| answers::refused(&failure))
    }

    /// The same for whoever has to know of a failure.
    pub async fn answer_event(&self, event: &Value, delivery: Delivery<'_>) -> Result<Value, Failure> {
        let event = parse(event)?;
        match &event.ask {
            Ask::Start(detail) => {
                let accepted = self.start_all(&event, detail, delivery.key).await?;
                self.answer_start(detail, &accepted, delivery.patience).await
            }
            Ask::SignUp(sign_up) => {
                let accepted = self.sign_up(sign_up, &event, delivery.key).await?;
                let patience = delivery
                    .patience
                    .unwrap_or(accepted.instance.service.start_timeout + NOTICE);
                let view = self
                    .watch_until(&accepted.id, patience, |view| {
                        !is_moving(view) || view.url.is_some() && view.port.is_some()
                    })
                    .await?;
                answers::cause(&view).map_or_else(|| Ok(answers::signed_up(&view)), Err)
            }
            Ask::Stop(detail) => self.stop_all(detail).await,
        }
    }

    /// Takes what an event asks to be started, and waits for nothing. Gives its instances. A key that is given outranks the event's own id.
    pub async fn begin_event(&self, event: &Value, key: Option<&str>) -> Result<Vec<InstanceId>, Failure> {
        let mut event = parse(event)?;
        event.id = key.map(str::to_owned).or(event.id);
        let accepted = match &event.ask {
            Ask::Start(detail) => self.start_all(&event, detail, None).await?,
            Ask::SignUp(sign_up) => vec![self.sign_up(sign_up, &event, None).await?],
            Ask::Stop(_) => {
                return Err(
                    Failure::new(Code::EventInvalid, "a stop event starts nothing that could be followed")
                        .hint("put it on the event bus, or send it to the function by itself"),
                );
            }
        };
        Ok(accepted.into_iter().map(|accepted| accepted.id).collect())
    }

    /// Where these instances stand.
    pub async fn stand(&self, ids: &[InstanceId]) -> Result<Stand, Failure> {
        let mut views = Vec::with_capacity(ids.len());
        for id in ids {
            views.push(self.show(id).await?);
        }
        if let Some((view, cause)) = views.iter().find_map(|view| Some((view, answers::cause(view)?))) {
            return Ok(Stand {
                state: view.status.clone(),
                answer: Some(answers::refused(&cause)),
            });
        }
        let late = views.iter().find(|view| is_moving(view));
        let state = late.or(views.first()).map(|view| view.status.clone());
        let answer = match views.as_slice() {
            _ if late.is_some() => None,
            [view] if view.tenant.is_some() => Some(answers::signed_up(view)),
            views => Some(answers::started(views, Reached::All, &[])),
        };
        Ok(Stand {
            state: state.unwrap_or_default(),
            answer,
        })
    }

    async fn start_all(
        &self,
        event: &Event,
        detail: &StartDetail,
        key: Option<&str>,
    ) -> Result<Vec<Accepted>, Failure> {
        let settings = self.settings();
        let service = detail.resolve(Known {
            services: &settings.services,
            default: settings.default_service.as_ref(),
            template: settings.event_template.as_ref(),
            allow: &settings.allow,
        })?;
        let key = key_of(event, key)
            .map(|id| Self::start_key(Caller::Event, id))
            .transpose()?;
        let hash = fields_hash(detail);
        let count = usize::try_from(detail.count.unwrap_or(1)).unwrap_or(1);
        let mut accepted = Vec::with_capacity(count);
        for i in 0..count {
            let key = key
                .as_ref()
                .map(|key: &TriggerKey| if count > 1 { key.nth(i) } else { key.clone() });
            let environment = detail.environment.clone().unwrap_or_default();
            accepted.push(
                self.start_resolved(service.clone(), environment, hash.clone(), Caller::Event, key)
                    .await?,
            );
        }
        Ok(accepted)
    }

    async fn sign_up(&self, sign_up: &SignUp, event: &Event, key: Option<&str>) -> Result<Accepted, Failure> {
        let admin_email = sign_up.admin_email.clone().map_or_else(|| self.operator(), Ok)?;
        let company_name = match &sign_up.company_name {
            Some(name) => name.clone(),
            None => sign_up.subdomain.as_str().parse()?,
        };
        let request = Provision {
            tenant: Tenant {
                subdomain: sign_up.subdomain.clone(),
                admin_email,
                company_name,
            },
            service: sign_up.service.clone(),
        };
        self.provision(request, Caller::Event, key_of(event, key)).await
    }

    /// Who gets the mail of a tenant whose own address nobody gave.
    fn operator(&self) -> Result<Email, Failure> {
        let from = &self.settings().mail_from;
        let address = from.rsplit_once('<').map_or(from.as_str(), |(_, address)| address);
        address.trim().trim_end_matches('>').parse()
    }

    async fn answer_start(
        &self,
        detail: &StartDetail,
        accepted: &[Accepted],
        patience: Option<Duration>,
    ) -> Result<Value, Failure> {
        let wait_for_healthy = detail.wait_for_healthy.unwrap_or(false);
        let begun = tokio::time::Instant::now();
        let allowed = |accepted: &Accepted| accepted.instance.service.start_timeout + NOTICE;
        let in_full = accepted.iter().map(allowed).max().unwrap_or_default();
        let mut views = Vec::with_capacity(accepted.len());
        for accepted in accepted {
            let patience = patience.unwrap_or(allowed(accepted));
            let left = patience.saturating_sub(begun.elapsed());
            let is_there = |view: &InstanceView| !is_moving(view) || (!wait_for_healthy && is_registered(view));
            views.push(self.watch_until(&accepted.id, left, is_there).await?);
        }
        if let Some(cause) = views.iter().find_map(answers::cause) {
            return Err(cause);
        }
        let late = views
            .iter()
            .find(|view| is_moving(view) && (wait_for_healthy || !is_registered(view)));
        let reached = match late {
            None => Reached::All,
            Some(late) if wait_for_healthy && begun.elapsed() >= in_full => {
                return Err(
                    Failure::new(Code::RouteUnhealthy, format!("{} is not healthy yet", late.id))
                        .hint(format!("follow it with `wharf show {}`", late.id)),
                );
            }
            Some(_) => Reached::NotYet,
        };
        let service = accepted.first().map(|accepted| &accepted.instance.service);
        let ignored = service.map(|service| ignored(detail, service)).unwrap_or_default();
        Ok(answers::started(&views, reached, &ignored))
    }

    async fn stop_all(&self, detail: &StopDetail) -> Result<Value, Failure> {
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
        let mut kept = 0_usize;
        for id in ids {
            match self.stop_by_event(&id, detail.deregister_targets).await {
                Ok(keeps_targets) => {
                    kept += usize::from(keeps_targets);
                    stopped.push(id.to_string());
                }
                // It ended by itself a moment ago.
                Err(failure) if failure.code == Code::InstanceState => {}
                Err(failure) => return Err(failure),
            }
        }
        let mut body =
            json!({"message": format!("{} instances are being stopped", stopped.len()), "instances": stopped});
        if kept > 0 {
            body["note"] = "the targets stay registered, as asked for: their target groups send requests to them until somebody deregisters them, or they are found to be unhealthy".into();
        } else if !detail.deregister_targets {
            body["note"] =
                "nothing has targets that outlive their tasks: what there is, is deregistered all the same".into();
        }
        Ok(answers::done(&body))
    }

    /// Whether its targets stay registered.
    async fn stop_by_event(&self, id: &InstanceId, deregister: bool) -> Result<bool, Failure> {
        let keeps = !deregister && matches!(self.instance(id).await?.service.route, RouteRule::TargetGroups { .. });
        if keeps {
            self.stop_with(id, Message::StopKeepingTargets).await?;
        } else {
            self.stop(id).await?;
        }
        Ok(keeps)
    }
}

fn parse(event: &Value) -> Result<Event, Failure> {
    let event = Event::parse(event)?;
    if !event.unknown.is_empty() {
        tracing::warn!(fields = ?event.unknown, source = event.source, "an event has fields that are not known");
    }
    Ok(event)
}

fn key_of<'a>(event: &'a Event, delivery: Option<&'a str>) -> Option<&'a str> {
    event.id.as_deref().or(delivery)
}

fn is_moving(view: &InstanceView) -> bool {
    view.state.is_coming()
}

fn is_registered(view: &InstanceView) -> bool {
    view.step.as_deref() == Some("healthy") && view.cause.is_none()
}

/// What an event may name on ECS and what means nothing elsewhere.
fn ignored(detail: &StartDetail, service: &Service) -> Vec<&'static str> {
    if matches!(service.run, RunSpec::Ecs(_)) {
        return Vec::new();
    }
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
