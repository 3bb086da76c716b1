//! Leases of ports, with quarantine: several instances that want the same few ports, each with a task that listens until it is gone. What takes,
//! holds and gives back is `crates/provisioning` (`claim.rs`, `steps/claim.rs`, `steps/task.rs`; `steps/endpoint.rs` does with an address what
//! `steps/claim.rs` does with a port), over the reservations of `crates/saga/src/store.rs`.

use stateright::{Model, Property};

use crate::check::{Case, Planted};

/// A start that nobody waits for any more comes to the platform after so many ticks at the latest.
pub const LATE: u8 = 2;
/// A task that nobody wants is found and gone after so many ticks: `check_tasks_forever`, with the grace of `stop_stray`.
pub const STRAY: u8 = 1;
/// The clocks of two drivers differ by so much at the most: rests are judged by the clock of whoever reserves (`Reserve::now`).
pub const SKEW: u8 = 1;
/// `Settings::port_quarantine`. It has to cover all of the above: what was asked for before the release may listen so long after it.
pub const QUARANTINE: u8 = LATE + STRAY + SKEW + 1;
/// When faults have stopped a port that nobody holds is handed out within so many ticks.
pub const CALM_TICKS: u8 = QUARANTINE + LATE + STRAY + 1;

/// What is wrong with it. Each is found by the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The port is released when its task was told to end, and not when it is gone.
    ReleasedBeforeStop,
    /// It is free as soon as it is released.
    NoRest,
    /// It rests for less than a late start takes.
    RestTooShort,
    /// It rests for ever.
    RestWithoutEnd,
    /// What `free_port` offers is taken without a look at the reservation.
    OfferTrusted,
    /// A release does not ask who holds the port.
    ReleaseUnowned,
    /// The undo of a start whose answer was lost does not look for the task.
    StartForgotten,
}

/// The model: a bound, and perhaps a mistake.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub instances: u8,
    pub ports: u8,
    /// Starts that come late.
    pub late: u8,
    /// Starts that are lost on their way, or whose answers are; and commits that are made twice, because their answer was lost.
    pub losses: u8,
    pub mistake: Option<Mistake>,
}

/// `Reservation`, of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reservation {
    pub owner: u8,
    /// Released, and resting for so many ticks yet.
    pub resting: Option<u8>,
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It has no port yet; `free_port` may have offered one.
    Wants { offered: Option<u8> },
    /// It holds the port. The intent to start the task is committed; the call may be on its way.
    Starting { port: u8, called: bool },
    /// The record names the task.
    Runs { port: u8 },
    /// Its saga takes everything back. `named`: the record names the task.
    Stopping { port: u8, named: bool },
    /// The port is given back.
    Over { port: u8 },
}

impl Stage {
    const fn holds(self) -> Option<u8> {
        match self {
            Self::Starting { port, .. } | Self::Runs { port } | Self::Stopping { port, .. } => Some(port),
            Self::Wants { .. } | Self::Over { .. } => None,
        }
    }
}

/// An instance's task in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    Absent,
    Listens {
        port: u8,
    },
    /// It was told to end, and listens until it has.
    Ends {
        port: u8,
    },
    /// It came up when nobody wanted it any more, so long ago.
    Stray {
        port: u8,
        since: u8,
    },
}

impl Task {
    const fn port(self) -> Option<u8> {
        match self {
            Self::Absent => None,
            Self::Listens { port } | Self::Ends { port } | Self::Stray { port, .. } => Some(port),
        }
    }
}

/// A start on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Start {
    pub port: u8,
    /// Nobody waits for it any more, for so long.
    pub late: Option<u8>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub reservations: Vec<Option<Reservation>>,
    pub instances: Vec<Stage>,
    pub tasks: Vec<Task>,
    pub starts: Vec<Option<Start>>,
    pub late: u8,
    pub losses: u8,
    /// Faults have stopped so many ticks ago.
    pub calm: Option<u8>,
    /// A port was handed out once more.
    pub again: bool,
}

/// What holds in every state, and what some state shows: the properties by name.
pub mod properties {
    pub const ONE_HOLDER: &str = "a port belongs to one instance at most";
    pub const HOLDER_IS_RESERVED: &str = "whoever has a port stands in its reservation";
    pub const NOBODY_ELSE_LISTENS: &str = "a port is not handed out while another's task may listen on it";
    pub const NOTHING_LEFT: &str = "who is over has left no task, but for a start that came later";
    pub const FREE_AGAIN: &str = "a port that is nobody's is handed out again";
    pub const HANDED_OUT_AGAIN: &str = "a port is handed out again";
    pub const STRAY_TASK: &str = "a task comes up on a port that rests";
    pub const OFFERED_TWICE: &str = "two are offered the same port";
}

