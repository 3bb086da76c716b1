//! A seed becomes a script. How often what happens is decided here, and nothing of what it means.

mod lives;

use std::time::Duration;
use wharf_domain::{Code, Failure};
use wharf_testkit::sim::{Answers, Behaviour, Edge, EventManner, Mishap, chance::Chance, waker::Manner};

use crate::script::{Layout, Move, Offers, Order, Script, Setting, What};

/// Who may sign up.
const NAMES: &[&str] = &["acme", "bolt", "cafe", "dune", "echo", "fern"];
/// What they may sign up for.
const TENANTS: &[&str] = &["shop", "site", "direct"];
/// What runs without tenants.
const OTHERS: &[&str] = &["auth", "single"];
/// Keys that requests are sent with: few, so that they meet.
const KEYS: u64 = 6;

/// Calls that change something, and what they fail with.
const EFFECTS: &[(&str, Code)] = &[
    ("tasks.start", Code::AwsThrottled),
    ("tasks.start", Code::TaskCapacity),
    ("tasks.stop", Code::AwsUnavailable),
    ("tasks.look", Code::AwsThrottled),
    ("tasks.find", Code::AwsUnavailable),
    ("routes.register", Code::RouteUnready),
    ("routes.open", Code::RouteUnready),
    ("routes.withdraw", Code::AwsUnavailable),
    ("databases.create", Code::DatabaseFailed),
    ("databases.remove", Code::DatabaseFailed),
    ("secrets.put", Code::SecretsFailed),
    ("secrets.get", Code::SecretsFailed),
    ("secrets.remove", Code::SecretsFailed),
    ("mailer.send", Code::MailFailed),
    ("store.commit", Code::StoreUnavailable),
    ("store.commit", Code::StoreFull),
    ("store.append", Code::StoreUnavailable),
    ("store.load", Code::StoreUnavailable),
    ("store.inbox", Code::StoreUnavailable),
    ("store.settle", Code::StoreUnavailable),
    ("store.list", Code::StoreUnavailable),
    ("store.due", Code::StoreUnavailable),
];

/// What a storm may be of.
const STORMS: &[(&str, Code)] = &[
    ("tasks.*", Code::AwsThrottled),
    ("routes.*", Code::AwsUnavailable),
    ("databases.*", Code::DatabaseFailed),
    ("secrets.*", Code::SecretsFailed),
    ("mailer.*", Code::MailFailed),
    ("store.*", Code::StoreUnavailable),
    ("store.commit", Code::StoreFull),
    ("*", Code::AwsUnavailable),
];

/// Draws what a script needs.
struct Dice(Chance);

impl Dice {
    fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.0.below(of.len() as u64) as usize]
    }

    /// With this probability in percent.
    fn falls(&self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Mostly short, now and then long: each octave up to the longest is as likely as the other.
    fn long_tailed(&self, shortest: Duration, longest: Duration) -> Duration {
        let octaves = (longest.as_secs_f64() / shortest.as_secs_f64()).log2();
        shortest.mul_f64((octaves * self.0.fraction()).exp2())
    }
}

