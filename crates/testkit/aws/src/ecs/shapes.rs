//! A task as DescribeTasks shows it. Members are there only once what they say is so, as with AWS.

use super::definitions::NetworkMode;
use super::task::{Attachment, Container, Status, Task};
use crate::clock::epoch;
use crate::world::World;
use serde_json::{Map, Value, json};

impl World {
    pub(crate) fn task_shape(&self, task: &Task, with_tags: bool) -> Value {
        let mut overrides = task.overrides.clone();
        if overrides.get("containerOverrides").is_none() {
            overrides["containerOverrides"] = task
                .containers
                .iter()
                .map(|container| json!({ "name": container.name }))
                .collect();
        }
        if overrides.get("inferenceAcceleratorOverrides").is_none() {
            overrides["inferenceAcceleratorOverrides"] = json!([]);
        }
        let containers: Vec<_> = task
            .containers
            .iter()
            .map(|container| Self::container_shape(task, container))
            .collect();
        let attachments: Vec<_> = task
            .attachment
            .iter()
            .map(|attachment| self.attachment_shape(attachment))
            .collect();
        let mut shape = Members::default();
        shape.set("attachments", json!(attachments));
        shape.set(
            "attributes",
            json!([{ "name": "ecs.cpu-architecture", "value": "x86_64" }]),
        );
        shape.set("availabilityZone", json!(task.zone));
        shape.set("clusterArn", json!(self.account.cluster(&task.cluster)));
        shape.set("containers", json!(containers));
        shape.set("cpu", json!(task.cpu.to_string()));
        shape.set("createdAt", epoch(task.times.created));
        shape.set("desiredStatus", json!(task.desired()));
        shape.set("enableExecuteCommand", json!(task.execute_command));
        shape.set("group", json!(task.group));
        shape.set("healthStatus", json!("UNKNOWN"));
        shape.set("inferenceAccelerators", json!([]));
        shape.set("lastStatus", json!(task.status.name()));
        shape.set("launchType", json!(task.launch.name()));
        shape.set("memory", json!(task.memory.to_string()));
        shape.set("overrides", overrides);
        shape.set("taskArn", json!(task.arn));
        shape.set("taskDefinitionArn", json!(task.definition));
        shape.set("version", json!(task.version));
        shape.set("tags", if with_tags { json!(task.tags) } else { json!([]) });
        shape.optional(
            "capacityProviderName",
            task.capacity_provider.as_ref().map(|name| json!(name)),
        );
        shape.optional("containerInstanceArn", task.instance.as_ref().map(|arn| json!(arn)));
        shape.optional("startedBy", task.started_by.as_ref().map(|by| json!(by)));
        shape.optional("stopCode", task.stop_code.map(|code| json!(code)));
        shape.optional(
            "stoppedReason",
            task.stopped_reason.as_ref().map(|reason| json!(reason)),
        );
        if task.launch == super::task::Launch::Fargate {
            shape.set("platformVersion", json!("1.4.0"));
            shape.set("platformFamily", json!("Linux"));
            shape.set("ephemeralStorage", json!({ "sizeInGiB": 20 }));
        }
        if task.times.connected.is_some() {
            shape.set("connectivity", json!("CONNECTED"));
        }
        for (name, moment) in [
            ("connectivityAt", task.times.connected),
            ("pullStartedAt", task.times.pull_started),
            ("pullStoppedAt", task.times.pull_stopped),
            ("startedAt", task.times.started),
            ("stoppingAt", task.times.stopping),
            ("executionStoppedAt", task.times.execution_stopped),
            ("stoppedAt", task.times.stopped),
        ] {
            shape.optional(name, moment.map(epoch));
        }
        shape.into()
    }

    fn container_shape(task: &Task, container: &Container) -> Value {
        let ended = container.exit_code.is_some() || task.status == Status::Stopped;
        let status = match (ended, container.runtime_id.is_some()) {
            (true, _) => "STOPPED",
            (false, true) => "RUNNING",
            (false, false) => "PENDING",
        };
        let mut shape = Members::default();
        shape.set("containerArn", json!(container.arn));
        shape.set("taskArn", json!(task.arn));
        shape.set("name", json!(container.name));
        shape.set("image", json!(container.image));
        shape.set("lastStatus", json!(status));
        shape.set("healthStatus", json!("UNKNOWN"));
        shape.set("cpu", json!(container.cpu.to_string()));
        shape.optional("memory", container.memory.map(|size| json!(size.to_string())));
        shape.optional(
            "memoryReservation",
            container.memory_reservation.map(|size| json!(size.to_string())),
        );
        shape.optional("exitCode", container.exit_code.map(|code| json!(code)));
        shape.optional("reason", container.reason.as_ref().map(|reason| json!(reason)));
        shape.optional("runtimeId", container.runtime_id.as_ref().map(|id| json!(id)));
        let interfaces: Vec<_> = task
            .attachment
            .iter()
            .filter_map(|attachment| {
                let (_, _, address) = attachment.interface.as_ref()?;
                Some(json!({ "attachmentId": attachment.id, "privateIpv4Address": address }))
            })
            .collect();
        shape.set("networkInterfaces", json!(interfaces));
        // In mode awsvpc there are none: what listens is found by the interface's address.
        if task.mode != NetworkMode::Awsvpc {
            let bindings: Vec<_> = container
                .bindings
                .iter()
                .map(|binding| {
                    json!({
                        "bindIP": "0.0.0.0", "containerPort": binding.container_port,
                        "hostPort": binding.host_port, "protocol": binding.protocol,
                    })
                })
                .collect();
            shape.set("networkBindings", json!(bindings));
        }
        if task.execute_command && container.runtime_id.is_some() {
            shape.set(
                "managedAgents",
                json!([{ "name": "ExecuteCommandAgent", "lastStatus": "RUNNING" }]),
            );
        }
        shape.into()
    }

    fn attachment_shape(&self, attachment: &Attachment) -> Value {
        let mut details = vec![json!({ "name": "subnetId", "value": attachment.subnet })];
        if let Some((interface, mac, address)) = &attachment.interface {
            let name = format!(
                "ip-{}.{}.compute.internal",
                address.replace('.', "-"),
                self.account.region
            );
            for (key, value) in [
                ("networkInterfaceId", interface),
                ("macAddress", mac),
                ("privateDnsName", &name),
                ("privateIPv4Address", address),
            ] {
                details.push(json!({ "name": key, "value": value }));
            }
        }
        json!({
            "id": attachment.id, "type": "ElasticNetworkInterface", "status": attachment.status, "details": details,
        })
    }
}

#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    fn optional(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

impl From<Members> for Value {
    fn from(members: Members) -> Self {
        Self::Object(members.0)
    }
}
