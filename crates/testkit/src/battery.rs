//! The battery: what every saga has to stand, step by step. A saga's author says how to begin it and what its end must look
//! like ([`Subject`], [`Stage`]); which steps there are is found out by watching it once.
//!
//! For every call that the saga makes:
//!
//! 1. nothing goes wrong;
//! 2. it fails, before its effect and after it: the end is clean;
//! 3. the same, with every undo called twice;
//! 4. nothing goes wrong, and every run is called twice;
//! 5. its effect happened and the answer was lost;
//! 6. its effect happened and the process died before the outcome was written: the same machine goes on, or another.
//!
//! And while it is taken back, for every undo in turn: it fails, its answer is lost, the process dies.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::watch;
use wharf_domain::{Code, Failure};
use wharf_saga::{Context, Outcome, Step, step::Writes};

/// One call of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub step: &'static str,
    pub undo: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.undo { "undo of " } else { "" }, self.step)
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upset {
    /// It fails for good, and has done nothing.
    Fails,
    /// It has done what it does, and fails for good.
    FailsAfter,
    /// It has done what it does, and nobody hears of it.
    LosesAnswer,
    /// It has done what it does, and the process dies.
    Dies,
}

/// Who goes on after a process has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// The same machine, started again: what its predecessor held is free.
    SameMachine,
    /// Another one, which has to find out that the first is dead.
    AnotherMachine,
}

/// How a saga must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has come where it wanted.
    Reached,
    /// It has failed, and everything is taken back.
    TakenBack,
    /// One or the other: the process died before it was written that something had failed, and that may not happen again.
    Either,
}

/// A saga that stands the battery.
#[async_trait]
pub trait Subject: Sync {
    fn name(&self) -> String;

    /// Whether a run that fails for good ends the saga, and takes everything back. Otherwise it comes where it wants all the
    /// same: a later attempt, or a person who resumes what is stuck, sees to it.
    fn is_taken_back(&self) -> bool;

    /// A world of its own, in which the saga is about to begin. Every step has to go through `rigging`.
    async fn stage(&self, rigging: Arc<Rigging>) -> Box<dyn Stage>;
}

/// A saga that is about to begin.
#[async_trait]
pub trait Stage: Send {
    async fn begin(&mut self);

    /// Waits until it is over, and resumes it where it is stuck.
    async fn settle(&mut self);

    /// The process has died: `heir` goes on.
    async fn crash(&mut self, heir: Heir);

    /// What is not as it should be after such an end: leftovers, a wrong state, lost data. A line each.
    async fn complaints(&mut self, end: End) -> Vec<String>;
}

/// What is put around steps, so that they go wrong as ordered.
#[derive(Debug)]
pub struct Rigging {
    orders: Mutex<Vec<(Call, Upset)>>,
    runs_twice: bool,
    undoes_twice: bool,
    /// Calls made since the saga began; `None` before.
    calls: Mutex<Option<Vec<Call>>>,
    dead: watch::Sender<bool>,
}

impl Rigging {
    /// With these mishaps, each to happen once.
    #[must_use]
    pub fn new(orders: Vec<(Call, Upset)>) -> Self {
        Self {
            orders: Mutex::new(orders),
            runs_twice: false,
            undoes_twice: false,
            calls: Mutex::new(None),
            dead: watch::Sender::new(false),
        }
    }

    /// Puts itself around a step.
    #[must_use]
    pub fn around<D: Clone + Send + Sync + 'static>(self: &Arc<Self>, step: Box<dyn Step<D>>) -> Box<dyn Step<D>> {
        Box::new(Rigged {
            rigging: self.clone(),
            step,
        })
    }

    /// From now on calls are counted, and go wrong as ordered.
    pub fn arm(&self) {
        *self.calls.lock() = Some(Vec::new());
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone().unwrap_or_default()
    }

    /// A call begins: what is going to happen to it.
    fn begin(&self, call: Call) -> Option<Upset> {
        let mut calls = self.calls.lock();
        calls.as_mut()?.push(call);
        let orders = self.orders.lock();
        orders
            .iter()
            .find(|(ordered, _)| *ordered == call)
            .map(|(_, upset)| *upset)
    }

    /// An order is carried out once.
    fn carried_out(&self, call: Call) {
        let mut orders = self.orders.lock();
        if let Some(index) = orders.iter().position(|(ordered, _)| *ordered == call) {
            orders.remove(index);
        }
    }

    async fn died(&self) {
        let _ = self.dead.subscribe().wait_for(|dead| *dead).await;
    }
}

