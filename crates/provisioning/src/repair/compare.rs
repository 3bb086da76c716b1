//! The comparison: reads registry and world, and says how they differ.

use std::collections::{HashMap, HashSet};
use wharf_domain::{Attempt, Failure, Instance, InstanceId, State, service::RunSpec};
use wharf_platform::{Owner, Registered, RouteKey};
use wharf_saga::store::{Kind, PAGE_MAX, Query};

use super::{Class, Finding, Mend, Subject, keys, leads_to, runs};
use crate::wharf::{Wharf, read};

/// What the registry says, as far as the comparison needs it.
struct Registry {
    /// Live instances that no saga has in its hands.
    at_rest: HashMap<InstanceId, Instance>,
    /// Live instances in the middle of a saga: passed over.
    moving: HashSet<InstanceId>,
    /// Ended ones.
    over: Vec<InstanceId>,
    /// What is wrong with records that this version cannot read.
    unreadable: Vec<(InstanceId, Failure)>,
}

impl Registry {
    /// Who may take away what is left of an instance that is not live. A registry without any record is rather the wrong one than the one whose
    /// tasks these are.
    fn class(&self, id: &InstanceId, known: Class) -> Class {
        let is_known = self.is_live(id) || self.over.contains(id);
        if is_known || (known == Class::Safe && !self.is_empty()) {
            known
        } else {
            Class::Unknown
        }
    }

    fn is_empty(&self) -> bool {
        self.at_rest.is_empty() && self.moving.is_empty() && self.over.is_empty()
    }

    /// Whether whatever this instance has in the world is in order, or is being seen to.
    fn is_live(&self, id: &InstanceId) -> bool {
        self.moving.contains(id) || self.at_rest.contains_key(id)
    }
}

impl Wharf {
    /// Compares registry and world. Changes nothing.
    pub async fn repair_plan(&self) -> Result<Vec<Finding>, Failure> {
        let (runs, keys) = self.places().await?;
        // The world first: what a saga makes meanwhile is then in the registry already, and not taken for an orphan.
        let tasks = self.platform().tasks.all(&runs).await?;
        let routes = self.platform().routes.all(&keys).await?;
        let secrets = self.platform().secrets.all().await?;
        let databases = self.platform().databases.all().await?;
        let registry = self.registry().await?;
        let mut findings = Vec::new();
        let mut find =
            |subject, instance: &InstanceId, what: String, mend: Option<(Mend, Class)>, hint: Option<String>| {
                let (mend, class) = mend.unzip();
                findings.push(Finding {
                    subject,
                    instance: Some(instance.clone()),
                    what,
                    cause: None,
                    mend,
                    class,
                    hint,
                });
            };

        let mut running = HashSet::new();
        for (owner, task) in &tasks {
            let expected = match registry.at_rest.get(&owner.instance) {
                Some(instance) => instance.held.task.as_ref() == Some(task),
                None => registry.moving.contains(&owner.instance),
            };
            if expected {
                running.insert(owner.instance.clone());
            } else {
                let mend = Mend::StopTask {
                    owner: owner.clone(),
                    task: task.clone(),
                };
                let class = registry.class(&owner.instance, Class::Safe);
                find(
                    Subject::Task,
                    &owner.instance,
                    format!(
                        "task {} of {} (attempt {}) runs, and the registry does not want it",
                        task.id, owner.instance, owner.attempt
                    ),
                    Some((mend, class)),
                    None,
                );
            }
        }
        let mut routed = HashSet::new();
        for registered in routes {
            // What carries nobody's mark is ours only if the registry says so; anything else is another's, and left alone.
            let Some((id, attempt)) = self.owner_of(&registered).await? else {
                continue;
            };
            let expected = match registry.at_rest.get(&id) {
                Some(instance) => matches!(instance.state, State::Ready { .. }) && leads_to(&registered, instance),
                None => registry.moving.contains(&id),
            };
            if expected {
                routed.insert(id);
            } else {
                let owner = Owner {
                    deployment: self.settings().deployment.clone(),
                    instance: id.clone(),
                    attempt,
                };
                let class = registry.class(&id, Class::Safe);
                find(
                    Subject::Route,
                    &id,
                    format!("a route leads to {id} (attempt {attempt}), which is not there"),
                    Some((
                        Mend::WithdrawRoute {
                            owner,
                            route: registered.key,
                            endpoint: registered.endpoint,
                        },
                        class,
                    )),
                    None,
                );
            }
        }
        for (id, instance) in &registry.at_rest {
            let name = instance.name();
            match &instance.state {
                State::Ready { .. } if !running.contains(id) => {
                    find(
                        Subject::Task,
                        id,
                        format!("{name} is ready in the registry, and its task does not run"),
                        Some((Mend::BringBack { instance: id.clone() }, Class::Safe)),
                        None,
                    );
                }
                State::Ready { .. } if self.settings().route_key(instance).is_some() && !routed.contains(id) => {
                    find(
                        Subject::Route,
                        id,
                        format!("{name} is ready in the registry, and no route leads to it"),
                        Some((Mend::BringBack { instance: id.clone() }, Class::Safe)),
                        None,
                    );
                }
                State::Stuck { step, cause, .. } => find(
                    Subject::Instance,
                    id,
                    format!("{name} is stuck at step {step}: {}", cause.message),
                    None,
                    Some(format!(
                        "mend the cause, then `wharf resume {name}`; or `wharf abandon {name} --reason …`"
                    )),
                ),
                State::Down { cause, .. } => find(
                    Subject::Instance,
                    id,
                    format!("{name} is down: {}", cause.message),
                    None,
                    Some(format!("`wharf logs {name}`, then `wharf start {name}`")),
                ),
                _ => {}
            }
            if instance.held.secrets && !secrets.contains(id) {
                find(
                    Subject::Secrets,
                    id,
                    format!("the secrets of {name} are gone"),
                    None,
                    Some("restore the data directory's `secrets` folder from a backup".to_owned()),
                );
            }
            if let Some(database) = &instance.held.database
                && !databases.iter().any(|(owner, name)| owner == id && name == database)
            {
                find(
                    Subject::Database,
                    id,
                    format!("the database {database} of {name} is gone"),
                    None,
                    Some("restore the data directory's `databases` folder from a backup".to_owned()),
                );
            }
        }
        for id in secrets.into_iter().filter(|id| !registry.is_live(id)) {
            let class = registry.class(&id, Class::Asked);
            find(
                Subject::Secrets,
                &id,
                format!("there are secrets of {id}, which is {}", whose(class)),
                Some((Mend::RemoveSecrets { instance: id.clone() }, class)),
                None,
            );
        }
        for (id, name) in databases.into_iter().filter(|(id, _)| !registry.is_live(id)) {
            let class = registry.class(&id, Class::Asked);
            let instance = id.clone();
            find(
                Subject::Database,
                &id,
                format!("there is a database {name} of {id}, which is {}", whose(class)),
                Some((Mend::RemoveDatabase { instance, name }, class)),
                None,
            );
        }
        for (id, failure) in &registry.unreadable {
            let hint = "it may be of a later version: upgrade Wharf, or restore the registry from a backup";
            find(
                Subject::Record,
                id,
                failure.message.clone(),
                None,
                Some(hint.to_owned()),
            );
        }
        for id in &registry.over {
            let held = self.store().reservations_of(id).await?;
            let kept: Vec<String> = held
                .into_iter()
                .filter(|(kind, _, reservation)| {
                    matches!(kind, Kind::Name | Kind::Port | Kind::Endpoint) && !reservation.resting
                })
                .map(|(kind, key, _)| format!("{kind} {key}"))
                .collect();
            if !kept.is_empty() {
                find(
                    Subject::Port,
                    id,
                    format!("{id} is over and still holds {}", kept.join(", ")),
                    Some((Mend::ReleaseReservations { instance: id.clone() }, Class::Safe)),
                    None,
                );
            }
        }
        findings.sort_by(|a, b| a.what.cmp(&b.what));
        Ok(findings)
    }

