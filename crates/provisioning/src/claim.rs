//! Admission: a request becomes a record under a unique name, in one commit, or is refused with nothing written.

use std::collections::BTreeMap;
use wharf_domain::{
    Attempt, Booking, Code, Email, Failure, Instance, InstanceId, Resources, Service, State, StatusToken, Subdomain,
    Tenant,
    request::{KEY_RETENTION, Provision, Start, TriggerKey, fields_hash},
    service::PortRule,
};
use wharf_platform::PortSource;
use wharf_saga::{
    Batch, CommitError,
    store::{Expect, Kind, LeaseChange, Release, Reservation, Reserve},
};

use crate::{message::Message, sagas, wharf::Wharf};

/// Who asks: what a trigger's key is scoped by, and what the answer may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody on the sign-up page.
    Visitor,
    /// The bearer of the admin token.
    Admin,
    /// An event from a bus that only the operator's own programs can put events on.
    Event,
    /// A signed webhook.
    Webhook,
}

impl Caller {
    const fn scope(self) -> &'static str {
        match self {
            Self::Visitor => "visitor",
            Self::Admin => "admin",
            Self::Event => "event",
            Self::Webhook => "webhook",
        }
    }
}

/// A request that was taken.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub id: InstanceId,
    /// Not there where the instance is another caller's who had the name first.
    pub token: Option<StatusToken>,
    /// The same request was taken before, and this is its instance.
    pub replayed: bool,
    /// The instance, as far as it is known.
    pub instance: Instance,
}

/// Other claims for the same port may win a race, and other programs may listen on some: so many are lost before the range is called exhausted.
const PORT_TRIES: usize = 64;

/// What a claim is made of beside what was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// The record's id, where something is kept under it already.
    pub(crate) id: Option<InstanceId>,
    /// What is paid for; who has it already is the instance that is meant.
    pub(crate) contract: Option<String>,
    /// An order, which the claim uses up.
    pub(crate) order: Option<String>,
}

/// What a claim is made of.
struct Claim {
    extra: Extra,
    service: Service,
    tenant: Option<Tenant>,
    environment: BTreeMap<String, String>,
    hash: String,
    trigger: Option<TriggerKey>,
}

impl Wharf {
    /// Takes a sign-up.
    pub async fn provision(&self, request: Provision, caller: Caller, key: Option<&str>) -> Result<Accepted, Failure> {
        let trigger = key
            .map(|key| TriggerKey::new(format!("{}:provision", caller.scope()), key))
            .transpose()?;
        self.provision_with(request, caller, trigger, Extra::default()).await
    }

    pub(crate) async fn provision_with(
        &self,
        request: Provision,
        caller: Caller,
        trigger: Option<TriggerKey>,
        extra: Extra,
    ) -> Result<Accepted, Failure> {
        let settings = self.settings();
        let name = request
            .service
            .as_ref()
            .or(settings.tenant_service.as_ref())
            .ok_or_else(|| {
                Failure::new(Code::ServiceUnknown, "no service for tenants is configured")
                    .hint("give a service `tenant = true` in wharf.toml")
            })?;
        let service = settings.service(name)?.clone();
        if !service.tenant {
            return Err(
                Failure::new(Code::ServiceTenant, format!("the service {name} has no tenants"))
                    .hint(format!("start it with `wharf start {name}`")),
            );
        }
        let subdomain = &request.tenant.subdomain;
        if settings
            .reserved_names
            .iter()
            .any(|reserved| reserved == subdomain.as_str())
        {
            return Err(Failure::new(
                Code::NameReserved,
                format!("the subdomain {:?} is reserved", subdomain.as_str()),
            )
            .hint("choose another name"));
        }
        let hash = fields_hash(&request);
        let claim = Claim {
            extra,
            service,
            tenant: Some(request.tenant),
            environment: BTreeMap::new(),
            hash,
            trigger,
        };
        self.claim(claim, caller).await
    }

    /// Starts one instance of a service that has no tenants; a singleton that lives already is given instead.
    pub async fn start_service(
        &self,
        request: Start,
        caller: Caller,
        key: Option<TriggerKey>,
    ) -> Result<Accepted, Failure> {
        let service = self.settings().service(&request.service)?.clone();
        let hash = fields_hash(&request);
        self.start_resolved(service, request.environment, hash, caller, key)
            .await
    }

