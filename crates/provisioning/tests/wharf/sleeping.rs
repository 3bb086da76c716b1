//! Idle sleep: who is put to sleep, how it rests, and who wakes it. Nobody who comes is lost, and nothing of it counts as a crash.

use std::time::Duration;
use wharf_domain::{
    Attempt, InstanceId,
    instance::Slept,
    service::{RunSpec, Sleep, SleepBy},
};
use wharf_platform::{RouteKey, Standing};
use wharf_provisioning::{Limits, Message};
use wharf_testkit::sim::{
    Behaviour, Edge, Mishap, SimWharf, SimWorld, When,
    routes::Visit,
    services::{self, SLEEPS_AFTER},
    tasks::MEMORY,
};

const MINUTE: Duration = Duration::from_mins(1);
/// Almost as long as it takes.
const TOO_EARLY: Duration = Duration::from_mins(9);
const BOTH: [SleepBy; 2] = [SleepBy::Stop, SleepBy::Pause];

fn acme() -> RouteKey {
    RouteKey::Host {
        host: "acme.localhost".to_owned(),
    }
}

/// A deployment whose tenant sleeps when nobody uses it.
async fn with(by: SleepBy, adjust: impl FnOnce(&SimWorld)) -> (SimWharf, InstanceId) {
    let service = services::sleeper(by);
    let name = service.name.clone();
    let wharf = SimWharf::with(1, |world, settings| {
        adjust(world);
        settings.services.insert(service.name.clone(), service);
    })
    .await;
    let id = wharf.ready("acme", name.as_str()).await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    (wharf, id)
}

async fn asleep(by: SleepBy, adjust: impl FnOnce(&SimWorld)) -> (SimWharf, InstanceId) {
    let (wharf, id) = with(by, adjust).await;
    wharf.until(&id, "sleeping").await;
    (wharf, id)
}

