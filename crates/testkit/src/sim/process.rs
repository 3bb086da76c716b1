//! One run of Wharf in the simulated world. Whatever it asks of the world or the registry passes its gate; where the gate is
//! shut, the call never returns. So a process can be paused, and go on much later as if nothing had been, and it can be killed
//! at any call, before or after what the call does.

use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;
use wharf_platform::Platform;
use wharf_saga::Store;

use super::{
    SimStore, SimWorld, calls::Calls, databases::SimDatabases, logs::SimLogs, mailer::SimMailer, poster::SimPoster,
    prober::SimProber, registry::SimRegistry, routes::SimRoutes, secrets::SimSecrets, tasks::SimTasks,
};

/// On which side of what a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Alive,
    Paused,
    Dead,
}

/// What every call of a process passes, going and coming.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) name: String,
    life: Mutex<Life>,
    /// Rung whenever its life changes. Whoever waits is woken in the order of coming, which a `watch` would leave to chance.
    changed: Notify,
    calls: AtomicU64,
    doom: Mutex<Option<(u64, Edge, Life)>>,
}

impl Gate {
    /// Returns at once, or when the process is resumed; never, when it is dead.
    pub(crate) async fn pass(&self) {
        if self.until(|life| life != Life::Paused).await == Life::Dead {
            std::future::pending().await
        }
    }

    /// Waits for a life like this.
    async fn until(&self, wanted: impl Fn(Life) -> bool) -> Life {
        loop {
            let changed = self.changed.notified();
            let life = *self.life.lock();
            if wanted(life) {
                return life;
            }
            changed.await;
        }
    }

    fn change(&self, to: Life) {
        let mut life = self.life.lock();
        if *life != Life::Dead && *life != to {
            *life = to;
            drop(life);
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.life.lock() == Life::Alive
    }

    /// The number of a call that begins.
    pub(crate) fn count(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Ends or pauses the process if that was to be at this call.
    pub(crate) fn meet_doom(&self, call: u64, edge: Edge) {
        let due = self.doom.lock().filter(|(at, side, _)| (*at, *side) == (call, edge));
        if let Some((_, _, life)) = due {
            self.change(life);
        }
    }
}

/// One run of Wharf, alive until it is killed.
#[derive(Clone)]
pub struct Process {
    world: SimWorld,
    gate: Arc<Gate>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

impl Process {
    pub(crate) fn new(world: SimWorld, name: &str) -> Self {
        let gate = Arc::new(Gate {
            name: name.to_owned(),
            life: Mutex::new(Life::Alive),
            changed: Notify::new(),
            calls: AtomicU64::new(0),
            doom: Mutex::new(None),
        });
        Self { world, gate }
    }

    #[must_use]
    pub const fn world(&self) -> &SimWorld {
        &self.world
    }

    fn calls(&self) -> Calls {
        Calls {
            world: self.world.clone(),
            gate: self.gate.clone(),
        }
    }

    /// The world as this process sees it.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let tasks = Arc::new(SimTasks(self.calls()));
        Platform {
            tasks: tasks.clone(),
            events: tasks,
            routes: Arc::new(SimRoutes(self.calls())),
            databases: Arc::new(SimDatabases(self.calls())),
            secrets: Arc::new(SimSecrets(self.calls())),
            mailer: Arc::new(SimMailer(self.calls())),
            poster: Arc::new(SimPoster(self.calls())),
            prober: Arc::new(SimProber(self.calls())),
            logs: Arc::new(SimLogs(self.calls())),
        }
    }

    /// The registry as this process sees it.
    #[must_use]
    pub fn registry(&self, store: Arc<SimStore>) -> Arc<dyn Store> {
        Arc::new(SimRegistry::new(store, self.calls()))
    }

    /// A call of something that is not in the simulated world: through the gate, both ways, and into the trace.
    pub async fn through<T>(
        &self,
        call: &'static str,
        what: impl fmt::Display,
        work: impl Future<Output = T>,
        outcome: impl FnOnce(&T) -> String,
    ) -> T {
        let calls = self.calls();
        let begun = calls.enter(call).await;
        let result = work.await;
        let told = outcome(&result);
        calls.leave(begun, what, told).await;
        result
    }

    /// How many calls it has begun.
    #[must_use]
    pub fn calls_begun(&self) -> u64 {
        self.gate.calls.load(Ordering::Relaxed)
    }

    /// Nothing that it calls returns any more, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.gate.change(Life::Paused);
    }

    pub fn resume(&self) {
        self.gate.change(Life::Alive);
    }

    /// It is no more: nothing that it has called or calls ever returns.
    pub fn kill(&self) {
        self.gate.change(Life::Dead);
    }

    /// It will be killed at its n-th call, counted from its beginning.
    pub fn kill_at(&self, call: u64, edge: Edge) {
        *self.gate.doom.lock() = Some((call, edge, Life::Dead));
    }

    /// It will be paused at its n-th call, counted from its beginning.
    pub fn pause_at(&self, call: u64, edge: Edge) {
        *self.gate.doom.lock() = Some((call, edge, Life::Paused));
    }

    /// Waits until it is paused.
    pub async fn paused(&self) {
        self.gate.until(|life| life == Life::Paused).await;
    }

    /// It will not be killed at a call, if it was to be.
    pub fn spare(&self) {
        *self.gate.doom.lock() = None;
    }

    #[must_use]
    pub fn is_dead(&self) -> bool {
        *self.gate.life.lock() == Life::Dead
    }

    /// Waits for its end.
    pub async fn died(&self) {
        self.gate.until(|life| life == Life::Dead).await;
    }
}
