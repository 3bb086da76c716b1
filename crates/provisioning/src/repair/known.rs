//! What the registry says of an instance, as little of it as a comparison needs, and what that means for a thing that is there. Pure: nothing is read or changed from here.

use wharf_domain::{Attempt, Instance, State, Timestamp, instance::TaskRef};
use wharf_platform::RouteKey;
use wharf_saga::store::{Kind, Lease};

use crate::{Settings, claim::reserved_name};

/// What the registry says of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has no record.
    Unknown,
    /// A saga, a driver or a message has it, or its record cannot be read: whatever it has in the world is being seen to, or not understood.
    Moving,
    /// It lives, and nothing is under way.
    Resting(Box<Resting>),
    Over(Box<Over>),
}

/// A live instance at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resting {
    /// What people call it.
    pub(super) name: String,
    pub(super) standing: Standing,
    pub(super) since: Timestamp,
    pub(super) attempt: Attempt,
    pub(super) task: Option<TaskRef>,
    /// The text under which its endpoint is kept.
    pub(super) endpoint: Option<String>,
    /// Behind which a load balancer leads to it, or should.
    pub(super) key: Option<RouteKey>,
    pub(super) keeps_targets: bool,
    pub(super) database: Option<String>,
    pub(super) secrets: bool,
    /// What it has to itself.
    pub(super) rights: Vec<(Kind, String)>,
    /// Nobody has written as its driver as long as this is so.
    pub(super) lease: (u64, u64),
}

/// In which state it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Ready,
    /// Paused, and so with a task; or stopped, and so without.
    Sleeping,
    Stopped,
    Down,
    Stuck,
}

/// An instance that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) name: String,
    pub(super) was_ready: bool,
    /// It stood under a direct URL: its port rests for longer.
    pub(super) was_direct: bool,
    pub(super) keeps_targets: bool,
}

/// What is to be said of a thing that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as it should be.
    Wanted,
    /// Nobody wants it, and nobody ever will.
    Stray,
    /// It is of an attempt that the registry has not come to: the registry is older than it.
    Later,
    /// Somebody sees to it, or a person has to decide first.
    LeftAlone,
}

/// A route that is there, as far as it says what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Routed {
    pub(super) key: RouteKey,
    pub(super) attempt: Attempt,
    pub(super) endpoint: wharf_domain::Endpoint,
    /// The load balancer itself says whose it is.
    pub(super) is_marked: bool,
    /// Whether visitors are let through, where the load balancer can say.
    pub(super) open: Option<bool>,
}

impl Resting {
    /// `None` if it is not in a state in which an instance rests.
    pub(super) fn of(instance: &Instance, lease: &Lease, settings: &Settings) -> Option<Self> {
        let standing = match &instance.state {
            State::Ready { .. } => Standing::Ready,
            State::Sleeping { .. } => Standing::Sleeping,
            State::Stopped { .. } => Standing::Stopped,
            State::Down { .. } => Standing::Down,
            State::Stuck { .. } => Standing::Stuck,
            _ => return None,
        };
        let held = &instance.held;
        let endpoint = held.endpoint.as_ref().map(wharf_domain::Endpoint::key);
        let mut rights = Vec::new();
        rights.extend(reserved_name(instance).map(|name| (Kind::Name, name)));
        rights.extend(held.port.map(|port| (Kind::Port, port.to_string())));
        rights.extend(endpoint.clone().map(|endpoint| (Kind::Endpoint, endpoint)));
        Some(Self {
            name: instance.name().to_owned(),
            standing,
            since: instance.state.since(),
            attempt: instance.attempt,
            task: held.task.clone(),
            endpoint,
            key: settings.route_key(instance),
            keeps_targets: instance.keep_targets,
            database: held.database.clone(),
            secrets: held.secrets,
            rights,
            lease: (lease.epoch, lease.renewals),
        })
    }

    /// What it has to itself and the registry must have kept for it. What is stuck may have been stuck before it was.
    pub(super) fn kept_rights(&self) -> impl Iterator<Item = &(Kind, String)> {
        let is_kept = |kind: Kind| self.standing != Standing::Stuck || kind != Kind::Endpoint;
        self.rights.iter().filter(move |(kind, _)| is_kept(*kind))
    }

