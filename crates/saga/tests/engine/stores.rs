//! A registry that fails for a while, is full, or whose answers are lost: nothing is lost, and nothing is called without its intent.

use std::time::Duration;
use wharf_saga::{CommitError, limits};
use wharf_testkit::sim::store::Fault;

use super::support::{Act, Bench, Data, Phase, took};

const STEPS: [&str; 4] = ["one", "two", "three", "four"];

#[tokio::test(start_paused = true)]
async fn a_moment_without_the_registry_is_waited_out() {
    for fault in [Fault::Before, Fault::Full] {
        let bench = Bench::new();
        let machine = bench.machine("a");
        bench.ledger.script("two", [Act::Slow(Duration::from_secs(1))]);
        let id = bench.claim(&machine, &STEPS).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        bench.store.fail_always(Some(fault));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(
            bench.ledger.calls(),
            ["one", "two"],
            "no step is called whose intent cannot be written"
        );
        bench.store.fail_always(None);
        bench.ended(&id, Phase::Finished).await;
        assert_eq!(bench.ledger.calls(), STEPS, "{fault:?}: nothing was called twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moment_without_the_registry_at_the_very_end_is_waited_out_too() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.store.fail_nth(5, Fault::Before);
    let id = bench.claim(&machine, &STEPS).await;
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert_eq!(bench.ledger.calls(), STEPS);
}

#[tokio::test(start_paused = true)]
async fn after_minutes_without_the_registry_the_sweep_goes_on() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.sweep();
    bench.ledger.script("two", [Act::Slow(Duration::from_secs(1))]);
    let id = bench.claim(&machine, &STEPS).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    bench.store.fail_always(Some(Fault::Before));
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(bench.ledger.calls(), ["one", "two"]);
    bench.store.fail_always(None);
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
    assert!(waited <= 3 * limits::SWEEP, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_any_write_is_found_out() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        for n in 2..=5 {
            let bench = Bench::new();
            let machine = bench.machine("a");
            machine.sweep();
            bench.store.fail_nth(n, fault);
            let id = bench.claim(&machine, &STEPS).await;
            let (record, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
            assert_eq!(record.data.done, STEPS, "{fault:?} {n}");
            assert!(waited < Duration::from_secs(1), "{fault:?} {n}: {waited:?}");
            let mut calls = bench.ledger.calls();
            calls.dedup();
            assert_eq!(calls, STEPS, "{fault:?} {n}: in order, if perhaps one of them twice");
            assert!(bench.ledger.calls().len() <= STEPS.len() + 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_while_it_unwinds_is_found_out_too() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        for n in 4..=8 {
            let bench = Bench::new();
            let machine = bench.machine("a");
            machine.sweep();
            bench.store.fail_nth(n, fault);
            bench.ledger.script("four", [Act::Fail, Act::Fail]);
            let id = bench.claim(&machine, &STEPS).await;
            let record = bench.ended(&id, Phase::Undone).await;
            assert!(record.data.done.is_empty(), "{fault:?} {n}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_whose_answer_was_lost_is_still_woken() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        let bench = Bench::new();
        let machine = bench.machine("a");
        let minute = Duration::from_mins(1);
        bench.ledger.script("one", [Act::Wait(minute), Act::Wait(minute)]);
        bench.store.fail_nth(2, fault);
        let id = bench.claim(&machine, &["one", "two"]).await;
        bench.ended(&id, Phase::Finished).await;
        assert!(
            bench.elapsed() <= minute + Duration::from_secs(1),
            "{fault:?}: {:?}",
            bench.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_loses_every_answer_is_given_up_and_taken_up_later() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.sweep();
    bench.ledger.script("one", [Act::Slow(Duration::from_secs(1))]);
    let id = bench.claim(&machine, &STEPS).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    bench.store.fail_always(Some(Fault::LoseAnswer));
    tokio::time::sleep(Duration::from_mins(5)).await;
    bench.store.fail_always(None);
    let record = bench.ended(&id, Phase::Finished).await;
    assert_eq!(record.data.done, STEPS);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_driven_if_it_was_written() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.store.fail_nth(1, Fault::LoseAnswer);
    let id = bench
        .try_claim(&machine, &STEPS, Data::default())
        .await
        .expect("it is there");
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
    assert!(waited < Duration::from_secs(1), "{waited:?}");

    bench.store.fail_nth(1, Fault::LoseRequest);
    let lost = bench.try_claim(&machine, &STEPS, Data::default()).await;
    assert!(matches!(lost, Err(CommitError::Unknown(_))), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_the_registry_refuses_leaves_nothing() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    for fault in [Fault::Before, Fault::Full] {
        bench.store.fail_nth(1, fault);
        let refused = bench.try_claim(&machine, &STEPS, Data::default()).await;
        assert!(matches!(refused, Err(CommitError::Store(_))), "{refused:?}");
    }
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(bench.ledger.calls(), [""; 0]);
    assert_eq!(bench.store.commits(), 0);
}
