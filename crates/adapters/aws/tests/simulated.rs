//! The adapter over a simulator in its own process, on a paused clock: no socket, no time of this machine, one seed for everything. A whole
//! deployment in these surroundings is simulated elsewhere; here is shown that nothing below it is left to chance.

use futures::future::join_all;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;
use wharf_aws::{ClientOptions, Clients, EcsTasks, ElbRoutes, Governor, Surroundings};
use wharf_aws_simulator::{
    Connector, ContainerInstance, Options, SECURITY_GROUP, SUBNETS, Simulator, TargetGroup, TaskDefinition, Weather,
};
use wharf_domain::{
    Attempt, DeploymentId, Endpoint, Failure, InstanceId, Timestamp,
    instance::TaskRef,
    service::{EcsTask, HealthCheck, Launch, ListenerRule, RunSpec, SecretsAs},
};
use wharf_platform::{Backend, Health, Owner, RouteKey, Routes, Stopping, TaskSpec, TaskStatus, Tasks};
use wharf_saga::{Clock, Ids};

const CLUSTER: &str = "shop";
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct SimulatedTime(Arc<Simulator>);

impl Clock for SimulatedTime {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.0.now().as_millis()).expect("a time of this age"))
    }
}

struct Counter(AtomicU64);

impl Ids for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(0x9E37_79B9, Ordering::Relaxed).to_le_bytes()[2];
        }
    }
}

struct Site {
    simulator: Arc<Simulator>,
    tasks: EcsTasks,
    routes: ElbRoutes,
    clock: Arc<SimulatedTime>,
    deployment: DeploymentId,
    route: RouteKey,
}

impl Site {
    fn new(seed: u64, weather: &Weather) -> Self {
        let simulator = Arc::new(Simulator::in_process(Options::following(1.0)));
        let bridge = TaskDefinition::bridge("web").container("web", 8080);
        simulator.task_definition(&bridge).expect("a definition");
        for _ in 0..3 {
            simulator.container_instance(CLUSTER, &ContainerInstance::sized(4_096, 8_192));
        }
        let listener = simulator.load_balancer("main").listener;
        let unused = TargetGroup::instance("web", 8080).unused();
        let group = simulator.target_group(&unused.deregistration_delay(20 * SECOND));
        let route = RouteKey::TargetGroups {
            arns: vec![group],
            rule: Some(ListenerRule {
                listener,
                host: None,
                path: Some("/web/*".to_owned()),
            }),
        };
        simulator.weather(seed, *weather);
        let clock = Arc::new(SimulatedTime(simulator.clone()));
        let surroundings = Surroundings::new(Connector::new(simulator.clone()), clock.clone());
        let clients = Arc::new(Clients::new(ClientOptions::within(surroundings, simulator.url())));
        let ids = Arc::new(Counter(AtomicU64::new(seed)));
        let governor = Arc::new(Governor::new(NonZeroU32::MIN, ids.clone()));
        let deployment = DeploymentId::new([5; 10]);
        Self {
            tasks: EcsTasks::new(deployment.clone(), clients.clone(), governor.clone(), clock.clone()),
            routes: ElbRoutes::new(clients, governor, deployment.clone(), ids),
            simulator,
            clock,
            deployment,
            route,
        }
    }

