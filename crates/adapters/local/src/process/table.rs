//! Which tasks there are: what makes a start idempotent.
//!
//! What must not be here: processes. This is a map, and the rule for what may be forgotten.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;
use wharf_domain::{Attempt, Failure, instance::TaskRef};

use super::{marker::Key, task::Task};

/// Tasks that are over and whose end can still be asked for. Each holds at most 4 KiB of output.
const MOST_REMEMBERED: usize = 1024;

/// How a start ended, once it has.
pub(super) type Started = watch::Receiver<Option<Result<TaskRef, Failure>>>;

/// A task, or one that is about to be.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Starting(Started),
    Known(Arc<Task>),
}

/// All tasks of the deployment.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<Key, Entry>,
    /// Those that are over, the earliest first.
    over: VecDeque<Arc<Key>>,
    /// No more are started.
    pub(super) is_closing: bool,
}

impl Table {
    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn insert(&mut self, key: Key, entry: Entry) {
        self.entries.insert(key, entry);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// Puts a started task in the place of its start. Earlier attempts of the instance that are over are forgotten:
    /// nobody asks for them any more.
    pub(super) fn put(&mut self, task: Arc<Task>) {
        let first = Key {
            instance: task.key.instance.clone(),
            attempt: Attempt(0),
        };
        let earlier: Vec<Key> = self
            .entries
            .range(first..(*task.key).clone())
            .filter(|(_, entry)| matches!(entry, Entry::Known(task) if task.is_gone()))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &earlier {
            self.entries.remove(key);
        }
        self.entries.insert((*task.key).clone(), Entry::Known(task));
    }

    /// A task is over. The one that was over first is forgotten if there are too many.
    pub(super) fn set_over(&mut self, key: Arc<Key>) {
        self.over.push_back(key);
        // Keys that were forgotten for a later attempt are still in the list: they only make it forget a little earlier.
        if self.over.len() > MOST_REMEMBERED
            && let Some(first) = self.over.pop_front()
        {
            self.entries.remove(&*first);
        }
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Known(task) => Some(task),
            Entry::Starting(_) => None,
        })
    }

    /// Whether a task runs, or is about to.
    pub(super) fn is_busy(&self) -> bool {
        self.entries.values().any(|entry| match entry {
            Entry::Starting(_) => true,
            Entry::Known(task) => !task.is_gone(),
        })
    }

    /// The tasks of which something may run, by the number of their first process.
    pub(super) fn leaders(&self) -> HashMap<i32, Arc<Key>> {
        self.tasks()
            .filter(|task| !task.is_gone())
            .map(|task| (task.leader.as_raw_pid(), task.key.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::Pid;
    use wharf_domain::{InstanceId, Timestamp};

    fn task(instance: u64, attempt: u32) -> Arc<Task> {
        let key = Key {
            instance: InstanceId::new(Timestamp(instance), [0; 10]),
            attempt: Attempt(attempt),
        };
        let reference = TaskRef {
            id: "1:1".into(),
            attempt: Attempt(attempt),
        };
        Arc::new(Task::new(Arc::new(key), reference, Pid::INIT, None, None))
    }

    #[test]
    fn a_task_that_runs_is_not_forgotten_for_a_later_attempt() {
        let mut table = Table::default();
        let (first, second) = (task(1, 1), task(1, 2));
        table.put(first.clone());
        table.put(second);
        assert!(table.get(&first.key).is_some());
    }

    #[test]
    fn no_more_ended_tasks_are_remembered_than_the_bound() {
        let mut table = Table::default();
        for instance in 0..MOST_REMEMBERED as u64 + 10 {
            let task = task(instance, 1);
            table.put(task.clone());
            table.set_over(task.key.clone());
        }
        assert_eq!(table.tasks().count(), MOST_REMEMBERED);
    }
}
