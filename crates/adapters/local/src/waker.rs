//! Wakes as timers of this process: the [`Waker`] of one machine.
//!
//! What must not be here: knowledge of what is woken. Wakes live in memory only; a restart loses them, and the sweep over what is
//! due finds what they were for.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::{Clock, Waker};

/// More wakes than this are not kept: the sweep serves those instances. 100,000 of them are some 15 MB.
const MOST_WAKES: usize = 100_000;
/// The longest sleep before the wall clock is read again: it may have been set, or the machine may have slept.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Calls back at the time, with the instance and the wait's number. One instance has at most one wake: a later wait replaces the
/// one before it.
#[derive(Debug)]
pub struct TimerWaker {
    shared: Arc<Shared>,
    timer: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    wakes: Mutex<Wakes>,
    /// The earliest wake may be another one now.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Wakes {
    by_time: BTreeSet<(Timestamp, InstanceId)>,
    by_instance: HashMap<InstanceId, (Timestamp, u64)>,
}

impl Wakes {
    /// Whether the timer has to look again.
    fn put(&mut self, id: &InstanceId, at: Timestamp, seq: u64) -> bool {
        match self.by_instance.get(id) {
            // A wake of an earlier wait that was overtaken on its way.
            Some((_, known)) if *known > seq => return false,
            Some((known_at, _)) => {
                self.by_time.remove(&(*known_at, id.clone()));
            }
            None if self.by_instance.len() >= MOST_WAKES => {
                tracing::warn!(instance = %id, "too many wakes are waiting: this one is left to the sweep");
                return false;
            }
            None => {}
        }
        self.by_instance.insert(id.clone(), (at, seq));
        self.by_time.insert((at, id.clone()));
        self.by_time.first().is_some_and(|(first, _)| *first == at)
    }

    fn take_due(&mut self, now: Timestamp) -> Option<(InstanceId, u64)> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, id) = self.by_time.pop_first()?;
        let (_, seq) = self.by_instance.remove(&id)?;
        Some((id, seq))
    }
}

impl TimerWaker {
    /// `wake` is called from a task of the current runtime, one call after another: it must be quick, and hand over
    /// what takes long.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(clock: Arc<dyn Clock>, wake: impl Fn(InstanceId, u64) + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            wakes: Mutex::default(),
            changed: Notify::new(),
        });
        let timer = tokio::spawn(run(shared.clone(), clock, wake));
        Self { shared, timer }
    }

    /// How many wakes are waiting.
    pub fn waiting(&self) -> usize {
        self.shared.wakes.lock().by_instance.len()
    }
}

impl Drop for TimerWaker {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

async fn run(shared: Arc<Shared>, clock: Arc<dyn Clock>, wake: impl Fn(InstanceId, u64)) {
    loop {
        let now = clock.now();
        // The lock is not held while the callback runs: it may ask for another wake.
        let due = shared.wakes.lock().take_due(now);
        if let Some((id, seq)) = due {
            wake(id, seq);
            // A thousand that are due at once take turns with the rest of the runtime.
            tokio::task::consume_budget().await;
            continue;
        }
        let next = shared.wakes.lock().by_time.first().map(|(at, _)| *at);
        match next {
            Some(at) => {
                let sleep = tokio::time::sleep(at.since(now).min(LONGEST_SLEEP));
                tokio::select! {
                    biased;
                    () = shared.changed.notified() => {}
                    () = sleep => {}
                }
            }
            None => shared.changed.notified().await,
        }
    }
}

#[async_trait]
impl Waker for TimerWaker {
    async fn wake(&self, id: &InstanceId, at: Timestamp, seq: u64) {
        let is_first = self.shared.wakes.lock().put(id, at, seq);
        if is_first {
            self.shared.changed.notify_one();
        }
    }
}
