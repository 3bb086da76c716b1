//! Keeps as many containers waiting as there are to be: looks at what is there, removes what cannot be handed out, starts what is missing.

use bollard::{models::ContainerSummaryStateEnum as State, query_parameters::ListContainersOptions};
use data_encoding::HEXLOWER;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use wharf_domain::{Code, Failure, service::DockerTask};
use wharf_platform::Owner;

use super::{Waiting, WarmService};
use crate::{
    failure,
    image::{self, Image},
    marks, shape,
    start::{self, Made},
    world::World,
};

/// Between two looks at what waits, if nothing happens.
const LOOK: Duration = Duration::from_mins(1);
/// The pause after a container could not be started ahead, or ended before it was anybody's; each later one is twice as long.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LONGEST: Duration = Duration::from_mins(5);
/// A failure after so long is a new one.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);
/// Somebody's start goes before one that is nobody's, for so long.
const QUIET_WITHIN: Duration = Duration::from_secs(10);

/// Begins to keep what waits. Where nothing is to wait, what an earlier Wharf has left waiting is removed, and there is nothing more to do.
pub(crate) async fn begin(world: &Arc<World>) -> Option<JoinHandle<()>> {
    let is_wanted = world.pool.services.iter().any(|service| service.count > 0);
    if is_wanted || tend(world).await.is_err() {
        return Some(tokio::spawn(keep(world.clone())));
    }
    None
}

/// Keeps as many waiting as there are to be, until the future is dropped.
async fn keep(world: Arc<World>) {
    let pool = &world.pool;
    let mut pause = AGAIN_FIRST;
    let mut failed_at: Option<Instant> = None;
    loop {
        match tend(&world).await {
            Ok(()) => {
                let _ = timeout(LOOK, pool.wake.notified()).await;
            }
            Err(failure) => {
                if failed_at.is_some_and(|at| at.elapsed() > FORGOTTEN_AFTER) {
                    pause = AGAIN_FIRST;
                }
                failed_at = Some(Instant::now());
                tracing::warn!(code = %failure.code, error = %failure.message, ?pause, "containers cannot be started ahead just now");
                tokio::select! {
                    () = sleep(pause) => {}
                    () = pool.met.notified() => {}
                }
                pause = (pause * 2).min(AGAIN_LONGEST);
            }
        }
    }
}

/// A container that was started ahead, claimed or not.
struct Found {
    name: String,
    mark: String,
    slot: String,
    owner: Option<Owner>,
    state: State,
}

impl Found {
    const fn is_over(&self) -> bool {
        matches!(self.state, State::EXITED | State::DEAD | State::REMOVING)
    }
}

async fn found(world: &World) -> Result<Vec<Found>, Failure> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([(
            "label".to_owned(),
            marks::warm_filter(&world.options.deployment),
        )])),
        ..ListContainersOptions::default()
    };
    let all = world.docker.list_containers(Some(options)).await;
    let all = all.map_err(|error| failure::of(&error, "to list the containers that wait"))?;
    let read = all.into_iter().filter_map(|container| {
        let labels = container.labels?;
        let name = container.names?.into_iter().next()?;
        let name = name.trim_start_matches('/').to_owned();
        let (mark, slot) = marks::warm(&labels)?;
        Some(Found {
            mark,
            slot,
            owner: marks::owner(&labels, &name),
            state: container.state.unwrap_or(State::EMPTY),
            name,
        })
    });
    Ok(read.collect())
}

/// A service with its image as it is now.
struct Wanted<'a> {
    service: &'a WarmService,
    image: Image,
    mark: String,
}

