//! Simulated tasks: they take their time to start, have an address, answer or do not, end by themselves or on demand, and
//! tell of it, unless that is lost.

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use secrecy::ExposeSecret;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio_stream::wrappers::BroadcastStream;
use wharf_domain::{Code, Endpoint, Failure, InstanceId, ServiceName, Timestamp, instance::TaskRef, service::RunSpec};
use wharf_platform::{Owner, PortSource, RouteKey, Stopping, TaskEvent, TaskEvents, TaskSpec, TaskStatus, Tasks};

use super::{Flaw, SimWorld, calls::Calls, chance::draw, world::State};

/// What a probe of a task finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    #[default]
    Well,
    /// With this status.
    Status(u16),
    /// It listens nowhere.
    Never,
    /// As this instance, which it is not.
    As(String),
}

/// How a task behaves.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "any of them goes with any other")]
pub struct Behaviour {
    /// The platform starts it twice: two tasks with one mark.
    pub twin: bool,
    /// Why its start is refused from the beginning.
    pub refused: Option<Failure>,
    /// How long it is pending.
    pub runs_after: Duration,
    /// How long it runs before the platform can tell its address.
    pub address_after: Duration,
    /// How long it runs before it answers.
    pub answers_after: Duration,
    pub answers: Answers,
    /// It ends by itself so long after its start.
    pub exits_after: Option<Duration>,
    pub exit_code: i32,
    /// What ends it is the loss of its host.
    pub lost: bool,
    /// What it prints before it ends.
    pub last_words: Option<String>,
    /// How long it takes to end when it is told to.
    pub ends_after: Duration,
    /// It does not end when it is told to, and cannot be made to.
    pub cannot_be_stopped: bool,
    /// It cannot be paused.
    pub cannot_be_paused: bool,
    /// The address that it gets, instead of one of its own.
    pub endpoint: Option<Endpoint>,
}

/// How well events are told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EventManner {
    /// The share that nobody ever hears of, from 0 to 1.
    pub lose: f64,
    /// The share that is told twice.
    pub double: f64,
    /// Each comes too late by anything up to this much: that is how they change places.
    pub late: Duration,
}

/// A task, as the world remembers it.
#[derive(Clone, Debug)]
pub struct SimTask {
    pub owner: Owner,
    pub reference: TaskRef,
    pub service: ServiceName,
    pub run: RunSpec,
    /// What it was given, secrets included.
    pub environment: BTreeMap<String, String>,
    pub endpoint: Endpoint,
    pub started_at: Timestamp,
    /// Nobody waited for it any more when it was started, or the platform started it twice: of such a task Wharf can know only later.
    pub unexpected: bool,
    /// It stands still.
    pub is_paused: bool,
    behaviour: Behaviour,
    end: Option<End>,
}

#[derive(Clone, Debug)]
struct End {
    at: Timestamp,
    cause: Failure,
    exit_code: i32,
    output: Option<String>,
}

/// A task's end that is to be told of at its time.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    task: String,
    at: Timestamp,
}

impl SimTask {
    fn runs_at(&self) -> Timestamp {
        self.started_at + self.behaviour.runs_after
    }

    /// Whether something of it is on the machine.
    #[must_use]
    pub fn is_there(&self, now: Timestamp) -> bool {
        self.end.as_ref().is_none_or(|end| end.at > now)
    }

    /// Whether somebody who asks at its address gets an answer from it, good or bad.
    #[must_use]
    pub fn listens(&self, now: Timestamp) -> bool {
        self.answer(now).is_some()
    }

    /// What somebody finds who asks at its address.
    pub(crate) fn answer(&self, now: Timestamp) -> Option<&Answers> {
        let listens = self.is_there(now)
            && !self.is_paused
            && now >= self.runs_at() + self.behaviour.answers_after
            && self.behaviour.answers != Answers::Never;
        listens.then_some(&self.behaviour.answers)
    }

    fn status(&self, now: Timestamp) -> TaskStatus {
        match &self.end {
            Some(end) if end.at <= now => TaskStatus::Stopped {
                cause: end.cause.clone(),
                exit_code: Some(end.exit_code),
                output: end.output.clone(),
            },
            _ if self.is_paused => TaskStatus::Paused { cause: paused() },
            _ if now < self.runs_at() => TaskStatus::Pending {
                why: "the machine to make room".to_owned(),
            },
            _ => TaskStatus::Running {
                endpoint: (now >= self.runs_at() + self.behaviour.address_after).then(|| self.endpoint.clone()),
            },
        }
    }

