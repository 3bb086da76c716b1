//! The simulation itself: one seed, one course of events; some seeds are well; a planted mistake is noticed, and shortened. The
//! thousands of seeds are `cargo xtask test --suite simulation`'s.

use wharf_sim::{Options, compose::compose, play, shrink::shrink};
use wharf_testkit::sim::Flaw;

const LOGGED: Options = Options { log: true, flaw: None };

#[test]
fn one_seed_gives_one_course_of_events_to_the_byte() {
    for seed in 0..12 {
        let (first, second) = (play(&compose(seed), LOGGED), play(&compose(seed), LOGGED));
        let pairs = first.log.lines().zip(second.log.lines());
        let different = pairs.into_iter().find(|(one, other)| one != other);
        assert_eq!(different, None, "seed {seed}");
        assert_eq!(first.log.len(), second.log.len(), "seed {seed}");
    }
    assert_ne!(play(&compose(1), LOGGED).log, play(&compose(2), LOGGED).log);
}

#[test]
fn some_seeds_are_well_and_something_happens_in_them() {
    let (mut ready, mut faults) = (0, 0);
    for seed in 0..30 {
        let report = play(&compose(seed), Options::default());
        assert!(report.is_well(), "seed {seed}: {:?}", report.violations);
        ready += report.states.get("ready").copied().unwrap_or_default();
        faults += report.faults.values().sum::<u64>();
    }
    assert!(ready > 20 && faults > 100, "{ready} ready, {faults} faults");
}

#[test]
fn a_planted_mistake_is_noticed_and_its_script_made_short() {
    let options = Options {
        log: false,
        flaw: Some(Flaw::KeepsSecrets),
    };
    let noticed = (0..50).find_map(|seed| {
        let script = compose(seed);
        let rule = play(&script, options).violations.first()?.rule;
        Some((script, rule))
    });
    let (script, rule) = noticed.expect("secrets that stay are noticed");
    let kept = shrink(&script, rule, options);
    assert!(!kept.is_empty() && kept.len() <= script.moves.len());
    let short = play(&script.keeping(&kept), options);
    assert!(short.violations.iter().any(|violation| violation.rule == rule));
    assert!(play(&script.keeping(&kept), Options::default()).is_well());
}
