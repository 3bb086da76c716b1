//! An instance about which something may not fit: what there is of it, and how that is put into words. Nothing is read from here.

use std::time::Duration;
use wharf_domain::{Attempt, Instance, InstanceId, instance::TaskRef};
use wharf_platform::{IdleRule, RouteKey};
use wharf_saga::store::Kind;

use super::{
    Class, Finding, Mend, Subject,
    known::{Known, Resting, Routed, Standing, Verdict},
    world::{Beside, World},
};

pub(super) struct Suspect<'a> {
    pub(super) id: &'a InstanceId,
    pub(super) now: &'a Known,
    pub(super) world: &'a World,
    pub(super) beside: &'a Beside,
    /// The registry has no record at all.
    pub(super) is_empty: bool,
}

impl Suspect<'_> {
    /// What people call it, where the registry knows that.
    pub(super) fn name(&self) -> &str {
        match self.now {
            Known::Resting(resting) => &resting.name,
            Known::Over(over) => &over.name,
            Known::Unknown | Known::Moving => self.id.as_str(),
        }
    }

    /// Why what is there is not wanted: fits behind "which".
    pub(super) fn standing(&self) -> String {
        match self.now {
            Known::Unknown => "the registry does not know".to_owned(),
            Known::Over(over) if over.was_ready => "has ended".to_owned(),
            Known::Over(_) => "has failed".to_owned(),
            Known::Moving => "is on its way".to_owned(),
            Known::Resting(resting) => match resting.standing {
                Standing::Ready => format!("is at attempt {}", resting.attempt),
                Standing::Sleeping => format!("sleeps at attempt {}", resting.attempt),
                Standing::Stopped => "is stopped".to_owned(),
                Standing::Down => "is down".to_owned(),
                Standing::Stuck => format!("is stuck at attempt {}", resting.attempt),
            },
        }
    }

    /// Who may let a mend happen that is otherwise in this class. A registry without any record is rather the wrong one than the one of what is there.
    pub(super) fn class(&self, known: Class) -> Class {
        match self.now {
            Known::Unknown if self.is_empty || known > Class::Safe => Class::Unknown,
            _ => known,
        }
    }

    /// A finding of data that nobody should have any more.
    pub(super) fn data(&self, finding: Finding, mend: Mend) -> Finding {
        let class = self.class(Class::Asked);
        let found = finding.mended_by(mend, class);
        if class == Class::Unknown {
            found.hint(
                "it may be a customer's: if the registry was restored, look for a newer backup before you say \
                 `wharf repair --apply --remove-unknown`",
            )
        } else {
            found
        }
    }

    /// The latest attempt of which there is something, if the registry has not come so far, and its task if that is what there is.
    pub(super) fn later(&self) -> Option<(Attempt, Option<TaskRef>)> {
        let tasks = self.world.tasks.get(self.id).into_iter().flatten();
        let routes = self.world.routes.get(self.id).into_iter().flatten();
        let tasks = tasks
            .filter(|task| self.now.task(task) == Verdict::Later)
            .map(|task| (task.attempt, Some(task.clone())));
        let routes = routes
            .filter(|routed| self.now.route(routed) == Verdict::Later)
            .map(|routed| (routed.attempt, None));
        tasks
            .chain(routes)
            .max_by_key(|(attempt, task)| (*attempt, task.is_some()))
    }
}

/// A finding before it has a mend.
pub(super) fn finding(subject: Subject, id: &InstanceId, what: String) -> Finding {
    Finding {
        subject,
        instance: Some(id.clone()),
        what,
        cause: None,
        mend: None,
        class: None,
        hint: None,
    }
}

impl Finding {
    pub(super) fn because(mut self, cause: Option<String>) -> Self {
        self.cause = cause;
        self
    }

