//! The function: one invocation in, its answer out. What is decided here is which part of Wharf an invocation is for, how long it may take, and
//! what its caller is told; what happens to instances is decided in `wharf_provisioning`.

use futures::{FutureExt, future::BoxFuture};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{sync::OnceCell, time::Instant};
use tower::ServiceExt;
use wharf_domain::{Code, Failure};
use wharf_provisioning::{Wharf, answers, events::Delivery};

use crate::{
    deployed::Deployed,
    gateway::{self, HttpEvent},
    payload::{Ids, Message, Note, Payload, Record},
};

/// What is left of an invocation when it stops working: for the answer, and for what is handed over.
pub const MARGIN: Duration = Duration::from_secs(2);
/// An HTTP API gives up after 30 seconds, and says nothing of why. Nothing behind it waits: this is for a registry that does not answer.
const HTTP_WITHIN: Duration = Duration::from_secs(25);
/// How often the sweep also looks whether every task is there, and no other.
const CHECK_TASKS: Duration = Duration::from_mins(5);
/// Tidying is bounded; what it leaves, the next sweep takes.
const TIDYINGS: usize = 10;

/// The pause after the first failure of a message; each later one is twice as long.
const AGAIN_FIRST: Duration = Duration::from_secs(10);
const AGAIN_LONGEST: Duration = Duration::from_mins(10);

/// Puts the deployment together.
pub type Make = Box<dyn Fn() -> BoxFuture<'static, Result<Deployed, Failure>> + Send + Sync>;

/// The function of one process.
pub struct Function {
    make: Make,
    deployed: OnceCell<Deployed>,
}

/// What Lambda says of an invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    /// The process is stopped then.
    pub deadline: Instant,
}

impl Function {
    /// Nothing is made before it is needed.
    #[must_use]
    pub fn new(make: Make) -> Self {
        Self {
            make,
            deployed: OnceCell::new(),
        }
    }

    pub async fn deployed(&self) -> Result<&Deployed, Failure> {
        self.deployed.get_or_try_init(|| (self.make)()).await
    }

    /// Handles one invocation. An error is for invocations that somebody repeats, or keeps for a person to look at; whoever waits for an answer gets one.
    pub async fn invoke(&self, payload: Value, at: &Invocation) -> Result<Value, Failure> {
        let payload = match Payload::classify(payload) {
            Ok(payload) => payload,
            Err(failure) => {
                tracing::error!(code = %failure.code, error = %failure.message, "a payload is not understood");
                return Ok(answers::refused(&failure));
            }
        };
        match payload {
            Payload::Http(event) => Ok(self.http(*event, at).await),
            Payload::Queue(records) => self.queue(records, at).await,
            Payload::Message(Message::Note(Note::Start { event, key })) => {
                let deployed = self.deployed().await?;
                deployed.begin(&event, key.as_deref(), at).await
            }
            Payload::Message(Message::Note(Note::Status { id })) => self.deployed().await?.status(id, at).await,
            Payload::Message(Message::Note(Note::Sweep)) => self.deployed().await?.sweep(at).await,
            Payload::Message(Message::Note(Note::Repair)) => self.deployed().await?.repair(at).await,
            Payload::Message(Message::Event { event, awaited: true }) => Ok(self.direct(&event, at).await),
            Payload::Message(message) => {
                let deployed = self.deployed().await?;
                deployed.driver.engine().set_deadline(Some(at.deadline));
                let taken = deployed.take(message, &format!("invocation:{}", at.request_id)).await;
                deployed.finish(at).await;
                taken.map(|()| json!({}))
            }
        }
    }

    /// Answers a request to the HTTP API, whatever happens.
    async fn http(&self, event: HttpEvent, at: &Invocation) -> Value {
        let answered = tokio::time::timeout(HTTP_WITHIN, self.answer_http(event)).await;
        let answered = answered.unwrap_or_else(|_| {
            Err(Failure::new(
                Code::StoreUnavailable,
                format!("there was no answer within {HTTP_WITHIN:?}"),
            )
            .hint("try again in a moment"))
        });
        // What was claimed or asked for is told to its driver before this process is frozen.
        if let Some(deployed) = self.deployed.get() {
            settle(&deployed.door, at).await;
        }
        answered.unwrap_or_else(|failure| {
            tracing::error!(code = %failure.code, error = %failure.message, "a request cannot be answered");
            problem(&failure)
        })
    }