    /// The same with a service as the request has it. `hash` is of all that was sent.
    pub(crate) async fn start_resolved(
        &self,
        service: Service,
        environment: BTreeMap<String, String>,
        hash: String,
        caller: Caller,
        key: Option<TriggerKey>,
    ) -> Result<Accepted, Failure> {
        if service.tenant {
            return Err(Failure::new(
                Code::ServiceTenant,
                format!("the service {} is for tenants", service.name),
            )
            .hint(format!(
                "sign a tenant up with `wharf provision SUBDOMAIN --email … --company … --service {}`",
                service.name
            )));
        }
        Start::check_environment(&environment)?;
        self.claim(
            Claim {
                extra: Extra::default(),
                service,
                tenant: None,
                environment,
                hash,
                trigger: key,
            },
            caller,
        )
        .await
    }

    /// The trigger's key of a start by this caller.
    pub fn start_key(caller: Caller, key: &str) -> Result<TriggerKey, Failure> {
        TriggerKey::new(format!("{}:start", caller.scope()), key)
    }

    async fn claim(&self, claim: Claim, caller: Caller) -> Result<Accepted, Failure> {
        let now = self.clock().now();
        let extra = claim.extra;
        let id = extra.id.clone().unwrap_or_else(|| self.ids().instance_id(now));
        let token = self.tokens().status(&id);
        let range = match (&claim.service.port, self.platform().tasks.port_source()) {
            (PortRule::Static { first, last }, _) => Some(*first..=*last),
            (PortRule::Dynamic, PortSource::Leased(range)) => Some(range),
            (PortRule::Dynamic, PortSource::Platform) => None,
        };
        let mut instance = Instance {
            id: id.clone(),
            service: claim.service,
            tenant: claim.tenant,
            environment: claim.environment,
            created_at: now,
            state: State::Provisioning { since: now },
            attempt: Attempt(1),
            held: Resources::default(),
            first_ready_at: None,
            crashes: Vec::new(),
            losses: Vec::new(),
            pause_until: None,
            expires_at: None,
            told_of_end: None,
            slept: wharf_domain::instance::Slept::default(),
            keep_targets: false,
            asked_back: false,
            request_hash: claim.hash.clone(),
            status_token_hash: Some(token.hash()),
        };
        if let Err(failure) = self.settings().limits.check(Booking::of(&instance.service.run)) {
            return self.no_room(&instance, claim.trigger.as_ref(), caller, failure).await;
        }
        // Who has paid is not refused for having done so before.
        let is_paid = caller == Caller::Webhook || extra.contract.is_some() || extra.order.is_some();
        let limit = self.settings().limits.instances_per_email.filter(|_| !is_paid);
        let limited = instance
            .tenant
            .as_ref()
            .map(|tenant| tenant.admin_email.clone())
            .zip(limit);
        let plan = sagas::provision(&instance.service);
        for _ in 0..PORT_TRIES {
            if let Some((email, limit)) = &limited {
                let Some(place) = self.free_place(email, *limit).await? else {
                    return self
                        .no_room(&instance, claim.trigger.as_ref(), caller, email_full(*limit))
                        .await;
                };
                instance.held.email_place = Some(place);
            }
            if let Some(range) = &range {
                let Some(port) = self.store().free_port(range.clone(), now).await? else {
                    return self
                        .no_room(&instance, claim.trigger.as_ref(), caller, exhausted(range))
                        .await;
                };
                let is_ours = self.settings().excluded_ports.contains(&port);
                if is_ours || !self.platform().tasks.can_have_port(port).await {
                    continue;
                }
                instance.held.port = Some(port);
            }
            let batch = self.batch(&instance, claim.trigger.as_ref(), &token, &extra);
            match self.engine().claim(batch, instance.clone(), &plan, 1).await {
                Ok(()) => {
                    return Ok(Accepted {
                        id,
                        token: Some(token),
                        replayed: false,
                        instance,
                    });
                }
                Err(CommitError::Taken {
                    kind: Kind::Port | Kind::Email,
                    ..
                }) => {}
                Err(CommitError::Taken {
                    kind: Kind::Trigger,
                    by,
                    ..
                }) => return self.replay(&by, &claim.hash).await,
                Err(CommitError::Taken {
                    kind: Kind::Contract,
                    by,
                    ..
                }) => {
                    let there = self.instance(&by.owner).await?;
                    return self.join(&instance, claim.trigger.as_ref(), there).await;
                }
                // Somebody else was quicker with the same link.
                Err(CommitError::NotHeld { kind: Kind::Order, .. } | CommitError::Exists) if extra.order.is_some() => {
                    return Err(crate::webhooks::used());
                }
                Err(CommitError::Taken {
                    kind: Kind::Name, by, ..
                }) => return self.taken(&instance, claim.trigger.as_ref(), &by, caller).await,
                Err(error @ CommitError::TooMany { .. }) => {
                    return self
                        .no_room(&instance, claim.trigger.as_ref(), caller, refusal(error))
                        .await;
                }
                Err(error) => return Err(refusal(error)),
            }
        }
        let failure = match (range, limited) {
            (Some(range), _) => exhausted(&range),
            (None, Some((_, limit))) => email_full(limit),
            (None, None) => Failure::internal("a claim without a port lost a race for one"),
        };
        self.no_room(&instance, claim.trigger.as_ref(), caller, failure).await
    }

