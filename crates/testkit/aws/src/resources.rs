//! What a test puts into the account before it begins: small builders, each for one kind of resource, and their making.

use crate::clock::Moment;
use crate::ec2::{Ingress, Instance, SecurityGroup, Subnet};
use crate::ecs::instances::{DYNAMIC_PORTS, usual_attributes};
use crate::elb::balancers::{Balancer, Listener};
use crate::elb::groups::{HealthCheck, TargetType};
use crate::plan::TargetPlan;
use crate::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The network that every account has: one VPC with two subnets and a security group.
pub const VPC: &str = "vpc-0a1b2c3d4e5f60718";
pub const SUBNETS: [&str; 2] = ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"];
pub const SECURITY_GROUP: &str = "sg-0a1b2c3d4e5f60001";

/// A task definition, in what RegisterTaskDefinition takes.
#[derive(Clone, Debug)]
pub struct TaskDefinition {
    pub(crate) input: Value,
}

impl TaskDefinition {
    /// Network mode awsvpc, for Fargate, with a quarter of a CPU and 512 MiB.
    pub fn fargate(family: &str) -> Self {
        Self {
            input: json!({
                "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
                "containerDefinitions": [],
            }),
        }
    }

    /// Network mode awsvpc on container instances.
    pub fn awsvpc(family: &str) -> Self {
        Self::on_instances(family, "awsvpc")
    }

    /// Network mode bridge on container instances.
    pub fn bridge(family: &str) -> Self {
        Self::on_instances(family, "bridge")
    }

    /// Network mode host on container instances.
    pub fn host(family: &str) -> Self {
        Self::on_instances(family, "host")
    }

    fn on_instances(family: &str, mode: &str) -> Self {
        Self {
            input: json!({
                "family": family, "networkMode": mode, "requiresCompatibilities": ["EC2"], "containerDefinitions": [],
            }),
        }
    }

    /// One more container, which listens on this port; 256 units of CPU and 256 MiB, as in the documented task definition.
    #[must_use]
    pub fn container(self, name: &str, port: u16) -> Self {
        self.mapped(name, &json!([{ "containerPort": port, "protocol": "tcp" }]))
    }

    /// One more container, with a fixed port of its host.
    #[must_use]
    pub fn container_at(self, name: &str, port: u16, host_port: u16) -> Self {
        self.mapped(
            name,
            &json!([{ "containerPort": port, "hostPort": host_port, "protocol": "tcp" }]),
        )
    }

    /// One more container, which listens nowhere.
    #[must_use]
    pub fn sidecar(self, name: &str) -> Self {
        self.mapped(name, &json!([]))
    }

    fn mapped(mut self, name: &str, mappings: &Value) -> Self {
        let container = json!({
            "name": name, "image": format!("{name}:latest"), "cpu": 256, "memory": 256, "essential": true, "portMappings": mappings,
        });
        if let Some(containers) = self.input["containerDefinitions"].as_array_mut() {
            containers.push(container);
        }
        self
    }

    /// The roles that a caller has to be allowed to pass.
    #[must_use]
    pub fn roles(mut self, task: &str, execution: &str) -> Self {
        self.input["taskRoleArn"] = json!(task);
        self.input["executionRoleArn"] = json!(execution);
        self
    }

    /// All containers write to streams of this log group, which is made if it is not there.
    #[must_use]
    pub fn logs_to(mut self, group: &str) -> Self {
        for container in self.input["containerDefinitions"].as_array_mut().into_iter().flatten() {
            container["logConfiguration"] = json!({
                "logDriver": "awslogs", "options": { "awslogs-group": group, "awslogs-stream-prefix": "ecs" },
            });
        }
        self
    }

    /// Any other member of RegisterTaskDefinition.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.input[member] = value;
        self
    }
}

/// A container instance and the EC2 instance under it.
#[derive(Clone, Debug)]
pub struct ContainerInstance {
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    pub(crate) interfaces: usize,
    pub(crate) local: bool,
    pub(crate) agent_connected: bool,
    pub(crate) without: BTreeSet<String>,
}

impl Default for ContainerInstance {
    /// A t3.micro: two CPUs, 904 MiB left by the system, one interface beside its own.
    fn default() -> Self {
        Self {
            cpu: 2_048,
            memory: 904,
            interfaces: 1,
            local: false,
            agent_connected: true,
            without: BTreeSet::new(),
        }
    }
}

impl ContainerInstance {
    /// So much CPU, in units of 1/1,024, and memory, in MiB.
    pub fn sized(cpu_units: i64, memory_mib: i64) -> Self {
        Self {
            cpu: cpu_units,
            memory: memory_mib,
            interfaces: 3,
            ..Self::default()
        }
    }

