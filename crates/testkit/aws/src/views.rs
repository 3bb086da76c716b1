//! What there is, as somebody sees it who looks for leftovers: not in AWS's shapes, and without its delays.

use crate::ecs::task::Task;
use crate::elb::rules::Rule;
use crate::world::World;
use serde::Serialize;
use std::collections::BTreeMap;

/// A task, as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskSeen {
    pub arn: String,
    pub cluster: String,
    pub family: String,
    /// `RUNNING`, as in `lastStatus`.
    pub status: String,
    /// `RUNNING` or `STOPPED`.
    pub desired: String,
    pub started_by: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Of its first container: the definition's variables with the overrides.
    pub environment: BTreeMap<String, String>,
    /// Where it is reached within the network, once that is known: address and port of its first mapping.
    pub address: Option<(String, u16)>,
    pub stopped_reason: Option<String>,
    pub version: i64,
}

/// A target, as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetSeen {
    pub group: String,
    pub id: String,
    pub port: u16,
    pub state: String,
    pub reason: Option<String>,
}

/// A listener rule, as a test looks at it; default rules are not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleSeen {
    pub arn: String,
    pub listener: String,
    pub priority: u64,
    /// Field and value, `("path-pattern", "/api/auth/*")`.
    pub conditions: Vec<(String, String)>,
    pub groups: Vec<String>,
    pub tags: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn tasks_seen(&self) -> Vec<TaskSeen> {
        self.ecs.tasks.values().map(|task| self.task_seen(task)).collect()
    }

    pub(crate) fn targets_seen(&self) -> Vec<TargetSeen> {
        let mut targets = Vec::new();
        for group in self.elb.groups.values() {
            for key in group.targets.keys().filter(|key| group.is_known(key, self.now)) {
                let health = self.health(group, key);
                targets.push(TargetSeen {
                    group: group.arn.clone(),
                    id: key.0.clone(),
                    port: key.1,
                    state: health.state.to_owned(),
                    reason: health.reason.map(str::to_owned),
                });
            }
        }
        targets
    }

    /// Who answers at an address, private or public, or at a port of an EC2 instance.
    pub(crate) fn who_listens(&self, id: &str, port: u16) -> Option<TaskSeen> {
        let has = |address: Option<&String>| address.is_some_and(|address| address == id);
        let mut interfaces = self.ec2.interfaces.values();
        let interface = interfaces.find(|interface| has(interface.public_address.as_ref()));
        let mut instances = self.ec2.instances.values();
        let instance = instances.find(|instance| has(instance.public_address.as_ref()));
        let private = interface
            .map(|interface| &interface.private_address)
            .or_else(|| instance.map(|instance| &instance.private_address));
        let place = (private.map_or(id, String::as_str).to_owned(), port);
        let listening = self.elb.listening.get(&place)?;
        let task = self.ecs.tasks.get(&listening.task);
        task.filter(|_| listening.until.is_none())
            .map(|task| self.task_seen(task))
    }

    pub(crate) fn rules_seen(&self) -> Vec<RuleSeen> {
        self.elb.rules.values().map(rule_seen).collect()
    }

    fn task_seen(&self, task: &Task) -> TaskSeen {
        let host = task.instance.as_ref().and_then(|arn| self.ecs.instances.get(arn));
        let host = host.and_then(|host| self.ec2.instances.get(&host.ec2_id));
        let address = task
            .private_address()
            .or_else(|| host.map(|host| host.private_address.as_str()));
        let binding = task.containers.iter().flat_map(|container| &container.bindings).next();
        TaskSeen {
            arn: task.arn.clone(),
            cluster: task.cluster.clone(),
            family: task.family.clone(),
            status: task.status.name().to_owned(),
            desired: task.desired().to_owned(),
            started_by: task.started_by.clone(),
            tags: task
                .tags
                .iter()
                .map(|tag| (tag.key.clone(), tag.value.clone()))
                .collect(),
            environment: task
                .containers
                .first()
                .map(|container| container.environment.clone())
                .unwrap_or_default(),
            address: address.map(str::to_owned).zip(binding.map(|binding| binding.host_port)),
            stopped_reason: task.stopped_reason.clone(),
            version: task.version,
        }
    }
}

fn rule_seen(rule: &Rule) -> RuleSeen {
    let conditions = rule.conditions.iter();
    RuleSeen {
        arn: rule.arn.clone(),
        listener: rule.listener.clone(),
        priority: rule.priority,
        conditions: conditions
            .flat_map(|condition| {
                condition
                    .values
                    .iter()
                    .map(|value| (condition.field.clone(), value.clone()))
            })
            .collect(),
        groups: rule.groups.clone(),
        tags: rule
            .tags
            .iter()
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect(),
    }
}
