//! A start from beginning to end, at most one for each owner at a time: the image, the container, its first breath.
//!
//! What must not be here: what is asked of Docker in detail (`shape`).
//!
//! A start goes on by itself once it is begun, whoever waits for it: an image may take minutes. Whoever asked is told within a few seconds that it is on
//! its way, and hears of its end as an event. If Wharf dies in between, Docker keeps what was made under its name, and the next start comes upon it.

use bollard::{models::ContainerCreateBody, query_parameters::CreateContainerOptions};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    Code, Failure,
    instance::TaskRef,
    service::{DockerTask, RunSpec},
};
use wharf_platform::{Owner, TaskSpec, TaskStatus};

use crate::{
    failure, image, marks, pool,
    seen::Phase,
    shape::{self, Place},
    world::{World, foreign, task_ref},
};

/// How long a caller waits for the end of a start: an ordinary one takes a fifth of a second.
const WAITED_FOR: Duration = Duration::from_secs(5);
/// Addresses tried that others have: containers that somebody else put on our network.
const ADDRESS_TRIES: usize = 16;
/// Times that a name may be taken by what is gone a moment later.
const NAME_TRIES: usize = 16;
/// Of an instance's containers that ended, so many attempts back are kept for their output.
const ATTEMPTS_KEPT: u32 = 1;

/// Starts under way, and those that failed when nobody waited any more, by the container's name.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    all: Mutex<HashMap<String, Start>>,
    ended: Notify,
}

#[derive(Clone, Debug)]
enum Start {
    Underway(Underway),
    Failed(Failure),
}

/// A start that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Underway {
    why: Arc<Mutex<String>>,
    result: watch::Receiver<Option<Result<(), Failure>>>,
    cancelled: CancellationToken,
}

/// What is known of a start beside what Docker knows.
#[derive(Clone, Debug)]
pub(crate) enum Begun {
    No,
    Underway(Underway),
    Failed(Failure),
}

impl Starts {
    pub(crate) fn get(&self, name: &str) -> Begun {
        match self.all.lock().get(name) {
            None => Begun::No,
            Some(Start::Underway(underway)) => Begun::Underway(underway.clone()),
            Some(Start::Failed(failure)) => Begun::Failed(failure.clone()),
        }
    }

    /// Forgets a start that failed.
    pub(crate) fn forget(&self, name: &str) {
        let mut starts = self.all.lock();
        if matches!(starts.get(name), Some(Start::Failed(_))) {
            starts.remove(name);
        }
    }

    fn is_quiet(&self) -> bool {
        let all = self.all.lock();
        !all.values().any(|start| matches!(start, Start::Underway(_)))
    }

    /// Waits until no start is under way, and no longer than this.
    pub(crate) async fn quiet(&self, within: Duration) {
        let quiet = async {
            loop {
                let ended = self.ended.notified();
                if self.is_quiet() {
                    return;
                }
                ended.await;
            }
        };
        let _ = timeout(within, quiet).await;
    }
}

impl Underway {
    pub(crate) fn why(&self) -> String {
        self.why.lock().clone()
    }

    /// Gives up a pull. What is past that ends by itself, soon.
    pub(crate) fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// The result, if it comes within this time.
    pub(crate) async fn wait(&mut self, within: Duration) -> Option<Result<(), Failure>> {
        let ended = timeout(within, self.result.wait_for(Option::is_some)).await.ok()?;
        match ended {
            Ok(result) => result.clone(),
            // The runtime ends, and the start with it.
            Err(_) => Some(Err(Failure::new(Code::TaskLost, "Wharf is ending"))),
        }
    }
}

/// The service's section for Docker.
pub(crate) fn docker(run: &RunSpec) -> Result<&DockerTask, Failure> {
    match run {
        RunSpec::Docker(task) => Ok(task),
        RunSpec::Process { .. } | RunSpec::Ecs(_) => Err(Failure::new(
            Code::ConfigInvalid,
            "the service says nothing of how it runs on Docker",
        )
        .hint("give the service a `docker` section with `image` and `container_port`")),
    }
}

