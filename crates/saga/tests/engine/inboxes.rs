//! Messages: read before each step, never missed between look and sleep, in pages, unreadable ones passed over.

use std::time::Duration;
use wharf_saga::{limits, store::Store};

use super::support::{Act, Bench, Message, Phase, took};

const LONG: Duration = Duration::from_mins(30);

fn noise(text: &str) -> Message {
    Message::Noise(text.to_owned())
}

fn body(message: &Message) -> String {
    serde_json::to_string(message).expect("plain data")
}

#[tokio::test(start_paused = true)]
async fn a_message_between_look_and_sleep_is_not_missed() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    // While two is called somebody appends a stop, without telling this process; then two wants to wait for long.
    bench.ledger.script("two", [Act::HearAndWait(Message::Stop, LONG)]);
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Undone)).await;
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert_eq!(bench.world.trace().lines_with("the inbox has moved on").len(), 1);
    assert_eq!(bench.ledger.calls(), ["one", "two", "undo two", "undo one"]);
}

#[tokio::test(start_paused = true)]
async fn the_inbox_is_read_before_each_step() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("one", [Act::Slow(Duration::from_secs(2))]);
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Another machine appends: nothing is heard of it here until the next commit's answer.
    let now = bench.world.now();
    bench
        .store
        .append(&id, body(&Message::Stop), None, now)
        .await
        .expect("appended");
    bench.ended(&id, Phase::Undone).await;
    // The intent of two was written when the message was heard of, so it is undone, though it was never called.
    assert_eq!(bench.ledger.calls(), ["one", "undo two", "undo one"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_wakes_a_sleeper_at_once() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    let (_, waited) = took(&bench, async {
        machine.engine.send(&id, &Message::Stop, None).await.expect("sent");
        bench.ended(&id, Phase::Undone).await
    })
    .await;
    assert!(waited < Duration::from_millis(10), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_ends_a_short_wait_is_heard_at_once() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Wait(limits::LINGER)]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, waited) = took(&bench, async {
        machine.engine.send(&id, &Message::Stop, None).await.expect("sent");
        bench.ended(&id, Phase::Undone).await
    })
    .await;
    assert!(waited < Duration::from_millis(10), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn another_machines_message_is_found_by_the_sweep() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.sweep();
    bench.ledger.script("two", [Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    let now = bench.world.now();
    bench
        .store
        .append(&id, body(&Message::Stop), None, now)
        .await
        .expect("appended");
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Undone)).await;
    assert!(waited <= limits::SWEEP + Duration::from_millis(10), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_changes_nothing_leaves_the_wait_as_it_is() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Wait(LONG), Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    machine.engine.send(&id, &noise("hello"), None).await.expect("sent");
    let record = bench.until(&id, "it sleeps again", |record| record.wake_seq == 2).await;
    assert_eq!(record.data.heard, ["hello"]);
    bench.ended(&id, Phase::Finished).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_the_inbox_moved_is_found_by_the_sweep() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    // The wait is not written, for the inbox has moved; and in the next call the process ends.
    bench
        .ledger
        .script("two", [Act::HearAndWait(noise("x"), LONG), Act::Hang]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench
        .until(&id, "the message was read", |record| !record.data.heard.is_empty())
        .await;
    machine.process.kill();
    let heir = bench.machine("b");
    heir.sweep();
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
    assert!(waited < Duration::from_mins(2), "its wake was still there: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_beyond_a_page_are_all_heard_once_and_in_order() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("one", [Act::Slow(Duration::from_secs(1))]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    let texts: Vec<String> = (0..limits::INBOX_PAGE * 3 + 5)
        .map(|number| number.to_string())
        .collect();
    for text in &texts {
        machine.engine.send(&id, &noise(text), None).await.expect("sent");
    }
    let record = bench.ended(&id, Phase::Finished).await;
    assert_eq!(record.data.heard, texts);
    let stored = bench.stored(&id).await;
    assert_eq!(stored.inbox_head, stored.inbox_read);
}

#[tokio::test(start_paused = true)]
async fn a_message_nobody_can_read_is_passed_over() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    let now = bench.world.now();
    for text in ["{\"Later\": 7}", "nonsense"] {
        bench
            .store
            .append(&id, text.to_owned(), None, now)
            .await
            .expect("appended");
    }
    machine.engine.send(&id, &noise("after"), None).await.expect("sent");
    let record = bench
        .until(&id, "it heard", |record| !record.data.heard.is_empty())
        .await;
    assert_eq!(record.data.heard, ["after"]);
    bench.ended(&id, Phase::Finished).await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_message_is_heard_once() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let id = bench.claim(&machine, &["one"]).await;
    bench.ended(&id, Phase::Finished).await;
    for _ in 0..3 {
        let sent = machine.engine.send(&id, &noise("once"), Some("key".to_owned())).await;
        assert_eq!(sent, Ok(Some(1)));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(bench.record(&id).await.data.heard, ["once"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_to_nobody_is_told_so() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let nobody = bench.batch().instance;
    assert_eq!(machine.engine.send(&nobody, &Message::Stop, None).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_stop_turns_back_also_what_has_just_been_done() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    // It comes while the last step is called: the saga would have ended with the next commit.
    bench.ledger.script("two", [Act::Slow(Duration::from_secs(1))]);
    let id = bench.claim(&machine, &["one", "two"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    machine.engine.send(&id, &noise("first"), None).await.expect("sent");
    machine.engine.send(&id, &Message::Stop, None).await.expect("sent");
    let record = bench
        .until(&id, "it heard", |record| !record.data.heard.is_empty())
        .await;
    // The saga was over when the message was read: what a stop means then is the workflow's business.
    assert_eq!(record.data.heard, ["first", "stop"]);
    assert_eq!(record.data.state, Phase::Finished);
}

#[tokio::test(start_paused = true)]
async fn messages_while_it_unwinds_do_not_turn_it_around() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("three", [Act::Fail]);
    bench.ledger.script("undo two", [Act::Wait(Duration::from_secs(10))]);
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    bench.until(&id, "it unwinds", |record| record.wake_seq == 1).await;
    machine.engine.send(&id, &Message::Stop, None).await.expect("sent");
    machine.engine.send(&id, &noise("x"), None).await.expect("sent");
    let record = bench.ended(&id, Phase::Undone).await;
    assert!(record.data.done.is_empty());
}