    /// A task of an attempt before the present one was stopped before that began; one of the present attempt that is not its own is a second start's. No
    /// attempt is ever begun again, so neither can be wanted later.
    fn task(&self, task: &TaskRef) -> Verdict {
        let is_stuck = self.standing == Standing::Stuck;
        if self.task.as_ref() == Some(task) {
            Verdict::Wanted
        } else if task.attempt < self.attempt || (task.attempt == self.attempt && !is_stuck) {
            Verdict::Stray
        } else if is_stuck {
            Verdict::LeftAlone
        } else {
            Verdict::Later
        }
    }

    fn route(&self, routed: &Routed) -> Verdict {
        let is_kept = self.keeps_targets && matches!(routed.key, RouteKey::TargetGroups { .. });
        let is_its_endpoint = self.endpoint.as_deref() == Some(routed.endpoint.key().as_str());
        let is_its_key = self.key.as_ref().is_some_and(|key| is_one_place(key, &routed.key));
        let is_its_attempt = !routed.is_marked || routed.attempt == self.attempt;
        match self.standing {
            Standing::Ready if is_its_key && is_its_attempt && is_its_endpoint => Verdict::Wanted,
            // It is its own, and leads to where its task does not listen: it is led anew, not withdrawn.
            Standing::Ready if routed.is_marked && routed.attempt == self.attempt => Verdict::LeftAlone,
            _ if is_kept => Verdict::Wanted,
            Standing::Stuck if routed.attempt >= self.attempt => Verdict::LeftAlone,
            _ if routed.is_marked && routed.attempt > self.attempt => Verdict::Later,
            _ => Verdict::Stray,
        }
    }
}

/// Whether whoever is behind the one is behind the other too: of target groups one is enough, by whichever rule they are reached.
pub(super) fn is_one_place(one: &RouteKey, other: &RouteKey) -> bool {
    match (one, other) {
        (RouteKey::TargetGroups { arns: some, .. }, RouteKey::TargetGroups { arns: others, .. }) => {
            some.iter().any(|arn| others.contains(arn))
        }
        _ => one == other,
    }
}

impl Over {
    pub(super) fn of(instance: &Instance) -> Option<Self> {
        instance.state.is_final().then(|| Self {
            name: instance.name().to_owned(),
            was_ready: instance.first_ready_at.is_some(),
            was_direct: matches!(instance.service.route, wharf_domain::service::RouteRule::Direct { .. }),
            keeps_targets: instance.keep_targets,
        })
    }
}

impl Known {
    pub(super) fn task(&self, task: &TaskRef) -> Verdict {
        match self {
            Self::Moving => Verdict::LeftAlone,
            Self::Resting(resting) => resting.task(task),
            Self::Unknown | Self::Over(_) => Verdict::Stray,
        }
    }

    pub(super) fn route(&self, routed: &Routed) -> Verdict {
        match self {
            Self::Moving => Verdict::LeftAlone,
            Self::Resting(resting) => resting.route(routed),
            Self::Over(over) if over.keeps_targets && matches!(routed.key, RouteKey::TargetGroups { .. }) => {
                Verdict::Wanted
            }
            Self::Unknown | Self::Over(_) => Verdict::Stray,
        }
    }

    /// Whether nothing of it is to be there any more.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self, Self::Unknown | Self::Over(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Endpoint;

