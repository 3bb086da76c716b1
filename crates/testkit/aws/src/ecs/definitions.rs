//! Task definitions, kept by family and revision: found, described, listed, retired. What may be one is in [`super::registration`].

use super::tags::Tag;
use crate::clock::{Moment, epoch};
use crate::names::last_part;
use crate::refusal::Refusal;
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkMode {
    Awsvpc,
    Bridge,
    Host,
    None,
}

impl NetworkMode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Awsvpc => "awsvpc",
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
        }
    }
}

/// A container of a task definition: the members that the simulator acts on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerDefinition {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) cpu: i64,
    pub(crate) memory: Option<i64>,
    pub(crate) memory_reservation: Option<i64>,
    pub(crate) essential: Option<bool>,
    pub(crate) port_mappings: Vec<PortMapping>,
    pub(crate) environment: Vec<NameValue>,
    pub(crate) log_configuration: Option<LogConfiguration>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PortMapping {
    pub(crate) container_port: u16,
    pub(crate) host_port: Option<u16>,
    pub(crate) protocol: Option<String>,
}

impl PortMapping {
    pub(crate) fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or("tcp")
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NameValue {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogConfiguration {
    pub(crate) log_driver: String,
    pub(crate) options: std::collections::BTreeMap<String, String>,
}

impl ContainerDefinition {
    /// Where the container of this task writes to: group and stream, and whether the group is made where it is missing.
    pub(crate) fn log_stream(&self, task: &str) -> Option<(String, String, bool)> {
        let log = self
            .log_configuration
            .as_ref()
            .filter(|log| log.log_driver == "awslogs")?;
        let stream = match log.options.get("awslogs-stream-prefix") {
            Some(prefix) => format!("{prefix}/{}/{task}", self.name),
            // Docker takes the container's own id; there is none here that somebody could look for.
            None => task.to_owned(),
        };
        let may_create = log
            .options
            .get("awslogs-create-group")
            .is_some_and(|create| create == "true");
        Some((log.options.get("awslogs-group")?.clone(), stream, may_create))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) family: String,
    /// From 1.
    pub(crate) revision: usize,
    pub(crate) active: bool,
    pub(crate) network_mode: NetworkMode,
    pub(crate) containers: Vec<ContainerDefinition>,
    pub(crate) requires_fargate: bool,
    pub(crate) cpu: Option<i64>,
    pub(crate) memory: Option<i64>,
    pub(crate) task_role: Option<String>,
    pub(crate) execution_role: Option<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) registered_at: Moment,
    /// As it was registered, with what AWS fills in.
    pub(crate) shape: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DescribeTaskDefinition {
    pub(crate) task_definition: String,
    #[serde(default)]
    include: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListTaskDefinitions {
    family_prefix: Option<String>,
    status: Option<String>,
    sort: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

impl Definition {
    /// `family:revision`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }
}

impl World {
    pub(crate) fn definition_arn(&self, definition: &Definition) -> String {
        self.account.ecs(&format!("task-definition/{}", definition.name()))
    }

    /// By family (the latest active revision), `family:revision` or ARN.
    pub(crate) fn find_definition(&self, reference: &str) -> Option<&Definition> {
        let name = last_part(reference);
        match name.split_once(':') {
            Some((family, revision)) => {
                let revision: usize = revision.parse().ok()?;
                self.ecs.definitions.get(family)?.get(revision.checked_sub(1)?)
            }
            None => self
                .ecs
                .definitions
                .get(name)?
                .iter()
                .rev()
                .find(|definition| definition.active),
        }
    }

    pub(crate) fn describe_task_definition(&self, input: &DescribeTaskDefinition) -> Result<Value, Refusal> {
        let definition = self
            .find_definition(&input.task_definition)
            .ok_or_else(|| Refusal::client("Unable to describe task definition."))?;
        let mut answer = json!({ "taskDefinition": self.definition_shape(definition) });
        if input.include.iter().any(|what| what == "TAGS") {
            answer["tags"] = json!(definition.tags);
        }
        Ok(answer)
    }

    pub(crate) fn definition_shape(&self, definition: &Definition) -> Value {
        let mut shape = definition.shape.clone();
        shape["taskDefinitionArn"] = json!(self.definition_arn(definition));
        shape["family"] = json!(definition.family);
        shape["revision"] = json!(definition.revision);
        shape["status"] = json!(if definition.active { "ACTIVE" } else { "INACTIVE" });
        shape["registeredAt"] = epoch(definition.registered_at);
        shape["registeredBy"] = json!(self.account.caller());
        shape
    }

    pub(crate) fn deregister_task_definition(&mut self, input: &DescribeTaskDefinition) -> Result<Value, Refusal> {
        if !last_part(&input.task_definition).contains(':') {
            return Err(Refusal::parameter("Invalid revision number. Number: null"));
        }
        let (family, revision) = self
            .find_definition(&input.task_definition)
            .map(|definition| (definition.family.clone(), definition.revision))
            .ok_or_else(|| Refusal::client("The specified task definition does not exist."))?;
        let now = self.now;
        if let Some(definition) = self
            .ecs
            .definitions
            .get_mut(&family)
            .and_then(|all| all.get_mut(revision - 1))
        {
            definition.active = false;
            definition.shape["deregisteredAt"] = epoch(now);
        }
        let definition = self
            .find_definition(&input.task_definition)
            .ok_or_else(|| Refusal::client("The specified task definition does not exist."))?;
        Ok(json!({ "taskDefinition": self.definition_shape(definition) }))
    }

    pub(crate) fn list_task_definitions(&self, input: &ListTaskDefinitions) -> Result<Value, Refusal> {
        let most = input.max_results.unwrap_or(100);
        if !(1..=100).contains(&most) {
            return Err(Refusal::parameter("maxResults must be between 1 and 100."));
        }
        let active = input.status.as_deref() != Some("INACTIVE");
        let mut all: Vec<&Definition> = self
            .ecs
            .definitions
            .iter()
            .filter(|(family, _)| input.family_prefix.as_ref().is_none_or(|prefix| prefix == *family))
            .flat_map(|(_, revisions)| revisions)
            .filter(|definition| definition.active == active)
            .collect();
        if input.sort.as_deref() == Some("DESC") {
            all.reverse();
        }
        let from = super::reading::page_start(input.next_token.as_deref())?;
        let arns: Vec<_> = all
            .iter()
            .skip(from)
            .take(most)
            .map(|definition| self.definition_arn(definition))
            .collect();
        let mut answer = json!({ "taskDefinitionArns": arns });
        if all.len() > from.saturating_add(most) {
            answer["nextToken"] = json!(super::reading::page_token(from.saturating_add(most)));
        }
        Ok(answer)
    }
}