    fn spec(&self, owner: &Owner) -> TaskSpec {
        let task = EcsTask {
            cluster: CLUSTER.into(),
            task_definition: "web".into(),
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
        };
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

    async fn running(&self, owner: &Owner, task: &TaskRef) -> Option<Endpoint> {
        for _ in 0..60 {
            match self.tasks.look(owner, task).await {
                Ok(TaskStatus::Running {
                    endpoint: Some(endpoint),
                }) => return Some(endpoint),
                Ok(TaskStatus::Stopped { .. }) => return None,
                _ => sleep(SECOND).await,
            }
        }
        None
    }

    /// One instance's life, as a saga leads it; gives what it came to.
    async fn life(&self, number: u8) -> String {
        let owner = Owner {
            deployment: self.deployment.clone(),
            instance: InstanceId::new(Timestamp(1), [number; 10]),
            attempt: Attempt(1),
        };
        let spec = self.spec(&owner);
        let started = tries(async || self.tasks.start(spec.clone()).await).await;
        let mut came = "not started";
        if let Some(task) = &started {
            came = "never ran";
            if let Some(endpoint) = self.running(&owner, task).await {
                came = "ran";
                let backend = Backend {
                    key: self.route.clone(),
                    owner: owner.clone(),
                    endpoint: endpoint.clone(),
                    identity_header: None,
                    health: health_check(),
                };
                if tries(async || self.routes.register(backend.clone()).await)
                    .await
                    .is_some()
                {
                    let healthy = tries(
                        async || match self.routes.health(&owner, &self.route, &endpoint).await? {
                            Some(Health::Pending { why, look_in }) => {
                                sleep(look_in).await;
                                Err(why)
                            }
                            other => Ok(other),
                        },
                    );
                    if healthy.await == Some(Some(Health::Good)) {
                        came = "answered";
                    }
                }
                let withdrawn = async || {
                    let withdrawn = self.routes.withdraw(&owner, &self.route, Some(&endpoint), 5 * SECOND);
                    withdrawn
                        .await?
                        .then_some(())
                        .ok_or_else(|| Failure::internal("it drains"))
                };
                assert!(tries(withdrawn).await.is_some(), "its target stays");
            }
        }
        // As the undo of a start does: what may have been started is found.
        let task = match started {
            Some(task) => Some(task),
            None => tries(async || self.tasks.find(&spec).await).await.flatten(),
        };
        if let Some(task) = task {
            let stopped = async || match self.tasks.stop(&owner, &task, SECOND).await? {
                Stopping::Stopped => Ok(()),
                Stopping::Underway => Err(Failure::internal("it stops")),
            };
            assert!(tries(stopped).await.is_some(), "its task stays");
        }
        format!("{number} {came} until {}\n", self.clock.now().0)
    }
}

fn health_check() -> HealthCheck {
    HealthCheck {
        path: "/".to_owned(),
        interval: SECOND,
        timeout: SECOND,
        healthy: 1,
        unhealthy: 3,
    }
}

/// Until it succeeds, with pauses; as long as a saga is patient.
async fn tries<T>(mut act: impl AsyncFnMut() -> Result<T, Failure>) -> Option<T> {
    for _ in 0..40 {
        if let Ok(done) = act().await {
            return Some(done);
        }
        sleep(2 * SECOND).await;
    }
    None
}

/// Lives of so many instances, begun one after the other: what each came to, and every call.
async fn course(seed: u64, weather: &Weather, lives: u8) -> (String, Arc<Simulator>) {
    let site = Site::new(seed, weather);
    let begun = |number| {
        let site = &site;
        async move {
            sleep(3 * SECOND * u32::from(number)).await;
            site.life(number).await
        }
    };
    let mut course: String = join_all((0..lives).map(begun)).await.concat();
    // What the network held back has arrived by then, or never will.
    site.simulator.calm(seed);
    sleep(wharf_aws_simulator::SIGNATURE_LIVES_FOR).await;
    for call in site.simulator.calls() {
        let asked = call.permissions.first().map(|permission| &permission.resource);
        writeln!(
            course,
            "{:?} {} {asked:?} {} {:?}",
            call.at, call.action, call.status, call.error
        )
        .expect("a string takes all");
    }
    (course, site.simulator.clone())
}

fn on_a_runtime_of_its_own<T>(course: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(course)
}

#[test]
fn lives_in_fair_weather_answer_and_leave_nothing() {
    on_a_runtime_of_its_own(async {
        let (course, simulator) = course(1, &Weather::FAIR, 20).await;
        assert_eq!(course.matches(" answered until").count(), 20, "{course}");
        assert_eq!(simulator.live_tasks(), []);
        assert_eq!(simulator.targets(), []);
        assert_eq!(simulator.rules(), []);
    });
}

#[test]
fn one_seed_is_one_trace_to_the_byte() {
    let run = |seed| on_a_runtime_of_its_own(async { course(seed, &Weather::STORM, 30).await.0 });
    let first = run(21);
    assert!(first.contains(" answered until"), "{first}");
    assert!(first.contains("ThrottlingException"), "{first}");
    assert_eq!(first, run(21));
    assert_ne!(first, run(22));
}
