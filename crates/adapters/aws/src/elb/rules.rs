//! Listener rules: sees to it that one with exactly the wanted conditions leads to the group, and takes it away when nothing is left there.

use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep},
};
use wharf_domain::{Code, Failure, service::ListenerRule};
use wharf_platform::IdleRule;
use wharf_saga::Ids;

use super::{
    api::{Api, Made},
    looks::{Looks, Targets},
    rule::{self, Conditions, Known},
};

/// For so long a rule that was seen is taken to be there: many instances of one service are started at once.
const SEEN_FOR: Duration = Duration::from_secs(30);
/// How often a rule is tried to be made when others take the priorities.
const TRIES: u32 = 6;
/// The first pause between tries; each is twice as long as the one before, and shortened by chance.
const PAUSE: Duration = Duration::from_millis(50);
/// Resources whose tags one request asks for: ELB's limit.
const RULES_AT_ONCE: usize = 20;
/// A load balancer has 100 rules.
const MOST: usize = 1024;

/// When this process last saw the rule lead to this group.
type Sight = Arc<AsyncMutex<Option<(String, Instant)>>>;

pub(super) struct Rules {
    api: Arc<Api>,
    looks: Arc<Looks>,
    ids: Arc<dyn Ids>,
    sights: Mutex<HashMap<ListenerRule, Sight>>,
}

impl Rules {
    pub(super) fn new(api: Arc<Api>, looks: Arc<Looks>, ids: Arc<dyn Ids>) -> Self {
        Self {
            api,
            looks,
            ids,
            sights: Mutex::default(),
        }
    }

    /// Makes the rule unless it is there. One with these conditions that leads elsewhere and is not ours is `route.taken`.
    pub(super) async fn ensure(&self, wanted: &ListenerRule, group: &str, deadline: Instant) -> Result<(), Failure> {
        let sight = self.sight(wanted);
        // One maker for each rule in this process; the others find what it made.
        let mut seen = sight.lock().await;
        if seen
            .as_ref()
            .is_some_and(|(led_to, at)| led_to == group && at.elapsed() < SEEN_FOR)
        {
            return Ok(());
        }
        *seen = None;
        self.make(wanted, group, deadline).await?;
        *seen = Some((group.to_owned(), Instant::now()));
        Ok(())
    }

    /// The rule is looked for anew at the next chance.
    pub(super) fn forget(&self, wanted: &ListenerRule) {
        self.sights.lock().remove(wanted);
    }

    /// Removes the rule if it is ours and no target but those that drain is left in the group.
    pub(super) async fn retire(&self, wanted: &ListenerRule, group: &str, deadline: Instant) -> Result<(), Failure> {
        if !is_empty(&self.looks.targets_if_any(group).await?) {
            return Ok(());
        }
        let sight = self.sight(wanted);
        let mut seen = sight.lock().await;
        *seen = None;
        let conditions = rule::conditions(wanted)?;
        for known in self.api.rules(&wanted.listener, deadline).await?.unwrap_or_default() {
            if fits(&known, &conditions) && leads_to(&known, group) && self.api.is_ours(&known.arn, deadline).await? {
                self.api.delete_rule(&known.arn, deadline).await?;
            }
        }
        Ok(())
    }

    /// Rules of ours on a listener that lead to groups in which nobody is.
    pub(super) async fn idle(&self, listener: &str, deadline: Instant) -> Result<Vec<IdleRule>, Failure> {
        let rules = self.api.rules(listener, deadline).await?.unwrap_or_default();
        // The listener's own rule has no priority, and no conditions to lead anywhere by.
        let made: Vec<Known> = rules.into_iter().filter(|rule| rule.priority.is_some()).collect();
        let mut idle = Vec::new();
        for some in made.chunks(RULES_AT_ONCE) {
            let arns = some.iter().map(|rule| rule.arn.as_str()).collect();
            let ours = self.api.ours(arns, deadline).await?;
            for rule in some.iter().filter(|rule| ours.contains(&rule.arn)) {
                if self.is_idle(rule).await? {
                    idle.push(IdleRule {
                        id: rule.arn.clone(),
                        listener: listener.to_owned(),
                        groups: rule.groups.clone(),
                    });
                }
            }
        }
        Ok(idle)
    }

