//! Changes to the route table: what is registered, withdrawn, announced and forgotten, by the rules of
//! [`Routes`](wharf_platform::Routes); and what became of an endpoint's health.

use http::HeaderName;
use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, broadcast, mpsc};
use wharf_domain::{Attempt, Code, Endpoint, Failure, InstanceId};
use wharf_platform::{Backend, Owner, Registered, RouteKey, Standing, Unused};

use crate::{
    table::{DEEPEST_PREFIX, Draining, Member, Route, Table, Writer, segments},
    upstream::{Settings, Target, Upstream},
};

/// Health changes that a reader may be behind before it loses the oldest.
const HEALTH_CHANGES: usize = 1024;
/// Instances asked for that the owner may be behind before further ones are not told.
const WANTED: usize = 1024;

/// An endpoint was proven, became unhealthy, or well again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    pub instance: InstanceId,
    pub attempt: Attempt,
    pub healthy: bool,
    /// What spoke against it, where it is unhealthy.
    pub failure: Option<Failure>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) table: Table,
    /// There is something that the health checks do not know yet.
    pub(crate) news: Notify,
    health: broadcast::Sender<HealthChange>,
    wanted: mpsc::Sender<InstanceId>,
}

impl Registry {
    pub(crate) fn new() -> (Self, mpsc::Receiver<InstanceId>) {
        let (wanted, receiver) = mpsc::channel(WANTED);
        let registry = Self {
            table: Table::default(),
            news: Notify::new(),
            health: broadcast::Sender::new(HEALTH_CHANGES),
            wanted,
        };
        (registry, receiver)
    }

    pub(crate) fn register(&self, backend: Backend) -> Result<(), Failure> {
        let name = name_of(&backend.key)?;
        let address = address_of(&backend.endpoint)?;
        let settings = Settings {
            identity_header: backend.identity_header.as_deref().map(header_name).transpose()?,
            check: backend.health,
        };
        let Owner { instance, attempt, .. } = backend.owner;

        let mut writer = self.table.writer.lock();
        let mut members = self.members(&name);
        let exclusive = matches!(backend.key, RouteKey::Host { .. });
        if exclusive && let Some(holder) = members.iter().find(|member| *member.instance != instance) {
            return Err(
                Failure::new(Code::RouteTaken, format!("{name} leads to {} already", holder.instance))
                    .hint("end that instance first, or choose another name"),
            );
        }
        let member = member_mut(&mut members, &instance);
        if member.latest > attempt {
            return Err(Failure::new(
                Code::RouteTaken,
                format!(
                    "{name} leads to a later attempt ({}) of {instance} already",
                    member.latest
                ),
            )
            .hint(format!("nothing is to be done: attempt {attempt} is over")));
        }
        let same = |upstream: &Upstream| {
            upstream.attempt == attempt && upstream.address == address && *upstream.settings == settings
        };
        if member.upstream.as_deref().is_some_and(same) {
            return Ok(());
        }
        let target = Target {
            instance: Arc::clone(&member.instance),
            attempt,
            name: name.as_str().into(),
            address,
            settings: writer.shared(settings),
        };
        let upstream = Arc::new(Upstream::new(target));
        member.latest = attempt;
        let old = member.upstream.replace(Arc::clone(&upstream));
        self.table.replace(&name, members);
        if let Some(old) = old {
            drain(&mut writer, old, None);
        }
        Ok(())
    }

    pub(crate) fn withdraw(&self, owner: &Owner, key: &RouteKey, drain_timeout: Duration) -> Result<bool, Failure> {
        let name = name_of(key)?;
        let is_owners = |upstream: &Upstream| *upstream.instance == owner.instance && upstream.attempt == owner.attempt;
        let mut writer = self.table.writer.lock();
        let mut members = self.members(&name);
        let registered = members
            .iter_mut()
            .find(|member| member.upstream.as_deref().is_some_and(is_owners));
        if let Some(upstream) = registered.and_then(|member| member.upstream.take()) {
            // First nobody finds it any more, then it refuses those that had found it already.
            self.table.replace(&name, members);
            drain(&mut writer, upstream, Some(Instant::now()));
        }
        let is_same = |draining: &Draining| *draining.upstream.name == *name && is_owners(&draining.upstream);
        let mut over = true;
        writer.draining.retain_mut(|draining| {
            if !is_same(draining) {
                return true;
            }
            let since = *draining.since.get_or_insert_with(Instant::now);
            let ended = draining.upstream.in_flight() == 0 || since.elapsed() >= drain_timeout;
            over &= ended;
            !ended
        });
        Ok(over)
    }

