//! What AWS was asked once and does not change, or not soon: remembered, and asked for by one while the others wait for the answer.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};
use wharf_domain::Failure;

/// Answers by key: the latest so many.
#[derive(Debug)]
pub(crate) struct Once<K, V> {
    most: usize,
    kept_for: Option<Duration>,
    answers: Mutex<Answers<K, V>>,
}

#[derive(Debug)]
struct Answers<K, V> {
    cells: HashMap<K, (Instant, Arc<OnceCell<V>>)>,
    /// The oldest first.
    order: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Once<K, V> {
    pub(crate) fn new(most: usize, kept_for: Option<Duration>) -> Self {
        Self {
            most,
            kept_for,
            answers: Mutex::new(Answers {
                cells: HashMap::new(),
                order: VecDeque::new(),
            }),
        }
    }

    /// The answer, asked for by `ask` where it is not known. A failure is not remembered.
    pub(crate) async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, Failure>
    where
        F: Future<Output = Result<V, Failure>>,
    {
        let cell = self.cell(key);
        cell.get_or_try_init(ask).await.cloned()
    }

    /// An answer that nobody had to be asked for.
    pub(crate) fn put(&self, key: K, value: V) {
        // One that is there already is as good.
        let _ = self.cell(key).set(value);
    }

    /// The answer is wrong by now.
    pub(crate) fn forget(&self, key: &K) {
        let mut answers = self.answers.lock();
        answers.cells.remove(key);
        answers.order.retain(|known| known != key);
    }

    /// The answer, if it is known.
    pub(crate) fn known(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let (since, cell) = answers.cells.get(key)?;
        if self.is_old(*since) { None } else { cell.get().cloned() }
    }

    fn is_old(&self, since: Instant) -> bool {
        self.kept_for.is_some_and(|kept_for| since.elapsed() >= kept_for)
    }

    fn cell(&self, key: K) -> Arc<OnceCell<V>> {
        let mut answers = self.answers.lock();
        if let Some((since, cell)) = answers.cells.get(&key)
            && !self.is_old(*since)
        {
            return cell.clone();
        }
        let cell = Arc::new(OnceCell::new());
        if answers
            .cells
            .insert(key.clone(), (Instant::now(), cell.clone()))
            .is_none()
        {
            answers.order.push_back(key);
        }
        while answers.order.len() > self.most
            && let Some(oldest) = answers.order.pop_front()
        {
            answers.cells.remove(&oldest);
        }
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use wharf_domain::Code;

    #[tokio::test(start_paused = true)]
    async fn many_ask_at_once_and_one_call_is_made() {
        let once = Once::new(10, None);
        let calls = Mutex::new(0);
        let asks = (0..20).map(|_| {
            once.get("key", async || {
                *calls.lock() += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(7)
            })
        });
        assert!(join_all(asks).await.into_iter().all(|answer| answer == Ok(7)));
        assert_eq!(*calls.lock(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_remembered_and_an_old_answer_neither() {
        let once = Once::new(10, Some(Duration::from_mins(1)));
        let failure = Failure::new(Code::AwsUnavailable, "no");
        assert_eq!(once.get(1, async || Err(failure.clone())).await, Err(failure));
        assert_eq!(once.get(1, async || Ok(1)).await, Ok(1));
        assert_eq!(once.known(&1), Some(1));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(once.known(&1), None);
        assert_eq!(once.get(1, async || Ok(2)).await, Ok(2));
    }

    #[tokio::test]
    async fn only_so_many_are_remembered() {
        let once = Once::new(2, None);
        for key in 0..3 {
            assert_eq!(once.get(key, async || Ok(key)).await, Ok(key));
        }
        assert_eq!(
            (once.known(&0), once.known(&1), once.known(&2)),
            (None, Some(1), Some(2))
        );
    }
}
