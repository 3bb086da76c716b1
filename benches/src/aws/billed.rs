//! What Lambda bills for one start whose task needs 30 s to RUNNING and its target 10 s to healthy: the time of every invocation, each rounded up to a
//! millisecond as on the bill, and nothing of the time between them.
//!
//! The function is the real one, over the adapters of AWS; DynamoDB and SQS are emulated, ECS and the load balancer simulated. Between two invocations tokio's
//! clock is put forward, which the simulator follows, so that the minute is not waited for; within one, time is this machine's.

use async_trait::async_trait;
use futures::FutureExt;
use parking_lot::Mutex;
use secrecy::{SecretSlice, SecretString};
use serde_json::{Value, json};
use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};
use wharf_aws::{ClientOptions, Clients, Governor, SqsWaker};
use wharf_aws_simulator::{Options, Simulator};
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_http::{Rate, SignupLimits};
use wharf_lambda::{
    Deployed, Function, Invocation, Note, Parts,
    deployed::{HttpKeys, HttpParts},
};
use wharf_local::{OsIds, SystemClock};
use wharf_provisioning::{Pace, tokens::TokenKey};
use wharf_saga::{Clock, Seen, Store, Waker, store::Query};
use wharf_testkit::sim::{SimClock, SimStore};

use super::{
    dynamodb::registry,
    emulator::Emulator,
    site::{SERVICE, Script, Site},
};
use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    samples::Samples,
    setup::Setup,
};

/// Milliseconds.
const WANTED: f64 = 500.0;
const STARTS: usize = 9;
const SCRIPT: Script = Script {
    runs_after: Duration::from_secs(30),
    healthy_after: Duration::from_secs(10),
};
/// By so much the simulated time is put forward, until something is due.
const FORWARD: Duration = Duration::from_millis(250);
/// Of simulated time.
const GIVE_UP: Duration = Duration::from_mins(5);
/// As the template gives the function.
const TIMEOUT: Duration = Duration::from_mins(8);
/// As the function looks at tasks that ECS may have told nothing of.
const BACK_STOP: Duration = Duration::from_secs(15);
/// As the state machine of `deploy/` waits between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// One start's bill.
struct Bill {
    millis: f64,
    invocations: u32,
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let count = setup.times(STARTS);
    // On one thread: only there tokio's clock can be put forward.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (events, looks) = runtime.block_on(async {
        let emulator = Emulator::start()?;
        let (mut events, mut looks) = (Vec::new(), Vec::new());
        // The first start makes what the emulator makes once, and is not counted.
        for number in 0..=count {
            let by_events = Box::pin(Lambda::new(&emulator).await?.by_events()).await?;
            let by_looks = Box::pin(Lambda::new(&emulator).await?.by_looks()).await?;
            if number > 0 {
                events.push(by_events);
                looks.push(by_looks);
            }
        }
        Ok::<_, crate::Error>((events, looks))
    })?;
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?
        .block_on(waiting())?;
    let samples = |bills: &[Bill], value: fn(&Bill) -> f64| {
        Samples::new(bills.iter().map(value).collect()).ok_or("nothing was measured")
    };
    let millis = |bill: &Bill| bill.millis;
    let invocations = |bill: &Bill| f64::from(bill.invocations);
    let inline = Samples::new(vec![waiting]).ok_or("nothing was measured")?;
    Ok(vec![
        Figure::new("billed for a start, driven by events", Unit::Milliseconds, samples(&events, millis)?)
            .against("one invocation that waits, as documented", &inline)
            .goal(Goal::AtMost(WANTED))
            .note("30 s to RUNNING and 10 s to healthy. The registry and the queue are emulated on this machine; the sweep of each minute is there for all instances, and not counted"),
        Figure::new("invocations of it", Unit::Count, samples(&events, invocations)?),
        Figure::new(
            format!("billed for a start that a state machine looks at every {} s", LOOK.as_secs()),
            Unit::Milliseconds,
            samples(&looks, millis)?,
        ),
        Figure::new("invocations of it", Unit::Count, samples(&looks, invocations)?),
    ])
}

/// The simulator's time.
struct CloudTime(Arc<Simulator>);

impl Clock for CloudTime {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.0.now().as_millis()).unwrap_or(u64::MAX))
    }
}

/// What the queue holds: when each message is due, on the simulator's clock.
type Messages = Arc<Mutex<Vec<(Duration, Value)>>>;

