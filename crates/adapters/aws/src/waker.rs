//! Wakes by SQS: a delayed message for each wait, and one for each lease that is to be looked at again. What a message says is here too, for who
//! receives it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_saga::{Clock, Waker, world::Seen};

use crate::{clients::Clients, governor::Governor, operations::Operation};

/// SQS delays a message no longer than this.
pub const DELAY_MAX: Duration = Duration::from_mins(15);

/// A message of Wharf's own on the wake queue, beside what EventBridge puts there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wharf", rename_all = "snake_case")]
pub enum WakeMessage {
    /// `Engine::wake`.
    Wake {
        id: InstanceId,
        seq: u64,
        /// Where SQS could not delay it long enough: it is not due before then, and who receives it earlier asks for the wake again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// `Engine::recheck`.
    Lease {
        id: InstanceId,
        #[serde(flatten)]
        seen: Seen,
    },
}

impl WakeMessage {
    /// What a message says if it is one of Wharf's own.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }

    /// When it is due, if that is later than now.
    #[must_use]
    pub fn early_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Wake { at, .. } => at.filter(|at| *at > now),
            Self::Lease { .. } => None,
        }
    }
}

/// Asks SQS for wakes. One that cannot be asked for is logged: the sweep finds what is due.
pub struct SqsWaker {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    clock: Arc<dyn Clock>,
    queue_url: String,
}

impl fmt::Debug for SqsWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsWaker")
            .field("queue_url", &self.queue_url)
            .finish_non_exhaustive()
    }
}

impl SqsWaker {
    #[must_use]
    pub fn new(clients: Arc<Clients>, governor: Arc<Governor>, clock: Arc<dyn Clock>, queue_url: String) -> Self {
        Self {
            clients,
            governor,
            clock,
            queue_url,
        }
    }

    /// Lets a received message come again so soon, rather than when the queue's visibility time-out is over. `receipt` is the handle that it was received
    /// with.
    pub async fn again_in(&self, receipt: &str, after: Duration) {
        let client = self.clients.sqs().await;
        let change = || {
            let call = client.change_message_visibility().queue_url(&self.queue_url);
            call.receipt_handle(receipt).visibility_timeout(seconds(after)).send()
        };
        let operation = Operation::SqsChangeMessageVisibility;
        let changed = self
            .governor
            .ask(operation, &self.queue_url, Governor::deadline(), change)
            .await;
        if let Err(failure) = changed {
            tracing::warn!(code = %failure.code, error = %failure, "a message that failed comes again only when the queue says so");
        }
    }

    async fn send(&self, message: &WakeMessage, after: Duration) {
        if let Err(failure) = self.try_send(message, after).await {
            tracing::warn!(code = %failure.code, error = %failure, ?message, "a wake was not asked for; the sweep will find what is due");
        }
    }

    async fn try_send(&self, message: &WakeMessage, after: Duration) -> Result<(), Failure> {
        let body = serde_json::to_string(message)
            .map_err(|error| Failure::internal(format!("a wake cannot be written: {error}")))?;
        let client = self.clients.sqs().await;
        let send = || {
            let call = client.send_message().queue_url(&self.queue_url);
            call.message_body(&body).delay_seconds(seconds(after)).send()
        };
        self.governor
            .ask(Operation::SqsSendMessage, &self.queue_url, Governor::deadline(), send)
            .await?;
        Ok(())
    }
}

/// Whole seconds, rounded up: a wake that comes before its time does nothing.
fn seconds(after: Duration) -> i32 {
    let whole = after.min(DELAY_MAX);
    let up = u64::from(whole.subsec_nanos() > 0);
    i32::try_from(whole.as_secs() + up).unwrap_or(i32::MAX)
}

#[async_trait]
impl Waker for SqsWaker {
    async fn wake(&self, id: &InstanceId, at: Timestamp, seq: u64) {
        let after = at.since(self.clock.now());
        let message = WakeMessage::Wake {
            id: id.clone(),
            seq,
            at: (after > DELAY_MAX).then_some(at),
        };
        self.send(&message, after).await;
    }

    async fn recheck(&self, id: &InstanceId, seen: Seen, after: Duration) {
        self.send(&WakeMessage::Lease { id: id.clone(), seen }, after).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id() -> InstanceId {
        InstanceId::new(Timestamp(1), [7; 10])
    }

    #[test]
    fn messages_have_the_documented_form() {
        let wake = WakeMessage::Wake {
            id: id(),
            seq: 3,
            at: None,
        };
        let written = serde_json::to_value(&wake).expect("JSON");
        assert_eq!(written, json!({"wharf": "wake", "id": id().as_str(), "seq": 3}));
        let lease = WakeMessage::Lease {
            id: id(),
            seen: Seen { epoch: 2, renewals: 5 },
        };
        let written = serde_json::to_value(&lease).expect("JSON");
        assert_eq!(
            written,
            json!({"wharf": "lease", "id": id().as_str(), "epoch": 2, "renewals": 5})
        );
        for message in [wake, lease] {
            let text = serde_json::to_string(&message).expect("JSON");
            assert_eq!(WakeMessage::parse(&text), Some(message));
        }
    }

    #[test]
    fn what_is_not_ours_is_not_parsed() {
        for body in [
            "",
            "{}",
            r#"{"source": "custom.app", "detail": {}}"#,
            r#"{"wharf": "else"}"#,
            r#"{"wharf": "wake", "id": "x", "seq": 1}"#,
        ] {
            assert_eq!(WakeMessage::parse(body), None, "{body}");
        }
    }

    #[test]
    fn a_delay_is_rounded_up_and_bounded_by_what_sqs_takes() {
        for (after, expected) in [
            (0, 0),
            (1, 1),
            (999, 1),
            (1000, 1),
            (1001, 2),
            (900_000, 900),
            (5_000_000, 900),
        ] {
            assert_eq!(seconds(Duration::from_millis(after)), expected, "{after}");
        }
    }

    #[test]
    fn a_wake_of_which_sqs_cannot_wait_the_whole_time_is_early() {
        let wake = WakeMessage::Wake {
            id: id(),
            seq: 1,
            at: Some(Timestamp(5_000)),
        };
        assert_eq!(wake.early_at(Timestamp(4_999)), Some(Timestamp(5_000)));
        assert_eq!(wake.early_at(Timestamp(5_000)), None);
    }
}
