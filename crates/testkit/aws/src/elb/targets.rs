//! Targets, each an (id, port): registered, deregistered, and what their health is at any time.

use super::groups::{TargetGroup, TargetType};
use super::{Listening, MOST_TARGETS};
use crate::clock::Moment;
use crate::plan::{TargetPlan, Unhealthy};
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;
use crate::world::World;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long a new target is being made known to the load balancer's nodes before they check it.
const REGISTRATION: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) registered_at: Moment,
    pub(crate) deregistered_at: Option<Moment>,
}

/// A target's health, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) state: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) description: Option<String>,
}

impl Health {
    fn because(state: &'static str, reason: &'static str, description: impl Into<String>) -> Self {
        Self {
            state,
            reason: Some(reason),
            description: Some(description.into()),
        }
    }

    fn unhealthy(why: Unhealthy) -> Self {
        Self::because("unhealthy", why.reason(), why.description())
    }

    const HEALTHY: Self = Self {
        state: "healthy",
        reason: None,
        description: None,
    };
}

impl World {
    pub(crate) fn register_targets(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let arn = query.required("TargetGroupArn")?;
        let group = self.target_group(arn)?;
        let wanted = named_targets(query, group)?;
        for (id, _) in &wanted {
            self.check_target(group, id)?;
        }
        let now = self.now;
        let new = wanted.iter().filter(|key| !group.is_live(key)).count();
        let live = group.targets.keys().filter(|key| group.is_live(key)).count();
        if live + new > MOST_TARGETS {
            return Err(Refusal::new(
                "TooManyTargets",
                format!("The maximum number of targets per target group is {MOST_TARGETS}"),
            ));
        }
        let group = self.target_group_mut(arn)?;
        for key in wanted {
            let target = group.targets.entry(key).or_insert(Target {
                registered_at: now,
                deregistered_at: None,
            });
            // What is registered already stays as it is; what drains, or drained, begins anew.
            if target.deregistered_at.take().is_some() {
                target.registered_at = now;
            }
        }
        Ok(Xml::default())
    }

    pub(crate) fn deregister_targets(&mut self, query: &Query) -> Result<Xml, Refusal> {
        let arn = query.required("TargetGroupArn")?;
        let group = self.target_group(arn)?;
        let wanted = named_targets(query, group)?;
        let (now, in_use) = (self.now, !self.balancers_of(arn).is_empty());
        let group = self.target_group_mut(arn)?;
        for key in wanted {
            // One that nobody registered is no error: it is not registered afterwards either.
            if let Some(target) = group.targets.get_mut(&key) {
                target.deregistered_at.get_or_insert(now);
            }
            if !in_use {
                group.targets.remove(&key);
            }
        }
        Ok(Xml::default())
    }

    pub(crate) fn describe_target_health(&self, query: &Query) -> Result<Xml, Refusal> {
        let group = self.target_group(query.required("TargetGroupArn")?)?;
        let asked = if query.structure("Targets").is_empty() {
            let known = group.targets.keys().filter(|key| group.is_known(key, self.now));
            known.cloned().collect()
        } else {
            named_targets(query, group)?
        };
        let mut xml = Xml::default();
        xml.members("TargetHealthDescriptions", asked, |xml, (id, port)| {
            let health = self.health(group, &(id.clone(), port));
            xml.branch("Target", |xml| {
                xml.leaf("Id", &id);
                xml.leaf("Port", port);
            });
            xml.leaf("HealthCheckPort", port);
            xml.branch("TargetHealth", |xml| {
                xml.leaf("State", health.state);
                xml.optional("Reason", health.reason);
                xml.optional("Description", health.description.as_ref());
            });
        });
        Ok(xml)
    }

