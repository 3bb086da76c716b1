//! Stop, start and end: what is kept, what is given back, and in which order.

use std::time::Duration;
use wharf_domain::{Attempt, Code, Failure};
use wharf_platform::{RouteKey, Standing};
use wharf_provisioning::Caller;
use wharf_saga::store::{Kind, Store};
use wharf_testkit::sim::{
    Behaviour, Mishap, SimWharf, When,
    routes::Visit,
    wharf::{code, start},
};

const SECOND: Duration = Duration::from_secs(1);

fn acme() -> RouteKey {
    RouteKey::Host {
        host: "acme.localhost".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_keeps_what_a_customer_would_miss_and_a_start_brings_it_back() {
    for (service, has_route) in [("shop", true), ("direct", false)] {
        let wharf = SimWharf::new(1).await;
        let id = wharf.ready("acme", service).await;
        assert!(wharf.world.write_row("user_acme", "order", "1"));
        let before = wharf.wharf().show(&id).await.expect("shown");
        let given = wharf.world.tasks(&id)[0].environment.clone();

        wharf.wharf().stop(&id).await.expect("asked for");
        let view = wharf.until(&id, "stopped").await;
        assert_eq!((view.cause, view.task, view.endpoint), (None, None, None));
        assert_eq!(view.port, before.port.filter(|_| !has_route), "the leased port is kept");
        assert!(wharf.world.live_tasks(&id).is_empty());
        if has_route {
            assert_eq!(wharf.world.visit(&acme()), Visit::Page(Standing::Stopped));
        }
        assert_eq!(code(&wharf.sign_up("acme").await), Some(Code::NameTaken));
        tokio::time::sleep(Duration::from_hours(3)).await;
        assert!(wharf.world.live_tasks(&id).is_empty(), "nobody starts it by himself");

        wharf.wharf().start(&id).await.expect("asked for");
        let after = wharf.until(&id, "ready").await;
        assert_eq!((after.attempt, &after.url), (Attempt(2), &before.url));
        assert_eq!(
            wharf.world.live_tasks(&id)[0].environment,
            given,
            "the same port, database and password"
        );
        assert_eq!(
            wharf.world.database("user_acme").expect("a database").rows["order"],
            "1"
        );
        wharf.serves(&wharf.record(&id).await.data).expect("it serves");
        assert_eq!(wharf.world.mails().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_what_is_stopped_and_a_start_of_what_runs_change_nothing() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    wharf.wharf().start(&id).await.expect("it runs");
    assert_eq!(wharf.wharf().show(&id).await.expect("shown").attempt, Attempt(1));
    for _ in 0..3 {
        wharf.wharf().stop(&id).await.expect("asked for");
        wharf.until(&id, "stopped").await;
    }
    let calls = wharf.world.trace().lines_with("tasks.stop").len();
    assert_eq!(calls, 1);
}

#[tokio::test(start_paused = true)]
async fn the_route_is_withdrawn_and_drained_before_the_task_is_told_to_end() {
    for end in [true, false] {
        let wharf = SimWharf::new(1).await;
        let id = wharf.ready("acme", "shop").await;
        let request = wharf.world.begin_request(&acme()).expect("it answers");
        if end {
            wharf.wharf().end(&id).await.expect("asked for");
        } else {
            wharf.wharf().stop(&id).await.expect("asked for");
        }
        tokio::time::sleep(3 * SECOND).await;
        assert_eq!(wharf.world.live_tasks(&id).len(), 1, "a request is under way");
        assert_eq!(
            wharf.world.visit(&acme()),
            Visit::Page(Standing::Stopped),
            "and no new one gets there"
        );
        wharf.world.end_request(request);
        let view = wharf.until(&id, if end { "ended" } else { "stopped" }).await;
        let taken = view.since.since(view.first_ready_at.expect("it was ready"));
        assert!(taken < 5 * SECOND, "it did not wait for the whole drain: {taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_is_waited_for_as_long_as_the_drain_allows() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    let request = wharf.world.begin_request(&acme()).expect("it answers");
    wharf.wharf().stop(&id).await.expect("asked for");
    let view = wharf.until(&id, "stopped").await;
    let taken = view.since.since(view.first_ready_at.expect("it was ready"));
    assert!(taken >= 5 * SECOND && taken <= 7 * SECOND, "{taken:?}");
    wharf.world.end_request(request);
}

#[tokio::test(start_paused = true)]
async fn an_end_gives_everything_back() {
    for service in ["shop", "site", "direct"] {
        for from in ["ready", "stopped", "down"] {
            let wharf = SimWharf::with(1, |_, settings| settings.heal.limit = 0).await;
            let id = wharf.ready("acme", service).await;
            if from == "stopped" {
                wharf.wharf().stop(&id).await.expect("asked for");
            } else if from == "down" {
                wharf.world.exit(&id, 1);
                tokio::time::sleep(SECOND).await;
            }
            wharf.until(&id, from).await;
            wharf.wharf().end(&id).await.expect("asked for");
            let view = wharf.until(&id, "ended").await;
            assert!(view.clean, "{service}, {from}: {view:?}");
            assert_eq!(wharf.world.belongings(&id), [""; 0]);
            assert_eq!(wharf.leftovers().await, [""; 0]);
            assert_eq!(wharf.world.visit(&acme()), Visit::NotFound);
            wharf.wharf().end(&id).await.expect("it is over, as was asked for");
            assert_eq!(code(&wharf.wharf().start(&id).await), Some(Code::InstanceState));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_is_free_only_after_its_task_is_known_to_have_ended() {
    let wharf = SimWharf::with(1, |_, settings| settings.port_quarantine = Duration::ZERO).await;
    wharf.world.behave(
        "direct",
        Behaviour {
            ends_after: 9 * SECOND,
            ..Behaviour::default()
        },
    );
    let id = wharf.ready("acme", "direct").await;
    wharf.wharf().end(&id).await.expect("asked for");
    tokio::time::sleep(8 * SECOND).await;
    let port = wharf
        .store
        .reservation(Kind::Port, "8000")
        .await
        .expect("read")
        .expect("held");
    assert!(!port.resting, "the task still runs");
    wharf.until(&id, "ended").await;
    let port = wharf
        .store
        .reservation(Kind::Port, "8000")
        .await
        .expect("read")
        .expect("it rests");
    assert!(port.resting);
}

#[tokio::test(start_paused = true)]
async fn who_ignores_the_request_to_end_is_made_to() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            ends_after: Duration::from_hours(9),
            ..Behaviour::default()
        },
    );
    let id = wharf.ready("acme", "shop").await;
    wharf.wharf().stop(&id).await.expect("asked for");
    let view = wharf.until(&id, "stopped").await;
    let taken = view.since.since(view.first_ready_at.expect("it was ready"));
    assert!(taken >= 10 * SECOND && taken < 13 * SECOND, "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_on_the_way_down_is_tried_again() {
    for call in ["routes.withdraw", "tasks.stop", "databases.remove", "secrets.remove"] {
        for mishap in [
            Mishap::Before(Code::DatabaseFailed),
            Mishap::After(Code::DatabaseFailed),
            Mishap::Slow(30 * SECOND),
            Mishap::Twice,
        ] {
            let wharf = SimWharf::new(1).await;
            let id = wharf.ready("acme", "shop").await;
            wharf.world.faults().order(call, When::Nth(1), mishap);
            wharf.wharf().end(&id).await.expect("asked for");
            wharf.until(&id, "ended").await;
            assert_eq!(wharf.leftovers().await, [""; 0], "{call} {mishap:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_away_is_stuck_and_nothing_after_it_is_touched() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    let denied = Failure::new(Code::ResourceForeign, "x").code;
    wharf
        .world
        .faults()
        .order("tasks.stop", When::Always, Mishap::Before(denied));
    wharf.wharf().end(&id).await.expect("asked for");
    let view = wharf.until(&id, "stuck").await;
    assert_eq!(view.stuck_at.as_deref(), Some("task"));
    assert_eq!(wharf.world.database("user_acme").expect("a database").rows.len(), 1);
    assert!(wharf.world.secrets(&id).is_some());

    // A stop does not make an end of it undone, and an end is taken up from its beginning.
    wharf.world.faults().clear();
    wharf.wharf().end(&id).await.expect("asked for");
    wharf.until(&id, "ended").await;
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

/// The customer's data must survive a stop that got stuck and is asked for again.
#[tokio::test(start_paused = true)]
async fn a_stuck_stop_that_is_asked_for_again_stops_and_does_not_end() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    wharf
        .world
        .faults()
        .order("tasks.stop", When::Always, Mishap::Before(Code::ResourceForeign));
    wharf.wharf().stop(&id).await.expect("asked for");
    wharf.until(&id, "stuck").await;
    wharf.world.faults().clear();
    wharf.wharf().stop(&id).await.expect("asked for");
    wharf.until(&id, "stopped").await;
    wharf.wharf().start(&id).await.expect("asked for");
    wharf.until(&id, "ready").await;
    assert_eq!(
        wharf.world.database("user_acme").expect("a database").rows["order"],
        "1"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_take_down_that_is_resumed_is_down() {
    let wharf = SimWharf::with(1, |_, settings| settings.heal.limit = 0).await;
    let id = wharf.ready("acme", "shop").await;
    wharf
        .world
        .faults()
        .order("routes.withdraw", When::Always, Mishap::Before(Code::ResourceForeign));
    wharf.world.exit(&id, 1);
    tokio::time::sleep(SECOND).await;
    wharf.until(&id, "stuck").await;
    wharf.world.faults().clear();
    wharf.wharf().resume(&id).await.expect("asked for");
    wharf.until(&id, "down").await;
    wharf.wharf().start(&id).await.expect("asked for");
    wharf.until(&id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_restore_that_is_resumed_comes_back() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    // The new attempt answers nobody, and cannot be stopped either.
    wharf.world.behave_next(
        "shop",
        Behaviour {
            answers: wharf_testkit::sim::Answers::Never,
            cannot_be_stopped: true,
            ..Behaviour::default()
        },
    );
    wharf.world.exit(&id, 1);
    tokio::time::sleep(SECOND).await;
    let view = wharf.until(&id, "stuck").await;
    assert_eq!(view.stuck_at.as_deref(), Some("task"));
    wharf.world.exit(&id, 9);
    wharf.wharf().resume(&id).await.expect("asked for");
    wharf.until(&id, "ready").await;
    assert_eq!(wharf.world.live_tasks(&id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_a_tenant_ends_when_it_is_stopped() {
    let wharf = SimWharf::new(1).await;
    let started = wharf.wharf().start_service(start("auth"), Caller::Admin, None).await;
    let id = started.expect("accepted").id;
    wharf.until(&id, "ready").await;
    wharf.wharf().stop(&id).await.expect("asked for");
    wharf.until(&id, "ended").await;
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_stopped_with_all_its_instances_and_no_others() {
    let wharf = SimWharf::new(1).await;
    let shop = wharf.ready("acme", "shop").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let started = wharf.wharf().start_service(start("auth"), Caller::Admin, None).await;
        ids.push(started.expect("accepted").id);
    }
    for id in &ids {
        wharf.until(id, "ready").await;
    }
    let mut stopped = wharf
        .wharf()
        .stop_service(&"auth".parse().expect("a name"))
        .await
        .expect("asked for");
    stopped.sort();
    ids.sort();
    assert_eq!(stopped, ids);
    for id in &ids {
        wharf.until(id, "ended").await;
    }
    wharf.until(&shop, "ready").await;
    let unknown = wharf.wharf().stop_service(&"nothing".parse().expect("a name")).await;
    assert_eq!(code(&unknown), Some(Code::ServiceUnknown));
}

#[tokio::test(start_paused = true)]
async fn several_behind_one_path_come_and_go_without_touching_each_other() {
    let wharf = SimWharf::new(1).await;
    let path = RouteKey::Path {
        prefix: "/api/auth".to_owned(),
    };
    let mut ids = Vec::new();
    for _ in 0..3 {
        let started = wharf.wharf().start_service(start("auth"), Caller::Admin, None).await;
        let id = started.expect("accepted").id;
        wharf.until(&id, "ready").await;
        ids.push(id);
    }
    assert_eq!(wharf.world.routes(&path).len(), 3);
    wharf.wharf().stop(&ids[1]).await.expect("asked for");
    wharf.until(&ids[1], "ended").await;
    assert_eq!(wharf.world.routes(&path).len(), 2);
    for _ in 0..6 {
        match wharf.world.visit(&path) {
            Visit::Answered(id) => assert!(id == ids[0] || id == ids[2]),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_away_for_hours_leaves_no_stop_stuck() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    let faults = wharf.world.faults();
    let away = faults.order("tasks.*", When::Always, Mishap::Before(Code::DockerUnavailable));
    wharf.wharf().stop(&id).await.expect("asked for");
    tokio::time::sleep(Duration::from_hours(3)).await;
    let view = wharf.wharf().show(&id).await.expect("shown");
    assert_eq!(view.status, "stopping", "{view:?}");
    // It comes back with the task as it was, which now has all its time to end.
    wharf.world.faults().cancel(away);
    wharf.until(&id, "stopped").await;
    assert!(wharf.world.live_tasks(&id).is_empty());
    wharf.wharf().start(&id).await.expect("asked for");
    wharf.until(&id, "ready").await;

    let faults = wharf.world.faults();
    let away =
        ["tasks.*", "logs.*"].map(|calls| faults.order(calls, When::Always, Mishap::Before(Code::DockerUnavailable)));
    wharf.wharf().end(&id).await.expect("asked for");
    tokio::time::sleep(Duration::from_hours(3)).await;
    wharf.world.faults().cancel(away[0]);
    tokio::time::sleep(Duration::from_hours(3)).await;
    assert_ne!(wharf.wharf().show(&id).await.expect("shown").status, "stuck");
    wharf.world.faults().cancel(away[1]);
    wharf.until(&id, "ended").await;
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_away_for_hours_leaves_no_failed_sign_up_stuck() {
    let wharf = SimWharf::new(1).await;
    let faults = wharf.world.faults();
    faults.order("tasks.start", When::Nth(1), Mishap::After(Code::DockerUnavailable));
    let away = faults.order("tasks.*", When::Always, Mishap::Before(Code::DockerUnavailable));
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    tokio::time::sleep(Duration::from_hours(5)).await;
    let view = wharf.wharf().show(&id).await.expect("shown");
    assert_ne!(view.status, "stuck", "{view:?}");
    wharf.world.faults().cancel(away);
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::DockerUnavailable));
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_an_ended_instance_printed_is_removed_once_and_not_asked_for_ever_after() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    wharf.wharf().end(&id).await.expect("asked for");
    wharf.until(&id, "ended").await;
    let tidying = tokio::spawn({
        let wharf = wharf.wharf().clone();
        async move { wharf.tidy_forever(Duration::from_mins(10)).await }
    });
    let faults = wharf.world.faults();
    faults.order("logs.remove", When::Always, Mishap::Slow(Duration::from_millis(1)));
    let removed = || wharf.world.faults().tally().get("slow").copied().unwrap_or_default();
    let days = Duration::from_hours(24);
    tokio::time::sleep(days * 6).await;
    assert_eq!(removed(), 0, "it can still be read");
    tokio::time::sleep(days * 2).await;
    assert_eq!(removed(), 1);
    tokio::time::sleep(days).await;
    assert_eq!(removed(), 1);
    tidying.abort();
}
