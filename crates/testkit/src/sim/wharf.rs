//! A whole deployment of Wharf in the simulated world: it can crash and come back, and a second machine can join it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::task::AbortHandle;
use wharf_domain::{
    Code, Failure, Instance, InstanceId, Service, State, Tenant,
    request::{Provision, Start},
};
use wharf_provisioning::{
    Accepted, Addresses, Caller, InstanceView, Letters, Settings, Wharf, settings::Heal, tokens::TokenKey,
    wharf::Deployment,
};
use wharf_saga::{Clock, Driving, Record, Step, Store, limits, store::Kind};

use super::{Flaw, Process, SimClock, SimIds, SimStore, SimWaker, SimWorld, services};

/// Longer than anything that ends by itself takes to end.
const PATIENCE: Duration = Duration::from_hours(2);

/// Puts something around a step.
pub type Around = Arc<dyn Fn(Box<dyn Step<Instance>>) -> Box<dyn Step<Instance>> + Send + Sync>;

/// Settings that suit the simulated world, with these services.
#[must_use]
pub fn settings(world: &SimWorld, services: impl IntoIterator<Item = Service>) -> Settings {
    let services: std::collections::BTreeMap<_, _> = services
        .into_iter()
        .map(|service| (service.name.clone(), service))
        .collect();
    let tenant_service = services
        .values()
        .filter(|service| service.tenant)
        .map(|service| &service.name);
    Settings {
        deployment: world.deployment_id().clone(),
        tenant_service: tenant_service.max().cloned(),
        services,
        default_service: None,
        event_template: None,
        schedules: Vec::new(),
        allow: wharf_domain::event::Allow::default(),
        addresses: Addresses {
            public_url: "http://localhost:8080".to_owned(),
            scheme: "http".to_owned(),
            tenant_domain: "localhost".to_owned(),
            services_host: "services.localhost".to_owned(),
            port: Some(8080),
        },
        max_instances: 1000,
        limits: wharf_provisioning::Limits::default(),
        name_rest: Duration::from_hours(30 * 24),
        reserved_names: vec!["ours".to_owned()],
        excluded_ports: BTreeSet::new(),
        port_quarantine: Duration::from_mins(1),
        direct_quarantine: Duration::from_hours(24),
        heal: Heal {
            limit: 3,
            losses: 20,
            within: Duration::from_mins(10),
            backoff_first: Duration::from_secs(1),
            backoff_longest: Duration::from_secs(30),
        },
        mail_from: "Wharf <wharf@localhost>".to_owned(),
        letters: Letters::default(),
        webhooks: std::collections::BTreeMap::new(),
        notify: std::collections::BTreeMap::new(),
        password_link: Duration::from_hours(7 * 24),
        pace: wharf_provisioning::Pace::default(),
        restore_parallel: 4,
    }
}

/// What a sign-up of this name asks for.
#[must_use]
pub fn sign_up(name: &str, service: Option<&str>) -> Provision {
    Provision {
        tenant: Tenant {
            subdomain: name.parse().expect("a subdomain"),
            admin_email: format!("admin@{name}.example").parse().expect("an address"),
            company_name: format!("{name} & Sons").parse().expect("a company"),
        },
        service: service.map(|service| service.parse().expect("a service's name")),
    }
}

/// A start of a service without tenants.
#[must_use]
pub fn start(service: &str) -> Start {
    Start {
        service: service.parse().expect("a service's name"),
        environment: std::collections::BTreeMap::new(),
    }
}

/// One machine's Wharf, running.
#[derive(Debug)]
pub struct Run {
    pub process: Process,
    pub wharf: Wharf,
    pub waker: Arc<SimWaker>,
    loops: Vec<AbortHandle>,
}

impl Run {
    /// A server that starts: it reads the registry, takes up what was under way, and does from then on what a server does beside answering.
    pub async fn serve(&mut self) -> Result<(), Failure> {
        let queue = self.wharf.recover().await?;
        let restoring = self.wharf.clone();
        self.keep(async move { restoring.restore(queue).await });
        self.tend();
        Ok(())
    }