    pub(crate) fn health(&self, group: &TargetGroup, key: &(String, u16)) -> Health {
        let now = self.now;
        let Some(target) = group.targets.get(key).filter(|_| group.is_known(key, now)) else {
            let text = "Target is not registered to the target group";
            return Health::because("unused", "Target.NotRegistered", text);
        };
        if target.deregistered_at.is_some() {
            let text = "Target deregistration is in progress";
            return Health::because("draining", "Target.DeregistrationInProgress", text);
        }
        if self.balancers_of(&group.arn).is_empty() {
            let text = "Target group is not configured to receive traffic from the load balancer";
            return Health::because("unused", "Target.NotInUse", text);
        }
        let instance = self.ec2.instances.get(&key.0);
        if let Some(instance) = instance.filter(|instance| instance.state != "running") {
            let text = format!("Target is in the {} state", instance.state);
            return Health::because("unused", "Target.InvalidState", text);
        }
        let age = now.saturating_sub(target.registered_at);
        if age < REGISTRATION {
            return Health::because(
                "initial",
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            );
        }
        let checking = || {
            Health::because(
                "initial",
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            )
        };
        let until_unhealthy = group.health.interval * group.health.unhealthy_threshold;
        match group.plans.get(key).unwrap_or(&group.plan) {
            TargetPlan::HealthyAfter(after) if age >= *after => Health::HEALTHY,
            TargetPlan::HealthyAfter(_) => checking(),
            TargetPlan::HealthyFor { after, lasts, then } => match age.checked_sub(*after) {
                None => checking(),
                Some(healthy_for) if healthy_for < *lasts => Health::HEALTHY,
                Some(_) => Health::unhealthy(*then),
            },
            TargetPlan::Never(why) if age >= until_unhealthy => Health::unhealthy(*why),
            TargetPlan::Never(_) => checking(),
            TargetPlan::WhileTaskRuns(after) => {
                let listening = self.elb.listening.get(key).copied();
                self.health_by_task(target, listening, *after, until_unhealthy)
                    .unwrap_or_else(checking)
            }
        }
    }

    /// None while nothing is decided yet.
    fn health_by_task(
        &self,
        target: &Target,
        listening: Option<Listening>,
        after: Duration,
        until_unhealthy: Duration,
    ) -> Option<Health> {
        let since = listening.map(|listening| listening.since.max(target.registered_at));
        let until = listening.and_then(|listening| listening.until);
        let ended = until.unwrap_or(Duration::MAX).min(self.now);
        let was_healthy = since.is_some_and(|since| ended >= since + after);
        if until.is_none() && listening.is_some() {
            return was_healthy.then_some(Health::HEALTHY);
        }
        // Nobody listens: since it was registered, or since the task went.
        let alone_since = until.unwrap_or_default().max(target.registered_at);
        if self.now >= alone_since + until_unhealthy {
            return Some(Health::unhealthy(Unhealthy::TimedOut));
        }
        was_healthy.then_some(Health::HEALTHY)
    }

    fn check_target(&self, group: &TargetGroup, id: &str) -> Result<(), Refusal> {
        let refused = |message: String| Err(Refusal::new("InvalidTarget", message));
        match group.target_type {
            TargetType::Instance => match self.ec2.instances.get(id) {
                Some(instance) if instance.state == "running" => Ok(()),
                Some(_) => refused(format!(
                    "The following targets are not in a running state and cannot be registered: '{id}'"
                )),
                None => refused(format!(
                    "The target '{id}' is not valid for a target group of type instance"
                )),
            },
            TargetType::Ip => match id.parse::<Ipv4Addr>() {
                Ok(address) if address.is_private() || address.is_loopback() => Ok(()),
                Ok(_) => refused(format!("The IP address '{id}' is not within a valid private range")),
                Err(_) => refused(format!("The IP address '{id}' is not a valid IPv4 address")),
            },
        }
    }
}

impl TargetGroup {
    /// Registered, and not on its way out.
    fn is_live(&self, key: &(String, u16)) -> bool {
        self.targets
            .get(key)
            .is_some_and(|target| target.deregistered_at.is_none())
    }

    /// Registered, or draining still.
    pub(crate) fn is_known(&self, key: &(String, u16), now: Moment) -> bool {
        self.targets.get(key).is_some_and(|target| {
            target
                .deregistered_at
                .is_none_or(|since| now < since + self.deregistration_delay)
        })
    }
}

/// The targets that a call names; without a port it is the group's.
fn named_targets(query: &Query, group: &TargetGroup) -> Result<Vec<(String, u16)>, Refusal> {
    let named = query.structures("Targets");
    if named.is_empty() {
        return Err(Refusal::validation("At least one target must be specified"));
    }
    named
        .iter()
        .map(|target| {
            let port = match target.number("Port")? {
                None => group.port,
                Some(port @ 1..=65_535) => port as u16,
                Some(port) => return Err(Refusal::validation(format!("Port '{port}' is not between 1 and 65535"))),
            };
            Ok((target.required("Id")?.to_owned(), port))
        })
        .collect()
}
