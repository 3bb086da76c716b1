//! What an instance has to itself, its routes, its mails; how a difference came about; and a registry that is older than the world.

use std::time::Duration;
use wharf_domain::{Attempt, Code, Endpoint, InstanceId, service::RouteRule};
use wharf_platform::{Backend, RouteKey};
use wharf_provisioning::repair::{Class, Finding, Mend, Outcome, Subject};
use wharf_saga::store::{Batch, Expect, Kind, LeaseChange, Release, Reserve, Store};
use wharf_testkit::{
    contracts::harness::some_instance,
    sim::{Mishap, SimWharf, When, services, wharf::sign_up},
};

use crate::repairing::{ended, host, mend, ours, plan, plant_route, texts};

const SECOND: Duration = Duration::from_secs(1);

async fn commit(wharf: &SimWharf, id: &InstanceId, reserve: &[(Kind, &str)], release: &[(Kind, &str)]) {
    let now = wharf.world.now();
    let reserve = reserve.iter().map(|(kind, key)| Reserve {
        kind: *kind,
        key: (*key).to_owned(),
        value: String::new(),
        until: None,
        now,
    });
    let release = release.iter().map(|(kind, key)| Release {
        kind: *kind,
        key: (*key).to_owned(),
        rest_until: None,
        must_hold: true,
    });
    let batch = Batch {
        reserve: reserve.collect(),
        release: release.collect(),
        ..Batch::new(id.clone(), Expect::Anything, LeaseChange::Keep)
    };
    wharf.store.commit(batch).await.expect("committed");
}

/// The only finding.
async fn only(wharf: &SimWharf) -> Finding {
    let mut found = plan(wharf).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

#[tokio::test(start_paused = true)]
async fn what_an_instance_holds_and_nothing_reserves_is_reserved_again() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "direct").await;
    let held = wharf.record(&id).await.data.held;
    let (port, endpoint) = (
        held.port.expect("a port").to_string(),
        held.endpoint.expect("an endpoint").key(),
    );
    let rights = [
        (Kind::Name, "acme"),
        (Kind::Port, port.as_str()),
        (Kind::Endpoint, endpoint.as_str()),
    ];
    commit(&wharf, &id, &[], &rights).await;
    let found = plan(&wharf).await;
    let subjects: Vec<Subject> = found.iter().map(|finding| finding.subject).collect();
    assert_eq!(found.len(), 3, "{found:#?}");
    for subject in [Subject::Name, Subject::Port, Subject::Endpoint] {
        assert!(subjects.contains(&subject), "{subjects:?}");
    }
    mend(&wharf).await;
    assert_eq!(plan(&wharf).await, []);
    for (kind, key) in rights {
        let reservation = wharf
            .store
            .reservation(kind, key)
            .await
            .expect("read")
            .expect("reserved");
        assert_eq!((reservation.owner, reservation.resting), (id.clone(), false));
    }
    assert_eq!(wharf.record(&id).await.data.attempt, Attempt(1), "it was not touched");
}

#[tokio::test(start_paused = true)]
async fn what_a_live_instance_has_and_does_not_hold_is_given_back() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    commit(&wharf, &id, &[(Kind::Port, "8003"), (Kind::Name, "other")], &[]).await;
    let found = only(&wharf).await;
    assert!(
        found.what.contains("port 8003") && found.what.contains("name other"),
        "{found:?}"
    );
    assert_eq!(found.class, Some(Class::Safe));
    mend(&wharf).await;
    assert_eq!(plan(&wharf).await, []);
    wharf.serves(&wharf.record(&id).await.data).expect("it serves");
}