    /// A place of the address that nobody has. Others may be quicker, and the commit decides.
    async fn free_place(&self, email: &Email, limit: u16) -> Result<Option<u16>, Failure> {
        for place in 1..=limit {
            let key = email_key(email, place);
            if self.store().reservation(Kind::Email, &key).await?.is_none() {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn batch(&self, instance: &Instance, trigger: Option<&TriggerKey>, token: &StatusToken, extra: &Extra) -> Batch {
        let now = instance.created_at;
        let reserve = |kind, key: String, value: String, until| Reserve {
            kind,
            key,
            value,
            until,
            now,
        };
        let mut batch = Batch::new(instance.id.clone(), Expect::Absent, LeaseChange::Keep);
        batch.at_most_live = Some(self.settings().max_instances);
        // The trigger's key first: a repeated request is answered as such, whatever else is taken meanwhile.
        if let Some(trigger) = trigger {
            batch.reserve.push(kept(trigger, instance));
        }
        // Then what is paid for: its holder is the instance that is meant, whatever name is asked for.
        if let Some(contract) = &extra.contract {
            batch
                .reserve
                .push(reserve(Kind::Contract, contract.clone(), String::new(), None));
        }
        if let Some(name) = reserved_name(instance) {
            batch.reserve.push(reserve(Kind::Name, name, String::new(), None));
        }
        batch.release.extend(extra.order.as_ref().map(|order| Release {
            kind: Kind::Order,
            key: order.clone(),
            rest_until: None,
            must_hold: true,
        }));
        if let (Some(place), Some(tenant)) = (instance.held.email_place, &instance.tenant) {
            let key = email_key(&tenant.admin_email, place);
            batch.reserve.push(reserve(Kind::Email, key, String::new(), None));
        }
        if let Some(port) = instance.held.port {
            batch
                .reserve
                .push(reserve(Kind::Port, port.to_string(), String::new(), None));
        }
        batch
            .reserve
            .push(reserve(Kind::Token, token.hash(), String::new(), None));
        batch
    }

    /// A request that there is no room for may be the repetition of one that there was room for: it is answered as such.
    async fn no_room(
        &self,
        wanted: &Instance,
        trigger: Option<&TriggerKey>,
        caller: Caller,
        failure: Failure,
    ) -> Result<Accepted, Failure> {
        let counts = |by: &Reservation| by.until.is_none_or(|until| until > wanted.created_at);
        if let Some(trigger) = trigger
            && let Some(by) = self.store().reservation(Kind::Trigger, &trigger.text()).await?
            && counts(&by)
        {
            return self.replay(&by, &wanted.request_hash).await;
        }
        if let Some(name) = reserved_name(wanted)
            && let Some(by) = self.store().reservation(Kind::Name, &name).await?
            && counts(&by)
        {
            return self.taken(wanted, trigger, &by, caller).await;
        }
        Err(failure)
    }

    /// The key was used before: by the same request, or by another one.
    async fn replay(&self, by: &Reservation, hash: &str) -> Result<Accepted, Failure> {
        if by.value != hash {
            return Err(Failure::new(
                Code::KeyReused,
                "this idempotency key was used before, with other fields",
            )
            .hint("use a new key for a new request, and the same fields for the same one"));
        }
        let instance = self.instance(&by.owner).await?;
        Ok(Accepted {
            id: by.owner.clone(),
            token: Some(self.tokens().status(&by.owner)),
            replayed: true,
            instance,
        })
    }

    /// Answers a request with an instance that was there before. Its key is kept all the same: the request told twice must not make an instance of its own
    /// once this one is over.
    async fn join(
        &self,
        wanted: &Instance,
        trigger: Option<&TriggerKey>,
        instance: Instance,
    ) -> Result<Accepted, Failure> {
        if let Some(trigger) = trigger {
            let mut batch = Batch::new(instance.id.clone(), Expect::Anything, LeaseChange::Keep);
            batch.reserve.push(kept(trigger, wanted));
            match self.store().commit(batch).await {
                Ok(_) => {}
                Err(CommitError::Taken { by, .. }) => return self.replay(&by, &wanted.request_hash).await,
                Err(error) => return Err(refusal(error)),
            }
        }
        Ok(Accepted {
            id: instance.id.clone(),
            token: None,
            replayed: true,
            instance,
        })
    }

    /// The name is taken: by a singleton that runs, by the very same request of a caller that we trust, or by somebody else.
    async fn taken(
        &self,
        wanted: &Instance,
        trigger: Option<&TriggerKey>,
        by: &Reservation,
        caller: Caller,
    ) -> Result<Accepted, Failure> {
        let held = !by.resting;
        if held && wanted.tenant.is_none() {
            let instance = self.instance(&by.owner).await?;
            // A singleton that was given up is what this start is about.
            if matches!(
                instance.state,
                State::Down { .. } | State::Stopped { .. } | State::Sleeping { .. }
            ) {
                self.send(&by.owner, Message::Start).await?;
            }
            return self.join(wanted, trigger, instance).await;
        }
        if held && caller != Caller::Visitor {
            match self.instance(&by.owner).await {
                Ok(instance) if instance.request_hash == wanted.request_hash => {
                    return self.join(wanted, trigger, instance).await;
                }
                Ok(_) => {}
                // Another program has the name, in a table that it shares with us.
                Err(failure) if failure.code == Code::InstanceUnknown => {}
                Err(failure) => return Err(failure),
            }
        }
        let name = wanted.tenant.as_ref().map_or("", |tenant| tenant.subdomain.as_str());
        let failure = if held {
            Failure::new(Code::NameTaken, format!("the name {name:?} is taken"))
        } else {
            Failure::new(
                Code::NameResting,
                format!("the name {name:?} was used until a short while ago, and rests"),
            )
        };
        Err(match another(name) {
            Some(free) => failure.hint(format!("choose another name, for example {free:?}")),
            None => failure.hint("choose another name"),
        })
    }
}

/// The trigger's key, with what was sent with it.
fn kept(trigger: &TriggerKey, wanted: &Instance) -> Reserve {
    Reserve {
        kind: Kind::Trigger,
        key: trigger.text(),
        value: wanted.request_hash.clone(),
        until: Some(wanted.created_at + KEY_RETENTION),
        now: wanted.created_at,
    }
}

/// The name that only one instance can have: the tenant's, or what keeps a singleton single (no tenant's name has a colon).
pub(crate) fn reserved_name(instance: &Instance) -> Option<String> {
    match &instance.tenant {
        Some(tenant) => Some(tenant.subdomain.to_string()),
        None => instance
            .service
            .singleton
            .then(|| format!("service:{}", instance.service.name)),
    }
}

/// One of the places of an e-mail address. The address itself stands in no key, for keys are logged.
pub(crate) fn email_key(email: &Email, place: u16) -> String {
    format!("{}:{place}", email.hash())
}

fn email_full(limit: u16) -> Failure {
    let count = if limit == 1 {
        "an instance".to_owned()
    } else {
        format!("{limit} instances")
    };
    Failure::new(
        Code::LimitEmail,
        format!("this e-mail address has {count}, and no more are allowed"),
    )
    .hint("end one that is not needed any more, or use another address")
}

/// A name like the one that is taken. Whether it is free is not looked up: that would tell strangers who is a customer.
fn another(name: &str) -> Option<String> {
    ["shop", "app", "2"]
        .iter()
        .map(|tail| format!("{name}-{tail}"))
        .find(|name| Subdomain::check(name).is_ok())
}

fn exhausted(range: &std::ops::RangeInclusive<u16>) -> Failure {
    Failure::new(
        Code::PortExhausted,
        format!(
            "every port from {} to {} is leased, rests, or is another program's",
            range.start(),
            range.end()
        ),
    )
    .hint("end instances that nobody needs, or widen the range in wharf.toml")
}

/// What a refused claim means to the one who asked.
fn refusal(error: CommitError) -> Failure {
    match error {
        CommitError::TooMany { live } => Failure::new(
            Code::LimitInstances,
            format!("there are {live} instances, and no more are allowed"),
        )
        .hint("end instances that nobody needs, or raise `max_instances` in wharf.toml"),
        CommitError::Taken { kind, key, .. } => Failure::internal(format!("{kind} {key} of a new instance is taken")),
        CommitError::Store(error) => error.failure,
        CommitError::Unknown(failure) => failure,
        CommitError::Fenced | CommitError::InboxMoved | CommitError::Exists | CommitError::NotHeld { .. } => {
            Failure::internal(error.to_string())
        }
    }
}
