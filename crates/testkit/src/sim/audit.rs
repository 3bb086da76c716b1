//! Somebody who is told of every change to world and registry the moment it is made, and may look at everything. Checks that
//! have to hold all along are made of this; what they check is not said here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};
use wharf_domain::{InstanceId, Timestamp};
use wharf_platform::{Mail, Owner, RouteKey};
use wharf_saga::store::{Batch, Committed};

use super::{SimWorld, databases::SimDatabase, routes::SimRoute, tasks::SimTask, world::State};

/// Is told of changes. Must not wait, and must not change anything.
pub trait Audit: Send + Sync + 'static {
    /// A call has reached the world.
    fn world_changed(&self, world: &SimWorld);

    /// A batch of this process was written.
    fn committed(&self, process: &str, batch: &Batch, committed: &Committed);

    /// A message was put into an inbox.
    fn appended(&self, id: &InstanceId, body: &str);
}

/// The whole world at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub now: Timestamp,
    state: &'a State,
}

impl<'a> View<'a> {
    /// Every task that there ever was.
    pub fn tasks(&self) -> impl Iterator<Item = &'a SimTask> + use<'a> {
        self.state.tasks.values()
    }

    /// The tasks of which something is on a machine.
    pub fn live_tasks(&self) -> impl Iterator<Item = &'a SimTask> + use<'a> {
        let now = self.now;
        self.tasks().filter(move |task| task.is_there(now))
    }

    /// Every endpoint behind a route.
    pub fn routes(&self) -> impl Iterator<Item = (&'a RouteKey, &'a SimRoute)> + use<'a> {
        let routes = self.state.routes.iter();
        routes.flat_map(|(key, routes)| routes.iter().map(move |route| (key, route)))
    }

    /// Whom each request that is under way has reached.
    pub fn requests(&self) -> impl Iterator<Item = &'a Owner> + use<'a> {
        self.state.requests.values().map(|(_, owner)| owner)
    }

    pub fn databases(&self) -> impl Iterator<Item = (&'a str, &'a SimDatabase)> + use<'a> {
        self.state
            .databases
            .iter()
            .map(|(name, database)| (name.as_str(), database))
    }

    #[must_use]
    pub fn database(&self, name: &str) -> Option<&'a SimDatabase> {
        self.state.databases.get(name)
    }

    pub fn secrets(&self) -> impl Iterator<Item = (&'a InstanceId, &'a BTreeMap<String, String>)> + use<'a> {
        self.state.secrets.iter()
    }

    #[must_use]
    pub fn secrets_of(&self, id: &InstanceId) -> Option<&'a BTreeMap<String, String>> {
        self.state.secrets.get(id)
    }

    #[must_use]
    pub fn mails(&self) -> &'a [Mail] {
        &self.state.mails
    }

    /// Whether this attempt's own task has ever answered well to somebody who asked for it.
    #[must_use]
    pub fn has_answered(&self, owner: &Owner) -> bool {
        self.state.answered.borrow().contains(owner)
    }

    /// What Wharf did that it must not do, as far as the world notices by itself.
    #[must_use]
    pub fn mistakes(&self) -> &'a [String] {
        &self.state.mistakes
    }

    /// How many calls are on their way to the world although nobody waits for their answers any more.
    #[must_use]
    pub fn on_their_way(&self) -> usize {
        self.state.on_their_way
    }
}

impl SimWorld {
    /// From now on this one is told of every change. There is one at the most, the first.
    pub fn set_audit(&self, audit: &Arc<impl Audit + 'static>) {
        let audit: Weak<dyn Audit> = Arc::downgrade(audit) as Weak<dyn Audit>;
        let _ = self.audit_cell().set(audit);
    }

    pub(crate) fn audit(&self, tell: impl FnOnce(&dyn Audit)) {
        if let Some(audit) = self.audit_cell().get().and_then(Weak::upgrade) {
            tell(audit.as_ref());
        }
    }

    /// Looks at everything at once. Nothing can change meanwhile, and the world must not be called from within.
    pub fn view<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        let now = self.now();
        let state = self.state();
        look(View { now, state: &state })
    }
}
