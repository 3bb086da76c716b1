//! One registered endpoint: who it is, how many requests it has, whether it is well, and its open connections.

use http::HeaderName;
use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use wharf_domain::{Attempt, Failure, InstanceId, service::HealthCheck};

use crate::pool::Pool;

/// Times are kept as milliseconds since this one.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Whether requests may begin.
const OPEN: u8 = 0;
/// Not for the moment in which it is looked whether it is used.
const HELD_BACK: u8 = 1;
/// Never again.
const RETIRED: u8 = 2;

/// One that has been calm for so many checks is as calm as it gets.
pub(crate) const CALMEST: u8 = 3;

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) instance: Arc<InstanceId>,
    pub(crate) attempt: Attempt,
    /// The text of its route key, under which the table has it.
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Pool,
    in_flight: AtomicUsize,
    /// When its last request ended, or it was proven.
    used_at: AtomicU64,
    service: AtomicU8,
    proven: AtomicBool,
    healthy: AtomicBool,
    /// Checks in a row that spoke against the state it is in.
    against: AtomicU32,
    /// The last appointment for a check; earlier ones are not kept.
    appointment: AtomicU32,
    /// When the last check began.
    checked_at: AtomicU64,
    /// Checks in a row that found it well, with nobody who used it in between; up to [`CALMEST`].
    calm: AtomicU8,
    /// A request went wrong after the last check.
    suspected: AtomicBool,
}

/// What all endpoints of a service have in common; they share one value of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) identity_header: Option<HeaderName>,
    pub(crate) check: HealthCheck,
}

/// Who and where a new endpoint is.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) instance: Arc<InstanceId>,
    pub(crate) attempt: Attempt,
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) settings: Arc<Settings>,
}

impl Upstream {
    pub(crate) fn new(target: Target) -> Self {
        let Target {
            instance,
            attempt,
            name,
            address,
            settings,
        } = target;
        Self {
            instance,
            attempt,
            name,
            address,
            settings,
            pool: Pool::default(),
            in_flight: AtomicUsize::new(0),
            used_at: AtomicU64::new(millis(Instant::now())),
            service: AtomicU8::new(OPEN),
            proven: AtomicBool::new(false),
            healthy: AtomicBool::new(true),
            against: AtomicU32::new(0),
            appointment: AtomicU32::new(0),
            checked_at: AtomicU64::new(0),
            calm: AtomicU8::new(0),
            suspected: AtomicBool::new(false),
        }
    }

    /// Begins a request to it; `None` if it was taken out of service in the meantime.
    ///
    /// Counting first and looking second, against `retire`'s marking first and counting second: either the request sees the
    /// mark, or the drain sees the request.
    pub(crate) fn visit(self: &Arc<Self>) -> Option<Visit> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let visit = Visit(Arc::clone(self));
        (self.service.load(Ordering::SeqCst) == OPEN).then_some(visit)
    }

    /// Takes it out of service: no new request begins, and connections that no request uses are closed.
    pub(crate) fn retire(&self) {
        self.service.store(RETIRED, Ordering::SeqCst);
        self.pool.close();
    }

    /// The same if nobody uses it, and nobody has for so long; says whether it did. Whoever comes in between is refused, and has to look again; who was there before
    /// is seen. The caller has the writer's lock.
    pub(crate) fn retire_if_unused(&self, longer_than: Duration) -> bool {
        self.service.store(HELD_BACK, Ordering::SeqCst);
        if self.unused_for().is_some_and(|idle| idle >= longer_than) {
            self.retire();
            return true;
        }
        self.service.store(OPEN, Ordering::SeqCst);
        false
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.service.load(Ordering::SeqCst) == RETIRED
    }

    /// How long nobody has used it; `None` while somebody does.
    pub(crate) fn unused_for(&self) -> Option<Duration> {
        let is_used = self.in_flight() > 0;
        let idle = millis(Instant::now()).saturating_sub(self.used_at.load(Ordering::SeqCst));
        (!is_used).then(|| Duration::from_millis(idle))
    }

    fn used(&self) {
        self.used_at.store(millis(Instant::now()), Ordering::SeqCst);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Whether it has answered once, as itself. Until then no visitor's request goes there: another program might listen.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }

    /// Says whether it was not proven before.
    pub(crate) fn prove(&self) -> bool {
        self.used();
        !self.proven.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Takes the outcome of an active check; says whether its health changed by it.
    pub(crate) fn checked(&self, outcome: &Result<(), Failure>) -> bool {
        let good = outcome.is_ok();
        if good == self.is_healthy() {
            self.against.store(0, Ordering::Relaxed);
            return false;
        }
        let threshold = if good {
            self.settings.check.healthy
        } else {
            self.settings.check.unhealthy
        };
        if self.against.fetch_add(1, Ordering::Relaxed) + 1 < threshold {
            return false;
        }
        self.turn(good)
    }

    /// A new appointment for a check takes the place of any earlier one.
    pub(crate) fn appoint(&self) -> u32 {
        self.appointment.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    pub(crate) fn is_appointed(&self, appointment: u32) -> bool {
        self.appointment.load(Ordering::Relaxed) == appointment
    }

    /// A check begins. Says whether anybody has used it since the last one.
    pub(crate) fn begin_check(&self) -> bool {
        self.suspected.store(false, Ordering::Relaxed);
        let now = millis(Instant::now());
        let last = self.checked_at.swap(now, Ordering::Relaxed);
        self.in_flight() > 0 || self.used_at.load(Ordering::SeqCst) >= last
    }

    pub(crate) fn end_check(&self, was_good: bool, was_used: bool) {
        let calm = if was_good && !was_used && self.is_healthy() {
            self.calm().saturating_add(1).min(CALMEST)
        } else {
            0
        };
        self.calm.store(calm, Ordering::Relaxed);
    }

    pub(crate) fn calm(&self) -> u8 {
        self.calm.load(Ordering::Relaxed)
    }

    /// How long ago the last check began.
    pub(crate) fn checked_ago(&self) -> Duration {
        let last = self.checked_at.load(Ordering::Relaxed);
        Duration::from_millis(millis(Instant::now()).saturating_sub(last))
    }

    /// A request to it went wrong. Says whether that is news since the last check.
    pub(crate) fn suspect(&self) -> bool {
        !self.suspected.swap(true, Ordering::Relaxed)
    }

    /// A connection was refused, which needs no second opinion. Says whether its health changed by it.
    pub(crate) fn refused(&self) -> bool {
        self.turn(false)
    }

    fn turn(&self, healthy: bool) -> bool {
        self.against.store(0, Ordering::Relaxed);
        self.healthy.swap(healthy, Ordering::Relaxed) != healthy
    }
}

/// Milliseconds of this process at a moment.
pub(crate) fn millis(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*START).as_millis()).unwrap_or(u64::MAX)
}

