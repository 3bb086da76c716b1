//! The rules of `Routes`, on the table alone.

use super::*;
use crate::table::Found;
use wharf_domain::{DeploymentId, Timestamp, service::HealthCheck};

fn owner(seed: u8, attempt: u32) -> Owner {
    Owner {
        deployment: DeploymentId::new([0; 10]),
        instance: InstanceId::new(Timestamp(1), [seed; 10]),
        attempt: Attempt(attempt),
    }
}

fn host() -> RouteKey {
    RouteKey::Host {
        host: "acme.localhost".to_owned(),
    }
}

fn prefix() -> RouteKey {
    RouteKey::Path {
        prefix: "/api/auth/".to_owned(),
    }
}

fn backend(owner: &Owner, key: RouteKey, port: u16) -> Backend {
    Backend {
        owner: owner.clone(),
        key,
        endpoint: Endpoint::Address {
            ip: [127, 0, 0, 1].into(),
            port,
        },
        identity_header: None,
        health: HealthCheck {
            path: "/".to_owned(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 1,
            unhealthy: 1,
        },
    }
}

fn registry() -> Registry {
    Registry::new().0
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Where a name leads, proven or not.
fn leads_to(registry: &Registry, name: &str) -> Option<SocketAddr> {
    let route = registry.table.route(name)?;
    Some(route.members.first()?.upstream.as_ref()?.address)
}

const NO_TIME: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_hours(1);

#[test]
fn a_host_stays_with_the_instance_that_has_it() {
    let registry = registry();
    registry.register(backend(&owner(1, 1), host(), 1)).unwrap();
    let failure = registry.register(backend(&owner(2, 9), host(), 2)).unwrap_err();
    assert_eq!(failure.code, Code::RouteTaken);
    registry.announce(&owner(2, 9).instance, &host(), Standing::Down);
    registry.forget(&owner(2, 9).instance, &host());
    assert_eq!(leads_to(&registry, "acme.localhost"), Some(at(1)));
}

#[test]
fn a_later_attempt_replaces_an_earlier_one_and_never_the_other_way_round() {
    let registry = registry();
    registry.register(backend(&owner(1, 2), host(), 2)).unwrap();
    registry.register(backend(&owner(1, 3), host(), 3)).unwrap();
    let failure = registry.register(backend(&owner(1, 2), host(), 2)).unwrap_err();
    assert_eq!(failure.code, Code::RouteTaken);
    assert_eq!(leads_to(&registry, "acme.localhost"), Some(at(3)));
    assert!(registry.withdraw(&owner(1, 3), &host(), NO_TIME).unwrap());
    assert!(registry.register(backend(&owner(1, 2), host(), 2)).is_err());
    registry.register(backend(&owner(1, 3), host(), 3)).unwrap();
}

#[test]
fn registering_the_same_again_changes_nothing() {
    let registry = registry();
    registry.register(backend(&owner(1, 1), host(), 1)).unwrap();
    let before = registry.table.route("acme.localhost").unwrap();
    registry.register(backend(&owner(1, 1), host(), 1)).unwrap();
    assert!(Arc::ptr_eq(&before, &registry.table.route("acme.localhost").unwrap()));
    registry.register(backend(&owner(1, 1), host(), 2)).unwrap();
    assert_eq!(leads_to(&registry, "acme.localhost"), Some(at(2)));
}

#[test]
fn a_withdrawal_waits_for_requests_under_way_and_no_longer_than_the_drain() {
    let registry = registry();
    let me = owner(1, 1);
    registry.register(backend(&me, host(), 1)).unwrap();
    registry.open(&me, &host()).unwrap();
    let Found::Backend(visit) = registry.table.find("acme.localhost") else {
        panic!("not served");
    };
    assert!(!registry.withdraw(&me, &host(), LONG).unwrap());
    assert!(matches!(registry.table.find("acme.localhost"), Found::Starting(_)));
    assert!(!registry.withdraw(&me, &host(), LONG).unwrap());
    drop(visit);
    assert!(registry.withdraw(&me, &host(), LONG).unwrap());
    assert!(
        registry.withdraw(&me, &host(), LONG).unwrap(),
        "again is a success again"
    );
}

#[test]
fn a_drain_that_takes_too_long_is_over() {
    let registry = registry();
    let me = owner(1, 1);
    registry.register(backend(&me, host(), 1)).unwrap();
    registry.open(&me, &host()).unwrap();
    let found = registry.table.find("acme.localhost");
    assert!(registry.withdraw(&me, &host(), NO_TIME).unwrap());
    drop(found);
}

#[test]
fn withdrawing_an_earlier_attempt_leaves_the_later_one_and_waits_for_its_own_requests() {
    let registry = registry();
    registry.register(backend(&owner(1, 1), host(), 1)).unwrap();
    registry.open(&owner(1, 1), &host()).unwrap();
    let found = registry.table.find("acme.localhost");
    registry.register(backend(&owner(1, 2), host(), 2)).unwrap();
    assert!(!registry.withdraw(&owner(1, 1), &host(), LONG).unwrap());
    assert_eq!(leads_to(&registry, "acme.localhost"), Some(at(2)));
    drop(found);
    assert!(registry.withdraw(&owner(1, 1), &host(), LONG).unwrap());
    assert_eq!(leads_to(&registry, "acme.localhost"), Some(at(2)));
}

#[test]
fn what_was_announced_is_told_while_nothing_is_registered() {
    let registry = registry();
    let me = owner(1, 1);
    registry.announce(&me.instance, &host(), Standing::Stopped);
    assert!(matches!(
        registry.table.find("acme.localhost"),
        Found::Standing(Standing::Stopped)
    ));
    registry.announce(&me.instance, &host(), Standing::Starting);
    assert!(matches!(registry.table.find("acme.localhost"), Found::Starting(_)));
    registry.register(backend(&me, host(), 1)).unwrap();
    registry.announce(&me.instance, &host(), Standing::Down);
    assert_eq!(
        leads_to(&registry, "acme.localhost"),
        Some(at(1)),
        "an announcement takes nothing away"
    );
    assert!(registry.withdraw(&me, &host(), NO_TIME).unwrap());
    assert!(matches!(
        registry.table.find("acme.localhost"),
        Found::Standing(Standing::Down)
    ));
    registry.forget(&me.instance, &host());
    assert!(matches!(registry.table.find("acme.localhost"), Found::Nobody));
}

#[test]
fn instances_share_a_prefix_and_leave_it_one_by_one() {
    let registry = registry();
    for seed in 1..=3 {
        registry
            .register(backend(&owner(seed, 1), prefix(), u16::from(seed)))
            .unwrap();
    }
    assert_eq!(registry.all().len(), 3);
    assert!(
        registry
            .all()
            .iter()
            .all(|registered| registered.key == key_of("/api/auth"))
    );
    assert!(registry.withdraw(&owner(1, 1), &prefix(), NO_TIME).unwrap());
    assert_eq!(registry.all().len(), 2);
    for seed in 1..=3 {
        registry.forget(&owner(seed, 1).instance, &prefix());
    }
    assert!(registry.all().is_empty());
    assert!(matches!(registry.table.find("/api/auth"), Found::Nobody));
}

#[test]
fn what_cannot_be_routed_is_refused() {
    let registry = registry();
    let key = |host: &str| RouteKey::Host { host: host.to_owned() };
    for bad in [key(""), key("Acme.localhost"), key("a/b"), key("a:80")] {
        let failure = registry.register(backend(&owner(1, 1), bad, 1)).unwrap_err();
        assert_eq!(failure.code, Code::ConfigInvalid);
    }
    let deep = RouteKey::Path {
        prefix: "/a".repeat(17),
    };
    assert!(registry.register(backend(&owner(1, 1), deep, 1)).is_err());
    let nowhere = Backend {
        endpoint: Endpoint::Host {
            ec2_instance: "i-1".to_owned(),
            ip: None,
            port: 1,
        },
        ..backend(&owner(1, 1), host(), 1)
    };
    assert_eq!(registry.register(nowhere).unwrap_err().code, Code::RouteUnhealthy);
}

#[test]
fn the_owner_is_told_once_that_somebody_waits() {
    let (registry, mut wanted) = Registry::new();
    let me = owner(1, 1).instance;
    registry.announce(&me, &host(), Standing::Starting);
    for _ in 0..3 {
        let Found::Starting(route) = registry.table.find("acme.localhost") else {
            panic!("not starting");
        };
        registry.want(&route);
    }
    assert_eq!(wanted.try_recv().ok(), Some(me));
    assert!(wanted.try_recv().is_err());
}

#[test]
fn a_swept_registry_remembers_only_drains_with_requests() {
    let registry = registry();
    registry.register(backend(&owner(1, 1), host(), 1)).unwrap();
    registry.register(backend(&owner(1, 2), host(), 2)).unwrap();
    assert_eq!(registry.table.writer.lock().draining.len(), 1);
    registry.sweep(LONG);
    assert!(registry.table.writer.lock().draining.is_empty());
}