/// The script of a seed.
#[must_use]
pub fn compose(seed: u64) -> Script {
    let dice = Dice(Chance::new(seed ^ 0x5eed));
    let layout = match dice.below(10) {
        0..4 => Layout::OneMachine,
        4..6 => Layout::OneServer,
        _ => Layout::Fleet(1 + dice.below(3) as usize),
    };
    let machines = layout.machines();
    let skew = |_| {
        if dice.falls(60) {
            0
        } else {
            dice.below(120_000).cast_signed() - 60_000
        }
    };
    let mut setting = Setting {
        layout,
        skews: (0..machines).map(skew).collect(),
        balancer_checks: matches!(layout, Layout::Fleet(_)) && dice.falls(40),
        scarce_addresses: dice.falls(70),
        foreigners: dice.falls(50),
        latency: dice.one(&[
            Duration::ZERO,
            Duration::from_millis(2),
            Duration::from_millis(40),
            Duration::from_millis(400),
        ]),
        max_instances: if dice.falls(10) { 3 } else { 1000 },
        room: None,
        offers: Offers::default(),
    };
    // How bad a day it is.
    let (customers, troubles) = dice.one(&[(3, 0), (4, 2), (6, 5), (8, 8), (10, 14), (5, 20)]);
    let length = dice.long_tailed(Duration::from_secs(20), Duration::from_hours(1));
    let mut moves = Vec::new();
    let moment = || length.mul_f64(dice.0.fraction());
    for _ in 0..customers {
        customer(&dice, machines, &moment, &mut moves);
    }
    for _ in 0..troubles {
        let what = trouble(&dice, &setting, length);
        moves.push(Move { at: moment(), what });
    }
    moves.sort_by_key(|what| what.at);
    // Drawn last, so that every seed's day is the one that it was before.
    if !matches!(layout, Layout::Fleet(_)) && dice.falls(50) {
        setting.room = Some((1 + dice.below(2) as usize, 1 + dice.below(5)));
    }
    lives::add(seed, length, &mut setting, &mut moves);
    moves.sort_by_key(|what| what.at);
    Script { seed, setting, moves }
}

fn customer(dice: &Dice, machines: usize, moment: &dyn Fn() -> Duration, moves: &mut Vec<Move>) {
    let machine = || dice.below(machines as u64) as usize;
    let at = moment();
    let key = || dice.falls(60).then(|| dice.below(KEYS) as u32);
    match dice.below(10) {
        0 => moves.push(Move {
            at,
            what: What::StartService {
                service: dice.one(OTHERS),
                key: key(),
                machine: machine(),
                again: dice.below(3) as u8,
            },
        }),
        1 => moves.push(Move {
            at,
            what: What::Event {
                service: dice.one(OTHERS),
                key: dice.below(KEYS) as u32,
                machine: machine(),
                times: 1 + dice.below(4) as u8,
            },
        }),
        2 => moves.push(Move {
            at,
            what: What::StopService {
                service: dice.one(&["auth", "single", "shop", "site"]),
                machine: machine(),
            },
        }),
        _ => {
            let name = dice.one(NAMES);
            let sign_up = What::SignUp {
                name,
                service: dice.one(TENANTS),
                key: key(),
                machine: machine(),
                again: dice.below(4) as u8,
            };
            let crowd = if dice.falls(15) { 3 } else { 1 };
            for _ in 0..crowd {
                moves.push(Move {
                    at,
                    what: sign_up.clone(),
                });
            }
            // And then he changes his mind, at once or after a while.
            let mut at = at;
            for _ in 0..dice.below(4) {
                at += dice.long_tailed(Duration::from_millis(1), Duration::from_mins(20));
                let order = dice.one(&[Order::Stop, Order::Stop, Order::Start, Order::Start, Order::End]);
                moves.push(Move {
                    at,
                    what: What::Ask {
                        name,
                        order,
                        machine: machine(),
                    },
                });
            }
        }
    }
}

