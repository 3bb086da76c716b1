//! Plays a script: processes live and die, customers ask, the weather is what it is. Then it calms down, and everybody has time to come to rest; then
//! everything is ended. What has to hold is in `rules`.

use serde_json::json;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};
use wharf_domain::{Code, Failure, Instance, InstanceId, State};
use wharf_provisioning::{Caller, Wharf, repair::Class};
use wharf_saga::{Record, Store, store::Query};
use wharf_testkit::sim::{
    Mishap, SimWorld, When,
    wharf::{sign_up, start},
};

use crate::{
    account::Account,
    flaws::Flaw,
    lambda::Lambda,
    report::Report,
    rules::Records,
    script::{Order, Script, What},
    server::Server,
    site::Site,
};

/// How often the rules look.
const LOOK: Duration = Duration::from_secs(5);
/// And how seldom they read the whole registry.
const LOOKS_A_READING: usize = 12;
/// Once the weather is fair, everything is at rest within this.
const AT_REST_WITHIN: Duration = Duration::from_hours(3);
/// From the last thing that moved until it is taken for rest: repair runs every ten minutes, and what was held back arrives within five.
const QUIET: Duration = Duration::from_mins(21);

/// How a script is played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Write down what happens.
    pub log: bool,
    /// Make this mistake on purpose.
    pub flaw: Option<Flaw>,
}

/// Plays the script of a seed.
#[must_use]
pub fn play(seed: u64, options: Options) -> Report {
    play_script(&Script::of(seed), options)
}

/// Plays a script, on a runtime of its own.
///
/// # Panics
/// When there can be no runtime.
#[must_use]
pub fn play_script(script: &Script, options: Options) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread without I/O can be made");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, Stage::run(script, options))
}

struct Stage {
    site: Arc<Site>,
    /// None while it is down.
    servers: RefCell<Vec<Option<Server>>>,
    lambda: Option<Rc<Lambda>>,
    runs: RefCell<u64>,
    /// The start events that were put on the queue: by which trigger each is known, and its message.
    events: RefCell<Vec<(String, String)>>,
}

impl Stage {
    async fn run(script: &Script, Options { log, flaw }: Options) -> Report {
        let began = Instant::now();
        let (seed, setting) = (script.seed, script.setting.clone());
        let world = SimWorld::new(seed);
        if !log {
            world.trace().switch_off();
        }
        let mut account = Account::new(setting.hosts);
        if setting.foreigners {
            account.plant_foreigners().await;
        }
        if setting.commits_lost > 0.0 {
            let chance = When::Chance(setting.commits_lost);
            let faults = world.faults();
            faults.order("store.commit", chance, Mishap::Before(Code::StoreUnavailable));
            faults.order("store.commit", chance, Mishap::After(Code::StoreUnavailable));
        }
        let site = Arc::new(Site::new(seed, setting, flaw, world, account));
        let stage = Rc::new(Self {
            lambda: site.setting.lambda.then(|| Lambda::new(&site)),
            servers: RefCell::new((0..site.setting.servers).map(|_| None).collect()),
            runs: RefCell::new(0),
            events: RefCell::default(),
            site,
        });
        stage.open();
        stage.perform(script).await;
        stage.calm_down();
        let mut report = Report::default();
        let records = stage.rest().await;
        let site = &stage.site;
        site.rules.check_at_rest(&records);
        site.rules
            .check_events(&site.store, &site.queue, &stage.events.borrow());
        for record in records.values() {
            *report.states.entry(record.data.state.name()).or_default() += 1;
            if let Some(cause) = record.data.state.cause() {
                let what = format!("{} for {}", record.data.state.name(), cause.code);
                *report.counts.entry(what).or_default() += 1;
            }
        }
        stage.end_everything().await;
        let records = stage.rest().await;
        stage.site.rules.check_over(&stage.site.store, &records);
        report.violations = stage.site.rules.violations();
        report.simulated = began.elapsed();
        report.log = if log {
            stage.site.world.trace().text()
        } else {
            String::new()
        };
        for call in stage.site.account.simulator.calls() {
            *report.counts.entry(call.action).or_default() += 1;
            if let Some(error) = call.error {
                *report.counts.entry(format!("answered {error}")).or_default() += 1;
            }
            if call.status == 0 {
                *report.counts.entry("answers lost".to_owned()).or_default() += 1;
            }
        }
        report
    }

