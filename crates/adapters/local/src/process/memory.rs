//! Ends tasks that have more memory than they may.
//!
//! What must not be here: limits of other kinds.
//!
//! A watch, not a wall: memory is looked at twice a second (every two seconds at the least), so a program that takes it fast has more for up to that
//! long. A wall would be a control group, which wants rights over one that most machines do not give an ordinary user,
//! and `RLIMIT_AS` and `RLIMIT_DATA` count what a runtime reserves without using it, and break those that reserve much.
//! Against a machine that runs out of memory altogether, tasks are marked as the kernel's first choice
//! (`oom_score_adj`), before Wharf.
//!
//! What counts is what all processes of a task have resident. The quick sum counts shared pages once for each process; only
//! if that is over the limit the exact one is taken, which divides them.

use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

use super::{survey::Survey, sys, task::Task, world::World};
use crate::files;

/// Between looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// A look that takes long is made more rarely: this many times what it took, which is 2 % of one processor.
const REST_FACTOR: u32 = 50;
/// But not more rarely than this: on a busy machine it is waiting that takes long, and that is when memory runs out.
const LONGEST_INTERVAL: Duration = Duration::from_secs(2);

/// Runs until it is aborted. It sleeps as long as no task with a limit runs.
pub(super) async fn watch(world: Arc<World>) {
    loop {
        let began = Instant::now();
        let tasks = limited_tasks(&world);
        if tasks.is_empty() {
            world.limited.notified().await;
            continue;
        }
        if let Err(failure) = look(&world, tasks).await {
            tracing::warn!(%failure, "the memory of tasks cannot be watched");
        }
        tokio::time::sleep((began.elapsed() * REST_FACTOR).clamp(INTERVAL, LONGEST_INTERVAL)).await;
    }
}

fn limited_tasks(world: &World) -> Vec<(Arc<Task>, u64)> {
    let table = world.table.lock();
    table
        .tasks()
        .filter_map(|task| Some((task.clone(), task.memory?)))
        .filter(|(task, _)| task.is_running())
        .collect()
}

async fn look(world: &Arc<World>, tasks: Vec<(Arc<Task>, u64)>) -> Result<(), wharf_domain::Failure> {
    let survey = world.survey().await?;
    files::blocking(move || {
        for (task, limit) in tasks {
            if used(&task, &survey, sys::resident) > limit {
                let used = used(&task, &survey, sys::resident_share);
                if used > limit {
                    task.end_for_memory(used, limit);
                }
            }
        }
        Ok(())
    })
    .await
}

/// Bytes that a task has resident, shared ones divided among those that share them.
pub(super) async fn of(world: &Arc<World>, task: Arc<Task>) -> Result<u64, wharf_domain::Failure> {
    let survey = world.survey().await?;
    files::blocking(move || Ok(used(&task, &survey, sys::resident_share))).await
}

fn used(task: &Task, survey: &Survey, of: fn(rustix::process::Pid) -> u64) -> u64 {
    let rest = survey.rest_of(&task.key).iter().map(|seen| seen.pid);
    [task.leader].into_iter().chain(rest).map(of).sum()
}
