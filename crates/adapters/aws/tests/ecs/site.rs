//! A simulated account, and Wharf's tasks in it. What the tests share; no test is here.

use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use wharf_aws::{ClientOptions, Clients, EcsTasks, Governor};
use wharf_aws_simulator::{Options, SECURITY_GROUP, SUBNETS, Simulator, TaskDefinition};
use wharf_domain::{
    Attempt, DeploymentId, Endpoint, Failure, InstanceId, Timestamp,
    instance::TaskRef,
    service::{EcsTask, Launch, RunSpec, SecretsAs},
};
use wharf_platform::{Owner, TaskSpec, TaskStatus, Tasks};
use wharf_saga::{Clock, Ids};

pub(crate) const CLUSTER: &str = "shop";
/// A task's and its execution's role.
pub(crate) const ROLES: [&str; 2] = [
    "arn:aws:iam::123456789012:role/shop-task",
    "arn:aws:iam::123456789012:role/shop-execution",
];

/// The simulator's time, and what a test adds to it: the clock of another machine.
#[derive(Clone)]
pub(crate) struct SimulatedTime {
    simulator: Arc<Simulator>,
    ahead: Arc<Mutex<Duration>>,
}

impl SimulatedTime {
    pub(crate) fn put_ahead(&self, by: Duration) {
        *self.ahead.lock() += by;
    }
}

impl Clock for SimulatedTime {
    fn now(&self) -> Timestamp {
        let now = self.simulator.now() + *self.ahead.lock();
        Timestamp(u64::try_from(now.as_millis()).expect("a time of this age"))
    }
}

/// Chance that is the same in every run, and good enough for jitter.
struct Counter(AtomicU8);

impl Ids for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(37, Ordering::Relaxed);
        }
    }
}

pub(crate) struct Site {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) tasks: Arc<EcsTasks>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) governor: Arc<Governor>,
    pub(crate) clock: SimulatedTime,
    pub(crate) deployment: DeploymentId,
}

impl Deref for Site {
    type Target = EcsTasks;

    fn deref(&self) -> &EcsTasks {
        &self.tasks
    }
}

impl Site {
    /// With a cluster and the definition of a service on Fargate, `web`, that listens on 8080. Time is moved by hand.
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let simulator = Arc::new(Simulator::start(options).await.expect("a simulator"));
        simulator.cluster(CLUSTER);
        simulator
            .task_definition(&TaskDefinition::fargate("web").container("web", 8080))
            .expect("a definition");
        let clock = SimulatedTime {
            simulator: simulator.clone(),
            ahead: Arc::default(),
        };
        let deployment = DeploymentId::new([3; 10]);
        let (clients, governor, tasks) = process(&simulator, &clock, &deployment);
        Self {
            simulator,
            tasks,
            clients,
            governor,
            clock,
            deployment,
        }
    }

    /// Another process of the same deployment, which remembers nothing.
    pub(crate) fn another_process(&self) -> Arc<EcsTasks> {
        process(&self.simulator, &self.clock, &self.deployment).2
    }

    pub(crate) fn owner(&self) -> Owner {
        wharf_testkit::contracts::harness::some_owner(&self.deployment)
    }

    pub(crate) fn spec(&self, owner: &Owner, task: EcsTask) -> TaskSpec {
        TaskSpec {
            owner: owner.clone(),
            service: "web".parse().expect("a name"),
            run: RunSpec::Ecs(task),
            port: None,
            environment: BTreeMap::new(),
            public: false,
            intended_at: self.clock.now(),
        }
    }

    /// A task of the service `web`, started.
    pub(crate) async fn started(&self) -> (Owner, TaskRef) {
        self.started_as(web()).await
    }

    pub(crate) async fn started_as(&self, task: EcsTask) -> (Owner, TaskRef) {
        let owner = self.owner();
        let task = self.start(self.spec(&owner, task)).await.expect("it starts");
        (owner, task)
    }

    pub(crate) async fn status(&self, (owner, task): &(Owner, TaskRef)) -> TaskStatus {
        self.look(owner, task).await.expect("it can be looked at")
    }

    /// Where it listens, a minute later.
    pub(crate) async fn endpoint(&self, task: &(Owner, TaskRef)) -> Option<Endpoint> {
        self.simulator.advance(Duration::from_mins(1));
        match self.status(task).await {
            TaskStatus::Running { endpoint } => endpoint,
            other => panic!("it runs, and is not {other:?}"),
        }
    }

    /// Why it runs no more, a minute later.
    pub(crate) async fn cause(&self, task: &(Owner, TaskRef)) -> (Failure, Option<i32>) {
        self.simulator.advance(Duration::from_mins(1));
        match self.status(task).await {
            TaskStatus::Stopped { cause, exit_code, .. } => (cause, exit_code),
            other => panic!("it has stopped, and is not {other:?}"),
        }
    }

    pub(crate) fn count(&self, action: &str) -> u64 {
        self.simulator.call_counts().get(action).copied().unwrap_or_default()
    }
}

fn process(
    simulator: &Simulator,
    clock: &SimulatedTime,
    deployment: &DeploymentId,
) -> (Arc<Clients>, Arc<Governor>, Arc<EcsTasks>) {
    let clients = Arc::new(Clients::new(ClientOptions::emulator(simulator.url())));
    let governor = Arc::new(Governor::new(NonZeroU32::MIN, Arc::new(Counter(AtomicU8::new(0)))));
    let tasks = EcsTasks::new(
        deployment.clone(),
        clients.clone(),
        governor.clone(),
        Arc::new(clock.clone()),
    );
    (clients, governor, Arc::new(tasks))
}

/// A definition for Fargate whose container `web` prints into a log group.
pub(crate) fn printing(family: &str, group: &str) -> TaskDefinition {
    let definition = TaskDefinition::fargate(family).container("web", 8080);
    definition.roles(ROLES[0], ROLES[1]).logs_to(group)
}

/// The service `web`.
pub(crate) fn web() -> EcsTask {
    task("web")
}

pub(crate) fn task(definition: &str) -> EcsTask {
    EcsTask {
        cluster: CLUSTER.into(),
        task_definition: definition.into(),
        container: None,
        port: None,
        subnets: SUBNETS.map(str::to_owned).into(),
        security_groups: vec![SECURITY_GROUP.into()],
        assign_public_ip: false,
        launch: Launch::Auto,
        command: None,
        cpu: None,
        memory: None,
        execute_command: false,
        secrets: SecretsAs::Values,
        host_address: None,
    }
}

/// Somebody of another deployment.
pub(crate) fn stranger() -> Owner {
    Owner {
        deployment: DeploymentId::new([99; 10]),
        instance: InstanceId::new(Timestamp(1), [9; 10]),
        attempt: Attempt(1),
    }
}