/// One request under way to an upstream, an upgraded connection among them. A drain waits for its end.
#[derive(Debug)]
pub(crate) struct Visit(Arc<Upstream>);

impl Visit {
    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // In this order: whoever sees that nobody is there any more sees since when.
        self.0.used();
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use wharf_domain::{Code, Timestamp};

    pub(crate) fn upstream(seed: u8, attempt: u32) -> Arc<Upstream> {
        let target = Target {
            instance: Arc::new(InstanceId::new(Timestamp(1), [seed; 10])),
            attempt: Attempt(attempt),
            name: "acme.localhost".into(),
            address: ([127, 0, 0, 1], 1).into(),
            settings: Arc::new(Settings {
                identity_header: None,
                check: HealthCheck {
                    path: "/".to_owned(),
                    interval: Duration::from_millis(500),
                    timeout: Duration::from_secs(1),
                    healthy: 2,
                    unhealthy: 3,
                },
            }),
        };
        Arc::new(Upstream::new(target))
    }

    #[test]
    fn ten_thousand_of_them_are_small() {
        let size = size_of::<Upstream>() + size_of::<crate::table::Route>() + size_of::<crate::table::Member>();
        assert!(size <= 320, "{size}");
    }

    #[test]
    fn a_retired_one_takes_no_request_and_knows_those_under_way() {
        let upstream = upstream(1, 1);
        let visit = upstream.visit().unwrap();
        upstream.retire();
        assert!(upstream.visit().is_none());
        assert_eq!(upstream.in_flight(), 1);
        drop(visit);
        assert_eq!(upstream.in_flight(), 0);
    }

    #[test]
    fn only_what_nobody_uses_is_retired_for_that() {
        let upstream = upstream(1, 1);
        let visit = upstream.visit().unwrap();
        assert_eq!(upstream.unused_for(), None);
        assert!(!upstream.retire_if_unused(Duration::ZERO));
        drop(visit);
        assert!(upstream.unused_for().unwrap() < Duration::from_mins(1));
        assert!(!upstream.retire_if_unused(Duration::from_mins(1)));
        drop(upstream.visit().expect("it is in service as before"));
        assert!(upstream.retire_if_unused(Duration::ZERO) && upstream.is_retired());
        assert!(upstream.visit().is_none());
    }

    #[test]
    fn only_who_is_well_and_unused_is_calm() {
        let upstream = upstream(1, 1);
        let check = |was_good| {
            let was_used = upstream.begin_check();
            upstream.end_check(was_good, was_used);
            upstream.calm()
        };
        // Times are told in milliseconds: a check in the same one as a use may have come before it.
        let a_later_check = || {
            while millis(Instant::now()) <= upstream.used_at.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            check(true)
        };
        assert_eq!(a_later_check(), 0, "it was opened just now");
        assert_eq!([check(true), check(true), check(true), check(true)], [1, 2, 3, CALMEST]);
        assert_eq!(check(false), 0);
        assert_eq!(check(true), 1);
        let visit = upstream.visit().unwrap();
        assert_eq!(check(true), 0, "somebody is there");
        drop(visit);
        assert_eq!(a_later_check(), 0, "somebody was there");
        assert_eq!(check(true), 1);
    }

    #[test]
    fn a_request_that_goes_wrong_is_news_once_until_the_next_check() {
        let upstream = upstream(1, 1);
        assert!(upstream.suspect() && !upstream.suspect());
        upstream.begin_check();
        assert!(upstream.suspect());
        let first = upstream.appoint();
        assert!(upstream.is_appointed(first));
        assert!(upstream.is_appointed(upstream.appoint()) && !upstream.is_appointed(first));
    }

    #[test]
    fn health_turns_at_its_thresholds_and_on_a_refusal() {
        let upstream = upstream(1, 1);
        let bad = Err(Failure::new(Code::RouteUnhealthy, "no"));
        assert!(!upstream.checked(&bad) && !upstream.checked(&bad));
        assert!(
            !upstream.checked(&Ok(())),
            "a good one in between begins the count again"
        );
        assert!(!upstream.checked(&bad) && !upstream.checked(&bad) && upstream.checked(&bad));
        assert!(!upstream.is_healthy());
        assert!(!upstream.checked(&Ok(())) && upstream.checked(&Ok(())));
        assert!(upstream.is_healthy());
        assert!(upstream.refused() && !upstream.refused());
    }
}
