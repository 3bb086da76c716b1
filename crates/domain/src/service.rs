//! A service: a named template that says what to run, how it is reached, and what each instance of it needs.
//!
//! This is the resolved form: parsed, checked, defaults filled in. A claim freezes it into the instance, so that a changed
//! configuration never reshapes an instance that exists.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use crate::ServiceName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub name: ServiceName,
    /// One instance for each tenant; without, instances have no tenant.
    pub tenant: bool,
    /// `start` returns the running instance rather than one more.
    pub singleton: bool,
    /// Whether each instance has a database of its own.
    pub database: bool,
    pub port: PortRule,
    pub route: RouteRule,
    pub health: HealthCheck,
    /// From the start of a task to its first whole answer.
    #[serde(with = "millis")]
    pub start_timeout: Duration,
    /// Between the request to end and the order to.
    #[serde(with = "millis")]
    pub stop_timeout: Duration,
    /// How long requests under way have when a route is withdrawn.
    #[serde(with = "millis")]
    pub drain_timeout: Duration,
    /// The response header in which the service sends `WHARF_INSTANCE_ID` back.
    pub identity_header: Option<String>,
    /// Given to the task, after substitution of `{subdomain}`, `{company_name}` and the like.
    pub environment: BTreeMap<String, String>,
    pub run: RunSpec,
}

/// Where a task's port comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PortRule {
    /// Any free one: the platform's own choice, or leased by Wharf from the platform's range.
    Dynamic,
    /// A lease from this range (both ends included), held for the instance's life and known at the claim.
    Static { first: u16, last: u16 },
}

impl PortRule {
    pub const DEFAULT_STATIC: RangeInclusive<u16> = 8000..=9000;
}

/// What brings a request to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RouteRule {
    /// `<subdomain>.<tenant_domain>`.
    Host,
    /// Everything below a prefix of the services' host; the prefix is not stripped. Several instances share it.
    Path { prefix: String },
    /// No load balancer: this URL, with `{subdomain}`, `{ip}` and `{port}` filled in.
    Direct { url: String },
}

/// How a task proves that it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// A path whose whole answer of 200–399 is good.
    pub path: String,
    #[serde(with = "millis")]
    pub interval: Duration,
    #[serde(with = "millis")]
    pub timeout: Duration,
    /// Good answers in a row until a target is healthy.
    pub healthy: u32,
    /// Bad answers in a row until it is not.
    pub unhealthy: u32,
}

/// What a task is on its platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "platform", rename_all = "snake_case")]
pub enum RunSpec {
    Process {
        /// Program and arguments; `{port}`, `{subdomain}` and `{instance_id}` are filled in. `wharf` is this program itself.
        command: Vec<String>,
        /// Bytes of resident memory, of the whole process group.
        memory: Option<u64>,
        /// Where it runs; the instance's own folder in the data directory unless given.
        directory: Option<String>,
    },
}

/// Durations as whole milliseconds.
mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
