//! Lambda: the function that is shipped, in containers that are made when there is none that is free, frozen after each answer, and killed at
//! their deadline. The event source mapping gives it the queue's messages; a schedule lets it sweep.

use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use wharf_domain::Failure;
use wharf_lambda::{Deployed, Function, Invocation, Parts, deployed::HttpParts};
use wharf_saga::{Clock, Ids, Waker};
use wharf_testkit::sim::{Edge, Process, SimIds, chance::Chance};

use crate::{
    flaws::Flaw,
    process::Cloud,
    queue::{QueueWaker, Received},
    server::REPAIR_EVERY,
    site::Site,
};

/// As in deploy/template.yaml, for tasks that have a minute to start.
const TIMEOUT: Duration = Duration::from_mins(4);
const SWEEP_EVERY: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_secs(20);
/// What HTTP's invocations have left when they stop settling.
const MARGIN: Duration = Duration::from_secs(2);

/// One container: a process, and the function in it.
struct Container {
    process: Process,
    function: Rc<Function>,
}

/// The function's service.
pub(crate) struct Lambda {
    site: Arc<Site>,
    free: Mutex<Vec<Container>>,
    made: AtomicU64,
    invocations: AtomicU64,
    chance: Chance,
    /// How often an invocation is killed in its midst.
    kills: Mutex<f64>,
}

impl Lambda {
    pub(crate) fn new(site: &Arc<Site>) -> Rc<Self> {
        Rc::new(Self {
            free: Mutex::default(),
            made: AtomicU64::new(0),
            invocations: AtomicU64::new(0),
            chance: Chance::new(site.seed ^ 0x1a_3bda),
            kills: Mutex::new(site.setting.invocations_killed),
            site: site.clone(),
        })
    }

    /// No invocation is killed any more.
    pub(crate) fn calm(&self) {
        *self.kills.lock() = 0.0;
    }

    /// Takes the queue's messages, so many batches at a time, and sweeps.
    pub(crate) fn serve(self: &Rc<Self>) {
        for _ in 0..self.site.setting.concurrency {
            let lambda = self.clone();
            tokio::task::spawn_local(async move {
                loop {
                    let received = lambda.site.queue.receive(POLL).await;
                    if !received.is_empty() {
                        lambda.take(received).await;
                    }
                }
            });
        }
        if self.site.flaw == Some(Flaw::NeverSweeps) {
            return;
        }
        let lambda = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                let sweeping = lambda.clone();
                tokio::task::spawn_local(async move {
                    sweeping.invoke(json!({"wharf": "sweep"})).await;
                });
            }
        });
    }

    /// The stack's schedule that repairs.
    pub(crate) fn repair(self: &Rc<Self>) {
        if self.site.flaw == Some(Flaw::NeverRepairs) {
            return;
        }
        let lambda = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(REPAIR_EVERY).await;
                let repairing = lambda.clone();
                tokio::task::spawn_local(async move {
                    repairing.invoke(json!({"wharf": "repair"})).await;
                });
            }
        });
    }

    async fn take(&self, received: Vec<Received>) {
        let drops = self.site.flaw == Some(Flaw::DropsTheRest);
        let handled = if drops { 1 } else { received.len() };
        let records = received.iter().take(handled).map(|message| {
            json!({
                "eventSource": "aws:sqs", "messageId": message.receipt, "receiptHandle": message.receipt, "body": message.body,
                "attributes": { "ApproximateReceiveCount": message.deliveries.to_string() },
            })
        });
        let payload = json!({ "Records": records.collect::<Vec<_>>() });
        let Some(Ok(answer)) = self.invoke(payload).await else {
            return;
        };
        let failed = &answer["batchItemFailures"];
        let has_failed = |receipt: &str| {
            let items = failed.as_array().into_iter().flatten();
            items.clone().any(|item| item["itemIdentifier"] == receipt)
        };
        for message in received.iter().filter(|message| !has_failed(&message.receipt)) {
            self.site.queue.delete(&message.receipt);
        }
    }

    /// One invocation's answer; none where it did not live to give one.
    pub(crate) async fn invoke(&self, payload: Value) -> Option<Result<Value, Failure>> {
        self.within(async |function, at| function.invoke(payload, at).await)
            .await
    }

    /// Asks the door, as the HTTP API does: it answers, and sees that its driver is told before the process is frozen.
    pub(crate) async fn at_the_door<T>(
        &self,
        ask: impl AsyncFnOnce(&wharf_provisioning::Wharf) -> Result<T, Failure>,
    ) -> Option<Result<T, Failure>> {
        self.within(async |function, at| {
            let door = &function.deployed().await?.door;
            let answer = ask(door).await;
            let _ = timeout_at(at.deadline - MARGIN, door.engine().settled()).await;
            answer
        })
        .await
    }

    async fn within<T>(
        &self,
        work: impl AsyncFnOnce(&Function, &Invocation) -> Result<T, Failure>,
    ) -> Option<Result<T, Failure>> {
        let container = self.free.lock().pop();
        let container = container.unwrap_or_else(|| self.container());
        container.process.resume();
        if self.chance.fraction() < *self.kills.lock() {
            let edge = if self.chance.below(2) == 0 {
                Edge::Before
            } else {
                Edge::After
            };
            let call = container.process.calls_begun() + 1 + self.chance.below(30);
            container.process.kill_at(call, edge);
        }
        let number = self.invocations.fetch_add(1, Ordering::Relaxed);
        let at = Invocation {
            request_id: format!("request-{number}"),
            deadline: Instant::now() + TIMEOUT,
        };
        let working = work(&container.function, &at);
        let answer = tokio::select! {
            biased;
            answer = timeout_at(at.deadline, working) => answer.ok(),
            () = container.process.died() => None,
        };
        if answer.is_none() || container.process.is_dead() {
            // The service kills what overruns, and never uses it again.
            container.process.kill();
            return answer;
        }
        container.process.pause();
        self.free.lock().push(container);
        answer
    }

    /// Now and then the service takes containers away that are free.
    pub(crate) fn reclaim(&self) {
        for container in self.free.lock().drain(..) {
            container.process.kill();
        }
    }

    fn container(&self) -> Container {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let process = self.site.world.process(&format!("lambda{number}"));
        let (site, of_process) = (self.site.clone(), process.clone());
        let make = move || -> BoxFuture<'static, Result<Deployed, Failure>> {
            let deployed = Deployed::new(parts(&site, &of_process, number));
            Box::pin(std::future::ready(Ok(deployed)))
        };
        Container {
            process,
            function: Rc::new(Function::new(Box::new(make))),
        }
    }
}

