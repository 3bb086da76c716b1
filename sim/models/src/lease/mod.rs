//! Leases, fencing, the journal and the inbox: several drivers, one instance. `crates/saga` (`engine.rs`, `drive.rs`, `drive/journal.rs`, `store.rs`),
//! word for word where it has a name.

mod cases;
mod driver;
mod events;
mod record;

pub use cases::{CASES, PLANTED};
pub use driver::{Answer, Commit, Drive, Engine, LeaseChange, Seen, WaitsFor};
pub use record::{Message, Plan, Record, Saga, State, Step};

use driver::Goes;
use stateright::{Model, Property};

/// `limits::LEASE`, in ticks. What counts is the order of the four: a tick is about ten seconds.
pub const LEASE: u8 = 3;
/// `limits::LEASE_MARGIN`.
pub const LEASE_MARGIN: u8 = 1;
/// `limits::STEP_TIMEOUT`.
pub const STEP_TIMEOUT: u8 = 1;
/// From then on a call that was found to have enough of its lease left is no longer covered by it.
const LATE: u8 = STEP_TIMEOUT + LEASE_MARGIN + 1;
const TAKEN_AFTER: u8 = LEASE + LEASE_MARGIN;

/// When faults have stopped, all is over after so many ticks: a call that is lost, a lease that is watched, and the same for what a message begins.
pub const CALM_TICKS: u8 = 2 * (TAKEN_AFTER + 2 * STEP_TIMEOUT);
/// And between two ticks so much is done at the most.
pub const CALM_STEPS: u8 = 60;

/// A holder that is no more: whoever starts again has another name.
const DEAD: u8 = u8::MAX;

/// What is wrong with the engine. Each is found by the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A commit does not look at the lease's epoch and renewals.
    FenceSkipped,
    /// Another's lease is taken over when it is first seen.
    TakenAtOneLook,
    /// Another's lease is taken over when it is old by the observer's wall clock.
    ClocksCompared,
    /// The observer looks at the epoch alone: a holder that renews is robbed.
    RenewalsIgnored,
    /// A call begins however little of the lease is left.
    NoMargin,
    /// The lease is counted from the answer of its commit, and not from the asking.
    LeaseCountedFromAnswer,
    /// An effect comes before its intent is committed.
    EffectBeforeIntent,
    /// A saga that turns to undoing forgets the step that was begun and not done.
    BegunForgotten,
    /// A wait is written whatever has come into the inbox.
    InboxUnchecked,
    /// Whoever is fenced reads the record again, and goes on.
    GoesOnWhenFenced,
    /// Who has to read the record again takes the lease whoever has it by then.
    ReloadTakesOver,
    /// A commit of who goes on working leaves the lease's numbers as they are: who has read the record just before it, and takes the lease just after it,
    /// writes over it.
    WriteUnnumbered,
    /// A release leaves the lease's numbers as they are: two who have read it at rest both write.
    ReleaseUnnumbered,
    /// A call carries the instance's mark without its attempt.
    MarkWithoutAttempt,
    /// A start makes one more task each time.
    StartNotIdempotent,
    /// Nobody looks for tasks that come up after they were taken back.
    NobodyLooksForStrays,
}

/// How much may go wrong. What has no number here has no bound: how long anybody is paused, and in which order things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Drivers that die.
    pub crashes: u8,
    /// Requests or answers that are lost, of registry and world.
    pub losses: u8,
    /// Tasks that die by themselves.
    pub deaths: u8,
    /// Requests to end the instance.
    pub ends: u8,
    /// Messages that change nothing.
    pub notes: u8,
    /// Times that a task that runs is not seen to run yet.
    pub waits: u8,
    /// Calls that come to the world as late as can be: after their time-out, after the takeover, after the undo. Or are made so late, by a driver that was
    /// paused just before. All others come while the lease covers them, or never.
    pub late: u8,
}

impl Faults {
    /// None at all.
    pub const NONE: Self = Self {
        crashes: 0,
        losses: 0,
        deaths: 0,
        ends: 0,
        notes: 0,
        waits: 0,
        late: 0,
    };
}

/// The model: a bound, and perhaps a mistake.
#[derive(Clone, Copy, Debug)]
pub struct Leases {
    pub drivers: u8,
    pub faults: Faults,
    /// Faults may stop at any moment, and then it is looked at whether all comes to its end.
    pub calms: bool,
    pub mistake: Option<Mistake>,
}

/// A call on its way to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    pub attempt: u8,
    /// It stops the attempt's task; otherwise it starts it.
    pub undo: bool,
    /// Who waits for its answer.
    pub caller: Option<u8>,
    /// How long ago its caller found enough of the lease left.
    pub since_check: u8,
    /// Nobody can say when it comes.
    pub late: bool,
}

