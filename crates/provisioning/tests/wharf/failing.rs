//! Everything that can keep an instance from its first Ready. Whatever it is, nothing is left, and the name is free at once.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use wharf_domain::{Attempt, Code, DeploymentId, Endpoint, Failure};
use wharf_platform::{Backend, Owner, RouteKey};
use wharf_provisioning::{Caller, InstanceView, Message};
use wharf_saga::store::{Batch, Expect, Kind, LeaseChange, Reserve, Store};
use wharf_testkit::{
    contracts::harness::some_instance,
    sim::{
        Answers, Behaviour, Mishap, SimWharf, When,
        routes::Visit,
        services,
        wharf::{code, sign_up},
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn host(name: &str) -> RouteKey {
    RouteKey::Host {
        host: format!("{name}.localhost"),
    }
}

/// Provisions, waits for the failure, and holds what every failure has in common.
async fn fails(wharf: &SimWharf, service: &str, expected: Code) -> (InstanceView, Failure) {
    let accepted = wharf
        .wharf()
        .provision(sign_up("acme", Some(service)), Caller::Visitor, None)
        .await;
    let id = accepted.expect("accepted").id;
    let view = wharf.until(&id, "failed").await;
    let cause = view.cause.clone().expect("a cause");
    assert_eq!(cause.code, expected, "{cause:?}");
    assert!(view.clean, "nothing is held: {view:?}");
    assert_eq!(wharf.world.belongings(&id), [""; 0]);
    assert_eq!(wharf.leftovers().await, [""; 0]);
    assert_eq!(wharf.world.mails().len(), 0, "nobody is told that it is ready");
    let again = wharf
        .wharf()
        .provision(sign_up("acme", Some("site")), Caller::Visitor, None)
        .await;
    let again = again.expect("the name is free at once");
    wharf.until(&again.id, "ready").await;
    (view, cause)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_exits_at_once_fails_fast_with_its_last_words() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            exits_after: Some(Duration::from_millis(40)),
            exit_code: 3,
            last_words: Some("no such table: orders".to_owned()),
            answers: Answers::Never,
            ..Behaviour::default()
        },
    );
    let (view, cause) = fails(&wharf, "shop", Code::TaskCrashed).await;
    assert_eq!(cause.detail.as_deref(), Some("no such table: orders"));
    let taken = view.since.since(view.created_at);
    assert!(taken < SECOND, "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_dies_while_its_answer_is_waited_for_fails_fast() {
    for told in [true, false] {
        let wharf = SimWharf::new(1).await;
        wharf.world.lose_events(!told);
        wharf.world.behave(
            "shop",
            Behaviour {
                exits_after: Some(10 * SECOND),
                exit_code: 1,
                answers: Answers::Never,
                last_words: Some("killed".to_owned()),
                ..Behaviour::default()
            },
        );
        let (view, cause) = fails(&wharf, "shop", Code::TaskCrashed).await;
        assert_eq!(cause.detail.as_deref(), Some("killed"));
        let taken = view.since.since(view.created_at);
        assert!(taken < 12 * SECOND, "told: {told}, {taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_answers_fails_in_its_time() {
    for answers in [Answers::Never, Answers::Status(500)] {
        let wharf = SimWharf::new(1).await;
        wharf.world.behave(
            "shop",
            Behaviour {
                answers,
                ..Behaviour::default()
            },
        );
        let (view, cause) = fails(&wharf, "shop", Code::RouteUnhealthy).await;
        assert!(cause.message.contains("/healthz") && cause.hint.is_some(), "{cause:?}");
        let taken = view.since.since(view.created_at);
        assert!(taken >= 60 * SECOND && taken < 63 * SECOND, "{taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_runs_fails_in_its_time() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: Duration::from_hours(1),
            ..Behaviour::default()
        },
    );
    let (view, _) = fails(&wharf, "shop", Code::TaskTimeout).await;
    let taken = view.since.since(view.created_at);
    assert!(taken >= 60 * SECOND && taken < 68 * SECOND, "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_cannot_be_started_says_so() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            refused: Some(Failure::new(Code::TaskCommand, "there is no program \"shop\"").hint("install it")),
            ..Behaviour::default()
        },
    );
    let (view, cause) = fails(&wharf, "shop", Code::TaskCommand).await;
    assert_eq!(cause.hint.as_deref(), Some("install it"));
    assert_eq!(view.since, view.created_at, "at once");
}

