//! How long a call waits for others that it could be one call with: not at all after a pause, and the rest of a moment where another one was just sent. So who comes
//! alone loses no time, and who comes in a crowd shares.

use parking_lot::Mutex;
use std::{borrow::Borrow, collections::HashMap, hash::Hash, time::Duration};
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

/// Beyond so many keys those are forgotten whose moment is over.
const MOST: usize = 256;

#[derive(Debug)]
pub(crate) struct Gathering<K> {
    /// Two calls of the same kind have so much between them, or the later one had nobody to wait for.
    moment: Duration,
    /// When the last call of each kind was, or is to be, sent.
    sent: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Gathering<K> {
    pub(crate) fn new(moment: Duration) -> Self {
        Self {
            moment,
            sent: Mutex::default(),
        }
    }

    /// Returns when it is time to send.
    pub(crate) async fn wait<Q>(&self, kind: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let now = Instant::now();
        let at = {
            let mut sent = self.sent.lock();
            if sent.len() >= MOST {
                sent.retain(|_, at| *at + self.moment > now);
            }
            let at = sent.get(kind).map_or(now, |last| now.max(*last + self.moment));
            sent.insert(kind.to_owned(), at);
            at
        };
        if at > now {
            sleep_until(at).await;
        } else {
            // Those who are ready as well come along.
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(30);

    #[tokio::test(start_paused = true)]
    async fn who_comes_after_a_pause_does_not_wait_and_who_comes_right_after_another_does() {
        let gathering = Gathering::<String>::new(MOMENT);
        let began = Instant::now();
        gathering.wait("a").await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        tokio::time::advance(Duration::from_millis(10)).await;
        gathering.wait("a").await;
        assert_eq!(began.elapsed().as_millis(), 30, "a moment after the first");
        gathering.wait("b").await;
        assert_eq!(began.elapsed().as_millis(), 30, "of another kind");
        tokio::time::advance(2 * MOMENT).await;
        gathering.wait("a").await;
        assert_eq!(began.elapsed().as_millis(), 90);
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_whose_moment_is_over_are_forgotten() {
        let gathering = Gathering::<String>::new(MOMENT);
        for number in 0..3 * MOST {
            tokio::time::advance(MOMENT).await;
            gathering.wait(number.to_string().as_str()).await;
            assert!(gathering.sent.lock().len() <= MOST);
        }
    }
}
