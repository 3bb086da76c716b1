//! Two who have read the same record: what one of them writes is never written over by the other, who has not read it. Each was found by the
//! models (`sim/models`), which look at every such order of events; here is one of each on the engine itself.

use std::time::Duration;
use wharf_domain::InstanceId;
use wharf_saga::{Record, limits, store::Store};
use wharf_testkit::sim::store::Fault;

use super::support::{Act, Bench, Data, Machine, Message, Phase};

const MOMENT: Duration = Duration::from_millis(10);
const TAKEN_AFTER: Duration = limits::LEASE.saturating_add(limits::LEASE_MARGIN);

/// Waits until the trace has so many lines with all of these words.
async fn noted(bench: &Bench, words: &[&str], times: usize) {
    loop {
        let lines = bench.world.trace().lines_with(words[0]);
        let all = |line: &&String| words.iter().all(|word| line.contains(word));
        if lines.iter().filter(all).count() >= times {
            return;
        }
        tokio::time::sleep(MOMENT / 10).await;
    }
}

async fn append(bench: &Bench, id: &InstanceId, message: &Message) {
    let body = serde_json::to_string(message).expect("plain data");
    let now = bench.world.now();
    bench.store.append(id, body, None, now).await.expect("appended");
}

/// The next call of the registry takes this long, and later ones a moment again.
async fn delay_next_call(bench: &Bench, delay: Duration) {
    tokio::time::sleep(MOMENT / 2).await;
    bench.store.set_latency(delay);
    tokio::time::sleep(MOMENT).await;
    bench.store.set_latency(MOMENT);
}

/// A machine reads the record, and is paused before it can do anything about it.
async fn read_and_pause(machine: &Machine, id: &InstanceId) {
    machine.engine.poke(id);
    tokio::time::sleep(MOMENT / 2).await;
    machine.process.pause();
    tokio::time::sleep(MOMENT).await;
}

/// A stop is read, and the commit that says so is slow to come to the registry. Meanwhile another has found the lease to be old, and has read the record as it
/// was. The message is gone from the inbox when it looks.
#[tokio::test(start_paused = true)]
async fn a_stop_that_a_slow_holder_has_read_is_not_lost() {
    let bench = Bench::new();
    let (first, second) = (bench.machine("first"), bench.machine("second"));
    bench.ledger.script("two", [Act::Slow(Duration::from_secs(1))]);
    let id = bench.claim(&first, &["one", "two", "three"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    append(&bench, &id, &Message::Stop).await;
    bench.store.set_latency(MOMENT);
    noted(&bench, &["store.commit", "first", "started three"], 1).await;
    delay_next_call(&bench, 3 * TAKEN_AFTER).await;
    first.process.pause();

    tokio::time::sleep(TAKEN_AFTER).await;
    second.engine.poke(&id);
    tokio::time::sleep(TAKEN_AFTER + MOMENT).await;
    read_and_pause(&second, &id).await;
    noted(&bench, &["store.commit", "first", "started undo three"], 1).await;
    second.process.resume();
    second.engine.settled().await;
    first.process.resume();
    bench.ended(&id, Phase::Undone).await;
    assert_eq!(
        bench.ledger.calls_by("second"),
        [],
        "the first one was slow, and not dead"
    );
}

/// Two look at a record at rest, for the same message.
#[tokio::test(start_paused = true)]
async fn what_was_heard_at_rest_is_not_forgotten() {
    let bench = Bench::new();
    let (first, second) = (bench.machine("first"), bench.machine("second"));
    let id = bench.claim(&first, &["one"]).await;
    bench.ended(&id, Phase::Finished).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.store.set_latency(MOMENT);
    append(&bench, &id, &Message::Noise("a".to_owned())).await;
    read_and_pause(&second, &id).await;
    first.engine.poke(&id);
    let heard = |record: &Record<Data>| record.data.heard == ["a"];
    bench.until(&id, "the first one has heard it", heard).await;
    second.process.resume();
    second.engine.settled().await;
    assert_eq!(
        bench.record(&id).await.data.heard,
        ["a"],
        "the second one had not read that"
    );
}

/// The answer to a commit is lost, and so late that another has taken the instance over by then.
#[tokio::test(start_paused = true)]
async fn who_has_lost_an_answer_takes_nothing_from_who_has_taken_over() {
    let bench = Bench::new();
    let (first, second) = (bench.machine("first"), bench.machine("second"));
    bench.ledger.script(
        "two",
        [Act::Slow(Duration::from_secs(1)), Act::Slow(Duration::from_secs(19))],
    );
    let id = bench.claim(&first, &["one", "two", "three"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    bench.store.set_latency(Duration::from_secs(85));
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.store.set_latency(MOMENT);
    second.sweep();
    // The registry loses what the first one asked for a minute and a half ago, while the second one is at work.
    loop {
        tokio::time::sleep(MOMENT).await;
        if bench.ledger.calls_by("second").len() == 1 {
            break;
        }
    }
    bench.store.fail_nth(1, Fault::LoseRequest);
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.ledger.calls(), ["one", "two", "two", "three"]);
    assert_eq!(
        bench.ledger.calls_by("first").len(),
        2,
        "it leaves the rest to the second one"
    );
}
