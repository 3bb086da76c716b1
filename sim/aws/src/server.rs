//! A machine on which Wharf runs: what `wharf up` does beside answering, on ECS, with a registry that others write too.

use std::{sync::Arc, time::Duration};
use tokio::task::AbortHandle;
use wharf_aws::{EcsTasks, WakeMessage};
use wharf_domain::{Code, Failure};
use wharf_provisioning::{Wharf, events::Delivery, wharf::Deployment};
use wharf_saga::{Clock, Driving, Ids, Waker, limits};
use wharf_testkit::sim::{Process, SimClock, SimIds, SimWaker};

use crate::{flaws::Flaw, process::Cloud, site::Site};

/// As `wharf up` has it.
const CHECK_TASKS: Duration = Duration::from_mins(5);
/// As it is configured where nothing is said.
pub(crate) const REPAIR_EVERY: Duration = Duration::from_mins(10);
/// How long a receive waits for messages.
const POLL: Duration = Duration::from_secs(20);

/// One run of a server.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) wharf: Wharf,
    loops: Vec<AbortHandle>,
}

impl Server {
    /// `run` tells it from every other process of this simulation.
    pub(crate) fn start(site: &Arc<Site>, name: &str, run: u64, clock: SimClock) -> Self {
        let process = site.world.process(name);
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let ids: Arc<dyn Ids> = Arc::new(SimIds::new(site.seed.wrapping_mul(1_009).wrapping_add(run)));
        let cloud = Cloud::of(site, &process, &clock, &ids);
        let waker = Arc::new(SimWaker::new(clock.clone()));
        let wharf = Wharf::new(Deployment {
            store: process.registry(site.store.clone()),
            platform: cloud.platform.clone(),
            settings: site.settings(),
            clock,
            ids,
            waker: waker.clone() as Arc<dyn Waker>,
            tokens: site.token_key(),
            reporter: site.rules.clone(),
            driving: Driving::Here,
            linger: limits::LINGER,
        });
        let engine = wharf.engine().clone();
        waker.connect(move |id, seq| engine.wake(id, seq));
        let mut server = Self {
            process,
            wharf,
            loops: Vec::new(),
        };
        server.serve(site, &cloud);
        server
    }

    fn serve(&mut self, site: &Arc<Site>, cloud: &Cloud) {
        let wharf = self.wharf.clone();
        self.keep(async move {
            let queue = loop {
                match wharf.recover().await {
                    Ok(queue) => break queue,
                    // Whoever supervises the program starts it again.
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            };
            wharf.restore(queue).await;
        });
        if site.flaw != Some(Flaw::NeverSweeps) {
            let wharf = self.wharf.clone();
            self.keep(async move { wharf.engine().sweep_forever().await });
        }
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.deliver_forever().await });
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.follow_tasks().await });
        let wharf = self.wharf.clone();
        self.keep(async move { wharf.check_tasks_forever(CHECK_TASKS).await });
        if site.flaw != Some(Flaw::NeverRepairs) {
            let wharf = self.wharf.clone();
            self.keep(async move { wharf.repair_forever(REPAIR_EVERY, true).await });
        }
        let (wharf, tasks, site, process) = (
            self.wharf.clone(),
            cloud.tasks.clone(),
            site.clone(),
            self.process.clone(),
        );
        self.keep(async move {
            loop {
                let receiving = site.queue.receive(POLL);
                let received = process
                    .through("queue.receive", "", receiving, |received| received.len().to_string())
                    .await;
                let drops = site.flaw == Some(Flaw::DropsTheRest);
                for message in received.iter().skip(1).filter(|_| drops) {
                    site.queue.delete(&message.receipt);
                }
                for message in received.into_iter().take(if drops { 1 } else { usize::MAX }) {
                    let (wharf, tasks, queue, process) =
                        (wharf.clone(), tasks.clone(), site.queue.clone(), process.clone());
                    tokio::spawn(async move {
                        if hear(&wharf, &tasks, &message.body).await.is_ok() {
                            let deleting = async { queue.delete(&message.receipt) };
                            process.through("queue.delete", "", deleting, |()| String::new()).await;
                        }
                    });
                }
            }
        });
    }

    fn keep(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.loops.push(tokio::spawn(work).abort_handle());
    }

    /// It dies: nothing that it has begun goes on, but for what it had sent.
    pub(crate) fn end(&mut self) {
        self.process.kill();
        for handle in self.loops.drain(..) {
            handle.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a message of the queue asks for, as the program does it. One that fails stays in the queue.
async fn hear(wharf: &Wharf, tasks: &EcsTasks, body: &str) -> Result<(), Failure> {
    match WakeMessage::parse(body) {
        Some(WakeMessage::Wake { id, seq, .. }) => {
            wharf.engine().wake(&id, seq);
            return Ok(());
        }
        Some(WakeMessage::Lease { id, seen }) => {
            wharf.engine().recheck(&id, seen);
            return Ok(());
        }
        None => {}
    }
    let event: serde_json::Value =
        serde_json::from_str(body).map_err(|error| Failure::new(Code::EventInvalid, error.to_string()))?;
    if event["detail-type"] == "ECS Task State Change" {
        return match tasks.heard(&event) {
            Some(event) => wharf.heard(event).await,
            None => Ok(()),
        };
    }
    let delivery = Delivery {
        key: None,
        patience: Some(Duration::ZERO),
    };
    wharf.answer_event(&event, delivery).await.map(drop)
}
