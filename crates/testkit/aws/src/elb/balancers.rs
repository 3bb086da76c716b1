//! Load balancers and their listeners. They are made by the test; the API only shows them.

use super::page;
use crate::clock::{Moment, iso};
use crate::ecs::tags::Tag;
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) dns_name: String,
    pub(crate) vpc: String,
    pub(crate) subnets: Vec<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) created_at: Moment,
    pub(crate) tags: Vec<Tag>,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) arn: String,
    pub(crate) balancer: String,
    pub(crate) port: u16,
    /// Where it forwards to what no rule takes; without one it answers 404.
    pub(crate) default_groups: Vec<String>,
    pub(crate) tags: Vec<Tag>,
}

impl World {
    pub(crate) fn describe_load_balancers(&self, query: &Query) -> Result<Xml, Refusal> {
        let (arns, names) = (query.values("LoadBalancerArns"), query.values("Names"));
        let all = || self.elb.balancers.values();
        let missing = |known: &dyn Fn(&Balancer) -> bool| !all().any(known);
        if arns.iter().any(|arn| missing(&|balancer| &balancer.arn == arn))
            || names.iter().any(|name| missing(&|balancer| &balancer.name == name))
        {
            return Err(balancer_not_found());
        }
        let found: Vec<_> = all()
            .filter(|balancer| arns.is_empty() || arns.contains(&balancer.arn))
            .filter(|balancer| names.is_empty() || names.contains(&balancer.name))
            .collect();
        let (found, next) = page(found, query)?;
        let mut xml = Xml::default();
        xml.members("LoadBalancers", found, |xml, balancer| {
            xml.leaf("LoadBalancerArn", &balancer.arn);
            xml.leaf("LoadBalancerName", &balancer.name);
            xml.leaf("DNSName", &balancer.dns_name);
            xml.leaf("CanonicalHostedZoneId", "Z35SXDOTRQ7X7K");
            xml.leaf("CreatedTime", iso(balancer.created_at));
            xml.leaf("Scheme", "internet-facing");
            xml.leaf("Type", "application");
            xml.leaf("IpAddressType", "ipv4");
            xml.leaf("VpcId", &balancer.vpc);
            xml.branch("State", |xml| xml.leaf("Code", "active"));
            xml.values("SecurityGroups", &balancer.security_groups);
            xml.members("AvailabilityZones", &balancer.subnets, |xml, subnet| {
                xml.leaf("SubnetId", subnet);
                xml.optional("ZoneName", self.ec2.subnets.get(subnet).map(|subnet| &subnet.zone));
            });
        });
        xml.optional("NextMarker", next);
        Ok(xml)
    }

    pub(crate) fn describe_listeners(&self, query: &Query) -> Result<Xml, Refusal> {
        let arns = query.values("ListenerArns");
        let balancer = query.get("LoadBalancerArn");
        if arns.is_empty() && balancer.is_none() {
            return Err(Refusal::validation("A load balancer or listener ARN must be specified"));
        }
        if balancer.is_some_and(|arn| !self.elb.balancers.contains_key(arn)) {
            return Err(balancer_not_found());
        }
        for arn in &arns {
            self.listener(arn)?;
        }
        let found: Vec<_> = self
            .elb
            .listeners
            .values()
            .filter(|listener| arns.is_empty() || arns.contains(&listener.arn))
            .filter(|listener| balancer.is_none_or(|arn| listener.balancer == arn))
            .collect();
        let (found, next) = page(found, query)?;
        let mut xml = Xml::default();
        xml.members("Listeners", found, |xml, listener| {
            xml.leaf("ListenerArn", &listener.arn);
            xml.leaf("LoadBalancerArn", &listener.balancer);
            xml.leaf("Port", listener.port);
            xml.leaf("Protocol", "HTTP");
            xml.branch("DefaultActions", |xml| {
                super::conditions::actions(xml, &listener.default_groups)
            });
        });
        xml.optional("NextMarker", next);
        Ok(xml)
    }

    pub(crate) fn listener(&self, arn: &str) -> Result<&Listener, Refusal> {
        let missing = || Refusal::new("ListenerNotFound", "One or more listeners not found");
        self.elb.listeners.get(arn).ok_or_else(missing)
    }
}

pub(crate) fn balancer_not_found() -> Refusal {
    Refusal::new("LoadBalancerNotFound", "One or more load balancers not found")
}
