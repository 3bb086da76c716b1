//! A simulated cloud around the function: sandboxes that live for one invocation, a wake queue, a schedule, and ECS's events.

use futures::FutureExt;
use parking_lot::Mutex;
use secrecy::{SecretSlice, SecretString};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use wharf_domain::{Failure, Instance, InstanceId, Timestamp};
use wharf_http::{Rate, SignupLimits};
use wharf_lambda::{
    Deployed, Function, Invocation, Note, Parts,
    deployed::{HttpKeys, HttpParts},
    metrics::Metrics,
};
use wharf_platform::{TaskEvent, TaskStatus};
use wharf_provisioning::{InstanceView, Settings, Wharf, tokens::TokenKey};
use wharf_saga::{Clock, Record, Seen, Store, Waker, store::Query};
use wharf_testkit::sim::{
    Process, SimClock, SimIds, SimStore, SimWorld,
    services::{direct, on_ecs},
    wharf::settings,
};

pub(crate) const TOKEN: &str = "wharf_0123456789abcdef0123456789abcdef";
pub(crate) const PUBLIC_URL: &str = "https://abc.execute-api.us-east-1.amazonaws.com";
/// As long as the template gives the function with a TASK_WAIT_TIMEOUT of 300 seconds.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(8);
const MINUTE: Duration = Duration::from_mins(1);
/// SQS puts no message off for longer.
const DELAY_MAX: Duration = Duration::from_mins(15);
/// A message that failed comes again after this long, so often.
const AGAIN: Duration = Duration::from_secs(30);
const RECEIVES: u32 = 5;

/// A message in the queue.
#[derive(Clone, Debug)]
struct Queued {
    due: Instant,
    id: String,
    body: String,
    received: u32,
}

/// The wake queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    messages: Mutex<Vec<Queued>>,
    sent: AtomicU32,
    /// Messages that failed for good.
    pub(crate) dead: Mutex<Vec<String>>,
    pub(crate) loses: Mutex<bool>,
}

impl Queue {
    pub(crate) fn put(&self, body: &Value, delay: Duration) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let whole = Duration::from_secs(delay.as_millis().div_ceil(1000) as u64);
        self.messages.lock().push(Queued {
            due: Instant::now() + whole.min(DELAY_MAX),
            id: format!("message-{number}"),
            body: body.to_string(),
            received: 0,
        });
    }

    fn take_due(&self) -> Vec<Queued> {
        let now = Instant::now();
        let mut messages = self.messages.lock();
        messages.sort_by_key(|message| message.due);
        let due = messages
            .iter()
            .take(10)
            .take_while(|message| message.due <= now)
            .count();
        messages.drain(..due).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.messages.lock().iter().map(|message| message.due).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.lock().len()
    }
}

struct SandboxWaker(Arc<Queue>, SimClock);

#[async_trait::async_trait]
impl Waker for SandboxWaker {
    async fn wake(&self, id: &InstanceId, at: Timestamp, seq: u64) {
        if !*self.0.loses.lock() {
            let note = Note::Wake { id: id.clone(), seq };
            self.0.put(&json!(note), at.since(self.1.now()));
        }
    }

    async fn recheck(&self, id: &InstanceId, seen: Seen, after: Duration) {
        if !*self.0.loses.lock() {
            let note = Note::Lease { id: id.clone(), seen };
            self.0.put(&json!(note), after);
        }
    }
}

/// World, registry, queue, and as many sandboxes as there are invocations.
pub(crate) struct Cloud {
    pub(crate) world: SimWorld,
    pub(crate) store: Arc<SimStore>,
    pub(crate) settings: Settings,
    pub(crate) queue: Arc<Queue>,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    /// Messages that were let come again, by receipt, and how soon.
    pub(crate) again: Arc<Mutex<Vec<(String, Duration)>>>,
    /// How wrong the clocks of sandboxes are, in turn: fast, slow.
    pub(crate) skew: Duration,
    sandboxes: AtomicU32,
}

/// One process.
pub(crate) struct Sandbox {
    pub(crate) function: Function,
    pub(crate) process: Process,
    number: u32,
}

