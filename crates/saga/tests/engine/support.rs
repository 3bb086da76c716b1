//! A workflow whose steps do what a test has written into their script, and machines to run it on.

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use wharf_domain::{Attempt, Code, Failure, InstanceId, Timestamp};
use wharf_saga::{
    Batch, CommitError, Context, Decision, Driving, Ending, Engine, Ids, Next, Observer, Outcome, Progress, Record,
    Step, Store, Way, Workflow,
    engine::Parts,
    limits,
    record::OnFailure,
    step::Writes,
    store::{Expect, Happening, HistoryEntry, Index, LeaseChange, Reserve, Stored},
    workflow::Plan,
};
use wharf_testkit::sim::{Process, SimClock, SimIds, SimStore, SimWaker, SimWorld};

/// What a record is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Data {
    pub(crate) state: Phase,
    /// Steps that are done and not undone, as the record knows.
    pub(crate) done: Vec<String>,
    /// After its saga: ask again so many milliseconds later.
    pub(crate) rests_for: Option<u64>,
    pub(crate) asked: u32,
    pub(crate) appointment: Option<Timestamp>,
    pub(crate) heard: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    #[default]
    Working,
    Finished,
    Undone,
    Stuck,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Changes nothing.
    Noise(String),
    /// Turns the saga to undoing.
    Stop,
    Resume,
    /// Begins a saga of these steps.
    Begin(Vec<String>),
    /// Whoever decides about it panics.
    Poison,
}

/// What a step does when it is called.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Done,
    Wait(Duration),
    Retry,
    Fail,
    Panic,
    /// Never returns.
    Hang,
    /// Takes this long, then is done.
    Slow(Duration),
    /// The process that called it is paused, and then it is done.
    PauseProcess,
    /// Somebody appends this, without telling anybody; then it waits this long.
    HearAndWait(Message, Duration),
    /// Is done, and wants this reserved.
    Reserve(Reserve),
}

/// What was called, by whom, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) machine: String,
    pub(crate) id: InstanceId,
    /// `one`, or `undo one`.
    pub(crate) what: String,
    pub(crate) at: Timestamp,
}

/// What steps work on: their script, and everything that they did. It outlives every machine.
#[derive(Default)]
pub(crate) struct Ledger {
    script: Mutex<BTreeMap<String, VecDeque<Act>>>,
    /// What a step does when nothing more stands in its script; done, where nothing stands here either.
    habits: Mutex<BTreeMap<String, Act>>,
    calls: Mutex<Vec<Called>>,
    /// Calls that were made without their intent, or without the lease.
    pub(crate) violations: Mutex<Vec<String>>,
    /// Who is in a step of which instance.
    inside: Mutex<BTreeMap<InstanceId, (String, Process)>>,
}

impl Ledger {
    /// The next calls of `what` (`one`, `undo one`) do this, in order.
    pub(crate) fn script(&self, what: &str, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().entry(what.to_owned()).or_default().extend(acts);
    }

    /// From now on every call of `what` does this.
    pub(crate) fn habit(&self, what: &str, act: Act) {
        self.habits.lock().insert(what.to_owned(), act);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().iter().map(|call| call.what.clone()).collect()
    }

    pub(crate) fn calls_of(&self, id: &InstanceId) -> Vec<String> {
        let calls = self.calls.lock();
        let of = calls.iter().filter(|call| call.id == *id);
        of.map(|call| call.what.clone()).collect()
    }

    pub(crate) fn calls_by(&self, machine: &str) -> Vec<Called> {
        let calls = self.calls.lock();
        calls.iter().filter(|call| call.machine == machine).cloned().collect()
    }

    fn next(&self, what: &str) -> Act {
        let scripted = self.script.lock().get_mut(what).and_then(VecDeque::pop_front);
        scripted
            .or_else(|| self.habits.lock().get(what).cloned())
            .unwrap_or(Act::Done)
    }
}

/// Steps whose names begin like this change nothing in the world.
const PURE: &str = "look";

struct ScriptedStep {
    name: &'static str,
    machine: String,
    process: Process,
    clock: SimClock,
    ledger: Arc<Ledger>,
    store: Arc<SimStore>,
}