    /// What a server does beside answering: sweeps, hands over mails, listens to its tasks.
    fn tend(&mut self) {
        let world = self.process.world().clone();
        let wharf = self.wharf.clone();
        if !world.has(Flaw::NeverSweeps) {
            self.keep(async move { wharf.engine().sweep_forever().await });
        }
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.deliver_forever().await });
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.follow_tasks().await });
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.follow_schedules().await });
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.call_up_forever().await });
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.let_sleep().await });
        let wharf = self.wharf.clone();
        if !world.has(Flaw::NeverLooks) {
            self.keep(async move { wharf.check_tasks_forever(Duration::from_secs(30)).await });
        }
    }

    /// Does this as long as the run lives.
    pub fn keep(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.loops.push(tokio::spawn(work).abort_handle());
    }

    /// It dies: nothing that it has begun goes on.
    pub fn end(&mut self) {
        self.process.kill();
        for handle in self.loops.drain(..) {
            handle.abort();
        }
    }
}

/// World, registry and Wharf.
pub struct SimWharf {
    pub world: SimWorld,
    pub store: Arc<SimStore>,
    pub settings: Settings,
    pub run: Run,
    around: Around,
    runs: u32,
}

impl std::fmt::Debug for SimWharf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimWharf")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl SimWharf {
    /// Every service of [`services::all`], and `shop` for whoever signs up.
    pub async fn new(seed: u64) -> Self {
        Self::with(seed, |_, _| {}).await
    }

    /// The same, with the world and the settings adjusted before it starts.
    pub async fn with(seed: u64, adjust: impl FnOnce(&SimWorld, &mut Settings)) -> Self {
        Self::with_steps(seed, adjust, Arc::new(|step| step)).await
    }

    /// The same, with something around every step.
    pub async fn with_steps(seed: u64, adjust: impl FnOnce(&SimWorld, &mut Settings), around: Around) -> Self {
        let world = SimWorld::new(seed);
        let mut settings = settings(&world, services::all());
        settings.tenant_service = Some(services::shop().name);
        adjust(&world, &mut settings);
        Self::over(world, Arc::new(SimStore::new()), settings, around).await
    }

    /// A deployment that goes on with a registry and a world that are there already.
    pub async fn over(world: SimWorld, store: Arc<SimStore>, settings: Settings, around: Around) -> Self {
        let run = assemble(&world, &store, &settings, &around, 1, world.clock());
        let mut deployment = Self {
            world,
            store,
            settings,
            run,
            around,
            runs: 1,
        };
        deployment.take_up().await;
        deployment
    }

    async fn take_up(&mut self) {
        self.run.serve().await.expect("the registry can be read");
    }

    #[must_use]
    pub fn wharf(&self) -> &Wharf {
        &self.run.wharf
    }

    /// Takes engine and waker apart, which hold each other: whoever makes thousands of worlds has no room for those that are through.
    pub fn dissolve(self) {
        self.run.waker.disconnect();
    }

    /// `kill -9`, with whatever lived in the process.
    pub fn crash(&mut self) {
        self.run.end();
        self.world.wharf_died();
    }

    /// Starts again on the same machine, which frees what the dead process held.
    pub async fn restart(&mut self) {
        self.crash();
        self.store.restart(self.world.now());
        self.next_run();
        self.take_up().await;
    }

    /// Another machine goes on, which has to find out by itself that the first one is dead.
    pub async fn hand_over(&mut self) {
        self.crash();
        self.next_run();
        self.take_up().await;
    }

    fn next_run(&mut self) {
        self.runs += 1;
        self.run = assemble(
            &self.world,
            &self.store,
            &self.settings,
            &self.around,
            self.runs,
            self.world.clock(),
        );
    }

    /// A second machine beside the first, with a clock of its own.
    pub fn join(&self, number: u32, clock: SimClock) -> Run {
        let mut run = assemble(&self.world, &self.store, &self.settings, &self.around, number, clock);
        run.tend();
        run
    }

    /// A second machine that does nothing by itself: no sweep, no look at tasks, no mails.
    #[must_use]
    pub fn visit(&self, number: u32) -> Run {
        assemble(
            &self.world,
            &self.store,
            &self.settings,
            &self.around,
            number,
            self.world.clock(),
        )
    }

    /// Signs somebody up.
    pub async fn sign_up(&self, name: &str) -> Result<Accepted, Failure> {
        self.wharf().provision(sign_up(name, None), Caller::Visitor, None).await
    }

    /// Signs somebody up for a service, and waits until it is Ready.
    pub async fn ready(&self, name: &str, service: &str) -> InstanceId {
        let request = sign_up(name, Some(service));
        let accepted = self.wharf().provision(request, Caller::Visitor, None).await;
        let id = accepted.expect("it was accepted").id;
        self.until(&id, "ready").await;
        id
    }

    /// Waits until an instance is at rest in this state.
    pub async fn until(&self, id: &InstanceId, state: &str) -> InstanceView {
        let is_there = |view: &InstanceView| view.status == state && !view.moving;
        let view = self.settled(id, is_there).await;
        assert!(is_there(&view), "it is not {state}:\n{}", self.story(id).await);
        view
    }

    /// Waits until an instance is at rest, whatever has become of it.
    pub async fn at_rest(&self, id: &InstanceId) -> InstanceView {
        let view = self.settled(id, |view| !view.moving).await;
        assert!(!view.moving, "it does not come to rest:\n{}", self.story(id).await);
        view
    }

    async fn settled(&self, id: &InstanceId, done: impl Fn(&InstanceView) -> bool) -> InstanceView {
        let watch = self.wharf().watch(id);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let changed = watch.changed();
            let view = self.wharf().show(id).await.expect("there is such an instance");
            if done(&view) || tokio::time::timeout_at(deadline, changed).await.is_err() {
                return view;
            }
        }
    }

    /// The record of an instance, as it is stored.
    pub async fn record(&self, id: &InstanceId) -> Record<Instance> {
        let stored = self
            .store
            .load(id)
            .await
            .expect("it can be read")
            .expect("there is a record");
        serde_json::from_str(&stored.body).expect("a record")
    }

    /// What is left of instances that are over, in the world and in the registry: a line each.
    pub async fn leftovers(&self) -> Vec<String> {
        let mut live = BTreeSet::new();
        for stored in self
            .store
            .list(wharf_saga::store::Query {
                live: Some(true),
                limit: 1000,
                ..Default::default()
            })
            .await
            .expect("a page")
        {
            live.insert(stored.id);
        }
        let mut left = self.world.leftovers(|id| live.contains(id));
        for (kind, key, reservation) in self.store.reservations() {
            let ends_by_itself = reservation.until.is_some() || matches!(kind, Kind::Token);
            if !ends_by_itself && !live.contains(&reservation.owner) {
                left.push(format!("{kind} {key} of {}", reservation.owner));
            }
        }
        left
    }

    /// The end of an instance's history and of the trace, for whoever reads a failed test.
    pub async fn story(&self, id: &InstanceId) -> String {
        let mut lines = vec![format!("{:?}", self.wharf().show(id).await)];
        let history = self.store.history(id, 0, 1000).await.expect("a history");
        for line in history.iter().skip(history.len().saturating_sub(25)) {
            let since = line.entry.at.0 - super::clock::START.0;
            lines.push(format!("{:>4} {since:>9} {:?}", line.seq, line.entry.what));
        }
        let trace = self.world.trace();
        let routine = ["store.due", "store.outbox", "store.list", "tasks.all"];
        let told: Vec<String> = trace
            .since(0)
            .into_iter()
            .filter(|line| !routine.iter().any(|call| line.contains(call)))
            .collect();
        lines.extend_from_slice(&told[told.len().saturating_sub(25)..]);
        lines.join("\n")
    }

    /// The instance's own task is the only one there is for it, and its visitors reach it.
    pub fn serves(&self, instance: &Instance) -> Result<(), String> {
        let tasks = self.world.live_tasks(&instance.id);
        if tasks.len() != 1 || tasks[0].owner.attempt != instance.attempt {
            return Err(format!("its tasks are {tasks:?}"));
        }
        if !matches!(instance.state, State::Ready { .. }) {
            return Err(format!("it is {}", instance.state.name()));
        }
        let Some(key) = self.settings.route_key(instance) else {
            return Ok(());
        };
        let visit = self.world.visit(&key);
        let routes = self.world.routes(&key);
        let mine = routes
            .iter()
            .filter(|route| route.backend.owner.instance == instance.id);
        let leads_to_it = mine.clone().count() == 1
            && mine
                .clone()
                .all(|route| route.open && route.backend.owner.attempt == instance.attempt);
        if leads_to_it {
            Ok(())
        } else {
            Err(format!("its visitors get {visit:?}, its routes are {routes:?}"))
        }
    }
}

