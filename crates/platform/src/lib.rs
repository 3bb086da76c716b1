//! What Wharf needs from the world, as traits. One deployment's set of adapters is a [`Platform`].
//!
//! Rules that hold for every trait here, and that the contract suites in `testkit` check:
//!
//! - *Own only.* Everything made carries its [`Owner`]: deployment, instance and attempt. What carries another's mark, or
//!   none, is never changed: it is a `resource.foreign` failure.
//! - *Idempotent.* The same call again gives the same thing again, and removing what is gone is a success.
//! - *Bounded.* A call returns within a few seconds; what takes longer is looked at again (`look`).
//! - *Typed failures.* An error is a [`Failure`](wharf_domain::Failure) with a stable code; `Code::is_passing` says whether the engine tries again.
//! - *Secrets* are `SecretString`s; they never appear in a failure, a log line or a process's arguments.

pub mod databases;
pub mod lines;
pub mod logs;
pub mod mailer;
pub mod poster;
pub mod prober;
pub mod routes;
pub mod secrets;
pub mod tasks;

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wharf_domain::{Attempt, DeploymentId, InstanceId};

pub use databases::{Database, Databases, NoDatabases};
pub use logs::{LogLine, Logs, Printer};
pub use mailer::{Mail, MailError, Mailer};
pub use poster::{NoPoster, Post, Poster};
pub use prober::{Probe, Prober, Proof};
pub use routes::{Backend, Health, IdleRule, Registered, RouteKey, Routes, Standing, Unused};
pub use secrets::Secrets;
pub use tasks::{PortSource, Stopping, TaskEvent, TaskEvents, TaskSpec, TaskStatus, Tasks};

/// Whose a resource is. It stands on every resource, as a label, a tag or a variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    pub deployment: DeploymentId,
    pub instance: InstanceId,
    pub attempt: Attempt,
}

/// The adapters of one deployment.
#[derive(Clone)]
pub struct Platform {
    pub tasks: Arc<dyn Tasks>,
    pub events: Arc<dyn TaskEvents>,
    pub routes: Arc<dyn Routes>,
    pub databases: Arc<dyn Databases>,
    pub secrets: Arc<dyn Secrets>,
    pub mailer: Arc<dyn Mailer>,
    pub poster: Arc<dyn Poster>,
    pub prober: Arc<dyn Prober>,
    pub logs: Arc<dyn Logs>,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Platform")
    }
}
