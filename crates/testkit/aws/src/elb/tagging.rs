//! Tags on load balancers, listeners, rules and target groups.

use crate::ecs::tags::{Tag, check_tags, merge};
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;
use crate::world::World;

pub(crate) fn read_tags(query: &Query) -> Result<Vec<Tag>, Refusal> {
    query
        .structures("Tags")
        .iter()
        .map(|tag| {
            Ok(Tag {
                key: tag.required("Key")?.to_owned(),
                value: tag.get("Value").unwrap_or_default().to_owned(),
            })
        })
        .collect()
}

impl World {
    pub(crate) fn add_tags(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let tags = read_tags(query)?;
        check_tags(&tags).map_err(Refusal::validation)?;
        for arn in query.values("ResourceArns") {
            merge(self.elb_tags(&arn)?, &tags);
        }
        Ok(Xml::default())
    }

    pub(crate) fn remove_tags(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let keys = query.values("TagKeys");
        for arn in query.values("ResourceArns") {
            self.elb_tags(&arn)?.retain(|tag| !keys.contains(&tag.key));
        }
        Ok(Xml::default())
    }

    pub(crate) fn describe_tags(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let arns = query.values("ResourceArns");
        if arns.is_empty() || arns.len() > 20 {
            return Err(Refusal::validation("Between 1 and 20 resource ARNs must be specified"));
        }
        let mut described = Vec::new();
        for arn in arns {
            let tags = self.elb_tags(&arn)?.clone();
            described.push((arn, tags));
        }
        let mut xml = Xml::default();
        xml.members("TagDescriptions", described, |xml, (arn, tags)| {
            xml.leaf("ResourceArn", arn);
            xml.members("Tags", tags, |xml, tag| {
                xml.leaf("Key", tag.key);
                xml.leaf("Value", tag.value);
            });
        });
        Ok(xml)
    }

    fn elb_tags(&mut self, arn: &str) -> Result<&mut Vec<Tag>, Refusal> {
        let kind = arn
            .splitn(6, ':')
            .nth(5)
            .and_then(|resource| resource.split('/').next());
        let missing = |code: &str, what: &str| Refusal::new(code, format!("One or more {what} not found"));
        match kind {
            Some("targetgroup") => Ok(&mut self.target_group_mut(arn)?.tags),
            Some("loadbalancer") => {
                let found = self.elb.balancers.get_mut(arn).map(|balancer| &mut balancer.tags);
                found.ok_or_else(|| missing("LoadBalancerNotFound", "load balancers"))
            }
            Some("listener") => {
                let found = self.elb.listeners.get_mut(arn).map(|listener| &mut listener.tags);
                found.ok_or_else(|| missing("ListenerNotFound", "listeners"))
            }
            Some("listener-rule") => {
                let found = self.elb.rules.get_mut(arn).map(|rule| &mut rule.tags);
                found.ok_or_else(|| missing("RuleNotFound", "rules"))
            }
            _ => Err(Refusal::validation(format!(
                "'{arn}' is not a valid load balancing ARN"
            ))),
        }
    }
}
