//! [`DockerTasks`]: starts, looks at, finds, stops and lists containers, and tells their events.
//!
//! What must not be here: what Docker's answers mean, which is decided next door.

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use ipnet::Ipv4Net;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::BroadcastStream;
use wharf_domain::{Endpoint, Failure, instance::TaskRef, service::RunSpec};
use wharf_platform::{Owner, PortSource, RouteKey, Stopping, TaskEvent, TaskEvents, TaskSpec, TaskStatus, Tasks};

use bollard::query_parameters::StopContainerOptions;

use crate::{
    DockerOptions, WarmStock, engine, events, failure, image,
    logs::DockerLogs,
    marks, pausing, pool,
    seen::{Phase, Seen},
    shape,
    start::{self, Begun, docker},
    world::{World, addresses, task_ref},
};

/// How long a stop waits for a start that is past its pull.
const START_ENDS_WITHIN: Duration = Duration::from_secs(5);
/// From a container's end until Docker has put it away, with room to spare on a busy machine.
const PUT_AWAY: Duration = Duration::from_mins(1);
/// What counts as running when everything is listed: whatever could still come to run.
const ALIVE: &[&str] = &["created", "running", "paused", "restarting", "removing"];

/// The containers of one deployment. They live on when this is dropped.
pub struct DockerTasks {
    world: Arc<World>,
    watcher: JoinHandle<()>,
    /// Where containers are started ahead.
    keeper: Option<JoinHandle<()>>,
}

impl DockerTasks {
    /// Meets Docker, sees to the deployment's network, and listens to Docker's events from now on.
    ///
    /// # Errors
    /// `docker.unavailable`, `docker.denied`, `docker.outdated`; and `resource.foreign` where something else has our network's name.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(options: DockerOptions) -> Result<Self, Failure> {
        let engine = engine::connect(&options.host).await?;
        tracing::info!(host = options.host, version = engine.version, "Docker answers");
        let world = Arc::new(World::new(options, engine).await?);
        let watcher = tokio::spawn(events::watch(world.clone()));
        let keeper = pool::begin(&world).await;
        Ok(Self { world, watcher, keeper })
    }

    /// How many containers wait for an owner.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.world.pool.waiting()
    }

    /// The same by service, and how often one that waited was claimed or missed.
    #[must_use]
    pub fn stock(&self) -> Vec<WarmStock> {
        self.world.pool.stock()
    }

    /// What its containers print.
    #[must_use]
    pub fn logs(&self) -> DockerLogs {
        DockerLogs::new(self.world.clone())
    }

    /// The host, as containers see it.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        addresses(&self.world).0
    }

    /// Where containers have their addresses.
    #[must_use]
    pub fn subnet(&self) -> Ipv4Net {
        addresses(&self.world).1
    }

    /// The container's own address, whatever visitors are given; `None` while it does not run.
    pub async fn own_endpoint(&self, owner: &Owner, task: &TaskRef) -> Result<Option<Endpoint>, Failure> {
        let seen = self.world.own(owner, &task.id).await?;
        let running = seen.filter(|seen| seen.phase == Phase::Running);
        Ok(running.and_then(|seen| seen.own_endpoint()))
    }

    /// Whether this address is one of the deployment's network.
    #[must_use]
    pub fn has_address(&self, ip: IpAddr) -> bool {
        matches!(ip, IpAddr::V4(ip) if self.world.network.subnet.contains(&ip))
    }
}

impl Drop for DockerTasks {
    fn drop(&mut self) {
        self.watcher.abort();
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl fmt::Debug for DockerTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerTasks")
            .field("options", &self.world.options)
            .finish_non_exhaustive()
    }
}

impl DockerTasks {
    async fn set_paused(&self, owner: &Owner, task: &TaskRef, is_paused: bool) -> Result<(), Failure> {
        match self.world.own(owner, &task.id).await? {
            Some(seen) => pausing::set_paused(&self.world, &task.id, &seen, is_paused).await,
            None => Err(pausing::has_ended(&task.id)),
        }
    }
}

/// Sees to a container's end, however long that takes.
async fn end(world: Arc<World>, name: String, is_paused: bool, grace: Duration) {
    let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
    let options = StopContainerOptions {
        t: Some(seconds),
        ..StopContainerOptions::default()
    };
    // The answer comes when the container has ended.
    let docker = world.docker.clone().with_timeout(grace + PUT_AWAY);
    // What is paused cannot hear that it is to end.
    if is_paused && let Err(error) = docker.unpause_container(&name).await {
        tracing::debug!(name, %error, "a container cannot be unpaused");
    }
    match docker.stop_container(&name, Some(options)).await {
        Ok(()) => {}
        Err(error) if failure::is_missing(&error) => {}
        Err(error) => {
            tracing::warn!(name, %error, "a container cannot be ended now");
            // Whoever asks again may try again.
            world.notices.lock().ending.remove(&name);
        }
    }
}

#[async_trait]
impl Tasks for DockerTasks {
    fn port_source(&self) -> PortSource {
        PortSource::Platform
    }

