//! The settings that are one of a few words.

use serde::Serialize;
use wharf_domain::service::{AfterTrial, SleepBy};

use crate::setting::Choice;

/// What tasks run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformKind {
    /// Child processes of Wharf.
    Process,
    /// Docker containers.
    Docker,
    /// Tasks on Amazon ECS.
    Ecs,
}

impl PlatformKind {
    /// The word for it in the file, which is the name of a service's section too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
            Self::Ecs => "ecs",
        }
    }
}

impl Choice for PlatformKind {
    const TYPE: &'static str = "one of process, docker, ecs";
    const CHOICES: &'static [(&'static str, Self)] =
        &[("process", Self::Process), ("docker", Self::Docker), ("ecs", Self::Ecs)];
}

/// Which log lines are written: this level and those above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Choice for LogLevel {
    const TYPE: &'static str = "one of error, warn, info, debug, trace";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
    // `LOG_LEVEL` is shared with programs that spell it so.
    const ALIASES: &'static [(&'static str, Self)] = &[
        ("warning", Self::Warn),
        ("critical", Self::Error),
        ("fatal", Self::Error),
    ];
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Choice for LogFormat {
    const TYPE: &'static str = "one of text, json";
    const CHOICES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// What the repair that comes by itself does about what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairApply {
    /// It tells.
    Nothing,
    /// It mends what touches no customer's data, and tells the rest.
    Safe,
}

impl Choice for RepairApply {
    const TYPE: &'static str = "one of nothing, safe";
    const CHOICES: &'static [(&'static str, Self)] = &[("nothing", Self::Nothing), ("safe", Self::Safe)];
}

impl Choice for AfterTrial {
    const TYPE: &'static str = "one of end, stop";
    const CHOICES: &'static [(&'static str, Self)] = &[("end", Self::End), ("stop", Self::Stop)];
}

/// Where a task's port comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortKind {
    Dynamic,
    Static,
}

impl Choice for PortKind {
    const TYPE: &'static str = "one of dynamic, static";
    const CHOICES: &'static [(&'static str, Self)] = &[("dynamic", Self::Dynamic), ("static", Self::Static)];
}

impl Choice for SleepBy {
    const TYPE: &'static str = "one of stop, pause";
    const CHOICES: &'static [(&'static str, Self)] = &[("stop", Self::Stop), ("pause", Self::Pause)];
}

/// What brings a request to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteKind {
    Host,
    Path,
    Direct,
}

impl Choice for RouteKind {
    const TYPE: &'static str = "one of host, path, direct";
    const CHOICES: &'static [(&'static str, Self)] =
        &[("host", Self::Host), ("path", Self::Path), ("direct", Self::Direct)];
}

/// The same on ECS, where a load balancer of AWS may do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EcsRouteKind {
    Host,
    Path,
    Direct,
    TargetGroups,
}

impl Choice for EcsRouteKind {
    const TYPE: &'static str = "one of host, path, direct, target_groups";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("host", Self::Host),
        ("path", Self::Path),
        ("direct", Self::Direct),
        ("target_groups", Self::TargetGroups),
    ];
}

/// Where ECS places tasks, where no capacity providers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaunchType {
    Auto,
    Fargate,
    Ec2,
    External,
}

impl Choice for LaunchType {
    const TYPE: &'static str = "one of auto, fargate, ec2, external";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("fargate", Self::Fargate),
        ("ec2", Self::Ec2),
        ("external", Self::External),
    ];
}

/// How a container is given its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretsForm {
    Values,
    Arn,
}

impl Choice for SecretsForm {
    const TYPE: &'static str = "one of values, arn";
    const CHOICES: &'static [(&'static str, Self)] = &[("values", Self::Values), ("arn", Self::Arn)];
}

/// Where Wharf keeps what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryKind {
    /// A file in the data directory.
    Sqlite,
    /// Tables of DynamoDB.
    Dynamodb,
}

impl Choice for RegistryKind {
    const TYPE: &'static str = "one of sqlite, dynamodb";
    const CHOICES: &'static [(&'static str, Self)] = &[("sqlite", Self::Sqlite), ("dynamodb", Self::Dynamodb)];
}

/// How mails are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// They are written into a folder.
    Folder,
    /// They are handed to an SMTP server.
    Smtp,
    /// They are handed to Resend.
    Resend,
}

/// How the connection to an SMTP server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// From the first byte.
    Implicit,
    /// After a greeting in clear.
    Starttls,
    /// Not at all.
    None,
}

impl Choice for SmtpTls {
    const TYPE: &'static str = "one of implicit, starttls, none";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("implicit", Self::Implicit),
        ("starttls", Self::Starttls),
        ("none", Self::None),
    ];
}

impl Choice for MailKind {
    const TYPE: &'static str = "one of folder, smtp, resend";
    const CHOICES: &'static [(&'static str, Self)] =
        &[("folder", Self::Folder), ("smtp", Self::Smtp), ("resend", Self::Resend)];
}
