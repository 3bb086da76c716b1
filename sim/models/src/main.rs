//! Checks all models, and says to which bound, over how many states, and in how many events each planted mistake shows. The tests do the same, and judge.

use stateright::Model;
use std::{fmt::Debug, hash::Hash, process::ExitCode};
use wharf_models::{
    check::{self, Case, Planted},
    lease, port,
};

fn main() -> ExitCode {
    let holds = [
        cases("leases", &lease::CASES),
        planted("leases", &lease::PLANTED),
        cases("ports", &port::CASES),
        planted("ports", &port::PLANTED),
    ];
    if holds.contains(&false) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Gives whether everything holds.
fn cases<M>(of: &str, cases: &[Case<M>]) -> bool
where
    M: Model + Copy + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let mut holds = true;
    for case in cases {
        let seen = check::whole(case.model);
        println!(
            "{of}: {}: {} states, {} events deep, {:.1} s",
            case.bound, seen.states, seen.depth, seen.seconds
        );
        for (property, events) in &seen.broken {
            println!("  broken: {property}");
            for event in events {
                println!("    {event}");
            }
        }
        holds &= seen.broken.is_empty();
    }
    holds
}

/// Gives whether each mistake was found.
fn planted<M, Mistake: Debug>(of: &str, planted: &[Planted<M, Mistake>]) -> bool
where
    M: Model + Copy + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let mut found = true;
    for case in planted {
        let seen = check::until_broken(case.model, case.breaks);
        match seen.breaks(case.breaks) {
            Some(events) => println!(
                "{of}: {:?}: found in {} events, after {} states, {:.1} s: {}",
                case.mistake,
                events.len(),
                seen.states,
                seen.seconds,
                case.breaks
            ),
            None => println!("{of}: {:?}: not found", case.mistake),
        }
        found &= seen.breaks(case.breaks).is_some();
    }
    found
}