/// A failure that a test expects.
#[must_use]
pub fn code<T>(result: &Result<T, Failure>) -> Option<Code> {
    result.as_ref().err().map(|failure| failure.code)
}

/// Puts a run together on a registry, with something around every step. `number` tells it from every other run in this world.
#[must_use]
pub fn assemble(
    world: &SimWorld,
    store: &Arc<SimStore>,
    settings: &Settings,
    around: &Around,
    number: u32,
    clock: SimClock,
) -> Run {
    let process = world.process(&format!("run{number}"));
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let waker = Arc::new(SimWaker::new(clock.clone()));
    let mut key = [0; 32];
    key[..8].copy_from_slice(&world.seed().to_le_bytes());
    let around = around.clone();
    let wharf = Wharf::with_steps(
        Deployment {
            store: process.registry(store.clone()),
            platform: process.platform(),
            settings: settings.clone(),
            clock,
            ids: Arc::new(SimIds::new(
                world.seed().wrapping_mul(1009).wrapping_add(u64::from(number)),
            )),
            waker: waker.clone(),
            tokens: TokenKey::new(key),
            reporter: Arc::new(()),
            driving: Driving::Here,
            linger: limits::LINGER,
        },
        move |step| around(step),
    );
    let engine = wharf.engine().clone();
    waker.connect(move |id, seq| engine.wake(id, seq));
    Run {
        process,
        wharf,
        waker,
        loops: Vec::new(),
    }
}

