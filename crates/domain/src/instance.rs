//! An instance: one provisioned task of a service, for a tenant or for none, and what it holds in the world.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use crate::{Attempt, InstanceId, Service, State, Tenant, Timestamp, state::IllegalTransition};

/// The record's body: everything that is known of one instance. Only the driver that holds its lease writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    /// As it was configured when the instance was claimed.
    pub service: Service,
    pub tenant: Option<Tenant>,
    /// Given with the request, laid over the service's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    pub created_at: Timestamp,
    #[serde(flatten)]
    pub state: State,
    /// The attempt that runs, or ran last.
    pub attempt: Attempt,
    pub held: Resources,
    /// From here on nothing but an explicit end releases name, database or secrets.
    pub first_ready_at: Option<Timestamp>,
    /// When its task died by itself, lately: what the limit of heals counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crashes: Vec<Timestamp>,
    /// When its task was lost with its host, lately: what the limit of losses counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Timestamp>,
    /// When the next attempt may begin: the backoff of a heal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Timestamp>,
    /// When its trial is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The end of its trial that its tenant was told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_of_end: Option<Timestamp>,
    /// What its sleep saved.
    #[serde(default, skip_serializing_if = "Slept::is_none")]
    pub slept: Slept,
    /// When it is stopped, its targets stay registered: whoever asked for that sees to them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_targets: bool,
    /// Somebody asked for it again after it was stopped or down: when it is back, others are told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_back: bool,
    /// SHA-256 of the request's parsed fields as sent: the same name with the same fields is the same request.
    pub request_hash: String,
    /// SHA-256 of the token that may watch it.
    pub status_token_hash: Option<String>,
}

impl Instance {
    /// Takes the instance to its next state.
    pub fn transition(&mut self, next: State) -> Result<(), IllegalTransition> {
        let slept_since = self.asleep_since();
        self.state = self.state.clone().to(next)?;
        if let Some(since) = slept_since {
            let now = self.state.since();
            self.slept.times += 1;
            self.slept.total += now.since(since);
            self.slept.freed = 0;
        }
        Ok(())
    }

    /// Since when it sleeps; `None` while it does not.
    #[must_use]
    pub const fn asleep_since(&self) -> Option<Timestamp> {
        match self.state {
            State::Sleeping { since, .. } => Some(since),
            _ => None,
        }
    }

    /// How long it has slept in all, by `now`.
    #[must_use]
    pub fn slept_by(&self, now: Timestamp) -> Duration {
        let this_time = self.asleep_since().map_or(Duration::ZERO, |since| now.since(since));
        self.slept.total + this_time
    }

    /// What people call it: the tenant's name, or the id.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tenant
            .as_ref()
            .map_or(self.id.as_str(), |tenant| tenant.subdomain.as_str())
    }
}

/// What an instance's sleep saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slept {
    /// How often it has woken.
    pub times: u32,
    /// How long it slept until it woke last.
    #[serde(with = "crate::service::millis")]
    pub total: Duration,
    /// Bytes of memory that are free because it sleeps just now.
    #[serde(default)]
    pub freed: u64,
}

impl Slept {
    /// Whether it never slept.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What an instance holds in the world, each as soon as the step that makes it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// A port that Wharf leased; the platform's own choice stands only in the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Which of its e-mail address's places it has, from 1, where these are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_place: Option<u16>,
    #[serde(default)]
    pub secrets: bool,
    /// The database's name on its server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
    /// When the platform was last away while the task was to end: the time that it may take for that counts from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_away: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    #[serde(default)]
    pub route: bool,
}

impl Resources {
    /// Whether nothing is held any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A task as its platform names it: an ECS task ARN, a container id, `pid:start time`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskRef {
    pub id: String,
    pub attempt: Attempt,
}

/// Where a task listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Endpoint {
    /// An address of its own, or of its host with a port of its own.
    Address { ip: IpAddr, port: u16 },
    /// A port of an EC2 instance, which is what an `instance` target group registers; `ip` where it is known.
    Host {
        ec2_instance: String,
        ip: Option<IpAddr>,
        port: u16,
    },
}

impl Endpoint {
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self {
            Self::Address { port, .. } | Self::Host { port, .. } => *port,
        }
    }

    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Address { ip, .. } => Some(*ip),
            Self::Host { ip, .. } => *ip,
        }
    }

    /// The text under which the registry keeps an endpoint unique.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Address { ip, port } => std::net::SocketAddr::new(*ip, *port).to_string(),
            Self::Host { ec2_instance, port, .. } => format!("{ec2_instance}:{port}"),
        }
    }
}