/// Starts the owner's container, or comes upon the one that was started before.
pub(crate) async fn start(world: &Arc<World>, spec: TaskSpec) -> Result<TaskRef, Failure> {
    docker(&spec.run)?;
    let name = marks::name(&spec.owner);
    let task = task_ref(&spec.owner, name.clone());
    let mut underway = {
        let mut starts = world.starts.all.lock();
        match starts.get(&name) {
            Some(Start::Underway(underway)) => underway.clone(),
            Some(Start::Failed(_)) | None => {
                let (told, result) = watch::channel(None);
                let underway = Underway {
                    why: Arc::new(Mutex::new("its container to be started".to_owned())),
                    result,
                    cancelled: CancellationToken::new(),
                };
                starts.insert(name.clone(), Start::Underway(underway.clone()));
                tokio::spawn(run(world.clone(), spec, underway.clone(), told));
                underway
            }
        }
    };
    match underway.wait(WAITED_FOR).await {
        None | Some(Ok(())) => Ok(task),
        Some(Err(failure)) => {
            world.starts.forget(&name);
            Err(failure)
        }
    }
}

async fn run(world: Arc<World>, spec: TaskSpec, underway: Underway, told: watch::Sender<Option<Result<(), Failure>>>) {
    let (owner, name) = (spec.owner.clone(), marks::name(&spec.owner));
    world.notices.lock().forgotten.remove(&owner.instance);
    let result = begin(&world, &spec, &name, &underway).await;
    {
        let mut starts = world.starts.all.lock();
        match &result {
            Ok(()) => starts.remove(&name),
            Err(failure) => starts.insert(name.clone(), Start::Failed(failure.clone())),
        };
    }
    world.starts.ended.notify_waiters();
    let failed = result.as_ref().err().cloned();
    // One receiver is ours. A caller who still waits is given the result itself: an event as well would speak of the start after this one.
    let is_awaited = told.receiver_count() > 1;
    let _ = told.send(Some(result));
    match failed {
        Some(cause) if !is_awaited => world.tell(
            &owner,
            TaskStatus::Stopped {
                cause,
                exit_code: None,
                output: None,
            },
        ),
        Some(_) => {}
        None => tidy(&world, &owner).await,
    }
}

async fn begin(world: &World, spec: &TaskSpec, name: &str, underway: &Underway) -> Result<(), Failure> {
    let task = docker(&spec.run)?;
    let mut found = image::find(&world.docker, &task.image).await?;
    if image::wants_pull(task, found.is_some()) {
        // What was started before is not started from a newer image.
        if let Some(done) = adopt(world, spec, name).await? {
            return done;
        }
        let progress = |why: String| *underway.why.lock() = why;
        progress("its image to be pulled".to_owned());
        let pull = image::pull(&world.docker, task, world.options.credentials.as_deref(), progress);
        tokio::select! {
            pulled = pull => pulled?,
            () = underway.cancelled.cancelled() => return Err(Failure::new(Code::TaskLost, "the start was given up")),
        }
        found = image::find(&world.docker, &task.image).await?;
    }
    let image = found.ok_or_else(|| image::missing(task))?;
    image::check_architecture(task, &image, &world.architecture)?;
    shape::check_command(task, &image)?;
    if pool::claim(world, spec, &image, name).await? {
        return Ok(());
    }
    for _ in 0..NAME_TRIES {
        match make(world, name, task, |place| shape::body(spec, task, &image, place)).await? {
            Made::Running => return Ok(()),
            Made::NameTaken => {
                if let Some(done) = adopt(world, spec, name).await? {
                    return done;
                }
            }
        }
    }
    Err(Failure::new(
        Code::DockerUnavailable,
        format!("the container {name} is there and is not, {NAME_TRIES} times in a row"),
    )
    .hint("see whether something else removes containers again and again"))
}

/// What came of creating a container.
pub(crate) enum Made {
    Running,
    NameTaken,
}

