//! What is there, by instance: read from the platform and from what stands beside the records, and as compact as it can be. Nothing is judged here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use wharf_domain::{Attempt, Failure, Instance, InstanceId, instance::TaskRef, service::RunSpec};
use wharf_platform::{IdleRule, Registered, RouteKey, TaskStatus};
use wharf_saga::store::{Kind, PAGE_MAX, Unsent};

use super::known::Routed;
use crate::{Settings, wharf::Wharf};

/// Tasks that are asked where they listen, because a target is there of which nothing else says whose it is.
const LOOKS_MOST: usize = 100;

/// The platform's side.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) tasks: HashMap<InstanceId, Vec<TaskRef>>,
    pub(super) routes: HashMap<InstanceId, Vec<Routed>>,
    pub(super) rules: Vec<IdleRule>,
    pub(super) secrets: BTreeSet<InstanceId>,
    pub(super) databases: BTreeMap<InstanceId, Vec<String>>,
}

impl World {
    /// Everybody who has something there.
    pub(super) fn owners(&self) -> BTreeSet<InstanceId> {
        let keys = self.tasks.keys().chain(self.routes.keys());
        keys.chain(&self.secrets)
            .chain(self.databases.keys())
            .cloned()
            .collect()
    }
}

/// What stands beside the records: who has what to himself, and which mails were not sent.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Held, and not resting or ending by itself.
    pub(super) held: HashMap<InstanceId, BTreeSet<(Kind, String)>>,
    /// By endpoint, also those that rest: by this a target that carries no mark is known.
    pub(super) endpoints: HashMap<String, (InstanceId, Attempt)>,
    pub(super) mails: Vec<Unsent>,
}

/// Where the platform has to look: as it is configured now, and as live instances have it frozen.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) runs: Vec<RunSpec>,
    keys: BTreeSet<RouteKey>,
}

impl Places {
    pub(crate) fn configured(settings: &Settings) -> Self {
        use wharf_domain::service::RouteRule;
        let mut places = Self {
            runs: Vec::new(),
            keys: BTreeSet::new(),
        };
        for service in settings.services.values() {
            places.add_run(&service.run);
            if let RouteRule::TargetGroups { arns, rule, .. } = &service.route {
                places.keys.insert(RouteKey::TargetGroups {
                    arns: arns.clone(),
                    rule: rule.clone(),
                });
            }
        }
        places
    }

    /// A host belongs to one instance, and a load balancer that has hosts lists them by itself.
    pub(crate) fn add(&mut self, instance: &Instance, settings: &Settings) {
        self.add_run(&instance.service.run);
        if let Some(key @ RouteKey::TargetGroups { .. }) = settings.route_key(instance) {
            self.keys.insert(key);
        }
    }

    fn add_run(&mut self, run: &RunSpec) {
        if !self.runs.contains(run) {
            self.runs.push(run.clone());
        }
    }
}

impl Wharf {
    pub(super) async fn world(&self, places: &Places, beside: &Beside) -> Result<World, Failure> {
        let platform = self.platform();
        let keys: Vec<RouteKey> = places.keys.iter().cloned().collect();
        let mut world = World::default();
        for (owner, task) in platform.tasks.all(&places.runs).await? {
            world.tasks.entry(owner.instance).or_default().push(task);
        }
        let mut unmarked = Vec::new();
        for registered in platform.routes.all(&keys).await? {
            match registered.owner.clone() {
                Some((id, attempt)) => world.add_route(id, attempt, registered, true),
                None => unmarked.push(registered),
            }
        }
        let mut nobodys = Vec::new();
        for registered in unmarked {
            let key = registered.endpoint.key();
            let known = match beside.endpoints.get(&key) {
                Some(known) => Some(known.clone()),
                // It may have been taken since the reservations were read.
                None => self
                    .store()
                    .reservation(Kind::Endpoint, &key)
                    .await?
                    .map(|found| (found.owner, attempt_of(&found.value))),
            };
            match known {
                Some((id, attempt)) => world.add_route(id, attempt, registered, false),
                None => nobodys.push(registered),
            }
        }
        self.ask_tasks(&mut world, nobodys).await?;
        world.rules = platform.routes.idle_rules(&keys).await?;
        world.secrets = platform.secrets.all().await?.into_iter().collect();
        for (id, name) in platform.databases.all().await? {
            world.databases.entry(id).or_default().push(name);
        }
        Ok(world)
    }

    /// What carries nobody's mark, and is in no reservation, is ours if one of our own tasks listens there; anything else is another's, and left alone. That happens
    /// with a registry that is older than the task: so only tasks are asked that have no route.
    async fn ask_tasks(&self, world: &mut World, mut nobodys: Vec<Registered>) -> Result<(), Failure> {
        let candidates: Vec<(InstanceId, TaskRef)> = world
            .tasks
            .iter()
            .filter(|(id, _)| !world.routes.contains_key(*id))
            .flat_map(|(id, tasks)| tasks.iter().map(move |task| (id.clone(), task.clone())))
            .take(LOOKS_MOST)
            .collect();
        for (id, task) in candidates {
            if nobodys.is_empty() {
                return Ok(());
            }
            let status = self.platform().tasks.look(&self.owner(&id, task.attempt), &task).await;
            let Ok(TaskStatus::Running { endpoint: Some(at) }) = status else {
                continue;
            };
            let (its, others) = nobodys
                .into_iter()
                .partition(|registered| registered.endpoint.key() == at.key());
            nobodys = others;
            for registered in its {
                world.add_route(id.clone(), task.attempt, registered, false);
            }
        }
        Ok(())
    }

    /// Reads reservations and mails, page by page.
    pub(super) async fn beside(&self) -> Result<Beside, Failure> {
        let now = self.clock().now();
        let mut beside = Beside::default();
        let mut from = None;
        loop {
            let page = self.store().survey(from, PAGE_MAX).await?;
            for (kind, key, reservation) in page.reservations {
                if kind == Kind::Endpoint {
                    let attempt = attempt_of(&reservation.value);
                    beside
                        .endpoints
                        .insert(key.clone(), (reservation.owner.clone(), attempt));
                }
                let is_over = reservation.until.is_some_and(|until| until <= now);
                if !reservation.resting && !is_over {
                    beside.held.entry(reservation.owner).or_default().insert((kind, key));
                }
            }
            beside.mails.extend(page.mails);
            from = page.next;
            if from.is_none() {
                return Ok(beside);
            }
        }
    }
}

impl World {
    fn add_route(&mut self, id: InstanceId, attempt: Attempt, registered: Registered, is_marked: bool) {
        self.routes.entry(id).or_default().push(Routed {
            key: registered.key,
            attempt,
            endpoint: registered.endpoint,
            is_marked,
            open: registered.open,
        });
    }
}

/// A reservation of an endpoint says for which attempt it is.
fn attempt_of(value: &str) -> Attempt {
    value.parse().map_or(Attempt(1), Attempt)
}