    async fn answer_http(&self, event: HttpEvent) -> Result<Value, Failure> {
        let request = event.into_request()?;
        let router = self.deployed().await?.router().await?;
        let Ok(response) = router.oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Failure::internal(format!("an answer broke off: {error}")))?;
        Ok(gateway::answer(&http::Response::from_parts(parts, body.to_bytes())))
    }

    /// Takes each message by itself; those that fail are named, and come again alone.
    async fn queue(&self, records: Vec<Record>, at: &Invocation) -> Result<Value, Failure> {
        let deployed = self.deployed().await?;
        deployed.driver.engine().set_deadline(Some(at.deadline));
        let taking = records.iter().map(async |record| {
            let taken = AssertUnwindSafe(deployed.take_record(record)).catch_unwind().await;
            let failure = match taken {
                Ok(Ok(())) => return None,
                Ok(Err(failure)) => failure,
                Err(_) => Failure::internal("handling it panicked"),
            };
            tracing::error!(record = record.message_id, code = %failure.code, error = %failure.message, "a message failed, and comes again");
            if let Some(receipt) = record.receipt_handle.clone() {
                (deployed.parts.again_in)(receipt, pause(record.deliveries())).await;
            }
            Some(json!({"itemIdentifier": record.message_id}))
        });
        let failed: Vec<Value> = futures::future::join_all(taking).await.into_iter().flatten().collect();
        deployed.finish(at).await;
        Ok(json!({"batchItemFailures": failed}))
    }

    /// Does what an event asks for, and waits for what it has to tell.
    async fn direct(&self, event: &Value, at: &Invocation) -> Value {
        let deployed = match self.deployed().await {
            Ok(deployed) => deployed,
            Err(failure) => return answers::refused(&failure),
        };
        let wharf = deployed.waiting(at.deadline - MARGIN);
        wharf.engine().set_deadline(Some(at.deadline));
        let key = format!("invocation:{}", at.request_id);
        let delivery = Delivery {
            key: Some(&key),
            patience: None,
        };
        let answer = wharf.answer_event(event, delivery).await;
        let left = at.deadline.saturating_duration_since(Instant::now());
        wharf.engine().shutdown(left.saturating_sub(MARGIN / 2)).await;
        deliver(&wharf).await;
        answer.unwrap_or_else(|failure| {
            tracing::error!(code = %failure.code, error = %failure.message, "an event is refused");
            answers::refused(&failure)
        })
    }
}

impl Deployed {
    async fn take_record(&self, record: &Record) -> Result<(), Failure> {
        let message = Message::parse(&record.body)?;
        self.take(message, &format!("message:{}", record.message_id)).await
    }

