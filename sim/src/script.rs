//! A run as data: where it plays, and who does what when. A script can be read, cut short, and played again.

use std::{fmt, time::Duration};
use wharf_testkit::sim::{Behaviour, Edge, EventManner, Mishap, waker::Manner};

/// A whole run.
#[derive(Clone, Debug)]
pub struct Script {
    pub seed: u64,
    pub setting: Setting,
    /// In the order of their times.
    pub moves: Vec<Move>,
}

/// Where a run plays.
#[derive(Clone, Debug)]
pub struct Setting {
    pub layout: Layout,
    /// By machine: how far its clock is off, in milliseconds.
    pub skews: Vec<i64>,
    /// The load balancer checks health by itself.
    pub balancer_checks: bool,
    /// Addresses are given out again as soon as they are free.
    pub scarce_addresses: bool,
    /// Things of other deployments and other tools are in the world.
    pub foreigners: bool,
    /// What each call takes at the most, each way.
    pub latency: Duration,
    /// How many instances there may be.
    pub max_instances: u64,
    /// How many tasks may be on their way at once, and how many there is memory for; where one machine has no more.
    pub room: Option<(usize, u64)>,
    pub offers: Offers,
}

/// What is offered beside services that run until somebody stops them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offers {
    /// Some sleep when nobody uses them: where the load balancer is Wharf's own, which sees who does.
    pub sleepers: bool,
    pub trials: bool,
}

/// Which machines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One server; tasks and load balancer live in its process, and end with it.
    OneMachine,
    /// One server with its own load balancer; tasks outlive it.
    OneServer,
    /// So many servers on one registry; tasks and load balancer outlive them.
    Fleet(usize),
}

impl Layout {
    #[must_use]
    pub const fn machines(self) -> usize {
        match self {
            Self::OneMachine | Self::OneServer => 1,
            Self::Fleet(servers) => servers,
        }
    }
}

/// Something that somebody does.
#[derive(Clone, Debug)]
pub struct Move {
    /// After the beginning.
    pub at: Duration,
    pub what: What,
}

/// What a customer wants of an instance that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Stop,
    Start,
    End,
}

#[derive(Clone, Debug)]
pub enum What {
    /// Somebody signs up; without an answer he tries again, so many times, with the same key.
    SignUp {
        name: &'static str,
        service: &'static str,
        key: Option<u32>,
        machine: usize,
        again: u8,
    },
    /// A service without tenants is started.
    StartService {
        service: &'static str,
        key: Option<u32>,
        machine: usize,
        again: u8,
    },
    /// A start event, delivered so many times, one machine after the other.
    Event {
        service: &'static str,
        key: u32,
        machine: usize,
        times: u8,
    },
    /// A tenant's instance is to be stopped, started or ended.
    Ask {
        name: &'static str,
        order: Order,
        machine: usize,
    },
    /// Visitors come to a tenant's address, one after the other with this pause between them. Each stays for so long once he is in.
    Visit {
        name: &'static str,
        visitors: u8,
        apart: Duration,
        stays: Duration,
    },
    /// A tenant's trial is to end so much later than now, or never.
    Extend {
        name: &'static str,
        by: Option<Duration>,
        machine: usize,
    },
    /// All instances of a service are stopped.
    StopService { service: &'static str, machine: usize },
    /// A machine dies, at once or at its n-th call from now; it is back after a while.
    Kill {
        machine: usize,
        at_call: Option<(u64, Edge)>,
        down: Duration,
    },
    /// Nothing on a machine moves for so long.
    Pause { machine: usize, pause: Duration },
    /// The next tasks of a service behave like this.
    Behave {
        service: &'static str,
        behaviour: Box<Behaviour>,
    },
    /// The task of a tenant ends by itself.
    Exit { name: &'static str, code: i32 },
    /// All tasks are gone, and nothing tells of it.
    LoseTasks,
    /// The tasks of one host of so many are gone, and nothing tells of it.
    LoseHost { host: u64, hosts: u64 },
    /// The n-th call of this name from now goes wrong.
    Fault {
        call: &'static str,
        nth: u64,
        mishap: Mishap,
    },
    /// For so long each of these calls may go wrong.
    Storm {
        calls: &'static str,
        chance: f64,
        mishap: Mishap,
        lasts: Duration,
    },
    /// Events are told like this for so long.
    Events { manner: EventManner, lasts: Duration },
    /// Wakes come like this for so long.
    Wakes { manner: Manner, lasts: Duration },
    /// Somebody runs `wharf repair --apply`.
    Repair { machine: usize },
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} {:?}", self.at.as_millis(), self.what)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {:?}", self.seed, self.setting)?;
        for (index, what) in self.moves.iter().enumerate() {
            writeln!(f, "move {index:>2} {what}")?;
        }
        Ok(())
    }
}

impl Script {
    /// The same with these moves only.
    #[must_use]
    pub fn keeping(&self, kept: &[usize]) -> Self {
        let moves = self.moves.iter().enumerate();
        Self {
            moves: moves
                .filter(|(index, _)| kept.contains(index))
                .map(|(_, what)| what.clone())
                .collect(),
            ..self.clone()
        }
    }

    /// When the last move is made.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.moves.last().map_or(Duration::ZERO, |last| last.at)
    }
}
