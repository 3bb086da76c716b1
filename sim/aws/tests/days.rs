//! The days over AWS that every change has to pass, and planted mistakes that they have to notice. They take a minute of two cores, and are a part of the suite
//! `simulation`; what has to hold at once is in `seeds`.

use std::ops::Range;
use wharf_sim_aws::{Flaw, Options, play};

fn hold(seeds: Range<u64>) {
    for seed in seeds {
        let report = play(seed, Options::default());
        assert!(report.is_well(), "seed {seed}: {:?}", report.violations);
    }
}

macro_rules! days {
    ($($name:ident = $seeds:expr;)*) => {
        $(
            #[test]
            fn $name() {
                hold($seeds);
            }
        )*
    };
}

days! {
    seeds_from_1000_hold = 1_000..1_020;
    seeds_from_1020_hold = 1_020..1_040;
    seeds_from_1040_hold = 1_040..1_060;
    seeds_from_1060_hold = 1_060..1_080;
    seeds_from_1080_hold = 1_080..1_100;
    seeds_from_1100_hold = 1_100..1_120;
    seeds_from_1120_hold = 1_120..1_140;
    seeds_from_1140_hold = 1_140..1_160;
    seeds_from_1160_hold = 1_160..1_180;
    seeds_from_1180_hold = 1_180..1_200;
    seeds_from_1200_hold = 1_200..1_220;
    seeds_from_1220_hold = 1_220..1_240;
}

/// A seed at which each is noticed, and by which rule: `cargo run -p wharf-sim-aws -- --flaws` looks for others.
const NOTICED: &[(Flaw, u64, &str)] = &[
    (Flaw::ForgetsToken, 1, "one task an attempt"),
    (Flaw::IgnoresStartedBy, 2, "others' tasks stay"),
    (Flaw::IgnoresTags, 2, "others' rules stay"),
    (Flaw::NeverDeregisters, 0, "no target without an instance"),
    (Flaw::WithdrawsOthers, 2, "others' targets stay"),
    (Flaw::DropsTheRest, 75, "what was told happens"),
    (Flaw::NeverSweeps, 4, "what is ended ends"),
    (Flaw::NeverRepairs, 92, "no target without an instance"),
];

#[test]
fn every_planted_mistake_is_noticed() {
    for flaw in Flaw::ALL {
        let (_, seed, rule) = NOTICED
            .iter()
            .find(|(known, ..)| known == flaw)
            .expect("a seed for each mistake");
        let options = Options {
            log: false,
            flaw: Some(*flaw),
        };
        let violations = play(*seed, options).violations;
        assert!(
            violations.iter().any(|violation| violation.rule == *rule),
            "{flaw} at seed {seed}: {violations:?}"
        );
    }
}