    /// It ends then, unless it has to end earlier anyway.
    fn end(&mut self, at: Timestamp, cause: Failure, exit_code: i32) -> Option<Ending> {
        if self.end.as_ref().is_some_and(|end| end.at <= at) {
            return None;
        }
        self.end = Some(End {
            at,
            cause,
            exit_code,
            output: self.behaviour.last_words.clone(),
        });
        Some(Ending {
            task: self.reference.id.clone(),
            at,
        })
    }
}

fn crashed(exit_code: i32) -> Failure {
    Failure::new(
        Code::TaskCrashed,
        format!("the task ended by itself with exit code {exit_code}"),
    )
}

fn paused() -> Failure {
    Failure::new(Code::TaskLost, "somebody paused the task")
}

fn program(run: &RunSpec) -> &str {
    match run {
        RunSpec::Process { command, .. } => command.first().map_or("", String::as_str),
        RunSpec::Docker(task) => &task.image,
        RunSpec::Ecs(task) => &task.task_definition,
    }
}

fn stopped() -> Failure {
    Failure::new(Code::TaskCrashed, "the task ended, as it was told to")
}

impl State {
    fn start(&mut self, spec: &TaskSpec, now: Timestamp) -> Result<TaskRef, Failure> {
        if !self.has(Flaw::ForgetsToken)
            && let Some(task) = self.tasks.values().find(|task| task.owner == spec.owner)
        {
            return Ok(task.reference.clone());
        }
        let program = program(&spec.run);
        let behaviour = self.behaviour(program);
        if let Some(failure) = &behaviour.refused {
            return Err(failure.clone());
        }
        if let Some(port) = spec.port
            && let Some(another) = self.listener(port, now)
        {
            let who = &another.reference.id;
            return Err(Failure::new(Code::PortBusy, format!("{who} listens on port {port}")));
        }
        if let Some(next) = self.next_behaviours.get_mut(program) {
            next.pop_front();
        }
        let mut behaviour = behaviour;
        let twin = std::mem::take(&mut behaviour.twin);
        let reference = self.launch(spec, behaviour.clone(), now);
        if twin {
            let other = self.launch(spec, behaviour, now);
            for id in [&reference.id, &other.id] {
                if let Some(task) = self.tasks.get_mut(id) {
                    task.unexpected = true;
                }
            }
        }
        Ok(reference)
    }

