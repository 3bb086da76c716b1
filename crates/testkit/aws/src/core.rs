//! Everything of a simulator but its socket: the world, its time, and what is kept beside them. What a request does to it is in [`crate::exchange`].

use crate::calls::Calls;
use crate::clock::{Clock, Moment};
use crate::delivery::Outbox;
use crate::faults::Faults;
use crate::policy::Policy;
use crate::throttle::Throttles;
use crate::weather::{CallWeather, Sky};
use crate::world::World;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Notify, broadcast};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) world: Mutex<World>,
    pub(crate) faults: Faults,
    /// What the caller may, where that is not everything.
    pub(crate) policy: Mutex<Option<Policy>>,
    pub(crate) throttles: Mutex<Throttles>,
    pub(crate) calls: Calls,
    /// What becomes of calls that nothing is ordered for.
    pub(crate) sky: Mutex<Sky<CallWeather>>,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) events: broadcast::Sender<Value>,
    /// Something is due earlier than it was.
    pub(crate) changed: Notify,
    pub(crate) requests: AtomicU64,
}

impl Core {
    pub(crate) fn new(
        clock: Clock,
        world: World,
        throttles: Throttles,
        outbox: Outbox,
        events: broadcast::Sender<Value>,
    ) -> Self {
        Self {
            clock,
            world: Mutex::new(world),
            faults: Faults::default(),
            policy: Mutex::new(None),
            throttles: Mutex::new(throttles),
            calls: Calls::default(),
            sky: Mutex::default(),
            outbox: Mutex::new(outbox),
            events,
            changed: Notify::new(),
            requests: AtomicU64::new(0),
        }
    }

    /// Does something in the world as it is now, lets everybody know what changed by it, and wakes who waits for what is due next.
    pub(crate) fn with_world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let now = self.clock.now();
        let mut world = self.world.lock();
        world.settle(now);
        let result = act(&mut world);
        world.settle(now);
        // Under the world's lock, so that two calls' events keep the order of their changes.
        let mut outbox = self.outbox.lock();
        for change in world.changes.drain(..) {
            outbox.put(&change);
        }
        for event in outbox.take_due(now) {
            // Nobody has to listen.
            let _ = self.events.send(event);
        }
        drop((world, outbox));
        self.changed.notify_one();
        result
    }

    fn next_due(&self) -> Option<Moment> {
        let world = self.world.lock().next_due();
        let outbox = self.outbox.lock().next_due();
        [world, outbox].into_iter().flatten().min()
    }

    /// Lets what is due happen when it is due, where time passes by itself.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let wait = self.next_due().and_then(|due| self.clock.wait_for(due));
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => self.with_world(|_| ()),
                // Where `with_world` above notified only this loop itself, one more look finds nothing new.
                () = self.changed.notified() => {}
            }
        }
    }
}