impl ScriptedStep {
    /// Write-ahead and one writer, as they show from inside a call.
    async fn check(&self, id: &InstanceId, undo: bool) {
        let stored = self
            .store
            .load(id)
            .await
            .expect("it can be read")
            .expect("there is a record");
        let record: Record<Data> = serde_json::from_str(&stored.body).expect("a record");
        let progress = record.progress.expect("a saga is under way");
        let current = progress.current();
        let intended = current.is_some_and(|planned| {
            planned.step == self.name
                && progress.begun
                && (undo == (progress.unwinding.is_some() || planned.way == Way::Undo))
        });
        let violation = if !self.name.starts_with(PURE) && !intended {
            format!("{} (undo: {undo}) was called, and the intent is {current:?}", self.name)
        } else if stored.lease.holder.is_none() {
            format!("{} was called by {} without a lease", self.name, self.machine)
        } else {
            return;
        };
        self.ledger.violations.lock().push(violation);
    }

    async fn call(&self, undo: bool, context: &mut Context<'_>, data: &mut Data) -> Outcome {
        use wharf_saga::Clock;
        let what = format!("{}{}", if undo { "undo " } else { "" }, self.name);
        self.ledger.calls.lock().push(Called {
            machine: self.machine.clone(),
            id: context.id.clone(),
            what: what.clone(),
            at: self.clock.now(),
        });
        self.check(context.id, undo).await;
        let failure = || Failure::new(Code::TaskCrashed, format!("{what} failed"));
        match self.ledger.next(&what) {
            Act::Done => {}
            Act::Wait(pause) => {
                return Outcome::Wait {
                    until: context.now + pause,
                    why: format!("{what} waits"),
                };
            }
            Act::Retry => return Outcome::Retry(failure()),
            Act::Fail => return Outcome::Fail(failure()),
            Act::Panic => panic!("{what} panics, as it was told to"),
            Act::Hang => std::future::pending().await,
            Act::Slow(pause) => tokio::time::sleep(pause).await,
            Act::PauseProcess => self.process.pause(),
            Act::HearAndWait(message, pause) => {
                let body = serde_json::to_string(&message).expect("plain data");
                let heard = self.store.append(context.id, body, None, context.now).await;
                heard.expect("appended").expect("there is such an instance");
                return Outcome::Wait {
                    until: context.now + pause,
                    why: format!("{what} waits"),
                };
            }
            Act::Reserve(reserve) => context.writes.reserve.push(reserve),
        }
        if undo {
            data.done.retain(|done| done != self.name);
        } else if !data.done.iter().any(|done| done == self.name) {
            data.done.push(self.name.to_owned());
        }
        Outcome::Done
    }

    /// Never two calls for one instance at once, whoever makes them.
    async fn alone(&self, undo: bool, context: &mut Context<'_>, data: &mut Data) -> Outcome {
        let id = context.id.clone();
        let me = (self.machine.clone(), self.process.clone());
        let before = self.ledger.inside.lock().insert(id.clone(), me);
        if let Some((other, process)) = before
            && other != self.machine
            && !process.is_dead()
        {
            let violation = format!("{} is in {id} while {other} is", self.machine);
            self.ledger.violations.lock().push(violation);
        }
        let outcome = self.call(undo, context, data).await;
        self.ledger.inside.lock().remove(&id);
        outcome
    }
}

#[async_trait]
impl Step<Data> for ScriptedStep {
    fn name(&self) -> &'static str {
        self.name
    }

    fn has_effect(&self) -> bool {
        !self.name.starts_with(PURE)
    }

    fn timeout(&self) -> Duration {
        // Longer than any step may take: the engine's own bound counts.
        limits::STEP_TIMEOUT * 10
    }

    async fn run(&self, context: &mut Context<'_>, data: &mut Data) -> Outcome {
        self.alone(false, context, data).await
    }

    async fn undo(&self, context: &mut Context<'_>, data: &mut Data) -> Outcome {
        self.alone(true, context, data).await
    }
}

/// The workflow: whatever steps a test names.
pub(crate) struct Tiny {
    steps: BTreeMap<&'static str, ScriptedStep>,
}

/// All steps that there are.
pub(crate) const STEPS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
/// Those without an effect.
pub(crate) const LOOKS: [&str; 3] = ["look a", "look b", "look c"];

impl Workflow for Tiny {
    type Data = Data;
    type Message = Message;

    fn step(&self, name: &str) -> Option<&dyn Step<Data>> {
        self.steps.get(name).map(|step| step as &dyn Step<Data>)
    }

