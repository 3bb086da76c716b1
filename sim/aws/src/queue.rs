//! The wake queue: at least once, in no order, later for some; a message that nobody could handle comes again, and after a few times no more.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use wharf_aws::WakeMessage;
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::{Clock, Seen, Waker};
use wharf_testkit::sim::{Process, chance::Chance};

/// As in deploy/template.yaml: six times what an invocation may take, and so many deliveries.
pub(crate) const VISIBILITY: Duration = Duration::from_mins(24);
const DELIVERIES_MOST: u32 = 5;
/// What SQS delays a message by, at most.
const DELAY_MAX: Duration = Duration::from_mins(15);
/// What one receive gives, at most.
const BATCH: usize = 10;
/// From a message's sending until it can be received.
const WAY: Duration = Duration::from_millis(20);

/// A message that was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) receipt: String,
    pub(crate) body: String,
    pub(crate) deliveries: u32,
}

#[derive(Debug)]
struct Message {
    body: String,
    deliveries: u32,
    receipt: String,
}

#[derive(Debug, Default)]
struct State {
    /// By when each is visible.
    messages: BTreeMap<(Instant, u64), Message>,
    count: u64,
    /// The dead letters.
    given_up: Vec<String>,
}

/// The queue. Every clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    state: Arc<Mutex<State>>,
    sent: Arc<Notify>,
    chance: Arc<Chance>,
    /// How often a message comes once more, though it was deleted.
    doubled: f64,
}

impl Queue {
    pub(crate) fn new(seed: u64, doubled: f64) -> Self {
        Self {
            state: Arc::default(),
            sent: Arc::new(Notify::new()),
            chance: Arc::new(Chance::new(seed ^ 0x5153)),
            doubled,
        }
    }

    pub(crate) fn send(&self, body: &str, after: Duration) {
        let visible_at = Instant::now() + after.min(DELAY_MAX) + WAY.mul_f64(1.0 + self.chance.fraction());
        let copies = if self.chance.fraction() < self.doubled { 2 } else { 1 };
        let mut state = self.state.lock();
        for copy in 0..copies {
            state.count += 1;
            let message = Message {
                body: body.to_owned(),
                deliveries: 0,
                receipt: String::new(),
            };
            let late = WAY.mul_f64(f64::from(copy) * 50.0 * self.chance.fraction());
            let key = (visible_at + late, state.count);
            state.messages.insert(key, message);
        }
        drop(state);
        self.sent.notify_waiters();
    }

    /// What is visible, as soon as there is something; nothing where there is nothing for so long.
    pub(crate) async fn receive(&self, wait: Duration) -> Vec<Received> {
        let something = async {
            loop {
                let sent = self.sent.notified();
                let received = self.take();
                if !received.is_empty() {
                    return received;
                }
                let next = self.state.lock().messages.keys().next().map(|(at, _)| *at);
                tokio::select! {
                    biased;
                    () = sent => {}
                    () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                }
            }
        };
        timeout(wait, something).await.unwrap_or_default()
    }

    fn take(&self) -> Vec<Received> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let mut received = Vec::new();
        while received.len() < BATCH
            && let Some(entry) = state.messages.first_entry()
            && entry.key().0 <= now
        {
            let mut message = entry.remove();
            if message.deliveries >= DELIVERIES_MOST {
                state.given_up.push(message.body);
                continue;
            }
            message.deliveries += 1;
            state.count += 1;
            message.receipt = format!("receipt-{}", state.count);
            received.push(Received {
                receipt: message.receipt.clone(),
                body: message.body.clone(),
                deliveries: message.deliveries,
            });
            let key = (now + VISIBILITY, state.count);
            state.messages.insert(key, message);
        }
        received
    }

    pub(crate) fn delete(&self, receipt: &str) {
        self.state
            .lock()
            .messages
            .retain(|_, message| message.receipt != receipt);
    }

    /// Whether a message is on the queue still, seen or unseen.
    pub(crate) fn holds(&self, body: &str) -> bool {
        let state = self.state.lock();
        state.messages.values().any(|message| message.body == body)
    }

    /// Whether a message is among the dead letters.
    pub(crate) fn gave_up(&self, body: &str) -> bool {
        self.state.lock().given_up.iter().any(|given_up| given_up == body)
    }

    /// It comes again so soon.
    pub(crate) fn again_in(&self, receipt: &str, after: Duration) {
        let mut state = self.state.lock();
        let key = state
            .messages
            .iter()
            .find(|(_, message)| message.receipt == receipt)
            .map(|(key, _)| *key);
        if let Some((key, message)) = key.and_then(|key| Some((key, state.messages.remove(&key)?))) {
            state.messages.insert((Instant::now() + after, key.1), message);
        }
        drop(state);
        self.sent.notify_waiters();
    }
}

/// Wakes by the queue, as one process asks for them.
pub(crate) struct QueueWaker {
    pub(crate) process: Process,
    pub(crate) queue: Queue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Chance,
    /// How often a wake is not asked for, because the call failed.
    pub(crate) lost: f64,
}

impl QueueWaker {
    async fn send(&self, message: WakeMessage, after: Duration) {
        let sending = async {
            tokio::time::sleep(WAY / 4).await;
            let lost = self.chance.fraction() < self.lost;
            if !lost {
                let body = serde_json::to_string(&message).unwrap_or_default();
                // Whole seconds, as the API has it.
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                self.queue.send(&body, Duration::from_secs(seconds));
            }
            lost
        };
        let told = |lost: &bool| if *lost { "lost" } else { "ok" }.to_owned();
        let what = format!("{message:?}");
        self.process.through("queue.send", what, sending, told).await;
    }
}

#[async_trait]
impl Waker for QueueWaker {
    async fn wake(&self, id: &InstanceId, at: Timestamp, seq: u64) {
        let after = at.since(self.clock.now());
        let message = WakeMessage::Wake {
            id: id.clone(),
            seq,
            at: (after > DELAY_MAX).then_some(at),
        };
        self.send(message, after).await;
    }

    async fn recheck(&self, id: &InstanceId, seen: Seen, after: Duration) {
        self.send(WakeMessage::Lease { id: id.clone(), seen }, after).await;
    }
}
