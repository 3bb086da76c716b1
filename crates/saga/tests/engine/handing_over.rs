//! Processes that live for one invocation: they claim without driving, hand over before they are stopped, and remember no lease.

use std::time::Duration;
use tokio::time::Instant;
use wharf_saga::{limits, store::Store};

use super::support::{Act, Bench, Data, Machine, Phase, took};

/// From the moment at which a lease was first seen until it may be taken.
const TAKEN_AFTER: Duration = limits::LEASE.saturating_add(limits::LEASE_MARGIN);

/// Whatever this machine would look at again goes to one that has never seen the lease.
fn recheck_at(seer: &Machine, fresh: &Machine) {
    let fresh = fresh.engine.clone();
    seer.waker.connect_recheck(move |id, seen| fresh.recheck(id, seen));
}

#[tokio::test(start_paused = true)]
async fn a_door_claims_and_another_drives() {
    let bench = Bench::new();
    let driver = bench.machine("driver");
    let door = bench.door("door", &driver);
    let id = bench.claim(&door, &["one", "two"]).await;
    assert!(!door.engine.is_driving(&id));
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.ledger.calls_by("driver").len(), 2);
    assert!(bench.ledger.calls_by("door").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_door_claims_is_due_at_once_though_its_wake_is_lost() {
    let bench = Bench::new();
    let driver = bench.machine("driver");
    let door = bench.door("door", &driver);
    door.waker.set(wharf_testkit::sim::waker::Manner::Loses);
    let id = bench.claim(&door, &["one"]).await;
    assert_eq!(bench.stored(&id).await.lease.holder, None);
    let (taken, took) = took(&bench, driver.engine.sweep()).await;
    assert_eq!(taken.expect("swept"), 1);
    assert!(took < Duration::from_secs(1), "{took:?}");
    bench.ended(&id, Phase::Finished).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_through_a_door_reaches_the_driver() {
    let bench = Bench::new();
    let driver = bench.machine("driver");
    let door = bench.door("door", &driver);
    bench.ledger.habit("two", Act::Wait(Duration::from_hours(2)));
    let id = bench.claim(&door, &["one", "two"]).await;
    bench.until(&id, "it waits", |record| record.wake_seq > 0).await;
    let heard = super::support::Message::Noise("hello".to_owned());
    door.engine.send(&id, &heard, None).await.expect("sent");
    door.engine.settled().await;
    bench
        .until(&id, "it has heard", |record| record.data.heard == ["hello"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_hands_over_before_its_deadline() {
    let bench = Bench::new();
    let (first, second) = (bench.machine("first"), bench.machine("second"));
    let heir = second.engine.clone();
    first.waker.connect(move |id, seq| heir.wake(id, seq));
    bench.ledger.script("two", [Act::Slow(Duration::from_secs(15))]);
    // There is time for the second step, and not for the third.
    first.engine.set_deadline(Some(
        Instant::now() + limits::STEP_TIMEOUT + limits::LEASE_MARGIN + Duration::from_secs(10),
    ));
    let id = bench.claim(&first, &["one", "two", "three"]).await;
    let ((), taken) = took(&bench, first.engine.settled()).await;
    assert!(taken < Duration::from_secs(16), "{taken:?}");
    assert_eq!(bench.ledger.calls()[..2], ["one", "two"]);
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
    assert!(waited < Duration::from_secs(1), "nobody waits for a lease: {waited:?}");
    let by_heir: Vec<_> = bench
        .ledger
        .calls_by("second")
        .into_iter()
        .map(|call| call.what)
        .collect();
    assert_eq!(by_heir, ["three"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_drivers_lease_is_taken_over_by_machines_that_remember_nothing() {
    let bench = Bench::new();
    let first = bench.machine("first");
    bench.ledger.script("two", [Act::PauseProcess]);
    let id = bench.claim(&first, &["one", "two", "three"]).await;
    bench
        .until(&id, "it is stopped in the middle", |_| bench.ledger.calls().len() == 2)
        .await;
    let (second, third) = (bench.machine("second"), bench.machine("third"));
    recheck_at(&second, &third);
    // It comes due when the dead one's lease would be over, and is then seen for the first time.
    tokio::time::sleep(TAKEN_AFTER).await;
    assert_eq!(second.engine.sweep().await.expect("swept"), 1);
    let (_, waited) = took(&bench, bench.ended(&id, Phase::Finished)).await;
    assert!(
        waited >= TAKEN_AFTER && waited < TAKEN_AFTER + Duration::from_secs(5),
        "{waited:?}"
    );
    assert!(bench.ledger.calls_by("second").is_empty());
    assert_eq!(bench.ledger.calls_by("third").len(), 2, "two again, and three");
}

#[tokio::test(start_paused = true)]
async fn a_living_drivers_lease_is_not_taken_over_by_a_second_look() {
    let bench = Bench::new();
    let first = bench.machine("first");
    for step in ["one", "two", "three"] {
        bench.ledger.script(step, [Act::Slow(Duration::from_secs(19))]);
    }
    let id = bench.claim(&first, &["one", "two", "three"]).await;
    let (second, third) = (bench.machine("second"), bench.machine("third"));
    recheck_at(&second, &third);
    recheck_at(&third, &second);
    tokio::time::sleep(TAKEN_AFTER).await;
    second.engine.sweep().await.expect("swept");
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.ledger.calls_by("first").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_comes_before_its_time_comes_again() {
    let bench = Bench::new();
    let (skew, wait) = (Duration::from_mins(5), Duration::from_mins(30));
    let first = bench.machine("first");
    let slow = bench.machine_with("slow", bench.world.clock().behind(skew), |_| true);
    let heir = slow.engine.clone();
    first.waker.connect(move |id, seq| heir.wake(id, seq));
    bench.ledger.script("two", [Act::Wait(wait)]);
    let id = bench.claim(&first, &["one", "two"]).await;
    // Nobody sweeps: what the slow machine passed over would be lost.
    bench.ended(&id, Phase::Finished).await;
    assert_eq!(bench.elapsed(), wait + skew);
    assert_eq!(bench.ledger.calls_by("slow").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_engine_is_settled_at_once() {
    let bench = Bench::new();
    let machine = bench.machine("machine");
    machine.engine.settled().await;
    let id = bench
        .try_claim(&machine, &["one"], Data::default())
        .await
        .expect("claimed");
    machine.engine.settled().await;
    assert!(!machine.engine.is_driving(&id));
    assert!(bench.store.load(&id).await.expect("read").is_some());
    assert_eq!(bench.ledger.calls(), ["one"]);
}
