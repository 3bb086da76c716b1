//! A platform that costs next to nothing: whatever is asked of it is said to be done, and it keeps nothing. So what is measured over it is Wharf and its
//! registry. Where it is told to, it lets each instance get stuck at a step that the instance's own id decides.

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use secrecy::SecretString;
use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;
use wharf_domain::{Code, Endpoint, Failure, InstanceId, instance::TaskRef, service::RunSpec};
use wharf_platform::{
    Backend, Database, Databases, LogLine, Logs, Mail, MailError, Mailer, NoPoster, Owner, Platform, PortSource,
    Printer, Probe, Prober, Proof, Registered, RouteKey, Routes, Secrets, Standing, Stopping, TaskEvent, TaskEvents,
    TaskSpec, TaskStatus, Tasks,
};

/// As many as there are instances, and more.
const PORTS: RangeInclusive<u16> = 20_000..=60_000;

/// Where an instance gets stuck: one of six, each as often as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Secrets,
    Database,
    Task,
    Running,
    Route,
    Healthy,
}

const STAGES: [Stage; 6] = [
    Stage::Secrets,
    Stage::Database,
    Stage::Task,
    Stage::Running,
    Stage::Route,
    Stage::Healthy,
];

impl Stage {
    fn of(instance: &InstanceId) -> Self {
        let sum: usize = instance.as_str().bytes().map(usize::from).sum();
        STAGES[sum % STAGES.len()]
    }
}

/// Who is stuck, and that as many are as was asked for.
#[derive(Debug)]
pub(super) struct Jam {
    wanted: usize,
    stuck: Mutex<HashSet<InstanceId>>,
    complete: Notify,
}

impl Jam {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            stuck: Mutex::default(),
            complete: Notify::new(),
        }
    }

    /// Until so many are stuck.
    pub(super) async fn is_complete(&self) {
        self.complete.notified().await;
    }

    fn has(&self, instance: &InstanceId, stage: Stage) -> bool {
        if Stage::of(instance) != stage {
            return false;
        }
        let mut stuck = self.stuck.lock();
        if stuck.insert(instance.clone()) && stuck.len() == self.wanted {
            self.complete.notify_one();
        }
        true
    }
}

/// The platform; without a jam everything goes through.
#[derive(Clone, Debug, Default)]
pub(super) struct Smooth(Option<Arc<Jam>>);

impl Smooth {
    pub(super) const fn jammed(jam: Arc<Jam>) -> Self {
        Self(Some(jam))
    }

    pub(super) fn platform(&self) -> Platform {
        let all = Arc::new(self.clone());
        Platform {
            tasks: all.clone(),
            events: all.clone(),
            routes: all.clone(),
            databases: all.clone(),
            secrets: all.clone(),
            mailer: all.clone(),
            poster: Arc::new(NoPoster),
            prober: all.clone(),
            logs: all,
        }
    }

    fn is_stuck(&self, instance: &InstanceId, stage: Stage) -> bool {
        self.0.as_ref().is_some_and(|jam| jam.has(instance, stage))
    }

    /// Never returns for who is stuck here: its call is under way when the process is killed.
    async fn pass(&self, instance: &InstanceId, stage: Stage) {
        if self.is_stuck(instance, stage) {
            std::future::pending().await
        }
    }
}

#[async_trait]
impl Tasks for Smooth {
    fn port_source(&self) -> PortSource {
        PortSource::Leased(PORTS)
    }

    /// As for processes on one machine.
    fn survives_restart(&self) -> bool {
        false
    }

    async fn check(&self, _: &RunSpec, _: Option<&RouteKey>) -> Result<(), Failure> {
        Ok(())
    }

    /// The port is in the task's name: nothing else has to be kept.
    async fn start(&self, spec: TaskSpec) -> Result<TaskRef, Failure> {
        self.pass(&spec.owner.instance, Stage::Task).await;
        Ok(TaskRef {
            id: format!("{}", spec.port.unwrap_or_default()),
            attempt: spec.owner.attempt,
        })
    }

