//! Containers that stand still, and the memory that one uses.
//!
//! What must not be here: whose a container is, and when it is to stand still.

use bollard::query_parameters::StatsOptions;
use futures::StreamExt;
use std::time::Duration;
use wharf_domain::{Code, Failure};

use crate::{
    failure,
    seen::{Phase, Seen},
    world::World,
};

/// How long Docker may take to tell of memory: nothing depends on it.
const MEMORY_WITHIN: Duration = Duration::from_secs(2);

pub(crate) fn has_ended(name: &str) -> Failure {
    Failure::new(Code::TaskLost, format!("the container {name} does not run any more"))
}

/// Pauses a container, or lets it go on. One that is so already stays so.
pub(crate) async fn set_paused(world: &World, name: &str, seen: &Seen, is_paused: bool) -> Result<(), Failure> {
    let done = match (seen.phase, is_paused) {
        (Phase::Running, false) | (Phase::Paused, true) => return Ok(()),
        (Phase::Running, true) => world.docker.pause_container(name).await,
        (Phase::Paused, false) => world.docker.unpause_container(name).await,
        (Phase::Created | Phase::Ending | Phase::Ended, _) => return Err(has_ended(name)),
    };
    let Err(error) = done else { return Ok(()) };
    let what = if is_paused { "to pause" } else { "to let go on" };
    let failure = failure::of(&error, &format!("{what} the container {name}"));
    // It may have ended just now, or somebody else have done it.
    let now = world.see(name).await?.map(|seen| seen.phase);
    match now {
        Some(Phase::Paused) if is_paused => Ok(()),
        Some(Phase::Running) if !is_paused => Ok(()),
        Some(Phase::Running | Phase::Paused) if failure.code == Code::DockerRefused => {
            Err(Failure::new(Code::TaskPause, failure.message)
                .hint("see what `docker pause` says; `sleep = \"stop\"` needs no pause"))
        }
        Some(Phase::Running | Phase::Paused) => Err(failure),
        _ => Err(has_ended(name)),
    }
}

/// Bytes that a container has to itself: without what the kernel keeps of files and gives away by itself.
pub(crate) async fn memory(world: &World, name: &str) -> Result<Option<u64>, Failure> {
    let options = StatsOptions {
        stream: false,
        one_shot: true,
    };
    let mut stats = std::pin::pin!(world.docker.stats(name, Some(options)));
    let told = tokio::time::timeout(MEMORY_WITHIN, stats.next()).await;
    let Ok(Some(told)) = told else { return Ok(None) };
    let told = told.map_err(|error| failure::of(&error, &format!("to look at the memory of the container {name}")))?;
    let Some(memory) = told.memory_stats else {
        return Ok(None);
    };
    // By the first name where control groups are of the second version.
    let files = memory.stats.and_then(|stats| {
        let found = stats.get("inactive_file").or_else(|| stats.get("total_inactive_file"));
        found.copied()
    });
    Ok(memory
        .usage
        .map(|usage| usage.saturating_sub(files.unwrap_or_default())))
}
