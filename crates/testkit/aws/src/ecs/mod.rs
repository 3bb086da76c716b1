//! ECS: clusters, task definitions, container instances and tasks, and which operation does what with them.
//!
//! | file | what it is for |
//! |---|---|
//! | `clusters` | clusters, and what they say of their tasks |
//! | `definitions`, `registration` | task definitions: kept and described; checked and registered |
//! | `instances`, `placement` | container instances and their resources; where a task fits |
//! | `request`, `run` | RunTask: what it refuses; client tokens, what it starts |
//! | `task`, `lifecycle` | a task; how it comes from one state to the next |
//! | `reading` | DescribeTasks, ListTasks, StopTask |
//! | `shapes`, `events` | tasks as the API and as events show them |
//! | `tags` | tags on all of these |

pub(crate) mod clusters;
pub(crate) mod definitions;
pub(crate) mod events;
pub(crate) mod instances;
pub(crate) mod lifecycle;
pub(crate) mod placement;
pub(crate) mod reading;
pub(crate) mod registration;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod shapes;
pub(crate) mod tags;
pub(crate) mod task;

use crate::plan::TaskPlan;
use crate::refusal::Refusal;
use crate::wire::request::members;
use crate::world::World;
use clusters::Cluster;
use definitions::Definition;
use instances::ContainerInstance;
use placement::Scarcity;
use run::ClientToken;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use task::Task;

#[derive(Debug, Default)]
pub(crate) struct Ecs {
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// By family; the revision is the place in the list, counted from 1.
    pub(crate) definitions: BTreeMap<String, Vec<Definition>>,
    /// By ARN.
    pub(crate) instances: BTreeMap<String, ContainerInstance>,
    /// By number, in the order in which they were started.
    pub(crate) tasks: BTreeMap<u64, Task>,
    pub(crate) task_numbers: HashMap<String, u64>,
    /// By cluster and token.
    pub(crate) tokens: HashMap<(String, String), ClientToken>,
    pub(crate) scarcity: Scarcity,
    /// By family; `None` is every family that has none of its own.
    pub(crate) plans: HashMap<Option<String>, TaskPlan>,
    /// By family: plans for the next starts, each used once.
    pub(crate) next_plans: HashMap<String, VecDeque<TaskPlan>>,
}

impl World {
    /// Answers one call to ECS.
    pub(crate) fn ecs(&mut self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        match operation {
            "RunTask" => self.run_task(input),
            "DescribeTasks" => self.describe_tasks(&members(input)?),
            "StopTask" => self.stop_task(&members(input)?),
            "ListTasks" => self.list_tasks(&members(input)?),
            "RegisterTaskDefinition" => self.register_task_definition(input),
            "DescribeTaskDefinition" => self.describe_task_definition(&members(input)?),
            "DeregisterTaskDefinition" => self.deregister_task_definition(&members(input)?),
            "ListTaskDefinitions" => self.list_task_definitions(&members(input)?),
            "DescribeContainerInstances" => self.describe_container_instances(&members(input)?),
            "ListContainerInstances" => self.list_container_instances(&members(input)?),
            "DescribeClusters" => self.describe_clusters(&members(input)?),
            "ListClusters" => Ok(self.list_clusters()),
            "TagResource" => self.tag_resource(&members(input)?),
            "UntagResource" => self.untag_resource(&members(input)?),
            "ListTagsForResource" => self.list_tags(&members(input)?),
            _ => Err(Refusal::new(
                "UnknownOperationException",
                format!("{operation} is not simulated"),
            )),
        }
    }
}