    /// An address that no task has.
    fn free_address(&self, number: u32, now: Timestamp) -> Endpoint {
        let address = |number: u32| Endpoint::Address {
            ip: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)),
            port: 8000,
        };
        if !self.scarce_addresses {
            return address(number);
        }
        let is_free = |at: &Endpoint| {
            !self
                .tasks
                .values()
                .any(|task| task.endpoint == *at && task.is_there(now))
        };
        (1..=number)
            .map(address)
            .find(is_free)
            .unwrap_or_else(|| address(number))
    }

    fn launch(&mut self, spec: &TaskSpec, behaviour: Behaviour, now: Timestamp) -> TaskRef {
        self.tasks_started += 1;
        let number = self.tasks_started;
        let endpoint = behaviour.endpoint.clone().unwrap_or_else(|| match spec.port {
            Some(port) => Endpoint::Address {
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                port,
            },
            None => self.free_address(number, now),
        });
        let reference = TaskRef {
            id: format!("task-{number}"),
            attempt: spec.owner.attempt,
        };
        let mut task = SimTask {
            owner: spec.owner.clone(),
            reference: reference.clone(),
            service: spec.service.clone(),
            run: spec.run.clone(),
            environment: spec
                .environment
                .iter()
                .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()))
                .collect(),
            endpoint,
            started_at: now,
            unexpected: self.landing,
            is_paused: false,
            behaviour,
            end: None,
        };
        if let Some(after) = task.behaviour.exits_after {
            let code = task.behaviour.exit_code;
            let cause = if task.behaviour.lost {
                Failure::new(Code::TaskLost, "its host went away")
            } else {
                crashed(code)
            };
            self.endings.extend(task.end(now + after, cause, code));
        }
        self.tasks.insert(reference.id.clone(), task);
        self.print(&spec.owner.instance, &format!("=== {} starts", reference.id));
        reference
    }

    /// How the next task of a program behaves.
    fn behaviour(&self, program: &str) -> Behaviour {
        let next = self.next_behaviours.get(program).and_then(|next| next.front());
        next.or_else(|| self.behaviours.get(program))
            .cloned()
            .unwrap_or_default()
    }

    /// Who listens on a port of Wharf's own machine.
    fn listener(&self, port: u16, now: Timestamp) -> Option<&SimTask> {
        self.tasks.values().find(|task| {
            let is_here = task.endpoint.ip() == Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            is_here && task.endpoint.port() == port && task.is_there(now)
        })
    }

    fn ours(&mut self, owner: &Owner, task: &TaskRef) -> Result<Option<&mut SimTask>, Failure> {
        match self.tasks.get_mut(&task.id) {
            Some(found) if found.owner != *owner && self.flaw != Some(Flaw::StopsForeign) => Err(Failure::new(
                Code::ResourceForeign,
                format!("task {} is another's", task.id),
            )),
            found => Ok(found),
        }
    }

    fn stop(&mut self, owner: &Owner, task: &TaskRef, grace: Duration, now: Timestamp) -> Result<Stopping, Failure> {
        let is_confirmed = !self.has(Flaw::StopsUnconfirmed);
        let Some(task) = self.ours(owner, task)? else {
            return Ok(Stopping::Stopped);
        };
        let (endpoint, was_there) = (task.endpoint.clone(), task.is_there(now) && !task.unexpected);
        let mut ending = None;
        if task.is_there(now) && !task.behaviour.cannot_be_stopped {
            ending = task.end(now + task.behaviour.ends_after.min(grace), stopped(), 143);
        }
        let stopping = if task.is_there(now) && is_confirmed {
            Stopping::Underway
        } else {
            Stopping::Stopped
        };
        self.endings.extend(ending);
        if was_there && !self.landing {
            self.note_cut(owner, &endpoint);
        }
        Ok(stopping)
    }

    /// Pauses a task, or lets it go on.
    fn set_paused(&mut self, owner: &Owner, task: &TaskRef, is_paused: bool, now: Timestamp) -> Result<(), Failure> {
        let gone = || Failure::new(Code::TaskLost, "the task is gone");
        let is_unconfirmed = self.has(Flaw::PausesUnconfirmed);
        let found = self.ours(owner, task)?.filter(|task| task.is_there(now));
        let task = found.ok_or_else(gone)?;
        if is_paused && task.behaviour.cannot_be_paused {
            return Err(Failure::new(Code::TaskPause, "the task cannot be paused"));
        }
        task.is_paused = is_paused && !is_unconfirmed;
        let endpoint = task.endpoint.clone();
        if is_paused && !self.landing {
            self.note_cut(owner, &endpoint);
        }
        Ok(())
    }

    /// A task is told to end, or to stand still, while requests may still come to it: its route has to be withdrawn and drained before.
    fn note_cut(&mut self, owner: &Owner, endpoint: &Endpoint) {
        let leads = self.routes.values().flatten().any(|route| {
            let is_its = route.backend.owner == *owner && route.backend.endpoint == *endpoint;
            is_its && !route.unexpected
        });
        if leads {
            self.mistakes.push(format!(
                "the task of {} was told to end or to stand still before its route was withdrawn",
                owner.instance
            ));
        }
    }
}

/// Tasks, as one process reaches them.
pub(crate) struct SimTasks(pub(crate) Calls);

/// Bytes that every task uses.
pub const MEMORY: u64 = 10 << 20;

impl SimTasks {
    async fn set_paused(
        &self,
        call: &'static str,
        owner: &Owner,
        task: &TaskRef,
        is_paused: bool,
    ) -> Result<(), Failure> {
        let (what, whose, which) = (shown(owner), owner.clone(), task.clone());
        let done = self.0.make(call, what, move |state, now| {
            state.set_paused(&whose, &which, is_paused, now)
        });
        done.await?;
        self.0.world.tell_of(task);
        Ok(())
    }
}

fn shown(owner: &Owner) -> String {
    format!("{}/{}", owner.instance, owner.attempt)
}

#[async_trait]
impl Tasks for SimTasks {
    fn port_source(&self) -> PortSource {
        self.0.world.state().port_source()
    }

    fn survives_restart(&self) -> bool {
        !self.0.world.state().embedded
    }

    async fn can_have_port(&self, port: u16) -> bool {
        let free = self.0.make("tasks.can_have_port", port, move |state, now| {
            Ok(state.listener(port, now).is_none())
        });
        free.await.unwrap_or(true)
    }

    async fn check(&self, run: &RunSpec, _route: Option<&RouteKey>) -> Result<(), Failure> {
        let program = program(run).to_owned();
        self.0
            .make("tasks.check", program.clone(), move |state, _| {
                match &state.behaviour(&program).refused {
                    Some(failure) => Err(failure.clone()),
                    None => Ok(()),
                }
            })
            .await
    }