/// What can happen. Each names an instance, and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Tick,
    Calm,
    /// `Store::free_port`: what it offers may be another's by the time of the commit.
    Offer(u8, u8),
    /// The claim's commit.
    Claim(u8),
    /// The task step is called.
    Call(u8),
    /// The start comes to the platform, and is answered if anybody waits.
    Start(u8),
    /// Nobody waits for the start any more.
    GiveUp(u8),
    /// The start is lost; or its answer is.
    Lose(u8, bool),
    /// A stop, or a failure: the saga turns to undoing.
    Unwind(u8),
    /// The undo of `task`: told to end, or confirmed to be gone, and then the undo of `claim`.
    Undo(u8),
    /// The task is gone.
    Gone(u8),
    /// The same release once more.
    ReleaseAgain(u8),
}

impl Ports {
    fn makes(self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    const fn quarantine(self) -> u8 {
        match self.mistake {
            Some(Mistake::RestTooShort) => LATE,
            _ => QUARANTINE,
        }
    }

    /// The condition of a `Reserve`: free, its rest over by a clock that may be ahead, or the same instance's.
    fn may_reserve(self, world: &World, instance: u8, port: u8, ahead: u8) -> bool {
        match world.reservations[usize::from(port)] {
            None => true,
            Some(Reservation { owner, resting }) => {
                owner == instance || resting.is_some_and(|rest| rest <= ahead && !self.makes(Mistake::RestWithoutEnd))
            }
        }
    }

    /// `give_back`, and the store's part of it.
    fn release(self, world: &mut World, instance: u8, port: u8) {
        let reservation = &mut world.reservations[usize::from(port)];
        let holds = reservation.is_some_and(|held| held.owner == instance && held.resting.is_none());
        if !holds && !self.makes(Mistake::ReleaseUnowned) {
            return;
        }
        *reservation = (!self.makes(Mistake::NoRest)).then_some(Reservation {
            owner: instance,
            resting: Some(self.quarantine()),
        });
    }

    /// `Task::undo`, then `Claim::undo`, whose release is committed with the saga's end.
    fn undo(self, world: &mut World, instance: u8, port: u8, named: bool) {
        let index = usize::from(instance);
        let is_found = named || !self.makes(Mistake::StartForgotten);
        match world.tasks[index] {
            Task::Listens { port } if is_found => {
                world.tasks[index] = Task::Ends { port };
                if !self.makes(Mistake::ReleasedBeforeStop) {
                    return;
                }
            }
            // `Stopping::Underway`
            Task::Ends { .. } if !self.makes(Mistake::ReleasedBeforeStop) => return,
            _ => {}
        }
        world.instances[index] = Stage::Over { port };
        self.release(world, instance, port);
    }
}

impl Model for Ports {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        let instances = usize::from(self.instances);
        vec![World {
            reservations: vec![None; self.ports.into()],
            instances: vec![Stage::Wants { offered: None }; instances],
            tasks: vec![Task::Absent; instances],
            starts: vec![None; instances],
            late: self.late,
            losses: self.losses,
            calm: None,
            again: false,
        }]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        let is_calm = world.calm.is_some();
        if world.calm.is_some_and(|ticks| ticks >= CALM_TICKS) {
            return;
        }
        let before = events.len();
        for instance in 0..self.instances {
            let index = usize::from(instance);
            match world.instances[index] {
                Stage::Wants { offered: None } => {
                    let offers = (0..self.ports).filter(|port| !is_calm || self.may_reserve(world, instance, *port, 0));
                    events.extend(offers.map(|port| Event::Offer(instance, port)));
                }
                Stage::Wants { offered: Some(_) } => events.push(Event::Claim(instance)),
                Stage::Starting { called: false, .. } => events.push(Event::Call(instance)),
                Stage::Stopping { .. } if !(is_calm && matches!(world.tasks[index], Task::Ends { .. })) => {
                    events.push(Event::Undo(instance))
                }
                _ => {}
            }
            if let Some(start) = world.starts[index] {
                events.push(Event::Start(instance));
                if start.late.is_none() && world.late > 0 {
                    events.push(Event::GiveUp(instance));
                }
                if world.losses > 0 {
                    events.extend([Event::Lose(instance, false), Event::Lose(instance, true)]);
                }
            }
            if matches!(world.tasks[index], Task::Ends { .. } | Task::Stray { .. }) {
                events.push(Event::Gone(instance));
            }
        }
        // Without faults time goes on when all have done what they could; what is bounded by time is done before it is up.
        let is_idle = events.len() == before;
        let is_due = world
            .starts
            .iter()
            .flatten()
            .any(|start| start.late.is_some_and(|since| since >= LATE))
            || world
                .tasks
                .iter()
                .any(|task| matches!(task, Task::Stray { since, .. } if *since >= STRAY));
        if !is_due && (is_idle || !is_calm) {
            events.push(Event::Tick);
        }
        if is_calm {
            return;
        }
        events.push(Event::Calm);
        for instance in 0..self.instances {
            match world.instances[usize::from(instance)] {
                Stage::Starting { .. } | Stage::Runs { .. } => events.push(Event::Unwind(instance)),
                Stage::Over { .. } if world.losses > 0 => events.push(Event::ReleaseAgain(instance)),
                _ => {}
            }
        }
    }

