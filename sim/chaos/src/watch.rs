//! What must hold at every moment, looked at again and again while a round goes on: an instance has one task at the most.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use crate::{compare::Violation, deployment::Task, log::Log};

/// Between two looks: a heal takes longer.
const PAUSE: Duration = Duration::from_millis(25);

pub(crate) async fn watch(
    tasks: impl Fn() -> Vec<Task>,
    is_over: &Cell<bool>,
    log: &Log,
    violations: &RefCell<Vec<Violation>>,
) {
    while !is_over.get() {
        tokio::time::sleep(PAUSE).await;
        let first = tasks();
        if twins(&first).is_none() {
            continue;
        }
        // A list is not of one moment: the one may have ended before the other began. Who is there in a second list was there when the first one ended.
        let second = tasks();
        let still: Vec<Task> = first.into_iter().filter(|task| second.contains(task)).collect();
        if let Some((one, other)) = twins(&still) {
            let violation = Violation::at_large(format!("an instance has two tasks at once: {one} and {other}"));
            log.say(format_args!("WRONG: {violation}"));
            violations.borrow_mut().push(violation);
            return;
        }
    }
}

/// Two tasks of one instance.
fn twins(tasks: &[Task]) -> Option<(Task, Task)> {
    let mut seen: BTreeMap<&str, &Task> = BTreeMap::new();
    tasks.iter().find_map(|task| {
        let other = seen.insert(&task.instance, task)?;
        Some((other.clone(), task.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tasks_of_one_instance_are_twins_whatever_their_attempts() {
        let task = |instance: &str, attempt, handle| Task {
            instance: instance.to_owned(),
            attempt,
            handle,
        };
        assert_eq!(twins(&[task("a", 1, 1), task("b", 1, 2)]), None);
        let tasks = [task("a", 1, 1), task("b", 1, 2), task("a", 2, 3)];
        assert_eq!(twins(&tasks), Some((tasks[0].clone(), tasks[2].clone())));
    }
}