impl Cloud {
    /// `auth` and `pdf` on ECS, and `direct` for tenants.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let world = SimWorld::new(1);
        world.balancer_checks_health(true);
        let mut settings = settings(&world, [on_ecs("auth"), on_ecs("pdf"), direct()]);
        PUBLIC_URL.clone_into(&mut settings.addresses.public_url);
        adjust(&mut settings);
        Self {
            world,
            store: Arc::new(SimStore::new()),
            settings,
            queue: Arc::default(),
            lines: Arc::default(),
            again: Arc::default(),
            skew: Duration::ZERO,
            sandboxes: AtomicU32::new(0),
        }
    }

    pub(crate) fn sandbox(&self) -> Sandbox {
        let number = self.sandboxes.fetch_add(1, Ordering::Relaxed);
        let process = self.world.process(&format!("sandbox{number}"));
        let clock = match number % 2 {
            0 => self.world.clock().ahead(self.skew),
            _ => self.world.clock().behind(self.skew),
        };
        let lines = self.lines.clone();
        let again = self.again.clone();
        let metrics = Metrics::new(
            self.settings.deployment.clone(),
            Box::new(move |line| lines.lock().push(line.to_owned())),
        );
        let parts = Parts {
            store: process.registry(self.store.clone()),
            platform: process.platform(),
            settings: self.settings.clone(),
            clock: Arc::new(clock.clone()),
            ids: Arc::new(SimIds::new(1000 + u64::from(number))),
            waker: Arc::new(SandboxWaker(self.queue.clone(), clock)),
            tokens: TokenKey::new([7; 32]),
            reporter: Arc::new(metrics),
            again_in: Arc::new(move |receipt, after| {
                again.lock().push((receipt, after));
                std::future::ready(()).boxed()
            }),
            repairs: true,
            wakes: true,
            poll: Duration::from_secs(5),
            task_event: Arc::new(task_event),
            http: HttpParts {
                keys: Arc::new(|| {
                    let keys = HttpKeys {
                        admin_token: SecretString::from(TOKEN),
                        session_key: SecretSlice::from(vec![5; 32]),
                    };
                    async { Ok::<_, Failure>(keys) }.boxed()
                }),
                signup: SignupLimits {
                    per_address: Rate {
                        count: 5,
                        per: Duration::from_hours(1),
                    },
                    open: true,
                },
                tally: None,
                public_url: PUBLIC_URL.to_owned(),
            },
        };
        let make = move || {
            let parts = parts.clone();
            async move { Ok(Deployed::new(parts)) }.boxed()
        };
        Sandbox {
            function: Function::new(Box::new(make)),
            process,
            number,
        }
    }

    /// One invocation in a new sandbox, which is gone afterwards with everything that goes on in it.
    pub(crate) async fn invoke(&self, payload: Value) -> Result<Value, Failure> {
        self.sandbox().invoke(payload, TIMEOUT).await
    }

    /// The same for whoever gets an answer.
    pub(crate) async fn ask(&self, payload: Value) -> (u64, Value) {
        let answer = self.invoke(payload).await.expect("an answer");
        (answer["statusCode"].as_u64().expect("a status"), answer["body"].clone())
    }

    /// Delivers messages as they come due, and sweeps each minute, until `done`, at most two hours long.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, done: impl Fn() -> F) {
        let begun = Instant::now();
        let mut sweep = begun + MINUTE;
        while !done().await {
            assert!(begun.elapsed() < Duration::from_hours(2), "it does not come to an end");
            let due = self.queue.take_due();
            if !due.is_empty() {
                self.deliver(due).await;
                continue;
            }
            let next = self.queue.next().map_or(sweep, |next| next.min(sweep));
            tokio::time::sleep_until(next).await;
            if Instant::now() >= sweep {
                sweep += MINUTE;
                self.invoke(json!({"wharf": "sweep"})).await.expect("swept");
            }
        }
    }

    async fn deliver(&self, due: Vec<Queued>) {
        let records: Vec<Value> = due.iter().map(|message| record(&message.id, &message.body)).collect();
        let answer = self.invoke(json!({"Records": records})).await.expect("taken");
        let failed = failures(&answer);
        for mut message in due.into_iter().filter(|message| failed.contains(&message.id)) {
            message.received += 1;
            if message.received >= RECEIVES {
                self.queue.dead.lock().push(message.body);
            } else {
                message.due = Instant::now() + AGAIN;
                self.queue.messages.lock().push(message);
            }
        }
    }

    /// Until the instance is in this state, and nothing is under way.
    pub(crate) async fn until_state(&self, id: &InstanceId, state: &str) -> InstanceView {
        self.until(async || {
            let view = self.show(id).await;
            view.status == state && !view.moving
        })
        .await;
        self.show(id).await
    }

    fn reader(&self) -> Wharf {
        let mut deployment = self.world.deployment([on_ecs("auth")]);
        deployment.store = self.store.clone();
        deployment.settings = self.settings.clone();
        Wharf::new(deployment)
    }

    pub(crate) async fn show(&self, id: &InstanceId) -> InstanceView {
        self.reader().show(id).await.expect("there is such an instance")
    }

    pub(crate) async fn record(&self, id: &InstanceId) -> Record<Instance> {
        let stored = self.store.load(id).await.expect("read").expect("there is a record");
        serde_json::from_str(&stored.body).expect("a record")
    }

    /// Who drives it.
    pub(crate) async fn holder(&self, id: &InstanceId) -> Option<String> {
        let stored = self.store.load(id).await.expect("read");
        stored.expect("there is a record").lease.holder
    }

    pub(crate) async fn all(&self) -> Vec<InstanceId> {
        let query = Query {
            limit: 1000,
            ..Query::default()
        };
        let stored = self.store.list(query).await.expect("a page");
        stored.into_iter().map(|stored| stored.id).collect()
    }

    /// The only instance that there is.
    pub(crate) async fn only(&self) -> InstanceId {
        let mut all = self.all().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

impl Sandbox {
    pub(crate) async fn invoke(&self, payload: Value, timeout: Duration) -> Result<Value, Failure> {
        let at = Invocation {
            request_id: format!("request-{}", self.number),
            deadline: Instant::now() + timeout,
        };
        let answer = tokio::time::timeout_at(at.deadline, self.function.invoke(payload, &at)).await;
        // What it left undone does not go on behind anybody's back.
        self.process.kill();
        answer.unwrap_or_else(|_| Err(Failure::internal("the function timed out")))
    }
}

pub(crate) fn record(id: &str, body: &str) -> Value {
    json!({"messageId": id, "receiptHandle": "r", "body": body, "eventSource": "aws:sqs", "attributes": {}})
}

pub(crate) fn failures(answer: &Value) -> Vec<String> {
    let items = answer["batchItemFailures"].as_array().expect("a list of failures");
    items
        .iter()
        .map(|item| item["itemIdentifier"].as_str().expect("an id").to_owned())
        .collect()
}

/// A change of a task, in the envelope of the bus. What stands in it is the simulated world's own.
pub(crate) fn task_change(event: &TaskEvent, status: &str) -> Value {
    json!({
        "version": "0", "id": "x", "detail-type": "ECS Task State Change", "source": "aws.ecs", "account": "1", "time": "t", "region": "r",
        "detail": {"instance": event.instance, "task": event.task, "lastStatus": status},
    })
}

fn task_event(event: &Value) -> Option<TaskEvent> {
    let detail = &event["detail"];
    assert_ne!(detail["lastStatus"], "POISON", "what nobody expects");
    Some(TaskEvent {
        instance: serde_json::from_value(detail["instance"].clone()).ok()?,
        task: serde_json::from_value(detail["task"].clone()).ok()?,
        status: match detail["lastStatus"].as_str()? {
            "RUNNING" => TaskStatus::Running { endpoint: None },
            "PENDING" => TaskStatus::Pending { why: String::new() },
            _ => TaskStatus::Gone,
        },
    })
}
