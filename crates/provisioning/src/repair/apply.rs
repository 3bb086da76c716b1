//! Applies a plan, one mend after the other. Time has gone by since the comparison, and sagas with it: so each mend begins with a look at the instance's record as it is now, and is passed
//! over if it is not due any more. What keeps it due between that look and the deed:
//!
//! - What is over, or was never known, stays so: ids are not used again.
//! - No attempt is ever begun again: a task or a route of one before the present, or of a present one at rest, is wanted by nobody later.
//! - A target carries no mark, so that its address is reserved for its instance first: nobody else comes to have it before it is deregistered. Where somebody else has it
//!   already who is behind other target groups, that is as good: he keeps it, and its rest after him is longer than a call can be late.
//! - What changes a live instance is a message to it, and its driver decides; or a commit on the condition that nobody has driven it since.

use std::time::Duration;
use wharf_domain::{Code, Failure, InstanceId, time::LATE_EFFECT_MOST};
use wharf_platform::{Owner, RouteKey, Stopping};
use wharf_saga::{
    Batch, CommitError,
    store::{Expect, Kind, LeaseChange, Release, Reserve, Settle},
};

use super::{
    Class, Finding, Mend, Mended, Outcome,
    finding::listed,
    known::{Known, Over, Resting, Routed, Standing, Verdict, is_one_place},
    suspect::judge_route,
};
use crate::{message::Message, tasks::end_of, wharf::Wharf};

/// How long repair lets an orphan end by itself.
const GRACE: Duration = Duration::from_secs(5);

impl Wharf {
    /// Does what the plan says, as far as it is allowed. Gives one line for each mend that it came to.
    pub async fn repair_apply(&self, plan: Vec<Finding>, allowed: Class) -> Vec<Mended> {
        let is_allowed = |finding: &Finding| finding.class.is_some_and(|class| class <= allowed);
        let mut mends: Vec<Mend> = plan.into_iter().filter(is_allowed).filter_map(|f| f.mend).collect();
        mends.sort_by_key(Mend::turn);
        let mut mended = Vec::with_capacity(mends.len());
        for mend in mends {
            let (outcome, text) = match self.mend(&mend).await {
                Ok(text) => (Outcome::Done, text),
                Err(failure) if failure.code == Code::InstanceState => (Outcome::PassedOver, failure.message),
                Err(failure) => (Outcome::Failed, failure.message),
            };
            tracing::info!(mend = %mend, ?outcome, text, "repair");
            mended.push(Mended { mend, outcome, text });
        }
        mended
    }

    async fn mend(&self, mend: &Mend) -> Result<String, Failure> {
        let platform = self.platform();
        match mend {
            Mend::StopTask { owner, task } => {
                must_be(self.known(&owner.instance).await?.task(task) == Verdict::Stray)?;
                Ok(match platform.tasks.stop(owner, task, GRACE).await? {
                    Stopping::Stopped => format!("stopped task {}", task.id),
                    Stopping::Underway => format!("told task {} to end, which takes its time", task.id),
                })
            }
            Mend::WithdrawRoute { owner, route, endpoint } => {
                let routed = Routed {
                    key: route.clone(),
                    attempt: owner.attempt,
                    endpoint: endpoint.clone(),
                    is_marked: !matches!(route, RouteKey::TargetGroups { .. }),
                    open: None,
                };
                self.withdraw(owner, &routed).await
            }
            Mend::RemoveRule { rule } => {
                must_be(platform.routes.remove_rule(rule).await?)?;
                Ok(format!("removed the rule {}", rule.id))
            }
            Mend::RemoveSecrets { instance } => {
                must_be(self.known(instance).await?.is_gone())?;
                platform.secrets.remove(instance).await?;
                Ok(format!("removed the secrets of {instance}"))
            }
            Mend::RemoveDatabase { instance, name } => {
                must_be(self.known(instance).await?.is_gone())?;
                platform.databases.remove(instance, name).await?;
                Ok(format!("removed the database {name}"))
            }
            Mend::Release { instance, rights } => self.release(instance, rights).await,
            Mend::Reserve { instance, rights } => self.reserve(instance, rights).await,
            Mend::BringBack { instance } => self.bring_back_lost(instance).await,
            Mend::Reroute { instance } => self.reroute(instance).await,
            Mend::Overtake {
                instance,
                attempt,
                task,
            } => {
                let resting = self.resting(instance).await?;
                must_be(*attempt > resting.attempt && resting.standing != Standing::Stuck)?;
                let message = Message::Overtaken {
                    attempt: *attempt,
                    task: task.clone(),
                };
                self.send(instance, message).await?;
                Ok(format!("{} goes on from attempt {attempt}", resting.name))
            }
            Mend::SendAgain { mail } => {
                let settle = Settle::Later {
                    at: self.clock().now(),
                    error: "it was given up, and is tried again because somebody asked for that".to_owned(),
                };
                self.store().settle(mail, settle).await?;
                self.mail_bell().notify_one();
                Ok(format!("the mail {mail} is tried again"))
            }
        }
    }

