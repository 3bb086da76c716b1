//! Retries and their bounds, time-outs, panics that stay alone, reservations that are refused.

use std::time::Duration;
use wharf_domain::Timestamp;
use wharf_saga::{
    limits,
    store::{Batch, Expect, Happening, Kind, LeaseChange, Reserve, Store},
};

use super::support::{Act, Bench, LOOKS, Message, Phase, took};

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_tried_again_and_passes() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Retry, Act::Retry]);
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.ledger.calls(), ["one", "two", "two", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn tries_are_bounded_and_then_everything_is_undone() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.habit("two", Act::Retry);
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    bench.ended(&id, Phase::Undone).await;
    let tries = bench.ledger.calls().iter().filter(|call| *call == "two").count();
    assert_eq!(tries, limits::TRIES as usize);
    let failures: Vec<bool> = bench
        .history(&id)
        .await
        .into_iter()
        .filter_map(|line| match line {
            Happening::Failed { last, .. } => Some(last),
            _ => None,
        })
        .collect();
    let (last, before) = failures.split_last().expect("it failed");
    assert!(
        *last && before.iter().all(|last| !last),
        "only the last one is for good: {failures:?}"
    );
    assert!(
        bench.elapsed() > limits::RETRY_FIRST * 8,
        "the pauses grow: {:?}",
        bench.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_tried_longer_and_then_it_is_stuck_until_somebody_resumes_it() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("three", [Act::Fail]);
    bench
        .ledger
        .script("undo two", vec![Act::Retry; limits::UNDO_TRIES as usize]);
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    let record = bench.ended(&id, Phase::Stuck).await;
    let tries = bench.ledger.calls().iter().filter(|call| *call == "undo two").count();
    assert_eq!(tries, limits::UNDO_TRIES as usize);
    assert_eq!(record.data.done, ["one", "two"], "what is above it is undone");
    assert_eq!(bench.stored(&id).await.wake, None, "it waits for a person");

    machine.engine.send(&id, &Message::Resume, None).await.expect("sent");
    let record = bench.ended(&id, Phase::Undone).await;
    assert!(record.data.done.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_never_returns_is_given_up_in_time() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("one", [Act::Hang]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench.ended(&id, Phase::Finished).await;
    // Its own time-out is ten times the longest that is allowed.
    assert!(bench.elapsed() >= limits::STEP_TIMEOUT && bench.elapsed() < limits::STEP_TIMEOUT * 2);
    let given_up = bench.history(&id).await.into_iter().find_map(|line| match line {
        Happening::Failed { cause, .. } => Some(cause.code),
        _ => None,
    });
    assert_eq!(given_up, Some(wharf_domain::Code::StepTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_step_fails_alone() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Panic]);
    let first = bench.claim(&machine, &["one", "two"]).await;
    bench.ended(&first, Phase::Undone).await;
    let second = bench.claim(&machine, &["one", "two"]).await;
    bench.ended(&second, Phase::Finished).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_decision_fails_alone_and_is_not_repeated_in_a_circle() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.sweep();
    let poisoned = bench.claim(&machine, &["one"]).await;
    bench.ended(&poisoned, Phase::Finished).await;
    machine
        .engine
        .send(&poisoned, &Message::Poison, None)
        .await
        .expect("sent");
    let fine = bench.claim(&machine, &["one", "two"]).await;
    bench.ended(&fine, Phase::Finished).await;

    let lines = bench.world.trace().len();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let loads = bench
        .world
        .trace()
        .since(lines)
        .iter()
        .filter(|line| line.contains("store.load"))
        .count();
    assert!((2..20).contains(&loads), "it is looked at ever more seldom: {loads}");
    assert!(!machine.engine.is_driving(&poisoned), "and keeps no place");
}

fn reserve(key: &str) -> Reserve {
    Reserve {
        kind: Kind::Endpoint,
        key: key.to_owned(),
        value: String::new(),
        until: None,
        now: Timestamp(0),
    }
}

/// Somebody else has this endpoint.
async fn take_away(bench: &Bench, key: &str) {
    let batch = Batch {
        reserve: vec![reserve(key)],
        ..Batch::new(bench.batch().instance, Expect::Anything, LeaseChange::Keep)
    };
    bench.store.commit(batch).await.expect("free so far");
}

#[tokio::test(start_paused = true)]
async fn what_another_has_is_refused_and_the_step_after_it_is_not_called() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    take_away(&bench, "10.0.0.1:80").await;
    bench.ledger.script(LOOKS[0], [Act::Reserve(reserve("10.0.0.1:80"))]);
    let id = bench.claim(&machine, &["one", "two", LOOKS[0], "three"]).await;
    let record = bench.ended(&id, Phase::Undone).await;
    assert!(record.data.done.is_empty());
    assert_eq!(bench.ledger.calls(), ["one", "two", LOOKS[0], "undo two", "undo one"]);
    let causes: Vec<_> = bench
        .history(&id)
        .await
        .into_iter()
        .filter_map(|line| match line {
            Happening::Failed { cause, last, .. } => Some((cause.code, last)),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [(wharf_domain::Code::TaskLost, true)]);
}

#[tokio::test(start_paused = true)]
async fn what_another_has_is_refused_in_the_last_commit_too() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    take_away(&bench, "10.0.0.1:80").await;
    bench.ledger.script("two", [Act::Reserve(reserve("10.0.0.1:80"))]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    let record = bench.ended(&id, Phase::Undone).await;
    assert!(record.data.done.is_empty());
    let states: Vec<String> = bench
        .history(&id)
        .await
        .into_iter()
        .filter_map(|line| match line {
            Happening::State { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!(states, ["working", "undone"], "it was never finished");
}

#[tokio::test(start_paused = true)]
async fn a_message_read_with_a_refused_commit_is_read_again() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    take_away(&bench, "10.0.0.1:80").await;
    // It comes while the step is called, and is read together with what will be refused.
    bench.ledger.script(
        "two",
        [
            Act::HearAndWait(Message::Noise("heard".to_owned()), Duration::from_mins(5)),
            Act::Reserve(reserve("10.0.0.1:80")),
        ],
    );
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    let record = bench.ended(&id, Phase::Undone).await;
    assert_eq!(record.data.heard, ["heard"]);
    let stored = bench.stored(&id).await;
    assert_eq!((stored.inbox_head, stored.inbox_read), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn sagas_run_beside_each_other() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.habit("one", Act::Slow(Duration::from_secs(5)));
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(bench.claim(&machine, &["one"]).await);
    }
    let ((), waited) = took(&bench, async {
        for id in &ids {
            bench.ended(id, Phase::Finished).await;
        }
    })
    .await;
    assert!(waited <= Duration::from_secs(6), "{waited:?}");
}