/// `Stored`, with the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registry {
    pub record: Record,
    pub lease: Seen,
    pub holder: Option<u8>,
    pub wake: bool,
    pub inbox: Vec<Message>,
    pub inbox_read: u8,
    /// How old the lease is, for [`Mistake::ClocksCompared`] alone: nothing else asks the registry that.
    age: u8,
}

/// What holds in every state, and what some state shows: the properties by name.
pub mod properties {
    pub const READ_BEFORE_WRITE: &str = "a commit is made by who has read the last one";
    pub const ONE_WRITER: &str = "nobody writes while another has the lease";
    pub const OWN_ATTEMPT_ONLY: &str = "no call touches another attempt's task";
    pub const CALLS_ARE_COVERED: &str = "nobody takes a lease over while a call is covered by it";
    pub const ONE_TASK: &str = "an attempt has one task at most";
    pub const NO_MESSAGE_MISSED: &str = "whoever is to read a message finds out";
    pub const COMES_TO_ITS_END: &str = "when faults stop it comes to its end";
    pub const GETS_READY: &str = "it gets ready";
    pub const ENDS: &str = "it ends";
    pub const FAILS_CLEAN: &str = "it fails, and is clean";
    pub const COMES_BACK: &str = "another attempt gets ready";
    pub const FENCED: &str = "somebody is fenced";
    pub const LATE_CALL: &str = "a call comes after the takeover";
    pub const STRAY_TASK: &str = "a task comes up after it was taken back";
}

/// What must not be, and was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Harm {
    /// A commit was made by somebody who had not read the last one.
    WroteUnread,
    /// Somebody wrote while another had the lease.
    TwoWriters,
    /// A call of one attempt changed another's task.
    ForeignAttempt,
}

/// Tasks of one instance: the first, and one for each that dies.
const ATTEMPTS: usize = 3;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub registry: Registry,
    pub engines: Vec<Engine>,
    /// How many tasks run, by attempt.
    pub tasks: [u8; ATTEMPTS],
    /// On their way, in order.
    pub calls: Vec<Call>,
    /// Who looks for strays has seen this attempt's task, and will read the record now.
    pub listed: Option<u8>,
    pub left: Faults,
    /// Faults have stopped: so many ticks ago, and so many steps since the last one.
    pub calm: Option<(u8, u8)>,
    pub harm: Option<Harm>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Tick,
    /// Faults stop.
    Calm,
    /// A driver is poked, or its sweep has found the instance.
    Poke(u8),
    /// The registry does what a driver waits for, or a driver hears of it, or makes its call.
    Go(u8),
    /// A call comes to the world, and is answered.
    Call(Call),
    TimeOut(u8),
    Crash(u8),
    /// The answer of a commit is lost.
    LoseAnswer(u8),
    /// A commit is lost on its way.
    LoseCommit(u8),
    /// A call is lost on its way; or it comes to the world, and its answer is lost.
    LoseCall(Call, bool),
    /// A call comes late.
    Delay(Call),
    /// A driver is paused just before its call.
    Pause(u8),
    /// The task runs, and is not seen to run.
    Wait(u8),
    /// The current task dies by itself.
    Die,
    Send(Message),
    ListTask(u8),
    StopListed,
}

impl Leases {
    /// The claim's commit, made by a driver that goes on itself, and by one that leaves it to others.
    fn claimed(&self, driving_here: bool) -> World {
        let mut world = World {
            registry: Registry {
                record: Record::claimed(),
                lease: Seen {
                    epoch: u8::from(driving_here),
                    renewals: 0,
                },
                holder: driving_here.then_some(0),
                wake: true,
                inbox: Vec::new(),
                inbox_read: 0,
                age: 0,
            },
            engines: vec![Engine::default(); self.drivers.into()],
            tasks: [0; ATTEMPTS],
            calls: Vec::new(),
            listed: None,
            left: self.faults,
            calm: None,
            harm: None,
        };
        if driving_here {
            let registry = &world.registry;
            let mut drive = Drive::stored(registry.record, registry.lease, true, 0, 0);
            drive.held_since = Some(0);
            if drive.advance(self.mistake, false) == Goes::On {
                world.engines[0].drive = Some(drive);
            }
        }
        world
    }
}

