//! Containers that are started ahead, before it is known whose they will be; one of them is claimed when somebody signs up.
//!
//! What must not be here: how what waits is kept (`keep`), how a container that is nobody's is told whose it became (`slots`), and what is asked of
//! Docker for one (`shape`).
//!
//! # How a claim cannot go wrong
//!
//! A container is claimed by its new name, the owner's. Docker gives a name once, so that two claims of one container, or two containers for one
//! owner, cannot both succeed; and the name is all that a later Wharf looks for. Only then is the container told whose it is: one that was told
//! and is nobody's does not exist. If Wharf dies between the two, the start that is said again comes upon the name, and tells it.
//!
//! What waits is of one service as it is configured now and of one image: a mark, which both are digested to, says so. Whatever carries another
//! mark, does not run, or was told something is not handed out but removed.

mod keep;

use bollard::query_parameters::RenameContainerOptions;
use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    path::PathBuf,
};
use tokio::sync::Notify;
use wharf_domain::{
    Failure, ServiceName,
    service::{DockerTask, RunSpec},
};
use wharf_platform::TaskSpec;

use crate::{
    failure,
    image::Image,
    seen::{Phase, Seen},
    shape,
    slots::Slots,
    stock::{Tally, WarmStock},
    world::World,
};

pub(crate) use keep::begin;

/// Changed when what is put into such a container changes: those of an older Wharf are not handed out then.
const FORM: u32 = 1;

/// A service of which containers are started ahead.
#[derive(Clone, Debug)]
pub struct WarmService {
    pub service: ServiceName,
    /// With every placeholder filled in: the same for all of its instances.
    pub task: DockerTask,
    /// What all of its instances are given alike, with these values.
    pub environment: BTreeMap<String, String>,
    /// So many wait.
    pub count: usize,
}

impl WarmService {
    /// What its containers are marked by.
    fn mark(&self, image: &Image) -> String {
        let what = (FORM, &self.service, &self.task, &self.environment, &image.id);
        let text = serde_json::to_vec(&what).expect("names, numbers and texts can be written");
        HEXLOWER.encode(&Sha256::digest(&text)[..16])
    }

    /// Whether a container of it would be what this one is to be. What waits has an address of its own and no port of the machine, and cannot be rid of
    /// a variable that it has.
    fn fits(&self, spec: &TaskSpec) -> bool {
        use secrecy::ExposeSecret;
        let is_given = |(name, value): (&String, &String)| {
            spec.environment.get(name).map(ExposeSecret::expose_secret) == Some(value.as_str())
        };
        self.service == spec.service
            && spec.port.is_none()
            && matches!(&spec.run, RunSpec::Docker(task) if *task == self.task)
            && self.environment.iter().all(is_given)
    }
}

/// A container that waits.
#[derive(Clone, Debug)]
struct Waiting {
    service: ServiceName,
    name: String,
    slot: String,
}

/// What waits, as far as this Wharf knows: Docker's answer counts.
#[derive(Debug, Default)]
struct Shelf {
    /// By their marks, the oldest first.
    ready: HashMap<String, VecDeque<Waiting>>,
    /// Names of those that are being claimed just now.
    claiming: HashSet<String>,
}

#[derive(Debug)]
pub(crate) struct Pool {
    services: Vec<WarmService>,
    pub(crate) slots: Slots,
    shelf: Mutex<Shelf>,
    tally: Tally,
    /// One was taken, or ended.
    wake: Notify,
    /// Docker answers again.
    met: Notify,
}

impl Pool {
    pub(crate) fn new(folder: PathBuf, services: Vec<WarmService>) -> Self {
        Self {
            services,
            slots: Slots::new(folder),
            shelf: Mutex::default(),
            tally: Tally::default(),
            wake: Notify::new(),
            met: Notify::new(),
        }
    }