    fn task(id: &str, attempt: u32) -> TaskRef {
        TaskRef {
            id: id.to_owned(),
            attempt: Attempt(attempt),
        }
    }

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::Address {
            ip: [10, 0, 0, 1].into(),
            port,
        }
    }

    fn resting(standing: Standing) -> Known {
        let is_up = matches!(standing, Standing::Ready | Standing::Sleeping | Standing::Stuck);
        Known::Resting(Box::new(Resting {
            name: "acme".to_owned(),
            standing,
            since: Timestamp(1),
            attempt: Attempt(3),
            task: is_up.then(|| task("own", 3)),
            endpoint: is_up.then(|| endpoint(80).key()),
            key: Some(RouteKey::Host {
                host: "acme.localhost".to_owned(),
            }),
            keeps_targets: false,
            database: None,
            secrets: true,
            rights: Vec::new(),
            lease: (1, 0),
        }))
    }

    fn over() -> Known {
        Known::Over(Box::new(Over {
            name: "acme".to_owned(),
            was_ready: true,
            was_direct: false,
            keeps_targets: false,
        }))
    }

    #[test]
    fn a_task_is_judged_by_its_attempt() {
        use Verdict::{Later, LeftAlone, Stray, Wanted};
        let verdicts = |known: &Known| {
            [task("own", 3), task("other", 3), task("old", 2), task("new", 4)].map(|task| known.task(&task))
        };
        assert_eq!(verdicts(&resting(Standing::Ready)), [Wanted, Stray, Stray, Later]);
        assert_eq!(verdicts(&resting(Standing::Sleeping)), [Wanted, Stray, Stray, Later]);
        assert_eq!(verdicts(&resting(Standing::Stopped)), [Stray, Stray, Stray, Later]);
        assert_eq!(verdicts(&resting(Standing::Down)), [Stray, Stray, Stray, Later]);
        assert_eq!(
            verdicts(&resting(Standing::Stuck)),
            [Wanted, LeftAlone, Stray, LeftAlone]
        );
        assert_eq!(verdicts(&Known::Moving), [LeftAlone; 4]);
        assert_eq!(verdicts(&over()), [Stray; 4]);
        assert_eq!(verdicts(&Known::Unknown), [Stray; 4]);
    }

    #[test]
    fn a_route_is_judged_by_its_attempt_or_where_it_says_none_by_its_endpoint() {
        use Verdict::{Later, LeftAlone, Stray, Wanted};
        let routed = |attempt, port, is_marked| Routed {
            key: RouteKey::Host {
                host: "acme.localhost".to_owned(),
            },
            attempt: Attempt(attempt),
            endpoint: endpoint(port),
            is_marked,
            open: None,
        };
        let verdicts = |known: &Known| {
            [
                (3, 80, true),
                (3, 81, true),
                (2, 80, true),
                (4, 81, true),
                (3, 80, false),
                (2, 81, false),
            ]
            .map(|(attempt, port, is_marked)| known.route(&routed(attempt, port, is_marked)))
        };
        assert_eq!(
            verdicts(&resting(Standing::Ready)),
            [Wanted, LeftAlone, Stray, Later, Wanted, Stray]
        );
        for without_a_route in [Standing::Sleeping, Standing::Stopped] {
            assert_eq!(
                verdicts(&resting(without_a_route)),
                [Stray, Stray, Stray, Later, Stray, Stray]
            );
        }
        assert_eq!(
            verdicts(&resting(Standing::Stuck)),
            [LeftAlone, LeftAlone, Stray, LeftAlone, LeftAlone, Stray]
        );
        assert_eq!(verdicts(&Known::Moving), [LeftAlone; 6]);
        assert_eq!(verdicts(&over()), [Stray; 6]);
    }

    #[test]
    fn its_own_address_behind_what_leads_to_others_is_nobodys() {
        let groups = |arns: &[&str]| RouteKey::TargetGroups {
            arns: arns.iter().map(|arn| (*arn).to_owned()).collect(),
            rule: None,
        };
        let target = |key| Routed {
            key,
            attempt: Attempt(3),
            endpoint: endpoint(80),
            is_marked: false,
            open: None,
        };
        let Known::Resting(mut own) = resting(Standing::Ready) else {
            unreachable!()
        };
        own.key = Some(groups(&["arn:shop", "arn:shop-internal"]));
        let own = Known::Resting(own);
        assert_eq!(own.route(&target(groups(&["arn:shop-internal"]))), Verdict::Wanted);
        assert_eq!(own.route(&target(groups(&["arn:site"]))), Verdict::Stray);
    }

    #[test]
    fn targets_that_somebody_asked_to_keep_stay() {
        let target = Routed {
            key: RouteKey::TargetGroups {
                arns: vec!["arn:group".to_owned()],
                rule: None,
            },
            attempt: Attempt(3),
            endpoint: endpoint(80),
            is_marked: false,
            open: None,
        };
        let Known::Over(mut kept) = over() else { unreachable!() };
        assert_eq!(Known::Over(kept.clone()).route(&target), Verdict::Stray);
        kept.keeps_targets = true;
        assert_eq!(Known::Over(kept).route(&target), Verdict::Wanted);
    }
}
