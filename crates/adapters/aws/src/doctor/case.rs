//! One service with what is known of its parts.

use wharf_domain::{
    Failure, Service,
    service::{EcsTask, ListenerRule, PortRule, RouteRule, RunSpec},
};

use super::world::{World, of};
use crate::{
    ec2::Instance,
    ecs::{Definition, NetworkMode, Shape},
    elb::TargetGroup,
};

/// From which Docker takes a host's port that nobody chose: Linux's own range, and the one that Docker falls back on.
pub(super) const DYNAMIC_PORTS: (u16, u16) = (32_768, 65_535);

pub(super) struct Case<'a> {
    pub(super) service: &'a Service,
    pub(super) task: &'a EcsTask,
    pub(super) arns: &'a [String],
    pub(super) rule: Option<&'a ListenerRule>,
    pub(super) definition: Option<&'a Definition>,
    /// `None` where the task definition is not known.
    pub(super) shape: Option<Result<Shape, Failure>>,
    /// The EC2 instances of its cluster, where tasks run on such.
    pub(super) instances: Vec<&'a Instance>,
}

impl<'a> Case<'a> {
    /// `None` where the service does not run on ECS.
    pub(super) fn of(service: &'a Service, world: &'a World) -> Option<Self> {
        let RunSpec::Ecs(task) = &service.run else {
            return None;
        };
        let (arns, rule) = match &service.route {
            RouteRule::TargetGroups { arns, rule, .. } => (arns.as_slice(), rule.as_ref()),
            _ => (&[][..], None),
        };
        let definition = of(&world.definitions, &task.task_definition).map(|definition| &**definition);
        let hosts = of(&world.hosts, &task.cluster).map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            service,
            task,
            arns,
            rule,
            definition,
            shape: definition.map(|definition| Shape::of(task, definition)),
            instances: hosts
                .iter()
                .filter_map(|host| of(&world.instances, &host.ec2_instance))
                .collect(),
        })
    }

    /// What its tasks look like, where that is clear.
    pub(super) fn clear(&self) -> Option<&Shape> {
        self.shape.as_ref()?.as_ref().ok()
    }

    pub(super) fn network(&self) -> Option<NetworkMode> {
        self.definition.map(|definition| definition.network)
    }

    /// Whether each task has a network interface, and so an address, of its own.
    pub(super) fn is_awsvpc(&self) -> bool {
        self.network() == Some(NetworkMode::Awsvpc)
    }

    /// The ports on which its tasks are reached, at their own addresses or at their hosts'.
    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        let shape = self.clear()?;
        Some(match (shape.network, &self.service.port) {
            (NetworkMode::Awsvpc | NetworkMode::Host, _) => (shape.port, shape.port),
            (_, PortRule::Static { first, last }) => (*first, *last),
            (_, PortRule::Dynamic) => shape.host_port.map_or(DYNAMIC_PORTS, |port| (port, port)),
        })
    }

    /// The security groups that guard those ports: ids, each once.
    pub(super) fn guards(&self) -> Vec<&'a String> {
        let mut guards: Vec<&String> = if self.is_awsvpc() {
            self.task.security_groups.iter().collect()
        } else {
            let instances = self.instances.iter();
            instances.flat_map(|instance| &instance.security_groups).collect()
        };
        guards.sort();
        guards.dedup();
        guards
    }

    /// Its target groups that are there, each with its ARN.
    pub(super) fn groups(&self, world: &'a World) -> impl Iterator<Item = (&'a String, &'a TargetGroup)> {
        let arns = self.arns.iter();
        arns.filter_map(|arn| Some((arn, of(&world.target_groups, arn)?)))
    }
}

/// The name within a target group's, load balancer's or cluster's ARN, or the whole of what is none.
pub(super) fn short(arn: &str) -> &str {
    let Some(resource) = arn.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4)) else {
        return arn;
    };
    let mut parts = resource.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        // loadbalancer/app/NAME/ID, listener/app/NAME/ID/ID
        (Some(_), Some("app" | "net" | "gwy"), Some(name)) => name,
        // targetgroup/NAME/ID, cluster/NAME
        (Some(_), Some(name), _) => name,
        _ => resource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_without_the_rest_of_their_arns() {
        assert_eq!(
            short("arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/auth-tg/0123"),
            "auth-tg"
        );
        assert_eq!(
            short("arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/main/0123"),
            "main"
        );
        assert_eq!(
            short("arn:aws:elasticloadbalancing:us-east-1:1:listener/net/main/0123/4567"),
            "main"
        );
        assert_eq!(short("arn:aws:ecs:us-east-1:1:cluster/shop"), "shop");
        assert_eq!(short("shop"), "shop");
    }
}