    /// Docker has been away, and is back.
    pub(crate) fn met_again(&self) {
        self.met.notify_one();
        self.wake.notify_one();
    }

    /// A container that was nobody's does not run any more.
    pub(crate) fn lost(&self, name: &str) {
        for waiting in self.shelf.lock().ready.values_mut() {
            waiting.retain(|waiting| waiting.name != name);
        }
        self.wake.notify_one();
    }

    /// How many containers wait for their owners.
    pub(crate) fn waiting(&self) -> usize {
        self.shelf.lock().ready.values().map(VecDeque::len).sum()
    }

    /// The same by service, and how those fared who asked for one.
    pub(crate) fn stock(&self) -> Vec<WarmStock> {
        let shelf = self.shelf.lock();
        let stock = self.services.iter().map(|service| {
            let name = &service.service;
            let (claims, misses) = self.tally.of(name);
            let waiting = shelf.ready.values().flatten();
            WarmStock {
                service: name.clone(),
                wanted: service.count,
                waiting: waiting.filter(|waiting| waiting.service == *name).count(),
                claims,
                misses,
            }
        });
        stock.collect()
    }

    fn take(&self, mark: &str) -> Option<Waiting> {
        let mut shelf = self.shelf.lock();
        let taken = shelf.ready.get_mut(mark)?.pop_front()?;
        shelf.claiming.insert(taken.name.clone());
        Some(taken)
    }

    /// The claim of one is over; whether it goes on waiting.
    fn settle(&self, mark: &str, waiting: Waiting, is_left: bool) {
        {
            let mut shelf = self.shelf.lock();
            shelf.claiming.remove(&waiting.name);
            if is_left {
                shelf.ready.entry(mark.to_owned()).or_default().push_front(waiting);
            }
        }
        self.wake.notify_one();
    }

    fn count(&self, mark: &str) -> usize {
        self.shelf.lock().ready.get(mark).map_or(0, VecDeque::len)
    }
}

/// Gives the owner a container that waits for one, if there is one that fits: `false` where there is none, or where the owner has a container already.
pub(crate) async fn claim(world: &World, spec: &TaskSpec, image: &Image, name: &str) -> Result<bool, Failure> {
    let pool = &world.pool;
    let Some(service) = pool.services.iter().find(|service| service.fits(spec)) else {
        return Ok(false);
    };
    let mark = service.mark(image);
    while let Some(waiting) = pool.take(&mark) {
        let claimed = claim_one(world, spec, service, image, &waiting, name).await;
        pool.settle(&mark, waiting, matches!(claimed, Ok(Claimed::NameTaken)));
        match claimed? {
            Claimed::Yes => {
                pool.tally.claimed(&service.service);
                return Ok(true);
            }
            Claimed::NameTaken => return Ok(false),
            Claimed::NotThere => {}
        }
    }
    pool.tally.missed(&service.service);
    Ok(false)
}

enum Claimed {
    Yes,
    /// The owner has a container.
    NameTaken,
    /// It has ended, or gone.
    NotThere,
}

async fn claim_one(
    world: &World,
    spec: &TaskSpec,
    service: &WarmService,
    image: &Image,
    waiting: &Waiting,
    name: &str,
) -> Result<Claimed, Failure> {
    let options = RenameContainerOptions { name: name.to_owned() };
    // By its name, and not by its id: under the id it could be claimed twice.
    match world.docker.rename_container(&waiting.name, options).await {
        Ok(()) => {}
        Err(error) if failure::is_missing(&error) => return Ok(Claimed::NotThere),
        Err(error) if failure::is_conflict(&error) => return Ok(Claimed::NameTaken),
        // It may have its new name: the next start comes upon it, or finds it waiting.
        Err(error) => return Err(failure::of(&error, "to claim a container")),
    }
    let told = shape::port(&service.task, image).and_then(|port| tell(world, spec, &waiting.slot, port));
    // What ended while it waited can be renamed too.
    let seen = world.see(name).await?;
    match (told, seen) {
        (Ok(()), Some(seen)) if seen.phase == Phase::Running => Ok(Claimed::Yes),
        (told, seen) => {
            if let Err(failure) = told {
                tracing::warn!(name, error = %failure.message, "a container that waited cannot be told whose it is: another one is started");
            }
            if seen.is_some() {
                world.remove(name, true).await?;
            }
            world.pool.slots.remove(&waiting.slot);
            Ok(Claimed::NotThere)
        }
    }
}

