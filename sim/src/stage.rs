//! A script is played. One thread, one paused clock: who goes first is decided by time alone, and among equals by who came first.

mod customers;
mod machines;
mod offers;
mod visitors;

use parking_lot::Mutex;
use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Once},
    time::Duration,
};
use wharf_domain::{Attempt, DeploymentId, InstanceId};
use wharf_platform::{Owner, Standing};
use wharf_provisioning::{Limits, Settings, repair::Subject};
use wharf_testkit::sim::{
    EventManner, Flaw, SimStore, SimWorld, routes::Visit, services, waker::Manner, wharf::settings,
};

use crate::{
    report::{Report, Violation},
    rules::{Client, Rules},
    script::{Layout, Script, Setting, What},
};
use machines::{Machines, repair};
use offers::{BOOKED, services_of};
use visitors::Visitors;

/// How long everything may take to come to an end once nothing goes wrong any more. Ended instances are looked at for an hour, and what waits for room waits in rounds.
const BOUND: Duration = Duration::from_hours(3);
/// How often somebody looks whether it has.
const LOOK: Duration = Duration::from_secs(20);
/// Nothing has moved for so long: nothing will. Longer than the rounds of all loops, repair's among them.
const QUIET: Duration = Duration::from_mins(11);
/// How long a visitor waits at the page, in the middle of whatever goes wrong.
const PATIENCE: Duration = Duration::from_mins(10);
/// The same when nothing does. What sleeps by a stop may have to wait for room, and is told in the end that there is none.
const PATIENCE_IN_PEACE: Duration = Duration::from_hours(1);

/// How a script is played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Everything that happens is written down.
    pub log: bool,
    /// A mistake that is made on purpose.
    pub flaw: Option<Flaw>,
}