/// It answers, with all that it had, and nothing of what happened is held against it.
async fn is_as_before(wharf: &SimWharf, id: &InstanceId, attempt: u32) {
    let instance = wharf.record(id).await.data;
    assert_eq!(wharf.serves(&instance), Ok(()));
    assert_eq!(instance.attempt, Attempt(attempt), "{}", wharf.story(id).await);
    assert!(instance.crashes.is_empty() && instance.losses.is_empty());
    assert_eq!(wharf.world.database("user_acme").expect("its own").rows.len(), 1);
    assert_eq!(wharf.leftovers().await, Vec::<String>::new());
    assert_eq!(wharf.world.view(|view| view.mistakes().to_vec()), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_used_is_stopped_and_keeps_what_a_customer_would_miss() {
    let (wharf, id) = with(SleepBy::Stop, |_| {}).await;
    tokio::time::sleep(TOO_EARLY).await;
    assert_eq!(wharf.record(&id).await.data.state.name(), "ready");
    let view = wharf.until(&id, "sleeping").await;
    assert_eq!(view.url.as_deref(), Some("http://acme.localhost:8080/"));
    assert!(wharf.world.live_tasks(&id).is_empty() && wharf.world.routes(&acme()).is_empty());
    assert_eq!(wharf.world.database("user_acme").expect("kept").rows.len(), 1);
    assert!(wharf.world.secrets(&id).is_some());
    let slept = wharf.record(&id).await.data.slept;
    assert_eq!((slept.times, slept.freed), (0, MEMORY));
}

#[tokio::test(start_paused = true)]
async fn who_is_paused_stands_still_behind_no_route() {
    let (wharf, id) = asleep(SleepBy::Pause, |_| {}).await;
    let tasks = wharf.world.live_tasks(&id);
    assert!(matches!(&*tasks, [task] if task.is_paused));
    assert!(wharf.world.routes(&acme()).is_empty());
    assert_eq!(
        wharf.record(&id).await.data.slept.freed,
        0,
        "its memory is where it was"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_wakes_it_without_a_pause_and_as_it_was() {
    for (by, attempt) in [(SleepBy::Stop, 2), (SleepBy::Pause, 1)] {
        let (wharf, id) = asleep(by, |_| {}).await;
        tokio::time::sleep(100 * MINUTE).await;
        assert!(
            matches!(wharf.world.visit(&acme()), Visit::Page(_)),
            "he is told to wait"
        );
        let asked_at = tokio::time::Instant::now();
        wharf.wharf().asked_for(&id).await;
        wharf.until(&id, "ready").await;
        assert!(
            asked_at.elapsed() < Duration::from_secs(1),
            "{by:?} {:?}",
            asked_at.elapsed()
        );
        is_as_before(&wharf, &id, attempt).await;
        let slept = wharf.record(&id).await.data.slept;
        assert_eq!((slept.times, slept.freed), (1, 0));
        assert!(slept.total >= 100 * MINUTE && slept.total < 101 * MINUTE, "{slept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_at_once_wake_it_once() {
    for (by, attempt) in [(SleepBy::Stop, 2), (SleepBy::Pause, 1)] {
        let (wharf, id) = asleep(by, |_| {}).await;
        let asking = (0..1000).map(|_| wharf.wharf().asked_for(&id));
        futures::future::join_all(asking).await;
        wharf.until(&id, "ready").await;
        is_as_before(&wharf, &id, attempt).await;
        assert_eq!(wharf.record(&id).await.data.slept.times, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_used_stays_awake() {
    for by in BOTH {
        let (wharf, id) = with(by, |_| {}).await;
        for _ in 0..60 {
            tokio::time::sleep(MINUTE).await;
            assert_eq!(wharf.world.visit(&acme()), Visit::Answered(id.clone()));
        }
        let tunnel = wharf.world.begin_request(&acme()).expect("it is open");
        tokio::time::sleep(10 * SLEEPS_AFTER).await;
        assert_eq!(wharf.record(&id).await.data.state.name(), "ready", "a tunnel is a use");
        wharf.world.end_request(tunnel);
        tokio::time::sleep(TOO_EARLY).await;
        is_as_before(&wharf, &id, 1).await;
        wharf.until(&id, "sleeping").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_say_so_never_sleeps() {
    let (wharf, _) = with(SleepBy::Stop, |_| {}).await;
    let other = wharf.ready("other", "shop").await;
    tokio::time::sleep(20 * SLEEPS_AFTER).await;
    wharf.until(&other, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_the_moment_in_which_it_falls_asleep_is_served() {
    for by in BOTH {
        let (wharf, id) = with(by, |_| {}).await;
        // Between the look at it and the taking of its route.
        let slow = Mishap::Slow(Duration::from_secs(5));
        wharf.world.faults().order("routes.withdraw_unused", When::Nth(1), slow);
        while wharf.record(&id).await.data.state.name() != "sleeping" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(wharf.world.visit(&acme()), Visit::Answered(id.clone()));
        wharf.until(&id, "ready").await;
        is_as_before(&wharf, &id, 1).await;
        assert_eq!(wharf.record(&id).await.data.slept, Slept::default());
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_it_falls_asleep_wakes_it_again() {
    for (by, call, attempt) in [
        (SleepBy::Stop, "tasks.stop", 2),
        (SleepBy::Stop, "routes.withdraw_unused", 2),
        (SleepBy::Pause, "tasks.pause", 1),
        (SleepBy::Pause, "routes.withdraw_unused", 1),
    ] {
        let (wharf, id) = with(by, |_| {}).await;
        let slow = Mishap::Slow(Duration::from_secs(5));
        wharf.world.faults().order(call, When::Nth(1), slow);
        while wharf.record(&id).await.data.state.name() != "sleeping" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        wharf.wharf().asked_for(&id).await;
        wharf.until(&id, "ready").await;
        is_as_before(&wharf, &id, attempt).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_paused_goes_on() {
    let unwilling = Behaviour {
        cannot_be_paused: true,
        ..Behaviour::default()
    };
    let (wharf, id) = with(SleepBy::Pause, |world| world.behave("dozes", unwilling)).await;
    tokio::time::sleep(SLEEPS_AFTER + MINUTE).await;
    wharf.until(&id, "ready").await;
    is_as_before(&wharf, &id, 1).await;
    assert_eq!(wharf.record(&id).await.data.slept, Slept::default());
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_that_dies_is_noticed_and_missed_by_nobody() {
    for told in [true, false] {
        let (wharf, id) = asleep(SleepBy::Pause, |_| {}).await;
        wharf.world.lose_events(!told);
        wharf.world.exit(&id, 137);
        tokio::time::sleep(MINUTE).await;
        wharf.until(&id, "sleeping").await;
        assert_eq!(wharf.record(&id).await.data.held.task, None);
        wharf.wharf().asked_for(&id).await;
        wharf.until(&id, "ready").await;
        is_as_before(&wharf, &id, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_one_whose_paused_task_died_unnoticed_gets_another() {
    let (wharf, id) = asleep(SleepBy::Pause, |_| {}).await;
    wharf.world.lose_events(true);
    wharf.world.exit(&id, 137);
    wharf.wharf().asked_for(&id).await;
    wharf.until(&id, "ready").await;
    is_as_before(&wharf, &id, 2).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_unpaused_by_hand_is_awake() {
    for told in [true, false] {
        let (wharf, id) = asleep(SleepBy::Pause, |_| {}).await;
        wharf.world.lose_events(!told);
        wharf.world.pause_by_hand(&id, false);
        tokio::time::sleep(MINUTE).await;
        wharf.until(&id, "ready").await;
        is_as_before(&wharf, &id, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_paused_by_hand_while_somebody_uses_it_is_brought_back() {
    let (wharf, id) = with(SleepBy::Pause, |_| {}).await;
    wharf.world.pause_by_hand(&id, true);
    tokio::time::sleep(MINUTE).await;
    let view = wharf.until(&id, "ready").await;
    assert_eq!(view.attempt, Attempt(2));
}

/// What there is room for on a machine on which only one at a time has any.
const ROOM: u64 = 100 << 20;

/// One sleeps, and another has taken its room. Gives both.
async fn crowded_out() -> (SimWharf, InstanceId, InstanceId) {
    let service = services::sleeper(SleepBy::Stop);
    let wharf = SimWharf::with(1, |_, settings| {
        settings.limits = Limits {
            memory: Some(ROOM),
            ..Limits::default()
        };
        settings.services.insert(service.name.clone(), service);
        for service in settings.services.values_mut() {
            if let RunSpec::Process { memory, .. } = &mut service.run {
                *memory = Some(ROOM);
            }
        }
    })
    .await;
    let sleeper = wharf.ready("acme", "naps").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    wharf.until(&sleeper, "sleeping").await;
    let other = wharf.ready("other", "shop").await;
    (wharf, sleeper, other)
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_to_wake_sleeps_on_until_somebody_asks_again() {
    let (wharf, id, other) = crowded_out().await;
    let allowed = wharf.wharf().settings().pace.capacity_wait;
    for tried in 1..=2 {
        let asked_at = tokio::time::Instant::now();
        wharf.wharf().asked_for(&id).await;
        tokio::time::sleep(MINUTE).await;
        let view = wharf.wharf().show(&id).await.expect("shown");
        assert_eq!(view.queue.map(|queue| queue.position), Some(1), "{tried}");
        assert_eq!(wharf.world.visit(&acme()), Visit::Page(Standing::Queued));
        let view = wharf.until(&id, "sleeping").await;
        assert!(asked_at.elapsed() >= allowed && asked_at.elapsed() < allowed + MINUTE);
        assert_eq!(wharf.world.visit(&acme()), Visit::Page(Standing::Starting));
        assert_eq!((view.cause, view.queue), (None, None));
        assert_eq!(wharf.world.tasks(&id).len(), 1, "no other task was made");
        let slept = wharf.record(&id).await.data.slept;
        assert_eq!((slept.times, slept.freed), (0, ROOM));
        assert!(wharf.story(&id).await.contains("it sleeps on"), "it is told why");
    }
    wharf.wharf().asked_for(&id).await;
    tokio::time::sleep(MINUTE).await;
    wharf.wharf().end(&other).await.expect("it can be ended");
    let view = wharf.until(&id, "ready").await;
    is_as_before(&wharf, &id, view.attempt.0).await;
    assert_eq!(wharf.record(&id).await.data.slept.times, 1);
}

#[tokio::test(start_paused = true)]
async fn who_found_no_room_sleeps_on_over_a_restart_and_is_stopped_and_ended_like_any_other() {
    let (mut wharf, id, other) = crowded_out().await;
    wharf.wharf().asked_for(&id).await;
    tokio::time::sleep(MINUTE).await;
    wharf.restart().await;
    wharf.until(&other, "ready").await;
    wharf.until(&id, "sleeping").await;
    assert_eq!(wharf.world.live_tasks(&id).len(), 0);
    wharf.wharf().stop(&id).await.expect("it can be stopped");
    wharf.until(&id, "stopped").await;
    // Who starts what was stopped is told that there is no room, and starts it again when he wants.
    wharf.wharf().start(&id).await.expect("it can be started");
    wharf.until(&id, "down").await;
    wharf.wharf().end(&id).await.expect("it can be ended");
    wharf.until(&id, "ended").await;
    assert_eq!(wharf.leftovers().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_was_made_to_sleep_sleeps_whatever_is_configured_since() {
    for by in BOTH {
        for after in [None, Some(100 * SLEEPS_AFTER)] {
            let (mut wharf, id) = with(by, |_| {}).await;
            for service in wharf.settings.services.values_mut() {
                service.sleep = service.sleep.zip(after).map(|(sleep, after)| Sleep { after, ..sleep });
            }
            wharf.restart().await;
            let began = tokio::time::Instant::now();
            wharf.until(&id, "sleeping").await;
            assert!(began.elapsed() < SLEEPS_AFTER + MINUTE, "{by:?} {:?}", began.elapsed());
            wharf.wharf().asked_for(&id).await;
            wharf.until(&id, "ready").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_leaves_asleep_who_is_asleep() {
    for (by, embedded, attempt) in [
        (SleepBy::Stop, true, 2),
        (SleepBy::Stop, false, 2),
        // Its task ended with Wharf.
        (SleepBy::Pause, true, 2),
        (SleepBy::Pause, false, 1),
    ] {
        let (mut wharf, id) = asleep(by, |world| {
            world.embedded(embedded);
            world.embedded_routes(true);
        })
        .await;
        wharf.restart().await;
        tokio::time::sleep(10 * MINUTE).await;
        let view = wharf.until(&id, "sleeping").await;
        assert_eq!(view.attempt, Attempt(1));
        assert!(wharf.world.routes(&acme()).is_empty());
        assert!(
            matches!(wharf.world.visit(&acme()), Visit::Page(_)),
            "its host is known"
        );
        wharf.wharf().asked_for(&id).await;
        wharf.until(&id, "ready").await;
        is_as_before(&wharf, &id, attempt).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_sleeps_is_started_stopped_and_ended_by_hand() {
    for by in BOTH {
        let (wharf, id) = asleep(by, |_| {}).await;
        wharf.wharf().start(&id).await.expect("it can be started");
        wharf.until(&id, "ready").await;
        is_as_before(&wharf, &id, if by == SleepBy::Stop { 2 } else { 1 }).await;
        wharf.until(&id, "sleeping").await;
        wharf.wharf().stop(&id).await.expect("it can be stopped");
        wharf.until(&id, "stopped").await;
        assert!(wharf.world.live_tasks(&id).is_empty());
        wharf.wharf().asked_for(&id).await;
        tokio::time::sleep(MINUTE).await;
        wharf.until(&id, "stopped").await;

        let (wharf, id) = asleep(by, |_| {}).await;
        wharf.wharf().end(&id).await.expect("it can be ended");
        wharf.until(&id, "ended").await;
        assert_eq!(wharf.world.belongings(&id), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn repair_finds_nothing_wrong_with_one_that_sleeps() {
    for by in BOTH {
        let (wharf, _) = asleep(by, |_| {}).await;
        let findings = wharf.wharf().repair_plan().await.expect("compared");
        assert!(findings.is_empty(), "{by:?}: {findings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_to_one_that_sleeps_does_not_wake_it_unless_it_is_to() {
    for by in BOTH {
        for message in [Message::Sleep { attempt: Attempt(1) }, Message::Look, Message::Resume] {
            let (wharf, id) = asleep(by, |_| {}).await;
            let engine = wharf.wharf().engine();
            engine
                .send(&id, &message, None)
                .await
                .expect("sent")
                .expect("it is there");
            wharf.until(&id, "sleeping").await;
        }
        // An old order to sleep is not for the attempt after it.
        let (wharf, id) = with(by, |_| {}).await;
        let message = Message::Sleep { attempt: Attempt(0) };
        let engine = wharf.wharf().engine();
        engine
            .send(&id, &message, None)
            .await
            .expect("sent")
            .expect("it is there");
        wharf.until(&id, "ready").await;
    }
}

/// Asleep, asked for, and awake again; how many calls Wharf makes for that, or is killed at which.
async fn nap(wharf: &SimWharf, id: &InstanceId) {
    tokio::time::sleep(SLEEPS_AFTER + MINUTE).await;
    wharf.wharf().asked_for(id).await;
    tokio::time::sleep(MINUTE).await;
}

async fn crash_in_a_nap(by: SleepBy, adjust: fn(&SimWorld), call: u64, edge: Edge) -> Option<String> {
    let (mut wharf, id) = with(by, adjust).await;
    wharf.run.process.kill_at(wharf.run.process.calls_begun() + call, edge);
    let (running, who) = (wharf.wharf().clone(), id.clone());
    tokio::spawn(async move {
        tokio::time::sleep(SLEEPS_AFTER + MINUTE).await;
        running.asked_for(&who).await;
    });
    wharf.run.process.died().await;
    wharf.restart().await;
    tokio::time::sleep(MINUTE).await;
    wharf.at_rest(&id).await;
    wharf.wharf().asked_for(&id).await;
    tokio::time::sleep(MINUTE).await;
    wharf.at_rest(&id).await;
    let instance = wharf.record(&id).await.data;
    let mut complaints = wharf.leftovers().await;
    complaints.extend(wharf.serves(&instance).err());
    complaints.extend(wharf.world.view(|view| view.mistakes().to_vec()));
    if !instance.crashes.is_empty() {
        complaints.push("that counts as a crash".to_owned());
    }
    let is_well = complaints.is_empty();
    let story = format!(
        "killed {edge:?} call {call}: {complaints:?}\n{}",
        wharf.story(&id).await
    );
    (!is_well).then_some(story)
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}

#[test]
fn a_crash_at_any_call_of_falling_asleep_and_waking_is_gone_on_from() {
    let adjusts: [fn(&SimWorld); 2] = [|world| world.embedded(true), |world| world.embedded_routes(true)];
    for by in BOTH {
        for adjust in adjusts {
            let calls = paused(async {
                let (wharf, id) = with(by, adjust).await;
                let before = wharf.run.process.calls_begun();
                nap(&wharf, &id).await;
                wharf.run.process.calls_begun() - before
            });
            // The looks before it sleeps change nothing; a few of them are enough.
            for call in calls.saturating_sub(60)..=calls {
                for edge in [Edge::Before, Edge::After] {
                    let complaint = paused(crash_in_a_nap(by, adjust, call, edge));
                    assert_eq!(complaint, None, "{by:?}");
                }
            }
        }
    }
}
