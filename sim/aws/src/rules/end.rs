//! What must hold when the weather has been fair for long enough, and once more when everything was ended.

use std::collections::BTreeMap;
use wharf_aws_simulator::TargetSeen;
use wharf_domain::{Instance, InstanceId, State};
use wharf_saga::{Record, store::Kind};
use wharf_testkit::sim::SimStore;

use super::{Rules, along::place, is_live};
use crate::{account::Account, queue::Queue};

/// By instance: its record.
pub(crate) type Records = BTreeMap<InstanceId, Record<Instance>>;

impl Rules {
    /// Every live instance is what it says that it is, and nothing is there of any other.
    pub(crate) fn check_at_rest(&self, records: &Records) {
        self.check_foreigners();
        let tasks = self.simulator.tasks();
        let mut expected: Vec<(String, String, u16)> = Vec::new();
        for (id, record) in records {
            let instance = &record.data;
            let live: Vec<_> = tasks
                .iter()
                .filter(|task| is_live(task) && self.whose(task).is_some_and(|whose| whose.0 == id.as_str()))
                .collect();
            if record.is_halted() || matches!(instance.state, State::Stuck { .. }) {
                continue;
            }
            if record.progress.is_some() {
                self.violated(
                    "every saga ends",
                    format!("{id} is {} and moves still", instance.state.name()),
                );
                continue;
            }
            let State::Ready { .. } = instance.state else {
                if !live.is_empty() {
                    let state = instance.state.name();
                    self.violated(
                        "no task without an instance",
                        format!("{id} is {state}, and {live:?} live"),
                    );
                }
                continue;
            };
            let own = instance.held.task.as_ref().map(|task| task.id.as_str());
            if live.len() != 1 || Some(live[0].arn.as_str()) != own || live[0].status != "RUNNING" {
                self.violated(
                    "ready is served",
                    format!("{id} is Ready by {own:?}, and {live:?} live"),
                );
            }
            let Some(endpoint) = &instance.held.endpoint else {
                continue;
            };
            let (target, port) = place(endpoint);
            let (groups, _) = Account::groups(&instance.service);
            expected.extend(groups.iter().map(|group| (group.clone(), target.clone(), port)));
        }
        self.check_targets(&expected);
        self.check_rules(records);
    }

    fn check_targets(&self, expected: &[(String, String, u16)]) {
        let targets = self.simulator.targets();
        let is = |seen: &TargetSeen, (group, id, port): &(String, String, u16)| {
            seen.group == *group && seen.id == *id && seen.port == *port
        };
        for wanted in expected {
            let seen = targets.iter().find(|seen| is(seen, wanted));
            if seen.is_none_or(|seen| seen.state != "healthy") {
                self.violated("ready is served", format!("the target {wanted:?} is {seen:?}"));
            }
        }
        for seen in targets.iter().filter(|seen| seen.state != "draining") {
            let is_known = expected.iter().any(|wanted| is(seen, wanted));
            if !is_known && !self.is_foreign(&seen.group, &seen.id, seen.port) {
                self.violated("no target without an instance", format!("{seen:?}"));
            }
        }
    }

    /// One rule where there are instances behind it; none where there are not.
    fn check_rules(&self, records: &Records) {
        let deployment = self.world.deployment_id().as_str();
        let own = self.simulator.rules();
        let own: Vec<_> = own
            .iter()
            .filter(|rule| rule.tags.get("wharf:deployment").is_some_and(|mark| mark == deployment))
            .collect();
        let ready = records
            .values()
            .filter(|record| matches!(record.data.state, State::Ready { .. }));
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        for record in ready {
            if let (groups, Some(_)) = Account::groups(&record.data.service)
                && let Some(group) = groups.first()
            {
                *wanted.entry(group.as_str()).or_default() += 1;
            }
        }
        for group in wanted.keys() {
            if own
                .iter()
                .filter(|rule| rule.groups.iter().any(|led| led == group))
                .count()
                != 1
            {
                self.violated("ready is served", format!("the rules that lead to {group} are {own:?}"));
            }
        }
        for rule in own {
            let stuck = records.values().any(Record::is_halted);
            if !stuck && rule.groups.iter().all(|group| !wanted.contains_key(group.as_str())) {
                self.violated("no rule without an instance", format!("{rule:?}"));
            }
        }
    }

    /// Every start that was put on the queue was answered, if it is neither there still nor among the dead letters: (trigger, message).
    pub(crate) fn check_events(&self, store: &SimStore, queue: &Queue, events: &[(String, String)]) {
        for (trigger, message) in events {
            let may_wait = queue.holds(message) || queue.gave_up(message);
            if !may_wait && store.reservation_now(Kind::Trigger, trigger).is_none() {
                self.violated("what was told happens", format!("nobody answered {trigger}"));
            }
        }
    }

    /// Everything was ended: nothing is left but what rests by itself, and what is others'.
    pub(crate) fn check_over(&self, store: &SimStore, records: &Records) {
        self.check_at_rest(records);
        for (id, record) in records {
            if !record.data.state.is_final() {
                let state = &record.data.state;
                self.violated(
                    "what is ended ends",
                    format!("{id} is {state:?} with {:?}", record.progress),
                );
            }
        }
        for (kind, key, reservation) in store.reservations() {
            if reservation.until.is_none() && kind != Kind::Token {
                self.violated(
                    "nothing stays reserved",
                    format!("{kind} {key} of {}", reservation.owner),
                );
            }
        }
        for left in self.world.leftovers(|_| false) {
            self.violated("nothing is left", left);
        }
    }
}