    fn open(self: &Rc<Self>) {
        let site = &self.site;
        let mut events = site.account.simulator.events();
        let queue = site.queue.clone();
        tokio::spawn(async move {
            while let Ok(event) = events.recv().await {
                queue.send(&event.to_string(), Duration::ZERO);
            }
        });
        let stage = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                for _ in 0..LOOKS_A_READING {
                    sleep(LOOK).await;
                    stage.site.rules.look();
                }
                let records = stage.records().await;
                stage.site.rules.read(records.into_values().map(|record| record.data));
            }
        });
        site.account.simulator.weather(site.seed, site.setting.weather);
        for number in 0..site.setting.servers {
            self.start_server(number);
        }
        if let Some(lambda) = &self.lambda {
            lambda.serve();
            lambda.repair();
        }
    }

    fn start_server(&self, number: usize) {
        let run = {
            let mut runs = self.runs.borrow_mut();
            *runs += 1;
            *runs
        };
        let clock = self.site.world.clock();
        let skew = self.site.setting.skews.get(number).copied().unwrap_or_default();
        let by = Duration::from_millis(skew.unsigned_abs());
        let clock = if skew < 0 { clock.behind(by) } else { clock.ahead(by) };
        let server = Server::start(&self.site, &format!("server{number}.{run}"), run, clock);
        self.servers.borrow_mut()[number] = Some(server);
    }

    async fn perform(self: &Rc<Self>, script: &Script) {
        let began = Instant::now();
        for (index, step) in script.moves.iter().enumerate() {
            sleep_until(began + step.at).await;
            self.site
                .world
                .note("stage", format_args!("move {index} {:?}", step.what));
            let (stage, what) = (self.clone(), step.what.clone());
            tokio::task::spawn_local(async move { stage.make(&what).await });
        }
    }

    async fn make(self: &Rc<Self>, what: &What) {
        match what.clone() {
            What::SignUp {
                name,
                service,
                key,
                door,
            } => {
                let key = key.map(|key| format!("{name}-{service}-{key}"));
                self.at(door, async |wharf| {
                    let request = sign_up(name, Some(service));
                    let accepted = wharf.provision(request, Caller::Visitor, key.as_deref()).await?;
                    Ok(Some(accepted.id))
                })
                .await;
            }
            What::StartService { service, key, door } => {
                let key = key.map(|key| format!("{service}-{key}"));
                self.at(door, async |wharf| {
                    let key = key
                        .as_deref()
                        .map(|key| Wharf::start_key(Caller::Admin, key))
                        .transpose()?;
                    let accepted = wharf.start_service(start(service), Caller::Admin, key).await?;
                    Ok(Some(accepted.id))
                })
                .await;
            }
            What::Event { service, id, times } => {
                let key = format!("event-{service}-{id}");
                let event = json!({
                    "version": "0", "id": key, "detail-type": "Start ECS Task", "source": "custom.app",
                    "account": "123456789012", "time": "2027-01-15T08:00:00Z", "region": "us-east-1", "resources": [],
                    "detail": { "service": service },
                });
                if let Ok(trigger) = Wharf::start_key(Caller::Event, &key) {
                    self.events.borrow_mut().push((trigger.text(), event.to_string()));
                }
                for _ in 0..times {
                    self.site.queue.send(&event.to_string(), Duration::ZERO);
                }
            }
            What::Ask { name, order, door } => {
                self.at(door, async |wharf| {
                    let id = wharf.find(name).await?;
                    match order {
                        Order::Stop => wharf.stop(&id).await?,
                        Order::Start => wharf.start(&id).await?,
                        Order::End => wharf.end(&id).await?,
                    }
                    Ok(Some(id))
                })
                .await;
            }
            What::StopService { service, door } => {
                let name = service.parse().expect("a service's name");
                self.at(door, async |wharf| {
                    wharf.stop_service(&name).await?;
                    Ok(None)
                })
                .await;
            }
            What::Kill { server, at_call, down } => self.kill(server, at_call, down).await,
            What::Pause { server, pause } => {
                let process = self.servers.borrow()[server]
                    .as_ref()
                    .map(|server| server.process.clone());
                if let Some(process) = process {
                    process.pause();
                    sleep(pause).await;
                    process.resume();
                }
            }
            What::Reclaim => {
                if let Some(lambda) = &self.lambda {
                    lambda.reclaim();
                }
            }
            What::Repair { door } => {
                self.at(door, async |wharf| {
                    wharf.repair(Some(Class::Asked)).await?;
                    Ok(None)
                })
                .await;
            }
        }
    }

    async fn kill(self: &Rc<Self>, server: usize, at_call: Option<(u64, wharf_testkit::sim::Edge)>, down: Duration) {
        let process = self.servers.borrow()[server]
            .as_ref()
            .map(|server| server.process.clone());
        let Some(process) = process else { return };
        if let Some((call, edge)) = at_call {
            process.kill_at(process.calls_begun() + call, edge);
            process.died().await;
        }
        let dead = self.servers.borrow_mut()[server].take();
        drop(dead);
        sleep(down).await;
        if self.servers.borrow()[server].is_none() {
            self.start_server(server);
        }
    }

    /// Asks who is there: this server, or the function.
    async fn at(&self, door: usize, ask: impl AsyncFnOnce(&Wharf) -> Result<Option<InstanceId>, Failure>) {
        let server = self.servers.borrow().get(door).map(|server| {
            let server = server.as_ref()?;
            Some((server.wharf.clone(), server.process.clone()))
        });
        let answer = match server {
            // Nobody answers there now.
            Some(None) => None,
            Some(Some((wharf, process))) => tokio::select! {
                biased;
                answer = ask(&wharf) => Some(answer),
                () = process.died() => None,
            },
            None => match &self.lambda {
                Some(lambda) => lambda.at_the_door(ask).await,
                None => None,
            },
        };
        let told = match answer {
            None => "no answer".to_owned(),
            Some(Ok(id)) => id.map_or_else(|| "ok".to_owned(), |id| id.to_string()),
            Some(Err(failure)) => failure.code.to_string(),
        };
        self.site.world.note("stage", format_args!("answer {told}"));
    }

    /// Nothing goes wrong any more, and everybody is there.
    fn calm_down(self: &Rc<Self>) {
        self.site.world.note("stage", format_args!("calm"));
        self.site.world.faults().clear();
        if let Some(lambda) = &self.lambda {
            lambda.calm();
        }
        self.site.account.simulator.calm(self.site.seed);
        for number in 0..self.site.setting.servers {
            let process = self.servers.borrow()[number]
                .as_ref()
                .map(|server| server.process.clone());
            match process {
                Some(process) if !process.is_dead() => {
                    process.resume();
                    process.kill_at(0, wharf_testkit::sim::Edge::Before);
                }
                _ => self.start_server(number),
            }
        }
    }

    /// Waits until nothing moves, and gives what there is then.
    async fn rest(&self) -> Records {
        let deadline = Instant::now() + AT_REST_WITHIN;
        let mut quiet_since = Instant::now();
        let mut before = BTreeMap::new();
        loop {
            let records = self.records().await;
            // One that died with a start in its hands is followed by another one after the queue's visibility timeout, which is longer than it is quiet.
            let is_asked = self
                .events
                .borrow()
                .iter()
                .any(|(_, message)| self.site.queue.holds(message));
            let moves = is_asked
                || records
                    .values()
                    .any(|record| record.progress.is_some() && !record.is_halted());
            if moves || records != before {
                quiet_since = Instant::now();
                before = records;
            }
            let now = Instant::now();
            if now >= deadline || now.duration_since(quiet_since) >= QUIET {
                return before;
            }
            sleep(Duration::from_secs(30)).await;
        }
    }

    /// Ends everything, and takes up what is stuck.
    async fn end_everything(&self) {
        self.site.world.note("stage", format_args!("everything is ended"));
        for (id, record) in self.records().await {
            let is_stuck = matches!(record.data.state, State::Stuck { .. });
            if record.data.state.is_final() {
                continue;
            }
            self.at(0, async |wharf| {
                if is_stuck {
                    wharf.resume(&id).await?;
                }
                wharf.end(&id).await?;
                Ok(Some(id.clone()))
            })
            .await;
        }
    }

    async fn records(&self) -> Records {
        let query = Query {
            limit: 1_000,
            ..Query::default()
        };
        let stored = self.site.store.list(query).await.unwrap_or_default();
        let records = stored.into_iter().filter_map(|stored| {
            let record: Record<Instance> = serde_json::from_str(&stored.body).ok()?;
            Some((stored.id, record))
        });
        records.collect()
    }
}