    fn index(&self, data: &Data) -> Index {
        Index {
            name: None,
            service: "tiny".to_owned(),
            state: match data.state {
                Phase::Working => "working",
                Phase::Finished => "finished",
                Phase::Undone => "undone",
                Phase::Stuck => "stuck",
            },
            live: true,
        }
    }

    fn attempt(&self, _: &Data) -> u32 {
        Attempt(1).0
    }

    fn cause(&self, _: &Data) -> Option<Failure> {
        None
    }

    fn appointment(&self, data: &Data) -> Option<Timestamp> {
        data.appointment
    }

    fn decide(
        &self,
        data: &mut Data,
        saga: Option<&Progress>,
        messages: Vec<Message>,
        _: Timestamp,
        _: &mut Writes,
    ) -> Decision {
        if messages.is_empty() {
            data.asked += 1;
            data.appointment = None;
        }
        let mut decision = Decision::Continue;
        for message in messages {
            match message {
                Message::Noise(text) => data.heard.push(text),
                Message::Stop if saga.is_some() => {
                    decision = Decision::Unwind(Failure::new(Code::InstanceCancelled, "it was stopped"));
                }
                Message::Stop => data.heard.push("stop".to_owned()),
                Message::Resume => decision = Decision::Resume,
                Message::Begin(steps) => {
                    data.state = Phase::Working;
                    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
                    decision = Decision::Begin(plan(&steps));
                }
                Message::Poison => panic!("poison was decided about, as it was told to"),
            }
        }
        decision
    }

    fn ended(&self, data: &mut Data, _: &str, ending: &Ending, now: Timestamp, _: &mut Writes) -> Next {
        data.state = match ending {
            Ending::Done => Phase::Finished,
            Ending::Undone { .. } => Phase::Undone,
            Ending::Halted { .. } => Phase::Stuck,
        };
        data.appointment = data.rests_for.take().map(|millis| now + Duration::from_millis(millis));
        Next::Rest
    }
}

/// A saga of these steps, run forward.
pub(crate) fn plan(steps: &[&str]) -> Plan {
    let known = |name: &&str| STEPS.iter().chain(&LOOKS).find(|known| *known == name).copied();
    Plan {
        saga: "tiny",
        steps: steps
            .iter()
            .map(|step| (known(step).expect("a step that there is"), Way::Run))
            .collect(),
        on_failure: OnFailure::Unwind,
    }
}

/// Rings with every commit, of whichever machine.
#[derive(Default)]
struct Bell(Notify);

impl Observer<Data> for Bell {
    fn committed(&self, _: &InstanceId, _: &Data, _: &'static str, _: &[HistoryEntry]) {
        self.0.notify_waiters();
    }
}

/// One process with an engine.
pub(crate) struct Machine {
    pub(crate) engine: Engine<Tiny>,
    pub(crate) process: Process,
    pub(crate) waker: Arc<SimWaker>,
}

impl Machine {
    /// Sweeps from now on, as a server does.
    pub(crate) fn sweep(&self) {
        let engine = self.engine.clone();
        tokio::spawn(async move { engine.sweep_forever().await });
    }
}

