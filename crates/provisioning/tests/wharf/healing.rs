//! A task that dies: backoff and new attempts, over the limit Down with the reason and the data untouched, and back by a start.

use std::time::Duration;
use wharf_domain::{Attempt, Code, Failure, InstanceId};
use wharf_platform::{RouteKey, Standing};
use wharf_provisioning::Message;
use wharf_testkit::sim::{Answers, Behaviour, Edge, SimWharf, routes::Visit, services};

const SECOND: Duration = Duration::from_secs(1);

fn acme() -> RouteKey {
    RouteKey::Host {
        host: "acme.localhost".to_owned(),
    }
}

/// A tenant that is Ready, with an order in its database.
async fn ready(seed: u64) -> (SimWharf, InstanceId) {
    let wharf = SimWharf::new(seed).await;
    let id = wharf.ready("acme", "shop").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    (wharf, id)
}

fn orders(wharf: &SimWharf) -> usize {
    wharf
        .world
        .database("user_acme")
        .map_or(0, |database| database.rows.len())
}

/// Waits until the attempt is Ready.
async fn until_attempt(wharf: &SimWharf, id: &InstanceId, attempt: u32) {
    let limit = Duration::from_mins(10);
    let there = async {
        while wharf.record(id).await.data.attempt != Attempt(attempt) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(limit, there).await.expect("a new attempt");
    wharf.until(id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_healed_with_the_same_address_data_and_password() {
    let (wharf, id) = ready(1).await;
    let before = wharf.world.tasks(&id)[0].environment.clone();
    wharf.world.exit(&id, 1);
    until_attempt(&wharf, &id, 2).await;
    let instance = wharf.record(&id).await.data;
    wharf.serves(&instance).expect("it serves");
    assert_eq!(wharf.world.visit(&acme()), Visit::Answered(id.clone()));
    assert_eq!(wharf.world.live_tasks(&id)[0].environment, before);
    assert_eq!(orders(&wharf), 1);
    assert_eq!(instance.crashes.len(), 1);
    assert_eq!(
        wharf.world.mails().len(),
        1,
        "nobody is told a second time that it is ready"
    );
}

#[tokio::test(start_paused = true)]
async fn the_old_route_is_withdrawn_before_the_new_attempt_begins() {
    let (wharf, id) = ready(1).await;
    let lines = wharf.world.trace().len();
    wharf.world.exit(&id, 1);
    until_attempt(&wharf, &id, 2).await;
    let trace = wharf.world.trace().since(lines);
    let at = |call: &str| trace.iter().position(|line| line.contains(call)).expect(call);
    assert!(at("routes.withdraw") < at("tasks.start"));
    assert!(at("tasks.start") < at("routes.register") && at("routes.register") < at("routes.open"));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_over_the_limit_it_is_down_with_its_reason() {
    let (wharf, id) = ready(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            exits_after: Some(2 * SECOND),
            exit_code: 7,
            last_words: Some("disk is full".to_owned()),
            ..Behaviour::default()
        },
    );
    wharf.world.exit(&id, 7);
    let view = wharf.until(&id, "down").await;
    let cause = view.cause.expect("a cause");
    assert_eq!(
        (cause.code, cause.detail.as_deref()),
        (Code::TaskCrashed, Some("disk is full"))
    );

    let starts: Vec<u64> = wharf.world.tasks(&id).iter().map(|task| task.started_at.0).collect();
    let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // One crash at once, then each task lives two seconds; the pauses are 1, 2 and 4 seconds.
    assert_eq!(gaps.len(), 3, "the limit is three: {gaps:?}");
    assert!(gaps[1] >= gaps[0] + 1_000 && gaps[2] >= gaps[1] + 1_000, "{gaps:?}");

    assert_eq!(wharf.world.live_tasks(&id).len(), 0);
    assert_eq!(wharf.world.visit(&acme()), Visit::Page(Standing::Down));
    assert_eq!(orders(&wharf), 1);
    assert!(wharf.world.secrets(&id).is_some());
    assert_eq!(wharf.wharf().find("acme").await, Ok(id.clone()), "the name is kept");
    let tasks = wharf.world.tasks(&id).len();
    tokio::time::sleep(Duration::from_hours(3)).await;
    assert_eq!(wharf.world.tasks(&id).len(), tasks, "and nothing is tried any more");
}

#[tokio::test(start_paused = true)]
async fn a_start_brings_back_what_is_down_and_counts_anew() {
    let (wharf, id) = ready(1).await;
    let crashing = Behaviour {
        exits_after: Some(SECOND),
        ..Behaviour::default()
    };
    wharf.world.behave("shop", crashing);
    wharf.world.exit(&id, 1);
    let down = wharf.until(&id, "down").await;
    wharf.world.behave("shop", Behaviour::default());
    wharf.wharf().start(&id).await.expect("asked for");
    let view = wharf.until(&id, "ready").await;
    assert_eq!(view.attempt, Attempt(down.attempt.0 + 1));
    assert_eq!(orders(&wharf), 1);
    assert_eq!(wharf.world.visit(&acme()), Visit::Answered(id.clone()));
    for attempt in 1..=3 {
        wharf.world.exit(&id, 1);
        until_attempt(&wharf, &id, view.attempt.0 + attempt).await;
    }
}

#[tokio::test(start_paused = true)]
async fn crashes_long_ago_do_not_count() {
    let (wharf, id) = ready(1).await;
    for attempt in 2..12 {
        wharf.world.exit(&id, 1);
        until_attempt(&wharf, &id, attempt).await;
        tokio::time::sleep(Duration::from_mins(4)).await;
    }
    assert!(wharf.record(&id).await.data.crashes.len() <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_attempt_that_does_not_get_ready_counts_as_a_crash() {
    let (wharf, id) = ready(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            answers: Answers::Status(500),
            ..Behaviour::default()
        },
    );
    wharf.world.exit(&id, 1);
    let view = wharf.until(&id, "down").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::RouteUnhealthy));
    assert_eq!(wharf.world.live_tasks(&id).len(), 0);
    assert_eq!(
        orders(&wharf),
        1,
        "what failed took back its own attempt and nothing else"
    );
    assert_eq!(wharf.world.tasks(&id).len(), 4);
}

/// The task goes, and nothing tells why; somebody looks.
async fn lose(wharf: &SimWharf) {
    wharf.world.lose_tasks();
    assert_eq!(wharf.wharf().check_tasks().await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_healed_at_once_and_is_no_crash() {
    let (wharf, id) = ready(1).await;
    let before = wharf.world.now();
    lose(&wharf).await;
    until_attempt(&wharf, &id, 2).await;
    assert!(wharf.world.now().since(before) < SECOND, "nothing was waited for");
    assert_eq!(wharf.record(&id).await.data.crashes.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn losses_that_do_not_end_are_paused_and_end_down() {
    let (wharf, id) = ready(1).await;
    let most = wharf.wharf().settings().heal.losses;
    let mut healed = Vec::new();
    for attempt in 2.. {
        let before = wharf.world.now();
        lose(&wharf).await;
        if healed.len() == most {
            break;
        }
        until_attempt(&wharf, &id, attempt).await;
        healed.push(wharf.world.now().since(before));
    }
    wharf.until(&id, "down").await;
    assert!(healed[1] >= SECOND && healed[3] >= 2 * healed[1], "{healed:?}");
    assert_eq!(orders(&wharf), 1, "its data are kept");
    assert_eq!(wharf.world.live_tasks(&id).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_that_nobody_told_of_is_found() {
    let (wharf, id) = ready(1).await;
    wharf.world.lose_events(true);
    wharf.world.exit(&id, 1);
    tokio::time::sleep(Duration::from_mins(1)).await;
    until_attempt(&wharf, &id, 2).await;
    assert_eq!(wharf.record(&id).await.data.crashes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_told_late_or_twice_is_one_crash() {
    let (wharf, id) = ready(1).await;
    let told = |attempt| Message::TaskStopped {
        attempt: Attempt(attempt),
        cause: Failure::new(Code::TaskCrashed, "it ended"),
    };
    wharf.world.exit(&id, 1);
    let engine = wharf.wharf().engine();
    for _ in 0..3 {
        engine.send(&id, &told(1), None).await.expect("sent");
    }
    until_attempt(&wharf, &id, 2).await;
    for _ in 0..3 {
        engine.send(&id, &told(1), None).await.expect("sent");
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(
        wharf.record(&id).await.data.attempt,
        Attempt(2),
        "it was about the attempt before"
    );
    assert_eq!(wharf.record(&id).await.data.crashes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_and_does_not_answer_is_replaced_and_stopped() {
    let (wharf, id) = ready(1).await;
    let silent = Message::Unhealthy {
        attempt: Attempt(1),
        cause: Failure::new(Code::RouteUnhealthy, "no answer for 30 s"),
    };
    wharf.wharf().engine().send(&id, &silent, None).await.expect("sent");
    until_attempt(&wharf, &id, 2).await;
    // The end of the old one, which was told to end, is no crash of its own.
    tokio::time::sleep(Duration::from_mins(1)).await;
    let instance = wharf.record(&id).await.data;
    assert_eq!((instance.attempt, instance.crashes.len()), (Attempt(2), 1));
    wharf.serves(&instance).expect("it serves");
}

#[tokio::test(start_paused = true)]
async fn a_slow_end_of_the_old_task_is_waited_for() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "direct",
        Behaviour {
            ends_after: 8 * SECOND,
            ..Behaviour::default()
        },
    );
    let id = wharf.ready("acme", "direct").await;
    let port = wharf.record(&id).await.data.held.port;
    let silent = Message::Unhealthy {
        attempt: Attempt(1),
        cause: Failure::new(Code::RouteUnhealthy, "no answer"),
    };
    wharf.wharf().engine().send(&id, &silent, None).await.expect("sent");
    until_attempt(&wharf, &id, 2).await;
    let tasks = wharf.world.tasks(&id);
    assert!(
        tasks[1].started_at.since(tasks[0].started_at) >= 8 * SECOND,
        "the port was busy until then"
    );
    assert_eq!(wharf.record(&id).await.data.held.port, port, "it is the same port");
    assert_eq!(wharf.record(&id).await.data.crashes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_healing() {
    let (wharf, id) = ready(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            exits_after: Some(SECOND),
            ..Behaviour::default()
        },
    );
    wharf.world.exit(&id, 1);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    wharf.wharf().stop(&id).await.expect("asked for");
    wharf.until(&id, "stopped").await;
    let tasks = wharf.world.tasks(&id).len();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(
        (wharf.world.tasks(&id).len(), wharf.world.live_tasks(&id).len()),
        (tasks, 0)
    );
    assert_eq!(orders(&wharf), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_a_tenant_is_healed_too_and_given_up_too() {
    let wharf = SimWharf::new(1).await;
    let started = wharf
        .wharf()
        .start_service(
            wharf_testkit::sim::wharf::start("single"),
            wharf_provisioning::Caller::Admin,
            None,
        )
        .await;
    let id = started.expect("accepted").id;
    wharf.until(&id, "ready").await;
    wharf.world.exit(&id, 1);
    until_attempt(&wharf, &id, 2).await;
    wharf.world.behave(
        "single",
        Behaviour {
            exits_after: Some(SECOND),
            ..Behaviour::default()
        },
    );
    wharf.world.exit(&id, 1);
    wharf.until(&id, "down").await;
    // Starting a singleton that is down brings it back.
    wharf.world.behave("single", Behaviour::default());
    let again = wharf
        .wharf()
        .start_service(
            wharf_testkit::sim::wharf::start("single"),
            wharf_provisioning::Caller::Admin,
            None,
        )
        .await;
    assert_eq!(again.expect("the same").id, id);
    wharf.until(&id, "ready").await;
    assert_eq!(services::single().name, wharf.record(&id).await.data.service.name);
}

/// A crash of Wharf at each call of a heal, with the task dying again while nobody looks.
#[tokio::test(start_paused = true)]
async fn a_crash_of_wharf_in_the_middle_of_a_heal_is_gone_on_from() {
    for call in 1..24 {
        let (mut wharf, id) = ready(1).await;
        let begun = wharf.run.process.calls_begun();
        wharf.run.process.kill_at(begun + call, Edge::After);
        wharf.world.exit(&id, 1);
        wharf.run.process.died().await;
        wharf.restart().await;
        tokio::time::sleep(Duration::from_mins(3)).await;
        let instance = wharf.record(&id).await.data;
        wharf
            .serves(&instance)
            .unwrap_or_else(|complaint| panic!("killed at {call}: {complaint}"));
        assert_eq!(orders(&wharf), 1);
        assert_eq!(wharf.leftovers().await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_database_is_told_at_once_and_never_replaced_by_an_empty_one() {
    let (wharf, id) = ready(1).await;
    wharf.world.lose_database("user_acme");
    wharf.world.exit(&id, 1);
    let cause = wharf.until(&id, "down").await.cause.expect("a cause");
    assert_eq!(cause.code, Code::DatabaseLost);
    assert!(cause.hint.is_some_and(|hint| hint.contains("wharf start acme")));
    assert!(
        wharf.world.database("user_acme").is_none(),
        "nothing stands in its place"
    );
    assert_eq!(
        wharf.record(&id).await.data.crashes.len(),
        1,
        "it is not tried again and again"
    );
    wharf.wharf().start(&id).await.expect("asked for");
    wharf.until(&id, "down").await;
    assert!(wharf.world.database("user_acme").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_task_never_starts_without_the_secrets_that_it_had() {
    for service in ["shop", "site"] {
        let wharf = SimWharf::new(1).await;
        let id = wharf.ready("acme", service).await;
        wharf.world.lose_secrets(&id);
        let started = wharf.world.tasks(&id).len();
        wharf.world.exit(&id, 1);
        let cause = wharf.until(&id, "down").await.cause.expect("a cause");
        assert_eq!(cause.code, Code::SecretsLost);
        assert_eq!(wharf.world.tasks(&id).len(), started);
    }
}
