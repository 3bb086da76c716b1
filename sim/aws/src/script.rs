//! A run as data: where it plays, in which weather, and who does what when. A seed becomes one; it can be read, cut short, and played again.

use std::{fmt, time::Duration};
use wharf_aws_simulator::{CallWeather, EventWeather, ReadWeather, TaskWeather, Weather};
use wharf_testkit::sim::{Edge, chance::Chance};

use crate::account::{OTHERS, TENANTS};

/// Who may sign up.
const NAMES: &[&str] = &["acme", "bolt", "cafe", "dune", "echo"];
/// Keys that requests are sent with: few, so that they meet.
const KEYS: u64 = 6;

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
    /// Machines that drive.
    pub servers: usize,
    /// The function drives, too.
    pub lambda: bool,
    /// Invocations by the queue, at a time.
    pub concurrency: usize,
    /// By server: how far its clock is off, in milliseconds.
    pub skews: Vec<i64>,
    pub hosts: usize,
    pub foreigners: bool,
    pub weather: Weather,
    /// How often a message of the queue comes twice.
    pub queue_doubles: f64,
    /// How often a wake is not asked for.
    pub wakes_lost: f64,
    /// How often an invocation is killed in its midst.
    pub invocations_killed: f64,
    /// How often a commit fails before, and as often after, it is written.
    pub commits_lost: f64,
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

/// `door` is who is asked: a server, or the function.
#[derive(Clone, Debug)]
pub enum What {
    SignUp {
        name: &'static str,
        service: &'static str,
        key: Option<u64>,
        door: usize,
    },
    StartService {
        service: &'static str,
        key: Option<u64>,
        door: usize,
    },
    /// A start event is put on the queue, so many times.
    Event {
        service: &'static str,
        id: u64,
        times: u64,
    },
    Ask {
        name: &'static str,
        order: Order,
        door: usize,
    },
    StopService {
        service: &'static str,
        door: usize,
    },
    /// A server dies, at once or at its n-th call from now; it is back after a while.
    Kill {
        server: usize,
        at_call: Option<(u64, Edge)>,
        down: Duration,
    },
    /// Nothing on a server moves for so long.
    Pause {
        server: usize,
        pause: Duration,
    },
    /// Containers that are free are taken away.
    Reclaim,
    /// Somebody runs `wharf repair --apply`.
    Repair {
        door: usize,
    },
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {:?}", self.seed, self.setting)?;
        for (index, what) in self.moves.iter().enumerate() {
            writeln!(f, "move {index:>2} {:>9} {:?}", what.at.as_millis(), what.what)?;
        }
        Ok(())
    }
}

/// Draws what a script needs.
struct Dice(Chance);

impl Dice {
    fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.0.below(of.len() as u64) as usize]
    }

    fn falls(&self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// Mostly short, now and then long: each octave up to the longest is as likely as the other.
    fn long_tailed(&self, shortest: Duration, longest: Duration) -> Duration {
        let octaves = (longest.as_secs_f64() / shortest.as_secs_f64()).log2();
        shortest.mul_f64((octaves * self.0.fraction()).exp2())
    }
}

impl Script {
    /// The script of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let dice = Dice(Chance::new(seed ^ 0xa35));
        let setting = setting(&dice);
        let doors = setting.servers + usize::from(setting.lambda);
        let length = dice.long_tailed(Duration::from_mins(1), Duration::from_mins(30));
        let (customers, troubles) = dice.one(&[(2, 0), (3, 1), (4, 3), (6, 4), (8, 6), (4, 10)]);
        let mut moves = Vec::new();
        for _ in 0..customers {
            customer(&dice, doors, length, &mut moves);
        }
        for _ in 0..troubles {
            let at = length.mul_f64(dice.0.fraction());
            moves.push(Move {
                at,
                what: trouble(&dice, &setting, doors),
            });
        }
        moves.sort_by_key(|what| what.at);
        Self { seed, setting, moves }
    }

    /// The same with these moves only.
    #[must_use]
    pub fn keeping(&self, kept: impl Fn(usize) -> bool) -> Self {
        let moves = self.moves.iter().enumerate();
        Self {
            moves: moves
                .filter(|(index, _)| kept(*index))
                .map(|(_, what)| what.clone())
                .collect(),
            ..self.clone()
        }
    }
}

fn setting(dice: &Dice) -> Setting {
    let (servers, lambda) = dice.one(&[(1, false), (2, false), (0, true), (0, true), (1, true)]);
    // How bad a day it is: fair, or a storm of which some parts are left out.
    let is_fair = dice.falls(15);
    let worse = dice.one(&[0.5, 1.0, 1.0, 2.0]);
    let often = |probability: f64| if is_fair { 0.0 } else { probability * worse };
    Setting {
        servers,
        lambda,
        concurrency: dice.one(&[1, 2, 4]),
        skews: (0..servers)
            .map(|_| {
                if dice.falls(60) {
                    0
                } else {
                    dice.0.below(60_000).cast_signed() - 30_000
                }
            })
            .collect(),
        hosts: dice.one(&[1, 2, 3]),
        foreigners: dice.falls(50),
        weather: if is_fair { Weather::FAIR } else { storm(dice, worse) },
        queue_doubles: often(0.03),
        wakes_lost: often(0.03),
        invocations_killed: often(0.04),
        commits_lost: often(0.003),
    }
}

