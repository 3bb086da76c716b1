//! A simulated load balancer: routes by host and by path, drained before they are gone, and pages for hosts that lead nowhere.

use async_trait::async_trait;
use std::time::Duration;
use wharf_domain::{Code, Endpoint, Failure, InstanceId, Timestamp};
use wharf_platform::{Backend, Health, Owner, Registered, RouteKey, Routes, Standing, Unused};

use super::{Flaw, SimWorld, calls::Calls, world::State};

/// How soon a balancer that checks by itself may have something new to say.
const LOOK_IN: Duration = Duration::from_millis(500);

/// An endpoint behind a route.
#[derive(Clone, Debug)]
pub struct SimRoute {
    pub backend: Backend,
    /// It has proven that it answers, and gets requests.
    pub open: bool,
    /// Withdrawn, and gone when its requests are over, or then.
    pub drains_until: Option<Timestamp>,
    /// When it was opened, or its last request ended.
    pub used_at: Timestamp,
    /// Nobody waited for it any more when it was registered.
    pub unexpected: bool,
}

/// What a visitor is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visit {
    /// This instance's task answers.
    Answered(InstanceId),
    /// A route is there, and nobody answers behind it.
    BadGateway,
    /// A page of the load balancer's own.
    Page(Standing),
    /// Nobody has this host.
    NotFound,
}

impl State {
    fn register(&mut self, backend: &Backend, now: Timestamp) -> Result<(), Failure> {
        let routes = self.routes.entry(backend.key.clone()).or_default();
        let owner = &backend.owner;
        if matches!(backend.key, RouteKey::Host { .. })
            && let Some(other) = routes
                .iter()
                .find(|route| route.backend.owner.instance != owner.instance)
        {
            return Err(Failure::new(
                Code::RouteTaken,
                format!("the route belongs to {}", other.backend.owner.instance),
            ));
        }
        let same_instance = |route: &SimRoute| route.backend.owner.instance == owner.instance;
        if routes
            .iter()
            .any(|route| same_instance(route) && route.backend.owner.attempt > owner.attempt)
        {
            return Err(Failure::new(Code::RouteTaken, "a later attempt has the route"));
        }
        let was_open = routes
            .iter()
            .any(|route| route.backend.owner == *owner && route.open && route.drains_until.is_none());
        routes.retain(|route| !same_instance(route));
        routes.push(SimRoute {
            backend: backend.clone(),
            open: was_open,
            drains_until: None,
            used_at: now,
            unexpected: self.landing,
        });
        Ok(())
    }

    fn withdraw(&mut self, owner: &Owner, key: &RouteKey, drain: Duration, now: Timestamp) -> bool {
        let busy = self
            .requests
            .values()
            .any(|(route, whose)| route == key && whose == owner);
        if self.has(Flaw::WithdrawsUnconfirmed) {
            return true;
        }
        let Some(routes) = self.routes.get_mut(key) else {
            return true;
        };
        let Some(index) = routes.iter().position(|route| route.backend.owner == *owner) else {
            return true;
        };
        let until = *routes[index].drains_until.get_or_insert(now + drain);
        let over = !busy || now >= until;
        if over {
            routes.remove(index);
            if routes.is_empty() {
                self.routes.remove(key);
            }
        }
        over
    }

    fn used(&mut self, key: &RouteKey, owner: &Owner, now: Timestamp) {
        if self.has(Flaw::CountsNoUse) {
            return;
        }
        let routes = self.routes.get_mut(key).map(Vec::as_mut_slice).unwrap_or_default();
        for route in routes.iter_mut().filter(|route| route.backend.owner == *owner) {
            route.used_at = now;
        }
    }

    fn is_unused(&self, key: &RouteKey, route: &SimRoute, longer_than: Duration, now: Timestamp) -> bool {
        let owner = &route.backend.owner;
        let mut requests = self.requests.values();
        let is_open = route.open && route.drains_until.is_none();
        let is_in_use = !self.has(Flaw::CountsNoUse) && requests.any(|(route, whose)| route == key && whose == owner);
        is_open && now.since(route.used_at) >= longer_than && !is_in_use
    }

    fn find_route(&self, owner: &Owner, key: &RouteKey) -> Option<&SimRoute> {
        self.routes.get(key)?.iter().find(|route| route.backend.owner == *owner)
    }
}

