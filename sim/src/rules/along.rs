//! What must hold all along, looked at after every change.

use std::collections::BTreeMap;
use wharf_domain::{Booking, InstanceId, State};
use wharf_platform::{Owner, RouteKey};
use wharf_saga::{
    Record, limits,
    store::{Batch, Committed, Expect, Kind, LeaseChange},
};
use wharf_testkit::sim::View;

use super::{
    Book, Rules,
    ledger::{Kept, Ledger},
    lives::users_are_served,
};

impl Rules {
    /// A batch was written: by whom, and may he?
    pub(super) fn hold_commit(&self, process: &str, batch: &Batch, committed: &Committed) {
        let now = self.world.now();
        let mut book = self.book.lock();
        if let Some(what) = self.port_too_early(&mut book, batch) {
            book.broken(&self.world, "ports", what);
        }
        let Some(write) = &batch.record else { return };
        let Ok(record) = serde_json::from_str::<Record<wharf_domain::Instance>>(&write.body) else {
            book.broken(
                &self.world,
                "records",
                format!("what was written for {} is no record", batch.instance),
            );
            return;
        };
        if let LeaseChange::Take { holder } = &batch.lease {
            book.drivers.insert(holder.clone(), process.to_owned());
        }
        let id = batch.instance.clone();
        book.last_written = Some((id.clone(), now));
        let before = book.instances.get(&id).cloned();
        if let Some(before) = &before {
            for (rule, what) in self.lease_is_kept(&book, before, process, batch) {
                book.broken(&self.world, rule, what);
            }
        }
        let becomes_ready = matches!(record.data.state, State::Ready { .. })
            && before.as_ref().is_none_or(|before| {
                !matches!(before.instance.state, State::Ready { .. }) || before.instance.attempt != record.data.attempt
            });
        let ledger = book
            .instances
            .entry(id.clone())
            .or_insert_with(|| Ledger::new(record.data.clone(), now));
        ledger.write(record);
        ledger.lease = committed.lease.clone();
        ledger.written_at = now;
        let broken = self.hold_life(before.as_ref(), ledger, batch);
        if becomes_ready {
            let ledger = ledger.clone();
            let kept = self.world.view(|view| kept_by(&ledger, view));
            if let Err(what) = self.world.view(|view| self.is_proven(&ledger, view)) {
                book.broken(&self.world, "ready", what);
            }
            if let Some(ledger) = book.instances.get_mut(&id)
                && ledger.kept.is_none()
                && ledger.instance.tenant.is_some()
            {
                ledger.kept = Some(kept);
            }
        }
        if let Some(what) = shared_name(&book) {
            book.broken(&self.world, "names", what);
        }
        for (rule, what) in broken {
            book.broken(&self.world, rule, what);
        }
    }

    /// A port rests before somebody else gets it: who follows an old link must not come to a stranger.
    fn port_too_early(&self, book: &mut Book, batch: &Batch) -> Option<String> {
        let now = self.world.now();
        for release in batch.release.iter().filter(|release| release.kind == Kind::Port) {
            book.released.insert(release.key.clone(), (batch.instance.clone(), now));
        }
        let ports = batch.reserve.iter().filter(|reserve| reserve.kind == Kind::Port);
        ports.into_iter().find_map(|reserve| {
            let (by, at) = book.released.get(&reserve.key)?;
            let rested = now.since(*at) + self.apart;
            let is_early = *by != batch.instance && rested < self.settings.port_quarantine;
            is_early.then(|| format!("{} gets port {} {rested:?} after {by}", batch.instance, reserve.key))
        })
    }

