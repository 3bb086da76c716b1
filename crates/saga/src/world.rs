//! What the engine takes from its surroundings: time, chance, and being woken. They come in as traits, so that a run can be
//! repeated to the byte.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wharf_domain::{InstanceId, Timestamp};

/// A lease as an observer saw it: whoever writes as its holder changes one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub epoch: u64,
    pub renewals: u64,
}

/// Wall-clock time. Two machines' clocks are never compared with each other.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// Chance that nobody can guess (a CSPRNG), or, in a simulation, that one seed decides.
pub trait Ids: Send + Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);

    /// A new instance's id.
    fn instance_id(&self, now: Timestamp) -> InstanceId {
        let mut random = [0; 10];
        self.fill(&mut random);
        InstanceId::new(now, random)
    }
}

/// Wakes an instance's driver later.
///
/// Expected flow: the engine calls `wake` after the commit that wrote the wait. When the time has come the waker calls
/// [`Engine::wake`](crate::Engine::wake), in this process or in another.
///
/// Guarantees wanted: none but an effort. A wake may be lost (the sweep finds what is due), come twice, or come late (a wake
/// whose `seq` is not the record's does nothing).
#[async_trait]
pub trait Waker: Send + Sync + 'static {
    async fn wake(&self, id: &InstanceId, at: Timestamp, seq: u64);

    /// Another driver has the instance, and may be dead: [`Engine::recheck`](crate::Engine::recheck) is to be called with this lease after this long. A process
    /// that lives so long needs no such help: its own sweep sees the lease again.
    async fn recheck(&self, id: &InstanceId, seen: Seen, after: Duration) {
        let _ = (id, seen, after);
    }
}
