//! What must hold all along. Some things may be wrong for a while, since AWS lets them be and an adapter sees them late: each has its time.

use std::{collections::BTreeMap, time::Duration};
use wharf_domain::{Endpoint, Instance, State};

use super::{Rules, is_live, is_of};
use crate::account::Account;

/// How long something may be wrong that an event tells of which may be lost, of which the looks for it may fail, and that somebody then has to see to. A
/// request that the network held back arrives within five minutes; looks at all tasks are five minutes apart, and the leases of those who die in their midst
/// are taken over within two.
const NOTICED_WITHIN: Duration = Duration::from_mins(30);

impl Rules {
    /// To be called often.
    pub(crate) fn look(&self) {
        let mut wrong = Vec::new();
        self.look_at_tasks(&mut wrong);
        self.look_at_targets(&mut wrong);
        self.check_foreigners();
        let now = self.now();
        let overdue: Vec<String> = {
            let mut state = self.state.lock();
            let before = std::mem::take(&mut state.wrong);
            state.wrong = wrong
                .into_iter()
                .map(|what| {
                    let since = before.get(&what).copied().unwrap_or(now);
                    (what, since)
                })
                .collect();
            let overdue = state
                .wrong
                .iter()
                .filter(|(_, since)| now.saturating_sub(**since) > NOTICED_WITHIN);
            overdue.map(|(what, _)| what.clone()).collect()
        };
        for what in overdue {
            self.violated("nothing stays wrong", what);
        }
    }

    /// One task an attempt, ever; one an instance, but for a moment; none for who is over.
    fn look_at_tasks(&self, wrong: &mut Vec<String>) {
        let mut live: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        let mut twice = Vec::new();
        for task in self.simulator.tasks() {
            let Some(whose) = self.whose(&task) else { continue };
            let mut state = self.state.lock();
            let started = state.started.entry(whose.clone()).or_default();
            if started.insert(task.arn.clone()) && started.len() > 1 {
                twice.push(format!("{whose:?} has the tasks {started:?}"));
            }
            if is_live(&task) {
                live.entry(whose.0).or_default().push(whose.1);
            }
        }
        for what in twice {
            self.violated("one task an attempt", what);
        }
        let state = self.state.lock();
        for (instance, attempts) in live {
            if attempts.len() > 1 {
                wrong.push(format!("{instance} has live tasks of the attempts {attempts:?}"));
            }
            let known = state.instances.iter().find(|(id, _)| id.as_str() == instance);
            if known.is_some_and(|(_, instance)| instance.state.is_final()) {
                wrong.push(format!("{instance} is over and has a live task"));
            }
        }
    }

    /// Whoever comes to a target reaches the instance that the registry has at that endpoint, or nobody.
    fn look_at_targets(&self, wrong: &mut Vec<String>) {
        let mut services: BTreeMap<(String, u16), Vec<String>> = BTreeMap::new();
        for target in self.simulator.targets() {
            if target.state == "draining" || self.is_foreign(&target.group, &target.id, target.port) {
                continue;
            }
            let place = (target.id.clone(), target.port);
            services.entry(place).or_default().push(target.group.clone());
            let Some(task) = self.simulator.who_listens(&target.id, target.port) else {
                continue;
            };
            let Some(whose) = self.whose(&task) else {
                wrong.push(format!(
                    "a target of {} leads to another's task {}",
                    target.group, task.arn
                ));
                continue;
            };
            let state = self.state.lock();
            let instance = state
                .instances
                .values()
                .find(|instance| instance.id.as_str() == whose.0);
            let leads_to_its_own = instance.is_some_and(|instance| {
                let (groups, _) = Account::groups(&instance.service);
                groups.contains(&target.group) && instance.attempt.0 == whose.1
            });
            if !leads_to_its_own {
                wrong.push(format!(
                    "a target of {} leads to {whose:?}, which it is not for",
                    target.group
                ));
            }
        }
    }

    /// What is others' is as it was.
    pub(super) fn check_foreigners(&self) {
        let tasks = self.simulator.tasks();
        for arn in &self.foreign.tasks {
            let reason = tasks.iter().find(|task| task.arn == *arn);
            let reason = reason
                .and_then(|task| task.stopped_reason.as_deref())
                .unwrap_or_default();
            if reason.starts_with("Wharf:") {
                self.violated("others' tasks stay", format!("{arn} was stopped: {reason}"));
            }
        }
        let targets = self.simulator.targets();
        for (group, id, port) in &self.foreign.targets {
            let is_there = targets.iter().any(|target| {
                target.group == *group && target.id == *id && target.port == *port && target.state != "draining"
            });
            if !is_there {
                self.violated(
                    "others' targets stay",
                    format!("{id}:{port} is not in {group} any more"),
                );
            }
        }
        let rules = self.simulator.rules();
        for arn in &self.foreign.rules {
            if rules.iter().all(|rule| rule.arn != *arn) {
                self.violated("others' rules stay", format!("{arn} is gone"));
            }
        }
    }

    pub(super) fn is_foreign(&self, group: &str, id: &str, port: u16) -> bool {
        let mut foreign = self.foreign.targets.iter();
        foreign.any(|(of, target, at)| of == group && target == id && *at == port)
    }

    /// An instance is Ready by its own task alone, which ran, and behind its whole route.
    pub(super) fn check_ready(&self, instance: &Instance) {
        let State::Ready { .. } = &instance.state else { return };
        let held = &instance.held;
        let (Some(task), Some(endpoint)) = (&held.task, &held.endpoint) else {
            return self.violated(
                "ready by its own task",
                format!("{} is Ready with {held:?}", instance.id),
            );
        };
        let tasks = self.simulator.tasks();
        let seen = tasks.iter().find(|seen| seen.arn == task.id);
        let is_own = seen
            .and_then(|seen| self.whose(seen))
            .is_some_and(|whose| is_of(&whose, instance, task.attempt));
        let ran = seen.is_some_and(|seen| seen.address.is_some());
        if !is_own || !ran || task.attempt != instance.attempt {
            self.violated("ready by its own task", format!("{} is Ready by {seen:?}", instance.id));
        }
        let (groups, rule) = Account::groups(&instance.service);
        let targets = self.simulator.targets();
        let (id, port) = place(endpoint);
        for group in groups {
            let here = |target: &&wharf_aws_simulator::TargetSeen| {
                target.group == *group && target.id == id && target.port == port && target.state != "draining"
            };
            if targets.iter().find(here).is_none() {
                self.violated(
                    "ready behind its route",
                    format!("{} is Ready and not in {group}", instance.id),
                );
            }
        }
        if let (Some(rule), Some(group)) = (rule, groups.first()) {
            let leads = self.simulator.rules().into_iter().any(|known| {
                known.listener == rule.listener
                    && known.groups.contains(group)
                    && !self.foreign.rules.contains(&known.arn)
            });
            if !leads {
                self.violated(
                    "ready behind its route",
                    format!("{} is Ready and no rule leads to it", instance.id),
                );
            }
        }
    }
}

/// As a target names it.
pub(super) fn place(endpoint: &Endpoint) -> (String, u16) {
    match endpoint {
        Endpoint::Address { ip, port } => (ip.to_string(), *port),
        Endpoint::Host { ec2_instance, port, .. } => (ec2_instance.clone(), *port),
    }
}