    pub(super) fn mended_by(mut self, mend: Mend, class: Class) -> Self {
        (self.mend, self.class) = (Some(mend), Some(class));
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Whether anything about an instance at rest does not fit, as far as that was read.
pub(super) fn is_suspect(id: &InstanceId, resting: &Resting, world: &World, beside: &Beside) -> bool {
    let waits = matches!(resting.standing, Standing::Stuck | Standing::Down);
    let is_ready = resting.standing == Standing::Ready;
    let known = Known::Resting(Box::new(resting.clone()));
    let has_strange_task = || {
        let mut tasks = world.tasks.get(id).into_iter().flatten();
        tasks.any(|task| known.task(task) != Verdict::Wanted)
    };
    let has_strange_route = || {
        let mut routes = world.routes.get(id).into_iter().flatten();
        routes.any(|routed| known.route(routed) != Verdict::Wanted)
    };
    let lacks_route = || is_ready && resting.key.is_some() && wrong_route(id, resting, world).is_some();
    let lacks_data = || {
        let databases = world.databases.get(id).map_or(&[][..], Vec::as_slice);
        databases.iter().ne(resting.database.iter()) || (resting.secrets && !world.secrets.contains(id))
    };
    let has_other_rights = || {
        let held = beside.held.get(id);
        let is_kept = |right: &(Kind, String)| held.is_some_and(|held| held.contains(right));
        !resting.kept_rights().all(is_kept)
            || held.is_some_and(|held| held.iter().any(|right| !resting.rights.contains(right)))
    };
    waits
        || (is_ready && !has_task(id, resting, world))
        || has_strange_task()
        || has_strange_route()
        || lacks_route()
        || lacks_data()
        || has_other_rights()
}

/// Whether its own task is there.
pub(super) fn has_task(id: &InstanceId, resting: &Resting, world: &World) -> bool {
    let tasks = world.tasks.get(id).map_or(&[][..], Vec::as_slice);
    resting.task.as_ref().is_some_and(|task| tasks.contains(task))
}

/// What is wrong with the route of a Ready instance; `None` if it is well.
pub(super) fn wrong_route(id: &InstanceId, resting: &Resting, world: &World) -> Option<&'static str> {
    let routes = world.routes.get(id).map_or(&[][..], Vec::as_slice);
    judge_route(resting, routes)
}

/// The same of the routes that are there for it.
pub(super) fn judge_route(resting: &Resting, routes: &[Routed]) -> Option<&'static str> {
    let known = Known::Resting(Box::new(resting.clone()));
    let own = |verdict| routes.iter().filter(move |routed| known_is(&known, routed, verdict));
    let wanted: Vec<&Routed> = own(Verdict::Wanted).collect();
    match wanted.as_slice() {
        [] if routes
            .iter()
            .any(|routed| routed.is_marked && routed.attempt == resting.attempt) =>
        {
            Some("its route leads to where its task does not listen")
        }
        [] => Some("no route leads to it"),
        wanted if wanted.iter().any(|routed| routed.open == Some(false)) => Some("its route lets nobody through"),
        _ => None,
    }
}

fn known_is(known: &Known, routed: &Routed, verdict: Verdict) -> bool {
    known.route(routed) == verdict
}

pub(super) fn route_text(routed: &Routed) -> String {
    match &routed.key {
        RouteKey::Host { host } => format!("the route {host}"),
        RouteKey::Path { prefix } => format!("the route {prefix}"),
        RouteKey::TargetGroups { arns, .. } => {
            format!("the target {} in {}", routed.endpoint.key(), arns.join(" and "))
        }
    }
}

pub(super) const fn subject(kind: Kind) -> Subject {
    match kind {
        Kind::Name => Subject::Name,
        Kind::Endpoint => Subject::Endpoint,
        // Nothing else is held for as long as an instance lives.
        _ => Subject::Port,
    }
}

pub(super) fn idle_rule(rule: &IdleRule) -> Finding {
    Finding {
        subject: Subject::Rule,
        instance: None,
        what: format!(
            "the rule {} leads to {}, where nobody is",
            rule.id,
            rule.groups.join(" and ")
        ),
        cause: Some("its service has no instances any more, or the answer to its removal was lost".to_owned()),
        mend: Some(Mend::RemoveRule { rule: rule.clone() }),
        class: Some(Class::Safe),
        hint: None,
    }
}

/// An instance that is due for so long, and that nobody drives.
pub(super) fn undriven(instance: &Instance, late: Duration) -> Finding {
    let name = instance.name();
    let minutes = late.as_secs() / 60;
    finding(
        Subject::Instance,
        &instance.id,
        format!("{name} is due for {minutes} minutes, and nobody drives it"),
    )
    .hint("the log says why, where the server could not: a step that this version lacks, or a registry that refuses writes")
}
