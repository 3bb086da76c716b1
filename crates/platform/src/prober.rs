//! Probes: a whole HTTP answer from a task, and the proof that it is this instance's own.

use async_trait::async_trait;
use std::time::Duration;
use wharf_domain::{Endpoint, Failure, instance::TaskRef};

use crate::Owner;

/// What to ask, and how the answerer is told.
#[derive(Clone, Debug)]
pub struct Probe {
    pub owner: Owner,
    pub task: TaskRef,
    pub endpoint: Endpoint,
    /// The `Host` that a visitor's request would have.
    pub host: String,
    pub path: String,
    pub timeout: Duration,
    pub identity_header: Option<String>,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The instance named itself in its header.
    Header,
    /// The platform knows that this task owns the address.
    Platform,
}

/// Asks tasks whether they are there.
///
/// Guarantees wanted: `Ok` only for a whole answer with a status of 200–399 from this instance's own task. Nobody listens, or a bad status: `route.unhealthy`. Somebody else answers: `route.identity`.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    async fn probe(&self, probe: &Probe) -> Result<Proof, Failure>;
}
