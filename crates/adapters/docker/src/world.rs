//! What everything of one deployment on Docker shares: the connection, the network, and what is known of containers beside what Docker keeps.
//!
//! What must not be here: the flow of a start, a stop or an event.

use bollard::{
    Docker,
    query_parameters::{ListContainersOptions, LogsOptions, RemoveContainerOptions},
};
use futures::StreamExt;
use ipnet::Ipv4Net;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::broadcast;
use wharf_domain::{Code, DeploymentId, Failure, InstanceId, Timestamp, instance::TaskRef};
use wharf_platform::{Owner, TaskEvent, TaskStatus, lines};
use wharf_saga::{Clock, Ids};

use crate::{
    cause::{self, Witness},
    engine::Engine,
    failure, marks,
    network::{self, Addresses, Network},
    pool::{Pool, WarmService},
    seen::{Phase, Seen},
    start::Starts,
};

/// Events that a slow subscriber may be behind.
const EVENTS: usize = 1_024;
/// The last lines of a container that ended.
const LAST_LINES: &str = "40";
const LAST_OUTPUT: usize = 4 * 1024;
/// How long Docker may take to give them: they are evidence, and no more than that.
const LAST_OUTPUT_WITHIN: Duration = Duration::from_secs(3);

/// What [`DockerTasks`](crate::DockerTasks) has to know.
#[derive(Clone)]
pub struct DockerOptions {
    pub deployment: DeploymentId,
    /// `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375`.
    pub host: String,
    /// The deployment network's; one that Docker has free unless given.
    pub subnet: Option<Ipv4Net>,
    /// The host's address on which static ports are published.
    pub publish: IpAddr,
    /// The host's address as it stands in direct URLs.
    pub host_address: IpAddr,
    /// Credentials of registries, in the form of Docker's `config.json`.
    pub credentials: Option<PathBuf>,
    /// Services of which containers are started ahead.
    pub warm: Vec<WarmService>,
    /// A folder of this machine for what these are told. Nobody else may have it.
    pub warm_folder: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
}

impl fmt::Debug for DockerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerOptions")
            .field("deployment", &self.deployment)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

pub(crate) struct World {
    pub(crate) options: DockerOptions,
    pub(crate) docker: Docker,
    /// The machine's, as images name it.
    pub(crate) architecture: String,
    pub(crate) network: Network,
    pub(crate) addresses: Addresses,
    pub(crate) starts: Starts,
    pub(crate) pool: Pool,
    pub(crate) notices: Mutex<Notices>,
    pub(crate) events: broadcast::Sender<TaskEvent>,
}

/// What was heard of containers and stands nowhere in Docker's own books. Of each container as long as it is there.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// Since when Docker's events are heard without a gap.
    pub(crate) watching_since: Option<Timestamp>,
    /// Those that run, as far as it was told, by their names.
    pub(crate) running: HashMap<String, Owner>,
    /// Those that Wharf told to end.
    pub(crate) ending: HashSet<String>,
    /// Signals that others sent.
    pub(crate) signals: HashMap<String, String>,
    pub(crate) out_of_memory: HashSet<String>,
    /// Instances of which nothing is left: whoever clears away asks for each again and again.
    pub(crate) forgotten: HashSet<InstanceId>,
}

/// Instances that are remembered as forgotten; after that, from the beginning.
const FORGOTTEN_MOST: usize = 100_000;

impl Notices {
    pub(crate) fn forget(&mut self, name: &str) {
        self.running.remove(name);
        self.ending.remove(name);
        self.signals.remove(name);
        self.out_of_memory.remove(name);
    }

    pub(crate) fn note_forgotten(&mut self, instance: &InstanceId) {
        if self.forgotten.len() >= FORGOTTEN_MOST {
            self.forgotten.clear();
        }
        self.forgotten.insert(instance.clone());
    }
}

impl World {
    pub(crate) async fn new(options: DockerOptions, engine: Engine) -> Result<Self, Failure> {
        let network = network::ensure(&engine.docker, &options.deployment, options.subnet).await?;
        Ok(Self {
            addresses: Addresses::new(network.subnet, &*options.ids),
            network,
            docker: engine.docker,
            architecture: engine.architecture,
            starts: Starts::default(),
            pool: Pool::new(options.warm_folder.clone(), options.warm.clone()),
            notices: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            options,
        })
    }

    /// A container by name or id; `None` where Docker knows none.
    pub(crate) async fn see(&self, name: &str) -> Result<Option<Seen>, Failure> {
        match self.docker.inspect_container(name, None).await {
            Ok(found) => Ok(Some(Seen::read(found, &self.network.name))),
            Err(error) if failure::is_missing(&error) => Ok(None),
            Err(error) => Err(failure::of(&error, &format!("to look at the container {name}"))),
        }
    }

    /// The owner's container; another's is told, and not touched.
    pub(crate) async fn own(&self, owner: &Owner, name: &str) -> Result<Option<Seen>, Failure> {
        match self.see(name).await? {
            Some(seen) if seen.owner.as_ref() != Some(owner) => Err(foreign(name)),
            seen => Ok(seen),
        }
    }

