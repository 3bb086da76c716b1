//! A simulated account with one service on Fargate behind a target group, and Wharf over the adapters of AWS in it. What is measured there is no
//! matter of this file.

use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tokio::task::JoinSet;
use wharf_aws::{ClientOptions, Clients, EcsTasks, ElbRoutes, Governor};
use wharf_aws_simulator::{
    Options, SECURITY_GROUP, SUBNETS, Simulator, TargetGroup, TargetPlan, TaskDefinition, TaskPlan,
};
use wharf_domain::{
    Service,
    service::{RouteRule, RunSpec},
};
use wharf_local::OsIds;
use wharf_platform::Platform;
use wharf_provisioning::{Pace, Reporter, Settings, Wharf, wharf::Deployment};
use wharf_saga::{Clock, Store};
use wharf_testkit::sim::{SimWaker, SimWorld, services, wharf::settings};

use crate::Result;

/// The service, its cluster's and its task definition's beginning.
pub(crate) const SERVICE: &str = "auth";
const PORT: u16 = 8080;
/// The shortest health check that AWS has: every 5 s, two good answers.
const CHECK_EVERY: Duration = Duration::from_secs(5);
const CHECKS: u32 = 2;
/// None of these figures is about giving up.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a task and its target do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) runs_after: Duration,
    pub(crate) healthy_after: Duration,
}

pub(crate) struct Site {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) service: Service,
    world: SimWorld,
}

impl Site {
    pub(crate) async fn new(options: Options, script: Script, tenant: bool) -> Result<Self> {
        let simulator = Arc::new(Simulator::start(options).await?);
        let mut service = services::on_ecs(SERVICE);
        service.tenant = tenant;
        service.start_timeout = PATIENCE;
        if let RunSpec::Ecs(task) = &mut service.run {
            simulator.cluster(&task.cluster);
            let definition = TaskDefinition::fargate(&task.task_definition).container(SERVICE, PORT);
            simulator.task_definition(&definition)?;
            task.subnets = SUBNETS.map(str::to_owned).to_vec();
            task.security_groups = vec![SECURITY_GROUP.to_owned()];
        }
        let group = TargetGroup::ip(SERVICE, PORT)
            .health_check("/healthz", CHECK_EVERY, CHECKS)
            .healthy_threshold(CHECKS)
            .plan(TargetPlan::HealthyAfter(script.healthy_after));
        if let RouteRule::TargetGroups { arns, .. } = &mut service.route {
            *arns = vec![simulator.target_group(&group)];
        }
        simulator.plan_all(TaskPlan::fargate().runs_after(script.runs_after));
        Ok(Self {
            simulator,
            service,
            world: SimWorld::new(1),
        })
    }

    pub(crate) fn settings(&self, pace: Pace) -> Settings {
        Settings {
            pace,
            ..settings(&self.world, [self.service.clone()])
        }
    }

    /// Tasks and target groups are AWS's; databases, secrets and mails are the simulated world's, where they cost nothing.
    pub(crate) fn platform(&self, clock: Arc<dyn Clock>) -> (Platform, Arc<EcsTasks>) {
        let clients = Arc::new(Clients::new(ClientOptions::emulator(self.simulator.url())));
        let governor = Arc::new(Governor::new(NonZeroU32::MIN, Arc::new(OsIds)));
        let deployment = self.world.deployment_id().clone();
        let routes = ElbRoutes::new(clients.clone(), governor.clone(), deployment.clone(), Arc::new(OsIds));
        let tasks = Arc::new(EcsTasks::new(deployment, clients, governor, clock));
        let platform = Platform {
            tasks: tasks.clone(),
            events: tasks.clone(),
            routes: Arc::new(routes),
            ..self.world.deployment([]).platform
        };
        (platform, tasks)
    }

    /// A server, as `wharf up` is one on ECS with a queue. What ECS tells of tasks reaches it; whatever it does ends when the set is dropped.
    pub(crate) fn server(
        &self,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        reporter: Arc<dyn Reporter>,
        work: &mut JoinSet<()>,
    ) -> (Wharf, Arc<EcsTasks>) {
        let (platform, tasks) = self.platform(clock.clone());
        let waker = Arc::new(SimWaker::new(clock.clone()));
        let wharf = Wharf::new(Deployment {
            store,
            platform,
            settings: self.settings(Pace::default()),
            clock,
            ids: Arc::new(OsIds),
            waker: waker.clone(),
            reporter,
            ..self.world.deployment([])
        });
        let engine = wharf.engine().clone();
        waker.connect(move |id, seq| engine.wake(id, seq));
        let sweeping = wharf.clone();
        work.spawn(async move { sweeping.engine().sweep_forever().await });
        (wharf, tasks)
    }
}