/// Sends wakes to the emulated SQS, which is billed as anything that an invocation waits for, and keeps them here, where they come due on the simulator's clock.
struct Wakes {
    sqs: SqsWaker,
    simulator: Arc<Simulator>,
    messages: Messages,
}

#[async_trait]
impl Waker for Wakes {
    async fn wake(&self, id: &InstanceId, at: Timestamp, seq: u64) {
        self.sqs.wake(id, at, seq).await;
        let note = json!(Note::Wake { id: id.clone(), seq });
        self.messages.lock().push((Duration::from_millis(at.as_millis()), note));
    }

    async fn recheck(&self, id: &InstanceId, seen: Seen, after: Duration) {
        let note = json!(Note::Lease { id: id.clone(), seen });
        self.sqs.recheck(id, seen, after).await;
        self.messages.lock().push((self.simulator.now() + after, note));
    }
}

/// No wake is kept: whoever waits looks by itself.
struct NoWakes;

#[async_trait]
impl Waker for NoWakes {
    async fn wake(&self, _: &InstanceId, _: Timestamp, _: u64) {}

    async fn recheck(&self, _: &InstanceId, _: Seen, _: Duration) {}
}

/// A function that was never invoked, in an account of its own.
struct Lambda {
    site: Site,
    function: Function,
    messages: Messages,
    bill: Bill,
}

impl Lambda {
    async fn new(emulator: &Emulator) -> Result<Self> {
        emulator.reset().await?;
        let options = Options {
            // The emulator removes by this machine's time what is over.
            starts_at: Duration::from_millis(SystemClock.now().as_millis()),
            ..Options::following(1.0)
        };
        let site = Site::new(options, SCRIPT, false).await?;
        let clock = Arc::new(CloudTime(site.simulator.clone()));
        let messages = Messages::default();
        let clients = Arc::new(Clients::new(ClientOptions::emulator(emulator.url())));
        let governor = Arc::new(Governor::new(NonZeroU32::MIN, Arc::new(OsIds)));
        let waker = Wakes {
            sqs: SqsWaker::new(clients, governor, clock.clone(), emulator.queue("wake").await?),
            simulator: site.simulator.clone(),
            messages: messages.clone(),
        };
        let store = registry(emulator).await?;
        let function = function(&site, store, clock, Arc::new(waker), true);
        Ok(Self {
            site,
            function,
            messages,
            bill: Bill {
                millis: 0.0,
                invocations: 0,
            },
        })
    }

    /// One invocation, and what it costs.
    async fn invoke(&mut self, payload: Value) -> Result<Value> {
        let at = Invocation {
            request_id: format!("request-{}", self.bill.invocations),
            deadline: tokio::time::Instant::now() + TIMEOUT,
        };
        let began = Instant::now();
        let answer = self.function.invoke(payload, &at).await?;
        self.bill.millis += (began.elapsed().as_secs_f64() * 1000.0).ceil();
        self.bill.invocations += 1;
        Ok(answer)
    }

    /// EventBridge puts the start and what ECS tells on the queue; wakes come from there too.
    async fn by_events(mut self) -> Result<Bill> {
        let mut events = self.site.simulator.events();
        let mut due = vec![start_event()];
        let give_up = self.site.simulator.now() + GIVE_UP;
        loop {
            if !due.is_empty() {
                let records: Vec<Value> = due
                    .drain(..)
                    .enumerate()
                    .map(|(number, message)| record(number, &message))
                    .collect();
                let answer = self.invoke(json!({ "Records": records })).await?;
                if answer["batchItemFailures"] != json!([]) {
                    return Err(format!("a message failed: {answer}").into());
                }
                if self.is_ready().await? {
                    return Ok(self.bill);
                }
            }
            let now = self.site.simulator.now();
            if now > give_up {
                return Err(format!("the instance does not become Ready: {}", self.story().await?).into());
            }
            while let Ok(event) = events.try_recv() {
                due.push(event);
            }
            self.messages.lock().retain(|(at, message)| {
                let is_due = *at <= now;
                if is_due {
                    due.push(message.clone());
                }
                !is_due
            });
            if due.is_empty() {
                forward(FORWARD).await;
            }
        }
    }

    /// A state machine starts, waits, and looks.
    async fn by_looks(mut self) -> Result<Bill> {
        let start = json!({"wharf": "start", "key": "execution", "event": {"service": SERVICE}});
        let mut seen = self.invoke(start).await?;
        while matches!(seen["state"].as_str(), Some("queued" | "provisioning")) {
            if self.bill.invocations > 60 {
                return Err("the instance does not become Ready".into());
            }
            forward(LOOK).await;
            seen = self.invoke(json!({"wharf": "status", "id": seen["id"]})).await?;
        }
        if seen["state"] != "ready" {
            return Err(format!("the start ends as {seen}").into());
        }
        Ok(self.bill)
    }