/// A registry, a ledger, and as many machines as a test wants.
pub(crate) struct Bench {
    pub(crate) world: SimWorld,
    pub(crate) store: Arc<SimStore>,
    pub(crate) ledger: Arc<Ledger>,
    ids: SimIds,
    bell: Arc<Bell>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            world: SimWorld::new(1),
            store: Arc::new(SimStore::new()),
            ledger: Arc::default(),
            ids: SimIds::new(1),
            bell: Arc::default(),
        }
    }

    /// A machine that has all steps, and the right time.
    pub(crate) fn machine(&self, name: &str) -> Machine {
        self.machine_with(name, self.world.clock(), |_| true)
    }

    /// A machine that takes requests, and leaves the driving to whoever gets its wakes.
    pub(crate) fn door(&self, name: &str, driver: &Machine) -> Machine {
        let machine = self.build(name, self.world.clock(), |_| true, Driving::Elsewhere);
        let driver = driver.engine.clone();
        machine.waker.connect(move |id, seq| driver.wake(id, seq));
        machine
    }

    pub(crate) fn machine_with(&self, name: &str, clock: SimClock, has: impl Fn(&str) -> bool) -> Machine {
        let machine = self.build(name, clock, has, Driving::Here);
        let woken = machine.engine.clone();
        machine.waker.connect(move |id, seq| woken.wake(id, seq));
        machine
    }

    fn build(&self, name: &str, clock: SimClock, has: impl Fn(&str) -> bool, driving: Driving) -> Machine {
        let process = self.world.process(name);
        let steps = STEPS.iter().chain(&LOOKS).filter(|step| has(step)).map(|step| {
            let scripted = ScriptedStep {
                name: step,
                machine: name.to_owned(),
                process: process.clone(),
                clock: self.world.clock(),
                ledger: self.ledger.clone(),
                store: self.store.clone(),
            };
            (*step, scripted)
        });
        let waker = Arc::new(SimWaker::new(Arc::new(clock.clone())));
        let seed = name
            .bytes()
            .fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let engine = Engine::new(Parts {
            store: process.registry(self.store.clone()),
            workflow: Tiny { steps: steps.collect() },
            clock: Arc::new(clock),
            ids: Arc::new(SimIds::new(seed)),
            waker: waker.clone(),
            observer: self.bell.clone(),
            drivers: 64,
            linger: limits::LINGER,
            driving,
        });
        Machine { engine, process, waker }
    }

    /// A batch that claims a new instance.
    pub(crate) fn batch(&self) -> Batch {
        let id = self.ids.instance_id(self.world.now());
        Batch::new(id, Expect::Absent, LeaseChange::Keep)
    }

    /// Claims an instance, and begins a saga of these steps on it.
    pub(crate) async fn claim(&self, machine: &Machine, steps: &[&str]) -> InstanceId {
        self.try_claim(machine, steps, Data::default()).await.expect("claimed")
    }

    pub(crate) async fn try_claim(
        &self,
        machine: &Machine,
        steps: &[&str],
        data: Data,
    ) -> Result<InstanceId, CommitError> {
        let batch = self.batch();
        let id = batch.instance.clone();
        machine.engine.claim(batch, data, &plan(steps), 0).await?;
        Ok(id)
    }

    pub(crate) async fn stored(&self, id: &InstanceId) -> Stored {
        self.store
            .load(id)
            .await
            .expect("it can be read")
            .expect("there is a record")
    }

    pub(crate) async fn record(&self, id: &InstanceId) -> Record<Data> {
        serde_json::from_str(&self.stored(id).await.body).expect("a record")
    }

    pub(crate) async fn history(&self, id: &InstanceId) -> Vec<Happening> {
        let history = self.store.history(id, 0, 1000).await.expect("a history");
        history.into_iter().map(|line| line.entry.what).collect()
    }

    /// Waits until a record's data is like this, at most a day of the simulated time.
    pub(crate) async fn until(
        &self,
        id: &InstanceId,
        what: &str,
        is_so: impl Fn(&Record<Data>) -> bool,
    ) -> Record<Data> {
        let deadline = Instant::now() + Duration::from_hours(24);
        loop {
            let committed = self.bell.0.notified();
            let record = self.record(id).await;
            if is_so(&record) {
                return record;
            }
            if tokio::time::timeout_at(deadline, committed).await.is_err() {
                break;
            }
        }
        let trace = self.world.trace().text();
        let lines: Vec<&str> = trace.lines().filter(|line| !line.contains("store.due")).collect();
        panic!(
            "not within a day: {what}; the record is {:?}, and this happened:\n{}",
            self.record(id).await,
            lines[lines.len().saturating_sub(100)..].join("\n")
        );
    }

    /// Waits until the saga is over like this.
    pub(crate) async fn ended(&self, id: &InstanceId, phase: Phase) -> Record<Data> {
        let over = format!("it is {phase:?}");
        let record = self.until(id, &over, |record| record.data.state == phase).await;
        assert_eq!(*self.ledger.violations.lock(), [""; 0]);
        record
    }

    /// What the clock shows since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.world.now().since(wharf_testkit::sim::clock::START)
    }
}

/// The time that passes while something is waited for.
pub(crate) async fn took<T>(bench: &Bench, work: impl Future<Output = T>) -> (T, Duration) {
    let before = bench.elapsed();
    let result = work.await;
    (result, bench.elapsed().saturating_sub(before))
}

pub(crate) fn names(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|step| (*step).to_owned()).collect()
}
