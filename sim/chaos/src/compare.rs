//! The comparison: whenever everything is at rest, what is in the world, what the registry says and what was answered agree.
//!
//! What must not be here: how the world is looked at on a platform, and waiting for rest beyond [`settle`].

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};
use wharf_harness::Customer;

use crate::{
    deployment::{Belongings, Deployment, Task},
    door::{Door, Instance},
    ledger::{ABSENT, Ledger, Tenant},
    load::{first_line, listed},
    log::Log,
};

/// How long everything may take to come to rest and to agree. Steps are tried again for longer than this only if they fail all the time.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Between two comparisons.
const PAUSE: Duration = Duration::from_millis(50);

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) about: Option<String>,
    what: String,
}

impl Violation {
    pub(crate) fn of(tenant: &str, what: impl Into<String>) -> Self {
        Self {
            about: Some(tenant.to_owned()),
            what: what.into(),
        }
    }

    pub(crate) fn at_large(what: impl Into<String>) -> Self {
        Self {
            about: None,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            Some(tenant) => write!(f, "{tenant}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What was counted on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Agreement {
    pub(crate) ready: usize,
    pub(crate) stopped: usize,
    pub(crate) over: usize,
    /// Sign-ups that were taken, and then taken back with a cause.
    pub(crate) failed: usize,
    pub(crate) orders: usize,
    /// What repair had to mend.
    pub(crate) mended: usize,
}

/// Waits until everything is at rest and agrees. Gives what does not, when patience is over.
pub(crate) async fn settle<D: Deployment>(
    deployment: &D,
    ledger: &RefCell<Ledger>,
    log: &Log,
    repair_first: bool,
    patience: Duration,
) -> Result<Agreement, Vec<Violation>> {
    let door = deployment.door();
    let begun = Instant::now();
    let mut mended = 0;
    if repair_first {
        match door.repair(true).await {
            Ok(repair) => {
                mended += repair.findings.len();
                log.say(format_args!(
                    "repair --apply: {} findings{}",
                    repair.findings.len(),
                    listed(&repair.findings)
                ));
            }
            Err(error) => log.say(format_args!("repair --apply: {error}")),
        }
    }
    loop {
        let tenants: Vec<Tenant> = ledger.borrow().tenants().cloned().collect();
        let (mut violations, seen) = match look(deployment, &door, &tenants).await {
            Ok(compared) => compared,
            Err(error) => (vec![Violation::at_large(error)], BTreeMap::new()),
        };
        if violations.is_empty() {
            match repair(&door, log).await {
                Ok(count) => mended += count,
                Err(violation) => violations.push(violation),
            }
        }
        violations.extend(deployment.complaints().into_iter().map(Violation::at_large));
        if violations.is_empty() {
            let mut ledger = ledger.borrow_mut();
            for tenant in ledger.tenants_mut() {
                if let Some(state) = seen.get(&tenant.name) {
                    if state.status == "failed" {
                        log.say(format_args!(
                            "{} has failed, with nothing left ({})",
                            tenant.name, state.why
                        ));
                    }
                    tenant.seen(state.status);
                    tenant.id = state.id.clone().or(tenant.id.take());
                    tenant.was_ready |= state.was_ready == Some(true);
                    tenant.is_settled = !tenant.may_be_live();
                }
            }
            return Ok(count(&ledger, mended));
        }
        if begun.elapsed() > patience {
            violations.sort();
            return Err(violations);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn count(ledger: &Ledger, mended: usize) -> Agreement {
    let in_state = |state: &str| ledger.tenants().filter(|tenant| tenant.may_be.contains(state)).count();
    Agreement {
        ready: in_state("ready"),
        stopped: in_state("stopped"),
        over: in_state("ended"),
        failed: in_state("failed"),
        orders: ledger
            .tenants()
            .filter(|tenant| tenant.may_be.contains("ready"))
            .map(|tenant| tenant.orders.len())
            .sum(),
        mended,
    }
}

/// Repair has nothing to say, or has nothing more after it was applied. Gives how much it mended.
async fn repair(door: &Door, log: &Log) -> Result<usize, Violation> {
    let fail = |error: String| Violation::at_large(format!("repair cannot be asked: {error}"));
    let found = door.repair(false).await.map_err(fail)?;
    if found.findings.is_empty() {
        return Ok(0);
    }
    log.say(format_args!("repair finds{}", listed(&found.findings)));
    let applied = door.repair(true).await.map_err(fail)?;
    if !applied.failed.is_empty() {
        return Err(Violation::at_large(format!(
            "repair cannot mend{}",
            listed(&applied.failed)
        )));
    }
    let left = door.repair(false).await.map_err(fail)?;
    if !left.findings.is_empty() {
        return Err(Violation::at_large(format!("repair leaves{}", listed(&left.findings))));
    }
    Ok(found.findings.len())
}

/// How a tenant was seen.
struct Seen {
    status: &'static str,
    id: Option<String>,
    /// `None`: it is not known any more by its name, and its id was never told.
    was_ready: Option<bool>,
    why: String,
}

/// What one look needs.
struct Look<'a> {
    door: &'a Door,
    live: &'a [Instance],
    tasks: &'a [Task],
    belongings: &'a Belongings,
    violations: Vec<Violation>,
}

type Compared = (Vec<Violation>, BTreeMap<String, Seen>);

/// One comparison of everything.
async fn look<D: Deployment>(deployment: &D, door: &Door, tenants: &[Tenant]) -> Result<Compared, String> {
    // The registry first and last: what is compared with it has not changed meanwhile if it has not.
    let live = door.live().await?;
    let (tasks, belongings) = (deployment.tasks(), deployment.belongings()?);
    let mut look = Look {
        door,
        live: &live,
        tasks: &tasks,
        belongings: &belongings,
        violations: Vec::new(),
    };
    look.nothing_is_unknown_or_double(tenants);
    look.nothing_is_left();
    let mut seen = BTreeMap::new();
    for tenant in tenants.iter().filter(|tenant| !tenant.is_settled) {
        if let Some(state) = look.tenant(tenant).await? {
            seen.insert(tenant.name.clone(), state);
        }
    }
    look.mails(tenants, &seen);
    Ok((look.violations, seen))
}

impl Look<'_> {
    fn wrong(&mut self, tenant: &Tenant, what: impl Into<String>) {
        self.violations.push(Violation::of(&tenant.name, what));
    }

    fn at_large(&mut self, what: impl Into<String>) {
        self.violations.push(Violation::at_large(what));
    }

    fn nothing_is_unknown_or_double(&mut self, tenants: &[Tenant]) {
        let names: BTreeSet<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        let (mut named, mut ports) = (BTreeSet::new(), BTreeMap::new());
        let live = self.live;
        for instance in live {
            if !names.contains(instance.name.as_str()) {
                self.at_large(format!("{} ({}) was never asked for", instance.name, instance.id));
            }
            if !named.insert(&instance.name) {
                self.at_large(format!("{} is there twice", instance.name));
            }
            let Some(port) = instance.port.filter(|_| instance.status == "ready") else {
                continue;
            };
            if let Some(other) = ports.insert(port, &instance.name) {
                self.at_large(format!("{other} and {} have the same port {port}", instance.name));
            }
        }
    }

    /// Everything in the world belongs to an instance that has a right to it.
    fn nothing_is_left(&mut self) {
        let (tasks, live, belongings) = (self.tasks, self.live, self.belongings);
        let find = |id: &str| live.iter().find(|instance| instance.id == id);
        for task in tasks {
            match find(&task.instance) {
                Some(instance) if instance.status != "ready" => {
                    self.at_large(format!("{task} runs, and {} is {}", instance.name, instance.status));
                }
                Some(_) => {}
                None => self.at_large(format!("{task} runs, and there is no such instance")),
            }
        }
        for (what, ids) in [("a database", &belongings.databases), ("secrets", &belongings.secrets)] {
            for id in ids.iter().filter(|id| find(id).is_none()) {
                self.at_large(format!("{what} of {id} are left, which is over"));
            }
        }
        let ports: BTreeSet<u64> = live
            .iter()
            .filter(|instance| instance.status == "ready")
            .filter_map(|instance| instance.port)
            .collect();
        for port in belongings
            .ports
            .iter()
            .filter(|port| !ports.contains(&u64::from(**port)))
        {
            self.at_large(format!("somebody listens on port {port}, which is nobody's"));
        }
        if !belongings.unfinished.is_empty() {
            self.at_large(format!(
                "half-written files are left: {}",
                belongings.unfinished.join(", ")
            ));
        }
    }

    /// A tenant is where it may be, with everything that belongs to that and nothing else.
    async fn tenant(&mut self, tenant: &Tenant) -> Result<Option<Seen>, String> {
        let word = tenant.id.as_deref().unwrap_or(&tenant.name);
        let Some(instance) = self.door.find(word).await? else {
            if let Some(id) = &tenant.id {
                self.wrong(tenant, format!("{id} was taken, and is not known any more"));
            } else if !tenant.may_be.contains(ABSENT)
                && !tenant.may_be.contains("ended")
                && !tenant.may_be.contains("failed")
            {
                self.wrong(tenant, "it was taken, and is not known");
            }
            let may = ["ended", "failed"]
                .into_iter()
                .find(|state| tenant.may_be.contains(state) && !tenant.may_be.contains(ABSENT));
            return Ok(Some(Seen {
                status: may.unwrap_or(ABSENT),
                id: None,
                was_ready: None,
                why: String::new(),
            }));
        };
        let Some(status) = tenant.may_be.iter().copied().find(|state| *state == instance.status) else {
            let may_be: Vec<&str> = tenant.may_be.iter().copied().collect();
            self.wrong(
                tenant,
                format!(
                    "it is {} and not {} ({})",
                    instance.status,
                    may_be.join(" or "),
                    instance.why
                ),
            );
            return Ok(None);
        };
        if instance.is_moving {
            self.wrong(
                tenant,
                format!("it is {} and does not come to rest ({})", instance.status, instance.why),
            );
            return Ok(None);
        }
        match status {
            "ready" => self.ready(tenant, &instance).await?,
            "stopped" => self.stopped(tenant, &instance).await?,
            _ => self.over(tenant, &instance).await?,
        }
        Ok(Some(Seen {
            status,
            id: Some(instance.id),
            was_ready: Some(instance.was_ready),
            why: instance.why,
        }))
    }

    async fn ready(&mut self, tenant: &Tenant, instance: &Instance) -> Result<(), String> {
        let tasks: Vec<&Task> = self.tasks.iter().filter(|task| task.instance == instance.id).collect();
        match tasks.as_slice() {
            [task] if task.attempt == instance.attempt => {}
            [task] => self.wrong(tenant, format!("its attempt is {}, and {task} runs", instance.attempt)),
            [] => self.wrong(tenant, "it is ready, and its task does not run"),
            several => {
                let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                self.wrong(tenant, format!("it has more than one task: {}", several.join(", ")));
            }
        }
        let listens = |port: u64| u16::try_from(port).is_ok_and(|port| self.belongings.ports.contains(&port));
        if !instance.port.is_some_and(listens) {
            self.wrong(tenant, format!("nobody listens on its port {:?}", instance.port));
        }
        self.keeps_what_is_its_own(tenant, instance);
        let shop = self.door.tenant(&tenant.name);
        let page = shop.try_get("/").await?;
        if page.status != 200 || !page.text().contains(&Door::company_of(&tenant.name)) {
            self.wrong(
                tenant,
                format!(
                    "it does not answer as itself: {} {}",
                    page.status,
                    first_line(&page.text())
                ),
            );
        } else if page
            .header("x-wharf-instance")
            .is_some_and(|header| header != instance.id)
        {
            self.wrong(tenant, "another instance answers at its address");
        }
        let customer = Customer::of(shop);
        for order in &tenant.orders {
            if let Err(error) = customer.try_find(&order.path, &order.customer).await {
                self.wrong(
                    tenant,
                    format!("the order of {} is lost: {}", order.customer, first_line(&error)),
                );
            }
        }
        Ok(())
    }

    async fn stopped(&mut self, tenant: &Tenant, instance: &Instance) -> Result<(), String> {
        self.keeps_what_is_its_own(tenant, instance);
        let page = self.door.tenant(&tenant.name).try_get("/").await?;
        if page.status != 503 {
            self.wrong(
                tenant,
                format!("it is stopped, and its address answers {}", page.status),
            );
        }
        Ok(())
    }

    fn keeps_what_is_its_own(&mut self, tenant: &Tenant, instance: &Instance) {
        if instance.database.is_none() || !self.belongings.databases.contains(&instance.id) {
            self.wrong(tenant, "its database is gone");
        }
        if !self.belongings.secrets.contains(&instance.id) {
            self.wrong(tenant, "its secrets are gone");
        }
    }

    async fn over(&mut self, tenant: &Tenant, instance: &Instance) -> Result<(), String> {
        if !instance.is_clean {
            self.wrong(tenant, format!("it is {}, and holds something", instance.status));
        }
        if instance.status == "failed" && instance.why.is_empty() {
            self.wrong(tenant, "it has failed, and nobody says why");
        }
        let page = self.door.tenant(&tenant.name).try_get("/").await?;
        if page.status != 404 {
            self.wrong(tenant, format!("it is over, and its address answers {}", page.status));
        }
        Ok(())
    }

    /// Who was ever ready has been told so, once; nobody else has.
    fn mails(&mut self, tenants: &[Tenant], seen: &BTreeMap<String, Seen>) {
        for tenant in tenants {
            let state = seen.get(&tenant.name);
            let was_ready = tenant.was_ready || state.is_some_and(|state| state.was_ready == Some(true));
            let never_was = !was_ready && tenant.id.is_some();
            let is_over = tenant.is_settled || state.is_none_or(|state| !["ready", "stopped"].contains(&state.status));
            let count = self
                .belongings
                .mails
                .get(&Door::address_of(&tenant.name))
                .copied()
                .unwrap_or_default();
            match count {
                0 if was_ready && !is_over => self.wrong(tenant, "nobody was told that it is ready"),
                1 if never_was => self.wrong(tenant, "a mail says that it is ready, which it never was"),
                0 | 1 => {}
                more => self.wrong(tenant, format!("{more} mails say that it is ready")),
            }
        }
    }
}
