//! Everything there is outside the registry: tasks, routes, databases, secrets, mails, output; and what a test may do to it and
//! ask of it. It outlives every process.

use parking_lot::{Mutex, MutexGuard};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use tokio::sync::broadcast;
use wharf_domain::{DeploymentId, Email, InstanceId, Timestamp};
use wharf_platform::{Mail, Owner, Platform, PortSource, Post, RouteKey, Standing, TaskEvent};
use wharf_saga::Clock;

use super::{
    Audit, Behaviour, EventManner, Flaw, Process, SimClock,
    chance::{Chance, draw},
    databases::SimDatabase,
    faults::Faults,
    logs::Output,
    routes::SimRoute,
    tasks::{Ending, SimTask},
    trace::Trace,
};

/// Events that a subscriber may be behind.
const EVENTS: usize = 4096;

/// The simulated world. Cheap to clone: every clone is the same world.
#[derive(Clone)]
pub struct SimWorld {
    inner: Arc<Inner>,
}

struct Inner {
    seed: u64,
    clock: SimClock,
    deployment: DeploymentId,
    faults: Faults,
    trace: Trace,
    events: broadcast::Sender<TaskEvent>,
    /// Not its own: whoever watches a world has it, and a world that is through with is to be gone from memory.
    audit: OnceLock<Weak<dyn Audit>>,
    /// The mistake that is made on purpose.
    flaw: OnceLock<Flaw>,
    state: Mutex<State>,
}

/// All that can change.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch that somebody turns by itself"
)]
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) deployment: Option<DeploymentId>,
    pub(crate) tasks: BTreeMap<String, SimTask>,
    pub(crate) tasks_started: u32,
    /// By program: how its tasks behave.
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    /// By program: how the next ones do, in order.
    pub(crate) next_behaviours: BTreeMap<String, VecDeque<Behaviour>>,
    /// Ends of tasks that have just been decided: somebody has to tell of them when their time comes.
    pub(crate) endings: Vec<Ending>,
    pub(crate) leased_ports: Option<(u16, u16)>,
    pub(crate) embedded: bool,
    /// The load balancer lives within Wharf's own process, and ends with it.
    pub(crate) embedded_routes: bool,
    /// What Wharf did to the world that it must not do, in words.
    pub(crate) mistakes: Vec<String>,
    pub(crate) events: EventManner,
    /// Endpoints are given out again as soon as they are free, out of so few.
    pub(crate) scarce_addresses: bool,
    /// What a call takes at the most, each way.
    pub(crate) latency: Duration,
    /// Calls that have taken their time so far.
    pub(crate) delayed: u64,
    /// Calls that will reach the world although nobody waits for them.
    pub(crate) on_their_way: usize,
    /// One of them reaches it now.
    pub(crate) landing: bool,
    pub(crate) flaw: Option<Flaw>,
    /// Whose task has answered well.
    pub(crate) answered: RefCell<HashSet<Owner>>,
    pub(crate) routes: BTreeMap<RouteKey, Vec<SimRoute>>,
    pub(crate) standings: BTreeMap<RouteKey, (InstanceId, Standing)>,
    pub(crate) balancer_checks_health: bool,
    /// Requests under way, by number: whose they are.
    pub(crate) requests: BTreeMap<u64, (RouteKey, Owner)>,
    pub(crate) requests_begun: u64,
    pub(crate) visits: usize,
    /// By endpoint: somebody who is none of ours listens there.
    pub(crate) squatters: BTreeMap<String, String>,
    pub(crate) databases: BTreeMap<String, SimDatabase>,
    pub(crate) databases_made: u64,
    pub(crate) secrets: BTreeMap<InstanceId, BTreeMap<String, String>>,
    pub(crate) mails: Vec<Mail>,
    pub(crate) posts: Vec<Post>,
    pub(crate) mail_tries: u32,
    pub(crate) refused_mailboxes: Vec<Email>,
    pub(crate) output: BTreeMap<InstanceId, Output>,
    /// Bodies of records, as they were committed.
    pub(crate) journal: Vec<(InstanceId, String)>,
}

impl fmt::Debug for SimWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimWorld")
            .field("seed", &self.inner.seed)
            .finish_non_exhaustive()
    }
}

