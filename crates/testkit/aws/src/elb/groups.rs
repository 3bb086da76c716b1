//! Target groups: found, described, and whether anything forwards to them.

use super::page;
use super::targets::Target;
use crate::ecs::tags::Tag;
use crate::plan::TargetPlan;
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;
use crate::world::World;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetType {
    Ip,
    Instance,
}

impl TargetType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Instance => "instance",
        }
    }
}

#[derive(Debug)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) target_type: TargetType,
    pub(crate) port: u16,
    pub(crate) vpc: String,
    pub(crate) health: HealthCheck,
    pub(crate) deregistration_delay: Duration,
    pub(crate) targets: BTreeMap<(String, u16), Target>,
    pub(crate) plan: TargetPlan,
    /// By (id, port), where a target has a plan of its own.
    pub(crate) plans: HashMap<(String, u16), TargetPlan>,
    pub(crate) tags: Vec<Tag>,
}

#[derive(Clone, Debug)]
pub(crate) struct HealthCheck {
    pub(crate) path: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) healthy_threshold: u32,
    pub(crate) unhealthy_threshold: u32,
    pub(crate) matcher: String,
}

impl Default for HealthCheck {
    /// AWS's own, for a target group over HTTP.
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: "200".to_owned(),
        }
    }
}

impl World {
    pub(crate) fn target_group(&self, arn: &str) -> Result<&TargetGroup, Refusal> {
        self.elb.groups.get(arn).ok_or_else(group_not_found)
    }

    pub(crate) fn target_group_mut(&mut self, arn: &str) -> Result<&mut TargetGroup, Refusal> {
        self.elb.groups.get_mut(arn).ok_or_else(group_not_found)
    }

    /// The load balancers whose listeners or rules forward to the group.
    pub(crate) fn balancers_of(&self, group: &str) -> Vec<&str> {
        let by_default = self
            .elb
            .listeners
            .values()
            .filter(|listener| listener.default_groups.iter().any(|arn| arn == group));
        let by_rule = self
            .elb
            .rules
            .values()
            .filter(|rule| rule.groups.iter().any(|arn| arn == group))
            .filter_map(|rule| self.elb.listeners.get(&rule.listener));
        let mut balancers: Vec<_> = by_default
            .chain(by_rule)
            .map(|listener| listener.balancer.as_str())
            .collect();
        balancers.sort_unstable();
        balancers.dedup();
        balancers
    }

    pub(crate) fn describe_target_groups(&self, query: &Query) -> Result<Xml, Refusal> {
        let (arns, names) = (query.values("TargetGroupArns"), query.values("Names"));
        for arn in &arns {
            self.target_group(arn)?;
        }
        let all = || self.elb.groups.values();
        for name in &names {
            if !all().any(|group| &group.name == name) {
                return Err(group_not_found());
            }
        }
        let balancer = query.get("LoadBalancerArn");
        if balancer.is_some_and(|arn| !self.elb.balancers.contains_key(arn)) {
            return Err(super::balancers::balancer_not_found());
        }
        let found: Vec<_> = all()
            .filter(|group| arns.is_empty() || arns.contains(&group.arn))
            .filter(|group| names.is_empty() || names.contains(&group.name))
            .filter(|group| balancer.is_none_or(|arn| self.balancers_of(&group.arn).contains(&arn)))
            .collect();
        let (found, next) = page(found, query)?;
        let mut xml = Xml::default();
        xml.members("TargetGroups", found, |xml, group| {
            xml.leaf("TargetGroupArn", &group.arn);
            xml.leaf("TargetGroupName", &group.name);
            xml.leaf("Protocol", "HTTP");
            xml.leaf("ProtocolVersion", "HTTP1");
            xml.leaf("Port", group.port);
            xml.leaf("VpcId", &group.vpc);
            xml.leaf("TargetType", group.target_type.name());
            xml.leaf("IpAddressType", "ipv4");
            xml.leaf("HealthCheckEnabled", true);
            xml.leaf("HealthCheckProtocol", "HTTP");
            xml.leaf("HealthCheckPort", "traffic-port");
            xml.leaf("HealthCheckPath", &group.health.path);
            xml.leaf("HealthCheckIntervalSeconds", group.health.interval.as_secs());
            xml.leaf("HealthCheckTimeoutSeconds", group.health.timeout.as_secs());
            xml.leaf("HealthyThresholdCount", group.health.healthy_threshold);
            xml.leaf("UnhealthyThresholdCount", group.health.unhealthy_threshold);
            xml.branch("Matcher", |xml| xml.leaf("HttpCode", &group.health.matcher));
            xml.values("LoadBalancerArns", self.balancers_of(&group.arn));
        });
        xml.optional("NextMarker", next);
        Ok(xml)
    }

    pub(crate) fn describe_target_group_attributes(&self, query: &Query) -> Result<Xml, Refusal> {
        let group = self.target_group(query.required("TargetGroupArn")?)?;
        let delay = group.deregistration_delay.as_secs().to_string();
        let attributes = [
            ("deregistration_delay.timeout_seconds", delay.as_str()),
            ("load_balancing.algorithm.type", "round_robin"),
            ("slow_start.duration_seconds", "0"),
            ("stickiness.enabled", "false"),
            ("stickiness.type", "lb_cookie"),
        ];
        let mut xml = Xml::default();
        xml.members("Attributes", attributes, |xml, (key, value)| {
            xml.leaf("Key", key);
            xml.leaf("Value", value);
        });
        Ok(xml)
    }
}

pub(crate) fn group_not_found() -> Refusal {
    Refusal::new("TargetGroupNotFound", "One or more target groups not found")
}