/// A storm, so much worse than the usual one, of which some parts are left out.
fn storm(dice: &Dice, worse: f64) -> Weather {
    let Weather {
        calls,
        reads,
        events,
        tasks,
    } = Weather::STORM;
    let or = |kept: bool, probability: f64| if kept { probability * worse } else { 0.0 };
    let every = |kept: bool, mean: Option<Duration>| mean.filter(|_| kept).map(|mean| mean.div_f64(worse));
    let (bad_calls, late) = (dice.falls(70), dice.falls(40));
    let (bad_starts, bad_days) = (dice.falls(60), dice.falls(50));
    Weather {
        calls: CallWeather {
            throttled: or(bad_calls, calls.throttled),
            server_error: or(bad_calls, calls.server_error),
            refused: or(bad_calls, calls.refused),
            answer_lost: or(bad_calls, calls.answer_lost),
            twice: or(dice.falls(50), calls.twice),
            late: or(late, calls.late),
            slow: or(dice.falls(50), calls.slow),
            ..calls
        },
        reads: ReadWeather {
            stale: or(dice.falls(60), reads.stale),
            ..reads
        },
        events: EventWeather {
            lost: dice.one(&[0.0, events.lost, 1.0]),
            doubled: or(dice.falls(50), events.doubled),
            late: or(dice.falls(50), events.late),
            ..events
        },
        tasks: TaskWeather {
            slowest: if dice.falls(60) { tasks.slowest } else { 0.0 },
            never_starts: or(bad_starts, tasks.never_starts),
            never_runs: or(bad_starts, tasks.never_runs),
            crashes: or(bad_starts, tasks.crashes),
            unplaced: or(bad_starts, tasks.unplaced),
            stopped_every: every(bad_days, tasks.stopped_every),
            host_lost_every: every(dice.falls(40), tasks.host_lost_every),
            agent_lost_every: every(bad_days, tasks.agent_lost_every),
            no_room_every: every(bad_days, tasks.no_room_every),
            ..tasks
        },
    }
}

fn customer(dice: &Dice, doors: usize, length: Duration, moves: &mut Vec<Move>) {
    let door = || dice.0.below(doors as u64) as usize;
    let key = || dice.falls(60).then(|| dice.0.below(KEYS));
    let at = length.mul_f64(dice.0.fraction());
    let what = match dice.0.below(10) {
        0..2 => What::StartService {
            service: dice.one(OTHERS),
            key: key(),
            door: door(),
        },
        2..4 => What::Event {
            service: dice.one(OTHERS),
            id: dice.0.below(KEYS),
            times: 1 + dice.0.below(3),
        },
        4 => What::StopService {
            service: dice.one(&["auth", "web", "single", "shop", "direct", "edge"]),
            door: door(),
        },
        _ => {
            let name = dice.one(NAMES);
            let (mut later, orders) = (at, dice.0.below(4));
            for _ in 0..orders {
                later += dice.long_tailed(Duration::from_millis(100), Duration::from_mins(15));
                moves.push(Move {
                    at: later,
                    what: What::Ask {
                        name,
                        order: dice.one(&[Order::Stop, Order::Stop, Order::Start, Order::Start, Order::End]),
                        door: door(),
                    },
                });
            }
            What::SignUp {
                name,
                service: dice.one(TENANTS),
                key: key(),
                door: door(),
            }
        }
    };
    let crowd = if dice.falls(15) { 3 } else { 1 };
    for _ in 0..crowd {
        let what = what.clone();
        moves.push(Move { at, what });
    }
}

fn trouble(dice: &Dice, setting: &Setting, doors: usize) -> What {
    let door = dice.0.below(doors as u64) as usize;
    if setting.servers == 0 {
        return if dice.falls(70) {
            What::Reclaim
        } else {
            What::Repair { door }
        };
    }
    let server = dice.0.below(setting.servers as u64) as usize;
    match dice.0.below(10) {
        0..6 => What::Kill {
            server,
            at_call: dice
                .falls(75)
                .then(|| (1 + dice.0.below(60), dice.one(&[Edge::Before, Edge::After]))),
            down: dice.long_tailed(Duration::from_millis(200), Duration::from_mins(8)),
        },
        6..8 => What::Pause {
            server,
            pause: dice.long_tailed(Duration::from_secs(1), Duration::from_mins(5)),
        },
        8 => What::Reclaim,
        _ => What::Repair { door },
    }
}