thread_local! {
    /// What has panicked on this thread while a script was played, wherever it was caught; `None` while none is played.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Plays a script to its end.
#[must_use]
pub fn play(script: &Script, options: Options) -> Report {
    static HOOK: Once = Once::new();
    // A panic in a task that nobody waits for would go unnoticed.
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_ours = PANICS.with_borrow_mut(|panics| panics.as_mut().map(|panics| panics.push(panic.to_string())));
            if is_ours.is_none() {
                usual(panic);
            }
        }));
    });
    PANICS.set(Some(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output needs nothing of the machine");
    let played = catch_unwind(AssertUnwindSafe(|| {
        // Within the runtime: outside of it the clock is the machine's.
        runtime.block_on(async { Stage::set(script, options).play().await })
    }));
    let mut report = played.unwrap_or_default();
    for what in PANICS.take().unwrap_or_default() {
        report.violations.push(Violation {
            at: report.simulated,
            rule: "panics",
            what,
        });
    }
    report
}

/// What everybody on the stage shares.
struct Stage {
    script: Script,
    world: SimWorld,
    store: Arc<SimStore>,
    rules: Arc<Rules>,
    machines: Machines,
    client: Arc<Mutex<Client>>,
    /// What was in the world before anybody came.
    planted: Vec<String>,
}

impl Stage {
    fn set(script: &Script, options: Options) -> Self {
        let setting = &script.setting;
        let world = SimWorld::new(script.seed);
        if !options.log {
            world.trace().switch_off();
        }
        if let Some(flaw) = options.flaw {
            world.plant_flaw(flaw);
        }
        if setting.layout == Layout::OneMachine {
            world.embedded(true);
            world.lease_ports(20_000, 20_040);
        }
        world.embedded_routes(setting.layout != Layout::Fleet(setting.layout.machines()));
        world.scarce_addresses(setting.scarce_addresses);
        world.balancer_checks_health(setting.balancer_checks);
        world.set_latency(setting.latency);
        let settings = Settings {
            max_instances: setting.max_instances,
            limits: room_of(setting),
            tenant_service: Some(services::shop().name),
            ..settings(&world, services_of(setting))
        };
        if setting.foreigners {
            plant_foreigners(&world);
        }
        let store = Arc::new(SimStore::new());
        let rules = Rules::watching(&world, &store, &settings, &setting.skews);
        let planted = everything(&world, &store);
        let mut services = settings.services;
        for service in services.values_mut() {
            offers::mistaken(&world, service);
        }
        let settings = Settings {
            services,
            limits: if world.has(Flaw::IgnoresTheLine) {
                Limits::default()
            } else {
                settings.limits
            },
            ..settings
        };
        let machines = Machines::new(&world, &store, settings, setting, &rules);
        Self {
            script: script.clone(),
            world,
            store,
            rules,
            machines,
            client: Arc::default(),
            planted,
        }
    }

    async fn play(self) -> Report {
        self.machines.start();
        let began = tokio::time::Instant::now();
        for what in &self.script.moves {
            tokio::time::sleep_until(began + what.at).await;
            self.make(&what.what);
        }
        self.calm().await;
        let mut states = self.rules.states();
        if self.settle().await {
            self.rules.hold_service();
            self.rules.hold_lives();
            self.mails_have_arrived().await;
            self.wake_all().await;
            self.see_to_it().await;
            if self.settle().await {
                self.rules.hold_service();
                self.rules.hold_lives();
                self.rules.hold_promises(&self.client.lock());
                self.nothing_to_repair().await;
                states = self.rules.states();
                self.end_all().await;
                if self.settle().await {
                    self.rules
                        .hold_emptiness(&self.planted, &everything(&self.world, &self.store));
                }
            }
        }
        self.machines.dissolve();
        let log = self.world.trace().text();
        Report {
            violations: self.rules.violations(),
            simulated: began.elapsed(),
            faults: self.world.faults().tally(),
            states,
            log,
        }
    }

    fn make(&self, what: &What) {
        self.world.note("move", format_args!("{what:?}"));
        let faults = self.world.faults();
        match what {
            What::SignUp { .. }
            | What::StartService { .. }
            | What::Event { .. }
            | What::Ask { .. }
            | What::Extend { .. }
            | What::StopService { .. } => {
                customers::ask(&self.machines, &self.client, what);
            }
            What::Visit {
                name,
                visitors,
                apart,
                stays,
            } => {
                let (name, apart, stays) = (*name, *apart, *stays);
                for nth in 0..u32::from(*visitors) {
                    let all = self.visitors();
                    tokio::spawn(async move {
                        tokio::time::sleep(apart * nth).await;
                        all.visit(name, PATIENCE, stays).await;
                    });
                }
            }
            What::Kill { machine, at_call, down } => self.machines.kill(*machine, *at_call, *down),
            What::Pause { machine, pause } => self.machines.pause(*machine, *pause),
            What::Repair { machine } => self.machines.repair(*machine),
            What::Behave { service, behaviour } => self.world.behave_next(service, behaviour.as_ref().clone()),
            What::Exit { name, code } => {
                if let Some(id) = self.rules.holder_of(name) {
                    faults.count("task exits");
                    self.world.exit(&id, *code);
                }
            }
            What::LoseTasks => {
                faults.count("every task vanishes");
                self.world.lose_tasks();
            }
            What::LoseHost { host, hosts } => {
                faults.count("a host vanishes");
                let number = |id: &str| id.trim_start_matches("task-").parse::<u64>().unwrap_or_default();
                self.world
                    .lose_tasks_where(|task| number(&task.reference.id) % hosts == *host);
            }
            What::Fault { call, nth, mishap } => {
                faults.order(call, wharf_testkit::sim::When::Nth(*nth), *mishap);
            }
            What::Storm {
                calls,
                chance,
                mishap,
                lasts,
            } => {
                let order = faults.order(calls, wharf_testkit::sim::When::Chance(*chance), *mishap);
                let world = self.world.clone();
                after(*lasts, move || world.faults().cancel(order));
            }
            What::Events { manner, lasts } => {
                self.world.tell_events(*manner);
                let world = self.world.clone();
                after(*lasts, move || world.tell_events(EventManner::default()));
            }
            What::Wakes { manner, lasts } => {
                self.machines.set_wakes(*manner);
                let machines = self.machines.clone();
                after(*lasts, move || machines.set_wakes(Manner::Reliable));
            }
        }
    }

    /// From now on nothing goes wrong; what is on its way arrives.
    async fn calm(&self) {
        self.world.note("move", format_args!("from now on nothing goes wrong"));
        self.world.faults().clear();
        self.world.tell_events(EventManner::default());
        self.world.behave_well();
        self.machines.set_wakes(Manner::Reliable);
        self.machines.calm();
        let since = tokio::time::Instant::now();
        while self.world.view(|view| view.on_their_way()) > 0 && since.elapsed() < BOUND {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until nothing moves any more; whether it came to that.
    async fn settle(&self) -> bool {
        let since = tokio::time::Instant::now();
        let mut quiet_since = since;
        let mut written = self.rules.last_written();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = tokio::time::Instant::now();
            let last_written = self.rules.last_written();
            if !(self.rules.is_quiet() && self.machines.are_up()) || last_written != written {
                quiet_since = now;
                written = last_written;
            }
            if now - quiet_since >= QUIET {
                return true;
            }
            if now - since >= BOUND {
                let mut restless = self.rules.restless();
                restless.extend(written.map(|(id, _)| format!("{id} was written last")));
                self.rules.broken(
                    "ends",
                    format!("it does not come to rest within {BOUND:?}: {}", restless.join(", ")),
                );
                return false;
            }
        }
    }

    fn visitors(&self) -> Visitors {
        Visitors {
            world: self.world.clone(),
            machines: self.machines.clone(),
            rules: self.rules.clone(),
        }
    }

    /// Nothing goes wrong, and somebody comes to each who sleeps: he is answered, or told that there is nothing to wait for.
    async fn wake_all(&self) {
        self.world.note("move", format_args!("everybody who sleeps is woken"));
        let asking = self.rules.sleepers().into_iter().map(|name| async move {
            let told = self.visitors().ask(&name, PATIENCE_IN_PEACE).await;
            let is_well = match told {
                Visit::Answered(_) | Visit::Page(Standing::Stopped | Standing::Down) => true,
                Visit::Page(Standing::Queued) => self.script.setting.room.is_some(),
                Visit::Page(Standing::Starting) | Visit::BadGateway | Visit::NotFound => false,
            };
            if !is_well {
                let waited = PATIENCE_IN_PEACE;
                self.rules.broken(
                    "asleep",
                    format!("whoever asks for {name} is told after {waited:?}: {told:?}"),
                );
            }
        });
        futures::future::join_all(asking).await;
    }

    /// A person takes up what is stuck, now that its cause is gone, and has removed what calls left behind that landed too late.
    async fn see_to_it(&self) {
        let Some(wharf) = self.machines.wharf(0) else { return };
        for id in self.rules.stuck() {
            let _ = wharf.resume(&id).await;
        }
        repair(&wharf).await;
    }

    /// No mailbox refuses for good here, and everybody had his time: a mail that reached nobody is not for a person to send again.
    async fn mails_have_arrived(&self) {
        let Some(wharf) = self.machines.wharf(0) else { return };
        // Where nothing can be compared, `nothing_to_repair` says so.
        let plan = wharf.repair_plan().await.unwrap_or_default();
        for finding in plan.iter().filter(|finding| finding.subject == Subject::Mail) {
            let cause = finding.cause.as_deref().unwrap_or("nobody says why");
            self.rules.broken("mails", format!("{}: {cause}", finding.what));
        }
    }

    /// What repair would still do: nothing, if registry and world are one.
    async fn nothing_to_repair(&self) {
        let Some(wharf) = self.machines.wharf(0) else { return };
        match wharf.repair_plan().await {
            Ok(plan) => {
                for finding in plan.iter().filter(|finding| finding.mend.is_some()) {
                    self.rules.broken("repair", finding.what.clone());
                }
            }
            Err(failure) => self.rules.broken("repair", failure.to_string()),
        }
    }

    async fn end_all(&self) {
        self.world.note("move", format_args!("everything is ended"));
        for id in self.rules.live() {
            let ended = match self.machines.wharf(0) {
                Some(wharf) => wharf.end(&id).await,
                None => continue,
            };
            if let Err(failure) = ended {
                self.rules.broken("ending", format!("{id} cannot be ended: {failure}"));
            }
        }
    }
}

/// What the machine has to give away.
fn room_of(setting: &Setting) -> Limits {
    setting.room.map_or_else(Limits::default, |(starts, tasks)| Limits {
        starts_at_once: Some(starts),
        memory: Some(tasks * BOOKED),
        ..Limits::default()
    })
}

fn after(lasts: Duration, then: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        tokio::time::sleep(lasts).await;
        then();
    });
}

