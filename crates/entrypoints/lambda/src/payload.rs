//! What an invocation is, told by its payload. Pure: JSON in, a value out.
//!
//! The same shapes come by several ways: a start event is put on the wake queue by EventBridge, handed to the function by a rule, or sent by somebody
//! who waits for the answer. [`Payload::classify`] tells those apart that are answered differently; what is inside of an event is read where it is handled.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_domain::{Code, Failure, InstanceId};
use wharf_saga::Seen;

use crate::gateway::HttpEvent;

/// An invocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// A request to the HTTP API, payload format 2.0.
    Http(Box<HttpEvent>),
    /// Messages of the wake queue.
    Queue(Vec<Record>),
    /// Anything that may also stand in a message of the queue.
    Message(Message),
}

/// What one message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Wharf's own note to itself, or a state machine's call.
    Note(Note),
    /// A start, a stop or a sign-up. `awaited`: whoever sent it may be waiting for the answer.
    Event { event: Value, awaited: bool },
    /// "ECS Task State Change".
    TaskChange(Value),
}

/// `{"wharf": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wharf", rename_all = "snake_case")]
pub enum Note {
    /// The time of a wait has come.
    Wake { id: InstanceId, seq: u64 },
    /// A lease that was seen is to be looked at again.
    Lease {
        id: InstanceId,
        #[serde(flatten)]
        seen: Seen,
    },
    /// Look at everything that is due.
    Sweep,
    /// Compare registry and world.
    Repair,
    /// A state machine asks for a start.
    Start {
        event: Value,
        #[serde(default)]
        key: Option<String>,
    },
    /// It asks how far that is.
    Status { id: Ids },
}

/// One instance, or those of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ids {
    One(InstanceId),
    Many(Vec<InstanceId>),
}

impl Ids {
    #[must_use]
    pub fn as_slice(&self) -> &[InstanceId] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

impl From<Vec<InstanceId>> for Ids {
    fn from(mut ids: Vec<InstanceId>) -> Self {
        match ids.len() {
            1 => Self::One(ids.remove(0)),
            _ => Self::Many(ids),
        }
    }
}

/// A message of the queue, as Lambda hands it over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub message_id: String,
    #[serde(default)]
    pub body: String,
    /// What the queue knows this delivery by.
    #[serde(default)]
    pub receipt_handle: Option<String>,
    #[serde(default)]
    pub attributes: Attributes,
}

/// What SQS says of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attributes {
    /// A number, as a text.
    approximate_receive_count: Option<String>,
}

impl Record {
    /// How often it was delivered, this time included.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        let count = self.attributes.approximate_receive_count.as_deref();
        count.and_then(|count| count.parse().ok()).unwrap_or(1)
    }
}

impl Payload {
    /// # Errors
    /// `event.invalid`: it is nothing that the function takes.
    pub fn classify(payload: Value) -> Result<Self, Failure> {
        let Some(object) = payload.as_object() else {
            return Err(nothing_known("it is not a JSON object"));
        };
        let context = object.get("requestContext");
        if context.is_some_and(|context| context.get("http").is_some()) {
            let event = serde_json::from_value(payload)
                .map_err(|error| nothing_known(format!("its HTTP request cannot be read: {error}")))?;
            return Ok(Self::Http(Box::new(event)));
        }
        if context.is_some() || object.contains_key("httpMethod") {
            return Err(nothing_known("it is an HTTP request of payload format 1.0")
                .hint("set PayloadFormatVersion of the API's integration to \"2.0\""));
        }
        if let Some(records) = object.get("Records") {
            let is_queue = |record: &Value| record["eventSource"] == "aws:sqs";
            let ours = records.as_array().is_some_and(|records| records.iter().all(is_queue));
            let records = serde_json::from_value(records.clone()).ok().filter(|_| ours);
            return records
                .map(Self::Queue)
                .ok_or_else(|| nothing_known("its records are not messages of an SQS queue"));
        }
        Message::classify(payload).map(Self::Message)
    }
}

impl Message {
    /// # Errors
    /// `event.invalid`: it is nothing that the function takes.
    pub fn classify(message: Value) -> Result<Self, Failure> {
        let Some(object) = message.as_object() else {
            return Err(nothing_known("it is not a JSON object"));
        };
        if object.contains_key("wharf") {
            return serde_json::from_value(message)
                .map(Self::Note)
                .map_err(|error| nothing_known(format!("its note to Wharf cannot be read: {error}")));
        }
        match object.get("detail-type").and_then(Value::as_str) {
            Some("ECS Task State Change") => return Ok(Self::TaskChange(message)),
            // What a schedule without an input of its own says is that time has passed.
            Some("Scheduled Event") => return scheduled(&message["detail"]),
            _ => {}
        }
        // EventBridge puts these on everything that it delivers itself; and it does not wait.
        let is_delivered = ["id", "time", "account", "region"]
            .iter()
            .all(|key| object.contains_key(*key));
        Ok(Self::Event {
            event: message,
            awaited: !is_delivered,
        })
    }

    /// A message of the queue.
    pub fn parse(body: &str) -> Result<Self, Failure> {
        let body = serde_json::from_str(body).map_err(|error| nothing_known(format!("it is not JSON: {error}")))?;
        match Self::classify(body)? {
            Self::Event { event, .. } => Ok(Self::Event { event, awaited: false }),
            message => Ok(message),
        }
    }
}

fn scheduled(detail: &Value) -> Result<Message, Failure> {
    let is_empty = detail.is_null() || detail.as_object().is_some_and(serde_json::Map::is_empty);
    if is_empty {
        Ok(Message::Note(Note::Sweep))
    } else {
        Message::classify(detail.clone())
    }
}

fn nothing_known(why: impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::EventInvalid,
        format!("the payload is nothing that this function takes: {why}"),
    )
    .hint("docs/events.md lists what it takes")
}
