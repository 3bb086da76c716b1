//! A service: a named template that says what to run, how it is reached, and what each instance of it needs.
//!
//! This is the resolved form: parsed, checked, defaults filled in. A claim freezes it into the instance, so that a changed
//! configuration never reshapes an instance that exists.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

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
    /// When an instance goes to sleep that nobody uses; never unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Sleep>,
    /// The response header in which the service sends `WHARF_INSTANCE_ID` back.
    pub identity_header: Option<String>,
    /// Given to the task, after substitution of `{subdomain}`, `{company_name}` and the like.
    pub environment: BTreeMap<String, String>,
    /// Where its instances are there for a time only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    pub run: RunSpec,
}

/// The time for which an instance is there, from its first Ready on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    #[serde(with = "millis")]
    pub length: Duration,
    /// How long before its end its tenant is told by mail; zero for never.
    #[serde(with = "millis")]
    pub notice: Duration,
    pub then: AfterTrial,
}

/// What comes after a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterTrial {
    /// It is ended for good, with its data.
    End,
    /// It is stopped, and everything that its customer would miss is kept.
    Stop,
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
    /// Targets of a load balancer that is not Wharf's own. Several instances share them.
    TargetGroups {
        /// Every one of these has each instance as a target, or none has.
        arns: Vec<String>,
        /// What brings requests to the first of them, where Wharf is to see to that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<ListenerRule>,
        /// Where the load balancer is reached, as it is told to people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
}

/// A rule of an ELBv2 listener that forwards to a target group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListenerRule {
    /// The listener's ARN.
    pub listener: String,
    /// A host-header pattern, such as `api.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A path pattern, such as `/api/auth/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
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

/// When an instance that nobody uses goes to sleep, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    /// So long after the last request to it ended, or it became Ready.
    #[serde(with = "millis")]
    pub after: Duration,
    #[serde(default)]
    pub by: SleepBy,
}

/// What becomes of a task whose instance sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SleepBy {
    /// It ends, and its memory is free. To wake takes as long as a start.
    #[default]
    Stop,
    /// It stands still where it is and keeps its memory. To wake takes milliseconds.
    Pause,
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
    Docker(DockerTask),
    Ecs(EcsTask),
}

impl RunSpec {
    /// Bytes of memory that a task may use, where that is limited.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        match self {
            Self::Process { memory, .. } => *memory,
            Self::Docker(task) => task.memory,
            Self::Ecs(task) => task.memory.map(|mebibytes| u64::from(mebibytes) << 20),
        }
    }
}

/// A task as a Docker container. What is left out is the image's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerTask {
    /// As `docker pull` takes it.
    pub image: String,
    #[serde(default)]
    pub pull: Pull,
    /// `linux/arm64`; the Docker host's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// In place of the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's command; `{port}`, `{subdomain}` and `{instance_id}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Where the application listens; the only port that the image exposes unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port: Option<u16>,
    /// Hard limit in bytes, swap included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Its weight where processors are short, 1024 for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_units: Option<u32>,
    /// Processes and threads at the most.
    pub pids: u32,
    /// `user` or `user:group`, as names of the image or as numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Folders in memory that can be written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tmpfs: BTreeSet<String>,
    /// Bytes of each of them.
    pub tmpfs_size: u64,
    /// What a container is usually kept from, and this one is not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub loosened: BTreeSet<Protection>,
    /// Kernel capabilities that it is given: `NET_BIND_SERVICE`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capabilities: BTreeSet<String>,
    /// Bytes of output in one file, and how many files are kept.
    pub log_size: u64,
    pub log_files: u32,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// Where the Docker host does not have it.
    #[default]
    Missing,
    /// Before every start.
    Always,
    Never,
}

/// What keeps a container from what it usually needs not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// No kernel capabilities; loosened, it has those that Docker gives by itself.
    Capabilities,
    /// No way to gain rights by programs that are set-user-ID.
    NewPrivileges,
    /// A limit of processes.
    Pids,
    /// A root file system that cannot be written.
    ReadOnlyRoot,
    /// A user that is not root.
    NonRootUser,
}

/// A task on Amazon ECS. What is left out is found from the task definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsTask {
    /// Name or ARN.
    pub cluster: String,
    /// Family, `family:revision`, or ARN.
    pub task_definition: String,
    /// The container that is told who it is, and whose port is routed to; the only essential one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The container's port; the first one that it maps unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Whether a task with a network interface of its own gets a public address.
    pub assign_public_ip: bool,
    #[serde(default)]
    pub launch: Launch,
    /// In place of the container's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// CPU units of the container, 1024 for each processor, in place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Hard limit of the container in MiB, in place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// Whether operators may run commands in it (`aws ecs execute-command`).
    #[serde(default)]
    pub execute_command: bool,
    /// How the container is given its secrets.
    #[serde(default)]
    pub secrets: SecretsAs,
    /// The address of the container instance, where the platform cannot tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_address: Option<std::net::IpAddr>,
}

/// Where ECS places a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Launch {
    /// Fargate for a task definition with network mode `awsvpc` that allows it, else EC2.
    #[default]
    Auto,
    Fargate,
    Ec2,
    External,
    CapacityProviders(Vec<CapacityProvider>),
}

/// One item of a capacity provider strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityProvider {
    pub name: String,
    /// Its share of the tasks beyond every base, 0–1000.
    pub weight: u16,
    /// So many tasks first, 0–100,000.
    pub base: u32,
}

/// How a container gets its secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretsAs {
    /// The values, in the variables of their names.
    #[default]
    Values,
    /// The ARN under which they are kept, in `WHARF_SECRETS_ARN`: the application reads them itself.
    Arn,
}

/// Durations as whole milliseconds.
pub(crate) mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