    /// How many tasks in network mode awsvpc it holds.
    #[must_use]
    pub const fn interfaces(mut self, interfaces: usize) -> Self {
        self.interfaces = interfaces;
        self
    }

    /// Its addresses are 127.0.0.1, so that tasks that serve are reached at them.
    #[must_use]
    pub const fn on_this_machine(mut self) -> Self {
        self.local = true;
        self
    }

    /// It lacks what its tasks may ask for: `ecs.capability.task-eni`.
    #[must_use]
    pub fn without_attribute(mut self, name: &str) -> Self {
        self.without.insert(name.to_owned());
        self
    }
}

/// A container instance that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub arn: String,
    pub ec2_instance_id: String,
    pub private_address: String,
    pub public_address: String,
}

/// A target group.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    name: String,
    target_type: TargetType,
    port: u16,
    vpc: String,
    health: HealthCheck,
    deregistration_delay: Duration,
    plan: TargetPlan,
    in_use: bool,
    id: Option<String>,
}

impl TargetGroup {
    /// For addresses: tasks in network mode awsvpc.
    pub fn ip(name: &str, port: u16) -> Self {
        Self::new(name, port, TargetType::Ip)
    }

    /// For EC2 instances: tasks in network mode bridge or host.
    pub fn instance(name: &str, port: u16) -> Self {
        Self::new(name, port, TargetType::Instance)
    }

    fn new(name: &str, port: u16, target_type: TargetType) -> Self {
        Self {
            name: name.to_owned(),
            target_type,
            port,
            vpc: VPC.to_owned(),
            health: HealthCheck::default(),
            deregistration_delay: Duration::from_mins(5),
            plan: TargetPlan::default(),
            in_use: true,
            id: None,
        }
    }

    /// What becomes of its targets.
    #[must_use]
    pub fn plan(mut self, plan: TargetPlan) -> Self {
        self.plan = plan;
        self
    }

    #[must_use]
    pub const fn deregistration_delay(mut self, delay: Duration) -> Self {
        self.deregistration_delay = delay;
        self
    }

    #[must_use]
    pub fn health_check(mut self, path: &str, interval: Duration, unhealthy_threshold: u32) -> Self {
        path.clone_into(&mut self.health.path);
        self.health.interval = interval;
        self.health.unhealthy_threshold = unhealthy_threshold;
        self
    }

    /// Good answers in a row, as the group says that it wants them. 5 where nothing is said, as AWS has it.
    #[must_use]
    pub const fn healthy_threshold(mut self, count: u32) -> Self {
        self.health.healthy_threshold = count;
        self
    }

    /// No listener forwards to it; otherwise a load balancer of its own does.
    #[must_use]
    pub const fn unused(mut self) -> Self {
        self.in_use = false;
        self
    }

    /// What its ARN ends in; any that is free where nothing is said.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    #[must_use]
    pub fn vpc(mut self, vpc: &str) -> Self {
        vpc.clone_into(&mut self.vpc);
        self
    }
}

/// A load balancer that was made, with one listener on port 80.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    pub arn: String,
    pub listener: String,
    pub dns_name: String,
}

impl World {
    /// The network that [`VPC`], [`SUBNETS`] and [`SECURITY_GROUP`] name.
    pub(crate) fn make_default_network(&mut self) {
        for (index, id) in SUBNETS.into_iter().enumerate() {
            self.make_subnet(id, VPC, &["a", "b"][index..=index].concat());
        }
        let from_within = vec![Ingress {
            from_port: 0,
            to_port: 65_535,
            cidr: "10.0.0.0/8".to_owned(),
        }];
        self.make_security_group(SECURITY_GROUP, VPC, from_within);
    }

    pub(crate) fn make_subnet(&mut self, id: &str, vpc: &str, zone: &str) {
        let subnet = Subnet {
            id: id.to_owned(),
            vpc: vpc.to_owned(),
            zone: format!("{}{zone}", self.account.region),
            cidr: format!("10.0.{}.0/20", 16 * self.ec2.subnets.len()),
            public: true,
            default_route: Some("igw-0a1b2c3d4e5f60001".to_owned()),
        };
        self.ec2.subnets.insert(id.to_owned(), subnet);
    }

    pub(crate) fn make_security_group(&mut self, id: &str, vpc: &str, ingress: Vec<Ingress>) {
        let group = SecurityGroup {
            id: id.to_owned(),
            name: format!("group-{}", self.ec2.security_groups.len() + 1),
            vpc: vpc.to_owned(),
            ingress,
        };
        self.ec2.security_groups.insert(id.to_owned(), group);
    }

