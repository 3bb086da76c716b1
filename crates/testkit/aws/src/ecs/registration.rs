//! RegisterTaskDefinition: what AWS refuses in one, and what it fills in.

use super::definitions::{ContainerDefinition, Definition, NetworkMode};
use super::tags::{Tag, check_tags};
use crate::refusal::Refusal;
use crate::wire::request::members;
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RegisterTaskDefinition {
    family: String,
    network_mode: Option<String>,
    container_definitions: Vec<ContainerDefinition>,
    requires_compatibilities: Vec<String>,
    cpu: Option<String>,
    memory: Option<String>,
    task_role_arn: Option<String>,
    execution_role_arn: Option<String>,
    tags: Vec<Tag>,
}

/// What a task may have on Fargate: CPU units, and the memory in MiB from, to, and by which steps (256 units: 512, 1024, 2048).
const FARGATE_SIZES: [(i64, i64, i64, i64); 7] = [
    (256, 512, 2_048, 512),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

impl World {
    pub(crate) fn register_task_definition(&mut self, input: &Value) -> Result<Value, Refusal> {
        let request: RegisterTaskDefinition = members(input)?;
        let mut definition = check(&request)?;
        definition.shape = shape(input, &definition);
        definition.registered_at = self.now;
        let revisions = self.ecs.definitions.entry(definition.family.clone()).or_default();
        definition.revision = revisions.len() + 1;
        revisions.push(definition.clone());
        Ok(json!({ "taskDefinition": self.definition_shape(&definition), "tags": definition.tags }))
    }
}

fn check(request: &RegisterTaskDefinition) -> Result<Definition, Refusal> {
    if request.family.is_empty() || request.family.len() > 255 {
        return Err(Refusal::client("Family should not be null or empty."));
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if !request.family.chars().all(plain) {
        return Err(Refusal::client("Family contains invalid characters."));
    }
    let network_mode = match request.network_mode.as_deref() {
        None | Some("bridge") => NetworkMode::Bridge,
        Some("awsvpc") => NetworkMode::Awsvpc,
        Some("host") => NetworkMode::Host,
        Some("none") => NetworkMode::None,
        Some(other) => return Err(Refusal::client(format!("Invalid network mode '{other}'."))),
    };
    if request.container_definitions.is_empty() {
        return Err(Refusal::client("Container list cannot be empty."));
    }
    for (index, container) in request.container_definitions.iter().enumerate() {
        check_container(container, network_mode, request.memory.is_some())?;
        if request.container_definitions[..index]
            .iter()
            .any(|earlier| earlier.name == container.name)
        {
            return Err(Refusal::client(format!(
                "Duplicate container name '{}'.",
                container.name
            )));
        }
    }
    if !request
        .container_definitions
        .iter()
        .any(|container| container.essential.unwrap_or(true))
    {
        return Err(Refusal::client(
            "Invalid setting for containers. At least one container should be essential.",
        ));
    }
    let (cpu, memory) = (size(request.cpu.as_deref())?, size(request.memory.as_deref())?);
    let requires_fargate = request.requires_compatibilities.iter().any(|name| name == "FARGATE");
    if requires_fargate {
        check_fargate(request, network_mode, cpu, memory)?;
    }
    check_tags(&request.tags).map_err(Refusal::parameter)?;
    Ok(Definition {
        family: request.family.clone(),
        revision: 0,
        active: true,
        network_mode,
        containers: request.container_definitions.clone(),
        requires_fargate,
        cpu,
        memory,
        task_role: request.task_role_arn.clone(),
        execution_role: request.execution_role_arn.clone(),
        tags: request.tags.clone(),
        registered_at: std::time::Duration::ZERO,
        shape: Value::Null,
    })
}

fn check_container(container: &ContainerDefinition, mode: NetworkMode, task_memory: bool) -> Result<(), Refusal> {
    let name = &container.name;
    if name.is_empty() {
        return Err(Refusal::client("Container.name should not be null or empty."));
    }
    if container.image.is_empty() {
        return Err(Refusal::client("Container.image should not be null or empty."));
    }
    if !task_memory && container.memory.is_none() && container.memory_reservation.is_none() {
        return Err(Refusal::client(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    for mapping in &container.port_mappings {
        if mapping.container_port == 0 {
            return Err(Refusal::client(format!(
                "Invalid 'containerPort' setting for container '{name}'"
            )));
        }
        let bound = matches!(mode, NetworkMode::Awsvpc | NetworkMode::Host);
        if bound && mapping.host_port.is_some_and(|port| port != mapping.container_port) {
            return Err(Refusal::client(format!(
                "When networkMode={}, the host ports and container ports in port mappings must match.",
                mode.name()
            )));
        }
        if !matches!(mapping.protocol(), "tcp" | "udp") {
            return Err(Refusal::client(format!(
                "Invalid 'protocol' setting for container '{name}'"
            )));
        }
    }
    Ok(())
}

fn check_fargate(
    request: &RegisterTaskDefinition,
    mode: NetworkMode,
    cpu: Option<i64>,
    memory: Option<i64>,
) -> Result<(), Refusal> {
    if mode != NetworkMode::Awsvpc {
        return Err(Refusal::client("Fargate only supports network mode ‘awsvpc’."));
    }
    let (Some(cpu), Some(memory)) = (cpu, memory) else {
        return Err(Refusal::client(
            "Fargate requires that 'cpu' and 'memory' be defined at the task level.",
        ));
    };
    let fits = FARGATE_SIZES
        .iter()
        .any(|(units, from, to, step)| *units == cpu && (*from..=*to).contains(&memory) && (memory - from) % step == 0);
    // 1 GiB with a quarter of a CPU lies between two steps of 512.
    if !fits || (cpu == 256 && memory == 1_536) {
        return Err(Refusal::client("No Fargate configuration exists for given values."));
    }
    let logs = |container: &ContainerDefinition| {
        container
            .log_configuration
            .as_ref()
            .is_some_and(|log| log.log_driver == "awslogs")
    };
    if request.execution_role_arn.is_none() && request.container_definitions.iter().any(logs) {
        return Err(Refusal::client(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ));
    }
    Ok(())
}

fn size(text: Option<&str>) -> Result<Option<i64>, Refusal> {
    text.map(|text| {
        text.parse()
            .map_err(|_| Refusal::client(format!("Invalid setting: '{text}' is no number.")))
    })
    .transpose()
}

/// As it was sent, with the defaults that AWS fills in.
fn shape(input: &Value, definition: &Definition) -> Value {
    let mut shape = input.clone();
    if let Some(members) = shape.as_object_mut() {
        members.remove("tags");
    }
    // A definition without mode says none either: bridge is what it means, not what it has.
    if input.get("networkMode").is_some() {
        shape["networkMode"] = json!(definition.network_mode.name());
    }
    let mut compatibilities = vec!["EC2"];
    if definition.network_mode == NetworkMode::Awsvpc && definition.cpu.is_some() && definition.memory.is_some() {
        compatibilities.push("FARGATE");
    }
    shape["compatibilities"] = json!(compatibilities);
    for list in ["volumes", "placementConstraints"] {
        if shape.get(list).is_none() {
            shape[list] = json!([]);
        }
    }
    let containers = shape["containerDefinitions"].as_array_mut().into_iter().flatten();
    for (container, definition_of) in containers.zip(&definition.containers) {
        if container.get("essential").is_none() {
            container["essential"] = json!(true);
        }
        if container.get("cpu").is_none() {
            container["cpu"] = json!(0);
        }
        for list in [
            "environment",
            "mountPoints",
            "volumesFrom",
            "systemControls",
            "portMappings",
        ] {
            if container.get(list).is_none() {
                container[list] = json!([]);
            }
        }
        let mappings = container["portMappings"].as_array_mut().into_iter().flatten();
        for (mapping, mapping_of) in mappings.zip(&definition_of.port_mappings) {
            mapping["protocol"] = json!(mapping_of.protocol());
            mapping["hostPort"] = json!(match definition.network_mode {
                NetworkMode::Awsvpc | NetworkMode::Host => mapping_of.container_port,
                NetworkMode::Bridge | NetworkMode::None => mapping_of.host_port.unwrap_or(0),
            });
        }
    }
    shape
}
