//! The trait `Routes` on target groups: every group or a failure that says in which not, the balancer's own view of health, and a
//! withdrawal that waits for the drain.

use async_trait::async_trait;
use futures::future::join_all;
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use wharf_domain::{Code, DeploymentId, Endpoint, Failure, InstanceId, service::ListenerRule};
use wharf_platform::{Backend, Health, IdleRule, Owner, Registered, RouteKey, Routes, Standing};
use wharf_saga::Ids;

use super::{
    api::Api,
    batches::{Batches, Change},
    groups::{TargetGroup, TargetGroups},
    health::{View, view},
    looks::{Looks, Seen, seen},
    memory::{Memory, Place},
    rules::Rules,
    target::Target,
};
use crate::{clients::Clients, governor::Governor};

/// Routes through target groups of ELBv2.
///
/// A target carries no mark: it is known by its endpoint alone, which the registry keeps one instance's. So a later attempt's endpoint does not replace an
/// earlier one's here; the saga withdraws that one first.
pub struct ElbRoutes {
    api: Arc<Api>,
    groups: TargetGroups,
    looks: Arc<Looks>,
    batches: Batches,
    rules: Rules,
    memory: Memory,
}

impl fmt::Debug for ElbRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElbRoutes")
            .field("deployment", &self.api.deployment)
            .finish_non_exhaustive()
    }
}

impl ElbRoutes {
    /// Calls nobody yet.
    #[must_use]
    pub fn new(clients: Arc<Clients>, governor: Arc<Governor>, deployment: DeploymentId, ids: Arc<dyn Ids>) -> Self {
        let api = Arc::new(Api {
            clients,
            governor,
            deployment,
        });
        let looks = Arc::new(Looks::new(api.clone()));
        Self {
            groups: TargetGroups::new(api.clone()),
            rules: Rules::new(api.clone(), looks.clone(), ids),
            looks,
            batches: Batches::new(api.clone()),
            memory: Memory::default(),
            api,
        }
    }

    /// What is known of a target group: for checks before anything is started. One that does not exist is `aws.refused`.
    pub async fn target_group(&self, arn: &str) -> Result<Arc<TargetGroup>, Failure> {
        self.groups.get(arn, Governor::deadline()).await
    }

    async fn register_in(&self, owner: &Owner, group: &TargetGroup, target: &Target) -> Result<(), Failure> {
        let registered = self.batches.apply(Change::Register, &group.arn, target).await;
        match &registered {
            Ok(()) => self.memory.registered(&Place::of(owner, &group.arn, target)),
            // It may have been deleted since it was described.
            Err(_) => self.groups.forget(&group.arn),
        }
        registered
    }

    /// One group's word; `None` where it has none.
    async fn health_in(
        &self,
        owner: &Owner,
        arn: &str,
        rule: Option<&ListenerRule>,
        endpoint: &Endpoint,
    ) -> Result<Option<Health>, Failure> {
        let deadline = Governor::deadline();
        let group = self.groups.get(arn, deadline).await?;
        let target = match Target::of(endpoint, &group) {
            Ok(target) => target,
            Err(mismatch) => return Ok(Some(Health::Hopeless(mismatch))),
        };
        let place = Place::of(owner, arn, &target);
        if let Some((why, look_in)) = self.memory.waiting(&place) {
            return Ok(Some(Health::Pending { why, look_in }));
        }
        let targets = self.looks.targets(arn).await?;
        let why = match (view(&group, &target, seen(&targets, &target)), rule) {
            (View::Good, _) => return Ok(Some(Health::Good)),
            (View::None, _) => return Ok(None),
            (View::Hopeless(failure), _) | (View::NotInUse(failure), None) => {
                return Ok(Some(Health::Hopeless(failure)));
            }
            (View::NotInUse(failure), Some(rule)) => {
                // Somebody removed the rule when the group was empty, or it is too new to be known everywhere.
                self.rules.forget(rule);
                self.rules.ensure(rule, arn, deadline).await?;
                failure
            }
            (View::Pending(failure), _) => failure,
        };
        let look_in = self.look_in(&group, &place);
        self.memory.waits(&place, why.clone(), look_in);
        Ok(Some(Health::Pending { why, look_in }))
    }

    /// There is no event for a target's health. Before so many checks in a row can have been good a look is in vain; then there is one for each check.
    fn look_in(&self, group: &TargetGroup, place: &Place) -> Duration {
        let check = &group.check;
        let rest = self
            .memory
            .age(place)
            .map(|age| (check.interval * check.healthy).saturating_sub(age));
        rest.filter(|rest| !rest.is_zero()).unwrap_or(check.interval)
    }

