//! Who gets in: names, ports, singletons, limits, repeated requests, and hundreds at once.

use futures::future::join_all;
use std::time::Duration;
use wharf_domain::{Code, DeploymentId, Endpoint, Failure, InstanceId, request::TriggerKey};
use wharf_platform::Owner;
use wharf_provisioning::{Accepted, Caller, Wharf};
use wharf_saga::store::{Batch, Expect, Index, Kind, LeaseChange, Query, RecordWrite, Reserve, Store};
use wharf_testkit::{
    contracts::harness::{some_instance, some_owner},
    sim::{
        Answers, Behaviour, SimWharf, services,
        wharf::{code, sign_up, start},
    },
};

const DAY: Duration = Duration::from_hours(24);

async fn provision(wharf: &SimWharf, name: &str, service: &str) -> Result<Accepted, Failure> {
    wharf
        .wharf()
        .provision(sign_up(name, Some(service)), Caller::Visitor, None)
        .await
}

async fn ended(wharf: &SimWharf, id: &InstanceId) {
    wharf.wharf().end(id).await.expect("asked for");
    wharf.until(id, "ended").await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_operator_keeps_is_refused() {
    let wharf = SimWharf::new(1).await;
    assert_eq!(code(&wharf.sign_up("ours").await), Some(Code::NameReserved));
    assert_eq!(wharf.store.commits(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_refused_with_a_suggestion_and_without_a_token() {
    let wharf = SimWharf::new(1).await;
    wharf.ready("acme", "shop").await;
    let failure = wharf.sign_up("acme").await.expect_err("taken");
    assert_eq!(failure.code, Code::NameTaken);
    assert!(failure.hint.is_some_and(|hint| hint.contains("acme-")));
    let other = provision(&wharf, "acme", "site").await;
    assert_eq!(code(&other), Some(Code::NameTaken), "for another service too");
}

/// A registry that shares a table with another program says so by an owner of whom there is no record.
#[tokio::test(start_paused = true)]
async fn a_name_that_another_program_has_is_taken_for_everybody() {
    let wharf = SimWharf::new(1).await;
    let theirs = Batch {
        reserve: vec![Reserve {
            kind: Kind::Name,
            key: "acme".to_owned(),
            value: String::new(),
            until: None,
            now: wharf.world.now(),
        }],
        ..Batch::new(some_instance(), Expect::Anything, LeaseChange::Keep)
    };
    wharf.store.commit(theirs).await.expect("free so far");
    for caller in [Caller::Visitor, Caller::Admin] {
        let refused = wharf.wharf().provision(sign_up("acme", None), caller, None).await;
        assert_eq!(code(&refused), Some(Code::NameTaken), "{caller:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_operator_who_asks_again_gets_the_same_instance_and_no_token() {
    let wharf = SimWharf::new(1).await;
    let ask = async |caller| wharf.wharf().provision(sign_up("acme", None), caller, None).await;
    let first = ask(Caller::Admin).await.expect("accepted");
    let again = ask(Caller::Admin).await.expect("the same");
    assert_eq!(
        (&again.id, again.replayed, again.token.is_none()),
        (&first.id, true, true)
    );
    assert_eq!(code(&ask(Caller::Visitor).await), Some(Code::NameTaken));
    let mut other = sign_up("acme", None);
    other.tenant.company_name = "Another Ltd".parse().expect("a company");
    let other = wharf.wharf().provision(other, Caller::Admin, None).await;
    assert_eq!(code(&other), Some(Code::NameTaken));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_ready_rests_and_then_is_free() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    ended(&wharf, &id).await;
    assert_eq!(code(&wharf.sign_up("acme").await), Some(Code::NameResting));
    assert_eq!(code(&wharf.wharf().find("acme").await), Some(Code::InstanceUnknown));
    tokio::time::advance(29 * DAY).await;
    assert_eq!(code(&wharf.sign_up("acme").await), Some(Code::NameResting));
    tokio::time::advance(DAY).await;
    let next = wharf.sign_up("acme").await.expect("free");
    wharf.until(&next.id, "ready").await;
    assert_eq!(
        wharf.world.database("user_acme").expect("a database").rows.len(),
        0,
        "nothing of the one before"
    );
    let past = wharf.wharf().show(&id).await.expect("still readable");
    assert_eq!((past.status.as_str(), past.clean), ("ended", true));
}

#[tokio::test(start_paused = true)]
async fn of_five_hundred_claims_of_one_name_one_wins() {
    let wharf = SimWharf::new(1).await;
    let claims = join_all((0..500).map(|_| wharf.sign_up("acme"))).await;
    let (won, lost): (Vec<_>, Vec<_>) = claims.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 499));
    assert!(lost.iter().all(|claim| code(claim) == Some(Code::NameTaken)));
    let id = won.into_iter().next().expect("one").expect("accepted").id;
    wharf.until(&id, "ready").await;
    assert_eq!(wharf.leftovers().await, [""; 0]);
    let query = Query {
        limit: 100,
        ..Query::default()
    };
    let all = wharf.wharf().list(query).await.expect("a page").instances;
    assert_eq!(all.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_five_hundred_claims_with_one_key_all_get_the_one_instance() {
    let wharf = SimWharf::new(1).await;
    let ask = || {
        wharf
            .wharf()
            .provision(sign_up("acme", None), Caller::Visitor, Some("key-1"))
    };
    let claims = join_all((0..500).map(|_| ask())).await;
    let accepted: Vec<Accepted> = claims.into_iter().map(|claim| claim.expect("accepted")).collect();
    let first = &accepted[0];
    let token = first.token.as_ref().expect("a token").reveal();
    assert_eq!(accepted.iter().filter(|accepted| !accepted.replayed).count(), 1);
    for accepted in &accepted {
        assert_eq!(accepted.id, first.id);
        assert_eq!(
            accepted.token.as_ref().expect("a token").reveal(),
            token,
            "it is the same request"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_with_other_fields_is_refused() {
    let wharf = SimWharf::new(1).await;
    let ask = async |name, key| {
        wharf
            .wharf()
            .provision(sign_up(name, None), Caller::Visitor, Some(key))
            .await
    };
    ask("acme", "key-1").await.expect("accepted");
    assert_eq!(code(&ask("bolt", "key-1").await), Some(Code::KeyReused));
    ask("bolt", "key-2").await.expect("accepted");
    for key in ["", "with space", "ü", &"x".repeat(256)] {
        assert_eq!(code(&ask("cog", key).await), Some(Code::RequestInvalid), "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_different_callers_are_different_keys() {
    let wharf = SimWharf::new(1).await;
    let ask = async |name, caller| {
        wharf
            .wharf()
            .provision(sign_up(name, None), caller, Some("key-1"))
            .await
    };
    let visitor = ask("acme", Caller::Visitor).await.expect("accepted");
    let admin = ask("bolt", Caller::Admin).await.expect("accepted");
    assert_ne!(visitor.id, admin.id);
    // And the key of a start is not the key of a sign-up.
    let key = Wharf::start_key(Caller::Admin, "key-1").expect("a key");
    let started = wharf
        .wharf()
        .start_service(start("auth"), Caller::Admin, Some(key))
        .await
        .expect("accepted");
    assert!(!started.replayed);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_answered_with_what_became_of_the_first() {
    let wharf = SimWharf::new(1).await;
    let ask = || {
        wharf
            .wharf()
            .provision(sign_up("acme", None), Caller::Visitor, Some("key-1"))
    };
    let id = ask().await.expect("accepted").id;
    wharf.until(&id, "ready").await;
    ended(&wharf, &id).await;
    let again = ask().await.expect("the same");
    assert_eq!((again.id, again.instance.state.name()), (id, "ended"));
    // It is remembered for at least 48 hours, and not for ever.
    tokio::time::advance(2 * DAY).await;
    assert!(ask().await.expect("the same").replayed);
    tokio::time::advance(40 * DAY).await;
    assert!(!ask().await.expect("a new one").replayed);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_answered_also_when_there_is_no_room_any_more() {
    let wharf = SimWharf::with(1, |_, settings| settings.max_instances = 2).await;
    let ask = async |name, service, key| {
        let request = sign_up(name, Some(service));
        wharf.wharf().provision(request, Caller::Visitor, key).await
    };
    let first = ask("acme", "shop", Some("key-1")).await.expect("accepted");
    wharf.until(&first.id, "ready").await;
    ask("bolt", "shop", None).await.expect("accepted");
    assert_eq!(code(&ask("cog", "shop", None).await), Some(Code::LimitInstances));
    assert_eq!(ask("acme", "shop", Some("key-1")).await.expect("the same").id, first.id);
    assert_eq!(code(&ask("cog", "shop", Some("key-1")).await), Some(Code::KeyReused));
    assert_eq!(code(&ask("acme", "shop", None).await), Some(Code::NameTaken));

    let wharf = SimWharf::new(1).await;
    let ask = async |name: &str, key| {
        let request = sign_up(name, Some("direct"));
        wharf.wharf().provision(request, Caller::Visitor, key).await
    };
    let first = ask("a0", Some("key-1")).await.expect("accepted");
    for index in 1..4 {
        ask(&format!("a{index}"), None).await.expect("accepted");
    }
    assert_eq!(code(&ask("a9", None).await), Some(Code::PortExhausted));
    assert_eq!(ask("a0", Some("key-1")).await.expect("the same").id, first.id);
}

#[tokio::test(start_paused = true)]
async fn room_is_made_by_what_ends() {
    let wharf = SimWharf::with(1, |_, settings| settings.max_instances = 1).await;
    let id = wharf.ready("acme", "shop").await;
    let failure = wharf.sign_up("bolt").await.expect_err("full");
    assert_eq!((failure.code, failure.hint.is_some()), (Code::LimitInstances, true));
    ended(&wharf, &id).await;
    wharf.sign_up("bolt").await.expect("accepted");
}

#[tokio::test(start_paused = true)]
async fn a_static_port_is_known_at_once_and_the_last_one_is_found() {
    let wharf = SimWharf::new(1).await;
    let claims = join_all((0..4).map(|index| {
        let wharf = &wharf;
        async move { provision(wharf, &format!("a{index}"), "direct").await }
    }))
    .await;
    let mut ports: Vec<u16> = claims
        .iter()
        .map(|claim| claim.as_ref().expect("accepted").instance.held.port.expect("at once"))
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [8000, 8001, 8002, 8003]);
    let failure = provision(&wharf, "a9", "direct").await.expect_err("no more");
    assert_eq!(failure.code, Code::PortExhausted);
    assert!(failure.message.contains("8000") && failure.hint.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_port_is_free_again_when_it_has_rested() {
    let wharf = SimWharf::new(1).await;
    let mut ids = Vec::new();
    for index in 0..4 {
        ids.push(wharf.ready(&format!("a{index}"), "direct").await);
    }
    ended(&wharf, &ids[2]).await;
    let port = wharf
        .store
        .reservation(Kind::Port, "8002")
        .await
        .expect("read")
        .expect("it rests");
    assert!(port.resting, "it stood in a URL that somebody may have kept");
    tokio::time::advance(23 * Duration::from_hours(1)).await;
    assert_eq!(code(&provision(&wharf, "b", "direct").await), Some(Code::PortExhausted));
    tokio::time::advance(Duration::from_hours(1)).await;
    let accepted = provision(&wharf, "b", "direct").await.expect("accepted");
    assert_eq!(accepted.instance.held.port, Some(8002));
    wharf.until(&accepted.id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_port_that_never_was_in_a_url_rests_for_a_short_while_only() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "direct",
        Behaviour {
            exits_after: Some(Duration::from_millis(10)),
            answers: Answers::Never,
            ..Behaviour::default()
        },
    );
    for index in 0..4 {
        let accepted = provision(&wharf, &format!("a{index}"), "direct")
            .await
            .expect("accepted");
        wharf.until(&accepted.id, "failed").await;
    }
    assert_eq!(code(&provision(&wharf, "b", "direct").await), Some(Code::PortExhausted));
    tokio::time::sleep(wharf.settings.port_quarantine).await;
    provision(&wharf, "b", "direct").await.expect("accepted");
}

#[tokio::test(start_paused = true)]
async fn ports_that_are_excluded_or_in_use_are_passed_over() {
    let wharf = SimWharf::with(1, |_, settings| settings.excluded_ports = [8000, 8002].into()).await;
    let here = Endpoint::Address {
        ip: [127, 0, 0, 1].into(),
        port: 8001,
    };
    wharf.world.behave(
        "planted",
        Behaviour {
            endpoint: Some(here),
            ..Behaviour::default()
        },
    );
    let stranger: Owner = some_owner(&DeploymentId::new([9; 10]));
    wharf.world.plant_task(stranger, &services::plain("planted").name);
    let accepted = provision(&wharf, "acme", "direct").await.expect("accepted");
    assert_eq!(accepted.instance.held.port, Some(8003));
    assert_eq!(
        code(&provision(&wharf, "bolt", "direct").await),
        Some(Code::PortExhausted)
    );
}

/// Found by simulation (seed 66): the second telling of an event that had met a running singleton started another one after its end.
#[tokio::test(start_paused = true)]
async fn a_key_that_met_a_running_singleton_stays_that_singletons() {
    let wharf = SimWharf::new(1).await;
    let ask = async |key: &str| {
        let key = Wharf::start_key(Caller::Event, key).expect("a key");
        let asked = wharf.wharf().start_service(start("single"), Caller::Event, Some(key));
        asked.await.expect("accepted").id
    };
    let id = ask("first").await;
    wharf.until(&id, "ready").await;
    assert_eq!(ask("second").await, id);
    ended(&wharf, &id).await;
    assert_eq!(ask("second").await, id, "told twice, it is the same instance again");
    assert_ne!(ask("third").await, id);
}

#[tokio::test(start_paused = true)]
async fn a_singleton_is_started_once() {
    let wharf = SimWharf::new(1).await;
    let ask = async || {
        wharf
            .wharf()
            .start_service(start("single"), Caller::Event, None)
            .await
            .expect("accepted")
    };
    let started = join_all((0..50).map(|_| ask())).await;
    let id = &started[0].id;
    assert!(started.iter().all(|accepted| accepted.id == *id));
    assert_eq!(started.iter().filter(|accepted| !accepted.replayed).count(), 1);
    wharf.until(id, "ready").await;
    assert_eq!(wharf.world.tasks(id).len(), 1);

    wharf.wharf().stop(id).await.expect("asked for");
    wharf.until(id, "ended").await;
    let next = ask().await;
    assert_ne!(next.id, *id);
    assert!(!next.replayed);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_tenants_starts_as_often_as_it_is_asked_to() {
    let wharf = SimWharf::new(1).await;
    let first = wharf
        .wharf()
        .start_service(start("auth"), Caller::Admin, None)
        .await
        .expect("accepted");
    let second = wharf
        .wharf()
        .start_service(start("auth"), Caller::Admin, None)
        .await
        .expect("accepted");
    assert_ne!(first.id, second.id);
    for id in [&first.id, &second.id] {
        let view = wharf.until(id, "ready").await;
        assert_eq!(view.url.as_deref(), Some("http://services.localhost:8080/api/auth"));
        wharf.serves(&wharf.record(id).await.data).expect("it serves");
    }
    let key = TriggerKey::new("event:start", "event-1").expect("a key");
    let third = wharf
        .wharf()
        .start_service(start("auth"), Caller::Event, Some(key.clone()))
        .await
        .expect("accepted");
    let again = wharf
        .wharf()
        .start_service(start("auth"), Caller::Event, Some(key))
        .await
        .expect("the same");
    assert_eq!(third.id, again.id);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_asked_for_in_its_own_way() {
    let wharf = SimWharf::new(1).await;
    let started = wharf.wharf().start_service(start("shop"), Caller::Admin, None).await;
    assert_eq!(code(&started), Some(Code::ServiceTenant));
    assert_eq!(
        code(&provision(&wharf, "acme", "auth").await),
        Some(Code::ServiceTenant)
    );
    let failure = provision(&wharf, "acme", "nothing").await.expect_err("unknown");
    assert_eq!(failure.code, Code::ServiceUnknown);
    assert!(failure.hint.is_some_and(|hint| hint.contains("shop")));

    let wharf = SimWharf::with(1, |_, settings| settings.tenant_service = None).await;
    assert_eq!(code(&wharf.sign_up("acme").await), Some(Code::ServiceUnknown));
}

#[tokio::test(start_paused = true)]
async fn a_status_token_opens_its_own_instance_and_nothing_else_does() {
    let wharf = SimWharf::new(1).await;
    let accepted = wharf.sign_up("acme").await.expect("accepted");
    let token = accepted.token.expect("a token").reveal().to_owned();
    assert_eq!(wharf.wharf().by_token(&token).await, Ok(accepted.id.clone()));
    for nonsense in ["", "0", accepted.id.as_str(), &"0".repeat(26), &token.to_uppercase()] {
        assert_eq!(
            code(&wharf.wharf().by_token(nonsense).await),
            Some(Code::InstanceUnknown),
            "{nonsense:?}"
        );
    }
    let record = wharf.store.load(&accepted.id).await.expect("read").expect("a record");
    assert!(!record.body.contains(&token), "the registry has its hash only");
    let reservations = wharf.store.reservations();
    assert!(
        reservations
            .iter()
            .all(|(_, key, reservation)| *key != token && reservation.value != token)
    );
}

#[tokio::test(start_paused = true)]
async fn a_listing_leads_to_its_next_page_at_every_size() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    let body = wharf.store.load(&id).await.expect("read").expect("a record").body;
    for _ in 0..1004 {
        let record = RecordWrite {
            body: body.clone(),
            index: Index {
                name: None,
                service: "shop".to_owned(),
                state: "ready",
                live: true,
            },
            wake: None,
        };
        let claim = Batch {
            record: Some(record),
            ..Batch::new(some_instance(), Expect::Absent, LeaseChange::Keep)
        };
        wharf.store.commit(claim).await.expect("committed");
    }
    for limit in [7, 999, 1000, 5000] {
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let query = Query {
                before,
                limit,
                ..Query::default()
            };
            let page = wharf.wharf().list(query).await.expect("a page");
            seen.push(page.instances.len());
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen.iter().sum::<usize>(), 1005, "{limit} at a time: {seen:?}");
    }
}
