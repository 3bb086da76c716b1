//! Docker's events, as the platform's; and after a loss of their stream, what was missed.
//!
//! What must not be here: what an instance makes of them.
//!
//! Expected flow: agree on a version → from now on events count → look at everything once → hear events until the stream ends → again, after a pause that
//! grows with each failure. An event that comes between the second and the third is heard all the same: the stream is asked to begin before the look.

use bollard::{
    models::{EventMessage, EventMessageTypeEnum},
    query_parameters::EventsOptions,
};
use futures::StreamExt;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, interval, sleep};
use wharf_domain::{Failure, Timestamp};
use wharf_platform::{Owner, TaskStatus};

use crate::{cause, engine, failure, marks, seen::Phase, world::World};

/// The pause before Docker is asked for its events again; each later one is twice as long.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);
/// A stream that lasted so long ended for a new reason.
const LASTED: Duration = Duration::from_secs(30);
/// A container that ended is kept so long for its output: longer than Wharf keeps an instance's that failed.
const KEEP_ENDED: Duration = Duration::from_hours(8 * 24);
/// Between two looks for those that are older.
const SWEEP: Duration = Duration::from_hours(1);
/// Signals that ask for something else than an end: to read the configuration again, and the program's own.
const NO_END: &[&str] = &["1", "10", "12", "HUP", "USR1", "USR2"];

/// Hears Docker's events until the future is dropped.
pub(crate) async fn watch(world: Arc<World>) {
    let mut pause = AGAIN_FIRST;
    loop {
        let begun = Instant::now();
        let failure = listen(&world).await;
        let was_watching = world.notices.lock().watching_since.take().is_some();
        if begun.elapsed() > LASTED {
            pause = AGAIN_FIRST;
        }
        if was_watching {
            tracing::warn!(error = %failure.message, "Docker's events are lost: what happens meanwhile is looked for later");
        } else {
            tracing::debug!(error = %failure.message, "Docker's events cannot be had yet");
        }
        sleep(pause).await;
        pause = (pause * 2).min(AGAIN_LONGEST);
    }
}

/// Listens until the stream ends, and says why it did.
async fn listen(world: &World) -> Failure {
    let host = &world.options.host;
    if let Err(failure) = engine::agree(&world.docker, host).await {
        return failure;
    }
    let since = world.options.clock.now();
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), marks::filter(&world.options.deployment)),
    ]);
    let options = EventsOptions {
        since: Some(seconds(since)),
        filters: Some(filters),
        ..EventsOptions::default()
    };
    let mut stream = std::pin::pin!(world.docker.events(Some(options)));
    world.notices.lock().watching_since = Some(since);
    if let Err(failure) = catch_up(world).await {
        return failure;
    }
    world.pool.met_again();
    let mut sweep = interval(SWEEP);
    loop {
        tokio::select! {
            event = stream.next() => match event {
                Some(Ok(event)) => hear(world, event).await,
                Some(Err(error)) => return failure::of(&error, host),
                None => return Failure::new(wharf_domain::Code::DockerUnavailable, "Docker ended the stream of its events"),
            },
            _ = sweep.tick() => remove_old(world).await,
        }
    }
}

/// Seconds with their fraction, as Docker takes a time.
fn seconds(time: Timestamp) -> String {
    format!("{}.{:03}", time.as_millis() / 1000, time.as_millis() % 1000)
}

/// Looks at every container once, and tells what changed while nobody listened.
async fn catch_up(world: &World) -> Result<(), Failure> {
    let alive = world.list(None, &["running", "paused"]).await?;
    let ended = world.list(None, &["exited", "dead", "removing"]).await?;
    let there: HashSet<&String> = alive.iter().chain(&ended).map(|(name, _)| name).collect();
    let known = {
        let mut notices = world.notices.lock();
        let known = std::mem::take(&mut notices.running);
        notices.running = alive.iter().cloned().collect();
        notices.ending.retain(|name| there.contains(name));
        notices.signals.retain(|name, _| there.contains(name));
        notices.out_of_memory.retain(|name| there.contains(name));
        known
    };
    for (name, owner) in &alive {
        tell(world, owner, name).await;
    }
    for (name, owner) in known {
        if !alive.iter().any(|(alive, _)| *alive == name) {
            tell(world, &owner, &name).await;
        }
    }
    Ok(())
}

