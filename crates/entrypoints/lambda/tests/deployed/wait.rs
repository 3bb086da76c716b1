//! Waiting for facts: looked for again and again until they are there, never for a time that was guessed.

use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is busy with other tests; a fact that is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What `look` finds, as soon as it finds it.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "after {PATIENCE:?} there is still not: {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
