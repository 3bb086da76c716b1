//! The route table: from a host or a path prefix to the endpoints behind it. Every request reads it, without a lock; a change
//! costs the same with ten thousand routes as with one.
//!
//! A route's value is never changed in place: a writer puts a new one in its stead, then tells those that wait on the old
//! one. Hosts and prefixes share one map, since a prefix begins with `/` and a host never does.

use papaya::HashMap;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use wharf_domain::{Attempt, InstanceId};
use wharf_platform::Standing;

use crate::upstream::{self, Settings, Upstream, Visit};

/// Segments that a prefix may have.
pub(crate) const DEEPEST_PREFIX: usize = 16;

/// How often a request looks again when what it found was taken out of service in the same moment.
const LOOKS: usize = 3;

/// One instance's part in a route.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) instance: Arc<InstanceId>,
    /// The latest attempt that was registered; an earlier one comes too late.
    pub(crate) latest: Attempt,
    /// What visitors are told while nothing is registered.
    pub(crate) standing: Standing,
    pub(crate) upstream: Option<Arc<Upstream>>,
}

/// What is behind one host (one instance) or one prefix (any number of them).
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) members: Box<[Member]>,
    /// Whose turn it is.
    turn: AtomicUsize,
    /// When the owner was told last that somebody waits, as [`upstream::millis`] counts; 0: it has to be told.
    asked_at: AtomicU64,
    /// Woken when another value takes this one's place, or a member is proven.
    pub(crate) changed: Notify,
}

impl Route {
    /// Whether the owner is to be told now that somebody waits: it was not yet, or longer ago than this. Of several who ask at once, one is to.
    pub(crate) fn is_to_be_told(&self, longer_ago: Option<Duration>) -> bool {
        let now = upstream::millis(Instant::now()).max(1);
        let told = self.asked_at.load(Ordering::Relaxed);
        let is_old = |ago: Duration| u128::from(now.saturating_sub(told)) >= ago.as_millis();
        let is_to_be = told == 0 || longer_ago.is_some_and(is_old);
        is_to_be
            && self
                .asked_at
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// What those are told who have waited in vain: if only for their turn, that.
    pub(crate) fn standing(&self) -> Standing {
        let starts = |member: &Member| member.upstream.is_some() || member.standing == Standing::Starting;
        if self.members.iter().any(starts) {
            Standing::Starting
        } else {
            Standing::Queued
        }
    }

    /// Nobody came in time: the next one who waits is told of again, for the first may not have been heard.
    pub(crate) fn want_again(&self) {
        self.asked_at.store(0, Ordering::Relaxed);
    }
}

/// What a request finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// An endpoint, and the request counted in.
    Backend(Visit),
    /// Something that is starting: wait on the route, if there is time.
    Starting(Arc<Route>),
    Standing(Standing),
    Nobody,
}

/// An upstream whose route leads elsewhere by now, while requests to it are still under way.
#[derive(Debug)]
pub(crate) struct Draining {
    pub(crate) upstream: Arc<Upstream>,
    /// When its end was first asked for.
    pub(crate) since: Option<Instant>,
}

/// What only writers use.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) draining: Vec<Draining>,
    /// Opened, and not known to the health checks yet.
    pub(crate) newcomers: Vec<Weak<Upstream>>,
    /// Those of which a request went wrong, and that are to be checked soon.
    pub(crate) suspects: Vec<Weak<Upstream>>,
    /// Settings that endpoints share: all instances of a service have the same.
    settings: Vec<Arc<Settings>>,
}

impl Writer {
    /// The one value that all endpoints with these settings have.
    pub(crate) fn shared(&mut self, settings: Settings) -> Arc<Settings> {
        if let Some(shared) = self.settings.iter().find(|shared| ***shared == settings) {
            return Arc::clone(shared);
        }
        self.settings.retain(|shared| Arc::strong_count(shared) > 1);
        let shared = Arc::new(settings);
        self.settings.push(Arc::clone(&shared));
        shared
    }
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    routes: HashMap<Arc<str>, Arc<Route>>,
    /// Segments of the longest prefix that there ever was: longer ones need not be looked up.
    deepest: AtomicUsize,
    pub(crate) writer: Mutex<Writer>,
}

impl Table {
    pub(crate) fn route(&self, name: &str) -> Option<Arc<Route>> {
        self.routes.pin().get(name).cloned()
    }

    /// Who serves a host, or a prefix, by its whole name.
    pub(crate) fn find(&self, name: &str) -> Found {
        for _ in 0..LOOKS {
            let Some(route) = self.route(name) else {
                return Found::Nobody;
            };
            if let Some(found) = resolve(route) {
                return found;
            }
        }
        Found::Standing(Standing::Starting)
    }

    /// The longest prefix of a path that there is a route for, as whole segments.
    pub(crate) fn prefix_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let routes = self.routes.pin();
        longest_prefix(path, self.deepest.load(Ordering::Acquire), |prefix| {
            routes.contains_key(prefix)
        })
    }

    /// Puts a new value in a route's stead, or takes the route out if it has no members, and wakes who waits on the old one.
    /// The caller holds the writer's lock.
    pub(crate) fn replace(&self, name: &str, members: Vec<Member>) {
        let upstreams = members.iter().filter_map(|member| member.upstream.as_ref());
        let of_an_upstream = upstreams.map(|upstream| &upstream.name).find(|own| ***own == *name);
        let key = of_an_upstream.map_or_else(|| name.into(), Arc::clone);
        let routes = self.routes.pin();
        let old = if members.is_empty() {
            routes.remove(name)
        } else {
            if name.starts_with('/') {
                self.deepest.fetch_max(segments(name), Ordering::AcqRel);
            }
            let route = Arc::new(Route {
                members: members.into_boxed_slice(),
                ..Route::default()
            });
            routes.insert(key, route)
        };
        if let Some(old) = old {
            old.changed.notify_waiters();
        }
    }

    /// Every route's name and value, weakly consistent.
    pub(crate) fn each(&self, mut act: impl FnMut(&str, &Route)) {
        for (name, route) in &self.routes.pin() {
            act(name, route);
        }
    }
}