impl Model for Leases {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        vec![self.claimed(true), self.claimed(false)]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        if world.harm.is_none() {
            self.events(world, events);
        }
    }

    fn next_state(&self, world: &World, event: Event) -> Option<World> {
        let mut next = world.clone();
        self.happen(&mut next, event);
        next.calls.sort_unstable();
        next.forget_numbers();
        if next == *world {
            return None;
        }
        if let Some((_, steps)) = &mut next.calm
            && !matches!(event, Event::Calm | Event::Tick)
        {
            *steps += 1;
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(properties::READ_BEFORE_WRITE, |_, world: &World| {
                world.harm != Some(Harm::WroteUnread)
            }),
            Property::always(properties::ONE_WRITER, |_, world: &World| {
                world.harm != Some(Harm::TwoWriters)
            }),
            Property::always(properties::OWN_ATTEMPT_ONLY, |_, world: &World| {
                world.harm != Some(Harm::ForeignAttempt)
            }),
            Property::always(properties::CALLS_ARE_COVERED, |_, world: &World| {
                world
                    .covered()
                    .all(|drive| drive.lease.epoch == world.registry.lease.epoch)
            }),
            Property::always(properties::ONE_TASK, |_, world: &World| {
                world.tasks.iter().all(|tasks| *tasks <= 1)
            }),
            Property::always(properties::NO_MESSAGE_MISSED, |_, world: &World| {
                let is_read = world.registry.inbox.len() == usize::from(world.registry.inbox_read);
                is_read || world.registry.wake || world.engines.iter().any(|engine| engine.drive.is_some())
            }),
            Property::always(properties::COMES_TO_ITS_END, |_, world: &World| {
                let is_over = |(ticks, steps)| ticks >= CALM_TICKS || steps >= CALM_STEPS;
                !world.calm.is_some_and(is_over) || world.is_settled()
            }),
            Property::sometimes(properties::GETS_READY, |_, world: &World| {
                world.registry.record.state == State::Ready
            }),
            Property::sometimes(properties::ENDS, |_, world: &World| {
                world.registry.record.state == State::Ended
            }),
            Property::sometimes(properties::FAILS_CLEAN, |_, world: &World| {
                world.registry.record.state == State::Failed && world.is_settled()
            }),
            Property::sometimes(properties::COMES_BACK, |_, world: &World| {
                world.registry.record.state == State::Ready && world.registry.record.attempt == 2
            }),
            Property::sometimes(properties::FENCED, |_, world: &World| {
                let fenced = |drive: &Drive| matches!(drive.waits_for, WaitsFor::Answer(_, Answer::Fenced));
                world.drives().any(fenced)
            }),
            Property::sometimes(properties::LATE_CALL, |_, world: &World| {
                let epoch = world.registry.lease.epoch;
                world
                    .drives()
                    .any(|drive| matches!(drive.waits_for, WaitsFor::Call { .. }) && drive.lease.epoch != epoch)
            }),
            Property::sometimes(properties::STRAY_TASK, |_, world: &World| {
                let record = &world.registry.record;
                record.is_over() && world.tasks.iter().any(|tasks| *tasks > 0)
            }),
        ]
    }
}

impl World {
    fn drives(&self) -> impl Iterator<Item = &Drive> {
        self.engines.iter().filter_map(|engine| engine.drive.as_ref())
    }

    /// Those whose call began, or is about to begin, with enough of the lease left for it.
    fn covered(&self) -> impl Iterator<Item = &Drive> {
        self.drives().filter(|drive| {
            matches!(drive.waits_for, WaitsFor::ToCall { since_check, .. } | WaitsFor::Call { since_check, .. } if since_check < LATE)
        })
    }

    /// A lease's numbers only grow. So what counts of one that somebody remembers is whether it is the lease that stands, and that alone is kept: the
    /// model goes through any number of takeovers and renewals.
    fn forget_numbers(&mut self) {
        let now = std::mem::take(&mut self.registry.lease);
        for engine in &mut self.engines {
            if let Some((seen, _)) = &mut engine.seen {
                *seen = seen.against(now);
            }
            let Some(drive) = &mut engine.drive else { continue };
            drive.lease = drive.lease.against(now);
            if let WaitsFor::Answer(_, Answer::Committed { lease, .. }) = &mut drive.waits_for {
                *lease = lease.against(now);
            }
        }
    }

    fn is_read(&self) -> bool {
        self.registry.inbox.len() == usize::from(self.registry.inbox_read)
    }

    /// Nothing is to be done, and what runs is what the record says.
    fn is_settled(&self) -> bool {
        let Record {
            state, saga, attempt, ..
        } = self.registry.record;
        let wanted = |number| u8::from(state == State::Ready && number == usize::from(attempt) - 1);
        saga.is_none()
            && !self.registry.wake
            && self.is_read()
            && self.calls.is_empty()
            && self.drives().next().is_none()
            && self
                .tasks
                .iter()
                .enumerate()
                .all(|(number, tasks)| *tasks == wanted(number))
    }
}
