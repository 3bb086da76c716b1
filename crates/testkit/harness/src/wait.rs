//! Waiting for facts: looked for again and again until they are there, never for a time that was guessed.

use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is busy with other tests; a fact that is not there by then does not come.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What `look` finds, as soon as it finds it.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = eventually_or(look).await;
    found.unwrap_or_else(|| panic!("after {PATIENCE:?} there is still not: {what}"))
}

/// The same, or `None` when patience is over.
pub async fn eventually_or<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let found = look().await;
        if found.is_some() || begun.elapsed() > PATIENCE {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same where nothing can be awaited: in a `drop`.
pub fn eventually_blocking(patience: Duration, mut look: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !look() {
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::park_timeout(PAUSE);
    }
    true
}

/// Lets this much time pass, to the microsecond: the timers of a runtime only know milliseconds.
pub async fn spin(pause: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < pause {
        tokio::task::yield_now().await;
    }
}