/// Creates and starts a container under a name that nobody has.
pub(crate) async fn make(
    world: &World,
    name: &str,
    task: &DockerTask,
    body: impl Fn(&Place<'_>) -> Result<ContainerCreateBody, Failure>,
) -> Result<Made, Failure> {
    for _ in 0..ADDRESS_TRIES {
        let place = Place {
            deployment: &world.options.deployment,
            network: &world.network.name,
            address: world.addresses.next(),
            publish: world.options.publish,
        };
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            platform: task.platform.clone().unwrap_or_default(),
        };
        match world.docker.create_container(Some(options), body(&place)?).await {
            Ok(_) => {}
            Err(error) if failure::is_conflict(&error) => return Ok(Made::NameTaken),
            Err(error) => return Err(failure::of(&error, "to create the container")),
        }
        match breathe(world, name).await {
            Err(Breath::AddressTaken) => world.remove(name, true).await?,
            Err(Breath::NetworkGone) => {
                world.remove(name, true).await?;
                restore_network(world).await?;
            }
            Err(Breath::Failed(failure)) => return Err(failure),
            Ok(()) => return Ok(Made::Running),
        }
    }
    Err(Failure::new(
        Code::TaskCapacity,
        format!(
            "{ADDRESS_TRIES} addresses of {} in a row are taken",
            world.network.subnet
        ),
    )
    .hint("end instances that nobody needs, or give the network more addresses (docker.subnet)"))
}

/// Why a container did not start.
enum Breath {
    AddressTaken,
    NetworkGone,
    Failed(Failure),
}

/// Starts a container that was created. One that cannot be started is removed again.
async fn breathe(world: &World, name: &str) -> Result<(), Breath> {
    let Err(error) = world.docker.start_container(name, None).await else {
        return Ok(());
    };
    if failure::says(&error, "address already in use") && !failure::says(&error, "listen tcp") {
        return Err(Breath::AddressTaken);
    }
    let is_gone = failure::says(&error, "not found") || failure::says(&error, "does not exist");
    if failure::says(&error, "network") && is_gone {
        return Err(Breath::NetworkGone);
    }
    let failed = failure::of(&error, "to start the container");
    // It may have been started after all, or be startable in a moment: what comes upon it sees.
    if !failure::is_unanswered(&error) && failed.code != Code::DockerUnavailable {
        let _ = world.remove(name, true).await;
    }
    Err(Breath::Failed(failed))
}

/// Somebody removed the network, or Docker lost it. It comes back with the same addresses, for the sake of those that know them.
async fn restore_network(world: &World) -> Result<(), Failure> {
    tracing::warn!(
        network = world.network.name,
        "the deployment's network is gone: it is made again"
    );
    let options = &world.options;
    // Docker may know it by name and have nothing behind it, as after a restart in which its addresses were another's.
    let _ = world.docker.remove_network(&world.network.name).await;
    crate::network::ensure(&world.docker, &options.deployment, Some(world.network.subnet))
        .await
        .map(drop)
}

/// What a start before this one left under the name: started if it was not yet, and otherwise left as it is. `None` where nothing is there.
async fn adopt(world: &World, spec: &TaskSpec, name: &str) -> Result<Option<Result<(), Failure>>, Failure> {
    let Some(seen) = world.see(name).await? else {
        return Ok(None);
    };
    if seen.owner.as_ref() != Some(&spec.owner) {
        return Err(foreign(name));
    }
    // It was started ahead, and claimed by a start that may have ended just there.
    pool::tell_again(world, spec, &seen)?;
    if seen.phase != Phase::Created {
        return Ok(Some(Ok(())));
    }
    match breathe(world, name).await {
        Ok(()) => Ok(Some(Ok(()))),
        Err(Breath::Failed(failure)) => Ok(Some(Err(failure))),
        // The network may be another one by now.
        Err(Breath::AddressTaken | Breath::NetworkGone) => {
            world.remove(name, true).await?;
            restore_network(world).await?;
            Ok(None)
        }
    }
}

/// Removes what is left of attempts long over.
async fn tidy(world: &World, owner: &Owner) {
    if owner.attempt.0 <= ATTEMPTS_KEPT + 1 {
        return;
    }
    let old = match world.list(Some(&owner.instance), &["exited", "dead"]).await {
        Ok(all) => all,
        Err(failure) => {
            tracing::debug!(instance = %owner.instance, error = %failure.message, "old containers stay for now");
            return;
        }
    };
    for (name, of) in old {
        if of.attempt.0 + ATTEMPTS_KEPT < owner.attempt.0
            && let Err(failure) = world.remove(&name, false).await
        {
            tracing::debug!(name, error = %failure.message, "an old container stays for now");
        }
    }
}
