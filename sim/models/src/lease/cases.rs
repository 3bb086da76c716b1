//! Which bounds the model of the leases is checked to, and which mistake breaks what.

use super::{Faults, Leases, Mistake, properties};
use crate::check::{Case, Planted};

const NONE: Faults = Faults::NONE;

const fn bound(drivers: u8, faults: Faults, calms: bool) -> Leases {
    Leases {
        drivers,
        faults,
        calms,
        mistake: None,
    }
}

/// What is checked whole. One fault of two kinds costs more states than two drivers: so each pair that matters has a case of its own, and one
/// driver, which then dies and comes again under another name, meets them all at once.
pub const CASES: [Case<Leases>; 8] = [
    Case {
        bound: "2 drivers; 1 crash, 1 end; then faults stop",
        model: bound(
            2,
            Faults {
                crashes: 1,
                ends: 1,
                ..NONE
            },
            true,
        ),
        states: 500_000,
        reaches: &[
            properties::GETS_READY,
            properties::ENDS,
            properties::FAILS_CLEAN,
            properties::FENCED,
        ],
    },
    Case {
        bound: "2 drivers; 1 loss, 1 end; then faults stop",
        model: bound(
            2,
            Faults {
                losses: 1,
                ends: 1,
                ..NONE
            },
            true,
        ),
        states: 700_000,
        reaches: &[properties::FAILS_CLEAN, properties::FENCED, properties::LATE_CALL],
    },
    Case {
        bound: "2 drivers; 1 task dies",
        model: bound(2, Faults { deaths: 1, ..NONE }, false),
        states: 150_000,
        reaches: &[properties::COMES_BACK, properties::FENCED],
    },
    Case {
        bound: "2 drivers; 1 note, 1 end",
        model: bound(
            2,
            Faults {
                notes: 1,
                ends: 1,
                ..NONE
            },
            false,
        ),
        states: 600_000,
        reaches: &[properties::ENDS],
    },
    Case {
        bound: "2 drivers; 1 wait, 1 end",
        model: bound(
            2,
            Faults {
                waits: 1,
                ends: 1,
                ..NONE
            },
            false,
        ),
        states: 150_000,
        reaches: &[properties::ENDS],
    },
    Case {
        bound: "2 drivers; 1 late call, 1 end",
        model: bound(
            2,
            Faults {
                late: 1,
                ends: 1,
                ..NONE
            },
            false,
        ),
        states: 700_000,
        reaches: &[properties::LATE_CALL, properties::STRAY_TASK],
    },
    Case {
        bound: "3 drivers",
        model: bound(3, NONE, false),
        states: 500_000,
        reaches: &[properties::GETS_READY, properties::FENCED],
    },
    Case {
        bound: "1 driver; 1 crash, 1 loss, 1 task dies, 1 end, 1 late call; then faults stop",
        model: bound(
            1,
            Faults {
                crashes: 1,
                losses: 1,
                deaths: 1,
                ends: 1,
                late: 1,
                ..NONE
            },
            true,
        ),
        states: 100_000,
        reaches: &[properties::COMES_BACK, properties::STRAY_TASK, properties::FAILS_CLEAN],
    },
];

const fn planted(mistake: Mistake, model: Leases, breaks: &'static str) -> Planted<Leases, Mistake> {
    Planted {
        mistake,
        model: Leases {
            mistake: Some(mistake),
            ..model
        },
        breaks,
    }
}

const TWO: Leases = bound(2, NONE, false);
const TWO_AND_AN_END: Leases = bound(2, Faults { ends: 1, ..NONE }, false);
const ONE_AND_AN_END: Leases = bound(1, Faults { ends: 1, ..NONE }, true);

const fn with(model: Leases, faults: Faults) -> Leases {
    Leases { faults, ..model }
}

/// Each mistake, with a bound that shows it, and what it breaks.
pub const PLANTED: [Planted<Leases, Mistake>; 16] = [
    planted(Mistake::FenceSkipped, TWO, properties::READ_BEFORE_WRITE),
    planted(Mistake::TakenAtOneLook, TWO, properties::CALLS_ARE_COVERED),
    planted(Mistake::ClocksCompared, TWO, properties::CALLS_ARE_COVERED),
    planted(Mistake::RenewalsIgnored, TWO, properties::CALLS_ARE_COVERED),
    planted(Mistake::NoMargin, TWO, properties::CALLS_ARE_COVERED),
    planted(Mistake::LeaseCountedFromAnswer, TWO, properties::CALLS_ARE_COVERED),
    planted(
        Mistake::EffectBeforeIntent,
        with(
            ONE_AND_AN_END,
            Faults {
                crashes: 1,
                deaths: 1,
                ends: 1,
                ..NONE
            },
        ),
        properties::COMES_TO_ITS_END,
    ),
    planted(
        Mistake::BegunForgotten,
        with(
            ONE_AND_AN_END,
            Faults {
                losses: 1,
                ends: 1,
                ..NONE
            },
        ),
        properties::COMES_TO_ITS_END,
    ),
    planted(Mistake::InboxUnchecked, ONE_AND_AN_END, properties::NO_MESSAGE_MISSED),
    planted(Mistake::GoesOnWhenFenced, TWO, properties::CALLS_ARE_COVERED),
    planted(
        Mistake::ReloadTakesOver,
        with(TWO, Faults { losses: 1, ..NONE }),
        properties::CALLS_ARE_COVERED,
    ),
    planted(Mistake::WriteUnnumbered, TWO_AND_AN_END, properties::READ_BEFORE_WRITE),
    planted(Mistake::ReleaseUnnumbered, TWO, properties::READ_BEFORE_WRITE),
    planted(
        Mistake::MarkWithoutAttempt,
        with(
            TWO,
            Faults {
                deaths: 1,
                late: 1,
                ..NONE
            },
        ),
        properties::OWN_ATTEMPT_ONLY,
    ),
    planted(
        Mistake::StartNotIdempotent,
        with(TWO, Faults { losses: 1, ..NONE }),
        properties::ONE_TASK,
    ),
    planted(
        Mistake::NobodyLooksForStrays,
        with(
            ONE_AND_AN_END,
            Faults {
                late: 1,
                ends: 1,
                ..NONE
            },
        ),
        properties::COMES_TO_ITS_END,
    ),
];
