//! A list of resources in JSON: what the program puts into the account at its start.

use crate::ec2::Ingress;
use crate::plan::{TargetPlan, TaskPlan};
use crate::resources::{ContainerInstance, TargetGroup};
use crate::world::World;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What an account is to have. Unknown members are refused, so that a slip of the pen does not go unnoticed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inventory {
    /// Twelve digits; for [`Options`](crate::Options), like `region`.
    pub account: Option<String>,
    pub region: Option<String>,
    subnets: Vec<SubnetEntry>,
    security_groups: Vec<SecurityGroupEntry>,
    clusters: Vec<String>,
    /// What RegisterTaskDefinition takes, each.
    task_definitions: Vec<Value>,
    container_instances: Vec<ContainerInstanceEntry>,
    /// Each with a listener on port 80 and no rules.
    load_balancers: Vec<String>,
    target_groups: Vec<TargetGroupEntry>,
    /// By family of task definition.
    plans: BTreeMap<String, PlanEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubnetEntry {
    id: String,
    vpc: String,
    /// The letter behind the region.
    #[serde(default = "first_zone")]
    zone: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecurityGroupEntry {
    id: String,
    vpc: String,
    #[serde(default)]
    ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerInstanceEntry {
    cluster: String,
    cpu_units: i64,
    memory_mib: i64,
    /// Its address is 127.0.0.1, so that tasks that serve are reached there.
    #[serde(default)]
    on_this_machine: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetGroupEntry {
    name: String,
    /// What its ARN ends in.
    id: Option<String>,
    port: u16,
    #[serde(default)]
    instances: bool,
    #[serde(default = "root_path")]
    health_path: String,
    #[serde(default = "usual_interval")]
    health_interval_seconds: u64,
    #[serde(default = "usual_delay")]
    deregistration_delay_seconds: u64,
    #[serde(default = "usual_time_to_healthy")]
    healthy_after_seconds: u64,
    /// No listener forwards to it, until a rule does.
    #[serde(default)]
    unused: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanEntry {
    runs_after_seconds: Option<u64>,
    stops_after_seconds: Option<u64>,
    /// Something answers at its address while it runs.
    #[serde(default)]
    serves: bool,
}

fn first_zone() -> String {
    "a".to_owned()
}

fn root_path() -> String {
    "/".to_owned()
}

const fn usual_interval() -> u64 {
    30
}

const fn usual_delay() -> u64 {
    300
}

const fn usual_time_to_healthy() -> u64 {
    10
}

impl Inventory {
    /// The account that the documents tell of, in us-east-2: five services on Fargate, each with its cluster and target group, and
    /// a host of 2 CPUs and 4 GiB for the tenants' tasks in network mode bridge. All tasks answer.
    pub const DOCUMENTED: &str = include_str!("documented.json");

    /// What is wrong with it, by line and column, where something is.
    pub fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    pub(crate) fn put_into(&self, world: &mut World) -> Result<(), String> {
        for subnet in &self.subnets {
            world.make_subnet(&subnet.id, &subnet.vpc, &subnet.zone);
        }
        for group in &self.security_groups {
            world.make_security_group(&group.id, &group.vpc, group.ingress.clone());
        }
        for cluster in &self.clusters {
            world.make_cluster(cluster);
        }
        for (index, definition) in self.task_definitions.iter().enumerate() {
            let refused = |message: String| format!("task_definitions[{index}]: {message}");
            world.make_task_definition(definition).map_err(refused)?;
        }
        for entry in &self.container_instances {
            let sized = ContainerInstance::sized(entry.cpu_units, entry.memory_mib);
            let setup = if entry.on_this_machine {
                sized.on_this_machine()
            } else {
                sized
            };
            world.make_container_instance(&entry.cluster, &setup);
        }
        for name in &self.load_balancers {
            world.make_load_balancer(name, crate::resources::VPC, Vec::new());
        }
        for entry in &self.target_groups {
            world.make_target_group(&entry.setup());
        }
        for (family, entry) in &self.plans {
            let fargate = world
                .find_definition(family)
                .is_some_and(|definition| definition.requires_fargate);
            world.ecs.plans.insert(Some(family.clone()), entry.plan(fargate));
        }
        Ok(())
    }
}

impl TargetGroupEntry {
    fn setup(&self) -> TargetGroup {
        let group = if self.instances {
            TargetGroup::instance(&self.name, self.port)
        } else {
            TargetGroup::ip(&self.name, self.port)
        };
        let group = group
            .health_check(&self.health_path, Duration::from_secs(self.health_interval_seconds), 2)
            .deregistration_delay(Duration::from_secs(self.deregistration_delay_seconds))
            .plan(TargetPlan::WhileTaskRuns(Duration::from_secs(
                self.healthy_after_seconds,
            )));
        let group = if self.unused { group.unused() } else { group };
        match &self.id {
            Some(id) => group.id(id),
            None => group,
        }
    }
}

impl PlanEntry {
    fn plan(&self, fargate: bool) -> TaskPlan {
        let mut plan = if fargate {
            TaskPlan::fargate()
        } else {
            TaskPlan::container_instance()
        };
        if let Some(seconds) = self.runs_after_seconds {
            plan = plan.runs_after(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.stops_after_seconds {
            plan = plan.stops_after(Duration::from_secs(seconds));
        }
        plan.serves = self.serves;
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_unknown_is_refused_by_its_place() {
        let error = Inventory::parse("{\n  \"cluster\": []\n}").expect_err("there is no such member");
        assert!(error.contains("`cluster`") && error.contains("line 2"), "{error}");
    }
}