#[tokio::test(start_paused = true)]
async fn what_two_instances_hold_a_person_decides_on() {
    let wharf = SimWharf::new(1).await;
    let acme = wharf.ready("acme", "shop").await;
    let bolt = wharf.ready("bolt", "shop").await;
    let endpoint = wharf.record(&acme).await.data.held.endpoint.expect("an endpoint").key();
    commit(&wharf, &acme, &[], &[(Kind::Endpoint, &endpoint)]).await;
    commit(&wharf, &bolt, &[(Kind::Endpoint, &endpoint)], &[]).await;
    let found = plan(&wharf).await;
    let decided: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.instance == Some(acme.clone()))
        .collect();
    assert!(
        decided.len() == 1 && decided[0].mend.is_none() && decided[0].hint.is_some(),
        "{found:#?}"
    );
    // The other one gives back what it does not hold; then the first can have it again.
    mend(&wharf).await;
    assert_eq!(plan(&wharf).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_lets_nobody_through_or_leads_elsewhere_is_led_anew_and_the_task_stays() {
    for elsewhere in [false, true] {
        let wharf = SimWharf::new(1).await;
        let id = wharf.ready("acme", "shop").await;
        let instance = wharf.record(&id).await.data;
        let (routes, owner) = (wharf.world.platform().routes, ours(&wharf, id.clone(), 1));
        let mut backend = Backend {
            owner: owner.clone(),
            key: host("acme"),
            endpoint: instance.held.endpoint.clone().expect("an endpoint"),
            identity_header: None,
            health: instance.service.health.clone(),
        };
        if elsewhere {
            backend.endpoint = Endpoint::Address {
                ip: [10, 9, 9, 9].into(),
                port: 1,
            };
        } else {
            routes
                .withdraw(&owner, &host("acme"), None, Duration::ZERO)
                .await
                .expect("withdrawn");
        }
        routes.register(backend).await.expect("registered");
        let found = only(&wharf).await;
        assert!(matches!(found.mend, Some(Mend::Reroute { .. })), "{found:?}");
        mend(&wharf).await;
        wharf.until(&id, "ready").await;
        let after = wharf.record(&id).await.data;
        wharf.serves(&after).expect("it serves");
        assert_eq!((after.attempt, wharf.world.tasks(&id).len()), (Attempt(1), 1));
        assert_eq!(plan(&wharf).await, []);
    }
}

/// A registration that was on its way for so long that another instance has the address by now.
#[tokio::test(start_paused = true)]
async fn a_target_that_leads_others_to_a_live_task_is_withdrawn_and_the_task_keeps_its_address() {
    let group = |name: &str| RouteKey::TargetGroups {
        arns: vec![services::target_group(name)],
        rule: None,
    };
    let wharf = SimWharf::with(1, |_, settings| {
        for service in settings.services.values_mut() {
            service.route = RouteRule::TargetGroups {
                arns: vec![services::target_group(service.name.as_str())],
                rule: None,
                url: Some("https://api.example.com".to_owned()),
            };
        }
    })
    .await;
    let late = wharf.ready("late", "site").await;
    wharf.wharf().end(&late).await.expect("asked for");
    wharf.until(&late, "ended").await;
    let id = wharf.ready("acme", "shop").await;
    let instance = wharf.record(&id).await.data;
    let backend = Backend {
        owner: ours(&wharf, late, 1),
        key: group("site"),
        endpoint: instance.held.endpoint.clone().expect("an endpoint"),
        identity_header: None,
        health: instance.service.health.clone(),
    };
    let routes = wharf.world.platform().routes;
    routes.register(backend).await.expect("registered");
    assert!(matches!(only(&wharf).await.mend, Some(Mend::WithdrawRoute { .. })));
    mend(&wharf).await;
    assert_eq!(wharf.world.routes(&group("site")).len(), 0);
    assert_eq!(wharf.serves(&wharf.record(&id).await.data), Ok(()));
    assert_eq!(plan(&wharf).await, [], "its address is reserved as before");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_nothing_answers_behind_is_led_to_a_new_attempt() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    let owner = ours(&wharf, id.clone(), 1);
    let routes = wharf.world.platform().routes;
    routes
        .withdraw(&owner, &host("acme"), None, Duration::ZERO)
        .await
        .expect("withdrawn");
    // The task is there, and its prober never gets through again.
    wharf
        .world
        .faults()
        .order("prober.probe", When::Chance(1.0), Mishap::Before(Code::RouteUnhealthy));
    let done = wharf.wharf().repair_apply(plan(&wharf).await, Class::Safe).await;
    assert_eq!(done.len(), 1, "{done:?}");
    tokio::time::sleep(Duration::from_mins(2)).await;
    wharf.world.faults().clear();
    wharf.until(&id, "ready").await;
    let after = wharf.record(&id).await.data;
    assert!(after.attempt > Attempt(1));
    wharf.serves(&after).expect("it serves");
}

/// The registry of an hour ago: it knows of the first attempt, and the world has come further.
#[tokio::test(start_paused = true)]
async fn a_registry_that_is_older_than_the_world_goes_on_from_there() {
    for (state, with_route) in [("ready", false), ("ready", true), ("stopped", false), ("stopped", true)] {
        let wharf = SimWharf::new(1).await;
        let id = wharf.ready("acme", "shop").await;
        assert!(wharf.world.write_row("user_acme", "order", "1"));
        if state == "stopped" {
            wharf.wharf().stop(&id).await.expect("asked for");
            wharf.until(&id, "stopped").await;
        }
        let later = ours(&wharf, id.clone(), 9);
        if with_route {
            plant_route(&wharf, later, host("acme"));
        } else {
            wharf.world.plant_task(later, &services::shop().name);
        }
        let found = plan(&wharf).await;
        assert!(
            found.iter().any(|finding| matches!(
                finding.mend,
                Some(Mend::Overtake {
                    attempt: Attempt(9),
                    ..
                })
            )),
            "{state}: {found:#?}"
        );
        for _ in 0..2 {
            mend(&wharf).await;
        }
        let view = wharf.until(&id, state).await;
        assert!(view.attempt >= Attempt(9), "{state}: {view:?}");
        assert_eq!(plan(&wharf).await, [], "{state}");
        if state == "ready" {
            wharf.serves(&wharf.record(&id).await.data).expect("it serves");
        } else {
            assert!(wharf.world.live_tasks(&id).is_empty() && wharf.world.routes(&host("acme")).is_empty());
            wharf.wharf().start(&id).await.expect("asked for");
            tokio::time::sleep(Duration::from_millis(1)).await;
            wharf.until(&id, "ready").await;
            wharf.serves(&wharf.record(&id).await.data).expect("it serves");
        }
        assert_eq!(wharf.world.database("user_acme").expect("a database").rows.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_registry_does_not_know_says_that_it_is_newer() {
    let wharf = SimWharf::new(1).await;
    wharf.ready("acme", "shop").await;
    tokio::time::sleep(SECOND).await;
    let newer = InstanceId::new(wharf.world.now(), [9; 10]);
    wharf.world.plant_secrets(&newer);
    wharf.world.plant_secrets(&some_instance());
    let found = plan(&wharf).await;
    let cause = |id: &InstanceId| {
        let finding = found.iter().find(|finding| finding.instance.as_ref() == Some(id));
        finding.and_then(|finding| finding.cause.clone()).expect("a cause")
    };
    assert!(
        cause(&newer).contains("newer than all that the registry knows"),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .all(|finding| finding.class == Some(Class::Unknown) && finding.hint.is_some())
    );
}

#[tokio::test(start_paused = true)]
async fn what_came_again_says_so() {
    let wharf = SimWharf::new(1).await;
    let id = ended(&wharf, "acme").await;
    wharf.world.plant_secrets(&id);
    let cause = only(&wharf).await.cause.expect("a cause");
    assert!(cause.contains("it was taken away, and came again"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_was_given_up_is_told_and_sent_again_by_who_asks_for_it() {
    let wharf = SimWharf::new(1).await;
    wharf.world.refuse_mailbox(&sign_up("acme", None).tenant.admin_email);
    wharf.ready("acme", "shop").await;
    tokio::time::sleep(SECOND).await;
    let found = only(&wharf).await;
    assert_eq!((found.subject, found.class), (Subject::Mail, Some(Class::Asked)));
    assert!(
        found.what.contains("to acme was given up after 1 tries") && found.cause.is_some() && found.hint.is_some(),
        "{found:?}"
    );
    assert!(!found.what.contains("admin@"), "no address: it may stand in a log");
    assert_eq!(wharf.wharf().repair_apply(vec![found.clone()], Class::Safe).await, []);
    wharf.world.accept_mailboxes();
    let done = wharf.wharf().repair_apply(vec![found], Class::Asked).await;
    assert_eq!(done[0].outcome, Outcome::Done, "{done:?}");
    tokio::time::sleep(SECOND).await;
    assert_eq!(wharf.world.mails().len(), 1);
    assert_eq!(plan(&wharf).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_nobody_hands_over_is_told() {
    let wharf = SimWharf::new(1).await;
    let never = Mishap::Slow(Duration::from_hours(10));
    wharf.world.faults().order("mailer.send", When::Always, never);
    wharf.ready("acme", "shop").await;
    tokio::time::sleep(Duration::from_mins(9)).await;
    assert_eq!(plan(&wharf).await, []);
    tokio::time::sleep(Duration::from_mins(2)).await;
    let found = only(&wharf).await;
    assert!(
        texts(std::slice::from_ref(&found))[0].contains("is due for 11 minutes"),
        "{found:?}"
    );
    assert!(found.mend.is_none() && found.hint.is_some());
}
