//! Customers who sleep and customers on trial, with those who visit them, put into the day of a seed that has one without them. They have dice of their own, so that
//! a day without them stays the one that it was.

use std::time::Duration;
use wharf_domain::Code;
use wharf_testkit::sim::{Behaviour, Edge, chance::Chance};

use super::{Dice, NAMES, behaviour, mishap};
use crate::script::{Layout, Move, Order, Setting, What};

/// What sleeps: by a stop, and by a pause.
const SLEEPERS: &[&str] = &["naps", "dozes"];
/// What is there for a time: ended then, and stopped then. The second one sleeps as well, where anything does.
const TRIALS: &[&str] = &["guest", "demo"];

/// The calls that are about sleep, and what they fail with.
const EFFECTS: &[(&str, Code)] = &[
    ("tasks.pause", Code::TaskPause),
    ("tasks.pause", Code::AwsUnavailable),
    ("tasks.unpause", Code::AwsUnavailable),
    ("tasks.memory", Code::AwsThrottled),
    ("routes.unused", Code::RouteUnready),
    ("routes.withdraw_unused", Code::RouteUnready),
    ("store.append", Code::StoreUnavailable),
    ("mailer.send", Code::MailFailed),
];

/// Draws whether anybody sleeps or is on trial, who that is, and what befalls him.
pub(super) fn add(seed: u64, length: Duration, setting: &mut Setting, moves: &mut Vec<Move>) {
    let dice = Dice(Chance::new(seed ^ 0x11fe));
    setting.offers.sleepers = !matches!(setting.layout, Layout::Fleet(_)) && dice.falls(70);
    setting.offers.trials = dice.falls(40);
    let mut offered = Vec::new();
    if setting.offers.sleepers {
        offered.extend(SLEEPERS);
    }
    if setting.offers.trials {
        offered.extend(TRIALS);
    }
    if offered.is_empty() {
        return;
    }
    // Sleeps and trials take their time.
    let length = length.max(Duration::from_mins(15));
    let machines = setting.layout.machines() as u64;
    for _ in 0..=dice.below(3) {
        customer(&dice, machines, length, &offered, setting, moves);
    }
    for _ in 0..dice.below(4) {
        let what = trouble(&dice, setting, &offered);
        let at = length.mul_f64(dice.0.fraction());
        moves.push(Move { at, what });
    }
}

fn customer(
    dice: &Dice,
    machines: u64,
    length: Duration,
    offered: &[&'static str],
    setting: &Setting,
    moves: &mut Vec<Move>,
) {
    let machine = || dice.below(machines) as usize;
    let name = dice.one(NAMES);
    let mut at = length.mul_f64(dice.0.fraction() / 2.0);
    moves.push(Move {
        at,
        what: What::SignUp {
            name,
            service: dice.one(offered),
            key: None,
            machine: machine(),
            again: dice.below(4) as u8,
        },
    });
    let extend = || What::Extend {
        name,
        by: dice
            .falls(80)
            .then(|| dice.long_tailed(Duration::from_mins(1), Duration::from_mins(40))),
        machine: machine(),
    };
    for _ in 0..dice.below(5) {
        at += dice.long_tailed(Duration::from_secs(1), Duration::from_mins(15));
        let what = match dice.below(10) {
            0 => What::Ask {
                name,
                order: dice.one(&[Order::Stop, Order::Start, Order::Start, Order::End]),
                machine: machine(),
            },
            1..5 if setting.offers.trials => extend(),
            _ if !setting.offers.sleepers => extend(),
            _ => What::Visit {
                name,
                visitors: 1 + dice.below(6) as u8,
                apart: dice.long_tailed(Duration::from_millis(10), Duration::from_mins(4)),
                stays: if dice.falls(70) {
                    Duration::ZERO
                } else {
                    dice.long_tailed(Duration::from_secs(1), Duration::from_mins(12))
                },
            },
        };
        moves.push(Move { at, what });
    }
}

fn trouble(dice: &Dice, setting: &Setting, offered: &[&'static str]) -> What {
    let machine = dice.below(setting.layout.machines() as u64) as usize;
    match dice.below(10) {
        0..2 => What::Kill {
            machine,
            at_call: dice
                .falls(75)
                .then(|| (1 + dice.below(60), dice.one(&[Edge::Before, Edge::After]))),
            down: dice.long_tailed(Duration::from_millis(200), Duration::from_mins(40)),
        },
        2..4 => What::Exit {
            name: dice.one(NAMES),
            code: 1,
        },
        4..6 => What::Behave {
            service: dice.one(offered),
            behaviour: Box::new(if dice.falls(50) {
                Behaviour {
                    cannot_be_paused: true,
                    ..Behaviour::default()
                }
            } else {
                behaviour(dice)
            }),
        },
        _ => {
            let (call, code) = dice.one(EFFECTS);
            What::Fault {
                call,
                nth: 1 + dice.below(6),
                mishap: mishap(dice, setting, call, code),
            }
        }
    }
}
