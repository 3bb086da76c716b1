//! Repair: registry and world compared, both ways; the plan shown; applied only when asked for. It touches nothing but what
//! carries this deployment's own mark, and passes over whatever a live saga has in its hands.

mod apply;
mod compare;

use serde::{Deserialize, Serialize};
use std::fmt;
use wharf_domain::{InstanceId, instance::TaskRef};
use wharf_platform::{Owner, RouteKey};

/// One difference between registry and world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In plain words, with the cause if it is known.
    pub what: String,
    /// What would mend it; `None` where a person has to decide.
    pub mend: Option<Mend>,
    /// What that person can do.
    pub hint: Option<String>,
}

/// Something that repair can do by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mend", rename_all = "snake_case")]
pub enum Mend {
    StopTask { owner: Owner, task: TaskRef },
    WithdrawRoute { owner: Owner, route: RouteKey },
    RemoveSecrets { instance: InstanceId },
    RemoveDatabase { instance: InstanceId, name: String },
    ReleaseReservations { instance: InstanceId },
    BringBack { instance: InstanceId },
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopTask { task, .. } => write!(f, "stop task {}", task.id),
            Self::WithdrawRoute {
                route: RouteKey::Host { host },
                ..
            } => write!(f, "withdraw the route {host}"),
            Self::WithdrawRoute {
                route: RouteKey::Path { prefix },
                ..
            } => write!(f, "withdraw the route {prefix}"),
            Self::RemoveSecrets { instance } => write!(f, "remove the secrets of {instance}"),
            Self::RemoveDatabase { name, .. } => write!(f, "remove the database {name}"),
            Self::ReleaseReservations { instance } => write!(f, "release what {instance} still holds"),
            Self::BringBack { instance } => write!(f, "bring {instance} back with a new attempt"),
        }
    }
}

/// What became of one mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    pub mend: Mend,
    /// What went wrong, if it did.
    pub error: Option<String>,
}
