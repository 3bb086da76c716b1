//! The simulator as a test holds it: start it, put resources into it, let things happen, look at what is left.

use crate::calls::{Call, Calls};
use crate::clock::{Clock, FIRST_MOMENT};
use crate::core::Core;
use crate::delivery::{Delivery, Outbox};
use crate::ec2::Ingress;
use crate::ecs::placement::Scarcity;
use crate::exchange::Dropped;
use crate::faults::{Fault, Faults};
use crate::inventory::Inventory;
use crate::misfortune::befall;
use crate::names::Account;
use crate::plan::{TargetPlan, TaskPlan};
use crate::policy::Policy;
use crate::publisher::{Subscriber, publish};
use crate::resources::{ContainerInstance, Host, LoadBalancer, TargetGroup, TaskDefinition, VPC};
use crate::serve::Listeners;
use crate::throttle::{Throttles, Throttling};
use crate::views::{RuleSeen, TargetSeen, TaskSeen};
use crate::weather::{Sky, Weather};
use crate::world::{Consistency, World};
use bytes::Bytes;
use http::{Request, Response};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::task::{AbortHandle, JoinSet};

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
    /// None where requests come in process only.
    address: Option<SocketAddr>,
    running: Mutex<JoinSet<()>>,
    misfortunes: Mutex<Option<AbortHandle>>,
}

impl Simulator {
    /// Listens, and has the default network ([`crate::VPC`]) and nothing else in it. It lives on the runtime that it is started on.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let simulator = Self::over(options, Some(address));
        let serving = Arc::clone(&simulator.core).serve(listener);
        simulator.running.lock().spawn(serving);
        Ok(simulator)
    }

    /// As [`start`](Self::start), without a socket: requests come by [`exchange`](Self::exchange). On a runtime of one thread with a paused clock,
    /// what happens is decided by what is asked and by the seed of the [`Weather`] alone.
    pub fn in_process(options: Options) -> Self {
        Self::over(options, None)
    }

    fn over(options: Options, address: Option<SocketAddr>) -> Self {
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
        world.ec2.local_network = address.map_or([0, 0], |address| address.port().to_be_bytes());
        let core = Arc::new(Core::new(
            clock,
            world,
            Throttles::new(options.throttling),
            Outbox::new(options.delivery),
            broadcast::channel(MOST_EVENTS_BEHIND).0,
        ));
        let mut running = JoinSet::new();
        running.spawn(Arc::clone(&core).keep_time());
        Self {
            core,
            address,
            running: Mutex::new(running),
            misfortunes: Mutex::new(None),
        }
    }

    /// The endpoint for every service, as in `AWS_ENDPOINT_URL`. Nobody listens there where it was made [`in_process`](Self::in_process).
    pub fn url(&self) -> String {
        match self.address {
            Some(address) => format!("http://{address}"),
            None => "http://aws.invalid".to_owned(),
        }
    }

    /// One signed request, and its answer. A request that was sent arrives and is done, whether or not anybody waits for the answer still.
    pub async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Dropped> {
        let on_its_way = tokio::spawn(Arc::clone(&self.core).respond(request));
        // It neither panics nor is aborted but by the end of the runtime.
        on_its_way.await.unwrap_or(Err(Dropped))
    }

    /// From now on the days are as bad as this says, and the seed decides when what happens. Orders ([`fault`](Self::fault), [`plan`](Self::plan)) come first.
    pub fn weather(&self, seed: u64, weather: Weather) {
        *self.core.sky.lock() = Sky::new(weather.calls, seed, 1);
        self.core.outbox.lock().weather(Sky::new(weather.events, seed, 2));
        self.core.with_world(|world| {
            world.reads = Sky::new(weather.reads, seed, 3);
            world.fortune = Sky::new(weather.tasks, seed, 4);
        });
        let misfortunes = befall(Arc::clone(&self.core), weather.tasks, seed);
        let misfortunes = self.running.lock().spawn(misfortunes);
        if let Some(earlier) = self.misfortunes.lock().replace(misfortunes) {
            earlier.abort();
        }
    }

    /// Nothing goes wrong any more, and what was broken is whole: hosts are there again, and Fargate has room. What is under way by then stays so.
    pub fn calm(&self, seed: u64) {
        self.weather(seed, Weather::FAIR);
        self.mend();
        self.core.with_world(|world| {
            world.ecs.scarcity = Scarcity::default();
            world.mend(Duration::MAX);
        });
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

    /// Sends events from now on to somebody outside of this process too.
    pub fn publish(&self, to: Subscriber) {
        self.running.lock().spawn(publish(to, self.events()));
    }

    /// How events from now on are delivered.
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

    /// From now on the caller may only what this IAM policy allows; the rest is denied as AWS denies it. Fails where the policy says
    /// something that is not simulated.
    pub fn allow_only(&self, policy: &Value) -> Result<(), String> {
        *self.core.policy.lock() = Some(Policy::parse(policy)?);
        Ok(())
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
        self.core
            .with_world(|world| world.make_task_definition(&definition.input))
    }

    /// A container instance in the cluster, which is made if it is not there.
    pub fn container_instance(&self, cluster: &str, setup: &ContainerInstance) -> Host {
        self.core
            .with_world(|world| world.make_container_instance(cluster, setup))
    }

    /// All that a file lists, or why AWS would refuse some of it.
    pub fn put(&self, inventory: &Inventory) -> Result<(), String> {
        self.core.with_world(|world| inventory.put_into(world))
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

    /// What the subnet's default route leads to: `igw-…` (as at first), `nat-…`, or nowhere.
    pub fn route_subnet(&self, id: &str, default_route: Option<&str>) {
        self.core.with_world(|world| {
            if let Some(subnet) = world.ec2.subnets.get_mut(id) {
                subnet.default_route = default_route.map(str::to_owned);
            }
        });
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

    /// A line of a container's output. False where it writes to no log group, or does not run yet.
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

    /// The cluster is deleted: ECS shows it as INACTIVE for a while.
    pub fn delete_cluster(&self, name: &str) {
        self.core.with_world(|world| {
            if let Some(cluster) = world.ecs.clusters.get_mut(name) {
                cluster.active = false;
            }
        });
    }

    pub fn delete_log_group(&self, name: &str) {
        self.core.with_world(|world| world.logs.groups.remove(name));
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
        self.core.with_world(|world| world.tasks_seen())
    }

    /// The task that answers at this address, private or public, or at this port of an EC2 instance.
    pub fn who_listens(&self, id: &str, port: u16) -> Option<TaskSeen> {
        self.core.with_world(|world| world.who_listens(id, port))
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
        self.core.with_world(|world| world.targets_seen())
    }

    /// Listener rules, default rules not among them.
    pub fn rules(&self) -> Vec<RuleSeen> {
        self.core.with_world(|world| world.rules_seen())
    }
}