    fn next_state(&self, world: &World, event: Event) -> Option<World> {
        let mut next = world.clone();
        match event {
            Event::Tick => next.tick(),
            Event::Calm => {
                next.calm = Some(0);
                (next.late, next.losses) = (0, 0);
            }
            Event::Offer(instance, port) => {
                next.instances[usize::from(instance)] = Stage::Wants { offered: Some(port) }
            }
            Event::Claim(instance) => self.claim(&mut next, instance),
            Event::Call(instance) => {
                let stage = &mut next.instances[usize::from(instance)];
                if let Stage::Starting { port, called } = stage {
                    *called = true;
                    next.starts[usize::from(instance)] = Some(Start {
                        port: *port,
                        late: None,
                    });
                }
            }
            Event::Start(instance) => next.start(instance),
            Event::GiveUp(instance) => {
                next.late -= 1;
                if let Some(start) = &mut next.starts[usize::from(instance)] {
                    start.late = Some(0);
                }
            }
            Event::Lose(instance, comes) => {
                next.losses -= 1;
                if comes && let Some(start) = &mut next.starts[usize::from(instance)] {
                    start.late = Some(0);
                    next.start(instance);
                }
                next.starts[usize::from(instance)] = None;
            }
            Event::Unwind(instance) => next.unwind(instance),
            Event::Undo(instance) => {
                if let Stage::Stopping { port, named } = next.instances[usize::from(instance)] {
                    self.undo(&mut next, instance, port, named);
                }
            }
            Event::Gone(instance) => next.tasks[usize::from(instance)] = Task::Absent,
            Event::ReleaseAgain(instance) => {
                next.losses -= 1;
                if let Stage::Over { port } = next.instances[usize::from(instance)] {
                    self.release(&mut next, instance, port);
                }
            }
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(properties::ONE_HOLDER, |model: &Self, world: &World| {
                (0..model.ports).all(|port| world.holders(port).count() <= 1)
            }),
            Property::always(properties::HOLDER_IS_RESERVED, |model: &Self, world: &World| {
                (0..model.ports).all(|port| world.holders(port).all(|instance| world.is_reserved(port, instance)))
            }),
            Property::always(properties::NOBODY_ELSE_LISTENS, |model: &Self, world: &World| {
                (0..model.ports).all(|port| {
                    world
                        .holders(port)
                        .all(|instance| !world.others_may_listen(port, instance))
                })
            }),
            Property::always(properties::NOTHING_LEFT, |_, world: &World| {
                let is_left = |(stage, task): (&Stage, &Task)| {
                    matches!(
                        (stage, task),
                        (Stage::Over { .. }, Task::Listens { .. } | Task::Ends { .. })
                    )
                };
                !world.instances.iter().zip(&world.tasks).any(is_left)
            }),
            Property::always(properties::FREE_AGAIN, |_, world: &World| {
                let waits = |stage: &Stage| matches!(stage, Stage::Wants { .. });
                let is_held = |port: usize| world.holders(port as u8).next().is_some();
                !(world.calm.is_some_and(|ticks| ticks >= CALM_TICKS) && world.instances.iter().any(waits))
                    || (0..world.reservations.len()).all(is_held)
            }),
            Property::sometimes(properties::HANDED_OUT_AGAIN, |_, world: &World| world.again),
            Property::sometimes(properties::STRAY_TASK, |_, world: &World| {
                let strays = |task: &Task| matches!(task, Task::Stray { .. });
                world.tasks.iter().any(strays)
            }),
            Property::sometimes(properties::OFFERED_TWICE, |_, world: &World| {
                let offered = |stage: &Stage| matches!(stage, Stage::Wants { offered: Some(0) });
                world.instances.iter().filter(|stage| offered(stage)).count() > 1
            }),
        ]
    }
}

impl Ports {
    /// A clock that is ahead takes a resting port sooner; one that is right or behind later, which the tick in between stands for.
    fn claim(self, world: &mut World, instance: u8) {
        let stage = world.instances[usize::from(instance)];
        let Stage::Wants { offered: Some(port) } = stage else {
            return;
        };
        if !self.makes(Mistake::OfferTrusted) && !self.may_reserve(world, instance, port, SKEW) {
            world.instances[usize::from(instance)] = Stage::Wants { offered: None };
            return;
        }
        world.again |= world.reservations[usize::from(port)].is_some_and(|before| before.resting.is_some());
        world.reservations[usize::from(port)] = Some(Reservation {
            owner: instance,
            resting: None,
        });
        world.instances[usize::from(instance)] = Stage::Starting { port, called: false };
    }
}

