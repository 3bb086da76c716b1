//! The rules: what must hold whatever goes wrong. They are told of every change to world and registry, keep a book of their own
//! on what was promised, and compare.

mod along;
mod end;
mod ledger;
mod lives;

use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wharf_domain::{InstanceId, Timestamp};
use wharf_provisioning::Settings;
use wharf_saga::store::{Batch, Committed};
use wharf_testkit::sim::{Audit, SimStore, SimWorld, clock::START};

pub(crate) use end::Client;

use crate::report::Violation;
use ledger::Ledger;

/// Violations that are kept of one run. What follows from the first ones is noise.
const KEPT: usize = 8;

/// Holds everything against the rules.
pub(crate) struct Rules {
    world: SimWorld,
    store: Arc<SimStore>,
    settings: Settings,
    /// How far the machines' clocks are apart.
    apart: Duration,
    /// How far the clock that is worst off shows another time than it is.
    wrong: Duration,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    instances: BTreeMap<InstanceId, Ledger>,
    /// By driver, as it is called in leases: its process.
    drivers: BTreeMap<String, String>,
    /// By port: who gave it back last, and when.
    released: BTreeMap<String, (InstanceId, Timestamp)>,
    /// Whose record was written last, and when.
    last_written: Option<(InstanceId, Timestamp)>,
    violations: Vec<Violation>,
}

impl Rules {
    /// Rules that watch this world from now on.
    pub(crate) fn watching(world: &SimWorld, store: &Arc<SimStore>, settings: &Settings, skews: &[i64]) -> Arc<Self> {
        let apart = skews.iter().max().unwrap_or(&0) - skews.iter().min().unwrap_or(&0);
        let wrong = skews.iter().map(|skew| skew.unsigned_abs()).max().unwrap_or_default();
        let rules = Arc::new(Self {
            world: world.clone(),
            store: store.clone(),
            settings: settings.clone(),
            apart: Duration::from_millis(apart.unsigned_abs()),
            wrong: Duration::from_millis(wrong),
            book: Mutex::default(),
        });
        world.set_audit(&rules);
        rules
    }

    /// Writes down what must not be, once.
    pub(crate) fn broken(&self, rule: &'static str, what: String) {
        self.book.lock().broken(&self.world, rule, what);
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.book.lock().violations.clone()
    }

    /// The registry was opened again after its only user died: leases are nobody's.
    pub(crate) fn leases_were_freed(&self) {
        for ledger in self.book.lock().instances.values_mut() {
            ledger.lease.holder = None;
        }
    }
}

impl Book {
    fn broken(&mut self, world: &SimWorld, rule: &'static str, what: String) {
        let is_known = self
            .violations
            .iter()
            .any(|known| known.rule == rule && known.what == what);
        if is_known || self.violations.len() >= KEPT {
            return;
        }
        let at = Duration::from_millis(world.now().0.saturating_sub(START.0));
        world.note("rules", format_args!("BROKEN {rule}: {what}"));
        self.violations.push(Violation { at, rule, what });
    }
}

impl Audit for Rules {
    fn world_changed(&self, _: &SimWorld) {
        self.hold_world();
    }

    fn committed(&self, process: &str, batch: &Batch, committed: &Committed) {
        self.hold_commit(process, batch, committed);
        self.hold_world();
    }

    fn appended(&self, id: &InstanceId, body: &str) {
        if let Some(ledger) = self.book.lock().instances.get_mut(id) {
            ledger.told(body, self.world.now());
        }
    }
}
