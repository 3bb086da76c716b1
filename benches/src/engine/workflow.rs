//! The saga that is measured, and an engine on a registry of its own to run it on.

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, OnceLock},
};
use tokio::sync::oneshot;
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_local::{OsIds, SystemClock, TimerWaker};
use wharf_saga::{
    Batch, Clock, Context, Decision, Driving, Ending, Engine, Ids, Next, Observer, Outcome, Progress, Step, Store, Way,
    Workflow,
    engine::Parts,
    limits,
    record::OnFailure,
    step::Writes,
    store::{Expect, HistoryEntry, Index, LeaseChange},
    workflow::Plan,
};
use wharf_sqlite::SqliteStore;

use crate::Result;

pub(crate) const STEPS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
/// The step in the middle, which sleeps if it is told to.
const MIDDLE: &str = "five";
/// As many as `wharf up` has.
const DRIVERS: usize = 512;

pub(crate) const ASLEEP: &str = "asleep";
pub(crate) const DONE: &str = "done";
const RUNNING: &str = "running";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Nap {
    /// The middle step waits until then.
    pub(crate) until: Option<Timestamp>,
    asleep: bool,
    done: bool,
}

/// Told of every step that was run to its end.
pub(crate) type Witness = Arc<dyn Fn(&InstanceId, &'static str) + Send + Sync>;

/// A step that does nothing, and counts as one that changes the world: its intent is journaled before it.
struct Nothing {
    name: &'static str,
    witness: Option<Witness>,
}

#[async_trait]
impl Step<Nap> for Nothing {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&self, context: &mut Context<'_>, nap: &mut Nap) -> Outcome {
        if let Some(until) = nap.until
            && self.name == MIDDLE
            && context.now < until
        {
            nap.asleep = true;
            let why = "its time".to_owned();
            return Outcome::Wait { until, why };
        }
        nap.asleep = false;
        if let Some(witness) = &self.witness {
            witness(context.id, self.name);
        }
        Outcome::Done
    }

    async fn undo(&self, _: &mut Context<'_>, _: &mut Nap) -> Outcome {
        Outcome::Done
    }
}

/// Sagas of [`STEPS`], and no messages.
pub(crate) struct Napping {
    steps: HashMap<&'static str, Nothing>,
}

impl Workflow for Napping {
    type Data = Nap;
    type Message = ();

    fn step(&self, name: &str) -> Option<&dyn Step<Nap>> {
        self.steps.get(name).map(|step| step as &dyn Step<Nap>)
    }

    fn index(&self, nap: &Nap) -> Index {
        Index {
            name: None,
            service: "bench".to_owned(),
            state: match nap {
                Nap { done: true, .. } => DONE,
                Nap { asleep: true, .. } => ASLEEP,
                Nap { .. } => RUNNING,
            },
            live: !nap.done,
        }
    }

    fn attempt(&self, _: &Nap) -> u32 {
        1
    }

    fn cause(&self, _: &Nap) -> Option<Failure> {
        None
    }

    fn decide(&self, _: &mut Nap, _: Option<&Progress>, _: Vec<()>, _: Timestamp, _: &mut Writes) -> Decision {
        Decision::Continue
    }

    fn ended(&self, nap: &mut Nap, _: &str, _: &Ending, _: Timestamp, _: &mut Writes) -> Next {
        nap.done = true;
        Next::Rest
    }
}

/// An engine, and the registry below it.
pub(crate) struct Rig {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) engine: Engine<Napping>,
    plan: Plan,
}

impl Rig {
    /// Wired as `wharf up` wires it. Has to be called inside a runtime.
    pub(crate) fn open(registry: &Path, observer: Arc<dyn Observer<Nap>>, witness: Option<&Witness>) -> Result<Self> {
        let clock = Arc::new(SystemClock);
        let store = Arc::new(SqliteStore::open(registry, &OsIds, clock.now())?);
        let woken = Arc::new(OnceLock::<Engine<Napping>>::new());
        let waker = TimerWaker::new(clock.clone(), {
            let woken = woken.clone();
            move |id, seq| {
                if let Some(engine) = woken.get() {
                    engine.wake(&id, seq);
                }
            }
        });
        let steps = STEPS.map(|name| {
            let witness = witness.cloned();
            (name, Nothing { name, witness })
        });
        let engine = Engine::new(Parts {
            store: store.clone() as Arc<dyn Store>,
            workflow: Napping {
                steps: HashMap::from(steps),
            },
            clock,
            ids: Arc::new(OsIds),
            waker: Arc::new(waker),
            observer,
            drivers: DRIVERS,
            linger: limits::LINGER,
            driving: Driving::Here,
        });
        let _ = woken.set(engine.clone());
        Ok(Self {
            store,
            engine,
            plan: Plan {
                saga: "nap",
                steps: STEPS.map(|step| (step, Way::Run)).to_vec(),
                on_failure: OnFailure::Unwind,
            },
        })
    }

    /// Begins a saga, whose middle step sleeps until the time that is given.
    pub(crate) async fn begin(&self, id: InstanceId, until: Option<Timestamp>) -> Result<()> {
        let nap = Nap {
            until,
            ..Nap::default()
        };
        let batch = Batch::new(id, Expect::Absent, LeaseChange::Keep);
        Ok(self.engine.claim(batch, nap, &self.plan, 0).await?)
    }
}

/// An observer that rings when a saga is done.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<HashMap<InstanceId, oneshot::Sender<()>>>);

impl Bell {
    pub(crate) fn listen(&self, id: &InstanceId) -> oneshot::Receiver<()> {
        let (ring, rung) = oneshot::channel();
        self.0.lock().insert(id.clone(), ring);
        rung
    }
}

impl Observer<Nap> for Bell {
    fn committed(&self, id: &InstanceId, nap: &Nap, _: &'static str, _: &[HistoryEntry]) {
        if nap.done
            && let Some(ring) = self.0.lock().remove(id)
        {
            let _ = ring.send(());
        }
    }
}

/// A new instance's id.
pub(crate) fn new_id() -> InstanceId {
    OsIds.instance_id(SystemClock.now())
}