impl SimWorld {
    /// What a deployment of these services is put together from, on a registry of its own.
    #[must_use]
    pub fn deployment(&self, services: impl IntoIterator<Item = Service>) -> Deployment {
        let process = self.process("wharf");
        let clock: Arc<dyn Clock> = Arc::new(self.clock());
        Deployment {
            store: process.registry(Arc::new(SimStore::new())),
            platform: process.platform(),
            settings: settings(self, services),
            ids: Arc::new(SimIds::new(self.seed())),
            waker: Arc::new(SimWaker::new(clock.clone())),
            clock,
            tokens: TokenKey::new([7; 32]),
            reporter: Arc::new(()),
            driving: Driving::Here,
            linger: limits::LINGER,
        }
    }
}

/// One sign-up for a service, in a world of its own and on a registry of another kind, until it is Ready and at rest. Time is the machine's: a registry that is reached over a
/// network does not go with a paused clock.
///
/// # Panics
/// If it does not become Ready.
pub async fn provision_on(store: Arc<dyn Store>, service: Service, key: Option<&str>) -> InstanceId {
    const PATIENCE: Duration = Duration::from_mins(1);
    let world = SimWorld::new(1);
    let request = sign_up("acme", Some(service.name.as_str()));
    let deployment = Deployment {
        store: store.clone(),
        ..world.deployment([service])
    };
    let wharf = Wharf::new(deployment);
    let accepted = wharf.provision(request, Caller::Visitor, key).await;
    let id = accepted.expect("it was accepted").id;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let stored = store.load(&id).await.expect("load").expect("a record");
        let record: Record<Instance> = serde_json::from_str(&stored.body).expect("a record of an instance");
        let state = record.data.state.name();
        if state == "ready" && stored.lease.holder.is_none() {
            return id;
        }
        assert!(tokio::time::Instant::now() < deadline, "it is {state} and not ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
