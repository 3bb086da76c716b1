//! What befalls tasks and hosts by itself while the weather is bad: AWS stops a task, a host is gone, an agent is cut off, Fargate has no room.
//! How often is in [`crate::weather`]; what each does is the services' business.

use crate::chance::Chance;
use crate::clock::Moment;
use crate::core::Core;
use crate::ecs::task::Status;
use crate::resources::ContainerInstance;
use crate::weather::TaskWeather;
use crate::world::World;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Why tasks are stopped that nobody told to: stop code, reason, and whether their containers ended first.
const STOPS: [(&str, &str, bool); 6] = [
    ("SpotInterruption", "Your Spot Task was interrupted.", false),
    ("TerminationNotice", "Fargate: platform maintenance.", false),
    ("UserInitiated", "Task stopped by user", false),
    (
        "TaskFailedToStart",
        "Unexpected EC2 error while attempting to Create Network Interface in subnet",
        true,
    ),
    ("EssentialContainerExited", "Essential container in task exited", true),
    (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
        false,
    ),
];

/// From a host's end until another one has its place, and until an agent is reached again, or Fargate has room.
const MENDED_WITHIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(5));

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    TaskStopped,
    HostLost,
    AgentLost,
    NoRoom,
}

const KINDS: [Kind; 4] = [Kind::TaskStopped, Kind::HostLost, Kind::AgentLost, Kind::NoRoom];

impl Kind {
    const fn mean(self, weather: &TaskWeather) -> Option<Duration> {
        match self {
            Self::TaskStopped => weather.stopped_every,
            Self::HostLost => weather.host_lost_every,
            Self::AgentLost => weather.agent_lost_every,
            Self::NoRoom => weather.no_room_every,
        }
    }
}

/// What a misfortune leaves to be mended.
#[derive(Debug)]
pub(crate) enum Mending {
    Host { cluster: String, setup: ContainerInstance },
    Agent(String),
}

/// Lets things happen for as long as this is polled.
pub(crate) async fn befall(core: Arc<Core>, weather: TaskWeather, seed: u64) {
    let mut chance = Chance::branch(seed, 5);
    let mut next: Vec<(Instant, Kind)> = Vec::new();
    for kind in KINDS {
        if let Some(mean) = kind.mean(&weather) {
            next.push((Instant::now() + chance.until_next(mean), kind));
        }
    }
    while let Some(at) = next.iter().map(|(at, _)| *at).min() {
        sleep_until(at).await;
        for (when, kind) in &mut next {
            if let Some(mean) = kind.mean(&weather).filter(|_| *when <= at) {
                *when = at + chance.until_next(mean);
                core.with_world(|world| world.befall(*kind, &mut chance));
            }
        }
    }
}

impl World {
    fn befall(&mut self, kind: Kind, chance: &mut Chance) {
        let hosts: Vec<String> = self.ecs.instances.keys().cloned().collect();
        let host = hosts.get(chance.of(hosts.len()));
        let mended_at = self.now + chance.between(MENDED_WITHIN);
        match kind {
            Kind::TaskStopped => {
                let live = |number: &u64| self.ecs.tasks[number].status <= Status::Running;
                let live: Vec<u64> = self.ecs.tasks.keys().copied().filter(live).collect();
                let (code, reason, containers_ended) = STOPS[chance.of(STOPS.len())];
                if let Some(victim) = live.get(chance.of(live.len())) {
                    self.end(*victim, code, reason.to_owned(), containers_ended);
                }
            }
            Kind::HostLost => {
                if let Some(host) = host.and_then(|arn| self.ecs.instances.get(arn)) {
                    let setup = ContainerInstance::sized(host.cpu, host.memory).interfaces(host.interfaces);
                    let (arn, cluster) = (host.arn.clone(), host.cluster.clone());
                    self.lose_host(&arn);
                    self.mendings.push((mended_at, Mending::Host { cluster, setup }));
                }
            }
            Kind::AgentLost => {
                if let Some(host) = host.and_then(|arn| self.ecs.instances.get_mut(arn)) {
                    host.agent_connected = false;
                    self.mendings.push((mended_at, Mending::Agent(host.arn.clone())));
                }
            }
            Kind::NoRoom => self.ecs.scarcity.fargate_until = Some(mended_at),
        }
    }

    /// What is mended by then is whole again.
    pub(crate) fn mend(&mut self, until: Moment) {
        let (due, later) = std::mem::take(&mut self.mendings)
            .into_iter()
            .partition(|(at, _)| *at <= until);
        self.mendings = later;
        let due: Vec<(Moment, Mending)> = due;
        for (_, mending) in due {
            match mending {
                Mending::Host { cluster, setup } => {
                    self.make_container_instance(&cluster, &setup);
                }
                Mending::Agent(host) => {
                    if let Some(host) = self.ecs.instances.get_mut(&host) {
                        host.agent_connected = true;
                    }
                }
            }
        }
    }
}
