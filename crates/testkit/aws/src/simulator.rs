//! The simulator as a test holds it: start it, put resources into it, let things happen, look at what is left.

use crate::calls::{Call, Calls};
use crate::clock::{Clock, FIRST_MOMENT};
use crate::delivery::{Delivery, Outbox};
use crate::ec2::Ingress;
use crate::ecs::task::Task;
use crate::elb::conditions::Condition;
use crate::faults::{Fault, Faults};
use crate::names::Account;
use crate::plan::{TargetPlan, TaskPlan};
use crate::refusal::Refusal;
use crate::resources::{ContainerInstance, Host, LoadBalancer, TargetGroup, TaskDefinition, VPC};
use crate::serve::Listeners;
use crate::server::Core;
use crate::throttle::{Throttles, Throttling};
use crate::world::{Consistency, World};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

/// Events that a subscriber may be behind; then it is told that it missed some.
const MOST_EVENTS_BEHIND: usize = 16_384;

/// How a simulator is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Loopback, any free port, where nothing else is said.
    pub listen: SocketAddr,
    pub account: String,
    pub region: String,
    /// Simulated seconds in one of tokio's. 0: time stands still but for [`Simulator::advance`].
    pub speed: f64,
    /// Simulated time at the start, since 1970.
    pub starts_at: Duration,
    pub consistency: Consistency,
    pub throttling: Throttling,
    pub delivery: Delivery,
}

impl Default for Options {
    /// Time that a test moves by hand, eventual consistency as usual, no throttling, tidy events.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            speed: 0.0,
            starts_at: FIRST_MOMENT,
            consistency: Consistency::default(),
            throttling: Throttling::Off,
            delivery: Delivery::default(),
        }
    }
}

impl Options {
    /// Time passes by itself, so many times as fast as tokio's.
    pub fn following(speed: f64) -> Self {
        Self {
            speed,
            ..Self::default()
        }
    }
}

/// A simulated account in one region, with its endpoint. All of it is gone when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    core: Arc<Core>,
    address: SocketAddr,
    _running: JoinSet<()>,
}

/// A task, as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSeen {
    pub arn: String,
    pub cluster: String,
    pub family: String,
    /// `RUNNING`, as in `lastStatus`.
    pub status: String,
    /// `RUNNING` or `STOPPED`.
    pub desired: String,
    pub started_by: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Of its first container: the definition's variables with the overrides.
    pub environment: BTreeMap<String, String>,
    /// Where it is reached within the network, once that is known: address and port of its first mapping.
    pub address: Option<(String, u16)>,
    pub stopped_reason: Option<String>,
    pub version: i64,
}

/// A target, as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSeen {
    pub group: String,
    pub id: String,
    pub port: u16,
    pub state: String,
    pub reason: Option<String>,
}

/// A listener rule, as a test looks at it; default rules are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSeen {
    pub arn: String,
    pub listener: String,
    pub priority: u64,
    /// Field and value, `("path-pattern", "/api/auth/*")`.
    pub conditions: Vec<(String, String)>,
    pub groups: Vec<String>,
    pub tags: BTreeMap<String, String>,
}

impl Simulator {
    /// Listens, and has the default network ([`crate::VPC`]) and nothing else in it. It lives on the runtime that it is started on.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let account = Account {
            id: options.account,
            region: options.region,
        };
        let clock = Clock::new(options.starts_at, options.speed);
        let mut world = World::new(
            account,
            clock.now(),
            options.consistency,
            Listeners::new(Handle::current()),
        );
        world.make_default_network();
        let core = Arc::new(Core::new(
            clock,
            world,
            Throttles::new(options.throttling),
            Outbox::new(options.delivery),
            broadcast::channel(MOST_EVENTS_BEHIND).0,
        ));
        let mut running = JoinSet::new();
        running.spawn(Arc::clone(&core).serve(listener));
        running.spawn(Arc::clone(&core).keep_time());
        Ok(Self {
            core,
            address,
            _running: running,
        })
    }

    /// The endpoint for every service, as in `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Simulated time since 1970.
    pub fn now(&self) -> Duration {
        self.core.clock.now()
    }

    /// So much time passes at once; everything that was due in it happens, each at its own time.
    pub fn advance(&self, by: Duration) {
        self.core.clock.advance(by);
        self.core.with_world(|_| ());
    }

    /// Events from now on, in the form in which EventBridge hands them on.
    pub fn events(&self) -> broadcast::Receiver<Value> {
        self.core.events.subscribe()
    }

    pub fn deliver(&self, delivery: Delivery) {
        self.core.outbox.lock().change(delivery);
    }

    pub fn fault(&self, fault: Fault) {
        self.core.faults.order(fault);
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        Faults::mend(&self.core.faults);
    }

    /// Every call so far, whatever came of it; those that had no signature aside.
    pub fn calls(&self) -> Vec<Call> {
        Calls::all(&self.core.calls)
    }

    /// How often each action was called.
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call.action).or_default() += 1;
        }
        counts
    }

    /// How many calls of each action the token buckets refused.
    pub fn throttled(&self) -> BTreeMap<String, u64> {
        self.core.throttles.lock().refused()
    }
}

