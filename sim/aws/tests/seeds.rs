//! A few seeds: that one is one course of events, and that those hold in which something was wrong once.

use wharf_sim_aws::{Options, play};

const LOGGED: Options = Options { log: true, flaw: None };

/// Seeds in which a rule was broken, and what it was.
const FOUND: &[(u64, &str)] = &[
    (
        4,
        "each invocation began the drain anew, and none took the listener rule away",
    ),
    (
        78,
        "a server took a target for gone that another one had registered again",
    ),
    (92, "a registration arrived minutes after its target was withdrawn"),
    (
        154,
        "an event came again when the singleton that had answered it was over",
    ),
    (
        312,
        "a deregistration arrived when the next attempt had the same port of the same host",
    ),
];

#[test]
fn one_seed_is_one_course_of_events_to_the_byte() {
    let first = play(39, LOGGED);
    assert!(first.log.len() > 10_000, "{}", first.log);
    assert_eq!(first.log, play(39, LOGGED).log);
}

#[test]
fn seeds_in_which_something_was_found_hold() {
    for (seed, found) in FOUND {
        let report = play(*seed, Options::default());
        assert!(report.is_well(), "seed {seed} ({found}): {:?}", report.violations);
    }
}

#[test]
fn the_first_seeds_hold() {
    for seed in 0..24 {
        let report = play(seed, Options::default());
        assert!(report.is_well(), "seed {seed}: {:?}", report.violations);
    }
}
