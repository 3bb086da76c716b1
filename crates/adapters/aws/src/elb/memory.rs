//! What this process did to targets, and when: so that a target is looked at no more often than its state can change, and deregistered once.
//!
//! All of it may be forgotten at any time, as by a Lambda that ends; then a look or a call more is made, and nothing goes wrong. And none of it may outlive the
//! attempt that it is about: an endpoint that is free is another's soon, and what another process does to that one's target is not known here.

use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Attempt, Failure, InstanceId};
use wharf_platform::Owner;

use super::target::Target;

/// More than one process has under way at once.
const MOST: usize = 4096;
/// Nothing is waited for so long.
const KEPT_FOR: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
struct Known {
    touched: Instant,
    registered: Option<Instant>,
    /// Why it is not healthy, and until when that cannot have changed.
    waiting: Option<(Failure, Instant)>,
    deregistered: Option<Instant>,
    gone: bool,
}

/// A target of one attempt of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The group's ARN.
    group: String,
    target: Target,
    instance: InstanceId,
    attempt: Attempt,
}

impl Place {
    pub(super) fn of(owner: &Owner, group: &str, target: &Target) -> Self {
        Self {
            group: group.to_owned(),
            target: target.clone(),
            instance: owner.instance.clone(),
            attempt: owner.attempt,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<Place, Known>>);

impl Memory {
    pub(super) fn registered(&self, place: &Place) {
        self.change(place, |known, now| {
            known.deregistered = None;
            known.gone = false;
            known.waiting = None;
            known.registered.get_or_insert(now);
        });
    }

    /// How long ago it was registered, as far as this process knows.
    pub(super) fn age(&self, place: &Place) -> Option<Duration> {
        self.read(place, |known| Some(known.registered?.elapsed()))
    }

    /// It is not healthy, and need not be looked at for so long.
    pub(super) fn waits(&self, place: &Place, why: Failure, look_in: Duration) {
        self.change(place, |known, now| known.waiting = Some((why, now + look_in)));
    }

    /// Why it was not healthy when it was last looked at, and for how long that still holds.
    pub(super) fn waiting(&self, place: &Place) -> Option<(Failure, Duration)> {
        self.read(place, |known| {
            let (why, until) = known.waiting.as_ref()?;
            let rest = until.saturating_duration_since(Instant::now());
            (!rest.is_zero()).then(|| (why.clone(), rest))
        })
    }

    pub(super) fn deregistered(&self, place: &Place) {
        self.change(place, |known, now| {
            known.registered = None;
            known.waiting = None;
            known.deregistered.get_or_insert(now);
        });
    }

    /// How long ago this process deregistered it.
    pub(super) fn draining_for(&self, place: &Place) -> Option<Duration> {
        self.read(place, |known| Some(known.deregistered?.elapsed()))
    }

    pub(super) fn gone(&self, place: &Place) {
        self.change(place, |known, _| known.gone = true);
    }

    pub(super) fn is_gone(&self, place: &Place) -> bool {
        self.read(place, |known| Some(known.gone)).unwrap_or(false)
    }

    pub(super) fn forget(&self, place: &Place) {
        self.0.lock().remove(place);
    }

    fn read<T>(&self, place: &Place, read: impl FnOnce(&Known) -> Option<T>) -> Option<T> {
        self.0.lock().get(place).and_then(read)
    }

    fn change(&self, place: &Place, change: impl FnOnce(&mut Known, Instant)) {
        let now = Instant::now();
        let mut all = self.0.lock();
        if all.len() >= MOST {
            all.retain(|_, known| now.duration_since(known.touched) < KEPT_FOR);
        }
        if all.len() >= MOST {
            all.clear();
        }
        let known = all.entry(place.clone()).or_insert(Known {
            touched: now,
            registered: None,
            waiting: None,
            deregistered: None,
            gone: false,
        });
        known.touched = now;
        change(known, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::{Code, DeploymentId, Timestamp};

    fn of_attempt(group: &str, port: u16, attempt: u32) -> Place {
        let owner = Owner {
            deployment: DeploymentId::new([1; 10]),
            instance: InstanceId::new(Timestamp(1), [2; 10]),
            attempt: Attempt(attempt),
        };
        let id = "10.0.0.5".to_owned();
        Place::of(&owner, group, &Target { id, port })
    }

    fn place(group: &str, port: u16) -> Place {
        of_attempt(group, port, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_over_when_its_time_is() {
        let memory = Memory::default();
        memory.registered(&place("web", 1));
        memory.waits(
            &place("web", 1),
            Failure::new(Code::RouteUnhealthy, "initial"),
            Duration::from_secs(30),
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(memory.age(&place("web", 1)), Some(Duration::from_secs(10)));
        let (_, rest) = memory.waiting(&place("web", 1)).expect("still");
        assert_eq!(rest, Duration::from_secs(20));
        assert!(memory.waiting(&place("web", 2)).is_none() && memory.waiting(&place("api", 1)).is_none());
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(memory.waiting(&place("web", 1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn registering_again_ends_the_draining_and_not_the_age() {
        let memory = Memory::default();
        memory.registered(&place("web", 1));
        tokio::time::advance(Duration::from_secs(5)).await;
        memory.registered(&place("web", 1));
        assert_eq!(memory.age(&place("web", 1)), Some(Duration::from_secs(5)));
        memory.deregistered(&place("web", 1));
        tokio::time::advance(Duration::from_secs(5)).await;
        memory.deregistered(&place("web", 1));
        assert_eq!(memory.draining_for(&place("web", 1)), Some(Duration::from_secs(5)));
        memory.registered(&place("web", 1));
        assert_eq!(memory.draining_for(&place("web", 1)), None);
        assert_eq!(memory.age(&place("web", 1)), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn it_has_an_end() {
        let memory = Memory::default();
        for number in 0..MOST + 10 {
            memory.registered(&place(&number.to_string(), 1));
        }
        assert!(memory.0.lock().len() <= MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_done_to_one_attempts_target_is_not_known_of_anothers() {
        let memory = Memory::default();
        let (first, second) = (of_attempt("web", 1, 1), of_attempt("web", 1, 2));
        memory.deregistered(&first);
        memory.gone(&first);
        assert!(memory.is_gone(&first));
        assert!(!memory.is_gone(&second) && memory.draining_for(&second).is_none());
    }
}
