//! Listener rules: made, changed, removed, and described in the order of their priorities.

use super::conditions::{self, Condition, read_actions, read_conditions};
use super::{MOST_RULES, MOST_TARGET_GROUPS, page};
use crate::ecs::tags::{Tag, check_tags};
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;
use crate::world::World;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) arn: String,
    pub(crate) listener: String,
    /// 1 to 50,000; the default rule, which every listener has, stands with the listener and not here.
    pub(crate) priority: u64,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) groups: Vec<String>,
    pub(crate) tags: Vec<Tag>,
}

impl World {
    pub(crate) fn create_rule(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let listener = query.required("ListenerArn")?;
        let balancer = self.listener(listener)?.balancer.clone();
        let Some(priority @ 1..=50_000) = query.number("Priority")? else {
            return Err(Refusal::validation("Priority must be between 1 and 50000"));
        };
        let (conditions, groups) = (read_conditions(query)?, read_actions(query)?);
        let tags = super::tagging::read_tags(query)?;
        check_tags(&tags).map_err(Refusal::validation)?;
        let mut of_listener = self.elb.rules.values().filter(|rule| rule.listener == listener);
        if of_listener.any(|rule| rule.priority == priority) {
            return Err(Refusal::new(
                "PriorityInUse",
                format!("Priority '{priority}' is currently in use"),
            ));
        }
        self.check_forward(&balancer, &groups, None)?;
        let of_balancer = self
            .elb
            .rules
            .values()
            .filter(|rule| self.is_of(&rule.listener, &balancer));
        if of_balancer.count() >= MOST_RULES {
            return Err(Refusal::new(
                "TooManyRules",
                format!("The maximum number of rules per load balancer is {MOST_RULES}"),
            ));
        }
        let id = self.ids.short();
        let arn = format!("{}/{id}", listener.replacen(":listener/", ":listener-rule/", 1));
        let rule = Rule {
            arn: arn.clone(),
            listener: listener.to_owned(),
            priority,
            conditions,
            groups,
            tags,
        };
        let mut xml = Xml::default();
        xml.members("Rules", [&rule], shape);
        self.elb.rules.insert(arn, rule);
        Ok(xml)
    }

    pub(crate) fn modify_rule(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let arn = query.required("RuleArn")?;
        let rule = self.rule(arn)?;
        let balancer = self.listener(&rule.listener)?.balancer.clone();
        let new_conditions = (!query.structure("Conditions").is_empty())
            .then(|| read_conditions(query))
            .transpose()?;
        let new_groups = (!query.structure("Actions").is_empty())
            .then(|| read_actions(query))
            .transpose()?;
        if let Some(groups) = &new_groups {
            self.check_forward(&balancer, groups, Some(arn))?;
        }
        let rule = self.elb.rules.get_mut(arn).ok_or_else(rule_not_found)?;
        rule.conditions = new_conditions.unwrap_or_else(|| rule.conditions.clone());
        rule.groups = new_groups.unwrap_or_else(|| rule.groups.clone());
        let mut xml = Xml::default();
        xml.members("Rules", [&*rule], shape);
        Ok(xml)
    }

    pub(crate) fn delete_rule(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let arn = query.required("RuleArn")?;
        if self.elb.listeners.contains_key(&default_rule_listener(arn)) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!("Default rule '{arn}' cannot be deleted"),
            ));
        }
        self.elb
            .rules
            .remove(arn)
            .map(|_| Xml::default())
            .ok_or_else(rule_not_found)
    }

    pub(crate) fn describe_rules(&self, query: &Query) -> Result<Xml, Refusal> {
        let arns = query.values("RuleArns");
        let (rules, default) = match query.get("ListenerArn") {
            Some(listener) => {
                let default = self.listener(listener)?;
                let of_listener = self.elb.rules.values().filter(|rule| rule.listener == listener);
                (of_listener.collect::<Vec<_>>(), Some(default))
            }
            None if arns.is_empty() => {
                return Err(Refusal::validation("Either a listener or a rule ARN must be specified"));
            }
            None => (arns.iter().map(|arn| self.rule(arn)).collect::<Result<_, _>>()?, None),
        };
        let mut rules: Vec<_> = rules.into_iter().map(Some).collect();
        rules.sort_by_key(|rule| rule.map(|rule| rule.priority));
        rules.extend(default.map(|_| None));
        let (rules, next) = page(rules, query)?;
        let mut xml = Xml::default();
        xml.members("Rules", rules, |xml, rule| match (rule, default) {
            (Some(rule), _) => shape(xml, rule),
            (None, Some(listener)) => {
                xml.leaf(
                    "RuleArn",
                    format!("{}/default", listener.arn.replacen(":listener/", ":listener-rule/", 1)),
                );
                xml.leaf("Priority", "default");
                xml.values("Conditions", [""; 0]);
                xml.branch("Actions", |xml| conditions::actions(xml, &listener.default_groups));
                xml.leaf("IsDefault", true);
            }
            (None, None) => {}
        });
        xml.optional("NextMarker", next);
        Ok(xml)
    }

    pub(crate) fn rule(&self, arn: &str) -> Result<&Rule, Refusal> {
        self.elb.rules.get(arn).ok_or_else(rule_not_found)
    }

    fn is_of(&self, listener: &str, balancer: &str) -> bool {
        self.elb
            .listeners
            .get(listener)
            .is_some_and(|listener| listener.balancer == balancer)
    }

    /// Whether the balancer may forward to these groups, besides what it forwards to already; the rule that is changed aside.
    fn check_forward(&self, balancer: &str, groups: &[String], changed: Option<&str>) -> Result<(), Refusal> {
        let vpc = self.elb.balancers.get(balancer).map(|balancer| &balancer.vpc);
        for arn in groups {
            let group = self.target_group(arn)?;
            if vpc != Some(&group.vpc) {
                return Err(Refusal::validation(format!(
                    "The target group '{arn}' is not in the VPC of the load balancer"
                )));
            }
            if self.balancers_of(arn).iter().any(|other| *other != balancer) {
                return Err(Refusal::new(
                    "TargetGroupAssociationLimit",
                    format!("The following target groups cannot be associated with more than one load balancer: {arn}"),
                ));
            }
        }
        let of_rules = self
            .elb
            .rules
            .values()
            .filter(|rule| Some(rule.arn.as_str()) != changed && self.is_of(&rule.listener, balancer))
            .flat_map(|rule| &rule.groups);
        let of_listeners = self
            .elb
            .listeners
            .values()
            .filter(|listener| listener.balancer == balancer);
        let used: BTreeSet<_> = of_rules
            .chain(of_listeners.flat_map(|listener| &listener.default_groups))
            .chain(groups)
            .collect();
        if used.len() > MOST_TARGET_GROUPS {
            return Err(Refusal::new(
                "TooManyUniqueTargetGroupsPerLoadBalancer",
                format!("The maximum number of unique target groups per load balancer is {MOST_TARGET_GROUPS}"),
            ));
        }
        Ok(())
    }
}

fn default_rule_listener(arn: &str) -> String {
    arn.strip_suffix("/default")
        .unwrap_or_default()
        .replacen(":listener-rule/", ":listener/", 1)
}

fn rule_not_found() -> Refusal {
    Refusal::new("RuleNotFound", "One or more rules not found")
}

fn shape(xml: &mut Xml, rule: &Rule) {
    xml.leaf("RuleArn", &rule.arn);
    xml.leaf("Priority", rule.priority);
    conditions::conditions(xml, &rule.conditions);
    xml.branch("Actions", |xml| conditions::actions(xml, &rule.groups));
    xml.leaf("IsDefault", false);
}
