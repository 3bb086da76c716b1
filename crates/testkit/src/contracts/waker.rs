//! The contract of [`Waker`], as checks that run one by one against any adapter.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::waker_contract!(paused
//! make)` (or `real make`) in a test module of its own. A waker promises an effort; the checks are of what that effort
//! gives when nothing goes wrong.

use std::{any::Any, fmt, sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedReceiver;
use wharf_domain::InstanceId;
use wharf_saga::{Clock, Waker};

use super::harness::{some_instance, soon};

/// Makes a `#[test]` of every check, with wakers that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real` or `paused`.
#[macro_export]
macro_rules! waker_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { waker, $time $make:
            a_wake_comes_when_its_time_has_come_and_not_before,
            a_wake_whose_time_is_past_comes_at_once,
            wakes_come_in_the_order_of_their_times,
            many_instances_are_all_woken,
            the_last_wake_that_was_asked_for_comes,
        }
    };
}

/// A waker that nobody has asked yet, what it wakes, and what must live as long as it does.
pub struct Fixture {
    pub waker: Arc<dyn Waker>,
    pub clock: Arc<dyn Clock>,
    /// Each wake as it comes.
    pub wakes: UnboundedReceiver<(InstanceId, u64)>,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl Fixture {
    async fn ask(&self, id: &InstanceId, after: Duration, seq: u64) {
        self.waker.wake(id, self.clock.now() + after, seq).await;
    }

    async fn next(&mut self) -> (InstanceId, u64) {
        soon("a wake", self.wakes.recv()).await.expect("wakes go on")
    }
}

pub async fn a_wake_comes_when_its_time_has_come_and_not_before(mut fixture: Fixture) {
    let id = some_instance();
    let at = fixture.clock.now() + Duration::from_millis(300);
    fixture.waker.wake(&id, at, 7).await;
    assert_eq!(fixture.next().await, (id, 7));
    assert!(fixture.clock.now() >= at);
}

pub async fn a_wake_whose_time_is_past_comes_at_once(mut fixture: Fixture) {
    let id = some_instance();
    let now = fixture.clock.now();
    fixture.waker.wake(&id, now, 1).await;
    assert_eq!(fixture.next().await, (id, 1));
}

pub async fn wakes_come_in_the_order_of_their_times(mut fixture: Fixture) {
    let ids = [some_instance(), some_instance(), some_instance()];
    for (id, after) in ids.iter().zip([300, 100, 200]) {
        fixture.ask(id, Duration::from_millis(after), 1).await;
    }
    for expected in [1, 2, 0] {
        assert_eq!(fixture.next().await, (ids[expected].clone(), 1));
    }
}

pub async fn many_instances_are_all_woken(mut fixture: Fixture) {
    let mut expected: Vec<_> = (0..1000).map(|_| some_instance()).collect();
    for (number, id) in expected.iter().enumerate() {
        fixture.ask(id, Duration::from_millis(number as u64 % 50), 1).await;
    }
    let mut woken = Vec::new();
    for _ in &expected {
        woken.push(fixture.next().await.0);
    }
    woken.sort();
    expected.sort();
    assert_eq!(woken, expected);
}

pub async fn the_last_wake_that_was_asked_for_comes(mut fixture: Fixture) {
    let id = some_instance();
    fixture.ask(&id, Duration::from_hours(1), 1).await;
    fixture.ask(&id, Duration::from_millis(50), 2).await;
    loop {
        // One for a wait that is over may come too: it does nothing.
        let (woken, seq) = fixture.next().await;
        assert_eq!(woken, id);
        if seq == 2 {
            return;
        }
    }
}
