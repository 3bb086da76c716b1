//! What the suites share: runtimes for checks, waiting for a fact, ids that differ.
//!
//! What must not be here: anything about one trait.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use wharf_domain::{Attempt, DeploymentId, InstanceId, Timestamp};
use wharf_platform::Owner;

/// How long a fact may take to become true: long enough for a busy machine, and only waited for where something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Makes a `#[test]` of every check of a suite. `real` runs against the world's time, `paused` against a time that goes
/// on by itself as soon as everybody waits for it.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($suite:ident, $time:ident $make:path: $($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                $crate::contracts::harness::$time(async {
                    $crate::contracts::$suite::$check($make().await).await;
                });
            }
        )*
    };
}

/// Runs a check in real time, on two threads.
pub fn real(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(check);
}

/// Runs a check in simulated time, on one thread.
pub fn paused(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(check);
}

/// Looks until there is something, and gives it.
///
/// # Panics
///
/// With `what`, if it takes too long.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Waits for one thing.
///
/// # Panics
///
/// With `what`, if it takes too long.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// An instance that no other check of this process has.
pub fn some_instance() -> InstanceId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    InstanceId::new(Timestamp(NEXT.fetch_add(1, Ordering::Relaxed)), [7; 10])
}

/// A first attempt of an instance of its own.
pub fn some_owner(deployment: &DeploymentId) -> Owner {
    Owner {
        deployment: deployment.clone(),
        instance: some_instance(),
        attempt: Attempt(1),
    }
}