    async fn start(&self, spec: TaskSpec) -> Result<TaskRef, Failure> {
        self.0
            .make("tasks.start", shown(&spec.owner), move |state, now| {
                state.start(&spec, now)
            })
            .await
    }

    async fn look(&self, owner: &Owner, task: &TaskRef) -> Result<TaskStatus, Failure> {
        let (what, owner, task) = (shown(owner), owner.clone(), task.clone());
        self.0
            .make("tasks.look", what, move |state, now| {
                Ok(state
                    .ours(&owner, &task)?
                    .map_or(TaskStatus::Gone, |task| task.status(now)))
            })
            .await
    }

    async fn find(&self, spec: &TaskSpec) -> Result<Option<TaskRef>, Failure> {
        let owner = spec.owner.clone();
        self.0
            .make("tasks.find", shown(&spec.owner), move |state, _| {
                let found = state.tasks.values().find(|task| task.owner == owner);
                Ok(found.map(|task| task.reference.clone()))
            })
            .await
    }

    async fn stop(&self, owner: &Owner, task: &TaskRef, grace: Duration) -> Result<Stopping, Failure> {
        let (what, owner, task) = (shown(owner), owner.clone(), task.clone());
        self.0
            .make("tasks.stop", what, move |state, now| {
                state.stop(&owner, &task, grace, now)
            })
            .await
    }

    fn can_pause(&self) -> bool {
        true
    }

    async fn pause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        self.set_paused("tasks.pause", owner, task, true).await
    }

    async fn unpause(&self, owner: &Owner, task: &TaskRef) -> Result<(), Failure> {
        self.set_paused("tasks.unpause", owner, task, false).await
    }

    async fn memory(&self, owner: &Owner, _task: &TaskRef) -> Result<Option<u64>, Failure> {
        self.0.make("tasks.memory", shown(owner), |_, _| Ok(Some(MEMORY))).await
    }

    async fn all(&self, _runs: &[RunSpec]) -> Result<Vec<(Owner, TaskRef)>, Failure> {
        self.0
            .make("tasks.all", "", |state, now| {
                let deployment = state.deployment.clone();
                let all = state.has(Flaw::StopsForeign);
                Ok(state
                    .tasks
                    .values()
                    .filter(|task| task.is_there(now) && (all || Some(&task.owner.deployment) == deployment.as_ref()))
                    .map(|task| (task.owner.clone(), task.reference.clone()))
                    .collect())
            })
            .await
    }
}

impl TaskEvents for SimTasks {
    fn subscribe(&self) -> BoxStream<'static, TaskEvent> {
        let events = BroadcastStream::new(self.0.world.events().subscribe());
        events.filter_map(|event| std::future::ready(event.ok())).boxed()
    }
}

impl SimWorld {
    /// From now on tasks of this program (the first word of their command) behave like this.
    pub fn behave(&self, program: &str, behaviour: Behaviour) {
        self.state().behaviours.insert(program.to_owned(), behaviour);
    }

    /// From now on every task behaves well, those that are there too: what could not be stopped or paused can.
    pub fn behave_well(&self) {
        let mut state = self.state();
        state.behaviours.clear();
        state.next_behaviours.clear();
        for task in state.tasks.values_mut() {
            (task.behaviour.cannot_be_stopped, task.behaviour.cannot_be_paused) = (false, false);
        }
    }

    /// The next task of this program behaves like this; called again, the one after it.
    pub fn behave_next(&self, program: &str, behaviour: Behaviour) {
        let mut state = self.state();
        let next = state.next_behaviours.entry(program.to_owned()).or_default();
        next.push_back(behaviour);
    }

    /// The tasks of an instance that are on the machine.
    #[must_use]
    pub fn live_tasks(&self, id: &InstanceId) -> Vec<SimTask> {
        let now = self.now();
        self.tasks(id).into_iter().filter(|task| task.is_there(now)).collect()
    }

    /// Every task that an instance ever had, in the order of their starts.
    #[must_use]
    pub fn tasks(&self, id: &InstanceId) -> Vec<SimTask> {
        let state = self.state();
        let mut tasks: Vec<SimTask> = state
            .tasks
            .values()
            .filter(|task| task.owner.instance == *id)
            .cloned()
            .collect();
        tasks.sort_by_key(|task| task.owner.attempt);
        tasks
    }

