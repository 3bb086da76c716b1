//! The contract of [`Routes`]: what every load balancer does with a route, as checks that run one by one against any adapter.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::routes_contract!(real make)` (or `paused make`)
//! in a test module of its own. How it proxies (headers, streams, bodies) it tests itself.

use futures::future::BoxFuture;
use std::{any::Any, fmt, sync::Arc, time::Duration};
use wharf_domain::{Attempt, Code, DeploymentId, Endpoint, InstanceId, service::HealthCheck};
use wharf_platform::{Backend, Owner, RouteKey, Routes, Standing};

use super::harness::{eventually, some_owner};

/// Makes a `#[test]` of every check, with load balancers that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real` or `paused`.
#[macro_export]
macro_rules! routes_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { routes, $time $make:
            an_opened_route_leads_to_its_instance,
            a_registered_endpoint_is_listed_with_its_owner,
            what_lets_nobody_through_is_listed_so,
            a_registration_said_again_changes_nothing,
            a_host_has_one_instance,
            a_path_may_have_several,
            a_later_attempt_replaces_an_earlier_one,
            an_earlier_attempt_does_not_replace_a_later_one,
            a_withdrawn_route_leads_nowhere,
            a_withdrawal_said_again_is_a_success,
            a_withdrawal_of_what_never_was_is_a_success,
            a_withdrawal_waits_for_requests_under_way,
            a_withdrawal_waits_no_longer_than_the_drain,
            a_withdrawal_does_not_touch_another_attempt,
            a_withdrawn_host_is_free_for_another,
            an_announcement_does_not_touch_a_route,
            who_is_used_is_not_withdrawn_for_being_unused,
            what_was_never_registered_is_withdrawn_already,
        }
    };
}

/// Starts something that answers as this owner's task, for as long as the fixture lives, and gives its address.
pub type Upstream = Box<dyn Fn(Owner) -> BoxFuture<'static, Endpoint> + Send + Sync>;
/// Who answers a visitor of a route now; `None` where it is the load balancer itself.
pub type Visit = Box<dyn Fn(RouteKey) -> BoxFuture<'static, Option<InstanceId>> + Send + Sync>;
/// Begins a request that reaches its upstream and is not over until what comes back is called.
pub type Linger = Box<dyn Fn(RouteKey) -> BoxFuture<'static, EndRequest> + Send + Sync>;
pub type EndRequest = Box<dyn FnOnce() + Send>;

/// A load balancer without routes, and what must live as long as it does.
pub struct Fixture {
    pub routes: Arc<dyn Routes>,
    pub deployment: DeploymentId,
    pub upstream: Upstream,
    pub visit: Visit,
    pub linger: Linger,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// Longer than a check takes.
const LONG_DRAIN: Duration = Duration::from_mins(2);
const SHORT_DRAIN: Duration = Duration::from_millis(100);

fn host(name: &str) -> RouteKey {
    RouteKey::Host {
        host: format!("{name}.localhost"),
    }
}

fn path() -> RouteKey {
    RouteKey::Path {
        prefix: "/api/contract".to_owned(),
    }
}

fn next(owner: &Owner) -> Owner {
    Owner {
        attempt: Attempt(owner.attempt.0 + 1),
        ..owner.clone()
    }
}

impl Fixture {
    fn owner(&self) -> Owner {
        some_owner(&self.deployment)
    }

    async fn backend(&self, owner: &Owner, key: &RouteKey) -> Backend {
        Backend {
            owner: owner.clone(),
            key: key.clone(),
            endpoint: (self.upstream)(owner.clone()).await,
            identity_header: None,
            health: HealthCheck {
                path: "/".to_owned(),
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
                healthy: 1,
                unhealthy: 3,
            },
        }
    }