impl World {
    fn holders(&self, port: u8) -> impl Iterator<Item = u8> {
        let holds = move |(_, stage): &(u8, &Stage)| stage.holds() == Some(port);
        (0..).zip(&self.instances).filter(holds).map(|(instance, _)| instance)
    }

    fn is_reserved(&self, port: u8, instance: u8) -> bool {
        self.reservations[usize::from(port)].is_some_and(|held| held.owner == instance && held.resting.is_none())
    }

    /// A task of another instance listens there, or is on its way to.
    fn others_may_listen(&self, port: u8, instance: u8) -> bool {
        (0..)
            .zip(self.tasks.iter().zip(&self.starts))
            .any(|(other, (task, start))| {
                other != instance && (task.port() == Some(port) || start.is_some_and(|start| start.port == port))
            })
    }

    fn tick(&mut self) {
        for reservation in self.reservations.iter_mut().flatten() {
            reservation.resting = reservation.resting.map(|rest| rest.saturating_sub(1));
        }
        for start in self.starts.iter_mut().flatten() {
            start.late = start.late.map(|since| since + 1);
        }
        for task in &mut self.tasks {
            if let Task::Stray { since, .. } = task {
                *since += 1;
            }
        }
        if let Some(ticks) = &mut self.calm {
            *ticks += 1;
        }
    }

    /// A start comes to the platform: it is idempotent, and carries its owner's mark.
    fn start(&mut self, instance: u8) {
        let index = usize::from(instance);
        let Some(Start { port, late }) = self.starts[index].take() else {
            return;
        };
        self.tasks[index] = match (self.instances[index], self.tasks[index]) {
            (Stage::Over { .. }, Task::Absent) => Task::Stray { port, since: 0 },
            (_, Task::Absent) => Task::Listens { port },
            (_, task) => task,
        };
        if late.is_none()
            && let Stage::Starting { port, .. } = self.instances[index]
        {
            self.instances[index] = Stage::Runs { port };
        }
    }

    fn unwind(&mut self, instance: u8) {
        let index = usize::from(instance);
        let (port, named) = match self.instances[index] {
            // The driver reads its inbox when the call is answered, or given up.
            Stage::Starting { .. } if self.starts[index].is_some_and(|start| start.late.is_none()) => return,
            Stage::Starting { port, .. } => (port, false),
            Stage::Runs { port } => (port, true),
            Stage::Wants { .. } | Stage::Stopping { .. } | Stage::Over { .. } => return,
        };
        self.instances[index] = Stage::Stopping { port, named };
    }
}

const fn bound(instances: u8, ports: u8, late: u8, losses: u8, mistake: Option<Mistake>) -> Ports {
    Ports {
        instances,
        ports,
        late,
        losses,
        mistake,
    }
}

/// What is checked whole.
pub const CASES: [Case<Ports>; 2] = [
    Case {
        bound: "3 instances, 2 ports; 2 late starts, 2 losses",
        model: bound(3, 2, 2, 2, None),
        states: 200_000,
        reaches: &[
            properties::HANDED_OUT_AGAIN,
            properties::STRAY_TASK,
            properties::OFFERED_TWICE,
        ],
    },
    Case {
        bound: "4 instances, 2 ports; 1 late start",
        model: bound(4, 2, 1, 0, None),
        states: 500_000,
        reaches: &[properties::HANDED_OUT_AGAIN],
    },
];

const fn planted(mistake: Mistake, breaks: &'static str) -> Planted<Ports, Mistake> {
    Planted {
        mistake,
        model: bound(2, 1, 1, 1, Some(mistake)),
        breaks,
    }
}

/// Each mistake, with what it breaks.
pub const PLANTED: [Planted<Ports, Mistake>; 7] = [
    planted(Mistake::ReleasedBeforeStop, properties::NOBODY_ELSE_LISTENS),
    planted(Mistake::NoRest, properties::NOBODY_ELSE_LISTENS),
    planted(Mistake::RestTooShort, properties::NOBODY_ELSE_LISTENS),
    planted(Mistake::RestWithoutEnd, properties::FREE_AGAIN),
    planted(Mistake::OfferTrusted, properties::ONE_HOLDER),
    planted(Mistake::ReleaseUnowned, properties::HOLDER_IS_RESERVED),
    planted(Mistake::StartForgotten, properties::NOTHING_LEFT),
];