/// Routes, as one process reaches them.
pub(crate) struct SimRoutes(pub(crate) Calls);

fn shown(owner: &Owner, key: &RouteKey) -> String {
    let name = match key {
        RouteKey::Host { host } => host,
        RouteKey::Path { prefix } => prefix,
        RouteKey::TargetGroups { arns, .. } => &arns.join(" "),
    };
    format!("{name} {}/{}", owner.instance, owner.attempt)
}

#[async_trait]
impl Routes for SimRoutes {
    async fn register(&self, backend: Backend) -> Result<(), Failure> {
        self.0
            .make(
                "routes.register",
                shown(&backend.owner, &backend.key),
                move |state, now| state.register(&backend, now),
            )
            .await
    }

    async fn open(&self, owner: &Owner, key: &RouteKey) -> Result<(), Failure> {
        let (what, owner, key) = (shown(owner, key), owner.clone(), key.clone());
        self.0
            .make("routes.open", what, move |state, now| {
                let routes = state.routes.get_mut(&key).map(Vec::as_mut_slice).unwrap_or_default();
                for route in routes.iter_mut().filter(|route| route.backend.owner == owner) {
                    if !route.open {
                        route.used_at = now;
                    }
                    route.open = true;
                }
                Ok(())
            })
            .await
    }

    async fn withdraw(
        &self,
        owner: &Owner,
        key: &RouteKey,
        _endpoint: Option<&Endpoint>,
        drain: Duration,
    ) -> Result<bool, Failure> {
        let (what, owner, key) = (shown(owner, key), owner.clone(), key.clone());
        self.0
            .make("routes.withdraw", what, move |state, now| {
                Ok(state.withdraw(&owner, &key, drain, now))
            })
            .await
    }

    async fn unused(&self, longer_than: Duration) -> Result<Option<Vec<Unused>>, Failure> {
        self.0
            .make("routes.unused", "", move |state, now| {
                let unused = state.routes.iter().flat_map(|(key, routes)| {
                    let is_unused = |route: &&SimRoute| state.is_unused(key, route, longer_than, now);
                    routes.iter().filter(is_unused).map(|route| Unused {
                        instance: route.backend.owner.instance.clone(),
                        attempt: route.backend.owner.attempt,
                        idle: now.since(route.used_at),
                    })
                });
                Ok(Some(unused.collect()))
            })
            .await
    }

    async fn withdraw_unused(&self, owner: &Owner, key: &RouteKey, longer_than: Duration) -> Result<bool, Failure> {
        let (what, owner, key) = (shown(owner, key), owner.clone(), key.clone());
        self.0
            .make("routes.withdraw_unused", what, move |state, now| {
                let Some(route) = state.find_route(&owner, &key) else {
                    return Ok(true);
                };
                let is_unused = !route.open || state.is_unused(&key, route, longer_than, now);
                Ok(is_unused && state.withdraw(&owner, &key, Duration::ZERO, now))
            })
            .await
    }

    async fn health(&self, owner: &Owner, key: &RouteKey, _endpoint: &Endpoint) -> Result<Option<Health>, Failure> {
        let (what, owner, key) = (shown(owner, key), owner.clone(), key.clone());
        self.0
            .make("routes.health", what, move |state, now| {
                if !state.balancer_checks_health {
                    return Ok(None);
                }
                let pending = |why| Health::Pending { why, look_in: LOOK_IN };
                let Some(route) = state.find_route(&owner, &key) else {
                    return Ok(Some(pending(Failure::new(
                        Code::RouteUnhealthy,
                        "nothing is registered",
                    ))));
                };
                let endpoint = route.backend.endpoint.clone();
                Ok(Some(match state.ask(&owner, &endpoint, None, now) {
                    Ok(_) => Health::Good,
                    Err(failure) => pending(failure),
                }))
            })
            .await
    }

    fn announce(&self, instance: &InstanceId, key: &RouteKey, standing: Standing) {
        self.0
            .tell("routes.announce", format!("{instance} {standing:?}"), |state| {
                state.standings.insert(key.clone(), (instance.clone(), standing));
            });
    }

    fn forget(&self, instance: &InstanceId, key: &RouteKey) {
        self.0.tell("routes.forget", instance, |state| {
            if state.standings.get(key).is_some_and(|(whose, _)| whose == instance) {
                state.standings.remove(key);
            }
        });
    }