#[tokio::test(start_paused = true)]
async fn somebody_else_at_the_address_is_not_taken_for_the_task() {
    let ours = Endpoint::Address {
        ip: [10, 9, 9, 9].into(),
        port: 80,
    };
    for squatted in [true, false] {
        let wharf = SimWharf::new(1).await;
        if squatted {
            wharf.world.squat(&ours, "a printer");
        }
        wharf.world.behave(
            "shop",
            Behaviour {
                endpoint: Some(ours.clone()),
                answers: if squatted {
                    Answers::Well
                } else {
                    Answers::As("inst_another".to_owned())
                },
                ..Behaviour::default()
            },
        );
        let (view, _) = fails(&wharf, "shop", Code::RouteIdentity).await;
        assert!(view.since.since(view.created_at) < SECOND, "waiting would not help");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_another_holds_stays_that_ones() {
    let wharf = SimWharf::new(1).await;
    let stranger = Owner {
        deployment: DeploymentId::new([9; 10]),
        instance: some_instance(),
        attempt: Attempt(1),
    };
    let task = wharf
        .world
        .plant_task(stranger.clone(), &services::plain("planted").name);
    let endpoint = wharf.world.tasks(&stranger.instance).remove(0).endpoint;
    assert_eq!(task.attempt, Attempt(1));
    wharf.world.plant_route(Backend {
        owner: stranger.clone(),
        key: host("acme"),
        endpoint,
        identity_header: None,
        health: services::shop().health,
    });
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::RouteTaken));
    assert_eq!(wharf.leftovers().await, [""; 0]);
    assert_eq!(wharf.world.visit(&host("acme")), Visit::Answered(stranger.instance));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_anothers_is_not_touched() {
    let wharf = SimWharf::new(1).await;
    let stranger = Owner {
        deployment: wharf.world.deployment_id().clone(),
        instance: some_instance(),
        attempt: Attempt(0),
    };
    wharf.world.plant_database(stranger, "user_acme");
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::ResourceForeign));
    assert_eq!(wharf.world.belongings(&id), [""; 0]);
    assert_eq!(
        wharf.world.database("user_acme").expect("it is there").rows["whose"],
        "planted"
    );
}

/// Found by the simulation over AWS: an address of a subnet or a port of a host is given to the next task long before it has rested.
#[tokio::test(start_paused = true)]
async fn a_task_at_an_address_that_rests_still_is_followed_by_one_at_another() {
    let wharf = SimWharf::new(1).await;
    let first = wharf.ready("acme", "shop").await;
    let Some(Endpoint::Address {
        ip: IpAddr::V4(ip),
        port,
    }) = wharf.record(&first).await.data.held.endpoint
    else {
        panic!("it has an address");
    };
    let next = Endpoint::Address {
        ip: Ipv4Addr::from_bits(ip.to_bits() + 1).into(),
        port,
    };
    let reserve = Reserve {
        kind: Kind::Endpoint,
        key: next.key(),
        value: String::new(),
        until: None,
        now: wharf.world.now(),
    };
    let theirs = Batch {
        reserve: vec![reserve],
        ..Batch::new(some_instance(), Expect::Anything, LeaseChange::Keep)
    };
    wharf.store.commit(theirs).await.expect("free so far");
    let second = wharf.ready("bolt", "shop").await;
    let record = wharf.record(&second).await.data;
    assert_eq!(record.attempt, Attempt(2));
    assert_ne!(record.held.endpoint, Some(next));
    assert_eq!(wharf.serves(&record), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_another_instance_has_in_the_registry_is_refused() {
    let wharf = SimWharf::new(1).await;
    let ours = Endpoint::Address {
        ip: [10, 9, 9, 9].into(),
        port: 80,
    };
    let reserve = Reserve {
        kind: Kind::Endpoint,
        key: ours.key(),
        value: String::new(),
        until: None,
        now: wharf.world.now(),
    };
    let theirs = Batch {
        reserve: vec![reserve],
        ..Batch::new(some_instance(), Expect::Anything, LeaseChange::Keep)
    };
    wharf.store.commit(theirs).await.expect("free so far");
    wharf.world.behave(
        "shop",
        Behaviour {
            endpoint: Some(ours),
            ..Behaviour::default()
        },
    );
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::TaskLost));
    assert_eq!(wharf.world.belongings(&id), [""; 0]);
    assert_eq!(
        wharf.world.trace().lines_with("routes.register").len(),
        0,
        "it never got as far as a route"
    );
}

