//! Where a task fits, and what RunTask answers where it fits nowhere.

use super::instances::{ContainerInstance, Needs, RESERVED_PORTS};
use crate::clock::Moment;
use crate::world::World;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Fargate's words for having no room.
pub(crate) const NO_FARGATE_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// Capacity that is missing because a test said so.
#[derive(Debug, Default)]
pub(crate) struct Scarcity {
    /// Fargate has no room before then.
    pub(crate) fargate_until: Option<Moment>,
    /// The next placements fail with these reasons, one each.
    pub(crate) next: VecDeque<String>,
}

/// The entries of `failures[]` for one task that was not placed.
pub(crate) type Failures = Vec<Value>;

impl World {
    pub(crate) fn place_on_fargate(&mut self) -> Result<(), Failures> {
        if let Some(reason) = self.ecs.scarcity.next.pop_front() {
            return Err(vec![json!({ "reason": reason })]);
        }
        if self.fortune.unplaced().is_some() {
            return Err(vec![json!({ "reason": NO_FARGATE_CAPACITY })]);
        }
        match self.ecs.scarcity.fargate_until {
            Some(until) if self.now < until => Err(vec![json!({ "reason": NO_FARGATE_CAPACITY })]),
            _ => Ok(()),
        }
    }

    /// The ARN of the instance with the most memory left of those that the task fits on.
    pub(crate) fn place_on_instance(&mut self, cluster: &str, needs: &Needs) -> Result<String, Failures> {
        let unplaced = self.fortune.unplaced().map(str::to_owned);
        let scripted = self.ecs.scarcity.next.pop_front().or(unplaced);
        let mut failures = Vec::new();
        let mut best: Option<(i64, &ContainerInstance)> = None;
        for instance in self
            .ecs
            .instances
            .values()
            .filter(|instance| instance.cluster == cluster && !instance.draining)
        {
            let reason = scripted
                .clone()
                .or_else(|| self.misfit(instance, needs).map(str::to_owned));
            if let Some(reason) = reason {
                failures.push(json!({ "arn": instance.arn, "reason": reason }));
                continue;
            }
            let left = instance.memory - self.taken_on(&instance.arn).0.memory;
            if best.is_none_or(|(most, _)| left > most) {
                best = Some((left, instance));
            }
        }
        best.map(|(_, instance)| instance.arn.clone()).ok_or(failures)
    }

    fn misfit(&self, instance: &ContainerInstance, needs: &Needs) -> Option<&'static str> {
        let (taken, interfaces) = self.taken_on(&instance.arn);
        let port_taken = |port: &u16| taken.tcp.contains(port) || RESERVED_PORTS.contains(port);
        if !instance.agent_connected {
            Some("AGENT")
        } else if !needs.attributes.is_subset(&instance.attributes) {
            Some("ATTRIBUTE")
        } else if needs.tcp.iter().any(port_taken) || !needs.udp.is_disjoint(&taken.udp) {
            Some("RESOURCE:PORTS")
        } else if taken.memory + needs.memory > instance.memory {
            Some("RESOURCE:MEMORY")
        } else if taken.cpu + needs.cpu > instance.cpu {
            Some("RESOURCE:CPU")
        } else if needs.interface && interfaces >= instance.interfaces {
            Some("RESOURCE:ENI")
        } else {
            None
        }
    }
}
