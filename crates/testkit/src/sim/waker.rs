//! Wakes over tokio's time: each a sleeping task. They can be lost, doubled, and late, as the real ones are.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::{Clock, Seen, Waker};

type Wake = dyn Fn(&InstanceId, u64) + Send + Sync;
type Recheck = dyn Fn(&InstanceId, Seen) + Send + Sync;

/// How a waker does its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Reliable,
    /// No wake ever comes.
    Loses,
    /// Each comes twice, the second time a moment later.
    Doubles,
    /// Each comes this much too late.
    Late(Duration),
}

/// Wakes a driver later, by calling what it was [connected](Self::connect) with.
pub struct SimWaker {
    clock: Arc<dyn Clock>,
    wake: Arc<Mutex<Option<Arc<Wake>>>>,
    recheck: Arc<Mutex<Option<Arc<Recheck>>>>,
    manner: Mutex<Manner>,
}

impl std::fmt::Debug for SimWaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimWaker")
            .field("manner", &self.manner)
            .finish_non_exhaustive()
    }
}

impl SimWaker {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            wake: Arc::default(),
            recheck: Arc::default(),
            manner: Mutex::default(),
        }
    }

    /// What a wake calls: the engine's `wake`, once there is an engine.
    pub fn connect(&self, wake: impl Fn(&InstanceId, u64) + Send + Sync + 'static) {
        *self.wake.lock() = Some(Arc::new(wake));
    }

    /// Lets go of the engine, which holds this waker in turn: a world that is through with is gone from memory only so.
    pub fn disconnect(&self) {
        *self.wake.lock() = None;
        *self.recheck.lock() = None;
    }

    /// What a second look at a lease calls: the `recheck` of an engine that need not be the one that saw it first.
    pub fn connect_recheck(&self, recheck: impl Fn(&InstanceId, Seen) + Send + Sync + 'static) {
        *self.recheck.lock() = Some(Arc::new(recheck));
    }

    pub fn set(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }
}

#[async_trait]
impl Waker for SimWaker {
    async fn wake(&self, id: &InstanceId, at: Timestamp, seq: u64) {
        let (late, times) = match *self.manner.lock() {
            Manner::Loses => return,
            Manner::Reliable => (Duration::ZERO, 1),
            Manner::Doubles => (Duration::ZERO, 2),
            Manner::Late(late) => (late, 1),
        };
        let pause = at.since(self.clock.now()) + late;
        let (wake, id) = (self.wake.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            for _ in 0..times {
                let wake = wake.lock().clone();
                if let Some(wake) = wake {
                    wake(&id, seq);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    async fn recheck(&self, id: &InstanceId, seen: Seen, after: Duration) {
        if *self.manner.lock() == Manner::Loses {
            return;
        }
        let (recheck, id) = (self.recheck.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let recheck = recheck.lock().clone();
            if let Some(recheck) = recheck {
                recheck(&id, seen);
            }
        });
    }
}
