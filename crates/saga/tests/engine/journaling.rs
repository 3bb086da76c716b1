//! Intents before effects; what a saga costs in commits; what the history says.

use std::time::Duration;
use wharf_saga::store::{Happening, Store};

use super::support::{Act, Bench, LOOKS, Message, Phase, STEPS, names};

#[tokio::test(start_paused = true)]
async fn an_intent_is_stored_before_its_effect_is_called() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let id = bench.claim(&machine, &STEPS).await;
    // Every call looks into the registry itself, and `ended` complains of those that found no intent there.
    let record = bench.ended(&id, Phase::Finished).await;
    assert_eq!(record.data.done, STEPS);
    assert_eq!(bench.ledger.calls(), STEPS);
}

#[tokio::test(start_paused = true)]
async fn the_intent_to_undo_is_stored_before_it_too() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("five", [Act::Fail]);
    let id = bench.claim(&machine, &STEPS).await;
    let record = bench.ended(&id, Phase::Undone).await;
    assert!(record.data.done.is_empty());
    let expected = [
        "one",
        "two",
        "three",
        "four",
        "five",
        "undo five",
        "undo four",
        "undo three",
        "undo two",
        "undo one",
    ];
    assert_eq!(bench.ledger.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn eight_steps_with_effects_cost_nine_commits() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let id = bench.claim(&machine, &STEPS).await;
    bench.ended(&id, Phase::Finished).await;
    // The claim with the first intent, one for each further intent, and the end.
    assert_eq!(bench.store.commits(), 9);
}

#[tokio::test(start_paused = true)]
async fn steps_without_effects_cost_nothing() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let steps = ["one", LOOKS[0], LOOKS[1], "two", LOOKS[2], "three"];
    let id = bench.claim(&machine, &steps).await;
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.ledger.calls(), steps);
    assert_eq!(bench.store.commits(), 4);
}

#[tokio::test(start_paused = true)]
async fn undoing_costs_a_commit_a_step() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("four", [Act::Fail]);
    let id = bench.claim(&machine, &STEPS).await;
    bench.ended(&id, Phase::Undone).await;
    // Four intents to run, four to undo, and the end.
    assert_eq!(bench.store.commits(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_very_short_wait_costs_nothing_and_a_longer_one_is_written() {
    for (pause, commits) in [(10, 3), (200, 4)] {
        let bench = Bench::new();
        let machine = bench.machine("a");
        bench.ledger.script("one", [Act::Wait(Duration::from_millis(pause))]);
        let id = bench.claim(&machine, &["one", "two"]).await;
        bench.ended(&id, Phase::Finished).await;
        assert_eq!(bench.store.commits(), commits, "{pause} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_tells_what_happened_in_order() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench
        .ledger
        .script("two", [Act::Retry, Act::Wait(Duration::from_millis(300)), Act::Fail]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench.ended(&id, Phase::Undone).await;
    let told: Vec<String> = bench
        .history(&id)
        .await
        .into_iter()
        .map(|line| match line {
            Happening::Began { saga } => format!("began {saga}"),
            Happening::State { state, .. } => format!("is {state}"),
            Happening::Started { step, undo } => format!("started {step} {undo}"),
            Happening::Done { step, undo, .. } => format!("done {step} {undo}"),
            Happening::Waits { why, .. } => why,
            Happening::Failed { step, last, .. } => format!("failed {step} {last}"),
            Happening::Note { text } => text,
        })
        .collect();
    let expected = [
        "began tiny",
        "is working",
        "started one false",
        "done one false",
        "started two false",
        "failed two false",
        "two waits",
        "failed two true",
        "started two true",
        "done two true",
        "started one true",
        "done one true",
        "is undone",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_saga_on_a_record_at_rest_is_journaled_from_its_first_step() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let id = bench.claim(&machine, &["one"]).await;
    bench.ended(&id, Phase::Finished).await;
    let before = bench.store.commits();
    let begin = Message::Begin(names(&["two", "three"]));
    machine.engine.send(&id, &begin, None).await.expect("sent");
    bench
        .until(&id, "three is done", |record| record.data.done.len() == 3)
        .await;
    bench.ended(&id, Phase::Finished).await;
    // The message, two intents, the end.
    assert_eq!(bench.store.commits() - before, 4);
    let stored = bench.stored(&id).await;
    assert_eq!(
        (stored.lease.holder, stored.wake),
        (None, None),
        "at rest nothing is held"
    );
    assert!(
        bench
            .store
            .due(wharf_domain::Timestamp::MAX, 10)
            .await
            .expect("due")
            .is_empty()
    );
}