    /// Removes one of those, if it still is; whether it was.
    pub(super) async fn remove_idle(&self, idle: &IdleRule, deadline: Instant) -> Result<bool, Failure> {
        let rules = self.api.rules(&idle.listener, deadline).await?.unwrap_or_default();
        let Some(rule) = rules.iter().find(|rule| rule.arn == idle.id) else {
            return Ok(false);
        };
        if !self.is_idle(rule).await? || !self.api.is_ours(&rule.arn, deadline).await? {
            return Ok(false);
        }
        // Whoever saw it lately looks again before relying on it.
        self.sights.lock().clear();
        self.api.delete_rule(&rule.arn, deadline).await?;
        Ok(true)
    }

    async fn is_idle(&self, rule: &Known) -> Result<bool, Failure> {
        for group in &rule.groups {
            if !is_empty(&self.looks.targets_if_any(group).await?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn make(&self, wanted: &ListenerRule, group: &str, deadline: Instant) -> Result<(), Failure> {
        let conditions = rule::conditions(wanted)?;
        for tries in 0..TRIES {
            if tries > 0 {
                sleep(self.pause(tries)).await;
            }
            let rules = self.api.rules(&wanted.listener, deadline).await?;
            let rules = rules.ok_or_else(|| no_such_listener(wanted, group))?;
            let same: Vec<&Known> = rules.iter().filter(|known| fits(known, &conditions)).collect();
            // The first of them has the say.
            if let Some(known) = same.iter().min_by_key(|known| known.priority) {
                if leads_to(known, group) {
                    return Ok(());
                }
                self.clear(wanted, known, deadline).await?;
                continue;
            }
            let priority = rule::priority(wanted, &rules).ok_or_else(|| no_priority(wanted))?;
            match self
                .api
                .create_rule(wanted, &conditions, priority, group, deadline)
                .await?
            {
                Made::Done => return Ok(()),
                Made::PriorityInUse | Made::Unknown => {}
            }
        }
        Err(Failure::new(
            Code::RouteUnready,
            format!(
                "no rule could be made on the listener {}: others make rules there at the same time",
                wanted.listener
            ),
        ))
    }

    /// Takes away a rule of ours that leads to a group where nobody is left: what a changed configuration leaves behind.
    async fn clear(&self, wanted: &ListenerRule, known: &Known, deadline: Instant) -> Result<(), Failure> {
        let elsewhere = known.groups.join(", ");
        let taken = |whose: &str| {
            Failure::new(
                Code::RouteTaken,
                format!(
                    "the rule {} has the same conditions and leads to {elsewhere}{whose}",
                    known.arn
                ),
            )
            .hint(format!(
                "give the service other conditions than host {} and path {}, or remove that rule",
                wanted.host.as_deref().unwrap_or("*"),
                wanted.path.as_deref().unwrap_or("*"),
            ))
        };
        if !self.api.is_ours(&known.arn, deadline).await? {
            return Err(taken(", and is not this deployment's"));
        }
        for group in &known.groups {
            if !is_empty(&self.looks.targets_if_any(group).await?) {
                return Err(taken(", where instances of this deployment are"));
            }
        }
        self.api.delete_rule(&known.arn, deadline).await
    }

    fn sight(&self, wanted: &ListenerRule) -> Sight {
        let mut sights = self.sights.lock();
        if sights.len() >= MOST {
            // Those that somebody works on stay with them.
            sights.clear();
        }
        sights.entry(wanted.clone()).or_default().clone()
    }

    fn pause(&self, tries: u32) -> Duration {
        let mut chance = [0; 1];
        self.ids.fill(&mut chance);
        (PAUSE * 2_u32.saturating_pow(tries - 1)).mul_f64(0.5 + f64::from(chance[0]) / 512.0)
    }
}

fn fits(known: &Known, conditions: &Conditions) -> bool {
    known.conditions.as_ref() == Some(conditions)
}

fn leads_to(known: &Known, group: &str) -> bool {
    known.groups.iter().any(|known| known == group)
}

fn is_empty(targets: &Targets) -> bool {
    targets.iter().all(super::looks::Seen::is_draining)
}

fn no_such_listener(wanted: &ListenerRule, group: &str) -> Failure {
    super::refusal::of_rule("ListenerNotFound", "", &wanted.listener, group)
        .unwrap_or_else(|| Failure::internal("a refusal without a meaning"))
}

fn no_priority(wanted: &ListenerRule) -> Failure {
    Failure::new(
        Code::AwsRefused,
        format!("every priority of the listener {} is taken", wanted.listener),
    )
    .hint("remove rules that nobody uses")
}
