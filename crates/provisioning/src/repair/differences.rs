//! The differences of one instance: what is there and not wanted, what should be there and is not, what it has to itself. Each as a finding with its cause and its mend.

use std::collections::BTreeSet;
use wharf_domain::{Failure, InstanceId, State};

use super::{
    Class, Finding, Mend, Subject,
    causes::Causes,
    finding::listed,
    known::{Known, Resting, Standing, Verdict},
    suspect::{Suspect, finding, has_task, route_text, subject, wrong_route},
};
use crate::wharf::Wharf;

impl Wharf {
    /// What is there and not wanted.
    pub(super) async fn left_behind(
        &self,
        suspect: &Suspect<'_>,
        causes: &mut Causes<'_>,
    ) -> Result<Vec<Finding>, Failure> {
        let (id, now, world) = (suspect.id, suspect.now, suspect.world);
        let mut found = Vec::new();
        let later = suspect.later();
        if let (Some((attempt, task)), Known::Resting(resting)) = (&later, now) {
            let what = format!(
                "something of attempt {attempt} of {} is there, and the registry has not come further than attempt {}",
                resting.name, resting.attempt
            );
            let (instance, attempt, task) = (id.clone(), *attempt, task.clone());
            found.push(
                finding(Subject::Task, id, what)
                    .because(Some(
                        "the registry is older than that, as after the restoration of a backup".to_owned(),
                    ))
                    .mended_by(
                        Mend::Overtake {
                            instance,
                            attempt,
                            task,
                        },
                        Class::Safe,
                    ),
            );
        }
        for routed in world.routes.get(id).into_iter().flatten() {
            if now.route(routed) == Verdict::Stray {
                let what = format!(
                    "{} leads to {} (attempt {}), which {}",
                    route_text(routed),
                    suspect.name(),
                    routed.attempt,
                    suspect.standing()
                );
                let mend = Mend::WithdrawRoute {
                    owner: self.owner(id, routed.attempt),
                    route: routed.key.clone(),
                    endpoint: routed.endpoint.clone(),
                };
                let cause = causes.of(id, now, "route").await?;
                found.push(
                    finding(Subject::Route, id, what)
                        .because(cause)
                        .mended_by(mend, suspect.class(Class::Safe)),
                );
            }
        }
        for task in world.tasks.get(id).into_iter().flatten() {
            if now.task(task) == Verdict::Stray {
                let what = format!(
                    "task {} of {} (attempt {}) runs, which {}",
                    task.id,
                    suspect.name(),
                    task.attempt,
                    suspect.standing()
                );
                let mend = Mend::StopTask {
                    owner: self.owner(id, task.attempt),
                    task: task.clone(),
                };
                let cause = causes.of(id, now, "task").await?;
                found.push(
                    finding(Subject::Task, id, what)
                        .because(cause)
                        .mended_by(mend, suspect.class(Class::Safe)),
                );
            }
        }
        found.extend(self.data_left_behind(suspect, causes).await?);
        Ok(found)
    }

    async fn data_left_behind(&self, suspect: &Suspect<'_>, causes: &mut Causes<'_>) -> Result<Vec<Finding>, Failure> {
        let (id, now, world) = (suspect.id, suspect.now, suspect.world);
        let mut found = Vec::new();
        let databases = world.databases.get(id).into_iter().flatten();
        if let Known::Resting(resting) = now
            && resting.standing != Standing::Stuck
        {
            for name in databases.filter(|name| resting.database.as_ref() != Some(name)) {
                let what = format!(
                    "there is a database {name} of {}, and its record knows of none",
                    resting.name
                );
                found.push(
                    finding(Subject::Database, id, what)
                        .hint("look what is in it; Wharf removes no data of an instance that lives"),
                );
            }
            return Ok(found);
        }
        if !now.is_gone() {
            return Ok(found);
        }
        for name in databases {
            let what = format!(
                "there is a database {name} of {}, which {}",
                suspect.name(),
                suspect.standing()
            );
            let mend = Mend::RemoveDatabase {
                instance: id.clone(),
                name: name.clone(),
            };
            let cause = causes.of(id, now, "database").await?;
            found.push(suspect.data(finding(Subject::Database, id, what).because(cause), mend));
        }
        if world.secrets.contains(id) {
            let what = format!("there are secrets of {}, which {}", suspect.name(), suspect.standing());
            let cause = causes.of(id, now, "secrets").await?;
            let mend = Mend::RemoveSecrets { instance: id.clone() };
            found.push(suspect.data(finding(Subject::Secrets, id, what).because(cause), mend));
        }
        Ok(found)
    }