#[tokio::test(start_paused = true)]
async fn a_port_that_another_program_has_is_waited_for_a_while_and_then_it_fails() {
    let wharf = SimWharf::new(1).await;
    let squatter = Owner {
        deployment: DeploymentId::new([9; 10]),
        instance: some_instance(),
        attempt: Attempt(1),
    };
    let endpoint = Endpoint::Address {
        ip: [127, 0, 0, 1].into(),
        port: 8000,
    };
    wharf.world.behave(
        "planted",
        Behaviour {
            endpoint: Some(endpoint),
            ..Behaviour::default()
        },
    );
    // It comes between the claim, which finds the port free, and the start.
    let faults = wharf.world.faults();
    faults.order("secrets.put", When::Nth(1), Mishap::Slow(2 * SECOND));
    let request = sign_up("acme", Some("direct"));
    let accepted = wharf.wharf().provision(request, Caller::Visitor, None).await;
    let id = accepted.expect("accepted").id;
    tokio::time::sleep(SECOND).await;
    let service = services::plain("planted").name;
    wharf.world.plant_task(squatter, &service);
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::PortBusy));
    assert!(
        wharf.world.trace().lines_with("tasks.start").len() > 3,
        "it was tried again"
    );
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

/// The calls that a provision makes of the platform.
const CALLS: [&str; 9] = [
    "secrets.put",
    "secrets.get",
    "databases.create",
    "tasks.check",
    "tasks.start",
    "tasks.look",
    "routes.register",
    "prober.probe",
    "routes.open",
];

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_moment_does_not_fail_the_tenant() {
    for call in CALLS {
        for mishap in [
            Mishap::Before(Code::DatabaseFailed),
            Mishap::After(Code::DatabaseFailed),
            Mishap::Slow(30 * SECOND),
            Mishap::Twice,
        ] {
            let wharf = SimWharf::new(1).await;
            wharf.world.faults().order(call, When::Nth(1), mishap);
            let id = wharf.ready("acme", "shop").await;
            wharf.serves(&wharf.record(&id).await.data).expect("it serves");
            assert_eq!(
                wharf.world.tasks(&id).len(),
                1,
                "{call} {mishap:?}: one task, and no second one"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_failing_fails_the_tenant_and_leaves_nothing() {
    for call in CALLS {
        let wharf = SimWharf::new(1).await;
        wharf
            .world
            .faults()
            .order(call, When::Always, Mishap::After(Code::DatabaseFailed));
        let id = wharf.sign_up("acme").await.expect("accepted").id;
        wharf.until(&id, "failed").await;
        assert_eq!(wharf.world.belongings(&id), [""; 0], "{call}");
        assert_eq!(wharf.leftovers().await, [""; 0], "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_time_before_ready_takes_everything_back() {
    for millis in [0, 1, 5, 300, 2_500, 6_000, 9_000] {
        for end in [true, false] {
            let wharf = SimWharf::new(1).await;
            wharf.world.behave(
                "shop",
                Behaviour {
                    runs_after: 5 * SECOND,
                    answers_after: 5 * SECOND,
                    ends_after: 3 * SECOND,
                    ..Behaviour::default()
                },
            );
            let id = wharf.sign_up("acme").await.expect("accepted").id;
            tokio::time::sleep(Duration::from_millis(millis)).await;
            if end {
                wharf.wharf().end(&id).await.expect("asked for");
            } else {
                wharf.wharf().stop(&id).await.expect("asked for");
            }
            let view = wharf.until(&id, "failed").await;
            assert_eq!(
                view.cause.map(|cause| cause.code),
                Some(Code::InstanceCancelled),
                "after {millis} ms"
            );
            assert_eq!(wharf.world.belongings(&id), [""; 0]);
            assert_eq!(wharf.leftovers().await, [""; 0]);
            assert_eq!(wharf.world.visit(&host("acme")), Visit::NotFound);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_stop_and_a_start_that_were_both_granted_the_later_one_counts() {
    let mut started = 0;
    for millis in [0, 1, 2, 3, 5, 8, 20, 100, 500, 2_000] {
        let wharf = SimWharf::new(1).await;
        let id = wharf.ready("acme", "shop").await;
        wharf.wharf().stop(&id).await.expect("granted");
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let granted = wharf.wharf().start(&id).await;
        let view = wharf.at_rest(&id).await;
        match granted {
            Ok(()) => {
                started += 1;
                assert_eq!(view.status, "ready", "after {millis} ms");
                assert_eq!(
                    wharf.world.visit(&host("acme")),
                    Visit::Answered(id),
                    "after {millis} ms"
                );
            }
            Err(failure) => {
                assert_eq!(failure.code, Code::InstanceState, "after {millis} ms");
                assert_eq!(view.status, "stopped", "after {millis} ms");
            }
        }
    }
    assert!(started >= 2, "{started}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_nobody_was_there_to_look_at_has_its_time_all_the_same() {
    let mut wharf = SimWharf::with(1, |world, _| world.embedded(false)).await;
    let stubborn = Behaviour {
        cannot_be_stopped: true,
        ..Behaviour::default()
    };
    wharf.world.behave_next("shop", stubborn);
    let id = wharf.ready("acme", "shop").await;
    wharf.wharf().stop(&id).await.expect("asked for");
    tokio::time::sleep(SECOND).await;
    wharf.crash();
    tokio::time::sleep(Duration::from_hours(1)).await;
    wharf.restart().await;
    // It has been looked at, and is still there.
    tokio::time::sleep(3 * SECOND).await;
    wharf.world.exit(&id, 0);
    let view = wharf.at_rest(&id).await;
    assert_eq!(view.status, "stopped", "{:?}", view.cause);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_stopped_leaves_its_instance_stuck_until_somebody_sees_to_it() {
    let wharf = SimWharf::new(1).await;
    let stubborn = Behaviour {
        cannot_be_stopped: true,
        answers: Answers::Never,
        ..Behaviour::default()
    };
    for (name, resumed) in [("acme", true), ("bolt", false)] {
        wharf.world.behave_next("direct", stubborn.clone());
        let request = sign_up(name, Some("direct"));
        let id = wharf
            .wharf()
            .provision(request, Caller::Visitor, None)
            .await
            .expect("accepted")
            .id;
        let view = wharf.until(&id, "stuck").await;
        assert_eq!(view.stuck_at.as_deref(), Some("task"));
        let cause = view.cause.expect("a cause");
        assert!(cause.code == Code::TaskStopTimeout && cause.hint.is_some(), "{cause:?}");
        assert_eq!(
            code(&wharf.sign_up(name).await),
            Some(Code::NameTaken),
            "it is still there"
        );
        let port = wharf.record(&id).await.data.held.port.expect("a port").to_string();

        if resumed {
            // Somebody ends it by hand.
            wharf.world.exit(&id, 9);
            wharf.wharf().resume(&id).await.expect("asked for");
            wharf.until(&id, "failed").await;
            assert_eq!(wharf.world.belongings(&id), [""; 0]);
        } else {
            wharf
                .wharf()
                .abandon(&id, "the machine is gone")
                .await
                .expect("asked for");
            let view = wharf.until(&id, "failed").await;
            let cause = view.cause.expect("a cause");
            assert_eq!(cause.code, Code::InstanceAbandoned);
            assert!(cause.message.contains("the machine is gone"), "{cause:?}");
        }
        let left = wharf.store.reservations_of(&id).await.expect("reservations");
        let held: Vec<_> = left
            .iter()
            .filter(|(kind, _, reservation)| *kind != Kind::Token && !reservation.resting)
            .collect();
        assert!(held.is_empty(), "{held:?}");
        assert!(
            left.iter().any(|(kind, key, _)| *kind == Kind::Port && *key == port),
            "its port rests"
        );
        wharf.wharf().resume(&id).await.expect_err("it is not stuck any more");
        wharf.sign_up(name).await.expect("the name is free");
    }
}

/// A task that is lost on the way is taken down and replaced. A stop in the middle of that takes away the old one first, and then everything.
#[tokio::test(start_paused = true)]
async fn a_stop_while_a_lost_task_is_replaced_takes_everything_back() {
    for after in [0, 500, 3_000, 6_500, 12_000] {
        for is_stuck in [true, false] {
            let wharf = SimWharf::new(1).await;
            wharf.world.behave(
                "shop",
                Behaviour {
                    runs_after: 4 * SECOND,
                    answers_after: 4 * SECOND,
                    ends_after: 5 * SECOND,
                    cannot_be_stopped: is_stuck,
                    ..Behaviour::default()
                },
            );
            let id = wharf.sign_up("acme").await.expect("accepted").id;
            tokio::time::sleep(6 * SECOND).await;
            let lost = Message::Lost {
                attempt: Attempt(1),
                cause: Failure::new(Code::TaskLost, "it is gone"),
            };
            wharf.wharf().engine().send(&id, &lost, None).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(after)).await;
            wharf.wharf().end(&id).await.expect("asked for");
            if is_stuck {
                wharf.until(&id, "stuck").await;
                assert!(
                    wharf.world.database("user_acme").is_some(),
                    "nothing is built on what is still there"
                );
                wharf.world.exit(&id, 9);
                wharf.wharf().end(&id).await.expect("asked for");
            }
            let view = wharf.until(&id, "failed").await;
            assert_eq!(
                view.cause.map(|cause| cause.code),
                Some(Code::InstanceCancelled),
                "after {after} ms"
            );
            assert_eq!(wharf.world.belongings(&id), [""; 0], "after {after} ms");
            assert_eq!(wharf.leftovers().await, [""; 0]);
        }
    }
}