    /// The instance's task ends by itself, now.
    pub fn exit(&self, id: &InstanceId, exit_code: i32) {
        let now = self.now();
        let mut ends = Vec::new();
        for task in self.state().tasks.values_mut() {
            if task.owner.instance == *id && task.is_there(now) {
                ends.extend(task.end(now, crashed(exit_code), exit_code));
            }
        }
        for ending in ends {
            self.foretell(ending);
        }
    }

    /// Somebody pauses the instance's tasks by hand, or lets them go on.
    pub fn pause_by_hand(&self, id: &InstanceId, is_paused: bool) {
        let mut told = Vec::new();
        for task in self.state().tasks.values_mut() {
            if task.owner.instance == *id {
                task.is_paused = is_paused;
                told.push(task.reference.clone());
            }
        }
        for task in told {
            self.tell_of(&task);
        }
    }

    /// Tells how a task is now.
    fn tell_of(&self, task: &TaskRef) {
        let now = self.now();
        let (event, manner) = {
            let state = self.state();
            let Some(task) = state.tasks.get(&task.id) else { return };
            let event = TaskEvent {
                instance: task.owner.instance.clone(),
                task: task.reference.clone(),
                status: task.status(now),
            };
            (event, state.events)
        };
        self.tell(&event, manner);
    }

    /// The machine loses every task of this deployment, and nothing remembers them.
    pub fn lose_tasks(&self) {
        self.lose_tasks_where(|_| true);
    }

    /// The same with some of them: those of one host.
    pub fn lose_tasks_where(&self, is_lost: impl Fn(&SimTask) -> bool) {
        let mut state = self.state();
        let deployment = state.deployment.clone();
        state
            .tasks
            .retain(|_, task| Some(&task.owner.deployment) != deployment.as_ref() || !is_lost(task));
    }

    /// The platform forgets those of an instance's tasks that have ended, as every platform does after a while.
    pub fn forget_ended(&self, id: &InstanceId) {
        let now = self.now();
        self.state()
            .tasks
            .retain(|_, task| task.owner.instance != *id || task.is_there(now));
    }

    /// Puts a task there that nobody asked for.
    pub fn plant_task(&self, owner: Owner, service: &ServiceName) -> TaskRef {
        let spec = TaskSpec {
            owner,
            service: service.clone(),
            run: RunSpec::Process {
                command: vec!["planted".to_owned()],
                memory: None,
                directory: None,
            },
            port: None,
            environment: BTreeMap::new(),
            public: false,
            intended_at: self.now(),
        };
        let now = self.now();
        self.state().start(&spec, now).expect("it has an address of its own")
    }

    /// Puts a task there that was started in a world before this one, under the name that it had.
    pub fn adopt_task(&self, id: &str, spec: &TaskSpec) {
        let now = self.now();
        let mut state = self.state();
        let started = state.start(spec, now).expect("its port is free");
        if let Some(mut task) = state.tasks.remove(&started.id) {
            id.clone_into(&mut task.reference.id);
            state.tasks.insert(id.to_owned(), task);
        }
    }

    /// Tells of a task's end when its time has come, if that is still how it ends.
    pub(crate) fn foretell(&self, ending: Ending) {
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ending.at.since(world.now())).await;
            let (event, manner) = {
                let state = world.state();
                let Some(task) = state.tasks.get(&ending.task) else {
                    return;
                };
                if task.end.as_ref().is_none_or(|end| end.at != ending.at) {
                    return;
                }
                let event = TaskEvent {
                    instance: task.owner.instance.clone(),
                    task: task.reference.clone(),
                    status: task.status(ending.at),
                };
                (event, state.events)
            };
            world.audit(|audit| audit.world_changed(&world));
            world.tell(&event, manner);
        });
    }

    /// Tells of a task, as well as events are told just now.
    fn tell(&self, event: &TaskEvent, manner: EventManner) {
        let number = event.task.id.trim_start_matches("task-").parse().unwrap_or(0);
        let drawn = |nth| draw(self.seed(), &[number, nth]);
        if drawn(0) < manner.lose {
            self.faults().count("event lost");
            return;
        }
        let times = if drawn(1) < manner.double {
            self.faults().count("event told twice");
            2
        } else {
            1
        };
        for nth in 0..times {
            let late = manner.late.mul_f64(drawn(2 + nth));
            if !late.is_zero() {
                self.faults().count("event late");
            }
            let (world, event) = (self.clone(), event.clone());
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                // Nobody may be listening.
                let _ = world.events().send(event);
            });
        }
    }
}