    async fn look(&self, owner: &Owner, task: &TaskRef) -> Result<TaskStatus, Failure> {
        if self.is_stuck(&owner.instance, Stage::Running) {
            let why = "it is stuck".to_owned();
            return Ok(TaskStatus::Pending { why });
        }
        let port = task
            .id
            .parse()
            .map_err(|_| Failure::internal("a task of another world"))?;
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Ok(TaskStatus::Running {
            endpoint: Some(Endpoint::Address { ip, port }),
        })
    }

    async fn find(&self, _: &TaskSpec) -> Result<Option<TaskRef>, Failure> {
        Ok(None)
    }

    async fn stop(&self, _: &Owner, _: &TaskRef, _: Duration) -> Result<Stopping, Failure> {
        Ok(Stopping::Stopped)
    }

    async fn all(&self, _: &[RunSpec]) -> Result<Vec<(Owner, TaskRef)>, Failure> {
        Ok(Vec::new())
    }
}

impl TaskEvents for Smooth {
    fn subscribe(&self) -> BoxStream<'static, TaskEvent> {
        stream::pending().boxed()
    }
}

#[async_trait]
impl Routes for Smooth {
    async fn register(&self, backend: Backend) -> Result<(), Failure> {
        self.pass(&backend.owner.instance, Stage::Route).await;
        Ok(())
    }

    async fn withdraw(&self, _: &Owner, _: &RouteKey, _: Option<&Endpoint>, _: Duration) -> Result<bool, Failure> {
        Ok(true)
    }

    fn announce(&self, _: &InstanceId, _: &RouteKey, _: Standing) {}

    fn forget(&self, _: &InstanceId, _: &RouteKey) {}

    async fn all(&self, _: &[RouteKey]) -> Result<Vec<Registered>, Failure> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Prober for Smooth {
    async fn probe(&self, probe: &Probe) -> Result<Proof, Failure> {
        if self.is_stuck(&probe.owner.instance, Stage::Healthy) {
            return Err(Failure::new(Code::RouteUnhealthy, "it is stuck"));
        }
        Ok(Proof::Header)
    }
}

fn database(name: &str) -> Database {
    Database {
        name: name.to_owned(),
        url: SecretString::from(format!("sqlite:///{name}")),
    }
}

#[async_trait]
impl Databases for Smooth {
    async fn create(&self, instance: &InstanceId, name: &str, _: &SecretString) -> Result<Database, Failure> {
        self.pass(instance, Stage::Database).await;
        Ok(database(name))
    }

    async fn open(&self, _: &InstanceId, name: &str, _: &SecretString) -> Result<Option<Database>, Failure> {
        Ok(Some(database(name)))
    }

    async fn remove(&self, _: &InstanceId, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure> {
        Ok(Vec::new())
    }
}

type Values = BTreeMap<String, SecretString>;

/// The same for all.
fn values() -> Values {
    ["APP_PASSWORD", "DATABASE_PASSWORD"]
        .map(|name| (name.to_owned(), SecretString::from("not a secret".to_owned())))
        .into()
}

#[async_trait]
impl Secrets for Smooth {
    async fn put(&self, instance: &InstanceId, _: Values) -> Result<Values, Failure> {
        self.pass(instance, Stage::Secrets).await;
        Ok(values())
    }

    async fn get(&self, _: &InstanceId) -> Result<Option<Values>, Failure> {
        Ok(Some(values()))
    }

    async fn remove(&self, _: &InstanceId) -> Result<(), Failure> {
        Ok(())
    }

    async fn all(&self) -> Result<Vec<InstanceId>, Failure> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Mailer for Smooth {
    async fn send(&self, _: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

#[async_trait]
impl Logs for Smooth {
    async fn read(&self, _: &Printer, _: usize, _: bool) -> Result<BoxStream<'static, LogLine>, Failure> {
        Ok(stream::empty().boxed())
    }

    async fn remove(&self, _: &InstanceId) -> Result<(), Failure> {
        Ok(())
    }
}
