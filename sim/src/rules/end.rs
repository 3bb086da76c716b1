//! What must hold once the faults have stopped and everything had its time.

use std::collections::BTreeMap;
use wharf_domain::{InstanceId, State, Timestamp};
use wharf_provisioning::Message;
use wharf_saga::store::Kind;
use wharf_testkit::sim::tasks::SimTask;

use super::{Rules, ledger::Ledger};

/// What customers were told.
#[derive(Debug, Default)]
pub(crate) struct Client {
    /// By key, with what it was sent for: the instances that were answered.
    pub(crate) by_key: BTreeMap<(&'static str, u32), Vec<InstanceId>>,
    /// Everything that was ever accepted.
    pub(crate) accepted: Vec<InstanceId>,
}

impl Client {
    /// Somebody was answered with this instance. A `replayed` one was there before, and may have been known by its name.
    pub(crate) fn accept(&mut self, scope: &'static str, key: Option<u32>, id: InstanceId, replayed: bool) {
        if let Some(key) = key {
            let answered = self.by_key.entry((scope, key)).or_default();
            // What was known by its name has left no trace of the key here.
            let is_known = answered.contains(&id) || replayed && answered.is_empty();
            if !is_known {
                answered.push(id.clone());
            }
        }
        self.accepted.push(id);
    }
}

impl Rules {
    /// Whether nothing moves any more, as far as records say.
    pub(crate) fn is_quiet(&self) -> bool {
        let book = self.book.lock();
        book.instances
            .values()
            .all(|ledger| !is_moving(ledger) && !self.has_an_end_before_it(ledger))
    }

    /// Whose record was written last, and when: who changes for a moment again and again does not rest.
    pub(crate) fn last_written(&self) -> Option<(InstanceId, Timestamp)> {
        self.book.lock().last_written.clone()
    }

    /// Who does not come to an end, for whoever reads.
    pub(crate) fn restless(&self) -> Vec<String> {
        let book = self.book.lock();
        let restless = book.instances.iter();
        restless
            .filter(|(_, ledger)| is_moving(ledger) || self.has_an_end_before_it(ledger))
            .map(|(id, ledger)| format!("{id} is {}", ledger.instance.state.name()))
            .collect()
    }

    /// The live instance of this name.
    pub(crate) fn holder_of(&self, name: &str) -> Option<InstanceId> {
        let book = self.book.lock();
        let mut live = book
            .instances
            .iter()
            .filter(|(_, ledger)| !ledger.instance.state.is_final());
        live.find(|(_, ledger)| ledger.instance.name() == name)
            .map(|(id, _)| id.clone())
    }