    /// Its history, for whoever reads that it failed.
    async fn story(&self) -> Result<String> {
        let wharf = &self.function.deployed().await?.driver;
        let query = Query {
            limit: 1,
            ..Query::default()
        };
        let page = wharf.list(query).await?;
        let newest = page.instances.first().ok_or("the start began nothing")?;
        let history = wharf.history(&newest.id, 0, 100).await?;
        let lines: Vec<_> = history.iter().map(|line| format!("{:?}", line.entry.what)).collect();
        Ok(format!("it is {}; {}", newest.status, lines.join("; ")))
    }

    async fn is_ready(&self) -> Result<bool> {
        let deployed = self.function.deployed().await?;
        let page = deployed
            .driver
            .list(Query {
                limit: 1,
                ..Default::default()
            })
            .await?;
        let newest = page.instances.first().ok_or("the start began nothing")?;
        match newest.status.as_str() {
            "ready" => Ok(true),
            "provisioning" | "queued" => Ok(false),
            other => Err(format!("it is {other} and not Ready").into()),
        }
    }
}

/// The function over an account, with a registry and wakes that are given.
fn function(site: &Site, store: Arc<dyn Store>, clock: Arc<dyn Clock>, waker: Arc<dyn Waker>, wakes: bool) -> Function {
    let (platform, tasks) = site.platform(clock.clone());
    let parts = Parts {
        store,
        platform,
        settings: site.settings(Pace {
            look_at_tasks: BACK_STOP,
            shortest_look: BACK_STOP,
            ..Pace::default()
        }),
        clock,
        ids: Arc::new(OsIds),
        waker,
        tokens: TokenKey::new([7; 32]),
        reporter: Arc::new(()),
        wakes,
        repairs: true,
        poll: LOOK,
        task_event: Arc::new(move |event| tasks.heard(event)),
        // A message that fails ends the measurement.
        again_in: Arc::new(|_, _| async {}.boxed()),
        http: HttpParts {
            keys: Arc::new(|| {
                async {
                    Ok::<_, Failure>(HttpKeys {
                        admin_token: SecretString::from("nobody asks by HTTP"),
                        session_key: SecretSlice::from(vec![5; 32]),
                    })
                }
                .boxed()
            }),
            signup: SignupLimits {
                per_address: Rate {
                    count: 5,
                    per: Duration::from_hours(1),
                },
                open: false,
            },
            tally: None,
            public_url: "https://localhost".to_owned(),
        },
    };
    let make = move || {
        let parts = parts.clone();
        async move { Ok(Deployed::new(parts)) }.boxed()
    };
    Function::new(Box::new(make))
}

/// The documented direct invocation: one that waits until the target is healthy. On a paused clock, which both the function and the simulator go by, and with a
/// registry that takes no time. Gives milliseconds.
async fn waiting() -> Result<f64> {
    let site = Site::new(Options::following(1.0), SCRIPT, false).await?;
    let store = Arc::new(SimStore::new());
    let function = function(&site, store, Arc::new(SimClock::new()), Arc::new(NoWakes), false);
    let began = tokio::time::Instant::now();
    let at = Invocation {
        request_id: "request".to_owned(),
        deadline: began + TIMEOUT,
    };
    let event = json!({"detail-type": "Start ECS Task", "detail": {"service": SERVICE, "waitForHealthy": true}});
    let answer = function.invoke(event, &at).await?;
    if answer["statusCode"] != 200 {
        return Err(format!("the start is answered by {answer}").into());
    }
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// So much time passes at once, for the function and for the simulator, which follows the same clock.
async fn forward(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// As EventBridge delivers it.
fn start_event() -> Value {
    json!({
        "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "Start ECS Task", "source": "custom.app", "account": "123456789012",
        "time": "2026-11-02T09:00:00Z", "region": "us-east-1", "resources": [], "detail": {"service": SERVICE},
    })
}

/// A message as SQS hands it to Lambda.
fn record(number: usize, message: &Value) -> Value {
    json!({
        "messageId": format!("message-{number}"), "receiptHandle": "r", "body": message.to_string(), "eventSource": "aws:sqs", "attributes": {},
    })
}