    /// Puts an upstream of this owner behind a route, and waits until visitors get there.
    async fn route(&self, owner: &Owner, key: &RouteKey) {
        let backend = self.backend(owner, key).await;
        self.routes.register(backend).await.expect("registered");
        self.routes.open(owner, key).await.expect("opened");
        self.until_answered_by(owner, key).await;
    }

    async fn until_answered_by(&self, owner: &Owner, key: &RouteKey) {
        eventually("a visitor gets there", async || {
            ((self.visit)(key.clone()).await.as_ref() == Some(&owner.instance)).then_some(())
        })
        .await;
    }

    async fn withdraw(&self, owner: &Owner, key: &RouteKey, drain: Duration) -> bool {
        let registered = self.routes.all(std::slice::from_ref(key)).await.expect("listed");
        let endpoint = registered
            .into_iter()
            .find(|at| at.owner.as_ref() == Some(&(owner.instance.clone(), owner.attempt)))
            .map(|at| at.endpoint);
        self.routes
            .withdraw(owner, key, endpoint.as_ref(), drain)
            .await
            .expect("withdrawn")
    }

    async fn until_withdrawn(&self, owner: &Owner, key: &RouteKey, drain: Duration) {
        eventually("it is drained", async || {
            self.withdraw(owner, key, drain).await.then_some(())
        })
        .await;
    }

    async fn visitor_gets(&self, key: &RouteKey) -> Option<InstanceId> {
        (self.visit)(key.clone()).await
    }

