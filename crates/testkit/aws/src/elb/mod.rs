//! ELBv2: target groups and their targets, load balancers, listeners and rules, and which operation does what with them.
//!
//! | file | what it is for |
//! |---|---|
//! | `groups` | target groups: found, described, in use or not |
//! | `targets` | targets by (id, port): registered, deregistered, and in which state |
//! | `balancers` | load balancers and listeners |
//! | `rules`, `conditions` | listener rules: made, changed, described, removed |
//! | `tagging` | tags on all of these |

pub(crate) mod balancers;
pub(crate) mod conditions;
pub(crate) mod groups;
pub(crate) mod rules;
pub(crate) mod tagging;
pub(crate) mod targets;

use crate::clock::Moment;
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;
use crate::world::World;
use balancers::{Balancer, Listener};
use groups::TargetGroup;
use rules::Rule;
use std::collections::{BTreeMap, HashMap};

/// What one load balancer may have of each; AWS's quotas, of which the last two cannot be raised.
pub(crate) const MOST_RULES: usize = 100;
pub(crate) const MOST_TARGET_GROUPS: usize = 100;
pub(crate) const MOST_TARGETS: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Elb {
    /// All by ARN.
    pub(crate) groups: BTreeMap<String, TargetGroup>,
    pub(crate) balancers: BTreeMap<String, Balancer>,
    pub(crate) listeners: BTreeMap<String, Listener>,
    pub(crate) rules: BTreeMap<String, Rule>,
    /// By address or EC2 instance id, and port: since when a task listens there, or listened.
    pub(crate) listening: HashMap<(String, u16), Listening>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening {
    pub(crate) task: u64,
    pub(crate) since: Moment,
    pub(crate) until: Option<Moment>,
}

impl World {
    /// Answers one call to ELBv2.
    pub(crate) fn elb(&mut self, operation: &str, query: &Query) -> Result<Xml, Refusal> {
        match operation {
            "RegisterTargets" => self.register_targets(query),
            "DeregisterTargets" => self.deregister_targets(query),
            "DescribeTargetHealth" => self.describe_target_health(query),
            "DescribeTargetGroups" => self.describe_target_groups(query),
            "DescribeTargetGroupAttributes" => self.describe_target_group_attributes(query),
            "DescribeLoadBalancers" => self.describe_load_balancers(query),
            "DescribeListeners" => self.describe_listeners(query),
            "CreateRule" => self.create_rule(query),
            "ModifyRule" => self.modify_rule(query),
            "DeleteRule" => self.delete_rule(query),
            "DescribeRules" => self.describe_rules(query),
            "AddTags" => self.add_tags(query),
            "RemoveTags" => self.remove_tags(query),
            "DescribeTags" => self.describe_tags(query),
            _ => Err(Refusal::new(
                "InvalidAction",
                format!("Could not find operation {operation} for version 2015-12-01"),
            )),
        }
    }

    /// A running task listens from now on at its own address, or at its host's.
    pub(crate) fn listen(&mut self, number: u64) {
        let now = self.now;
        for place in self.places(number) {
            let listening = Listening {
                task: number,
                since: now,
                until: None,
            };
            self.elb.listening.insert(place, listening);
        }
    }

    pub(crate) fn stop_listening(&mut self, number: u64) {
        let now = self.now;
        for place in self.places(number) {
            let listening = self.elb.listening.get_mut(&place);
            if let Some(listening) = listening.filter(|listening| listening.task == number && listening.until.is_none())
            {
                listening.until = Some(now);
            }
        }
    }

    /// The addresses, as targets name them, at which the task's bindings are reached.
    fn places(&self, number: u64) -> Vec<(String, u16)> {
        let Some(task) = self.ecs.tasks.get(&number) else {
            return Vec::new();
        };
        let mut hosts: Vec<String> = task.private_address().map(str::to_owned).into_iter().collect();
        let instance = task
            .instance
            .as_ref()
            .and_then(|instance| self.ecs.instances.get(instance));
        if let Some(instance) = instance.filter(|_| hosts.is_empty()) {
            hosts.push(instance.ec2_id.clone());
            hosts.extend(
                self.ec2
                    .instances
                    .get(&instance.ec2_id)
                    .map(|host| host.private_address.clone()),
            );
        }
        let ports = task.containers.iter().flat_map(|container| &container.bindings);
        ports
            .flat_map(|binding| hosts.iter().map(|host| (host.clone(), binding.host_port)))
            .collect()
    }
}

/// One page of what was found, and the marker of the next one.
pub(crate) fn page<T>(all: Vec<T>, query: &Query) -> Result<(Vec<T>, Option<String>), Refusal> {
    let size = query.number("PageSize")?.unwrap_or(400);
    if !(1..=400).contains(&size) {
        return Err(Refusal::validation("PageSize must be between 1 and 400."));
    }
    let size = size as usize;
    let from: usize = match query.get("Marker") {
        None => 0,
        Some(marker) => marker
            .strip_prefix("page-")
            .and_then(|from| from.parse().ok())
            .ok_or_else(|| Refusal::validation("Invalid marker"))?,
    };
    let next = (all.len() > from.saturating_add(size)).then(|| format!("page-{}", from + size));
    Ok((all.into_iter().skip(from).take(size).collect(), next))
}