    /// Registered, with the log groups that it names; its ARN.
    pub(crate) fn make_task_definition(&mut self, input: &Value) -> Result<String, String> {
        let answer = self
            .register_task_definition(input)
            .map_err(|refusal| refusal.message)?;
        let made = &answer["taskDefinition"];
        for container in made["containerDefinitions"].as_array().into_iter().flatten() {
            if let Some(group) = container["logConfiguration"]["options"]["awslogs-group"].as_str() {
                self.logs.groups.entry(group.to_owned()).or_default();
            }
        }
        Ok(made["taskDefinitionArn"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn make_container_instance(&mut self, cluster: &str, setup: &ContainerInstance) -> Host {
        self.make_cluster(cluster);
        let (private, public, _) = self.ec2.addresses();
        let (private, public) = if setup.local {
            ("127.0.0.1".to_owned(), "127.0.0.1".to_owned())
        } else {
            (private.to_string(), public.to_string())
        };
        let host = Host {
            arn: {
                let id = self.ids.long();
                self.container_instance_arn(cluster, &id)
            },
            ec2_instance_id: self.ids.ec2("i"),
            private_address: private,
            public_address: public,
        };
        let instance = Instance {
            id: host.ec2_instance_id.clone(),
            state: "running",
            private_address: host.private_address.clone(),
            public_address: Some(host.public_address.clone()),
            subnet: SUBNETS[0].to_owned(),
            security_groups: vec![SECURITY_GROUP.to_owned()],
        };
        self.ec2.instances.insert(instance.id.clone(), instance);
        let container_instance = crate::ecs::instances::ContainerInstance {
            arn: host.arn.clone(),
            cluster: cluster.to_owned(),
            ec2_id: host.ec2_instance_id.clone(),
            cpu: setup.cpu,
            memory: setup.memory,
            interfaces: setup.interfaces,
            agent_connected: setup.agent_connected,
            draining: false,
            attributes: usual_attributes().difference(&setup.without).cloned().collect(),
            tags: Vec::new(),
            registered_at: self.now,
            next_port: *DYNAMIC_PORTS.start(),
        };
        self.ecs.instances.insert(host.arn.clone(), container_instance);
        host
    }

    pub(crate) fn make_target_group(&mut self, setup: &TargetGroup) -> String {
        let id = setup.id.clone().unwrap_or_else(|| self.ids.short());
        let arn = self.account.elb(&format!("targetgroup/{}/{id}", setup.name));
        let group = crate::elb::groups::TargetGroup {
            arn: arn.clone(),
            name: setup.name.clone(),
            target_type: setup.target_type,
            port: setup.port,
            vpc: setup.vpc.clone(),
            health: setup.health.clone(),
            deregistration_delay: setup.deregistration_delay,
            targets: BTreeMap::new(),
            plan: setup.plan.clone(),
            plans: HashMap::new(),
            tags: Vec::new(),
        };
        self.elb.groups.insert(arn.clone(), group);
        if setup.in_use {
            self.make_load_balancer(&format!("{}-lb", setup.name), &setup.vpc, vec![arn.clone()]);
        }
        arn
    }

    /// With a listener on port 80, which forwards to these groups what no rule takes.
    pub(crate) fn make_load_balancer(&mut self, name: &str, vpc: &str, groups: Vec<String>) -> LoadBalancer {
        let id = self.ids.short();
        let arn = self.account.elb(&format!("loadbalancer/app/{name}/{id}"));
        let listener = self
            .account
            .elb(&format!("listener/app/{name}/{id}/{}", self.ids.short()));
        let dns_name = format!("{name}-{}.{}.elb.amazonaws.com", self.ids.number(), self.account.region);
        let subnets = self
            .ec2
            .subnets
            .values()
            .filter(|subnet| subnet.vpc == vpc)
            .map(|subnet| subnet.id.clone());
        let created_at: Moment = self.now;
        let balancer = Balancer {
            arn: arn.clone(),
            name: name.to_owned(),
            dns_name: dns_name.clone(),
            vpc: vpc.to_owned(),
            subnets: subnets.collect(),
            security_groups: self.ec2.default_group(vpc).into_iter().collect(),
            created_at,
            tags: Vec::new(),
        };
        self.elb.balancers.insert(arn.clone(), balancer);
        let of_balancer = Listener {
            arn: listener.clone(),
            balancer: arn.clone(),
            port: 80,
            default_groups: groups,
            tags: Vec::new(),
        };
        self.elb.listeners.insert(listener.clone(), of_balancer);
        LoadBalancer {
            arn,
            listener,
            dns_name,
        }
    }
}