fn parts(site: &Arc<Site>, process: &Process, number: u64) -> Parts {
    let skew = i64::try_from(number % 7).unwrap_or_default() - 3;
    let clock = site.world.clock();
    // Lambda's clocks are good.
    let clock: Arc<dyn Clock> = Arc::new(clock.ahead(Duration::from_millis(skew.unsigned_abs() * 20)));
    let ids: Arc<dyn Ids> = Arc::new(SimIds::new(
        site.seed.wrapping_mul(2_003).wrapping_add(1_000_000 + number),
    ));
    let cloud = Cloud::of(site, process, &clock, &ids);
    let waker: Arc<dyn Waker> = Arc::new(QueueWaker {
        process: process.clone(),
        queue: site.queue.clone(),
        clock: clock.clone(),
        chance: Chance::new(site.seed ^ (number << 20)),
        lost: site.setting.wakes_lost,
    });
    let (tasks, again) = (cloud.tasks.clone(), site.queue.clone());
    Parts {
        store: process.registry(site.store.clone()),
        platform: cloud.platform,
        settings: site.thrifty_settings(),
        clock,
        ids,
        waker,
        tokens: site.token_key(),
        reporter: site.rules.clone(),
        again_in: Arc::new(move |receipt, after| -> BoxFuture<'static, ()> {
            again.again_in(&receipt, after);
            Box::pin(std::future::ready(()))
        }),
        wakes: true,
        repairs: true,
        poll: Duration::from_secs(5),
        task_event: Arc::new(move |event| tasks.heard(event)),
        http: HttpParts {
            keys: Arc::new(|| Box::pin(std::future::ready(Err(Failure::internal("nobody asks over HTTP here"))))),
            signup: wharf_http::SignupLimits {
                per_address: wharf_http::Rate {
                    count: 1_000,
                    per: Duration::from_mins(1),
                },
                open: true,
            },
            tally: None,
            public_url: "http://localhost:8080".to_owned(),
        },
    }
}