/// Looks at what waits, removes what cannot be handed out, and starts what is missing.
async fn tend(world: &World) -> Result<(), Failure> {
    let pool = &world.pool;
    let all = found(world).await?;
    let alive = all.iter().filter(|found| !found.is_over());
    pool.slots.keep_only(&alive.map(|found| found.slot.clone()).collect());
    let mut wanted = Vec::new();
    let mut failed = None;
    for service in pool.services.iter().filter(|service| service.count > 0) {
        match image_of(world, &service.task, false).await {
            Ok(image) => wanted.push(Wanted {
                mark: service.mark(&image),
                service,
                image,
            }),
            Err(failure) if failure.code.is_outage() => return Err(failure),
            Err(failure) => failed = Some(failure),
        }
    }
    if let Some(failure) = sort_out(world, &wanted, all).await? {
        failed = Some(failure);
    }
    for wanted in wanted {
        if let Err(failure) = fill(world, &wanted).await {
            failed = Some(failure);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Puts on the shelf what can be handed out, and removes the rest. Gives why one of those that are wanted ended, if one did.
async fn sort_out(world: &World, wanted: &[Wanted<'_>], all: Vec<Found>) -> Result<Option<Failure>, Failure> {
    let pool = &world.pool;
    let mut ready: HashMap<String, VecDeque<Waiting>> = HashMap::new();
    let mut unfit = Vec::new();
    for found in all.into_iter().filter(|found| found.owner.is_none()) {
        let of = wanted.iter().find(|wanted| wanted.mark == found.mark);
        let shelf = ready.entry(found.mark.clone()).or_default();
        let is_sound =
            found.state == State::RUNNING && pool.slots.is_there(&found.slot) && !pool.slots.is_told(&found.slot);
        match of.filter(|wanted| is_sound && shelf.len() < wanted.service.count) {
            Some(wanted) => shelf.push_back(Waiting {
                service: wanted.service.service.clone(),
                name: found.name,
                slot: found.slot,
            }),
            None => unfit.push((found, of)),
        }
    }
    {
        let mut shelf = pool.shelf.lock();
        for waiting in ready.values_mut() {
            waiting.retain(|waiting| !shelf.claiming.contains(&waiting.name));
        }
        shelf.ready = ready;
        unfit.retain(|(found, _)| !shelf.claiming.contains(&found.name));
    }
    let mut ended = None;
    for (found, of) in unfit {
        if found.is_over()
            && let Some(wanted) = of
        {
            ended = Some(ended_early(world, &found.name, wanted.service).await);
        }
        world.remove(&found.name, true).await?;
        pool.slots.remove(&found.slot);
    }
    Ok(ended)
}

/// Why a container did not live to see its owner. It may be that its program does not know how to wait.
async fn ended_early(world: &World, name: &str, service: &WarmService) -> Failure {
    let exit_code = match world.see(name).await {
        Ok(seen) => seen.and_then(|seen| seen.exit_code),
        Err(_) => None,
    };
    let code = exit_code.map_or_else(String::new, |code| format!(", with exit code {code}"));
    let printed = world.last_output(name).await;
    let printed = printed.as_deref().and_then(|output| output.lines().last());
    let printed = printed.map_or_else(String::new, |line| format!(": {line:?}"));
    Failure::new(
        Code::TaskCrashed,
        format!(
            "a container of the service {} ended before it was anybody's{code}{printed}",
            service.service
        ),
    )
    .hint("`warm` is for applications that wait for the file in WHARF_CONFIGURATION (docs/docker.md): set warm = 0 for others")
}

/// Starts what is missing, one after the other, each when nobody else's start is under way.
async fn fill(world: &World, wanted: &Wanted<'_>) -> Result<(), Failure> {
    let pool = &world.pool;
    for _ in 0..wanted.service.count {
        if pool.count(&wanted.mark) >= wanted.service.count {
            return Ok(());
        }
        world.starts.quiet(QUIET_WITHIN).await;
        if wanted.service.task.pull == wharf_domain::service::Pull::Always {
            let image = image_of(world, &wanted.service.task, true).await?;
            if image.id != wanted.image.id {
                pool.wake.notify_one();
                return Ok(());
            }
        }
        let waiting = start_one(world, wanted).await?;
        let mut shelf = pool.shelf.lock();
        shelf.ready.entry(wanted.mark.clone()).or_default().push_back(waiting);
    }
    // Some may have been taken meanwhile.
    if pool.count(&wanted.mark) < wanted.service.count {
        pool.wake.notify_one();
    }
    Ok(())
}

/// The service's image, which is pulled where it is missing and may be, or is asked for anew.
async fn image_of(world: &World, task: &DockerTask, anew: bool) -> Result<Image, Failure> {
    let mut found = image::find(&world.docker, &task.image).await?;
    if anew || (found.is_none() && image::wants_pull(task, false)) {
        let credentials = world.options.credentials.as_deref();
        image::pull(&world.docker, task, credentials, |_| {}).await?;
        found = image::find(&world.docker, &task.image).await?;
    }
    let image = found.ok_or_else(|| image::missing(task))?;
    image::check_architecture(task, &image, &world.architecture)?;
    shape::check_command(task, &image)?;
    Ok(image)
}

async fn start_one(world: &World, wanted: &Wanted<'_>) -> Result<Waiting, Failure> {
    let mut random = [0; 8];
    world.options.ids.fill(&mut random);
    let slot = HEXLOWER.encode(&random);
    let name = marks::warm_name(&world.options.deployment, &slot);
    let slots = &world.pool.slots;
    slots.make(&slot)?;
    let folder = slots.path(&slot);
    let service = wanted.service;
    let made = start::make(world, &name, &service.task, |place| {
        shape::warm_body(service, &wanted.image, place, &wanted.mark, &slot, &folder)
    })
    .await;
    match made {
        Ok(Made::Running) => Ok(Waiting {
            service: service.service.clone(),
            name,
            slot,
        }),
        Ok(Made::NameTaken) => {
            // By chance, or because Docker was asked before: it is looked at in a moment.
            Err(Failure::new(
                Code::ResourceForeign,
                format!("there is a container {name} already"),
            ))
        }
        Err(failure) => {
            let _ = world.remove(&name, true).await;
            slots.remove(&slot);
            Err(failure)
        }
    }
}