/// Tells how a container is now. One that cannot be looked at is left to the next look at all tasks.
async fn tell(world: &World, owner: &Owner, name: &str) {
    match world.own(owner, name).await {
        Ok(Some(seen)) => {
            let status = world.status(owner, name, &seen).await;
            if seen.phase == Phase::Ended {
                world.notices.lock().running.remove(name);
            }
            world.tell(owner, status);
        }
        Ok(None) => {
            world.notices.lock().running.remove(name);
            world.tell(owner, TaskStatus::Gone);
        }
        Err(failure) => {
            // A Docker that is ending lists its containers and does not describe them any more: the next one is asked again.
            world.notices.lock().running.insert(name.to_owned(), owner.clone());
            tracing::debug!(name, error = %failure.message, "an event's container cannot be looked at");
        }
    }
}

async fn hear(world: &World, event: EventMessage) {
    let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
    if event.typ != Some(EventMessageTypeEnum::CONTAINER) {
        return;
    }
    let action = event.action.as_deref().unwrap_or_default();
    let name = attributes.get("name").cloned().unwrap_or_default();
    let owner = marks::owner(&attributes, &name);
    if let Some((_, slot)) = marks::warm(&attributes) {
        hear_of_pool(world, action, &name, &slot, owner.as_ref()).await;
    }
    let Some(owner) = owner else { return };
    match action {
        "start" | "unpause" => {
            world.notices.lock().running.insert(name.clone(), owner.clone());
            tell(world, &owner, &name).await;
        }
        "kill" => {
            let signal = attributes.get("signal").cloned().unwrap_or_default();
            let mut notices = world.notices.lock();
            if !notices.ending.contains(&name) && !NO_END.contains(&signal.as_str()) {
                notices.signals.insert(name, signal);
            }
        }
        "oom" => {
            world.notices.lock().out_of_memory.insert(name);
        }
        "pause" => world.tell(&owner, TaskStatus::Paused { cause: cause::paused() }),
        "die" => tell(world, &owner, &name).await,
        "destroy" => {
            let was_running = world.notices.lock().running.contains_key(&name);
            world.notices.lock().forget(&name);
            if was_running {
                world.tell(&owner, TaskStatus::Gone);
            }
        }
        _ => {}
    }
}

/// Of a container that was started ahead, claimed or not.
async fn hear_of_pool(world: &World, action: &str, name: &str, slot: &str, owner: Option<&Owner>) {
    if matches!(action, "die" | "destroy") {
        // What it was told is of no use any more.
        world.pool.slots.remove(slot);
    }
    match owner {
        None if matches!(action, "die" | "destroy" | "pause") => world.pool.lost(name),
        // It was claimed: for its owner, that is its start.
        Some(owner) if action == "rename" => {
            world.notices.lock().running.insert(name.to_owned(), owner.clone());
            tell(world, owner, name).await;
        }
        _ => {}
    }
}

/// Removes containers that ended long ago. Their output has gone from where it could be read by then.
async fn remove_old(world: &World) {
    let ended = match world.list(None, &["exited", "dead"]).await {
        Ok(ended) => ended,
        Err(failure) => {
            tracing::debug!(error = %failure.message, "containers that ended cannot be listed now");
            return;
        }
    };
    for (name, _) in ended {
        let now = world.options.clock.now();
        let is_old = |ended: Timestamp| now.since(ended) > KEEP_ENDED;
        match world.see(&name).await {
            Ok(Some(seen)) if seen.ended_at.is_some_and(is_old) => {
                if let Err(failure) = world.remove(&name, false).await {
                    tracing::debug!(name, error = %failure.message, "an old container stays for now");
                }
            }
            Ok(_) => {}
            Err(failure) => tracing::debug!(name, error = %failure.message, "an old container stays for now"),
        }
    }
}