    /// What should be there and is not, and what waits for a person.
    pub(super) async fn missing(
        &self,
        suspect: &Suspect<'_>,
        resting: &Resting,
        causes: &mut Causes<'_>,
    ) -> Result<Vec<Finding>, Failure> {
        let (id, world, name) = (suspect.id, suspect.world, &resting.name);
        let mut found = Vec::new();
        match resting.standing {
            // A registry that is older than the world goes on from there, with a new attempt.
            Standing::Ready if suspect.later().is_some() => {}
            Standing::Ready if !has_task(id, resting, world) => {
                if let Some(cause) = causes.of_gone(id, resting).await? {
                    let what = format!("{name} is ready in the registry, and its task does not run");
                    let mend = Mend::BringBack { instance: id.clone() };
                    found.push(
                        finding(Subject::Task, id, what)
                            .because(Some(cause))
                            .mended_by(mend, Class::Safe),
                    );
                }
            }
            Standing::Ready if resting.key.is_some() => {
                if let Some(wrong) = wrong_route(id, resting, world) {
                    let what = format!("{name} is ready in the registry, and {wrong}");
                    let mend = Mend::Reroute { instance: id.clone() };
                    found.push(finding(Subject::Route, id, what).mended_by(mend, Class::Safe));
                }
            }
            Standing::Stuck => found.extend(self.stuck(id).await?),
            Standing::Down => found.extend(self.down(id).await?),
            Standing::Ready | Standing::Sleeping | Standing::Stopped => {}
        }
        if resting.secrets && !world.secrets.contains(id) {
            let what = format!("the secrets of {name} are gone");
            found.push(
                finding(Subject::Secrets, id, what)
                    .because(Some("somebody or something removed them: Wharf does so only at an instance's end".to_owned()))
                    .hint("restore the data directory's `secrets` folder, or the secret in Secrets Manager, from a backup"),
            );
        }
        if let Some(database) = &resting.database
            && !world.databases.get(id).is_some_and(|names| names.contains(database))
        {
            let what = format!("the database {database} of {name} is gone");
            let cause = "somebody or something removed it, or the machine lost power before what was written came to the disk: Wharf removes it only at an \
                         instance's end";
            let hint = format!(
                "restore the data directory's `databases/{id}` folder from a backup, then `wharf start {name}` if it is down by then; Wharf puts nothing empty in \
                 its stead. If it was never used: `wharf delete {name}`, and sign it up again"
            );
            found.push(
                finding(Subject::Database, id, what)
                    .because(Some(cause.to_owned()))
                    .hint(hint),
            );
        }
        Ok(found)
    }

    async fn stuck(&self, id: &InstanceId) -> Result<Option<Finding>, Failure> {
        let instance = self.instance(id).await?;
        let State::Stuck { step, cause, .. } = &instance.state else {
            return Ok(None);
        };
        let what = format!("{} is stuck at step {step}: {}", instance.name(), cause.message);
        Ok(Some(
            finding(Subject::Instance, id, what).hint(crate::view::stuck_advice(instance.name(), step, cause)),
        ))
    }

    async fn down(&self, id: &InstanceId) -> Result<Option<Finding>, Failure> {
        let instance = self.instance(id).await?;
        let State::Down { cause, .. } = &instance.state else {
            return Ok(None);
        };
        let name = instance.name();
        let what = format!("{name} is down: {}", cause.message);
        let advice = crate::view::down_advice(name, cause);
        Ok(Some(finding(Subject::Instance, id, what).hint(advice)))
    }

    /// What an instance has to itself against what it holds. Each reservation is read once more: the walk over all of them may be behind.
    pub(super) async fn rights(&self, suspect: &Suspect<'_>, causes: &mut Causes<'_>) -> Result<Vec<Finding>, Failure> {
        let (id, now) = (suspect.id, suspect.now);
        let mut found = Vec::new();
        let none = BTreeSet::new();
        let held = suspect.beside.held.get(id).unwrap_or(&none);
        let (wanted, class) = match now {
            Known::Moving => return Ok(found),
            Known::Resting(resting) => (resting.rights.as_slice(), Class::Safe),
            Known::Over(_) => (&[][..], Class::Safe),
            Known::Unknown => (&[][..], Class::Unknown),
        };
        let mut idle = Vec::new();
        for (kind, key) in held.iter().filter(|right| !wanted.contains(right)) {
            let reservation = self.store().reservation(*kind, key).await?;
            let is_over = |until| until <= self.clock().now();
            if reservation
                .is_some_and(|found| found.owner == *id && !found.resting && !found.until.is_some_and(is_over))
            {
                idle.push((*kind, key.clone()));
            }
        }
        if let Some((kind, _)) = idle.first() {
            let what = match now {
                Known::Resting(resting) => format!(
                    "{} is reserved for {}, which does not hold it",
                    listed(&idle),
                    resting.name
                ),
                _ => format!(
                    "{} is reserved for {}, which {}",
                    listed(&idle),
                    suspect.name(),
                    suspect.standing()
                ),
            };
            let mend = Mend::Release {
                instance: id.clone(),
                rights: idle.clone(),
            };
            let cause = causes.of(id, now, "claim").await?;
            found.push(finding(subject(*kind), id, what).because(cause).mended_by(mend, class));
        }
        let Known::Resting(resting) = now else {
            return Ok(found);
        };
        for (kind, key) in resting.kept_rights().filter(|right| !held.contains(right)) {
            let reservation = self.store().reservation(*kind, key).await?;
            // As it was when the reservation was read.
            if self.known(id).await? != *now {
                return Ok(found);
            }
            let name = &resting.name;
            match reservation {
                Some(of) if of.owner == *id && !of.resting && of.until.is_none() => {}
                Some(of) if of.owner != *id && of.until.is_none_or(|until| until > self.clock().now()) => {
                    let what = format!("{name} holds {kind} {key}, and it is reserved for {}", of.owner);
                    found.push(finding(subject(*kind), id, what).hint(format!(
                        "end one of the two: `wharf delete {name}` or `wharf delete {}`",
                        of.owner
                    )));
                }
                _ => {
                    let what = format!("{name} holds {kind} {key}, and nothing reserves it");
                    let mend = Mend::Reserve {
                        instance: id.clone(),
                        rights: vec![(*kind, key.clone())],
                    };
                    found.push(finding(subject(*kind), id, what).mended_by(mend, Class::Safe));
                }
            }
        }
        Ok(found)
    }
}
