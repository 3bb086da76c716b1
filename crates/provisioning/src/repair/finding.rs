//! What repair finds, what would mend it, and who may let that happen: plain data, as it is shown, sent and applied.

use serde::{Deserialize, Serialize};
use std::fmt;
use wharf_domain::{Attempt, Endpoint, InstanceId, instance::TaskRef};
use wharf_platform::{IdleRule, Owner, RouteKey};
use wharf_saga::store::Kind;

/// One difference between registry and world, or something that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub subject: Subject,
    /// Whose it is, where that is known.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// In plain words.
    pub what: String,
    /// How it came about, where that is known.
    #[serde(default)]
    pub cause: Option<String>,
    /// What would mend it; `None` where a person has to decide.
    pub mend: Option<Mend>,
    /// Who may let the mend happen; there where a mend is.
    #[serde(default)]
    pub class: Option<Class>,
    /// What a person can do.
    pub hint: Option<String>,
}

/// What a finding is about. Metrics count by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Task,
    Route,
    Rule,
    Name,
    Port,
    Endpoint,
    Database,
    Secrets,
    Mail,
    /// An instance that waits for a person, or whose saga nobody drives.
    Instance,
    /// A record that this version cannot read.
    Record,
}

impl Subject {
    pub const ALL: &[Self] = &[
        Self::Task,
        Self::Route,
        Self::Rule,
        Self::Name,
        Self::Port,
        Self::Endpoint,
        Self::Database,
        Self::Secrets,
        Self::Mail,
        Self::Instance,
        Self::Record,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Route => "route",
            Self::Rule => "rule",
            Self::Name => "name",
            Self::Port => "port",
            Self::Endpoint => "endpoint",
            Self::Database => "database",
            Self::Secrets => "secrets",
            Self::Mail => "mail",
            Self::Instance => "instance",
            Self::Record => "record",
        }
    }
}

/// Who may let a mend happen. Whoever is allowed a later one is allowed those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It touches nothing that may hold a customer's data, and tells no customer anything: the periodic run does it too.
    Safe,
    /// It removes data of an instance that the registry knows to be over, or writes to a customer again: whoever says `--apply`.
    Asked,
    /// The registry does not know whose it is, and may be the one that is wrong, as after the restoration of an older backup: only
    /// whoever says `--remove-unknown` too.
    Unknown,
}

/// Something that repair can do by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mend", rename_all = "snake_case")]
pub enum Mend {
    StopTask {
        owner: Owner,
        task: TaskRef,
    },
    WithdrawRoute {
        owner: Owner,
        route: RouteKey,
        endpoint: Endpoint,
    },
    RemoveSecrets {
        instance: InstanceId,
    },
    RemoveDatabase {
        instance: InstanceId,
        name: String,
    },
    RemoveRule {
        rule: IdleRule,
    },
    /// Gives back what an instance has to itself without holding it.
    Release {
        instance: InstanceId,
        rights: Vec<(Kind, String)>,
    },
    /// Gives an instance what it holds to itself.
    Reserve {
        instance: InstanceId,
        rights: Vec<(Kind, String)>,
    },
    /// A new attempt, for the task is gone.
    BringBack {
        instance: InstanceId,
    },
    /// The route made anew, and opened when the task has answered behind it.
    Reroute {
        instance: InstanceId,
    },
    /// A registry that is older than the world goes on from the world's attempt: what runs is taken down, and what is to run comes as a new one.
    Overtake {
        instance: InstanceId,
        attempt: Attempt,
        task: Option<TaskRef>,
    },
    /// A mail that was given up is tried again.
    SendAgain {
        mail: String,
    },
}

impl Mend {
    /// In which order mends are done: what leads to a task goes before the task does, and what is started comes after what is taken away.
    pub(super) const fn turn(&self) -> u8 {
        match self {
            Self::WithdrawRoute { .. } => 0,
            Self::StopTask { .. } => 1,
            Self::RemoveRule { .. } => 2,
            Self::RemoveDatabase { .. } | Self::RemoveSecrets { .. } => 3,
            Self::Release { .. } => 4,
            Self::Reserve { .. } => 5,
            Self::Overtake { .. } | Self::BringBack { .. } | Self::Reroute { .. } | Self::SendAgain { .. } => 6,
        }
    }
}

/// `port 8001, name acme`
pub(super) fn listed(rights: &[(Kind, String)]) -> String {
    let texts: Vec<String> = rights.iter().map(|(kind, key)| format!("{kind} {key}")).collect();
    texts.join(", ")
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopTask { task, .. } => write!(f, "stop task {}", task.id),
            Self::WithdrawRoute { route, endpoint, .. } => match route {
                RouteKey::Host { host } => write!(f, "withdraw the route {host}"),
                RouteKey::Path { prefix } => write!(f, "withdraw the route {prefix}"),
                RouteKey::TargetGroups { arns, .. } => {
                    write!(
                        f,
                        "deregister the target {} from {}",
                        endpoint.key(),
                        arns.join(" and ")
                    )
                }
            },
            Self::RemoveSecrets { instance } => write!(f, "remove the secrets of {instance}"),
            Self::RemoveDatabase { name, .. } => write!(f, "remove the database {name}"),
            Self::RemoveRule { rule } => write!(f, "remove the rule {}", rule.id),
            Self::Release { instance, rights } => write!(f, "give back {} of {instance}", listed(rights)),
            Self::Reserve { instance, rights } => write!(f, "reserve {} for {instance}", listed(rights)),
            Self::BringBack { instance } => write!(f, "bring {instance} back with a new attempt"),
            Self::Reroute { instance } => write!(f, "lead the route of {instance} to its task again"),
            Self::Overtake { instance, attempt, .. } => {
                write!(
                    f,
                    "go on with {instance} from attempt {attempt}, whose task is taken down"
                )
            }
            Self::SendAgain { mail } => write!(f, "try the mail {mail} again"),
        }
    }
}

/// A mend, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    pub mend: Mend,
    pub outcome: Outcome,
    /// One line: what was done, what has changed meanwhile, or what went wrong.
    pub text: String,
}

/// How a mend ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// It was not so any more at the moment of the mend: nothing was done.
    PassedOver,
    Failed,
}