impl SimWorld {
    /// An empty world. Has to be made within a tokio runtime, whose clock it takes its time from.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let mut marks = [0; 10];
        marks.fill_with(|| chance.below(256) as u8);
        let deployment = DeploymentId::new(marks);
        let state = State {
            deployment: Some(deployment.clone()),
            ..State::default()
        };
        Self {
            inner: Arc::new(Inner {
                seed,
                clock: SimClock::new(),
                deployment,
                faults: Faults::new(chance.next()),
                trace: Trace::default(),
                events: broadcast::Sender::new(EVENTS),
                audit: OnceLock::new(),
                flaw: OnceLock::new(),
                state: Mutex::new(state),
            }),
        }
    }

    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    #[must_use]
    pub fn clock(&self) -> SimClock {
        self.inner.clock.clone()
    }

    /// Whose the world's resources are, unless they are planted as another's.
    #[must_use]
    pub fn deployment_id(&self) -> &DeploymentId {
        &self.inner.deployment
    }

    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.inner.trace
    }

    /// A run of Wharf, to be paused and killed on its own. `name` stands in the trace.
    #[must_use]
    pub fn process(&self, name: &str) -> Process {
        Process::new(self.clone(), name)
    }

    /// The world as a process sees it that nobody ever kills.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.process("test").platform()
    }

    /// Lets Wharf lease every dynamic port, from this range, as it does for local processes. Without, a task has an address of its own.
    pub fn lease_ports(&self, first: u16, last: u16) {
        self.state().leased_ports = Some((first, last));
    }

    /// Whether tasks and load balancer live within Wharf's own process, as on one machine, and end with it.
    pub fn embedded(&self, they_do: bool) {
        let mut state = self.state();
        (state.embedded, state.embedded_routes) = (they_do, they_do);
    }

    /// Whether the load balancer alone does: tasks outlive Wharf, and its routes do not.
    pub fn embedded_routes(&self, it_does: bool) {
        self.state().embedded_routes = it_does;
    }

    /// The process of Wharf on this machine has died: what lived in it is gone, and nothing tells of it.
    pub fn wharf_died(&self) {
        let mut state = self.state();
        if state.embedded {
            let deployment = state.deployment.clone();
            state
                .tasks
                .retain(|_, task| Some(&task.owner.deployment) != deployment.as_ref());
        }
        if state.embedded_routes {
            state.routes.clear();
            state.standings.clear();
            state.requests.clear();
        }
    }

    /// From now on no event of a task reaches anybody.
    pub fn lose_events(&self, lost: bool) {
        self.state().events = EventManner {
            lose: if lost { 1.0 } else { 0.0 },
            ..EventManner::default()
        };
    }

    /// From now on events of tasks are told like this.
    pub fn tell_events(&self, manner: EventManner) {
        self.state().events = manner;
    }

    /// Every call takes some time on its way, and some on its way back: anything up to this much each.
    pub fn set_latency(&self, longest: Duration) {
        self.state().latency = longest;
    }

    /// A call's time one way.
    pub(crate) async fn travel(&self) {
        let pause = {
            let mut state = self.state();
            if state.latency.is_zero() {
                return;
            }
            state.delayed += 1;
            state.latency.mul_f64(draw(self.inner.seed, &[state.delayed]))
        };
        tokio::time::sleep(pause).await;
    }

    /// Addresses are few, and one that is free is the next to be given out again.
    pub fn scarce_addresses(&self, they_are: bool) {
        self.state().scarce_addresses = they_are;
    }

    /// Makes a mistake on purpose, from the beginning and for good.
    pub fn plant_flaw(&self, flaw: Flaw) {
        if self.inner.flaw.set(flaw).is_ok() {
            self.state().flaw = Some(flaw);
        }
    }

    /// Whether this mistake is made on purpose.
    #[must_use]
    pub fn has(&self, flaw: Flaw) -> bool {
        self.inner.flaw.get() == Some(&flaw)
    }

    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        self.inner.flaw.get().copied()
    }

    pub(crate) fn audit_cell(&self) -> &OnceLock<Weak<dyn Audit>> {
        &self.inner.audit
    }

    /// What carries the mark of this instance: a line each, empty when nothing is left of it.
    #[must_use]
    pub fn belongings(&self, id: &InstanceId) -> Vec<String> {
        self.leftovers(|other| other != id)
    }

    /// What carries this deployment's mark and is of an instance that is not `wanted` any more: a line each.
    #[must_use]
    pub fn leftovers(&self, wanted: impl Fn(&InstanceId) -> bool) -> Vec<String> {
        let now = self.inner.clock.now();
        let state = self.state();
        let ours = |owner: &Owner| owner.deployment == self.inner.deployment && !wanted(&owner.instance);
        let mut left = Vec::new();
        for task in state
            .tasks
            .values()
            .filter(|task| ours(&task.owner) && task.is_there(now))
        {
            left.push(format!("task {} of {}", task.reference.id, task.owner.instance));
        }
        for (key, routes) in &state.routes {
            for route in routes.iter().filter(|route| ours(&route.backend.owner)) {
                left.push(format!("route {key:?} of {}", route.backend.owner.instance));
            }
        }
        for (name, database) in state.databases.iter().filter(|(_, database)| ours(&database.owner)) {
            left.push(format!("database {name} of {}", database.owner.instance));
        }
        for id in state.secrets.keys().filter(|id| !wanted(id)) {
            left.push(format!("secrets of {id}"));
        }
        left
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock()
    }

    pub(crate) fn events(&self) -> &broadcast::Sender<TaskEvent> {
        &self.inner.events
    }

    /// Writes a line into the trace.
    pub fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        self.inner.trace.note(self.now(), who, what);
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

impl State {
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(crate) fn port_source(&self) -> PortSource {
        self.leased_ports
            .map_or(PortSource::Platform, |(first, last)| PortSource::Leased(first..=last))
    }
}