/// Tells the owner's container whose it is, if that has not been done.
fn tell(world: &World, spec: &TaskSpec, slot: &str, port: u16) -> Result<(), Failure> {
    let mut environment = spec.environment.clone();
    environment.insert("PORT".to_owned(), port.to_string().into());
    world.pool.slots.deliver(slot, &environment)
}

/// The same for one that an earlier start claimed, which may have ended before it could do that.
pub(crate) fn tell_again(world: &World, spec: &TaskSpec, seen: &Seen) -> Result<(), Failure> {
    let (Some(slot), Some(port)) = (&seen.slot, seen.notes.port) else {
        return Ok(());
    };
    // Where the folder is gone, there is nobody to be told any more.
    if seen.phase != Phase::Running || !world.pool.slots.is_there(slot) {
        return Ok(());
    }
    tell(world, spec, slot, port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use wharf_domain::{Attempt, DeploymentId, InstanceId, Timestamp};
    use wharf_platform::Owner;

    fn service() -> WarmService {
        WarmService {
            service: "shop".parse().expect("a name"),
            task: serde_json::from_value(serde_json::json!({
                "image": "shop:1", "container_port": 8000, "pids": 1, "tmpfs_size": 1, "log_size": 1, "log_files": 1
            }))
            .expect("a task"),
            environment: BTreeMap::from([("HOST".to_owned(), "0.0.0.0".to_owned())]),
            count: 1,
        }
    }

    fn spec() -> TaskSpec {
        TaskSpec {
            owner: Owner {
                deployment: DeploymentId::new([1; 10]),
                instance: InstanceId::new(Timestamp(1), [2; 10]),
                attempt: Attempt(1),
            },
            service: "shop".parse().expect("a name"),
            run: RunSpec::Docker(service().task),
            port: None,
            environment: [("HOST", "0.0.0.0"), ("DATABASE_URL", "postgresql://x")]
                .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
                .into(),
            public: false,
            intended_at: Timestamp(0),
        }
    }

    #[test]
    fn a_container_that_waits_fits_only_what_it_could_have_been_started_for() {
        let service = service();
        assert!(service.fits(&spec()));
        let other = |change: fn(&mut TaskSpec)| {
            let mut spec = spec();
            change(&mut spec);
            service.fits(&spec)
        };
        assert!(!other(|spec| spec.service = "other".parse().expect("a name")));
        assert!(!other(|spec| spec.port = Some(8001)));
        assert!(!other(|spec| drop(spec.environment.remove("HOST"))));
        assert!(!other(|spec| drop(
            spec.environment.insert("HOST".to_owned(), SecretString::from("::"))
        )));
        assert!(!other(|spec| {
            if let RunSpec::Docker(task) = &mut spec.run {
                task.memory = Some(1 << 20);
            }
        }));
    }

    #[test]
    fn another_image_or_another_configuration_is_another_mark() {
        let image = |id: &str| Image {
            id: id.to_owned(),
            ..Image::default()
        };
        let first = service();
        let more = WarmService { count: 7, ..service() };
        assert_eq!(first.mark(&image("a")), more.mark(&image("a")));
        assert_ne!(first.mark(&image("a")), first.mark(&image("b")));
        let changed = WarmService {
            environment: BTreeMap::new(),
            ..service()
        };
        assert_ne!(first.mark(&image("a")), changed.mark(&image("a")));
    }
}