    async fn resting(&self, id: &InstanceId) -> Result<Resting, Failure> {
        match self.known(id).await? {
            Known::Resting(resting) => Ok(*resting),
            _ => Err(changed()),
        }
    }

    async fn withdraw(&self, owner: &Owner, routed: &Routed) -> Result<String, Failure> {
        let id = &owner.instance;
        must_be(self.known(id).await?.route(routed) == Verdict::Stray)?;
        if !routed.is_marked && !self.is_anothers(routed).await? {
            let now = self.clock().now();
            let mut batch = Batch::new(id.clone(), Expect::Anything, LeaseChange::Keep);
            batch.reserve.push(Reserve {
                kind: Kind::Endpoint,
                key: routed.endpoint.key(),
                value: owner.attempt.to_string(),
                until: Some(now + self.settings().port_quarantine.max(LATE_EFFECT_MOST)),
                now,
            });
            self.change(batch).await?;
        }
        let routes = &self.platform().routes;
        let over = routes
            .withdraw(owner, &routed.key, Some(&routed.endpoint), GRACE)
            .await?;
        let what = super::suspect::route_text(routed);
        Ok(if over {
            format!("withdrew {what}")
        } else {
            format!("withdrew {what}, whose requests under way are let finish")
        })
    }

    /// Whether somebody has this address to himself who is reached behind something else: a target there leads his task to strangers, and goes without him.
    async fn is_anothers(&self, routed: &Routed) -> Result<bool, Failure> {
        let held = self
            .store()
            .reservation(Kind::Endpoint, &routed.endpoint.key())
            .await?
            .filter(|held| !held.resting && held.until.is_none());
        let Some(held) = held else { return Ok(false) };
        let holder = match self.instance(&held.owner).await {
            Ok(holder) => holder,
            Err(failure) if failure.code == Code::InstanceUnknown => return Ok(false),
            Err(failure) => return Err(failure),
        };
        let key = self.settings().route_key(&holder);
        Ok(!key.is_some_and(|key| is_one_place(&key, &routed.key)))
    }