    async fn can_have_port(&self, port: u16) -> bool {
        TcpListener::bind(SocketAddr::new(self.world.options.publish, port))
            .await
            .is_ok()
    }

    fn survives_restart(&self) -> bool {
        true
    }

    fn stops_within(&self, grace: Duration) -> Duration {
        grace + PUT_AWAY
    }

    async fn check(&self, run: &RunSpec, _route: Option<&RouteKey>) -> Result<(), Failure> {
        let (task, world) = (docker(run)?, &self.world);
        match image::find(&world.docker, &task.image).await? {
            Some(image) => {
                image::check_architecture(task, &image, &world.architecture)?;
                shape::check_command(task, &image)?;
                shape::port(task, &image).map(drop)
            }
            None if image::wants_pull(task, false) => Ok(()),
            None => Err(image::missing(task)),
        }
    }

    async fn start(&self, spec: TaskSpec) -> Result<TaskRef, Failure> {
        start::start(&self.world, spec).await
    }

    async fn look(&self, owner: &Owner, task: &TaskRef) -> Result<TaskStatus, Failure> {
        match self.world.starts.get(&task.id) {
            Begun::Underway(underway) => return Ok(TaskStatus::Pending { why: underway.why() }),
            Begun::Failed(cause) => {
                return Ok(TaskStatus::Stopped {
                    cause,
                    exit_code: None,
                    output: None,
                });
            }
            Begun::No => {}
        }
        match self.world.own(owner, &task.id).await? {
            Some(seen) => Ok(self.world.status(owner, &task.id, &seen).await),
            None => Ok(TaskStatus::Gone),
        }
    }

    async fn find(&self, spec: &TaskSpec) -> Result<Option<TaskRef>, Failure> {
        let name = marks::name(&spec.owner);
        let is_begun = matches!(self.world.starts.get(&name), Begun::Underway(_));
        // Somebody else's under our name is no start of ours.
        let is_ours = |seen: Option<Seen>| seen.is_some_and(|seen| seen.owner.as_ref() == Some(&spec.owner));
        let is_there = is_begun || is_ours(self.world.see(&name).await?);
        Ok(is_there.then(|| task_ref(&spec.owner, name)))
    }

    async fn stop(&self, owner: &Owner, task: &TaskRef, grace: Duration) -> Result<Stopping, Failure> {
        let (world, name) = (&self.world, &task.id);
        if let Begun::Underway(mut underway) = world.starts.get(name) {
            underway.cancel();
            if underway.wait(START_ENDS_WITHIN).await.is_none() {
                return Ok(Stopping::Underway);
            }
        }
        world.starts.forget(name);
        let Some(seen) = world.own(owner, name).await? else {
            world.notices.lock().forget(name);
            return Ok(Stopping::Stopped);
        };
        if let (Some(slot), Phase::Ended) = (&seen.slot, seen.phase) {
            world.pool.slots.remove(slot);
        }
        match seen.phase {
            Phase::Created => {
                world.remove(name, true).await?;
                Ok(Stopping::Stopped)
            }
            Phase::Ended => {
                world.notices.lock().running.remove(name);
                Ok(Stopping::Stopped)
            }
            Phase::Ending => Ok(Stopping::Underway),
            Phase::Running | Phase::Paused => {
                let is_first = world.notices.lock().ending.insert(name.clone());
                if is_first {
                    tokio::spawn(end(world.clone(), name.clone(), seen.phase == Phase::Paused, grace));
                }
                Ok(Stopping::Underway)
            }
        }
    }

    fn can_pause(&self) -> bool {
        true
    }

    async fn pause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        self.set_paused(owner, task, true).await
    }

    async fn unpause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        // Whose it is was told with its start: somebody waits, and a look would take as long as what he waits for.
        let is_known = self.world.notices.lock().running.get(&task.id) == Some(owner);
        if is_known && self.world.docker.unpause_container(&task.id).await.is_ok() {
            return Ok(());
        }
        self.set_paused(owner, task, false).await
    }

    async fn memory(&self, owner: &Owner, task: &TaskRef) -> Result<Option<u64>, Failure> {
        let Some(seen) = self.world.own(owner, &task.id).await? else {
            return Ok(None);
        };
        pausing::memory(&self.world, &seen.id).await
    }

    async fn all(&self, _runs: &[RunSpec]) -> Result<Vec<(Owner, TaskRef)>, Failure> {
        let found = self.world.list(None, ALIVE).await?;
        let all = found.into_iter().map(|(name, owner)| {
            let task = task_ref(&owner, name);
            (owner, task)
        });
        Ok(all.collect())
    }
}

impl TaskEvents for DockerTasks {
    fn subscribe(&self) -> BoxStream<'static, TaskEvent> {
        let events = BroadcastStream::new(self.world.events.subscribe());
        // One who was too slow has lost some, and goes on with the next.
        events.filter_map(async |event| event.ok()).boxed()
    }
}