/// The longest prefix of a path, as whole segments and of no more than `deepest` of them, that is `known`.
pub(crate) fn longest_prefix(path: &str, deepest: usize, known: impl Fn(&str) -> bool) -> Option<&str> {
    let mut ends = [0; DEEPEST_PREFIX];
    let mut count = 0;
    let deepest = deepest.min(DEEPEST_PREFIX);
    for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]).take(deepest) {
        ends[count] = at;
        count += 1;
    }
    let longest = ends[..count].iter().rev().map(|end| &path[..*end]);
    longest
        .chain(path.get(..1))
        .find(|prefix| prefix.starts_with('/') && known(prefix))
}

/// Segments of a prefix: `/` has none, `/api/auth` two.
pub(crate) fn segments(prefix: &str) -> usize {
    prefix.split('/').filter(|segment| !segment.is_empty()).count()
}

/// `None`: what was found went out of service just now, and the table has something newer.
fn resolve(route: Arc<Route>) -> Option<Found> {
    if let [member] = &*route.members {
        return match &member.upstream {
            Some(upstream) if upstream.is_proven() => upstream.visit().map(Found::Backend),
            Some(_) => Some(Found::Starting(route)),
            None if member.standing.is_coming() => Some(Found::Starting(route)),
            None => Some(Found::Standing(member.standing)),
        };
    }
    let turn = route.turn.fetch_add(1, Ordering::Relaxed) % route.members.len().max(1);
    let (late, early) = route.members.split_at(turn);
    let proven = || {
        early
            .iter()
            .chain(late)
            .filter_map(|member| member.upstream.as_ref())
            .filter(|upstream| upstream.is_proven())
    };
    // With none healthy all are tried: a wrong check must not be what takes a service down.
    if let Some(upstream) = proven()
        .find(|upstream| upstream.is_healthy())
        .or_else(|| proven().next())
    {
        return upstream.visit().map(Found::Backend);
    }
    let starts = |member: &Member| member.upstream.is_some() || member.standing.is_coming();
    if route.members.iter().any(starts) {
        return Some(Found::Starting(route));
    }
    let down = route.members.iter().any(|member| member.standing == Standing::Down);
    Some(Found::Standing(if down { Standing::Down } else { Standing::Stopped }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::upstream;

    fn member(upstream: &Arc<Upstream>) -> Member {
        Member {
            instance: Arc::clone(&upstream.instance),
            latest: upstream.attempt,
            standing: Standing::Starting,
            upstream: Some(Arc::clone(upstream)),
        }
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let table = Table::default();
        let one = upstream(1, 1);
        for prefix in ["/api", "/api/auth", "/pdf"] {
            table.replace(prefix, vec![member(&one)]);
        }
        for (path, prefix) in [
            ("/api/auth", Some("/api/auth")),
            ("/api/auth/", Some("/api/auth")),
            ("/api/auth/x/y/z", Some("/api/auth")),
            ("/api/authx", Some("/api")),
            ("/api//auth", Some("/api")),
            ("/pdfx", None),
            ("/", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(table.prefix_of(path), prefix, "{path}");
        }
        table.replace("/", vec![member(&one)]);
        assert_eq!(table.prefix_of("/other"), Some("/"));
        assert_eq!(table.prefix_of("/"), Some("/"));
    }

    #[test]
    fn nobody_is_visited_before_it_is_proven() {
        let table = Table::default();
        let one = upstream(1, 1);
        table.replace("acme.localhost", vec![member(&one)]);
        assert!(matches!(table.find("acme.localhost"), Found::Starting(_)));
        one.prove();
        assert!(matches!(table.find("acme.localhost"), Found::Backend(_)));
        assert!(matches!(table.find("other.localhost"), Found::Nobody));
    }

    #[test]
    fn several_take_turns_and_the_unhealthy_are_left_out_while_another_is_well() {
        let table = Table::default();
        let all: Vec<_> = (1..=3).map(|seed| upstream(seed, 1)).collect();
        for one in &all {
            one.prove();
        }
        table.replace("/api", all.iter().map(member).collect());
        let visited = || {
            let Found::Backend(visit) = table.find("/api") else {
                panic!("no backend");
            };
            Arc::clone(&visit.upstream().instance)
        };
        let mut round: Vec<_> = (0..3).map(|_| visited()).collect();
        round.sort();
        round.dedup();
        assert_eq!(round.len(), 3);
        all[0].refused();
        assert!((0..6).all(|_| visited() != all[0].instance));
        all[1].refused();
        all[2].refused();
        assert!((0..6).any(|_| visited() == all[0].instance));
    }

    #[test]
    fn a_route_without_members_is_nobodys() {
        let table = Table::default();
        table.replace("acme.localhost", vec![member(&upstream(1, 1))]);
        table.replace("acme.localhost", Vec::new());
        assert!(matches!(table.find("acme.localhost"), Found::Nobody));
    }
}
