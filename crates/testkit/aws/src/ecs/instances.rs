//! Container instances: what they have, what is left of it, and how the API shows them.

use super::definitions::Definition;
use super::tags::Tag;
use super::task::{Status, Task};
use crate::clock::{Moment, epoch};
use crate::names::last_part;
use crate::refusal::Refusal;
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Ports that ECS keeps for SSH, Docker and its agent.
pub(crate) const RESERVED_PORTS: [u16; 6] = [22, 2375, 2376, 51678, 51679, 51680];
/// Where Linux takes ephemeral ports from by default: what `hostPort` 0 becomes.
pub(crate) const DYNAMIC_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

#[derive(Debug)]
pub(crate) struct ContainerInstance {
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) ec2_id: String,
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    /// How many tasks in network mode awsvpc it can hold.
    pub(crate) interfaces: usize,
    pub(crate) agent_connected: bool,
    pub(crate) draining: bool,
    pub(crate) attributes: BTreeSet<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) registered_at: Moment,
    /// The dynamic port that is tried next.
    pub(crate) next_port: u16,
}

/// What a task takes from the container instance that it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    /// Fixed host ports.
    pub(crate) tcp: BTreeSet<u16>,
    pub(crate) udp: BTreeSet<u16>,
    pub(crate) interface: bool,
    pub(crate) attributes: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DescribeContainerInstances {
    cluster: Option<String>,
    container_instances: Vec<String>,
    include: Vec<String>,
}

/// What an instance of the ECS-optimised image can do.
pub(crate) fn usual_attributes() -> BTreeSet<String> {
    [
        "logging-driver.awslogs",
        "logging-driver.json-file",
        "ecr-auth",
        "task-iam-role",
        "docker-remote-api.1.44",
    ]
    .iter()
    .map(|name| format!("com.amazonaws.ecs.capability.{name}"))
    .chain(["ecs.capability.task-eni", "ecs.capability.execution-role-awslogs"].map(str::to_owned))
    .collect()
}

/// What a task of this definition asks of its instance's image and agent.
pub(crate) fn required_attributes(definition: &Definition) -> BTreeSet<String> {
    let mut required = BTreeSet::new();
    if definition.network_mode == super::definitions::NetworkMode::Awsvpc {
        required.insert("ecs.capability.task-eni".to_owned());
    }
    if definition.task_role.is_some() {
        required.insert("com.amazonaws.ecs.capability.task-iam-role".to_owned());
    }
    for log in definition
        .containers
        .iter()
        .filter_map(|container| container.log_configuration.as_ref())
    {
        required.insert(format!(
            "com.amazonaws.ecs.capability.logging-driver.{}",
            log.log_driver
        ));
    }
    required
}

impl World {
    /// The tasks that take something from the instance.
    pub(crate) fn tasks_on<'world>(&'world self, instance: &'world str) -> impl Iterator<Item = &'world Task> {
        self.ecs
            .tasks
            .values()
            .filter(move |task| task.instance.as_deref() == Some(instance) && task.status != Status::Stopped)
    }

    /// What is taken of an instance, fixed ports of running tasks and those that Docker chose included.
    pub(crate) fn taken_on(&self, instance: &str) -> (Needs, usize) {
        let (mut taken, mut interfaces) = (Needs::default(), 0);
        for task in self.tasks_on(instance) {
            taken.cpu += task.needs.cpu;
            taken.memory += task.needs.memory;
            taken.tcp.extend(&task.needs.tcp);
            taken.udp.extend(&task.needs.udp);
            interfaces += usize::from(task.needs.interface);
        }
        (taken, interfaces)
    }

    pub(crate) fn describe_container_instances(&self, input: &DescribeContainerInstances) -> Result<Value, Refusal> {
        let cluster = self.cluster_of(input.cluster.as_deref())?;
        match input.container_instances.len() {
            0 => return Err(Refusal::parameter("Container instances cannot be empty.")),
            1..=100 => {}
            _ => {
                return Err(Refusal::parameter(
                    "Container instances cannot have more than 100 elements.",
                ));
            }
        }
        let with_tags = input.include.iter().any(|what| what == "TAGS");
        let (mut instances, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.container_instances {
            let arn = self.container_instance_arn(&cluster, last_part(reference));
            match self
                .ecs
                .instances
                .get(&arn)
                .filter(|instance| instance.cluster == cluster)
            {
                Some(instance) => instances.push(self.container_instance_shape(instance, with_tags)),
                None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
            }
        }
        Ok(json!({ "containerInstances": instances, "failures": failures }))
    }

    pub(crate) fn list_container_instances(&self, input: &DescribeContainerInstances) -> Result<Value, Refusal> {
        let cluster = self.cluster_of(input.cluster.as_deref())?;
        let arns: Vec<_> = self
            .ecs
            .instances
            .values()
            .filter(|instance| instance.cluster == cluster)
            .map(|instance| &instance.arn)
            .collect();
        Ok(json!({ "containerInstanceArns": arns }))
    }

    pub(crate) fn container_instance_arn(&self, cluster: &str, id: &str) -> String {
        self.account.ecs(&format!("container-instance/{cluster}/{id}"))
    }

    fn container_instance_shape(&self, instance: &ContainerInstance, with_tags: bool) -> Value {
        let (taken, _) = self.taken_on(&instance.arn);
        let reserved: BTreeSet<u16> = RESERVED_PORTS.into_iter().collect();
        let (running, pending): (Vec<_>, Vec<_>) = self
            .tasks_on(&instance.arn)
            .partition(|task| task.status >= Status::Running);
        let attributes: Vec<_> = instance
            .attributes
            .iter()
            .map(|name| json!({ "name": name }))
            .chain(std::iter::once(
                json!({ "name": "ecs.availability-zone", "value": self.ec2.zone_of(&instance.ec2_id) }),
            ))
            .collect();
        json!({
            "containerInstanceArn": instance.arn,
            "ec2InstanceId": instance.ec2_id,
            "version": 1,
            "versionInfo": { "agentVersion": "1.98.0", "agentHash": "0a1b2c3d", "dockerVersion": "DockerVersion: 25.0.8" },
            "status": if instance.draining { "DRAINING" } else { "ACTIVE" },
            "agentConnected": instance.agent_connected,
            "runningTasksCount": running.len(),
            "pendingTasksCount": pending.len(),
            "registeredResources": resources(instance.cpu, instance.memory, &reserved, &BTreeSet::new()),
            "remainingResources": resources(
                instance.cpu - taken.cpu,
                instance.memory - taken.memory,
                &reserved.union(&taken.tcp).copied().collect(),
                &taken.udp,
            ),
            "attributes": attributes,
            "registeredAt": epoch(instance.registered_at),
            "attachments": [],
            "tags": if with_tags { json!(instance.tags) } else { json!([]) },
        })
    }
}

/// `PORTS` are those that are taken, in what is registered and in what remains alike.
fn resources(cpu: i64, memory: i64, tcp: &BTreeSet<u16>, udp: &BTreeSet<u16>) -> Value {
    let texts = |ports: &BTreeSet<u16>| ports.iter().map(ToString::to_string).collect::<Vec<_>>();
    let integer = |name: &str, value: i64| json!({ "name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value });
    let set = |name: &str, ports: &BTreeSet<u16>| {
        json!({
            "name": name, "type": "STRINGSET", "doubleValue": 0.0, "longValue": 0, "integerValue": 0,
            "stringSetValue": texts(ports),
        })
    };
    json!([
        integer("CPU", cpu),
        integer("MEMORY", memory),
        set("PORTS", tcp),
        set("PORTS_UDP", udp)
    ])
}