    async fn listed(&self) -> Vec<(InstanceId, Attempt, RouteKey)> {
        let all = self.routes.all(&[]).await.expect("listed");
        let mut all: Vec<_> = all
            .into_iter()
            .filter_map(|registered| {
                let (instance, attempt) = registered.owner?;
                Some((instance, attempt, registered.key))
            })
            .collect();
        all.sort();
        all
    }
}

pub async fn an_opened_route_leads_to_its_instance(fixture: Fixture) {
    for key in [host("acme"), path()] {
        assert_eq!(fixture.visitor_gets(&key).await, None, "before");
        let owner = fixture.owner();
        fixture.route(&owner, &key).await;
    }
    assert_eq!(fixture.visitor_gets(&host("bolt")).await, None, "another host");
}

pub async fn a_registered_endpoint_is_listed_with_its_owner(fixture: Fixture) {
    let (acme, auth) = (fixture.owner(), fixture.owner());
    assert_eq!(fixture.listed().await, []);
    fixture.route(&acme, &host("acme")).await;
    fixture.route(&auth, &path()).await;
    let expected = [
        (acme.instance, acme.attempt, host("acme")),
        (auth.instance, auth.attempt, path()),
    ];
    assert_eq!(fixture.listed().await, expected);
}

pub async fn what_lets_nobody_through_is_listed_so(fixture: Fixture) {
    for key in [host("acme"), path()] {
        let owner = fixture.owner();
        let is_open = async || {
            let all = fixture.routes.all(std::slice::from_ref(&key)).await.expect("listed");
            let whose = Some((owner.instance.clone(), owner.attempt));
            let listed = all.into_iter().find(|registered| registered.owner == whose);
            listed.expect("it is listed").open
        };
        let backend = fixture.backend(&owner, &key).await;
        fixture.routes.register(backend).await.expect("registered");
        assert_eq!(is_open().await, Some(false), "it has not answered for itself");
        assert_eq!(fixture.visitor_gets(&key).await, None);
        fixture.routes.open(&owner, &key).await.expect("opened");
        assert_eq!(is_open().await, Some(true));
        fixture.until_answered_by(&owner, &key).await;
    }
}

pub async fn a_registration_said_again_changes_nothing(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    let backend = fixture.backend(&owner, &key).await;
    for _ in 0..2 {
        fixture.routes.register(backend.clone()).await.expect("registered");
        fixture.routes.open(&owner, &key).await.expect("opened");
    }
    fixture.routes.register(backend).await.expect("registered");
    fixture.until_answered_by(&owner, &key).await;
    assert_eq!(fixture.listed().await.len(), 1);
}

pub async fn a_host_has_one_instance(fixture: Fixture) {
    let (first, second) = (fixture.owner(), fixture.owner());
    let key = host("acme");
    fixture.route(&first, &key).await;
    let late = fixture.backend(&second, &key).await;
    let refused = fixture.routes.register(late).await.expect_err("it is another's");
    assert_eq!(refused.code, Code::RouteTaken);
    assert_eq!(fixture.visitor_gets(&key).await, Some(first.instance.clone()));
    assert!(
        fixture.withdraw(&second, &key, SHORT_DRAIN).await,
        "of its own there is nothing"
    );
    assert_eq!(fixture.visitor_gets(&key).await, Some(first.instance));
}

pub async fn a_path_may_have_several(fixture: Fixture) {
    let (first, second) = (fixture.owner(), fixture.owner());
    let key = path();
    fixture.route(&first, &key).await;
    fixture.route(&second, &key).await;
    assert_eq!(fixture.listed().await.len(), 2);
    fixture.until_withdrawn(&second, &key, SHORT_DRAIN).await;
    fixture.until_answered_by(&first, &key).await;
    let expected = [(first.instance, first.attempt, key)];
    assert_eq!(fixture.listed().await, expected);
}

pub async fn a_later_attempt_replaces_an_earlier_one(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    fixture.route(&owner, &key).await;
    fixture.route(&next(&owner), &key).await;
    assert_eq!(fixture.listed().await, [(owner.instance, Attempt(2), key)]);
}

pub async fn an_earlier_attempt_does_not_replace_a_later_one(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    fixture.route(&next(&owner), &key).await;
    let stale = fixture.backend(&owner, &key).await;
    // A failure, or a success that did nothing.
    let _ = fixture.routes.register(stale).await;
    let _ = fixture.routes.open(&owner, &key).await;
    assert_eq!(
        fixture.listed().await,
        [(owner.instance.clone(), Attempt(2), key.clone())]
    );
    assert_eq!(fixture.visitor_gets(&key).await, Some(owner.instance));
}

pub async fn a_withdrawn_route_leads_nowhere(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    fixture.route(&owner, &key).await;
    fixture.withdraw(&owner, &key, LONG_DRAIN).await;
    assert_eq!(fixture.visitor_gets(&key).await, None, "at once");
    fixture.until_withdrawn(&owner, &key, LONG_DRAIN).await;
    assert_eq!(fixture.listed().await, []);
}

pub async fn a_withdrawal_said_again_is_a_success(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), path());
    fixture.route(&owner, &key).await;
    fixture.until_withdrawn(&owner, &key, SHORT_DRAIN).await;
    assert!(fixture.withdraw(&owner, &key, SHORT_DRAIN).await);
}

pub async fn a_withdrawal_of_what_never_was_is_a_success(fixture: Fixture) {
    assert!(fixture.withdraw(&fixture.owner(), &host("acme"), SHORT_DRAIN).await);
    assert!(fixture.withdraw(&fixture.owner(), &path(), SHORT_DRAIN).await);
}

pub async fn a_withdrawal_waits_for_requests_under_way(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    fixture.route(&owner, &key).await;
    let end = (fixture.linger)(key.clone()).await;
    assert!(
        !fixture.withdraw(&owner, &key, LONG_DRAIN).await,
        "a request is under way"
    );
    assert!(!fixture.withdraw(&owner, &key, LONG_DRAIN).await, "and still is");
    assert_eq!(fixture.visitor_gets(&key).await, None, "new ones do not get there");
    end();
    fixture.until_withdrawn(&owner, &key, LONG_DRAIN).await;
}

