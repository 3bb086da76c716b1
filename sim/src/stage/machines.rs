//! The machines: each runs Wharf, dies now and then, and is started again.

use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use wharf_domain::{Code, Failure, Timestamp};
use wharf_platform::Owner;
use wharf_provisioning::{Message, Settings, Wharf, repair::Class};
use wharf_testkit::sim::{Edge, Flaw, Process, SimClock, SimStore, SimWaker, SimWorld, waker::Manner, wharf::assemble};

use crate::{
    rules::Rules,
    script::{Layout, Setting},
};

/// How often a server compares registry and world by itself, and mends what is safe, where its configuration says nothing.
const REPAIR: Duration = Duration::from_mins(10);
/// How soon a machine is back when nobody says otherwise.
const BACK: Duration = Duration::from_secs(1);
/// Between two looks at the health of what is behind open routes.
const CHECKED_EVERY: Duration = Duration::from_secs(5);

/// All of them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Machines {
    inner: Arc<Inner>,
}

struct Inner {
    world: SimWorld,
    store: Arc<SimStore>,
    settings: Settings,
    layout: Layout,
    sleepers: bool,
    rules: Arc<Rules>,
    machines: Vec<Machine>,
    /// Lives begun: tells each from every other.
    lives: AtomicU32,
    wakes: Mutex<Manner>,
    /// Of every life that there was.
    wakers: Mutex<Vec<Arc<SimWaker>>>,
}

struct Machine {
    clock: SimClock,
    /// What runs on it, if it is up.
    life: Mutex<Option<Life>>,
    down: Mutex<Duration>,
}

#[derive(Clone)]
struct Life {
    process: Process,
    wharf: Wharf,
    waker: Arc<SimWaker>,
    /// It has read the registry, and does its work.
    serves: bool,
}

impl Machines {
    pub(super) fn new(
        world: &SimWorld,
        store: &Arc<SimStore>,
        settings: Settings,
        setting: &Setting,
        rules: &Arc<Rules>,
    ) -> Self {
        let clock = |skew: &i64| {
            let by = Duration::from_millis(skew.unsigned_abs());
            if *skew < 0 {
                world.clock().behind(by)
            } else {
                world.clock().ahead(by)
            }
        };
        let machine = |skew| Machine {
            clock: clock(skew),
            life: Mutex::new(None),
            down: Mutex::new(BACK),
        };
        Self {
            inner: Arc::new(Inner {
                world: world.clone(),
                store: store.clone(),
                settings,
                layout: setting.layout,
                sleepers: setting.offers.sleepers,
                rules: rules.clone(),
                machines: setting.skews.iter().map(machine).collect(),
                lives: AtomicU32::new(0),
                wakes: Mutex::new(Manner::Reliable),
                wakers: Mutex::default(),
            }),
        }
    }

    pub(super) fn start(&self) {
        for index in 0..self.inner.machines.len() {
            let machines = self.clone();
            tokio::spawn(async move {
                loop {
                    machines.live(index).await;
                }
            });
        }
    }

    /// One life of a machine, and the time until the next.
    async fn live(&self, index: usize) {
        let inner = &self.inner;
        let machine = &inner.machines[index];
        let number = inner.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let around: wharf_testkit::sim::wharf::Around = Arc::new(|step| step);
        let clock = machine.clock.clone();
        let mut run = assemble(&inner.world, &inner.store, &inner.settings, &around, number, clock);
        run.waker.set(*inner.wakes.lock());
        inner.wakers.lock().push(run.waker.clone());
        let process = run.process.clone();
        let mut life = Life {
            process: process.clone(),
            wharf: run.wharf.clone(),
            waker: run.waker.clone(),
            serves: false,
        };
        *machine.life.lock() = Some(life.clone());
        let served = tokio::select! {
            biased;
            () = process.died() => false,
            served = run.serve() => served.is_ok(),
        };
        if served {
            life.serves = true;
            *machine.life.lock() = Some(life);
            if !inner.world.has(Flaw::NeverLooks) {
                let wharf = run.wharf.clone();
                run.keep(async move { wharf.repair_forever(REPAIR, true).await });
            }
            if inner.sleepers {
                run.keep(check_health(inner.world.clone(), run.wharf.clone()));
            }
            process.died().await;
        }
        inner.world.note("world", format_args!("run{number} is dead"));
        run.end();
        *machine.life.lock() = None;
        inner.world.wharf_died();
        let down = *machine.down.lock();
        tokio::time::sleep(down).await;
        if !matches!(inner.layout, Layout::Fleet(_)) {
            // Whoever gets the lock on the data directory knows that nobody else has it.
            inner.store.restart(inner.world.now());
            inner.rules.leases_were_freed();
        }
    }

