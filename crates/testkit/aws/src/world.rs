//! Everything that there is in the simulated account, and the passing of its time.
//!
//! All of it stands behind one lock; nothing here waits or does I/O, apart from the sockets of tasks that serve.

use crate::clock::Moment;
use crate::ec2::Ec2;
use crate::ecs::Ecs;
use crate::ecs::events::StateChange;
use crate::elb::Elb;
use crate::logs::Logs;
use crate::misfortune::Mending;
use crate::names::{Account, Sequence};
use crate::serve::Listeners;
use crate::weather::{ReadWeather, Sky, TaskWeather};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) account: Account,
    pub(crate) ids: Sequence,
    /// The time of what happens now: of the call that is answered, or of the transition that was due.
    pub(crate) now: Moment,
    pub(crate) consistency: Consistency,
    pub(crate) ecs: Ecs,
    pub(crate) elb: Elb,
    pub(crate) ec2: Ec2,
    pub(crate) logs: Logs,
    pub(crate) listeners: Listeners,
    pub(crate) reads: Sky<ReadWeather>,
    pub(crate) fortune: Sky<TaskWeather>,
    /// What is broken, and when it is whole again.
    pub(crate) mendings: Vec<(Moment, Mending)>,
    /// What changed and nobody was told of yet.
    pub(crate) changes: Vec<StateChange>,
    due: BTreeMap<(Moment, u64), u64>,
}

/// How long what RunTask did stays unseen by calls that read, and how long its token is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// DescribeTasks answers `MISSING` until then.
    pub described_after: Duration,
    /// ListTasks leaves the task out until then.
    pub listed_after: Duration,
    /// Whether a client token still finds tasks that have stopped, for the hour that they are shown. AWS says 24 hours or the task's
    /// life, whichever is less: one must not rely on it.
    pub tokens_outlive_tasks: bool,
}

impl Default for Consistency {
    fn default() -> Self {
        Self {
            described_after: Duration::from_secs(1),
            listed_after: Duration::from_secs(3),
            tokens_outlive_tasks: true,
        }
    }
}

impl Consistency {
    /// Everything is seen at once.
    pub const STRONG: Self = Self {
        described_after: Duration::ZERO,
        listed_after: Duration::ZERO,
        tokens_outlive_tasks: true,
    };
}

impl World {
    pub(crate) fn new(account: Account, now: Moment, consistency: Consistency, listeners: Listeners) -> Self {
        Self {
            account,
            ids: Sequence::default(),
            now,
            consistency,
            ecs: Ecs::default(),
            elb: Elb::default(),
            ec2: Ec2::default(),
            logs: Logs::default(),
            listeners,
            reads: Sky::default(),
            fortune: Sky::default(),
            mendings: Vec::new(),
            changes: Vec::new(),
            due: BTreeMap::new(),
        }
    }

    /// The task with this number changes by itself at that time, and not at the one that was planned before.
    pub(crate) fn schedule(&mut self, at: Moment, number: u64) {
        let entry = (at, self.ids.number());
        let Some(task) = self.ecs.tasks.get_mut(&number) else {
            return;
        };
        if let Some(earlier) = task.due.replace(entry) {
            self.due.remove(&earlier);
        }
        self.due.insert(entry, number);
    }

    /// Everything that was due until now happens, each at its own time.
    pub(crate) fn settle(&mut self, now: Moment) {
        while let Some(entry) = self.due.first_entry() {
            let (at, _) = *entry.key();
            if at > now {
                break;
            }
            let task = entry.remove();
            self.now = self.now.max(at);
            self.advance_task(task, at);
        }
        self.now = self.now.max(now);
        self.mend(now);
    }

    pub(crate) fn next_due(&self) -> Option<Moment> {
        let change = self.due.keys().next().map(|(at, _)| *at);
        let mending = self.mendings.iter().map(|(at, _)| *at).min();
        [change, mending].into_iter().flatten().min()
    }
}
