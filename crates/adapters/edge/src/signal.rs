//! Something that happens once, and that any number of tasks on any thread wait for.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Signal {
    given: AtomicBool,
    waiting: Notify,
}

impl Signal {
    pub(crate) fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.waiting.notify_waiters();
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    /// Ends when it is given, or at once if it was.
    pub(crate) async fn given(&self) {
        let mut notified = pin!(self.waiting.notified());
        // Listening comes before looking, so that nothing falls in between.
        notified.as_mut().enable();
        if !self.is_given() {
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn who_waits_and_who_comes_later_both_get_it() {
        let signal = Signal::default();
        let mut early = Box::pin(signal.given());
        assert!(early.as_mut().now_or_never().is_none());
        signal.give();
        early.await;
        signal.given().await;
    }
}