    fn life(&self, index: usize) -> Option<Life> {
        self.inner.machines[index % self.inner.machines.len()]
            .life
            .lock()
            .clone()
    }

    /// Wharf as it runs on a machine, or on the next one that is up. A server that still reads its registry answers nobody.
    pub(super) fn wharf(&self, index: usize) -> Option<Wharf> {
        let lives = (0..self.inner.machines.len()).filter_map(|next| self.life(index + next));
        lives.filter(|life| life.serves).map(|life| life.wharf).next()
    }

    /// The time, as it is.
    pub(super) fn now(&self) -> Timestamp {
        self.inner.world.now()
    }

    pub(super) fn are_up(&self) -> bool {
        (0..self.inner.machines.len()).all(|index| self.life(index).is_some_and(|life| life.serves))
    }

    pub(super) fn kill(&self, index: usize, at_call: Option<(u64, Edge)>, down: Duration) {
        let Some(life) = self.life(index) else { return };
        *self.inner.machines[index % self.inner.machines.len()].down.lock() = down;
        self.inner.world.faults().count("machine killed");
        match at_call {
            Some((calls, edge)) => life.process.kill_at(life.process.calls_begun() + calls, edge),
            None => life.process.kill(),
        }
    }

    pub(super) fn pause(&self, index: usize, pause: Duration) {
        let Some(life) = self.life(index) else { return };
        self.inner.world.faults().count("machine paused");
        life.process.pause();
        super::after(pause, move || life.process.resume());
    }

    pub(super) fn repair(&self, index: usize) {
        let Some(wharf) = self.wharf(index) else { return };
        tokio::spawn(async move { repair(&wharf).await });
    }

    pub(super) fn set_wakes(&self, manner: Manner) {
        *self.inner.wakes.lock() = manner;
        for index in 0..self.inner.machines.len() {
            if let Some(life) = self.life(index) {
                life.waker.set(manner);
            }
        }
    }

    /// Takes engines and wakers apart, which hold each other: twenty thousand worlds have no room beside one another.
    pub(super) fn dissolve(&self) {
        for waker in self.inner.wakers.lock().drain(..) {
            waker.disconnect();
        }
    }

    /// Whoever is paused goes on, and whoever was to die at a later call lives.
    pub(super) fn calm(&self) {
        for index in 0..self.inner.machines.len() {
            *self.inner.machines[index].down.lock() = BACK;
            if let Some(life) = self.life(index) {
                life.process.spare();
                life.process.resume();
            }
        }
    }
}

/// The load balancer's health checks, as far as they matter here: what stands still behind an open route does not answer them, and was told to by a call that came too
/// late, or by somebody else.
async fn check_health(world: SimWorld, wharf: Wharf) {
    loop {
        tokio::time::sleep(CHECKED_EVERY).await;
        let silent: Vec<Owner> = world.view(|view| {
            let stands_still = |owner: &Owner| view.live_tasks().any(|task| task.owner == *owner && task.is_paused);
            let open = view
                .routes()
                .filter(|(_, route)| route.open && route.drains_until.is_none());
            let owners = open.map(|(_, route)| &route.backend.owner);
            owners.filter(|owner| stands_still(owner)).cloned().collect()
        });
        for owner in silent {
            let unhealthy = Message::Unhealthy {
                attempt: owner.attempt,
                cause: Failure::new(Code::RouteUnhealthy, "it does not answer"),
            };
            let _ = wharf.engine().send(&owner.instance, &unhealthy, None).await;
        }
    }
}

/// Compares and mends what somebody may mend who asks for it. Where that cannot be now, he asks again, or the next run finds the same.
pub(super) async fn repair(wharf: &Wharf) {
    let _ = wharf.repair(Some(Class::Asked)).await;
}