    /// How a container is, in the platform's words.
    pub(crate) async fn status(&self, owner: &Owner, name: &str, seen: &Seen) -> TaskStatus {
        match seen.phase {
            Phase::Created => TaskStatus::Pending {
                why: "its container to be started".to_owned(),
            },
            Phase::Running => TaskStatus::Running {
                endpoint: seen.endpoint(self.options.host_address),
            },
            Phase::Paused => TaskStatus::Paused { cause: cause::paused() },
            Phase::Ending => TaskStatus::Pending {
                why: "its container to end".to_owned(),
            },
            Phase::Ended => {
                let output = self.last_output(name).await;
                let witness = self.witness(name, seen, output.clone());
                TaskStatus::Stopped {
                    cause: cause::cause(&owner.instance, seen, &witness),
                    exit_code: seen.exit_code,
                    output,
                }
            }
        }
    }

    fn witness(&self, name: &str, seen: &Seen, output: Option<String>) -> Witness {
        let notices = self.notices.lock();
        let was_watched = |since: Timestamp| seen.ended_at.is_none_or(|ended| ended >= since);
        Witness {
            asked: notices.ending.contains(name),
            signal: notices.signals.get(name).cloned(),
            out_of_memory: notices.out_of_memory.contains(name),
            unwatched: !notices.watching_since.is_some_and(was_watched),
            output,
        }
    }

    pub(crate) async fn last_output(&self, name: &str) -> Option<String> {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: LAST_LINES.to_owned(),
            ..LogsOptions::default()
        };
        let pieces = self.docker.logs(name, Some(options));
        let bytes = pieces
            .filter_map(async |piece| piece.ok())
            .fold(Vec::new(), async |mut bytes, piece| {
                bytes.extend_from_slice(piece.as_ref());
                // Forty lines may be of any length.
                let excess = bytes.len().saturating_sub(4 * LAST_OUTPUT);
                bytes.drain(..excess);
                bytes
            });
        let bytes = tokio::time::timeout(LAST_OUTPUT_WITHIN, bytes).await.ok()?;
        let text = wharf_platform::logs::clean(&bytes);
        let ending = lines::ending(text.trim_end(), LAST_OUTPUT);
        (!ending.is_empty()).then(|| ending.to_owned())
    }

    /// Containers of this deployment, or of one of its instances, in these states (all where none is named).
    pub(crate) async fn list(
        &self,
        instance: Option<&InstanceId>,
        states: &[&str],
    ) -> Result<Vec<(String, Owner)>, Failure> {
        let deployment = &self.options.deployment;
        let mut filters = HashMap::from([("label".to_owned(), marks::filter(deployment))]);
        if let Some(instance) = instance {
            filters.insert("name".to_owned(), marks::names_of(deployment, instance));
        }
        if !states.is_empty() {
            filters.insert("status".to_owned(), states.iter().map(ToString::to_string).collect());
        }
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..ListContainersOptions::default()
        };
        let found = self.docker.list_containers(Some(options)).await;
        let found = found.map_err(|error| failure::of(&error, "to list the deployment's containers"))?;
        let ours = found.into_iter().filter_map(|container| {
            let name = container.names?.into_iter().next()?;
            let owner = marks::owner(&container.labels?, &name)?;
            Some((name.trim_start_matches('/').to_owned(), owner))
        });
        Ok(ours.collect())
    }

    /// Removes a container that does not run, with its volumes. One that is gone already, or is being removed, is a success.
    pub(crate) async fn remove(&self, name: &str, force: bool) -> Result<(), Failure> {
        let options = RemoveContainerOptions {
            v: true,
            force,
            ..RemoveContainerOptions::default()
        };
        match self.docker.remove_container(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if failure::is_missing(&error) || failure::is_conflict(&error) => Ok(()),
            Err(error) => Err(failure::of(&error, &format!("to remove the container {name}"))),
        }
    }

    pub(crate) fn tell(&self, owner: &Owner, status: TaskStatus) {
        // Nobody has to listen.
        let _ = self.events.send(TaskEvent {
            instance: owner.instance.clone(),
            task: task_ref(owner, marks::name(owner)),
            status,
        });
    }
}

pub(crate) fn task_ref(owner: &Owner, id: String) -> TaskRef {
    TaskRef {
        id,
        attempt: owner.attempt,
    }
}

pub(crate) fn foreign(name: &str) -> Failure {
    Failure::new(
        Code::ResourceForeign,
        format!("the container {name} is not this instance's own"),
    )
    .hint(format!(
        "look at it (`docker inspect {name}`), and remove it if nobody needs it: `docker rm -f {name}`"
    ))
}

/// The gateway of the deployment's network, and the range of its addresses.
pub(crate) fn addresses(world: &World) -> (Ipv4Addr, Ipv4Net) {
    (world.network.gateway, world.network.subnet)
}
