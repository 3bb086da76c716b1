//! Waits are data. Wakes may be lost, doubled, stale and late; a thousand may sleep.

use std::time::Duration;
use wharf_saga::limits;
use wharf_testkit::sim::waker::Manner;

use super::support::{Act, Bench, Data, Message, Phase, took};

const LONG: Duration = Duration::from_mins(30);

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_put_down_and_taken_up_at_its_time() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("two", [Act::Wait(LONG), Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one", "two", "three"]).await;
    bench.until(&id, "it sleeps", |record| record.wake_seq == 1).await;
    let asleep = bench.stored(&id).await;
    assert_eq!(asleep.lease.holder, None, "nobody holds what sleeps");
    assert_eq!(asleep.wake.expect("a wake").at, bench.world.now() + LONG);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!machine.engine.is_driving(&id), "nothing of it is in memory");
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.elapsed(), LONG * 2);
    assert_eq!(bench.ledger.calls(), ["one", "two", "two", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_wake_is_found_by_the_sweep() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.waker.set(Manner::Loses);
    machine.sweep();
    bench.ledger.script("one", [Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one"]).await;
    bench.ended(&id, Phase::Finished).await;
    assert!(
        bench.elapsed() >= LONG && bench.elapsed() <= LONG + limits::SWEEP,
        "{:?}",
        bench.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_doubled_wake_is_one_call() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.sweep();
    machine.waker.set(Manner::Doubles);
    bench.ledger.script("one", [Act::Wait(LONG), Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one"]).await;
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.ledger.calls(), ["one", "one", "one"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_wake_does_nothing() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.script("one", [Act::Wait(LONG), Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one"]).await;
    bench.until(&id, "it sleeps again", |record| record.wake_seq == 2).await;
    let before = (bench.store.commits(), bench.ledger.calls().len());
    for seq in [0, 1, 2, 99] {
        machine.engine.wake(&id, seq);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((bench.store.commits(), bench.ledger.calls().len()), before);
    bench.ended(&id, Phase::Finished).await;
    machine.engine.wake(&id, 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.ledger.calls().len(), before.1 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_wake_is_still_a_wake() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    machine.waker.set(Manner::Late(Duration::from_mins(1)));
    bench.ledger.script("one", [Act::Wait(LONG)]);
    let id = bench.claim(&machine, &["one"]).await;
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.elapsed(), LONG + Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_asleep_are_all_taken_up_in_time_after_a_crash() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let (minute, mut ids) = (Duration::from_mins(1), Vec::new());
    // Each waits once, then goes on.
    bench.ledger.script("two", vec![Act::Wait(minute); 1000]);
    for _ in 0..1000 {
        ids.push(bench.claim(&machine, &["one", "two", "three"]).await);
    }
    for id in &ids {
        bench.until(id, "it sleeps", |record| record.wake_seq == 1).await;
    }
    machine.process.kill();
    tokio::time::sleep(Duration::from_secs(10)).await;
    bench.store.restart(bench.world.now());

    let heir = bench.machine("b");
    heir.sweep();
    let asleep = heir.engine.resume().await.expect("resumed");
    assert_eq!(asleep, 0, "none is due yet");
    for id in &ids {
        bench.ended(id, Phase::Finished).await;
        assert_eq!(
            bench.ledger.calls_of(id),
            ["one", "two", "two", "three"],
            "no step was run twice"
        );
    }
    assert!(
        bench.elapsed() <= minute + Duration::from_secs(2),
        "{:?}",
        bench.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_at_rest_is_asked_again_when_it_wanted_to_be() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let data = Data {
        rests_for: Some(60_000),
        ..Data::default()
    };
    let id = bench.try_claim(&machine, &["one"], data).await.expect("claimed");
    bench.ended(&id, Phase::Finished).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    // A message in between does not make it forget.
    let noise = Message::Noise("in between".to_owned());
    machine.engine.send(&id, &noise, None).await.expect("sent");
    let (record, waited) = took(
        &bench,
        bench.until(&id, "it was asked", |record| record.data.asked == 1),
    )
    .await;
    assert_eq!(record.data.heard, ["in between"]);
    assert!(waited <= Duration::from_secs(31), "{waited:?}");
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(bench.record(&id).await.data.asked, 1, "once");
    assert_eq!(bench.stored(&id).await.wake, None);
}

#[tokio::test(start_paused = true)]
async fn an_appointment_that_came_while_nobody_drove_is_kept_by_whoever_drives_next() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let data = Data {
        rests_for: Some(60_000),
        ..Data::default()
    };
    let id = bench.try_claim(&machine, &["one"], data).await.expect("claimed");
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.record(&id).await.data.asked, 0);
    machine.process.kill();
    tokio::time::sleep(Duration::from_hours(5)).await;
    assert_eq!(bench.record(&id).await.data.asked, 0);
    bench.machine("b").sweep();
    let (record, waited) = took(
        &bench,
        bench.until(&id, "it was asked", |record| record.data.asked == 1),
    )
    .await;
    assert_eq!(record.data.appointment, None);
    assert!(waited <= limits::SWEEP, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn an_appointment_that_is_past_when_it_is_made_is_kept_at_once() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    let data = Data {
        rests_for: Some(0),
        ..Data::default()
    };
    let id = bench.try_claim(&machine, &["one"], data).await.expect("claimed");
    let (_, waited) = took(
        &bench,
        bench.until(&id, "it was asked", |record| record.data.asked == 1),
    )
    .await;
    assert!(waited <= Duration::from_secs(1), "{waited:?}");
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(bench.record(&id).await.data.asked, 1, "once");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_puts_waits_down_and_lets_leases_go() {
    let bench = Bench::new();
    let machine = bench.machine("a");
    bench.ledger.habit("two", Act::Wait(limits::LINGER));
    let id = bench.claim(&machine, &["one", "two"]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(machine.engine.is_driving(&id), "it lingers");
    let ((), waited) = took(&bench, machine.engine.shutdown(Duration::from_secs(30))).await;
    assert!(waited < limits::LINGER, "{waited:?}");
    assert_eq!(bench.stored(&id).await.lease.holder, None);
    assert!(!machine.engine.is_driving(&id));

    let heir = bench.machine("b");
    bench.ledger.habit("two", Act::Done);
    heir.sweep();
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
    assert!(
        waited <= limits::SWEEP + limits::LINGER,
        "no takeover was needed: {waited:?}"
    );
}