    /// Where tasks and routes of this deployment may be: as it is configured now, and as live instances have it frozen.
    pub(crate) async fn places(&self) -> Result<(Vec<RunSpec>, Vec<RouteKey>), Failure> {
        let mut live = Vec::new();
        let mut before = None;
        loop {
            let query = Query {
                live: Some(true),
                before,
                limit: PAGE_MAX,
                ..Query::default()
            };
            let page = self.store().list(query).await?;
            let is_last = page.len() < PAGE_MAX;
            before = page.last().map(|last| last.id.clone());
            live.extend(page.iter().filter_map(|stored| Some(read(stored).ok()?.data)));
            if is_last {
                break;
            }
        }
        Ok((
            runs(self.settings().services.values(), live.iter()),
            keys(self.settings(), &live),
        ))
    }

    async fn owner_of(&self, registered: &Registered) -> Result<Option<(InstanceId, Attempt)>, Failure> {
        if registered.owner.is_some() {
            return Ok(registered.owner.clone());
        }
        let found = self
            .store()
            .reservation(Kind::Endpoint, &registered.endpoint.key())
            .await?;
        Ok(found.map(|reservation| {
            let attempt = reservation.value.parse().map_or(Attempt(1), Attempt);
            (reservation.owner, attempt)
        }))
    }

    async fn registry(&self) -> Result<Registry, Failure> {
        let mut registry = Registry {
            at_rest: HashMap::new(),
            moving: HashSet::new(),
            over: Vec::new(),
            unreadable: Vec::new(),
        };
        let mut before = None;
        loop {
            let page = self
                .store()
                .list(Query {
                    before,
                    limit: PAGE_MAX,
                    ..Query::default()
                })
                .await?;
            let full = page.len() == PAGE_MAX;
            before = page.last().map(|last| last.id.clone());
            for stored in &page {
                let record = match read(stored) {
                    Ok(record) => record,
                    Err(failure) => {
                        // What is not understood is not touched.
                        registry.moving.insert(stored.id.clone());
                        registry.unreadable.push((stored.id.clone(), failure));
                        continue;
                    }
                };
                let under_way = record
                    .progress
                    .as_ref()
                    .is_some_and(|progress| progress.halted.is_none());
                if record.data.state.is_final() {
                    registry.over.push(stored.id.clone());
                } else if under_way || stored.inbox_head > stored.inbox_read || self.engine().is_driving(&stored.id) {
                    registry.moving.insert(stored.id.clone());
                } else {
                    registry.at_rest.insert(stored.id.clone(), record.data);
                }
            }
            if !full {
                return Ok(registry);
            }
        }
    }
}

fn whose(class: Class) -> &'static str {
    match class {
        Class::Unknown => "unknown to the registry",
        Class::Safe | Class::Asked => "over",
    }
}