    async fn all(&self, _keys: &[RouteKey]) -> Result<Vec<Registered>, Failure> {
        self.0
            .make("routes.all", "", |state, _| {
                let deployment = state.deployment.clone();
                let routes = state.routes.values().flatten();
                Ok(routes
                    .map(|route| (&route.backend, route.open))
                    .filter(|(backend, _)| Some(&backend.owner.deployment) == deployment.as_ref())
                    .map(|(backend, open)| Registered {
                        key: backend.key.clone(),
                        endpoint: backend.endpoint.clone(),
                        owner: Some((backend.owner.instance.clone(), backend.owner.attempt)),
                        open: Some(open),
                    })
                    .collect())
            })
            .await
    }
}

/// A request that somebody has begun and that is not over until it is said so.
#[derive(Debug)]
pub struct Request(u64);

impl SimWorld {
    /// The load balancer checks endpoints by itself, and its view is the one that counts.
    pub fn balancer_checks_health(&self, it_does: bool) {
        self.state().balancer_checks_health = it_does;
    }

    /// What a visitor of this route is told now.
    #[must_use]
    pub fn visit(&self, key: &RouteKey) -> Visit {
        let now = self.now();
        let mut state = self.state();
        // Those who share a path take turns.
        state.visits += 1;
        let turn = state.visits;
        let routes = state.routes.get(key).map(Vec::as_slice).unwrap_or_default();
        let open: Vec<_> = routes
            .iter()
            .filter(|route| route.open && route.drains_until.is_none())
            .collect();
        if open.is_empty() {
            let standing = state.standings.get(key);
            return standing.map_or(Visit::NotFound, |(_, standing)| Visit::Page(*standing));
        }
        let route = open[turn % open.len()];
        let owner = route.backend.owner.clone();
        let answer = state.ask(&owner, &route.backend.endpoint, None, now).map(drop);
        state.used(key, &owner, now);
        match answer {
            Ok(()) => Visit::Answered(owner.instance),
            Err(_) => Visit::BadGateway,
        }
    }

    /// Whose visitors wait at this route for somebody to answer, as the load balancer tells the server that it lives in.
    #[must_use]
    pub fn awaited(&self, key: &RouteKey) -> Option<InstanceId> {
        match self.state().standings.get(key) {
            Some((id, standing)) if standing.is_coming() => Some(id.clone()),
            _ => None,
        }
    }

    /// The same for a tenant's host.
    #[must_use]
    pub fn visit_host(&self, host: &str) -> Visit {
        self.visit(&RouteKey::Host { host: host.to_owned() })
    }

    /// The endpoints behind a route.
    #[must_use]
    pub fn routes(&self, key: &RouteKey) -> Vec<SimRoute> {
        self.state().routes.get(key).cloned().unwrap_or_default()
    }

    /// Begins a request that lasts until [`end_request`](Self::end_request). `None` where nobody would answer it.
    #[must_use]
    pub fn begin_request(&self, key: &RouteKey) -> Option<Request> {
        let mut state = self.state();
        let routes = state.routes.get(key)?;
        let route = routes.iter().find(|route| route.open && route.drains_until.is_none())?;
        let owner = route.backend.owner.clone();
        state.requests_begun += 1;
        let number = state.requests_begun;
        state.requests.insert(number, (key.clone(), owner));
        Some(Request(number))
    }

    /// Whether it goes on: it ends with a load balancer that dies, and with the attempt that answers it.
    #[must_use]
    pub fn lasts(&self, request: &Request) -> bool {
        let state = self.state();
        let request = state.requests.get(&request.0);
        request.is_some_and(|(key, owner)| state.find_route(owner, key).is_some())
    }

    #[expect(clippy::needless_pass_by_value, reason = "a request ends once")]
    pub fn end_request(&self, request: Request) {
        let now = self.now();
        let mut state = self.state();
        if let Some((key, owner)) = state.requests.remove(&request.0) {
            state.used(&key, &owner, now);
        }
    }

    /// Puts a route there that nobody asked for.
    pub fn plant_route(&self, backend: Backend) {
        let now = self.now();
        let mut state = self.state();
        let routes = state.routes.entry(backend.key.clone()).or_default();
        routes.push(SimRoute {
            backend,
            open: true,
            drains_until: None,
            used_at: now,
            unexpected: true,
        });
    }
}