    pub(crate) fn stuck(&self) -> Vec<InstanceId> {
        let book = self.book.lock();
        let stuck = book
            .instances
            .iter()
            .filter(|(_, ledger)| matches!(ledger.instance.state, State::Stuck { .. }));
        stuck.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn live(&self) -> Vec<InstanceId> {
        let book = self.book.lock();
        let live = book
            .instances
            .iter()
            .filter(|(_, ledger)| !ledger.instance.state.is_final());
        live.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn states(&self) -> BTreeMap<&'static str, u64> {
        let mut states = BTreeMap::new();
        for ledger in self.book.lock().instances.values() {
            *states.entry(ledger.instance.state.name()).or_default() += 1;
        }
        states
    }

    /// All is quiet, and nobody has lent a hand: what is called ready serves.
    pub(crate) fn hold_service(&self) {
        let mut broken = Vec::new();
        for (id, ledger) in &self.book.lock().instances {
            if matches!(ledger.instance.state, State::Ready { .. })
                && let Err(what) = self.serves(ledger)
            {
                broken.push(format!("{id} is ready, and {what}"));
            }
        }
        for what in broken {
            self.broken("serving", what);
        }
    }

    /// All is quiet: what was promised is there, and nothing else.
    pub(crate) fn hold_promises(&self, client: &Client) {
        let broken = {
            let book = self.book.lock();
            let mut broken = Vec::new();
            for ((scope, key), ids) in &client.by_key {
                if ids.len() > 1 {
                    broken.push(("keys", format!("key {key} of {scope} was answered with {ids:?}")));
                }
            }
            for id in &client.accepted {
                match book.instances.get(id) {
                    None => broken.push((
                        "forgotten",
                        format!("{id} was accepted, and the registry does not know it"),
                    )),
                    Some(ledger) => broken.extend(is_as_asked(id, ledger)),
                }
            }
            for (id, ledger) in &book.instances {
                if let State::Stuck { step, cause, .. } = &ledger.instance.state {
                    broken.push((
                        "stuck",
                        format!("{id} is stuck at {step} although nothing is wrong any more: {cause}"),
                    ));
                }
            }
            let singles = book
                .instances
                .values()
                .filter(|ledger| ledger.instance.service.singleton && !ledger.instance.state.is_final());
            if singles.clone().count() > 1 {
                broken.push((
                    "singletons",
                    format!("{} of a service that is to run once", singles.count()),
                ));
            }
            self.strays(&book.instances, &mut broken);
            broken
        };
        for (rule, what) in broken {
            self.broken(rule, what);
        }
    }

    /// Its own task, and no other, answers where its visitors are sent.
    fn serves(&self, ledger: &Ledger) -> Result<(), String> {
        let instance = &ledger.instance;
        self.world.view(|view| {
            let tasks: Vec<_> = view
                .live_tasks()
                .filter(|task| task.owner.instance == instance.id)
                .collect();
            let [task] = tasks.as_slice() else {
                let ids: Vec<_> = tasks.iter().map(|task| task.reference.id.as_str()).collect();
                return Err(format!("its tasks are {ids:?}"));
            };
            if task.owner.attempt != instance.attempt || instance.held.task.as_ref() != Some(&task.reference) {
                return Err(format!(
                    "{} runs, which is not the task of its record",
                    task.reference.id
                ));
            }
            if task.is_paused {
                return Err(format!("{} stands still", task.reference.id));
            }
            let Some(key) = self.settings.route_key(instance) else {
                return Ok(());
            };
            let leads = view.routes().any(|(at, route)| {
                *at == key
                    && route.open
                    && route.drains_until.is_none()
                    && route.backend.owner == task.owner
                    && route.backend.endpoint == task.endpoint
            });
            if leads {
                Ok(())
            } else {
                Err("no open route leads to its task".to_owned())
            }
        })
    }

    /// What belongs to what is over, or to nobody.
    fn strays(&self, instances: &BTreeMap<InstanceId, Ledger>, broken: &mut Vec<(&'static str, String)>) {
        let runs = |ledger: &Ledger| matches!(ledger.instance.state, State::Ready { .. });
        let is_live = |ledger: &Ledger| !ledger.instance.state.is_final();
        self.world.view(|view| {
            let ours = |owner: &wharf_platform::Owner| owner.deployment == self.settings.deployment;
            // Paused, its task is there while it sleeps.
            let rests = |ledger: &Ledger, task: &SimTask| {
                let sleeps = matches!(ledger.instance.state, State::Sleeping { .. });
                sleeps && task.is_paused && ledger.instance.held.task.as_ref() == Some(&task.reference)
            };
            for task in view.live_tasks().filter(|task| ours(&task.owner)) {
                let is_wanted = |ledger: &Ledger| runs(ledger) || rests(ledger, task);
                if !instances.get(&task.owner.instance).is_some_and(is_wanted) {
                    broken.push((
                        "strays",
                        format!("{} of {} still runs", task.reference.id, task.owner.instance),
                    ));
                }
            }
            for (key, route) in view.routes().filter(|(_, route)| ours(&route.backend.owner)) {
                if !instances.get(&route.backend.owner.instance).is_some_and(runs) {
                    broken.push((
                        "strays",
                        format!("{key:?} still leads to {}", route.backend.owner.instance),
                    ));
                }
            }
            for (name, database) in view.databases().filter(|(_, database)| ours(&database.owner)) {
                if !instances.get(&database.owner.instance).is_some_and(is_live) {
                    broken.push((
                        "strays",
                        format!("the database {name} of {} is still there", database.owner.instance),
                    ));
                }
            }
            for (id, _) in view.secrets() {
                if !instances.get(id).is_some_and(is_live) {
                    broken.push(("strays", format!("the secrets of {id} are still there")));
                }
            }
            let mut mails: BTreeMap<(&str, String), u32> = BTreeMap::new();
            for mail in view.mails() {
                *mails.entry((mail.id.as_str(), mail.to.to_string())).or_default() += 1;
            }
            for ((id, _), times) in mails.into_iter().filter(|(_, times)| *times > 1) {
                broken.push(("mails", format!("the mail {id} was delivered {times} times")));
            }
        });
        for (kind, key, reservation) in self.store.reservations() {
            let ends_by_itself = reservation.until.is_some() || matches!(kind, Kind::Token);
            if !ends_by_itself && !instances.get(&reservation.owner).is_some_and(is_live) {
                broken.push(("strays", format!("{kind} {key} is still held by {}", reservation.owner)));
            }
        }
    }

    /// Everything was ended: the world is as it was before the first customer came.
    pub(crate) fn hold_emptiness(&self, planted: &[String], now: &[String]) {
        for line in planted.iter().filter(|line| !now.contains(line)) {
            self.broken("foreign", format!("{line} was not ours, and is gone or changed"));
        }
        for line in now.iter().filter(|line| !planted.contains(line)) {
            self.broken("leftovers", format!("{line} is left"));
        }
        for id in self.live() {
            self.broken("ending", format!("{id} was to end, and is still there"));
        }
    }
}

/// Whether its saga is under way, or its state says that it should be.
fn is_moving(ledger: &Ledger) -> bool {
    ledger.moving || ledger.instance.state.is_coming() || matches!(ledger.instance.state, State::Stopping { .. })
}

/// What was asked for, where that is beyond doubt: several orders at once may come in any order.
fn is_as_asked(id: &InstanceId, ledger: &Ledger) -> Option<(&'static str, String)> {
    let state = &ledger.instance.state;
    let is = state.name();
    if ledger.is_to_end {
        return (!state.is_final()).then(|| ("ending", format!("{id} was to end, and is {is}")));
    }
    match (&ledger.last_order, state) {
        (Some(Message::Stop | Message::StopKeepingTargets), State::Ready { .. } | State::Sleeping { .. })
            if ledger.orders == 1 =>
        {
            Some(("stopping", format!("{id} was to stop, and is {is}")))
        }
        (None | Some(Message::Start), State::Stopped { .. }) if ledger.orders < 2 && !ledger.life.is_over => {
            Some(("stopping", format!("nobody wanted {id} to stop, and it is {is}")))
        }
        _ => None,
    }
}
