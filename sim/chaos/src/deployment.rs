//! What chaos does to a deployment, and what it sees of it with its own eyes: everything that differs from platform to platform.
//!
//! # Writing another one
//!
//! A deployment is one registry, the servers that drive it, and the world that they make things in. Chaos asks for nothing by name: what is there is listed by
//! whatever the platform itself says (a process list, `docker ps`, ECS's API), never by the registry, which is what the list is held against.
//!
//! *Guarantees.* `start` returns when the server says that it is up, or an error in words. After `kill` nothing of the server runs; what becomes of its tasks is the
//! platform's business. `pause` stops the server where it stands, and `proceed` lets it go on there. `lose_power` damages only what an `fsync` has not promised to keep.
//!
//! *Assumptions.* Nobody else uses it. Whoever runs chaos may kill everything in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use wharf_harness::Seed;

use crate::{arguments::Bug, door::Door};

/// What the platform runs, by its marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) instance: String,
    pub(crate) attempt: u64,
    /// The platform's name of it.
    pub(crate) handle: u32,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "task {} (attempt {} of {})",
            self.handle, self.attempt, self.instance
        )
    }
}

/// What else there is of instances in the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Belongings {
    /// Instances that have one.
    pub(crate) databases: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
    /// How many mails have gone to each address.
    pub(crate) mails: BTreeMap<String, usize>,
    /// Ports of the deployment's range on which somebody listens.
    pub(crate) ports: BTreeSet<u16>,
    /// What somebody began to write, and never will go on with.
    pub(crate) unfinished: Vec<String>,
}

/// What chaos plays with.
pub(crate) trait Deployment {
    /// HTTP to it, whether it runs or not.
    fn door(&self) -> Door;

    /// Starts the server on what the last one left, and waits until it says that it is up.
    async fn start(&mut self) -> Result<(), String>;
    /// Begins a start and kills it after a time that is drawn.
    async fn start_in_vain(&mut self, seed: &mut Seed) -> Result<(), String>;
    /// The server is gone, and had no time to do anything.
    async fn kill(&mut self) -> Result<(), String>;
    /// The server is asked to end, and has ended. How it did is for the deployment to judge.
    async fn end(&mut self) -> Result<(), String>;
    fn pause(&self);
    fn proceed(&self);
    /// A second server on the same registry: the error says that it was let in.
    async fn intrude(&mut self) -> Result<String, String>;

    /// Looks at what runs with this deployment's marks, while somebody else has the deployment in hand.
    fn eyes(&self) -> impl Fn() -> Vec<Task> + 'static;
    fn tasks(&self) -> Vec<Task> {
        self.eyes()()
    }
    fn kill_task(&self, task: &Task);
    /// It is there, and does nothing any more.
    fn freeze_task(&self, task: &Task);
    /// It goes on, if it is still there.
    fn thaw_task(&self, task: &Task);
    fn belongings(&self) -> Result<Belongings, String>;

    /// Everything is gone at once, server and tasks, and what was not synced is damaged. Says what.
    async fn lose_power(&mut self, seed: &mut Seed) -> Result<Vec<String>, String>;
    /// What would come back with the power if it went now: things that are about to be removed.
    fn remember(&mut self) -> Result<(), String>;
    /// Fills the disk; `false` where that cannot be done here.
    fn fill_disk(&mut self) -> Result<bool, String>;
    fn make_room(&mut self) -> Result<(), String>;

    /// Breaks something. Says what.
    async fn plant(&mut self, bug: Bug, alive: &str, over: &str) -> Result<String, String>;
    /// What the servers said that no server should.
    fn complaints(&self) -> Vec<String>;
}