    /// Whether the group has nothing (more) to do with the endpoint.
    async fn withdraw_from(
        &self,
        owner: &Owner,
        arn: &str,
        rule: Option<&ListenerRule>,
        endpoint: &Endpoint,
        drain: Duration,
    ) -> Result<bool, Failure> {
        let deadline = Governor::deadline();
        let Some(group) = self.groups.find(arn, deadline).await? else {
            return Ok(true);
        };
        // What the group cannot take it never took.
        let Ok(target) = Target::of(endpoint, &group) else {
            return Ok(true);
        };
        let place = Place::of(owner, arn, &target);
        if self.memory.is_gone(&place) {
            return Ok(true);
        }
        if self.memory.draining_for(&place).is_none() {
            self.batches.apply(Change::Deregister, arn, &target).await?;
            self.memory.deregistered(&place);
        }
        let draining_for = self.memory.draining_for(&place).unwrap_or_default();
        if draining_for < drain {
            // ELB shows a target as draining for the whole delay, also where no request is under way: a look before that is in vain.
            let is_used = rule.is_some() || !group.load_balancers.is_empty();
            if is_used && draining_for < self.groups.deregistration_delay(arn, deadline).await? {
                return Ok(false);
            }
            let targets = self.looks.targets_if_any(arn).await?;
            if seen(&targets, &target).is_some_and(|seen| seen.state != "unused") {
                return Ok(false);
            }
        }
        self.memory.gone(&place);
        Ok(true)
    }

    async fn forget_target(&self, owner: &Owner, arn: &str, endpoint: &Endpoint) {
        if let Ok(group) = self.groups.get(arn, Governor::deadline()).await
            && let Ok(target) = Target::of(endpoint, &group)
        {
            self.memory.forget(&Place::of(owner, arn, &target));
        }
    }

    async fn all_in(&self, key: &RouteKey, arn: &str) -> Result<Vec<Registered>, Failure> {
        let Some(group) = self.groups.find(arn, Governor::deadline()).await? else {
            tracing::warn!(group = arn, "a target group is gone, and its targets with it");
            return Ok(Vec::new());
        };
        let targets = self.looks.targets_if_any(arn).await?;
        let live = targets.iter().filter(|seen| !Seen::is_draining(seen));
        Ok(live
            .filter_map(|seen| seen.target.endpoint(&group.kind))
            .map(|endpoint| Registered {
                key: key.clone(),
                endpoint,
                owner: None,
                open: None,
            })
            .collect())
    }
}

#[async_trait]
impl Routes for ElbRoutes {
    async fn register(&self, backend: Backend) -> Result<(), Failure> {
        let (arns, rule) = parts(&backend.key)?;
        let deadline = Governor::deadline();
        // What cannot be is found out before anything is changed.
        let groups = join_all(arns.iter().map(|arn| self.groups.get(arn, deadline))).await;
        let groups = groups.into_iter().collect::<Result<Vec<_>, _>>()?;
        let targets = groups.iter().map(|group| Target::of(&backend.endpoint, group));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        // Without a rule the group may be nobody's, and then checks nothing.
        if let (Some(rule), Some(first)) = (rule, arns.first()) {
            self.rules.ensure(rule, first, deadline).await?;
        }
        let pairs = groups.iter().zip(&targets);
        let registered = pairs.map(|(group, target)| self.register_in(&backend.owner, group, target));
        let registered = join_all(registered).await;
        all_or_which_not(&groups, registered)
    }

    async fn withdraw(
        &self,
        owner: &Owner,
        key: &RouteKey,
        endpoint: Option<&Endpoint>,
        drain: Duration,
    ) -> Result<bool, Failure> {
        let (arns, rule) = parts(key)?;
        let Some(endpoint) = endpoint else {
            return Ok(true);
        };
        let first = arns.first();
        let rule_of = |arn| rule.filter(|_| first == Some(arn));
        let over = join_all(
            arns.iter()
                .map(|arn| self.withdraw_from(owner, arn, rule_of(arn), endpoint, drain)),
        )
        .await;
        // Every group has had its chance before one that fails ends it.
        if !over
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .all(|over| over)
        {
            return Ok(false);
        }
        if let (Some(rule), Some(first)) = (rule, first) {
            self.rules.retire(rule, first, Governor::deadline()).await?;
        }
        for arn in arns {
            self.forget_target(owner, arn, endpoint).await;
        }
        tracing::debug!(instance = %owner.instance, endpoint = endpoint.key(), "withdrawn from its target groups");
        Ok(true)
    }

    async fn health(&self, owner: &Owner, key: &RouteKey, endpoint: &Endpoint) -> Result<Option<Health>, Failure> {
        let (arns, rule) = parts(key)?;
        let first = arns.first();
        let words = arns
            .iter()
            .map(|arn| self.health_in(owner, arn, rule.filter(|_| first == Some(arn)), endpoint));
        let words = join_all(words).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(words.into_iter().flatten().reduce(worse))
    }

    fn announce(&self, _: &InstanceId, _: &RouteKey, _: Standing) {}

    fn forget(&self, _: &InstanceId, _: &RouteKey) {}