    /// Commits what is refused where somebody else was faster.
    async fn change(&self, batch: Batch) -> Result<(), Failure> {
        match self.store().commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.failure),
            Err(CommitError::Unknown(failure)) => Err(failure),
            Err(_) => Err(changed()),
        }
    }

    async fn release(&self, id: &InstanceId, rights: &[(Kind, String)]) -> Result<String, Failure> {
        let known = self.known(id).await?;
        let expect = match &known {
            Known::Moving => return Err(changed()),
            Known::Unknown | Known::Over(_) => Expect::Anything,
            Known::Resting(resting) => {
                must_be(!rights.iter().any(|right| resting.rights.contains(right)))?;
                as_seen(resting)
            }
        };
        let now = self.clock().now();
        let mut batch = Batch::new(id.clone(), expect, LeaseChange::Keep);
        for (kind, key) in rights {
            let rest = self.rest(*kind, &known);
            batch.release.push(Release {
                kind: *kind,
                key: key.clone(),
                rest_until: (!rest.is_zero()).then(|| now + rest),
                must_hold: true,
            });
        }
        self.change(batch).await?;
        Ok(format!("gave back {}", listed(rights)))
    }

    /// How long something rests that is given back: as at an end, and of what is not known as after the longest life.
    fn rest(&self, kind: Kind, known: &Known) -> Duration {
        let settings = self.settings();
        let (was_ready, was_direct) = match known {
            Known::Over(over) => {
                let Over {
                    was_ready, was_direct, ..
                } = **over;
                (was_ready, was_direct)
            }
            Known::Unknown | Known::Resting(_) | Known::Moving => (true, true),
        };
        match kind {
            Kind::Name if was_ready => settings.name_rest,
            Kind::Name => Duration::ZERO,
            Kind::Port if was_ready && was_direct => settings.direct_quarantine,
            _ => settings.port_quarantine,
        }
    }

    async fn reserve(&self, id: &InstanceId, rights: &[(Kind, String)]) -> Result<String, Failure> {
        let resting = self.resting(id).await?;
        must_be(
            rights
                .iter()
                .all(|right| resting.kept_rights().any(|kept| kept == right)),
        )?;
        let now = self.clock().now();
        let mut batch = Batch::new(id.clone(), as_seen(&resting), LeaseChange::Keep);
        for (kind, key) in rights {
            batch.reserve.push(Reserve {
                kind: *kind,
                key: key.clone(),
                value: match kind {
                    Kind::Endpoint => resting.attempt.to_string(),
                    _ => String::new(),
                },
                until: None,
                now,
            });
        }
        self.change(batch).await?;
        Ok(format!("reserved {} for {}", listed(rights), resting.name))
    }

    async fn bring_back_lost(&self, id: &InstanceId) -> Result<String, Failure> {
        let resting = self.resting(id).await?;
        must_be(resting.standing == Standing::Ready)?;
        let cause = match &resting.task {
            Some(task) => {
                let owner = self.owner(id, task.attempt);
                end_of(self.platform().tasks.look(&owner, task).await?).ok_or_else(changed)?
            }
            None => Failure::new(Code::TaskLost, "repair found it ready without a task"),
        };
        let instance = self.instance(id).await?;
        must_be(instance.attempt == resting.attempt)?;
        let task = resting.task.as_ref().map_or("no task", |task| task.id.as_str());
        self.task_ended(&instance, task, cause).await?;
        Ok(format!("{} is brought back with a new attempt", resting.name))
    }

    async fn reroute(&self, id: &InstanceId) -> Result<String, Failure> {
        let resting = self.resting(id).await?;
        must_be(resting.standing == Standing::Ready)?;
        let instance = self.instance(id).await?;
        let key = self.settings().route_key(&instance).ok_or_else(changed)?;
        let registered = self.platform().routes.all(std::slice::from_ref(&key)).await?;
        let routes: Vec<Routed> = registered
            .into_iter()
            .filter(|at| at.key == key && at.owner.as_ref().is_none_or(|(owner, _)| owner == id))
            .map(|at| Routed {
                key: at.key,
                attempt: at.owner.as_ref().map_or(resting.attempt, |(_, attempt)| *attempt),
                endpoint: at.endpoint,
                is_marked: at.owner.is_some(),
                open: at.open,
            })
            .collect();
        let wrong = judge_route(&resting, &routes).ok_or_else(changed)?;
        let cause = Failure::new(Code::RouteUnready, format!("repair found that {wrong}"));
        let attempt = resting.attempt;
        self.send(id, Message::Unrouted { attempt, cause }).await?;
        Ok(format!("the route of {} is led to its task again", resting.name))
    }
}

/// Nobody has driven the instance since it was read.
const fn as_seen(resting: &Resting) -> Expect {
    let (epoch, renewals) = resting.lease;
    Expect::Lease { epoch, renewals }
}

fn must_be(so: bool) -> Result<(), Failure> {
    if so { Ok(()) } else { Err(changed()) }
}

fn changed() -> Failure {
    Failure::new(
        Code::InstanceState,
        "it has changed since the plan was made: nothing was done",
    )
}