fn trouble(dice: &Dice, setting: &Setting, length: Duration) -> What {
    let machine = dice.below(setting.layout.machines() as u64) as usize;
    let lasts = || dice.long_tailed(Duration::from_secs(1), length.max(Duration::from_mins(2)));
    match dice.below(100) {
        0..18 => What::Kill {
            machine,
            at_call: dice
                .falls(75)
                .then(|| (1 + dice.below(60), dice.one(&[Edge::Before, Edge::After]))),
            down: dice.long_tailed(Duration::from_millis(200), Duration::from_mins(10)),
        },
        18..26 => What::Pause {
            machine,
            pause: dice.long_tailed(Duration::from_secs(1), Duration::from_mins(5)),
        },
        26..40 => What::Behave {
            service: dice.one(&["shop", "site", "direct", "auth"]),
            behaviour: Box::new(behaviour(dice)),
        },
        40..46 => What::Exit {
            name: dice.one(NAMES),
            code: dice.one(&[0, 1, 137]),
        },
        46 => What::LoseTasks,
        47 => What::LoseHost {
            host: dice.below(2),
            hosts: 2,
        },
        48..74 => {
            let (call, code) = dice.one(EFFECTS);
            What::Fault {
                call,
                nth: 1 + dice.below(6),
                mishap: mishap(dice, setting, call, code),
            }
        }
        74..88 => {
            let (calls, code) = dice.one(STORMS);
            What::Storm {
                calls,
                chance: dice.one(&[0.02, 0.1, 0.3, 0.9]),
                mishap: mishap(dice, setting, calls, code),
                lasts: lasts(),
            }
        }
        88..94 => What::Events {
            manner: EventManner {
                lose: dice.one(&[0.0, 0.3, 1.0]),
                double: dice.one(&[0.0, 0.5]),
                late: dice.one(&[
                    Duration::ZERO,
                    Duration::from_secs(5),
                    Duration::from_mins(3),
                    Duration::from_hours(2),
                ]),
            },
            lasts: lasts(),
        },
        94..97 => What::Wakes {
            manner: dice.one(&[Manner::Loses, Manner::Doubles, Manner::Late(Duration::from_secs(40))]),
            lasts: lasts(),
        },
        _ => What::Repair { machine },
    }
}

fn mishap(dice: &Dice, setting: &Setting, call: &str, code: Code) -> Mishap {
    let on_its_way = || {
        Mishap::Lands(
            dice.long_tailed(Duration::from_millis(10), Duration::from_hours(2)),
            code,
        )
    };
    // Within one process nothing is on its way.
    let is_within = call.starts_with("routes") && setting.layout == Layout::OneServer;
    let has_a_network = setting.layout != Layout::OneMachine && !is_within;
    match dice.below(10) {
        0..3 => Mishap::Before(code),
        3..6 => Mishap::After(code),
        6..8 => Mishap::Slow(dice.long_tailed(Duration::from_millis(10), Duration::from_secs(40))),
        8 if !call.starts_with("store") => Mishap::Twice,
        _ if has_a_network => on_its_way(),
        _ => Mishap::After(code),
    }
}

fn behaviour(dice: &Dice) -> Behaviour {
    let usual = Behaviour {
        runs_after: dice.long_tailed(Duration::from_millis(1), Duration::from_secs(40)),
        answers_after: dice.long_tailed(Duration::from_millis(1), Duration::from_secs(20)),
        ends_after: dice.long_tailed(Duration::from_millis(1), Duration::from_secs(15)),
        ..Behaviour::default()
    };
    let refused = |code: Code| Behaviour {
        refused: Some(Failure::new(code, "refused, as was ordered")),
        ..Behaviour::default()
    };
    let ends = Some(dice.long_tailed(Duration::from_millis(1), Duration::from_mins(10)));
    match dice.below(14) {
        12 => Behaviour {
            runs_after: Duration::from_mins(10),
            ..usual
        },
        0..3 => usual,
        11 => Behaviour {
            answers: Answers::As("somebody else".to_owned()),
            ..usual
        },
        3 => Behaviour {
            answers: Answers::Never,
            ..usual
        },
        4 => Behaviour {
            answers: Answers::Status(500),
            ..usual
        },
        5 => Behaviour {
            exits_after: ends,
            exit_code: 1,
            ..usual
        },
        6 => Behaviour {
            exits_after: ends,
            lost: true,
            ..usual
        },
        7 => refused(Code::TaskCapacity),
        8 => refused(Code::TaskImage),
        9 => Behaviour {
            cannot_be_stopped: true,
            ..usual
        },
        10 => Behaviour { twin: true, ..usual },
        _ => Behaviour {
            address_after: Duration::from_secs(3),
            ..usual
        },
    }
}