    /// Takes a message that nobody waits for. What it begins is driven on until `finish`.
    async fn take(&self, message: Message, key: &str) -> Result<(), Failure> {
        match message {
            Message::Note(Note::Wake { id, seq }) => self.driver.engine().wake(&id, seq),
            Message::Note(Note::Lease { id, seen }) => self.driver.engine().recheck(&id, seen),
            Message::Note(Note::Sweep) => self.take_up().await?,
            Message::Note(Note::Repair) => self.driver.repair_by_itself(self.parts.repairs).await.map(drop)?,
            Message::Note(Note::Start { .. } | Note::Status { .. }) => {
                return Err(
                    Failure::new(Code::EventInvalid, "a state machine's call has nobody here to answer")
                        .hint("invoke the function itself"),
                );
            }
            Message::Event { event, .. } => {
                let delivery = Delivery {
                    key: Some(key),
                    patience: Some(Duration::ZERO),
                };
                let answer = self.driver.answer_event(&event, delivery).await?;
                let told = |field: &str| answer["body"][field].as_str().map(str::to_owned);
                tracing::info!(
                    answer = told("message"),
                    instance = told("instance"),
                    "an event was taken"
                );
            }
            Message::TaskChange(event) => {
                if let Some(event) = (self.parts.task_event)(&event) {
                    self.driver.heard(event).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes a start, drives it as far as it goes without waiting, and says where it stands.
    async fn begin(&self, event: &Value, key: Option<&str>, at: &Invocation) -> Result<Value, Failure> {
        self.driver.engine().set_deadline(Some(at.deadline));
        match self.driver.begin_event(event, key).await {
            Ok(ids) => {
                self.finish(at).await;
                self.stand(Ids::from(ids)).await
            }
            Err(failure) => {
                tracing::error!(code = %failure.code, error = %failure.message, "a start is refused");
                Ok(json!({"id": null, "state": "refused", "answer": answers::refused(&failure)}))
            }
        }
    }

    /// The same of one that was taken before.
    async fn status(&self, ids: Ids, at: &Invocation) -> Result<Value, Failure> {
        self.driver.engine().set_deadline(Some(at.deadline));
        for id in ids.as_slice() {
            self.driver.engine().poke(id);
        }
        self.finish(at).await;
        self.stand(ids).await
    }

    async fn stand(&self, ids: Ids) -> Result<Value, Failure> {
        let stand = self.driver.stand(ids.as_slice()).await?;
        Ok(json!({"id": ids, "state": stand.state, "answer": stand.answer}))
    }

    /// Looks at everything that is due, whatever has become of its wake; hands mails over again; and now and then looks at all tasks. One that fails
    /// does not keep the others from their turn.
    async fn sweep(&self, at: &Invocation) -> Result<Value, Failure> {
        self.driver.engine().set_deadline(Some(at.deadline));
        let due = self.take_up().await;
        settle(&self.door, at).await;
        let mails = self.driver.deliver().await.map(drop);
        let now = self.parts.clock.now();
        let minute = Duration::from_mins(1);
        let every = u64::try_from(CHECK_TASKS.as_millis() / minute.as_millis()).unwrap_or(1);
        let is_turn = (u128::from(now.as_millis()) / minute.as_millis()).is_multiple_of(u128::from(every));
        let tasks = if is_turn {
            self.driver.check_tasks().await.map(drop)
        } else {
            Ok(())
        };
        let tidied = self.tidy().await;
        self.finish(at).await;
        [due, mails, tasks, tidied]
            .into_iter()
            .find(Result::is_err)
            .unwrap_or(Ok(()))
            .map(|()| json!({}))
    }

    /// Compares registry and world, and mends what the configuration lets it. What the time does not suffice for, the next one finds.
    async fn repair(&self, at: &Invocation) -> Result<Value, Failure> {
        self.driver.engine().set_deadline(Some(at.deadline));
        let until = at.deadline - MARGIN;
        let run = tokio::time::timeout_at(until, self.driver.repair_by_itself(self.parts.repairs)).await;
        self.finish(at).await;
        let run = run.map_err(|_| {
            Failure::new(
                Code::StoreUnavailable,
                "registry and world could not be compared in the time of one invocation",
            )
            .hint("give the function more memory, which is more processor time")
        })??;
        Ok(json!({"left": run.left().count(), "mended": run.mended.len()}))
    }

    async fn take_up(&self) -> Result<(), Failure> {
        let due = self.door.engine().sweep().await?;
        if due > 0 {
            tracing::info!(due, "taken up");
        }
        Ok(())
    }

    async fn tidy(&self) -> Result<(), Failure> {
        for _ in 0..TIDYINGS {
            if self.parts.store.tidy(self.parts.clock.now()).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Drives what has been begun until all of it waits, rests or is handed over; then hands over the mails that are new.
    async fn finish(&self, at: &Invocation) {
        settle(&self.driver, at).await;
        deliver(&self.driver).await;
    }
}

/// How soon a message comes again that failed so often: the queue's own visibility time-out is for invocations that do not return.
fn pause(deliveries: u32) -> Duration {
    let doublings = deliveries.saturating_sub(1).min(16);
    AGAIN_FIRST.saturating_mul(1 << doublings).min(AGAIN_LONGEST)
}

/// Waits until nothing is driven here any more. The engine itself stops in time; this is for a call that does not return.
async fn settle(wharf: &Wharf, at: &Invocation) {
    let until = at.deadline - MARGIN;
    if tokio::time::timeout_at(until, wharf.engine().settled()).await.is_err() {
        tracing::error!("some sagas are in the middle of a step when the time is over: the sweep takes them up");
    }
}

async fn deliver(wharf: &Wharf) {
    if let Err(failure) = wharf.deliver_new().await {
        tracing::error!(code = %failure.code, error = %failure.message, "the outbox cannot be read: the sweep looks again");
    }
}

/// RFC 9457, where there is no router to answer.
fn problem(failure: &Failure) -> Value {
    let status = answers::status(failure);
    let body = json!({"status": status, "title": failure.code.summary(), "detail": failure.message, "code": failure.code, "hint": failure.hint});
    let headers = json!({"content-type": "application/problem+json", "cache-control": "no-store"});
    json!({"statusCode": status, "headers": headers, "body": body.to_string(), "isBase64Encoded": false})
}
