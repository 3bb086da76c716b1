//! What this process did to targets, and when: so that a target is looked at no more often than its state can change, and deregistered once.
//!
//! All of it may be forgotten at any time, as by a Lambda that ends; then a look or a call more is made, and nothing goes wrong.

use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use wharf_domain::Failure;

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

/// By the group's ARN and the target.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<(String, Target), Known>>);

impl Memory {
    pub(super) fn registered(&self, group: &str, target: &Target) {
        self.change(group, target, |known, now| {
            known.deregistered = None;
            known.gone = false;
            known.waiting = None;
            known.registered.get_or_insert(now);
        });
    }

    /// How long ago it was registered, as far as this process knows.
    pub(super) fn age(&self, group: &str, target: &Target) -> Option<Duration> {
        self.read(group, target, |known| Some(known.registered?.elapsed()))
    }

    /// It is not healthy, and need not be looked at for so long.
    pub(super) fn waits(&self, group: &str, target: &Target, why: Failure, look_in: Duration) {
        self.change(group, target, |known, now| known.waiting = Some((why, now + look_in)));
    }

    /// Why it was not healthy when it was last looked at, and for how long that still holds.
    pub(super) fn waiting(&self, group: &str, target: &Target) -> Option<(Failure, Duration)> {
        self.read(group, target, |known| {
            let (why, until) = known.waiting.as_ref()?;
            let rest = until.saturating_duration_since(Instant::now());
            (!rest.is_zero()).then(|| (why.clone(), rest))
        })
    }

    pub(super) fn deregistered(&self, group: &str, target: &Target) {
        self.change(group, target, |known, now| {
            known.registered = None;
            known.waiting = None;
            known.deregistered.get_or_insert(now);
        });
    }

    /// How long ago this process deregistered it.
    pub(super) fn draining_for(&self, group: &str, target: &Target) -> Option<Duration> {
        self.read(group, target, |known| Some(known.deregistered?.elapsed()))
    }

    pub(super) fn gone(&self, group: &str, target: &Target) {
        self.change(group, target, |known, _| known.gone = true);
    }

    pub(super) fn is_gone(&self, group: &str, target: &Target) -> bool {
        self.read(group, target, |known| Some(known.gone)).unwrap_or(false)
    }

    pub(super) fn forget(&self, group: &str, target: &Target) {
        self.0.lock().remove(&(group.to_owned(), target.clone()));
    }

    fn read<T>(&self, group: &str, target: &Target, read: impl FnOnce(&Known) -> Option<T>) -> Option<T> {
        self.0.lock().get(&(group.to_owned(), target.clone())).and_then(read)
    }

    fn change(&self, group: &str, target: &Target, change: impl FnOnce(&mut Known, Instant)) {
        let now = Instant::now();
        let mut all = self.0.lock();
        if all.len() >= MOST {
            all.retain(|_, known| now.duration_since(known.touched) < KEPT_FOR);
        }
        if all.len() >= MOST {
            all.clear();
        }
        let known = all.entry((group.to_owned(), target.clone())).or_insert(Known {
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
    use wharf_domain::Code;

    fn target(port: u16) -> Target {
        Target {
            id: "10.0.0.5".to_owned(),
            port,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_over_when_its_time_is() {
        let memory = Memory::default();
        memory.registered("web", &target(1));
        memory.waits(
            "web",
            &target(1),
            Failure::new(Code::RouteUnhealthy, "initial"),
            Duration::from_secs(30),
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(memory.age("web", &target(1)), Some(Duration::from_secs(10)));
        let (_, rest) = memory.waiting("web", &target(1)).expect("still");
        assert_eq!(rest, Duration::from_secs(20));
        assert!(memory.waiting("web", &target(2)).is_none() && memory.waiting("api", &target(1)).is_none());
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(memory.waiting("web", &target(1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn registering_again_ends_the_draining_and_not_the_age() {
        let memory = Memory::default();
        memory.registered("web", &target(1));
        tokio::time::advance(Duration::from_secs(5)).await;
        memory.registered("web", &target(1));
        assert_eq!(memory.age("web", &target(1)), Some(Duration::from_secs(5)));
        memory.deregistered("web", &target(1));
        tokio::time::advance(Duration::from_secs(5)).await;
        memory.deregistered("web", &target(1));
        assert_eq!(memory.draining_for("web", &target(1)), Some(Duration::from_secs(5)));
        memory.registered("web", &target(1));
        assert_eq!(memory.draining_for("web", &target(1)), None);
        assert_eq!(memory.age("web", &target(1)), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn it_has_an_end() {
        let memory = Memory::default();
        for number in 0..MOST + 10 {
            memory.registered(&number.to_string(), &target(1));
        }
        assert!(memory.0.lock().len() <= MOST);
    }
}
