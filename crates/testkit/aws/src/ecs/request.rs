//! RunTask's input: what it is made of, what ECS refuses in it, and what a task of it needs.

use super::definitions::{Definition, NameValue, NetworkMode};
use super::instances::{Needs, required_attributes};
use super::tags::{Tag, check_tags};
use super::task::Launch;
use crate::refusal::Refusal;
use serde::Deserialize;
use serde_json::Value;

/// The bound on `overrides` as it is sent, in characters.
const MOST_OVERRIDES: usize = 8_192;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RunTask {
    pub(crate) cluster: Option<String>,
    pub(crate) task_definition: String,
    pub(crate) count: Option<i64>,
    pub(crate) launch_type: Option<String>,
    pub(crate) capacity_provider_strategy: Vec<CapacityProvider>,
    pub(crate) network_configuration: Option<NetworkConfiguration>,
    pub(crate) overrides: Overrides,
    pub(crate) tags: Vec<Tag>,
    pub(crate) started_by: Option<String>,
    pub(crate) enable_execute_command: bool,
    pub(crate) client_token: Option<String>,
    pub(crate) group: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CapacityProvider {
    #[serde(rename = "capacityProvider")]
    pub(crate) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NetworkConfiguration {
    pub(crate) awsvpc_configuration: Option<AwsvpcConfiguration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AwsvpcConfiguration {
    pub(crate) subnets: Vec<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) assign_public_ip: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Overrides {
    #[serde(rename = "containerOverrides")]
    pub(crate) containers: Vec<ContainerOverride>,
    pub(crate) cpu: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) task_role_arn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerOverride {
    pub(crate) name: Option<String>,
    pub(crate) environment: Vec<NameValue>,
    pub(crate) cpu: Option<i64>,
    pub(crate) memory: Option<i64>,
    pub(crate) memory_reservation: Option<i64>,
    /// There is no such member; it is read to refuse it as a client library would.
    pub(crate) port_mappings: Option<Value>,
}

impl RunTask {
    pub(crate) fn network(&self) -> Option<&AwsvpcConfiguration> {
        self.network_configuration.as_ref()?.awsvpc_configuration.as_ref()
    }

    /// How it is launched, where nothing is wrong with it. `input` is the same request as it was sent.
    pub(crate) fn check(&self, definition: &Definition, input: &Value) -> Result<Launch, Refusal> {
        match self.count.unwrap_or(1) {
            1..=10 => {}
            count if count > 10 => return Err(Refusal::parameter("count cannot be greater than 10.")),
            _ => return Err(Refusal::parameter("count should be greater than 0.")),
        }
        if let Some(started_by) = &self.started_by {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "-/_".contains(letter);
            if started_by.len() > 128 {
                return Err(Refusal::parameter("startedBy should have 128 characters or less."));
            }
            if !started_by.chars().all(plain) {
                return Err(Refusal::parameter("startedBy contains invalid characters."));
            }
        }
        check_tags(&self.tags).map_err(Refusal::parameter)?;
        let launch = self.launch()?;
        if launch == Launch::Fargate && !fits_fargate(definition) {
            return Err(Refusal::parameter(
                "Task definition does not support launch_type FARGATE.",
            ));
        }
        if launch == Launch::Ec2 && definition.requires_fargate && !requires_ec2(definition) {
            return Err(Refusal::parameter("Task definition does not support launch_type EC2."));
        }
        self.check_network_mode(definition.network_mode, launch)?;
        let no_role = definition.task_role.is_none() && self.overrides.task_role_arn.is_none();
        if self.enable_execute_command && no_role {
            return Err(Refusal::parameter(
                "Execute command cannot be enabled: a valid taskRoleArn is not being used. Specify a valid task role in your task definition and try again.",
            ));
        }
        self.check_overrides(definition, input)?;
        Ok(launch)
    }

    fn launch(&self) -> Result<Launch, Refusal> {
        match (self.launch_type.as_deref(), self.capacity_provider_strategy.first()) {
            (Some(_), Some(_)) => Err(Refusal::parameter(
                "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
            )),
            (Some("FARGATE"), None) => Ok(Launch::Fargate),
            (Some("EC2") | None, None) => Ok(Launch::Ec2),
            (Some(other), None) => Err(Refusal::parameter(format!("Unknown launch type {other}."))),
            (None, Some(first)) if first.name.starts_with("FARGATE") => Ok(Launch::Fargate),
            (None, Some(_)) => Ok(Launch::Ec2),
        }
    }

    fn check_network_mode(&self, mode: NetworkMode, launch: Launch) -> Result<(), Refusal> {
        match (mode, self.network()) {
            (NetworkMode::Awsvpc, None) => Err(Refusal::parameter(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )),
            (NetworkMode::Awsvpc, Some(network)) if launch == Launch::Ec2 && network.is_public() => Err(
                Refusal::parameter("Assign public IP is not supported for this launch type."),
            ),
            (NetworkMode::Awsvpc, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => Err(Refusal::parameter(
                "Network Configuration is not valid for the given networkMode of this task definition.",
            )),
        }
    }

    fn check_overrides(&self, definition: &Definition, input: &Value) -> Result<(), Refusal> {
        let sent = input.get("overrides").map(Value::to_string).unwrap_or_default();
        if sent.chars().count() > MOST_OVERRIDES {
            return Err(Refusal::parameter(format!(
                "Container Overrides length must be at most {MOST_OVERRIDES}"
            )));
        }
        for given in &self.overrides.containers {
            if given.port_mappings.is_some() {
                return Err(Refusal::parameter(
                    "Unknown parameter in overrides.containerOverrides: 'portMappings'",
                ));
            }
            match &given.name {
                Some(name) if definition.containers.iter().any(|container| &container.name == name) => {}
                Some(name) => {
                    return Err(Refusal::parameter(format!(
                        "Override for container named {name} is not a container in the TaskDefinition."
                    )));
                }
                None if definition.containers.len() == 1 => {}
                None => return Err(Refusal::parameter("A container override needs the container's name.")),
            }
        }
        for size in [&self.overrides.cpu, &self.overrides.memory] {
            if size.is_some() && number(size.as_deref()).is_none() {
                return Err(Refusal::parameter(
                    "Invalid 'cpu' or 'memory' setting for task override.",
                ));
            }
        }
        Ok(())
    }
}

impl AwsvpcConfiguration {
    pub(crate) fn is_public(&self) -> bool {
        self.assign_public_ip.as_deref() == Some("ENABLED")
    }
}

impl Overrides {
    /// Those of one container; where it is the only one its name may be left out.
    pub(crate) fn of(&self, name: &str, containers: usize) -> Option<&ContainerOverride> {
        let mut given = self.containers.iter();
        given.find(|given| given.name.as_deref().map_or(containers == 1, |given| given == name))
    }

    /// The task's own size, where it has one that is not the sum of its containers': CPU units and MiB.
    pub(crate) fn size(&self, definition: &Definition) -> (Option<i64>, Option<i64>) {
        (
            number(self.cpu.as_deref()).or(definition.cpu),
            number(self.memory.as_deref()).or(definition.memory),
        )
    }

    /// What a task of the definition takes from its container instance.
    pub(crate) fn needs(&self, definition: &Definition) -> Needs {
        let mut needs = Needs {
            interface: definition.network_mode == NetworkMode::Awsvpc,
            attributes: required_attributes(definition),
            ..Needs::default()
        };
        for container in &definition.containers {
            let given = self.of(&container.name, definition.containers.len());
            needs.cpu += given.and_then(|given| given.cpu).unwrap_or(container.cpu);
            let reserved = given
                .and_then(|given| given.memory_reservation.or(given.memory))
                .or(container.memory_reservation)
                .or(container.memory);
            needs.memory += reserved.unwrap_or(0);
            for mapping in &container.port_mappings {
                let port = match definition.network_mode {
                    NetworkMode::Bridge => mapping.host_port.filter(|port| *port != 0),
                    NetworkMode::Host => Some(mapping.container_port),
                    NetworkMode::Awsvpc | NetworkMode::None => None,
                };
                let ports = if mapping.protocol() == "udp" {
                    &mut needs.udp
                } else {
                    &mut needs.tcp
                };
                ports.extend(port);
            }
        }
        let (cpu, memory) = self.size(definition);
        needs.cpu = cpu.unwrap_or(needs.cpu);
        needs.memory = memory.unwrap_or(needs.memory);
        needs
    }
}

fn fits_fargate(definition: &Definition) -> bool {
    definition.network_mode == NetworkMode::Awsvpc && definition.cpu.is_some() && definition.memory.is_some()
}

fn requires_ec2(definition: &Definition) -> bool {
    let required = definition.shape["requiresCompatibilities"].as_array();
    required.is_none_or(|all| all.iter().any(|name| name == "EC2"))
}

fn number(text: Option<&str>) -> Option<i64> {
    text?.parse().ok()
}