    /// Withdraws an endpoint that nobody uses. In the meantime those who ask for it wait for what is starting; if it stays they find it again.
    pub(crate) fn withdraw_unused(
        &self,
        owner: &Owner,
        key: &RouteKey,
        longer_than: Duration,
    ) -> Result<bool, Failure> {
        let name = name_of(key)?;
        let is_owners = |upstream: &Upstream| *upstream.instance == owner.instance && upstream.attempt == owner.attempt;
        let _writer = self.table.writer.lock();
        let members = self.members(&name);
        let mut without = members.clone();
        let registered = without
            .iter_mut()
            .find(|member| member.upstream.as_deref().is_some_and(is_owners));
        let Some(upstream) = registered.and_then(|member| member.upstream.take()) else {
            return Ok(true);
        };
        // One that is in use is not disturbed to find that out.
        if upstream.unused_for().is_none_or(|idle| idle < longer_than) {
            return Ok(false);
        }
        self.table.replace(&name, without);
        let is_unused = upstream.retire_if_unused(longer_than);
        if !is_unused {
            self.table.replace(&name, members);
        }
        Ok(is_unused)
    }

    /// Endpoints with visitors let through, and none for so long.
    pub(crate) fn unused(&self, longer_than: Duration) -> Vec<Unused> {
        let mut unused = Vec::new();
        self.table.each(|_, route| {
            let open = route.members.iter().filter_map(|member| member.upstream.as_ref());
            unused.extend(open.filter(|upstream| upstream.is_proven()).filter_map(|upstream| {
                let idle = upstream.unused_for().filter(|idle| *idle >= longer_than)?;
                Some(Unused {
                    instance: (*upstream.instance).clone(),
                    attempt: upstream.attempt,
                    idle,
                })
            }));
        });
        unused
    }

    pub(crate) fn announce(&self, instance: &InstanceId, key: &RouteKey, standing: Standing) {
        let Ok(name) = name_of(key) else { return };
        let _writer = self.table.writer.lock();
        let mut members = self.members(&name);
        let exclusive = matches!(key, RouteKey::Host { .. });
        if exclusive && members.iter().any(|member| *member.instance != *instance) {
            tracing::debug!(%instance, name, "announced a host that another instance holds");
            return;
        }
        let member = member_mut(&mut members, instance);
        if member.standing == standing && self.table.route(&name).is_some_and(|route| has(&route, instance)) {
            return;
        }
        member.standing = standing;
        self.table.replace(&name, members);
    }

    pub(crate) fn forget(&self, instance: &InstanceId, key: &RouteKey) {
        let Ok(name) = name_of(key) else { return };
        let mut writer = self.table.writer.lock();
        let (gone, kept): (Vec<_>, Vec<_>) = self
            .members(&name)
            .into_iter()
            .partition(|member| *member.instance == *instance);
        if gone.is_empty() {
            return;
        }
        self.table.replace(&name, kept);
        for upstream in gone.into_iter().filter_map(|member| member.upstream) {
            drain(&mut writer, upstream, None);
        }
    }

    pub(crate) fn all(&self) -> Vec<Registered> {
        let mut all = Vec::new();
        self.table.each(|name, route| {
            let registered = route.members.iter().filter_map(|member| member.upstream.as_ref());
            all.extend(registered.map(|upstream| Registered {
                key: key_of(name),
                endpoint: Endpoint::Address {
                    ip: upstream.address.ip(),
                    port: upstream.address.port(),
                },
                owner: Some(((*upstream.instance).clone(), upstream.attempt)),
                open: Some(upstream.is_proven()),
            }));
        });
        all
    }

    /// The endpoint answered as itself: from now on visitors go there.
    pub(crate) fn open(&self, owner: &Owner, key: &RouteKey) -> Result<(), Failure> {
        let name = name_of(key)?;
        // The lock keeps a writer from putting a route in this one's stead between the mark and the wake.
        let mut writer = self.table.writer.lock();
        let route = self.table.route(&name);
        let registered = route.as_ref().and_then(|route| {
            let mut upstreams = route.members.iter().filter_map(|member| member.upstream.as_ref());
            upstreams.find(|upstream| *upstream.instance == owner.instance && upstream.attempt == owner.attempt)
        });
        let Some((route, upstream)) = route.as_ref().zip(registered) else {
            return Err(Failure::new(
                Code::RouteUnhealthy,
                format!(
                    "attempt {} of {} is not registered behind {name}",
                    owner.attempt, owner.instance
                ),
            )
            .hint("it was withdrawn meanwhile: nothing is to be done"));
        };
        if upstream.prove() {
            writer.newcomers.push(Arc::downgrade(upstream));
            route.changed.notify_waiters();
            self.tell(upstream, None);
            self.news.notify_one();
        }
        Ok(())
    }

    /// What was opened since the last call, for the health checks.
    pub(crate) fn take_newcomers(&self) -> Vec<Weak<Upstream>> {
        std::mem::take(&mut self.table.writer.lock().newcomers)
    }

    /// Of which a request went wrong since the last call, for the health checks.
    pub(crate) fn take_suspects(&self) -> Vec<Weak<Upstream>> {
        std::mem::take(&mut self.table.writer.lock().suspects)
    }

    /// A visitor's request went wrong: it is looked at soon, however calm it was.
    pub(crate) fn suspect(&self, upstream: &Arc<Upstream>) {
        if !upstream.is_retired() && upstream.suspect() {
            self.table.writer.lock().suspects.push(Arc::downgrade(upstream));
            self.news.notify_one();
        }
    }

