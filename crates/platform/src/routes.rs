//! Routes: what brings a request to an endpoint.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wharf_domain::{Attempt, Endpoint, Failure, InstanceId, service::ListenerRule};

use crate::Owner;

/// What a request is told by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RouteKey {
    /// A host name, in lower case and without a port: one instance has it.
    Host { host: String },
    /// A path prefix of the services' host, as whole segments: `/api/auth` takes `/api/auth` and `/api/auth/x`, not `/api/authx`. Several instances may share it.
    Path { prefix: String },
    /// Target groups of a load balancer that is not Wharf's own, and the rule that leads there, where Wharf is to see to that. Several instances share them.
    TargetGroups {
        arns: Vec<String>,
        rule: Option<ListenerRule>,
    },
}

/// What a load balancer that checks health by itself says of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Good,
    /// Not yet: it is worth a look again after `look_in`, and not before.
    Pending {
        why: Failure,
        look_in: Duration,
    },
    /// It will not be, however long one waits.
    Hopeless(Failure),
}

/// An endpoint that a load balancer has, as it lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registered {
    pub key: RouteKey,
    pub endpoint: Endpoint,
    /// `None` where a load balancer cannot carry our mark: then the registry says whose the endpoint is, or it is nobody's business.
    pub owner: Option<(InstanceId, Attempt)>,
    /// Whether visitors are let through; `None` where the load balancer decides that by itself.
    pub open: Option<bool>,
}

/// A rule of a load balancer that this deployment made, and that leads to nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdleRule {
    /// What the load balancer calls it.
    pub id: String,
    pub listener: String,
    /// The target groups that it leads to, in which nobody is.
    pub groups: Vec<String>,
}

/// What a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub owner: Owner,
    pub key: RouteKey,
    pub endpoint: Endpoint,
    /// The response header by which the instance names itself; an answer that names another one is not passed on.
    pub identity_header: Option<String>,
    pub health: wharf_domain::service::HealthCheck,
}

/// An open endpoint that nobody has used for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    pub instance: InstanceId,
    pub attempt: Attempt,
    /// Since its last request ended, or since it was opened if it has had none.
    pub idle: Duration,
}

/// Why a route leads nowhere just now: what a visitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Being started, for the first time or again, or asleep until somebody asks for it: the page waits.
    Starting,
    /// The same, but there is no room for it just now: it waits for its turn.
    Queued,
    /// Stopped on request.
    Stopped,
    /// It kept failing, and was taken out of service.
    Down,
}

impl Standing {
    /// Whether somebody who waits may be answered.
    #[must_use]
    pub const fn is_coming(self) -> bool {
        matches!(self, Self::Starting | Self::Queued)
    }
}

/// Puts endpoints behind routes, and takes them out.
///
/// Expected flow: `announce(Starting)` → `register` → (health) → `open` → … → `withdraw` until `true` → (the task is stopped) → `announce` or `forget`.
///
/// Guarantees wanted:
/// - A host that another instance holds is `route.taken`, and stays that one's.
/// - `register` of a later attempt replaces an earlier one's endpoint; an earlier attempt never replaces a later one's.
/// - A route of several parts (target groups) is registered in all of them, or the failure says in which not; `withdraw` copes with either.
/// - `withdraw` stops new requests at once, and is `true` when those under way are over or `drain` has passed since the first call. It never touches another
///   attempt's endpoint. An adapter that keeps nothing between calls may answer `false` for longer: when the drain is over the caller asks a last time, with a
///   `drain` of nothing, and what only the last call clears away is cleared away by that one.
#[async_trait]
pub trait Routes: Send + Sync + 'static {
    async fn register(&self, backend: Backend) -> Result<(), Failure>;

    /// Lets requests through to a registered endpoint that has proven that it answers. A load balancer that checks health by
    /// itself does so by itself.
    async fn open(&self, owner: &Owner, key: &RouteKey) -> Result<(), Failure> {
        let _ = (owner, key);
        Ok(())
    }

    /// `endpoint` is what was registered; `None` where none was ever known, and so none can have been.
    async fn withdraw(
        &self,
        owner: &Owner,
        key: &RouteKey,
        endpoint: Option<&Endpoint>,
        drain: Duration,
    ) -> Result<bool, Failure>;

    /// Open endpoints that have no request under way and have had none for so long. An open tunnel (a WebSocket) is a request under way. `None` where the load
    /// balancer does not know: nobody behind it can be put to sleep.
    async fn unused(&self, longer_than: Duration) -> Result<Option<Vec<Unused>>, Failure> {
        let _ = longer_than;
        Ok(None)
    }

    /// Withdraws an endpoint if it still has been unused for so long, and says whether it did: what is used stays open. Either way no request is lost that comes in
    /// the same moment: it goes to the endpoint, or waits like those for what is starting. What is not registered is withdrawn already.
    async fn withdraw_unused(&self, owner: &Owner, key: &RouteKey, longer_than: Duration) -> Result<bool, Failure> {
        let _ = (owner, key, longer_than);
        Ok(false)
    }

    /// The load balancer's own view of a registered endpoint; `None` where it has none, and the [`Prober`](crate::Prober) decides.
    async fn health(&self, owner: &Owner, key: &RouteKey, endpoint: &Endpoint) -> Result<Option<Health>, Failure> {
        let _ = (owner, key, endpoint);
        Ok(None)
    }

    /// What to tell visitors of a host that leads nowhere. Best effort; nothing depends on it.
    fn announce(&self, instance: &InstanceId, key: &RouteKey, standing: Standing);

    /// The host is nobody's: visitors get a 404.
    fn forget(&self, instance: &InstanceId, key: &RouteKey);

    /// Rules of this deployment's own making behind which nobody is, on the listeners that `keys` name. One that is being made for a route has nobody behind it for a moment.
    async fn idle_rules(&self, keys: &[RouteKey]) -> Result<Vec<IdleRule>, Failure> {
        let _ = keys;
        Ok(Vec::new())
    }

    /// Removes one of those, if it still is; whether it was. Who registers behind it all the same gets it made anew.
    async fn remove_rule(&self, rule: &IdleRule) -> Result<bool, Failure> {
        let _ = rule;
        Ok(false)
    }

    /// Every endpoint that carries this deployment's mark, or that may be its own. `keys` are those behind which it may have some: a load balancer that
    /// cannot list everything by itself looks there.
    async fn all(&self, keys: &[RouteKey]) -> Result<Vec<Registered>, Failure>;
}
