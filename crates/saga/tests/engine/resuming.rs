//! A crash at every single call, before and after it, and an heir that goes on; versions that lack a step.

use std::time::Duration;
use wharf_saga::{limits, store::Store};
use wharf_testkit::sim::Edge;

use super::support::{Act, Bench, Data, LOOKS, Machine, Phase, names, plan};

/// The calls that a process makes from a saga's beginning to its end.
async fn calls_made(script: impl Fn(&Bench), phase: Phase) -> u64 {
    let bench = Bench::new();
    let machine = bench.machine("first");
    script(&bench);
    let id = bench.claim(&machine, &SAGA).await;
    bench.ended(&id, phase).await;
    machine.process.calls_begun()
}

const SAGA: [&str; 5] = ["one", LOOKS[0], "two", "three", "four"];

/// Kills the process at each of its calls in turn, on either side of it, and lets an heir go on.
async fn crash_everywhere(script: impl Fn(&Bench), phase: Phase) {
    let calls = calls_made(&script, phase).await;
    assert!(calls >= 5, "{calls}");
    for call in 1..=calls {
        for edge in [Edge::Before, Edge::After] {
            for same_machine in [true, false] {
                let bench = Bench::new();
                let first = bench.machine("first");
                first.process.kill_at(call, edge);
                script(&bench);
                let batch = bench.batch();
                let id = batch.instance.clone();
                let saga = plan(&SAGA);
                let claim = first.engine.claim(batch, Data::default(), &saga, 0);
                let claimed = tokio::time::timeout(Duration::from_secs(1), claim).await;
                first.process.died().await;
                let heir = take_over(&bench, same_machine).await;
                if bench.store.load(&id).await.expect("read").is_none() {
                    assert!(
                        claimed.is_err() && call == 1 && edge == Edge::Before,
                        "only then nothing was written"
                    );
                    continue;
                }
                let record = bench.ended(&id, phase).await;
                let all = phase == Phase::Finished;
                assert_eq!(
                    record.data.done.len(),
                    if all { SAGA.len() } else { 0 },
                    "{call} {edge:?} {same_machine}"
                );
                let twice = heir.process.calls_begun();
                assert!(twice < 500, "{call} {edge:?}: the heir needed {twice} calls");
            }
        }
    }
}

async fn take_over(bench: &Bench, same_machine: bool) -> Machine {
    let heir = bench.machine("heir");
    if same_machine {
        bench.store.restart(bench.world.now());
    }
    heir.engine.resume().await.expect("resumed");
    heir.sweep();
    heir
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_is_gone_on_from() {
    crash_everywhere(|_| {}, Phase::Finished).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_of_an_unwinding_saga_is_gone_on_from() {
    // It fails again for whoever calls it again.
    crash_everywhere(|bench| bench.ledger.habit("four", Act::Fail), Phase::Undone).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_of_a_saga_that_waits_is_gone_on_from() {
    crash_everywhere(
        |bench| {
            bench.ledger.script(LOOKS[0], [Act::Wait(Duration::from_millis(500))]);
            bench.ledger.script("three", [Act::Wait(Duration::from_mins(1))]);
        },
        Phase::Finished,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_with_an_unknown_step_is_left_alone_and_a_later_version_goes_on() {
    let bench = Bench::new();
    let newer = bench.machine("newer");
    bench.ledger.script("two", [Act::Wait(Duration::from_mins(1))]);
    let id = bench.claim(&newer, &["one", "two", "three"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    newer.process.kill();

    let older = bench.machine_with("older", bench.world.clock(), |step| step != "two");
    older.engine.resume().await.expect("resumed");
    older.sweep();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let (stored, lines) = (bench.stored(&id).await, bench.world.trace().len());
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(bench.stored(&id).await, stored, "nothing is written");
    let looks = bench
        .world
        .trace()
        .since(lines)
        .iter()
        .filter(|line| line.contains("store.load"))
        .count();
    assert!((2..30).contains(&looks), "it is looked at ever more seldom: {looks}");
    assert_eq!(bench.ledger.calls_by("older"), []);

    let newest = bench.machine("newest");
    newest.sweep();
    bench.ended(&id, Phase::Finished).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_driven_does_not_keep_others_from_their_turn() {
    let bench = Bench::new();
    let newer = bench.machine("newer");
    let wait = Duration::from_secs(10);
    bench.ledger.habit("two", Act::Wait(wait));
    for _ in 0..limits::SWEEP_BATCH * 2 {
        bench.claim(&newer, &["one", "two"]).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.ledger.script("three", [Act::Wait(wait)]);
    let id = bench.claim(&newer, &["three"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    newer.process.kill();

    let older = bench.machine_with("older", bench.world.clock(), |step| step != "two");
    older.sweep();
    bench.ended(&id, Phase::Finished).await;
    assert!(bench.elapsed() < Duration::from_secs(30), "{:?}", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_left_as_it_is() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.sweep();
    bench.ledger.script("one", [Act::Wait(Duration::from_mins(1))]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    let stored = bench.stored(&id).await;
    let damaged = wharf_saga::Batch {
        record: Some(wharf_saga::store::RecordWrite {
            body: "{\"data\": 7}".to_owned(),
            index: wharf_saga::store::Index {
                name: None,
                service: "tiny".to_owned(),
                state: "working",
                live: true,
            },
            wake: stored.wake,
        }),
        ..wharf_saga::Batch::new(
            id.clone(),
            wharf_saga::store::Expect::Lease {
                epoch: stored.lease.epoch,
                renewals: stored.lease.renewals,
            },
            wharf_saga::store::LeaseChange::Keep,
        )
    };
    bench.store.commit(damaged).await.expect("committed");
    let before = bench.store.commits();
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(bench.store.commits(), before);
    assert_eq!(bench.ledger.calls(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn steps_are_frozen_when_a_saga_begins() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Wait(Duration::from_mins(1))]);
    let id = bench.claim(&machine, &["one", "two", "four"]).await;
    let record = bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    let frozen: Vec<String> = record
        .progress
        .expect("a saga")
        .steps
        .into_iter()
        .map(|planned| planned.step)
        .collect();
    assert_eq!(frozen, names(&["one", "two", "four"]));
    // Whoever goes on has another idea of such a saga, and does what is written.
    machine.process.kill();
    bench.store.restart(bench.world.now());
    let heir = bench.machine("heir");
    heir.sweep();
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.ledger.calls(), ["one", "two", "two", "four"]);
}