    /// Takes the outcome of an active check.
    pub(crate) fn checked(&self, upstream: &Upstream, outcome: Result<(), Failure>) {
        if upstream.checked(&outcome) && !upstream.is_retired() {
            self.tell(upstream, outcome.err());
        }
    }

    /// A visitor's connection was refused.
    pub(crate) fn refused(&self, upstream: &Arc<Upstream>, why: &str) {
        self.suspect(upstream);
        if upstream.refused() && !upstream.is_retired() {
            let message = format!("{} does not take connections: {why}", upstream.address);
            self.tell(upstream, Some(Failure::new(Code::RouteUnhealthy, message)));
        }
    }

    fn tell(&self, upstream: &Upstream, failure: Option<Failure>) {
        tracing::info!(instance = %upstream.instance, attempt = %upstream.attempt, healthy = failure.is_none(),
            failure = failure.as_ref().map(|failure| failure.message.as_str()), "a backend's health changed");
        // Nobody may be listening, which is no failure.
        let _ = self.health.send(HealthChange {
            instance: (*upstream.instance).clone(),
            attempt: upstream.attempt,
            healthy: failure.is_none(),
            failure,
        });
    }

    pub(crate) fn health_changes(&self) -> broadcast::Receiver<HealthChange> {
        self.health.subscribe()
    }

    /// Somebody waits on a route: its owner is told, once for each time that it starts.
    pub(crate) fn want(&self, route: &Route) {
        self.tell_owner(route, None);
    }

    /// Somebody waits on a route still: its owner is told again, but no sooner than this after the last time.
    pub(crate) fn want_still(&self, route: &Route, pause: Duration) {
        self.tell_owner(route, Some(pause));
    }

    fn tell_owner(&self, route: &Route, longer_ago: Option<Duration>) {
        if !route.is_to_be_told(longer_ago) {
            return;
        }
        let starting = |member: &&Member| member.upstream.is_none() && member.standing.is_coming();
        if let Some(member) = route.members.iter().find(starting)
            && self.wanted.try_send((*member.instance).clone()).is_err()
        {
            route.want_again();
        }
    }

    /// Closes idle connections, and forgets replaced endpoints whose requests are over.
    pub(crate) fn sweep(&self, backend_idle: Duration) {
        self.table.each(|_, route| {
            for upstream in route.members.iter().filter_map(|member| member.upstream.as_ref()) {
                upstream.pool.sweep(backend_idle);
            }
        });
        let mut writer = self.table.writer.lock();
        writer.draining.retain(|draining| draining.upstream.in_flight() > 0);
    }

    fn members(&self, name: &str) -> Vec<Member> {
        self.table
            .route(name)
            .map(|route| route.members.to_vec())
            .unwrap_or_default()
    }
}

fn drain(writer: &mut Writer, upstream: Arc<Upstream>, since: Option<Instant>) {
    upstream.retire();
    writer.draining.push(Draining { upstream, since });
}

fn has(route: &Route, instance: &InstanceId) -> bool {
    route.members.iter().any(|member| *member.instance == *instance)
}

/// An instance's part in a route, made if it has none.
fn member_mut<'a>(members: &'a mut Vec<Member>, instance: &InstanceId) -> &'a mut Member {
    let at = members
        .iter()
        .position(|member| *member.instance == *instance)
        .unwrap_or_else(|| {
            members.push(Member {
                instance: Arc::new(instance.clone()),
                latest: Attempt::default(),
                standing: Standing::Starting,
                upstream: None,
            });
            members.len() - 1
        });
    &mut members[at]
}

/// The text under which the table keeps a key.
fn name_of(key: &RouteKey) -> Result<String, Failure> {
    let refused = |what: &str| {
        Failure::new(Code::ConfigInvalid, format!("{what} cannot be routed"))
            .hint("a host is a name such as acme.localhost; a prefix begins with / and has at most 16 segments")
    };
    match key {
        RouteKey::Host { host } => {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(plain) {
                return Err(refused(host));
            }
            Ok(host.clone())
        }
        RouteKey::Path { prefix } => {
            if !prefix.starts_with('/') || segments(prefix) > DEEPEST_PREFIX {
                return Err(refused(prefix));
            }
            let trimmed = prefix.trim_end_matches('/');
            Ok(if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
        }
        RouteKey::TargetGroups { .. } => Err(refused("a target group")),
    }
}

fn key_of(name: &str) -> RouteKey {
    if name.starts_with('/') {
        RouteKey::Path {
            prefix: name.to_owned(),
        }
    } else {
        RouteKey::Host { host: name.to_owned() }
    }
}

fn address_of(endpoint: &Endpoint) -> Result<SocketAddr, Failure> {
    let ip = endpoint.ip().ok_or_else(|| {
        Failure::new(
            Code::RouteUnhealthy,
            format!("the address of {} is not known", endpoint.key()),
        )
        .hint("the embedded load balancer reaches tasks by IP address")
    })?;
    Ok(SocketAddr::new(ip, endpoint.port()))
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        Failure::new(Code::ConfigInvalid, format!("{name:?} is not the name of a header"))
            .hint("set identity_header to a name such as x-wharf-instance")
    })
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