    /// One writer, and a successor only after the lease is over.
    fn lease_is_kept(&self, book: &Book, before: &Ledger, process: &str, batch: &Batch) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        let id = &batch.instance;
        if let Expect::Lease { epoch, renewals } = batch.expect
            && (epoch, renewals) != (before.lease.epoch, before.lease.renewals)
        {
            broken.push((
                "fencing",
                format!(
                    "{process} writes {id} as of epoch {epoch}, and it is {}",
                    before.lease.epoch
                ),
            ));
        }
        let Some(holder) = &before.lease.holder else {
            return broken;
        };
        let is_holder = book.drivers.get(holder).is_some_and(|known| known == process);
        match &batch.lease {
            _ if is_holder => {}
            LeaseChange::Take { .. } => {
                let silent = self.world.now().since(before.written_at);
                if silent < limits::LEASE {
                    broken.push((
                        "leases",
                        format!("{process} takes {id} over from {holder} after {silent:?}"),
                    ));
                }
            }
            _ => broken.push(("one writer", format!("{process} writes {id}, which {holder} holds"))),
        }
        broken
    }

    /// Ready is what its own task has answered for, through its route.
    fn is_proven(&self, ledger: &Ledger, view: View<'_>) -> Result<(), String> {
        let instance = &ledger.instance;
        let owner = Owner {
            deployment: self.settings.deployment.clone(),
            instance: instance.id.clone(),
            attempt: instance.attempt,
        };
        if !view.has_answered(&owner) {
            return Err(format!("{} is ready, and its task never answered", instance.id));
        }
        let Some(key) = self.settings.route_key(instance) else {
            return Ok(());
        };
        let leads = view
            .routes()
            .any(|(at, route)| *at == key && route.open && route.backend.owner == owner);
        if leads {
            Ok(())
        } else {
            Err(format!("{} is ready, and no open route leads to it", instance.id))
        }
    }

    /// The world, as it is now, against the book.
    pub(super) fn hold_world(&self) {
        let mut book = self.book.lock();
        if book.violations.len() >= super::KEPT {
            return;
        }
        let broken = self.world.view(|view| {
            let mut broken = Vec::new();
            self.tasks_are_right(&book, view, &mut broken);
            self.line_is_kept(&book, view, &mut broken);
            self.routes_are_right(&book, view, &mut broken);
            self.things_are_right(&book, view, &mut broken);
            self.kept_is_there(&book, view, &mut broken);
            users_are_served(&book, view, &mut broken);
            broken.extend(view.mistakes().iter().map(|what| ("drained", what.clone())));
            broken
        });
        for (rule, what) in broken {
            book.broken(&self.world, rule, what);
        }
    }

    fn is_ours(&self, owner: &Owner) -> bool {
        owner.deployment == self.settings.deployment
    }

    fn tasks_are_right(&self, book: &Book, view: View<'_>, broken: &mut Vec<(&'static str, String)>) {
        let mut live: BTreeMap<&InstanceId, &str> = BTreeMap::new();
        // What nobody waited for any more has to be found and stopped; that is looked at in the end.
        for task in view
            .live_tasks()
            .filter(|task| self.is_ours(&task.owner) && !task.unexpected)
        {
            let (id, attempt) = (&task.owner.instance, task.owner.attempt);
            if let Some(other) = live.insert(id, &task.reference.id) {
                broken.push((
                    "one task",
                    format!("{id} has the tasks {other} and {}", task.reference.id),
                ));
            }
            let Some(ledger) = book.instances.get(id) else {
                broken.push((
                    "write-ahead",
                    format!("{} runs for {id}, which was never written", task.reference.id),
                ));
                continue;
            };
            if !ledger.has_begun(attempt, "task") {
                broken.push((
                    "write-ahead",
                    format!(
                        "{} runs for {id} ({attempt}), and no intent was written",
                        task.reference.id
                    ),
                ));
            }
            if ledger.instance.state.is_final() {
                broken.push((
                    "over is over",
                    format!(
                        "{} runs for {id}, which is {}",
                        task.reference.id,
                        ledger.instance.state.name()
                    ),
                ));
            }
            if let Some(port) = ledger.instance.held.port.filter(|port| task.endpoint.port() == *port) {
                let lease = self.store.reservation_now(Kind::Port, &port.to_string());
                if lease.is_none_or(|lease| lease.owner != *id || lease.resting) {
                    broken.push((
                        "ports",
                        format!(
                            "{} of {id} listens on port {port}, which {id} does not hold",
                            task.reference.id
                        ),
                    ));
                }
            }
        }
    }

    /// Never more are being started than may be, and never more is booked than there is.
    fn line_is_kept(&self, book: &Book, view: View<'_>, broken: &mut Vec<(&'static str, String)>) {
        let limits = &self.settings.limits;
        let (mut starting, mut booked) = (0, 0);
        let known = view
            .live_tasks()
            .filter(|task| self.is_ours(&task.owner) && !task.unexpected)
            .filter_map(|task| Some((task, book.instances.get(&task.owner.instance)?)));
        for (task, ledger) in known {
            let instance = &ledger.instance;
            let is_current = task.owner.attempt == instance.attempt;
            starting += usize::from(instance.state.is_coming() && ledger.starts && is_current);
            // What was given up while it could not be ended is the operator's, and what is being taken back knows of no task whose start it was not told of.
            let counts = !instance.state.is_final() && instance.held.task.is_some();
            booked += u64::from(counts) * Booking::of(&task.run).memory;
        }
        if let Some(most) = limits.starts_at_once.filter(|most| starting > *most) {
            broken.push(("line", format!("{starting} are being started, and {most} may be")));
        }
        if let Some(most) = limits.memory.filter(|most| booked > *most) {
            broken.push(("room", format!("{booked} bytes are booked of {most}")));
        }
    }

    fn routes_are_right(&self, book: &Book, view: View<'_>, broken: &mut Vec<(&'static str, String)>) {
        for (key, route) in view.routes() {
            let owner = &route.backend.owner;
            // A registration that came too late is repair's to find, and looked at in the end.
            if !self.is_ours(owner) || !route.open || route.drains_until.is_some() || route.unexpected {
                continue;
            }
            let answers = view
                .live_tasks()
                .find(|task| task.endpoint == route.backend.endpoint && task.listens(view.now) && !task.unexpected);
            // A platform may give the address of a task that has just died to another's before anybody can know. Wharf must not take it for the other's then.
            let holds = |id: &InstanceId| {
                let lease = self
                    .store
                    .reservation_now(Kind::Endpoint, &route.backend.endpoint.key());
                lease.is_some_and(|lease| lease.owner == *id && !lease.resting)
            };
            if let Some(task) = answers
                && task.owner.instance != owner.instance
                && holds(&task.owner.instance)
            {
                broken.push((
                    "tenants",
                    format!(
                        "a request for {} reaches {} of {}",
                        owner.instance, task.reference.id, task.owner.instance
                    ),
                ));
            }
            let (RouteKey::Host { host }, Some(ledger)) = (key, book.instances.get(&owner.instance)) else {
                continue;
            };
            let name = host.split('.').next().unwrap_or_default();
            if ledger.instance.name() != name {
                broken.push(("tenants", format!("{host} leads to {}", ledger.instance.name())));
            }
        }
    }

    fn things_are_right(&self, book: &Book, view: View<'_>, broken: &mut Vec<(&'static str, String)>) {
        let mut made_for = |id: &InstanceId, step: &str, what: &str| match book.instances.get(id) {
            Some(ledger) if ledger.has_ever_begun(step) => {}
            _ => broken.push((
                "write-ahead",
                format!("{what} of {id} is there, and no intent was written"),
            )),
        };
        for (name, database) in view.databases().filter(|(_, database)| self.is_ours(&database.owner)) {
            made_for(&database.owner.instance, "database", name);
        }
        for (id, _) in view.secrets() {
            made_for(id, "secrets", "a password");
        }
    }

    /// After the first Ready nothing but an explicit end takes anything away.
    fn kept_is_there(&self, book: &Book, view: View<'_>, broken: &mut Vec<(&'static str, String)>) {
        for (id, ledger) in &book.instances {
            let Some(kept) = ledger.kept.as_ref().filter(|_| !ledger.is_to_end) else {
                continue;
            };
            if ledger.instance.state.is_final() {
                broken.push((
                    "kept",
                    format!("{id} was ready and is over, and nobody has asked for that"),
                ));
            }
            let now = kept_by(ledger, view);
            if now.secrets != kept.secrets {
                broken.push(("kept", format!("the secrets of {id} are others, or gone")));
            }
            if now.database != kept.database {
                broken.push(("kept", format!("the database of {id} is another, or gone")));
            }
            let name = ledger.instance.name();
            let holds = self.store.reservation_now(Kind::Name, name);
            if holds.is_none_or(|held| held.owner != *id || held.resting) {
                broken.push(("kept", format!("{id} does not hold its name {name} any more")));
            }
        }
    }
}

fn kept_by(ledger: &Ledger, view: View<'_>) -> Kept {
    let instance = &ledger.instance;
    let database = instance.held.database.as_ref().and_then(|name| {
        let found = view
            .database(name)
            .filter(|found| found.owner.instance == instance.id)?;
        Some((name.clone(), found.number))
    });
    Kept {
        secrets: view.secrets_of(&instance.id).cloned().unwrap_or_default(),
        database,
    }
}

/// Two live instances with one name.
fn shared_name(book: &Book) -> Option<String> {
    let mut names: BTreeMap<&str, &InstanceId> = BTreeMap::new();
    let live = book
        .instances
        .iter()
        .filter(|(_, ledger)| !ledger.instance.state.is_final());
    for (id, ledger) in live.filter(|(_, ledger)| ledger.instance.tenant.is_some()) {
        if let Some(other) = names.insert(ledger.instance.name(), id) {
            return Some(format!("{other} and {id} are both {}", ledger.instance.name()));
        }
    }
    None
}