struct Rigged<D> {
    rigging: Arc<Rigging>,
    step: Box<dyn Step<D>>,
}

impl<D: Clone + Send + Sync> Rigged<D> {
    async fn plainly(&self, undo: bool, context: &mut Context<'_>, data: &mut D) -> Outcome {
        if undo {
            self.step.undo(context, data).await
        } else {
            self.step.run(context, data).await
        }
    }

    async fn call(&self, undo: bool, context: &mut Context<'_>, data: &mut D) -> Outcome {
        let rigging = &self.rigging;
        let call = Call {
            step: self.step.name(),
            undo,
        };
        let upset = rigging.begin(call);
        if upset == Some(Upset::Fails) {
            rigging.carried_out(call);
            return Outcome::Fail(failure(call));
        }
        if undo && rigging.undoes_twice || !undo && rigging.runs_twice {
            // As after a crash: with the data as it was, and nothing of the first time is known.
            let (mut forgotten, mut before) = (Writes::default(), data.clone());
            let mut first = Context {
                id: context.id,
                now: context.now,
                since: context.since,
                unattended: context.unattended,
                tries: context.tries,
                writes: &mut forgotten,
            };
            self.plainly(undo, &mut first, &mut before).await;
        }
        let outcome = self.plainly(undo, context, data).await;
        match upset {
            Some(Upset::Dies) => {
                rigging.carried_out(call);
                rigging.dead.send_replace(true);
                std::future::pending().await
            }
            Some(Upset::FailsAfter) if outcome == Outcome::Done => {
                rigging.carried_out(call);
                Outcome::Fail(failure(call))
            }
            Some(Upset::LosesAnswer) if outcome == Outcome::Done => {
                rigging.carried_out(call);
                Outcome::Retry(Failure::new(Code::StepTimeout, "the answer was lost, as was ordered"))
            }
            _ => outcome,
        }
    }
}

fn failure(call: Call) -> Failure {
    Failure::new(Code::TaskCrashed, format!("the {call} failed, as was ordered"))
}

#[async_trait]
impl<D: Clone + Send + Sync> Step<D> for Rigged<D> {
    fn name(&self) -> &'static str {
        self.step.name()
    }

    fn has_effect(&self) -> bool {
        self.step.has_effect()
    }

    fn timeout(&self) -> Duration {
        self.step.timeout()
    }

    async fn run(&self, context: &mut Context<'_>, data: &mut D) -> Outcome {
        self.call(false, context, data).await
    }

    async fn undo(&self, context: &mut Context<'_>, data: &mut D) -> Outcome {
        self.call(true, context, data).await
    }
}

/// One way through the saga.
struct Walk {
    orders: Vec<(Call, Upset)>,
    heir: Heir,
    runs_twice: bool,
    undoes_twice: bool,
    end: End,
}

impl Walk {
    const fn happy() -> Self {
        Self {
            orders: Vec::new(),
            heir: Heir::SameMachine,
            runs_twice: false,
            undoes_twice: false,
            end: End::Reached,
        }
    }

