//! RunTask: what it refuses, what a client token gives back, and what it starts.

use super::definitions::{Definition, NameValue, NetworkMode};
use super::instances::{Needs, required_attributes};
use super::placement::Failures;
use super::tags::{Tag, check_tags};
use super::task::{Attachment, Container, Launch, Status, Task, Times};
use crate::clock::Moment;
use crate::plan::TaskPlan;
use crate::refusal::Refusal;
use crate::wire::request::members;
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a client token is remembered.
const TOKEN_KEPT_FOR: Duration = Duration::from_hours(24);
/// The bound on `overrides` as it is sent, in characters.
const MOST_OVERRIDES: usize = 8_192;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RunTask {
    cluster: Option<String>,
    task_definition: String,
    count: Option<i64>,
    launch_type: Option<String>,
    capacity_provider_strategy: Vec<CapacityProvider>,
    network_configuration: Option<NetworkConfiguration>,
    overrides: Overrides,
    tags: Vec<Tag>,
    started_by: Option<String>,
    enable_execute_command: bool,
    client_token: Option<String>,
    group: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CapacityProvider {
    #[serde(rename = "capacityProvider")]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NetworkConfiguration {
    awsvpc_configuration: Option<AwsvpcConfiguration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AwsvpcConfiguration {
    subnets: Vec<String>,
    security_groups: Vec<String>,
    assign_public_ip: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Overrides {
    #[serde(rename = "containerOverrides")]
    containers: Vec<ContainerOverride>,
    cpu: Option<String>,
    memory: Option<String>,
    task_role_arn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerOverride {
    name: Option<String>,
    environment: Vec<NameValue>,
    cpu: Option<i64>,
    memory: Option<i64>,
    memory_reservation: Option<i64>,
    /// There is no such member; it is read to refuse it as a client library would.
    port_mappings: Option<Value>,
}

/// What was asked with a token, and what came of it.
#[derive(Debug)]
pub(crate) struct ClientToken {
    parameters: Value,
    tasks: Vec<u64>,
    arns: Vec<String>,
    until: Moment,
}

impl World {
    pub(crate) fn run_task(&mut self, input: &Value) -> Result<Value, Refusal> {
        let request: RunTask = members(input)?;
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        if let Some(token) = &request.client_token {
            if token.len() > 64 || !token.bytes().all(|byte| (33..=126).contains(&byte)) {
                return Err(Refusal::parameter(
                    "clientToken must be at most 64 characters of ASCII 33 to 126.",
                ));
            }
            if let Some(answer) = self.replay(&cluster, token, input)? {
                return Ok(answer);
            }
        }
        let definition = self.runnable(&request.task_definition)?;
        let launch = check(&request, &definition, input)?;
        let network = request
            .network_configuration
            .as_ref()
            .and_then(|network| network.awsvpc_configuration.as_ref());
        if let Some(network) = network {
            self.check_network(network)?;
        }
        if launch == Launch::Ec2 && !self.ecs.instances.values().any(|instance| instance.cluster == cluster) {
            return Err(Refusal::parameter("No Container Instances were found in your cluster."));
        }
        let (mut started, mut failures) = (Vec::new(), Failures::new());
        for _ in 0..request.count.unwrap_or(1) {
            let needs = needs(&definition, &request.overrides);
            let placed = match launch {
                Launch::Fargate => self.place_on_fargate().map(|()| None),
                Launch::Ec2 => self.place_on_instance(&cluster, &needs).map(Some),
            };
            match placed {
                Ok(instance) => {
                    started.push(self.start(&request, input, &cluster, &definition, launch, instance, needs))
                }
                Err(reasons) => failures.extend(reasons),
            }
        }
        let shapes: Vec<_> = started.iter().filter_map(|number| self.shape_of(*number)).collect();
        if let Some(token) = request.client_token.filter(|_| !started.is_empty()) {
            let entry = ClientToken {
                parameters: without_token(input),
                arns: started
                    .iter()
                    .map(|number| self.ecs.tasks[number].arn.clone())
                    .collect(),
                tasks: started,
                until: self.now + TOKEN_KEPT_FOR,
            };
            self.ecs.tokens.insert((cluster, token), entry);
        }
        Ok(json!({ "tasks": shapes, "failures": failures }))
    }

    /// What this token gave before, if it did.
    fn replay(&mut self, cluster: &str, token: &str, input: &Value) -> Result<Option<Value>, Refusal> {
        let now = self.now;
        let key = (cluster.to_owned(), token.to_owned());
        if self.ecs.tokens.get(&key).is_some_and(|entry| entry.until <= now) {
            self.ecs.tokens.remove(&key);
        }
        let Some(entry) = self.ecs.tokens.get(&key) else {
            return Ok(None);
        };
        if entry.parameters != without_token(input) {
            return Err(Refusal {
                members: Some(("resourceIds", json!(entry.arns))),
                ..Refusal::new(
                    "ConflictException",
                    "The RunTask request could not be processed: the clientToken was used before with different parameters.",
                )
            });
        }
        let shapes: Vec<_> = entry.tasks.iter().filter_map(|number| self.shape_of(*number)).collect();
        Ok(Some(json!({ "tasks": shapes, "failures": [] })))
    }

    fn runnable(&self, reference: &str) -> Result<Definition, Refusal> {
        if reference.is_empty() {
            return Err(Refusal::parameter("Task definition can not be blank."));
        }
        match self.find_definition(reference) {
            Some(definition) if definition.active => Ok(definition.clone()),
            Some(_) => Err(Refusal::client("TaskDefinition is inactive")),
            None => Err(Refusal::client("TaskDefinition not found.")),
        }
    }

    fn check_network(&self, network: &AwsvpcConfiguration) -> Result<(), Refusal> {
        if network.subnets.is_empty() {
            return Err(Refusal::parameter("subnets can not be empty."));
        }
        if network.subnets.len() > 16 || network.security_groups.len() > 5 {
            return Err(Refusal::parameter(
                "at most 16 subnets and 5 securityGroups can be given.",
            ));
        }
        let mut vpcs = Vec::new();
        for subnet in &network.subnets {
            let found = self.ec2.subnets.get(subnet).ok_or_else(|| {
                Refusal::parameter(format!(
                    "Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
                ))
            })?;
            vpcs.push(found.vpc.as_str());
        }
        for group in &network.security_groups {
            let found = self.ec2.security_groups.get(group).ok_or_else(|| {
                Refusal::parameter(format!(
                    "Error retrieving security group information for [{group}]: The security group '{group}' does not exist (ErrorCode: InvalidGroup.NotFound)"
                ))
            })?;
            vpcs.push(found.vpc.as_str());
        }
        if vpcs.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Refusal::parameter(
                "You have specified two resources that belong to different networks. (ErrorCode: InvalidParameterValue)",
            ));
        }
        Ok(())
    }

    fn plan_for(&mut self, family: &str, launch: Launch) -> TaskPlan {
        let next = self
            .ecs
            .next_plans
            .get_mut(family)
            .and_then(std::collections::VecDeque::pop_front);
        let lasting = || {
            let plans = &self.ecs.plans;
            plans
                .get(&Some(family.to_owned()))
                .or_else(|| plans.get(&None))
                .cloned()
        };
        next.or_else(lasting).unwrap_or_else(|| match launch {
            Launch::Fargate => TaskPlan::fargate(),
            Launch::Ec2 => TaskPlan::container_instance(),
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what was asked, what it was found to mean, and where it goes"
    )]
    fn start(
        &mut self,
        request: &RunTask,
        input: &Value,
        cluster: &str,
        definition: &Definition,
        launch: Launch,
        instance: Option<String>,
        needs: Needs,
    ) -> u64 {
        let now = self.now;
        let plan = self.plan_for(&definition.family, launch);
        let number = self.ids.number();
        let id = self.ids.long();
        let arn = self.account.ecs(&format!("task/{cluster}/{id}"));
        let attachment = self.attachment(definition, request);
        let zone = attachment
            .as_ref()
            .and_then(|attachment| self.ec2.subnets.get(&attachment.subnet))
            .map_or_else(|| format!("{}a", self.account.region), |subnet| subnet.zone.clone());
        let containers = definition
            .containers
            .iter()
            .map(|container| {
                let overridden = override_of(&request.overrides, &container.name, definition.containers.len());
                let variables = container.environment.iter();
                Container {
                    arn: self
                        .account
                        .ecs(&format!("container/{cluster}/{id}/{}", self.ids.uuid())),
                    name: container.name.clone(),
                    image: container.image.clone(),
                    essential: container.essential.unwrap_or(true),
                    cpu: overridden.and_then(|given| given.cpu).unwrap_or(container.cpu),
                    memory: overridden.and_then(|given| given.memory).or(container.memory),
                    memory_reservation: overridden
                        .and_then(|given| given.memory_reservation)
                        .or(container.memory_reservation),
                    exit_code: None,
                    reason: None,
                    runtime_id: None,
                    bindings: Vec::new(),
                    environment: variables
                        .chain(overridden.into_iter().flat_map(|given| &given.environment))
                        .map(|variable| (variable.name.clone(), variable.value.clone()))
                        .collect::<BTreeMap<_, _>>(),
                }
            })
            .collect();
        let status = if attachment.is_some() {
            Status::Provisioning
        } else {
            Status::Pending
        };
        let overrides = input.get("overrides").cloned().unwrap_or_else(|| json!({}));
        let wait = if attachment.is_some() {
            plan.provisioning_for
        } else {
            plan.pending_for
        };
        let stays = status == Status::Pending && plan.then == crate::plan::Then::NeverRuns;
        let task = Task {
            number,
            arn: arn.clone(),
            cluster: cluster.to_owned(),
            family: definition.family.clone(),
            definition: self.definition_arn(definition),
            mode: definition.network_mode,
            launch,
            capacity_provider: request
                .capacity_provider_strategy
                .first()
                .map(|first| first.name.clone()),
            instance,
            cpu: number_of(request.overrides.cpu.as_deref())
                .or(definition.cpu)
                .unwrap_or(needs.cpu),
            memory: number_of(request.overrides.memory.as_deref())
                .or(definition.memory)
                .unwrap_or(needs.memory),
            needs,
            group: request
                .group
                .clone()
                .unwrap_or_else(|| format!("family:{}", definition.family)),
            started_by: request.started_by.clone(),
            tags: request.tags.clone(),
            overrides,
            execute_command: request.enable_execute_command,
            zone,
            status,
            to_be_stopped: false,
            version: 1,
            times: Times {
                created: now,
                ..Times::default()
            },
            stop_code: None,
            stopped_reason: None,
            containers,
            attachment,
            plan,
            due: None,
            described_from: now + self.consistency.described_after,
            listed_from: now + self.consistency.listed_after,
        };
        self.ecs.tasks.insert(number, task);
        self.ecs.task_numbers.insert(arn, number);
        self.tell(number);
        if !stays {
            self.schedule(now + wait, number);
        }
        number
    }

    fn attachment(&mut self, definition: &Definition, request: &RunTask) -> Option<Attachment> {
        if definition.network_mode != NetworkMode::Awsvpc {
            return None;
        }
        let network = request.network_configuration.as_ref()?.awsvpc_configuration.as_ref()?;
        let id = self.ids.uuid();
        // One after the other: what spreads tasks over zones.
        let subnet = network
            .subnets
            .get(self.ecs.tasks.len() % network.subnets.len())?
            .clone();
        let vpc = self.ec2.subnets.get(&subnet).map(|subnet| subnet.vpc.clone());
        let security_groups = match (network.security_groups.is_empty(), vpc) {
            (true, Some(vpc)) => self.ec2.default_group(&vpc).into_iter().collect(),
            _ => network.security_groups.clone(),
        };
        Some(Attachment {
            id,
            status: "PRECREATED",
            subnet,
            security_groups,
            public: network.assign_public_ip.as_deref() == Some("ENABLED"),
            interface: None,
        })
    }
}

fn check(request: &RunTask, definition: &Definition, input: &Value) -> Result<Launch, Refusal> {
    match request.count.unwrap_or(1) {
        1..=10 => {}
        count if count > 10 => return Err(Refusal::parameter("count cannot be greater than 10.")),
        _ => return Err(Refusal::parameter("count should be greater than 0.")),
    }
    if let Some(started_by) = &request.started_by {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-/_".contains(letter);
        if started_by.len() > 128 {
            return Err(Refusal::parameter("startedBy should have 128 characters or less."));
        }
        if !started_by.chars().all(plain) {
            return Err(Refusal::parameter("startedBy contains invalid characters."));
        }
    }
    check_tags(&request.tags).map_err(Refusal::parameter)?;
    let launch = launch(request)?;
    if launch == Launch::Fargate && !fits_fargate(definition) {
        return Err(Refusal::parameter(
            "Task definition does not support launch_type FARGATE.",
        ));
    }
    if launch == Launch::Ec2 && definition.requires_fargate && !requires_ec2(definition) {
        return Err(Refusal::parameter("Task definition does not support launch_type EC2."));
    }
    let network = request
        .network_configuration
        .as_ref()
        .and_then(|network| network.awsvpc_configuration.as_ref());
    match (definition.network_mode, network) {
        (NetworkMode::Awsvpc, None) => {
            return Err(Refusal::parameter(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        }
        (NetworkMode::Awsvpc, Some(network)) => {
            if launch == Launch::Ec2 && network.assign_public_ip.as_deref() == Some("ENABLED") {
                return Err(Refusal::parameter(
                    "Assign public IP is not supported for this launch type.",
                ));
            }
        }
        (_, Some(_)) => {
            return Err(Refusal::parameter(
                "Network Configuration is not valid for the given networkMode of this task definition.",
            ));
        }
        (_, None) => {}
    }
    if request.enable_execute_command && definition.task_role.is_none() && request.overrides.task_role_arn.is_none() {
        return Err(Refusal::parameter(
            "Execute command cannot be enabled: a valid taskRoleArn is not being used. Specify a valid task role in your task definition and try again.",
        ));
    }
    check_overrides(request, definition, input)?;
    Ok(launch)
}

fn launch(request: &RunTask) -> Result<Launch, Refusal> {
    match (
        request.launch_type.as_deref(),
        request.capacity_provider_strategy.first(),
    ) {
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

fn fits_fargate(definition: &Definition) -> bool {
    definition.network_mode == NetworkMode::Awsvpc && definition.cpu.is_some() && definition.memory.is_some()
}

fn requires_ec2(definition: &Definition) -> bool {
    let required = definition.shape["requiresCompatibilities"].as_array();
    required.is_none_or(|all| all.iter().any(|name| name == "EC2"))
}

fn check_overrides(request: &RunTask, definition: &Definition, input: &Value) -> Result<(), Refusal> {
    if input
        .get("overrides")
        .is_some_and(|overrides| overrides.to_string().chars().count() > MOST_OVERRIDES)
    {
        return Err(Refusal::parameter(format!(
            "Container Overrides length must be at most {MOST_OVERRIDES}"
        )));
    }
    for given in &request.overrides.containers {
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
    for size in [&request.overrides.cpu, &request.overrides.memory] {
        if size.is_some() && number_of(size.as_deref()).is_none() {
            return Err(Refusal::parameter(
                "Invalid 'cpu' or 'memory' setting for task override.",
            ));
        }
    }
    Ok(())
}

fn override_of<'given>(
    overrides: &'given Overrides,
    name: &str,
    containers: usize,
) -> Option<&'given ContainerOverride> {
    overrides
        .containers
        .iter()
        .find(|given| given.name.as_deref().map_or(containers == 1, |given| given == name))
}

fn needs(definition: &Definition, overrides: &Overrides) -> Needs {
    let mut needs = Needs {
        interface: definition.network_mode == NetworkMode::Awsvpc,
        attributes: required_attributes(definition),
        ..Needs::default()
    };
    for container in &definition.containers {
        let given = override_of(overrides, &container.name, definition.containers.len());
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
    needs.cpu = number_of(overrides.cpu.as_deref())
        .or(definition.cpu)
        .unwrap_or(needs.cpu);
    needs.memory = number_of(overrides.memory.as_deref())
        .or(definition.memory)
        .unwrap_or(needs.memory);
    needs
}

fn number_of(text: Option<&str>) -> Option<i64> {
    text?.parse().ok()
}

fn without_token(input: &Value) -> Value {
    let mut parameters = input.clone();
    if let Some(members) = parameters.as_object_mut() {
        members.remove("clientToken");
    }
    parameters
}
