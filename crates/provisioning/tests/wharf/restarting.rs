//! After a restart of Wharf: what was Ready comes back at the same address with the same data, those first that somebody asks for, a few
//! at a time; what was at rest stays there; what was under way goes on.

use std::{sync::Arc, time::Duration};
use wharf_domain::{Attempt, InstanceId};
use wharf_platform::{RouteKey, Standing};
use wharf_testkit::sim::{Behaviour, Edge, Mishap, SimWharf, When, routes::Visit};

const SECOND: Duration = Duration::from_secs(1);

fn host(name: &str) -> RouteKey {
    RouteKey::Host {
        host: format!("{name}.localhost"),
    }
}

/// One machine, on which tasks and routes end with Wharf, and tenants that are Ready.
async fn machine(tenants: usize) -> (SimWharf, Vec<InstanceId>) {
    let wharf = SimWharf::with(1, |world, settings| {
        world.embedded(true);
        settings.restore_parallel = 2;
    })
    .await;
    let mut ids = Vec::new();
    for index in 0..tenants {
        let id = wharf.ready(&format!("t{index}"), "shop").await;
        assert!(wharf.world.write_row(&format!("user_t{index}"), "order", "1"));
        ids.push(id);
    }
    (wharf, ids)
}

async fn until_all_serve(wharf: &SimWharf, ids: &[InstanceId], attempt: u32) {
    let serve = async {
        loop {
            let mut left = 0;
            for id in ids {
                let instance = wharf.record(id).await.data;
                left += usize::from(wharf.serves(&instance).is_err() || instance.attempt != Attempt(attempt));
            }
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(20), serve).await;
    assert!(waited.is_ok(), "{}", wharf.story(&ids[0]).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_ready_comes_back_without_anybody_asking() {
    let (mut wharf, ids) = machine(6).await;
    let before = wharf.wharf().show(&ids[3]).await.expect("shown");
    wharf.restart().await;
    for index in 0..6 {
        let visit = wharf.world.visit(&host(&format!("t{index}")));
        assert!(
            matches!(visit, Visit::Page(Standing::Starting) | Visit::Answered(_)),
            "{visit:?}"
        );
    }
    until_all_serve(&wharf, &ids, 2).await;
    let after = wharf.wharf().show(&ids[3]).await.expect("shown");
    assert_eq!((after.url, after.database), (before.url, before.database));
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(
            wharf.world.visit(&host(&format!("t{index}"))),
            Visit::Answered(id.clone())
        );
        let database = wharf.world.database(&format!("user_t{index}")).expect("a database");
        assert_eq!(database.rows["order"], "1");
        assert_eq!(wharf.record(id).await.data.crashes.len(), 0, "a restart is no crash");
    }
    assert_eq!(wharf.world.mails().len(), 6, "nobody is told again");
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn many_restarts_in_a_row_give_nothing_up() {
    let (mut wharf, ids) = machine(3).await;
    let heal = wharf.settings.heal.clone();
    let restarts = u32::try_from(heal.losses.max(heal.limit)).expect("a small limit") + 5;
    let began = tokio::time::Instant::now();
    for restart in 2..2 + restarts {
        wharf.restart().await;
        until_all_serve(&wharf, &ids, restart).await;
    }
    assert!(
        began.elapsed() < heal.within,
        "so many that they would be too many losses: {:?}",
        began.elapsed()
    );
    for id in &ids {
        let instance = wharf.record(id).await.data;
        assert_eq!((instance.crashes.len(), instance.losses.len()), (0, 0));
        assert_eq!(
            wharf.world.tasks(id).len(),
            1,
            "the tasks of the runs before are gone with them"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn restarts_in_the_middle_of_coming_back_give_nothing_up() {
    let (mut wharf, ids) = machine(3).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: 2 * SECOND,
            answers_after: SECOND,
            ..Behaviour::default()
        },
    );
    for pause in [1, 300, 1_500, 2_500, 3_100, 4_000, 7_000] {
        wharf.restart().await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    for id in &ids {
        wharf.until(id, "ready").await;
        let instance = wharf.record(id).await.data;
        assert_eq!(instance.crashes.len(), 0);
        wharf.serves(&instance).expect("it serves");
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_are_asked_for_come_first_and_never_more_at_once_than_allowed() {
    let (mut wharf, ids) = machine(8).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: 10 * SECOND,
            ..Behaviour::default()
        },
    );
    // Restored by hand, so that there is time to ask before it begins.
    wharf.crash();
    wharf.store.restart(wharf.world.now());
    let run = wharf.join(7, wharf.world.clock());
    let queue = run.wharf.recover().await.expect("read");
    assert_eq!(queue.len(), 8);
    for wanted in [&ids[1], &ids[6], &ids[1]] {
        queue.ask_for(wanted);
    }
    queue.ask_for(&wharf_testkit::contracts::harness::some_instance());
    assert_eq!(queue.len(), 8, "asking puts nobody into it");
    let restoring = run.wharf.clone();
    tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { restoring.restore(queue).await }
    });
    let mut begun = Vec::new();
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut starting = 0;
        for id in &ids {
            let tasks = wharf.world.live_tasks(id);
            if !tasks.is_empty() && !begun.contains(id) {
                begun.push(id.clone());
            }
            starting += usize::from(
                tasks
                    .iter()
                    .any(|task| wharf.world.now().since(task.started_at) < 9 * SECOND),
            );
        }
        assert!(starting <= 2, "{starting} at once");
    }
    assert_eq!(begun.len(), 8);
    let mut first: Vec<_> = begun[..2].to_vec();
    first.sort();
    assert_eq!(first, {
        let mut asked = vec![ids[1].clone(), ids[6].clone()];
        asked.sort();
        asked
    });
    assert!(queue.is_empty());
}

/// Who has lost its task on the way is told so, by a write each: nobody may have to wait for thousands of them, one after the other.
#[tokio::test(start_paused = true)]
async fn a_restart_with_many_on_their_way_is_up_in_the_time_of_a_few_writes() {
    const TENANTS: usize = 300;
    let write = Duration::from_millis(10);
    let mut wharf = SimWharf::with(1, |world, _| world.embedded(true)).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            answers_after: Duration::from_mins(1),
            ..Behaviour::default()
        },
    );
    let mut ids = Vec::new();
    for index in 0..TENANTS {
        ids.push(wharf.sign_up(&format!("t{index}")).await.expect("accepted").id);
    }
    tokio::time::sleep(SECOND).await;
    wharf.world.behave("shop", Behaviour::default());
    wharf.store.set_latency(write);
    let begun = wharf.world.now();
    wharf.restart().await;
    let took = wharf.world.now().since(begun);
    assert!(took < write * 30, "{took:?}");
    wharf.store.set_latency(Duration::ZERO);
    for id in &ids {
        wharf.until(id, "ready").await;
        assert_eq!(
            wharf.record(id).await.data.attempt,
            Attempt(2),
            "it was told, and made a new one"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_at_rest_stays_at_rest() {
    let wharf = SimWharf::with(1, |world, settings| {
        world.embedded(true);
        settings.heal.limit = 0;
    })
    .await;
    let mut wharf = wharf;
    let stopped = wharf.ready("stopped", "shop").await;
    wharf.wharf().stop(&stopped).await.expect("asked for");
    wharf.until(&stopped, "stopped").await;
    let down = wharf.ready("down", "shop").await;
    wharf.world.exit(&down, 1);
    tokio::time::sleep(SECOND).await;
    wharf.until(&down, "down").await;
    let ended = wharf.ready("ended", "shop").await;
    wharf.wharf().end(&ended).await.expect("asked for");
    wharf.until(&ended, "ended").await;

    wharf.restart().await;
    assert_eq!(wharf.world.visit(&host("stopped")), Visit::Page(Standing::Stopped));
    assert_eq!(wharf.world.visit(&host("down")), Visit::Page(Standing::Down));
    assert_eq!(wharf.world.visit(&host("ended")), Visit::NotFound);
    tokio::time::sleep(Duration::from_mins(10)).await;
    for (id, state) in [(&stopped, "stopped"), (&down, "down"), (&ended, "ended")] {
        assert_eq!(wharf.wharf().show(id).await.expect("shown").status, state);
        assert!(wharf.world.live_tasks(id).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_in_the_middle_goes_on() {
    for millis in [0, 1, 500, 2_100, 3_500] {
        for embedded in [true, false] {
            let mut wharf = SimWharf::with(1, |world, _| world.embedded(embedded)).await;
            wharf.world.behave(
                "shop",
                Behaviour {
                    runs_after: 2 * SECOND,
                    answers_after: 2 * SECOND,
                    ..Behaviour::default()
                },
            );
            let id = wharf.sign_up("acme").await.expect("accepted").id;
            tokio::time::sleep(Duration::from_millis(millis)).await;
            wharf.restart().await;
            wharf.until(&id, "ready").await;
            wharf.serves(&wharf.record(&id).await.data).expect("it serves");
            assert_eq!(wharf.world.mails().len(), 1);
            assert_eq!(
                wharf.leftovers().await,
                [""; 0],
                "after {millis} ms, embedded: {embedded}"
            );
        }
    }
}

/// The embedded load balancer forgets its routes with each restart, and the proof that a task gave stands in the journal alone.
#[tokio::test(start_paused = true)]
async fn wherever_a_sign_up_is_killed_it_is_never_ready_behind_a_closed_route() {
    let killed_at = async |call: u64, edge: Edge| {
        let wharf = SimWharf::with(1, |world, _| world.embedded_routes(true)).await;
        // So slow that the lease is renewed after it: what is proven is written down before it is called Ready.
        let slow = Mishap::Slow(10 * SECOND);
        wharf.world.faults().order("routes.open", When::Always, slow);
        let process = wharf.run.process.clone();
        process.kill_at(process.calls_begun() + call, edge);
        let _ = tokio::time::timeout(SECOND, wharf.sign_up("acme")).await;
        let _ = tokio::time::timeout(30 * SECOND, process.died()).await;
        wharf.world.faults().clear();
        (process.is_dead(), wharf)
    };
    let mut proven = 0;
    for call in 1..40 {
        for edge in [Edge::Before, Edge::After] {
            let (was_killed, mut wharf) = killed_at(call, edge).await;
            let asked = wharf.world.trace().lines_with("done healthy, started ready").len();
            let said = wharf.world.trace().lines_with("state ready").len();
            proven += usize::from(was_killed && asked > said);
            wharf.restart().await;
            let Ok(id) = wharf.wharf().find("acme").await else {
                continue;
            };
            wharf.until(&id, "ready").await;
            let served = wharf.serves(&wharf.record(&id).await.data);
            assert_eq!(served, Ok(()), "{edge:?} call {call}: {}", wharf.story(&id).await);
        }
    }
    assert!(proven > 0, "killed between the proof and Ready");
}

#[tokio::test(start_paused = true)]
async fn where_tasks_live_on_a_restart_touches_none_of_them() {
    let mut wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    let died = wharf.ready("bolt", "shop").await;
    wharf.crash();
    wharf.world.exit(&died, 1);
    tokio::time::sleep(Duration::from_mins(1)).await;
    wharf.restart().await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(wharf.record(&id).await.data.attempt, Attempt(1));
    let instance = wharf.record(&died).await.data;
    assert_eq!(
        (instance.attempt, instance.crashes.len()),
        (Attempt(2), 1),
        "it died while nobody listened"
    );
    wharf.serves(&instance).expect("it serves");
}

#[tokio::test(start_paused = true)]
async fn an_orderly_shutdown_loses_nothing() {
    let mut wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: Duration::from_secs(30),
            ..Behaviour::default()
        },
    );
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    tokio::time::sleep(5 * SECOND).await;
    let before = wharf.world.now();
    wharf.wharf().engine().shutdown(Duration::from_secs(30)).await;
    assert!(wharf.world.now().since(before) < 3 * SECOND);
    wharf.hand_over().await;
    let view = wharf.until(&id, "ready").await;
    assert!(
        view.since.since(view.created_at) < Duration::from_secs(45),
        "no lease had to be waited for"
    );
}