pub async fn a_withdrawal_waits_no_longer_than_the_drain(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    fixture.route(&owner, &key).await;
    let end = (fixture.linger)(key.clone()).await;
    assert!(
        !fixture.withdraw(&owner, &key, SHORT_DRAIN).await,
        "a request is under way"
    );
    fixture.until_withdrawn(&owner, &key, SHORT_DRAIN).await;
    end();
}

pub async fn a_withdrawal_does_not_touch_another_attempt(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    fixture.route(&next(&owner), &key).await;
    assert!(
        fixture.withdraw(&owner, &key, SHORT_DRAIN).await,
        "of this attempt there is nothing"
    );
    assert_eq!(fixture.visitor_gets(&key).await, Some(owner.instance));
}

pub async fn a_withdrawn_host_is_free_for_another(fixture: Fixture) {
    let (first, second) = (fixture.owner(), fixture.owner());
    let key = host("acme");
    fixture.route(&first, &key).await;
    fixture.until_withdrawn(&first, &key, SHORT_DRAIN).await;
    fixture.routes.forget(&first.instance, &key);
    fixture.route(&second, &key).await;
}

pub async fn an_announcement_does_not_touch_a_route(fixture: Fixture) {
    let (owner, stranger) = (fixture.owner(), fixture.owner());
    let key = host("acme");
    fixture.routes.announce(&owner.instance, &key, Standing::Starting);
    fixture.route(&owner, &key).await;
    for standing in [Standing::Starting, Standing::Queued, Standing::Stopped, Standing::Down] {
        fixture.routes.announce(&stranger.instance, &key, standing);
    }
    fixture.routes.forget(&stranger.instance, &key);
    assert_eq!(fixture.visitor_gets(&key).await, Some(owner.instance));
}

/// Whether the load balancer knows who is used; where it does not, it withdraws nobody for that.
async fn knows_who_is_used(fixture: &Fixture, owner: &Owner, key: &RouteKey) -> bool {
    let unused = fixture.routes.unused(Duration::ZERO).await.expect("told");
    if unused.is_none() {
        let withdrawn = fixture.routes.withdraw_unused(owner, key, Duration::ZERO).await;
        assert_eq!(withdrawn, Ok(false));
    }
    unused.is_some()
}

pub async fn who_is_used_is_not_withdrawn_for_being_unused(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    fixture.route(&owner, &key).await;
    if !knows_who_is_used(&fixture, &owner, &key).await {
        return;
    }
    let routes = &fixture.routes;
    let is_unused = async |longer_than| {
        let unused = routes.unused(longer_than).await.expect("told").expect("known");
        unused
            .iter()
            .any(|unused| unused.instance == owner.instance && unused.attempt == owner.attempt)
    };
    let withdraw = async |longer_than| routes.withdraw_unused(&owner, &key, longer_than).await.expect("done");
    assert!(is_unused(Duration::ZERO).await && !is_unused(LONG_DRAIN).await);
    assert!(!withdraw(LONG_DRAIN).await, "it has not been unused for so long");
    let end = (fixture.linger)(key.clone()).await;
    assert!(
        !is_unused(Duration::ZERO).await && !withdraw(Duration::ZERO).await,
        "a request is under way"
    );
    end();
    eventually("the request is over", async || {
        is_unused(Duration::ZERO).await.then_some(())
    })
    .await;
    assert_eq!(fixture.visitor_gets(&key).await, Some(owner.instance.clone()));
    eventually("nobody uses it", async || withdraw(Duration::ZERO).await.then_some(())).await;
    assert_eq!(fixture.visitor_gets(&key).await, None);
    fixture.route(&owner, &key).await;
}

pub async fn what_was_never_registered_is_withdrawn_already(fixture: Fixture) {
    let (owner, key) = (fixture.owner(), host("acme"));
    if knows_who_is_used(&fixture, &owner, &key).await {
        let withdrawn = fixture.routes.withdraw_unused(&owner, &key, LONG_DRAIN).await;
        assert_eq!(withdrawn, Ok(true));
    }
}
