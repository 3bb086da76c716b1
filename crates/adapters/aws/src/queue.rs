//! What is on the wake queue, for a server that reads it by itself: a long poll, each message handed on, and deleted when that went well.
//!
//! On Lambda nobody calls this: there AWS reads the queue. What a message says is not looked at here.

use aws_sdk_sqs::{config, types::Message};
use aws_smithy_types::timeout::TimeoutConfig;
use futures::FutureExt;
use std::{fmt, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use wharf_domain::Failure;

use crate::{clients::Clients, governor::Governor, operations::Operation};

/// The longest poll that SQS has; a shorter one costs more and finds nothing sooner.
const POLL: Duration = Duration::from_secs(20);
/// Beyond the poll itself.
const POLL_MARGIN: Duration = Duration::from_secs(5);
/// The most that one answer may hold.
const BATCH: usize = 10;
/// After a poll that failed; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_secs(30);

/// Reads one queue.
pub struct QueueReceiver {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    queue_url: String,
    at_once: usize,
}

impl fmt::Debug for QueueReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueReceiver")
            .field("queue_url", &self.queue_url)
            .field("at_once", &self.at_once)
            .finish_non_exhaustive()
    }
}

impl QueueReceiver {
    /// `at_once` is how many messages are handed on at the same time, at least one.
    #[must_use]
    pub fn new(clients: Arc<Clients>, governor: Arc<Governor>, queue_url: String, at_once: usize) -> Self {
        Self {
            clients,
            governor,
            queue_url,
            at_once: at_once.max(1),
        }
    }

    /// Hands each message's body to `handle` until `stop`, and then waits for those under way. A message of which `handle` fails or panics stays in the queue
    /// and comes again when its visibility is over, until the queue's redrive policy puts it aside.
    pub async fn run<F, H>(self: Arc<Self>, stop: CancellationToken, handle: F)
    where
        F: Fn(String) -> H + Send + Sync + 'static,
        H: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let handle = Arc::new(handle);
        let room = Arc::new(Semaphore::new(self.at_once));
        let mut under_way = JoinSet::new();
        let mut pause = PAUSE_FIRST;
        while let Some(first) = stop.run_until_cancelled(room.clone().acquire_owned()).await {
            while under_way.try_join_next().is_some() {}
            let mut permits: Vec<OwnedSemaphorePermit> = first.into_iter().collect();
            while permits.len() < BATCH
                && let Ok(permit) = room.clone().try_acquire_owned()
            {
                permits.push(permit);
            }
            let receiving = Box::pin(self.receive(permits.len()));
            match stop.run_until_cancelled(receiving).await {
                None => break,
                Some(Ok(messages)) => {
                    pause = PAUSE_FIRST;
                    for (message, permit) in messages.into_iter().zip(permits) {
                        let (receiver, handle) = (self.clone(), handle.clone());
                        under_way.spawn(async move {
                            receiver.hand_on(message, handle.as_ref()).await;
                            drop(permit);
                        });
                    }
                }
                Some(Err(failure)) => {
                    tracing::error!(code = %failure.code, error = %failure, "the queue cannot be read");
                    if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                        break;
                    }
                    pause = (pause * 2).min(PAUSE_LONGEST);
                }
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    async fn receive(&self, most: usize) -> Result<Vec<Message>, Failure> {
        let client = self.clients.sqs().await;
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(POLL + POLL_MARGIN)
            .operation_timeout(POLL + POLL_MARGIN)
            .build();
        let send = || {
            client
                .receive_message()
                .queue_url(&self.queue_url)
                .max_number_of_messages(i32::try_from(most).unwrap_or(1))
                .wait_time_seconds(i32::try_from(POLL.as_secs()).unwrap_or(1))
                .customize()
                .config_override(config::Builder::new().timeout_config(timeouts.clone()))
                .send()
        };
        let deadline = Instant::now() + POLL + POLL_MARGIN;
        let answer = self
            .governor
            .ask(Operation::SqsReceiveMessage, &self.queue_url, deadline, send)
            .await?;
        Ok(answer.messages.unwrap_or_default())
    }

    async fn hand_on<F, H>(&self, message: Message, handle: &F)
    where
        F: Fn(String) -> H,
        H: Future<Output = Result<(), Failure>>,
    {
        let id = message.message_id.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        let handled = AssertUnwindSafe(async { handle(body).await }).catch_unwind().await;
        match handled {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::warn!(record = id, code = %failure.code, error = %failure, "a message was not handled, and comes again");
                return;
            }
            Err(_) => {
                tracing::error!(record = id, "handling a message panicked; it comes again");
                return;
            }
        }
        let Some(receipt) = message.receipt_handle else {
            return;
        };
        let client = self.clients.sqs().await;
        let send = || {
            let call = client.delete_message().queue_url(&self.queue_url);
            call.receipt_handle(&receipt).send()
        };
        let deleted = self
            .governor
            .ask(Operation::SqsDeleteMessage, &self.queue_url, Governor::deadline(), send)
            .await;
        if let Err(failure) = deleted {
            // Handling is idempotent: it comes once more and finds nothing to do.
            tracing::warn!(record = id, code = %failure.code, error = %failure, "a message was handled and not deleted");
        }
    }
}
