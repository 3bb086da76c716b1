//! Each model holds over every state to its bound, and each planted mistake is found. One test a case, so that they run side by side.

use stateright::Model;
use std::{fmt::Debug, hash::Hash};
use wharf_models::{
    check::{self, Case, Planted},
    lease, port,
};

fn holds<M>(case: &Case<M>)
where
    M: Model + Copy + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let seen = check::whole(case.model);
    eprintln!("{}: {} states, {} events deep", case.bound, seen.states, seen.depth);
    assert!(seen.broken.is_empty(), "{}: {:#?}", case.bound, seen.broken);
    for property in case.reaches {
        assert!(seen.reached.contains(property), "{}: never {property}", case.bound);
    }
    assert!(
        seen.states >= case.states,
        "{}: {} states, and there were {} at the least",
        case.bound,
        seen.states,
        case.states
    );
}

fn is_found<M, Mistake: Debug>(planted: &[Planted<M, Mistake>])
where
    M: Model + Copy + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    for case in planted {
        let seen = check::until_broken(case.model, case.breaks);
        assert!(
            seen.breaks(case.breaks).is_some(),
            "{:?} does not break {:?} in {} states",
            case.mistake,
            case.breaks,
            seen.states
        );
    }
}

macro_rules! hold {
    ($($name:ident: $case:expr;)*) => {
        $(#[test]
        fn $name() {
            holds(&$case);
        })*
    };
}

hold! {
    leases_hold_when_a_driver_dies: lease::CASES[0];
    leases_hold_when_an_answer_is_lost: lease::CASES[1];
    leases_hold_when_a_task_dies: lease::CASES[2];
    leases_hold_when_messages_come: lease::CASES[3];
    leases_hold_when_a_step_waits: lease::CASES[4];
    leases_hold_when_a_call_comes_late: lease::CASES[5];
    leases_hold_among_three: lease::CASES[6];
    leases_hold_when_all_goes_wrong_for_one: lease::CASES[7];
    ports_hold_when_starts_are_late_and_answers_lost: port::CASES[0];
    ports_hold_among_four: port::CASES[1];
}

#[test]
fn every_case_is_checked() {
    assert_eq!(
        (lease::CASES.len(), port::CASES.len()),
        (8, 2),
        "each has its line above"
    );
}

#[test]
fn each_mistake_with_leases_is_found() {
    is_found(&lease::PLANTED);
}

#[test]
fn each_mistake_with_ports_is_found() {
    is_found(&port::PLANTED);
}

/// The model's numbers are in the order of the engine's.
#[test]
fn ticks_stand_for_the_engines_limits() {
    use wharf_saga::limits;
    const {
        assert!(lease::LEASE_MARGIN <= lease::STEP_TIMEOUT && lease::STEP_TIMEOUT < lease::LEASE);
        assert!(lease::STEP_TIMEOUT + lease::LEASE_MARGIN < lease::LEASE);
    }
    assert!(limits::LEASE_MARGIN <= limits::STEP_TIMEOUT && limits::STEP_TIMEOUT < limits::LEASE);
    assert!(limits::STEP_TIMEOUT + limits::LEASE_MARGIN < limits::LEASE);
}
