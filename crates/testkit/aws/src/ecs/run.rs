//! RunTask: what a client token gives back, and what is started. What may be asked for is in [`super::request`].

use super::definitions::{Definition, NetworkMode};
use super::instances::Needs;
use super::placement::Failures;
use super::request::{AwsvpcConfiguration, RunTask};
use super::task::{Attachment, Container, Launch, Status, Task, Times};
use crate::clock::Moment;
use crate::plan::{TaskPlan, Then};
use crate::refusal::Refusal;
use crate::wire::request::members;
use crate::world::World;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a client token is remembered.
const TOKEN_KEPT_FOR: Duration = Duration::from_hours(24);

/// What was asked with a token, and what came of it.
#[derive(Debug)]
pub(crate) struct ClientToken {
    parameters: Value,
    tasks: Vec<u64>,
    arns: Vec<String>,
    until: Moment,
}

impl ClientToken {
    pub(crate) fn is_known(&self, now: Moment) -> bool {
        now < self.until
    }
}

/// One RunTask that may be carried out, for as many tasks as it asks for.
struct Order<'call> {
    request: &'call RunTask,
    input: &'call Value,
    cluster: &'call str,
    definition: &'call Definition,
    launch: Launch,
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
        let launch = request.check(&definition, input)?;
        if let Some(network) = request.network() {
            self.check_network(network)?;
        }
        if launch == Launch::Ec2 && !self.ecs.instances.values().any(|instance| instance.cluster == cluster) {
            return Err(Refusal::parameter("No Container Instances were found in your cluster."));
        }
        let order = Order {
            request: &request,
            input,
            cluster: &cluster,
            definition: &definition,
            launch,
        };
        let (mut started, mut failures) = (Vec::new(), Failures::new());
        for _ in 0..request.count.unwrap_or(1) {
            let needs = request.overrides.needs(&definition);
            let placed = match launch {
                Launch::Fargate => self.place_on_fargate().map(|()| None),
                Launch::Ec2 => self.place_on_instance(&cluster, &needs).map(Some),
            };
            match placed {
                Ok(instance) => started.push(self.start(&order, instance, needs)),
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
        let key = (cluster.to_owned(), token.to_owned());
        if self.ecs.tokens.get(&key).is_some_and(|entry| self.is_over(entry)) {
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

    /// Whether a token has become one that nobody has used yet.
    fn is_over(&self, entry: &ClientToken) -> bool {
        let outlive = self.consistency.tokens_outlive_tasks;
        let mut tasks = entry.tasks.iter().filter_map(|number| self.ecs.tasks.get(number));
        !entry.is_known(self.now) || !tasks.any(|task| outlive || task.status != Status::Stopped)
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
        if let Some(ordered) = next {
            return ordered;
        }
        let usual = lasting().unwrap_or_else(|| match launch {
            Launch::Fargate => TaskPlan::fargate(),
            Launch::Ec2 => TaskPlan::container_instance(),
        });
        self.fortune.plan(usual)
    }

    fn start(&mut self, order: &Order<'_>, instance: Option<String>, needs: Needs) -> u64 {
        let (request, definition) = (order.request, order.definition);
        let now = self.now;
        let plan = self.plan_for(&definition.family, order.launch);
        let unseen_for = self.reads.unseen_for().unwrap_or_default();
        let number = self.ids.number();
        let id = self.ids.long();
        let arn = self.account.ecs(&format!("task/{}/{id}", order.cluster));
        let attachment = self.attachment(definition, request);
        let subnet = attachment
            .as_ref()
            .and_then(|attachment| self.ec2.subnets.get(&attachment.subnet));
        let zone = subnet.map_or_else(|| format!("{}a", self.account.region), |subnet| subnet.zone.clone());
        let status = if attachment.is_some() {
            Status::Provisioning
        } else {
            Status::Pending
        };
        let wait = match status {
            Status::Provisioning => Some(plan.provisioning_for),
            _ => (plan.then != Then::NeverRuns).then_some(plan.pending_for),
        };
        let (cpu, memory) = request.overrides.size(definition);
        let provider = request.capacity_provider_strategy.first();
        let task = Task {
            number,
            arn: arn.clone(),
            cluster: order.cluster.to_owned(),
            family: definition.family.clone(),
            definition: self.definition_arn(definition),
            mode: definition.network_mode,
            launch: order.launch,
            capacity_provider: provider.map(|provider| provider.name.clone()),
            instance,
            cpu: cpu.unwrap_or(needs.cpu),
            memory: memory.unwrap_or(needs.memory),
            needs,
            group: request
                .group
                .clone()
                .unwrap_or_else(|| format!("family:{}", definition.family)),
            started_by: request.started_by.clone(),
            tags: request.tags.clone(),
            overrides: order
                .input
                .get("overrides")
                .filter(|given| given.is_object())
                .cloned()
                .unwrap_or_else(|| json!({})),
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
            containers: self.containers(order, &id),
            attachment,
            plan,
            due: None,
            described_from: now + self.consistency.described_after + unseen_for,
            listed_from: now + self.consistency.listed_after + unseen_for,
            before: None,
        };
        self.ecs.tasks.insert(number, task);
        self.ecs.task_numbers.insert(arn, number);
        self.tell(number);
        if let Some(wait) = wait {
            self.schedule(now + wait, number);
        }
        number
    }

    fn containers(&mut self, order: &Order<'_>, task: &str) -> Vec<Container> {
        let definitions = &order.definition.containers;
        let mut containers = Vec::new();
        for definition in definitions {
            let given = order.request.overrides.of(&definition.name, definitions.len());
            let variables = definition
                .environment
                .iter()
                .chain(given.into_iter().flat_map(|given| &given.environment));
            let arn = format!("container/{}/{task}/{}", order.cluster, self.ids.uuid());
            containers.push(Container {
                arn: self.account.ecs(&arn),
                name: definition.name.clone(),
                image: definition.image.clone(),
                essential: definition.essential.unwrap_or(true),
                cpu: given.and_then(|given| given.cpu).unwrap_or(definition.cpu),
                memory: given.and_then(|given| given.memory).or(definition.memory),
                memory_reservation: given
                    .and_then(|given| given.memory_reservation)
                    .or(definition.memory_reservation),
                exit_code: None,
                reason: None,
                runtime_id: None,
                bindings: Vec::new(),
                environment: variables
                    .map(|variable| (variable.name.clone(), variable.value.clone()))
                    .collect(),
            });
        }
        containers
    }

    fn attachment(&mut self, definition: &Definition, request: &RunTask) -> Option<Attachment> {
        if definition.network_mode != NetworkMode::Awsvpc {
            return None;
        }
        let network = request.network()?;
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
            public: network.is_public(),
            interface: None,
        })
    }
}

fn without_token(input: &Value) -> Value {
    let mut parameters = input.clone();
    if let Some(members) = parameters.as_object_mut() {
        members.remove("clientToken");
    }
    parameters
}