/// What is in the account.
impl Simulator {
    /// The cluster's ARN.
    pub fn cluster(&self, name: &str) -> String {
        self.core.with_world(|world| world.make_cluster(name))
    }

    /// The ARN of the new revision, or why AWS would refuse it.
    pub fn task_definition(&self, definition: &TaskDefinition) -> Result<String, String> {
        self.core.with_world(|world| {
            let answer = world
                .register_task_definition(&definition.input)
                .map_err(|refusal: Refusal| refusal.message)?;
            for log in answer["taskDefinition"]["containerDefinitions"]
                .as_array()
                .into_iter()
                .flatten()
            {
                if let Some(group) = log["logConfiguration"]["options"]["awslogs-group"].as_str() {
                    world.logs.groups.entry(group.to_owned()).or_default();
                }
            }
            Ok(answer["taskDefinition"]["taskDefinitionArn"]
                .as_str()
                .unwrap_or_default()
                .to_owned())
        })
    }

    /// A container instance in the cluster, which is made if it is not there.
    pub fn container_instance(&self, cluster: &str, setup: &ContainerInstance) -> Host {
        self.core
            .with_world(|world| world.make_container_instance(cluster, setup))
    }

    /// The target group's ARN.
    pub fn target_group(&self, setup: &TargetGroup) -> String {
        self.core.with_world(|world| world.make_target_group(setup))
    }

    /// A load balancer with one listener and no rules but the default one.
    pub fn load_balancer(&self, name: &str) -> LoadBalancer {
        self.core
            .with_world(|world| world.make_load_balancer(name, VPC, Vec::new()))
    }

    /// `zone` is the letter behind the region.
    pub fn subnet(&self, id: &str, vpc: &str, zone: &str) {
        self.core.with_world(|world| world.make_subnet(id, vpc, zone));
    }

    pub fn security_group(&self, id: &str, vpc: &str, ingress: Vec<Ingress>) {
        self.core
            .with_world(|world| world.make_security_group(id, vpc, ingress));
    }

    pub fn log_group(&self, name: &str) {
        self.core.with_world(|world| {
            world.logs.groups.entry(name.to_owned()).or_default();
        });
    }

    /// A line of a container's output. False where its definition names no log group, or one that is not there.
    pub fn write_log(&self, task: &str, container: &str, text: &str) -> bool {
        self.core.with_world(|world| world.write_log(task, container, text))
    }
}

/// What is to become of things.
impl Simulator {
    /// Every task of this family from now on.
    pub fn plan(&self, family: &str, plan: TaskPlan) {
        self.core
            .with_world(|world| world.ecs.plans.insert(Some(family.to_owned()), plan));
    }

    /// Every task from now on whose family has no plan of its own.
    pub fn plan_all(&self, plan: TaskPlan) {
        self.core.with_world(|world| world.ecs.plans.insert(None, plan));
    }

    /// The next task of this family that has no such order before it.
    pub fn plan_next(&self, family: &str, plan: TaskPlan) {
        self.core.with_world(|world| {
            world
                .ecs
                .next_plans
                .entry(family.to_owned())
                .or_default()
                .push_back(plan)
        });
    }

    /// Fargate has no capacity for so long.
    pub fn fargate_unavailable_for(&self, time: Duration) {
        self.core
            .with_world(|world| world.ecs.scarcity.fargate_until = Some(world.now + time));
    }

    /// The next placements fail for this reason, `RESOURCE:ENI` for one.
    pub fn fail_placements(&self, reason: &str, times: usize) {
        self.core.with_world(|world| {
            let reasons = std::iter::repeat_n(reason.to_owned(), times);
            world.ecs.scarcity.next.extend(reasons);
        });
    }

    /// AWS stops the task by itself: `SpotInterruption`, `TerminationNotice`. False where there is no such task.
    pub fn stop_task(&self, arn: &str, code: &'static str, reason: &str) -> bool {
        self.core
            .with_world(|world| match world.ecs.task_numbers.get(arn).copied() {
                Some(number) => {
                    world.end(number, code, reason.to_owned(), false);
                    true
                }
                None => false,
            })
    }

    /// The task's essential container ends by itself, now. False where there is no such task, or it does not run.
    pub fn exit_task(&self, arn: &str, code: i32, reason: Option<&str>) -> bool {
        self.core.with_world(|world| {
            let number = world.ecs.task_numbers.get(arn).copied();
            number.is_some_and(|number| world.exit(number, code, reason.map(str::to_owned)))
        })
    }

