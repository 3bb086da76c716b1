//! What timers do beyond the contract: one wake for each instance, the latest wait's.

use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use wharf_domain::{InstanceId, Timestamp};
use wharf_local::TimerWaker;
use wharf_saga::{Clock, Waker};

/// Stands still until it is set.
struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

struct Fixture {
    waker: TimerWaker,
    clock: Arc<SetClock>,
    wakes: UnboundedReceiver<(InstanceId, u64)>,
}

fn fixture() -> Fixture {
    let clock = Arc::new(SetClock(Mutex::new(Timestamp(1000))));
    let (woken, wakes) = mpsc::unbounded_channel();
    let waker = TimerWaker::new(clock.clone(), move |id, seq| {
        let _ = woken.send((id, seq));
    });
    Fixture { waker, clock, wakes }
}

fn instance() -> InstanceId {
    InstanceId::new(Timestamp(1), [1; 10])
}

#[tokio::test(start_paused = true)]
async fn a_later_wait_replaces_the_one_before() {
    let Fixture {
        waker,
        clock,
        mut wakes,
    } = fixture();
    waker.wake(&instance(), Timestamp(1010), 1).await;
    waker.wake(&instance(), Timestamp(1020), 2).await;
    assert_eq!(waker.waiting(), 1);
    *clock.0.lock() = Timestamp(2000);
    assert_eq!(wakes.recv().await, Some((instance(), 2)));
    assert_eq!(waker.waiting(), 0);
    assert!(wakes.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_earlier_wait_that_comes_late_changes_nothing() {
    let Fixture {
        waker,
        clock,
        mut wakes,
    } = fixture();
    waker.wake(&instance(), Timestamp(1020), 2).await;
    waker.wake(&instance(), Timestamp(1010), 1).await;
    *clock.0.lock() = Timestamp(2000);
    assert_eq!(wakes.recv().await, Some((instance(), 2)));
    assert!(wakes.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_is_noticed() {
    let Fixture {
        waker,
        clock,
        mut wakes,
    } = fixture();
    waker.wake(&instance(), Timestamp(1000 + 7 * 24 * 3_600_000), 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    *clock.0.lock() = Timestamp(1000 + 8 * 24 * 3_600_000);
    let begun = tokio::time::Instant::now();
    assert_eq!(wakes.recv().await, Some((instance(), 1)));
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waker_wakes_nobody() {
    let Fixture {
        waker,
        clock,
        mut wakes,
    } = fixture();
    waker.wake(&instance(), Timestamp(1010), 1).await;
    drop(waker);
    *clock.0.lock() = Timestamp(2000);
    assert_eq!(wakes.recv().await, None);
}