    async fn idle_rules(&self, keys: &[RouteKey]) -> Result<Vec<IdleRule>, Failure> {
        let rules = keys.iter().filter_map(|key| parts(key).ok()?.1);
        let listeners: BTreeSet<&str> = rules.map(|rule| rule.listener.as_str()).collect();
        let mut idle = Vec::new();
        for listener in listeners {
            idle.extend(self.rules.idle(listener, Governor::deadline()).await?);
        }
        Ok(idle)
    }

    async fn remove_rule(&self, rule: &IdleRule) -> Result<bool, Failure> {
        self.rules.remove_idle(rule, Governor::deadline()).await
    }

    async fn all(&self, keys: &[RouteKey]) -> Result<Vec<Registered>, Failure> {
        let groups = keys.iter().filter_map(|key| Some((key, parts(key).ok()?.0)));
        let looks = groups.flat_map(|(key, arns)| arns.iter().map(move |arn| self.all_in(key, arn)));
        let found = join_all(looks).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<Registered> = found.into_iter().flatten().collect();
        all.sort();
        // In several groups of one route it is there once.
        all.dedup();
        Ok(all)
    }
}

fn parts(key: &RouteKey) -> Result<(&[String], Option<&ListenerRule>), Failure> {
    match key {
        RouteKey::TargetGroups { arns, rule } => Ok((arns, rule.as_ref())),
        RouteKey::Host { .. } | RouteKey::Path { .. } => Err(Failure::new(
            Code::ConfigInvalid,
            "a load balancer of ELBv2 is reached by target groups, and the service has a route of another kind",
        )
        .hint("give the service `route = { kind = \"target_groups\", arns = [\"arn:…\"] }`")),
    }
}

/// A route is as good as the worst of its groups; the one that takes longest says when to look again.
fn worse(one: Health, other: Health) -> Health {
    match (one, other) {
        (Health::Hopeless(failure), _) | (_, Health::Hopeless(failure)) => Health::Hopeless(failure),
        (
            Health::Pending { why, look_in },
            Health::Pending {
                why: _,
                look_in: sooner,
            },
        ) if look_in >= sooner => Health::Pending { why, look_in },
        (_, pending @ Health::Pending { .. }) | (pending @ Health::Pending { .. }, _) => pending,
        (Health::Good, Health::Good) => Health::Good,
    }
}

/// One failure for all groups: the one that will not pass, if there is one, with the names of those that have the target and those that have not.
fn all_or_which_not(groups: &[Arc<TargetGroup>], registered: Vec<Result<(), Failure>>) -> Result<(), Failure> {
    let (mut with, mut without, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (group, registered) in groups.iter().zip(registered) {
        match registered {
            Ok(()) => with.push(group.name.as_str()),
            Err(failure) => {
                without.push(group.name.as_str());
                failures.push(failure);
            }
        }
    }
    let Some(mut failure) = failures.into_iter().min_by_key(|failure| failure.code.is_passing()) else {
        return Ok(());
    };
    if !with.is_empty() {
        let (with, without) = (with.join(", "), without.join(", "));
        failure.message = format!("{} (registered in {with}, not in {without})", failure.message);
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elb::groups::{TargetKind, example};

    fn pending(seconds: u64) -> Health {
        Health::Pending {
            why: Failure::new(Code::RouteUnhealthy, "not yet"),
            look_in: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_route_is_as_good_as_the_worst_of_its_groups() {
        let hopeless = || Health::Hopeless(Failure::new(Code::RouteMismatch, "never"));
        assert_eq!(worse(Health::Good, Health::Good), Health::Good);
        assert_eq!(worse(Health::Good, pending(1)), pending(1));
        assert_eq!(worse(pending(1), Health::Good), pending(1));
        assert_eq!(worse(pending(1), pending(9)), pending(9));
        assert_eq!(worse(pending(9), pending(1)), pending(9));
        assert_eq!(worse(pending(9), hopeless()), hopeless());
        assert_eq!(worse(hopeless(), Health::Good), hopeless());
    }

    #[test]
    fn a_failure_says_in_which_groups_the_target_is_and_what_will_not_pass() {
        let group = |name: &str| {
            Arc::new(TargetGroup {
                name: name.to_owned(),
                ..example(TargetKind::Ip)
            })
        };
        let groups = [group("alb"), group("nlb"), group("third")];
        let passing = Failure::new(Code::AwsThrottled, "slow down");
        let lasting = Failure::new(Code::AwsRefused, "there is no such group");
        let failure = all_or_which_not(&groups, vec![Ok(()), Err(passing), Err(lasting)]).expect_err("two have it not");
        assert_eq!(failure.code, Code::AwsRefused);
        assert!(
            failure.message.contains("registered in alb, not in nlb, third"),
            "{}",
            failure.message
        );
        assert_eq!(all_or_which_not(&groups, vec![Ok(()), Ok(()), Ok(())]), Ok(()));
    }
}