    /// The EC2 instance under a container instance ends, and all tasks on it with it.
    pub fn lose_host(&self, container_instance: &str) {
        self.core.with_world(|world| world.lose_host(container_instance));
    }

    /// The agent of a container instance is reached, or not.
    pub fn connect_agent(&self, container_instance: &str, connected: bool) {
        self.core.with_world(|world| {
            if let Some(instance) = world.ecs.instances.get_mut(container_instance) {
                instance.agent_connected = connected;
            }
        });
    }

    /// `pending`, `running`, `stopping`, `stopped` or `terminated`.
    pub fn set_ec2_state(&self, ec2_instance_id: &str, state: &'static str) {
        self.core.with_world(|world| {
            if let Some(instance) = world.ec2.instances.get_mut(ec2_instance_id) {
                instance.state = state;
            }
        });
    }

    /// What becomes of the group's targets, those that are registered included.
    pub fn target_plan(&self, group: &str, plan: TargetPlan) {
        self.core.with_world(|world| {
            if let Some(group) = world.elb.groups.get_mut(group) {
                group.plan = plan;
            }
        });
    }

    /// What becomes of one target, registered or not yet.
    pub fn target_plan_of(&self, group: &str, id: &str, port: u16, plan: TargetPlan) {
        self.core.with_world(|world| {
            if let Some(group) = world.elb.groups.get_mut(group) {
                group.plans.insert((id.to_owned(), port), plan);
            }
        });
    }

    /// The target group is deleted, as somebody else might do.
    pub fn delete_target_group(&self, arn: &str) {
        self.core.with_world(|world| world.elb.groups.remove(arn));
    }
}

/// What is there: for a test to look for leftovers.
impl Simulator {
    /// Every task that ECS shows still, in the order in which they were started.
    pub fn tasks(&self) -> Vec<TaskSeen> {
        self.core
            .with_world(|world| world.ecs.tasks.values().map(|task| seen(world, task)).collect())
    }

    /// Tasks that are not STOPPED.
    pub fn live_tasks(&self) -> Vec<TaskSeen> {
        self.tasks()
            .into_iter()
            .filter(|task| task.status != "STOPPED")
            .collect()
    }

    /// Targets of all groups, draining ones included.
    pub fn targets(&self) -> Vec<TargetSeen> {
        self.core.with_world(|world| {
            let mut targets = Vec::new();
            for group in world.elb.groups.values() {
                for key in group.targets.keys().filter(|key| group.is_known(key, world.now)) {
                    let health = world.health(group, key);
                    targets.push(TargetSeen {
                        group: group.arn.clone(),
                        id: key.0.clone(),
                        port: key.1,
                        state: health.state.to_owned(),
                        reason: health.reason.map(str::to_owned),
                    });
                }
            }
            targets
        })
    }

    pub fn rules(&self) -> Vec<RuleSeen> {
        let flat = |condition: &Condition| {
            let field = condition.field.clone();
            condition
                .values
                .iter()
                .map(move |value| (field.clone(), value.clone()))
                .collect::<Vec<_>>()
        };
        self.core.with_world(|world| {
            let rules = world.elb.rules.values();
            rules
                .map(|rule| RuleSeen {
                    arn: rule.arn.clone(),
                    listener: rule.listener.clone(),
                    priority: rule.priority,
                    conditions: rule.conditions.iter().flat_map(flat).collect(),
                    groups: rule.groups.clone(),
                    tags: rule
                        .tags
                        .iter()
                        .map(|tag| (tag.key.clone(), tag.value.clone()))
                        .collect(),
                })
                .collect()
        })
    }
}

fn seen(world: &World, task: &Task) -> TaskSeen {
    let host = task.instance.as_ref().and_then(|arn| world.ecs.instances.get(arn));
    let host = host
        .and_then(|host| world.ec2.instances.get(&host.ec2_id))
        .map(|host| host.private_address.clone());
    let address = task.private_address().map(str::to_owned).or(host);
    let port = task.containers.iter().flat_map(|container| &container.bindings).next();
    TaskSeen {
        arn: task.arn.clone(),
        cluster: task.cluster.clone(),
        family: task.family.clone(),
        status: task.status.name().to_owned(),
        desired: task.desired().to_owned(),
        started_by: task.started_by.clone(),
        tags: task
            .tags
            .iter()
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect(),
        environment: task
            .containers
            .first()
            .map(|container| container.environment.clone())
            .unwrap_or_default(),
        address: address.zip(port.map(|port| port.host_port)),
        stopped_reason: task.stopped_reason.clone(),
        version: task.version,
    }
}
