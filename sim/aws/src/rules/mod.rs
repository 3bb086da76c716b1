//! What must hold: all along (`along`), and when all is quiet or over (`end`). Told of every commit, and looking through the account; it changes nothing.

mod along;
mod end;

pub(crate) use end::Records;

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use wharf_aws_simulator::{Simulator, TaskSeen};
use wharf_domain::{Attempt, Instance, InstanceId};
use wharf_provisioning::Reporter;
use wharf_saga::store::{Happening, HistoryEntry};
use wharf_testkit::sim::{SimWorld, clock::START};

use crate::{account::Account, account::Foreign, report::Violation};

/// No more of them are of use to anybody.
const MOST_VIOLATIONS: usize = 5;

/// A task of this deployment, as its `startedBy` says whose it is.
type Whose = (String, u32);

/// The rules of one run, and what they remember.
pub(crate) struct Rules {
    world: SimWorld,
    simulator: Arc<Simulator>,
    foreign: Foreign,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    violations: Vec<Violation>,
    /// As the last commit told of it. A fenced driver's commit is refused, so that this is the registry's own word.
    instances: BTreeMap<InstanceId, Instance>,
    /// The tasks that there ever were of an attempt.
    started: BTreeMap<Whose, BTreeSet<String>>,
    /// What is wrong for now, and since when.
    wrong: BTreeMap<String, Duration>,
}

impl Rules {
    pub(crate) fn new(world: SimWorld, account: &Account) -> Self {
        Self {
            world,
            simulator: account.simulator.clone(),
            foreign: account.foreign.clone(),
            state: Mutex::default(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.world.now().0.saturating_sub(START.0))
    }

    pub(crate) fn violated(&self, rule: &'static str, what: String) {
        let at = self.now();
        self.world.note("rules", format_args!("{rule}: {what}"));
        let mut state = self.state.lock();
        if state.violations.len() < MOST_VIOLATIONS {
            state.violations.push(Violation { at, rule, what });
        }
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.state.lock().violations.clone()
    }

    /// What the registry says, for what no commit told of whose answer was lost.
    pub(crate) fn read(&self, records: impl Iterator<Item = Instance>) {
        let mut state = self.state.lock();
        state
            .instances
            .extend(records.map(|instance| (instance.id.clone(), instance)));
    }

    /// Whose a task is, if it is this deployment's.
    fn whose(&self, task: &TaskSeen) -> Option<Whose> {
        let mut parts = task.started_by.as_deref()?.strip_prefix("wharf/")?.split('/');
        let deployment = parts.next()?;
        let (instance, attempt) = (parts.next()?, parts.next()?.parse().ok()?);
        (deployment == self.world.deployment_id().as_str()).then(|| (instance.to_owned(), attempt))
    }
}

/// On its way, or there, and nobody has told it to end.
fn is_live(task: &TaskSeen) -> bool {
    task.desired == "RUNNING" && task.status != "STOPPED"
}

fn is_of(task: &Whose, instance: &Instance, attempt: Attempt) -> bool {
    task.0 == instance.id.as_str() && task.1 == attempt.0
}

impl Reporter for Rules {
    fn happened(&self, instance: &Instance, entry: &HistoryEntry) {
        let became_ready = matches!(&entry.what, Happening::State { state, .. } if state == "ready");
        self.state
            .lock()
            .instances
            .insert(instance.id.clone(), instance.clone());
        if became_ready {
            self.check_ready(instance);
        }
    }
}