    fn with(orders: &[(Call, Upset)], end: End) -> Self {
        Self {
            orders: orders.to_vec(),
            end,
            ..Self::happy()
        }
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self
            .orders
            .iter()
            .map(|(call, upset)| format!("the {call} {upset:?}"))
            .collect();
        if self.runs_twice {
            parts.push("every run twice".to_owned());
        }
        if self.undoes_twice {
            parts.push("every undo twice".to_owned());
        }
        if self.orders.iter().any(|(_, upset)| *upset == Upset::Dies) {
            parts.push(format!("{:?} goes on", self.heir));
        }
        if parts.is_empty() {
            parts.push("nothing goes wrong".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

/// Longer than anything that ends by itself takes to end, by the simulated clock.
const PATIENCE: Duration = Duration::from_hours(24);

/// After so many complaints no more are looked for: the first ones say what is wrong.
const ENOUGH: usize = 20;

/// What became of the walks so far.
struct Battery<'a> {
    subject: &'a dyn Subject,
    walks: usize,
    complaints: Vec<String>,
}

impl Battery<'_> {
    /// Goes one way, in a world and a runtime of its own. Gives the calls that were made.
    fn go(&mut self, walk: &Walk) -> Vec<Call> {
        if self.complaints.len() > ENOUGH {
            return Vec::new();
        }
        self.walks += 1;
        let rigging = Arc::new(Rigging {
            runs_twice: walk.runs_twice,
            undoes_twice: walk.undoes_twice,
            ..Rigging::new(walk.orders.clone())
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let course = async {
            let mut stage = self.subject.stage(rigging.clone()).await;
            rigging.arm();
            stage.begin().await;
            let died = tokio::select! {
                biased;
                () = rigging.died() => true,
                () = stage.settle() => false,
            };
            if died {
                stage.crash(walk.heir).await;
                stage.settle().await;
            }
            stage.complaints(walk.end).await
        };
        let mut complaints = runtime
            .block_on(async { tokio::time::timeout(PATIENCE, course).await })
            .unwrap_or_else(|_| vec!["it does not come to an end".to_owned()]);
        for (call, upset) in rigging.orders.lock().iter() {
            complaints.push(format!("the {call} never {upset:?}: nothing was tried"));
        }
        for complaint in complaints {
            self.complaints.push(format!("{walk}: {complaint}"));
        }
        rigging.calls()
    }
}

/// Runs the whole battery. Panics with everything that was not as it should be.
pub fn run(subject: &dyn Subject) {
    let mut battery = Battery {
        subject,
        walks: 0,
        complaints: Vec::new(),
    };
    let calls = distinct(battery.go(&Walk::happy()));
    assert!(
        battery.complaints.is_empty(),
        "{}: nothing goes wrong, and yet\n{}",
        subject.name(),
        battery.complaints.join("\n")
    );
    battery.go(&Walk {
        runs_twice: true,
        undoes_twice: true,
        ..Walk::happy()
    });
    for call in &calls {
        // What takes something away is not taken back: it is stuck, and goes on when it is resumed.
        let taken_back = subject.is_taken_back() && !call.undo;
        let (failed, either) = if taken_back {
            (End::TakenBack, End::Either)
        } else {
            (End::Reached, End::Reached)
        };
        battery.go(&Walk::with(&[(*call, Upset::LosesAnswer)], End::Reached));
        for heir in [Heir::SameMachine, Heir::AnotherMachine] {
            battery.go(&Walk {
                heir,
                ..Walk::with(&[(*call, Upset::Dies)], End::Reached)
            });
        }
        for upset in [Upset::Fails, Upset::FailsAfter] {
            let orders = [(*call, upset)];
            let made = battery.go(&Walk::with(&orders, failed));
            battery.go(&Walk {
                undoes_twice: true,
                ..Walk::with(&orders, failed)
            });
            let undos = undos_after(&made, *call);
            for undo in undos {
                for second in [Upset::Fails, Upset::LosesAnswer] {
                    battery.go(&Walk::with(&[(*call, upset), (undo, second)], failed));
                }
                for heir in [Heir::SameMachine, Heir::AnotherMachine] {
                    battery.go(&Walk {
                        heir,
                        ..Walk::with(&[(*call, upset), (undo, Upset::Dies)], either)
                    });
                }
            }
        }
    }
    assert!(
        battery.complaints.is_empty(),
        "{}: {} complaints after {} walks\n{}",
        subject.name(),
        battery.complaints.len(),
        battery.walks,
        battery.complaints.join("\n")
    );
    assert!(!calls.is_empty(), "{} calls no step at all", subject.name());
}

fn distinct(calls: Vec<Call>) -> Vec<Call> {
    let mut seen = Vec::new();
    for call in calls {
        if !seen.contains(&call) {
            seen.push(call);
        }
    }
    seen
}

/// The undos that were called because a run failed.
fn undos_after(calls: &[Call], failed: Call) -> Vec<Call> {
    let from = calls
        .iter()
        .position(|call| *call == failed)
        .map_or(calls.len(), |index| index + 1);
    let undos = calls[from..]
        .iter()
        .copied()
        .take_while(|call| call.undo || *call == failed);
    distinct(undos.filter(|call| call.undo && *call != failed).collect())
}