/// Things of other deployments that look like ours.
fn plant_foreigners(world: &SimWorld) {
    let owner = Owner {
        deployment: DeploymentId::new([0xee; 10]),
        instance: InstanceId::new(world.now(), [0xee; 10]),
        attempt: Attempt(1),
    };
    let reference = world.plant_task(owner.clone(), &services::shop().name);
    world.note("world", format_args!("{} is another deployment's", reference.id));
    world.plant_database(owner, "user_fern");
}

/// Everything that is in world and registry and does not go by itself, a line each.
fn everything(world: &SimWorld, store: &SimStore) -> Vec<String> {
    let mut lines = Vec::new();
    world.view(|view| {
        for task in view.live_tasks() {
            lines.push(format!("task {} of {}", task.reference.id, task.owner.instance));
        }
        for (key, route) in view.routes() {
            lines.push(format!("route {key:?} of {}", route.backend.owner.instance));
        }
        for (name, database) in view.databases() {
            lines.push(format!(
                "database {name} of {} with {:?}",
                database.owner.instance, database.rows
            ));
        }
        for (id, _) in view.secrets() {
            lines.push(format!("secrets of {id}"));
        }
    });
    for (kind, key, reservation) in store.reservations() {
        let ends_by_itself = reservation.until.is_some() || kind == wharf_saga::store::Kind::Token;
        if !ends_by_itself {
            lines.push(format!("{kind} {key} of {}", reservation.owner));
        }
    }
    lines
}
