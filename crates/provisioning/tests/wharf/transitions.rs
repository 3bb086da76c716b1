//! What every message means in every state: one table, and each of its cells tried. Before Ready there is nothing to keep; after it,
//! only an end gives up name, database and secrets.

use std::time::Duration;
use wharf_domain::{Attempt, Code, Failure, InstanceId, Service, service::SleepBy};
use wharf_provisioning::Message;
use wharf_saga::Store;
use wharf_testkit::sim::{Behaviour, SimWharf, services};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Provisioning,
    Ready,
    Restoring,
    Sleeping,
    Down,
    Stopping,
    Stopped,
    Ending,
    Stuck,
    Failed,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Stop,
    End,
    Start,
    Crash,
    Loss,
    Unused,
    Asked,
    Silence,
    OldCrash,
    Resume,
    Abandon,
}

const SAID: [Said; 11] = [
    Said::Stop,
    Said::End,
    Said::Start,
    Said::Crash,
    Said::Loss,
    Said::Unused,
    Said::Asked,
    Said::Silence,
    Said::OldCrash,
    Said::Resume,
    Said::Abandon,
];

/// In the order of `SAID`: where it comes to rest. A number after it is how many attempts more than before that takes.
const TABLE: [(From, [&str; 11]); 11] = [
    (
        From::Provisioning,
        [
            "failed", "failed", "ready", "failed", "ready 1", "ready", "ready", "failed", "ready", "ready", "ready",
        ],
    ),
    (
        From::Ready,
        [
            "stopped", "ended", "ready", "ready 1", "ready 1", "sleeping", "ready", "ready 1", "ready", "ready",
            "ready",
        ],
    ),
    (
        From::Restoring,
        [
            "stopped", "ended", "ready 1", "ready 1", "ready 1", "ready 1", "ready 1", "ready 1", "ready 1", "ready 1",
            "ready 1",
        ],
    ),
    (
        From::Sleeping,
        [
            "stopped", "ended", "ready", "sleeping", "sleeping", "sleeping", "ready", "sleeping", "sleeping",
            "sleeping", "sleeping",
        ],
    ),
    (
        From::Down,
        [
            "stopped", "ended", "ready 1", "down", "down", "down", "down", "down", "down", "down", "down",
        ],
    ),
    (
        From::Stopping,
        [
            "stopped", "ended", "ready 1", "stopped", "stopped", "stopped", "stopped", "stopped", "stopped", "stopped",
            "stopped",
        ],
    ),
    (
        From::Stopped,
        [
            "stopped", "ended", "ready 1", "stopped", "stopped", "stopped", "stopped", "stopped", "stopped", "stopped",
            "stopped",
        ],
    ),
    (
        From::Ending,
        [
            "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended",
        ],
    ),
    (
        From::Stuck,
        [
            "stopped", "ended", "stuck", "stuck", "stuck", "stuck", "stuck", "stuck", "stuck", "stopped", "ended",
        ],
    ),
    (
        From::Failed,
        [
            "failed", "failed", "failed", "failed", "failed", "failed", "failed", "failed", "failed", "failed",
            "failed",
        ],
    ),
    (
        From::Ended,
        [
            "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended", "ended",
        ],
    ),
];

fn takes_its_time() -> Behaviour {
    Behaviour {
        runs_after: 5 * SECOND,
        ends_after: 5 * SECOND,
        ..Behaviour::default()
    }
}

/// A deployment with one tenant in that state.
async fn brought_to(from: From) -> (SimWharf, InstanceId) {
    let wharf = SimWharf::with(1, |_, settings| {
        settings.heal.limit = if from == From::Down { 0 } else { 5 };
        settings.heal.backoff_first = 20 * SECOND;
        let sleeper = services::sleeper(SleepBy::Pause);
        let run = settings.services[&services::shop().name].run.clone();
        let shop = Service {
            name: services::shop().name,
            run,
            ..sleeper
        };
        settings.services.insert(shop.name.clone(), shop);
    })
    .await;
    let world = &wharf.world;
    match from {
        From::Provisioning => world.behave_next("shop", takes_its_time()),
        From::Failed => world.behave_next(
            "shop",
            Behaviour {
                exits_after: Some(SECOND),
                runs_after: 2 * SECOND,
                ..Behaviour::default()
            },
        ),
        From::Stopping | From::Ending => world.behave_next(
            "shop",
            Behaviour {
                ends_after: 5 * SECOND,
                ..Behaviour::default()
            },
        ),
        From::Stuck => world.behave_next(
            "shop",
            Behaviour {
                cannot_be_stopped: true,
                ..Behaviour::default()
            },
        ),
        _ => {}
    }
    // Not just when it is looked who is unused.
    tokio::time::sleep(10 * SECOND).await;
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    if from == From::Provisioning {
        tokio::time::sleep(SECOND).await;
        return (wharf, id);
    }
    if from == From::Failed {
        wharf.until(&id, "failed").await;
        return (wharf, id);
    }
    wharf.until(&id, "ready").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    match from {
        From::Provisioning | From::Failed => {}
        // Nobody has used it since, and it is about to be noticed.
        From::Ready => tokio::time::sleep(services::SLEEPS_AFTER).await,
        From::Sleeping => drop(wharf.until(&id, "sleeping").await),
        From::Restoring => {
            wharf.world.exit(&id, 1);
            tokio::time::sleep(5 * SECOND).await;
            assert_eq!(wharf.record(&id).await.data.state.name(), "restoring");
        }
        From::Down => {
            wharf.world.exit(&id, 1);
            tokio::time::sleep(SECOND).await;
            wharf.until(&id, "down").await;
        }
        From::Stopped => {
            wharf.wharf().stop(&id).await.expect("asked for");
            wharf.until(&id, "stopped").await;
        }
        From::Stopping => {
            wharf.wharf().stop(&id).await.expect("asked for");
            tokio::time::sleep(SECOND).await;
        }
        From::Ending => {
            wharf.wharf().end(&id).await.expect("asked for");
            tokio::time::sleep(SECOND).await;
        }
        From::Stuck => {
            wharf.wharf().stop(&id).await.expect("asked for");
            wharf.until(&id, "stuck").await;
            // Somebody sees to it: the next try would go through.
            wharf.world.exit(&id, 9);
        }
        From::Ended => {
            wharf.wharf().end(&id).await.expect("asked for");
            wharf.until(&id, "ended").await;
        }
    }
    (wharf, id)
}

fn message(said: Said, attempt: Attempt) -> Message {
    let cause = |code| Failure::new(code, "as was said");
    match said {
        Said::Stop => Message::Stop,
        Said::End => Message::End,
        Said::Start => Message::Start,
        Said::Crash => Message::TaskStopped {
            attempt,
            cause: cause(Code::TaskCrashed),
        },
        Said::Loss => Message::Lost {
            attempt,
            cause: cause(Code::TaskLost),
        },
        Said::Unused => Message::Sleep { attempt },
        Said::Asked => Message::Wake,
        Said::Silence => Message::Unhealthy {
            attempt,
            cause: cause(Code::RouteUnhealthy),
        },
        Said::OldCrash => Message::TaskStopped {
            attempt: Attempt(attempt.0.saturating_sub(1)),
            cause: cause(Code::TaskCrashed),
        },
        Said::Resume => Message::Resume,
        Said::Abandon => Message::Abandon {
            reason: "given up".to_owned(),
        },
    }
}

/// What must be true of an instance that has come to rest.
async fn complaints(wharf: &SimWharf, id: &InstanceId, from: From) -> Vec<String> {
    let instance = wharf.record(id).await.data;
    let mut complaints = wharf.leftovers().await;
    let was_ready = !matches!(from, From::Provisioning | From::Failed);
    match instance.state.name() {
        "ready" => complaints.extend(wharf.serves(&instance).err()),
        "failed" | "ended" => complaints.extend(wharf.world.belongings(id)),
        "sleeping" if !wharf.world.live_tasks(id).iter().all(|task| task.is_paused) => {
            complaints.push("a task runs".to_owned());
        }
        "stopped" | "down" if !wharf.world.live_tasks(id).is_empty() => complaints.push("a task runs".to_owned()),
        _ => {}
    }
    let keeps = !instance.state.is_final() && from != From::Ending;
    if keeps && was_ready {
        let rows = wharf.world.database("user_acme").map(|database| database.rows.len());
        if rows != Some(1) {
            complaints.push(format!("its data is gone: {rows:?}"));
        }
    }
    if keeps && wharf.wharf().find("acme").await.as_ref() != Ok(id) {
        complaints.push("its name is gone".to_owned());
    }
    complaints
}

#[tokio::test(start_paused = true)]
async fn every_message_does_in_every_state_what_the_table_says() {
    let mut all = Vec::new();
    for (from, row) in TABLE {
        for (said, expected) in SAID.into_iter().zip(row) {
            let (wharf, id) = brought_to(from).await;
            let attempt = wharf.record(&id).await.data.attempt;
            let message = message(said, attempt);
            let engine = wharf.wharf().engine();
            engine
                .send(&id, &message, None)
                .await
                .expect("sent")
                .expect("there is such an instance");
            let view = wharf.at_rest(&id).await;
            let more = view.attempt.0 - attempt.0;
            let came_to = if more > 0 {
                format!("{} {more}", view.status)
            } else {
                view.status.clone()
            };
            if came_to != expected {
                all.push(format!("{from:?}, {said:?}: it is {came_to}, not {expected}"));
            }
            // What somebody has given up may be left in the world: that was for him to see to.
            if (from, said) == (From::Stuck, Said::Abandon) {
                continue;
            }
            for complaint in complaints(&wharf, &id, from).await {
                all.push(format!("{from:?}, {said:?}: {complaint}"));
            }
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn an_end_outranks_a_stop_and_a_stop_outranks_everything_else() {
    for (messages, expected) in [
        (vec![Message::Start, Message::Stop], "stopped"),
        (vec![Message::Stop, Message::Start], "ready"),
        (
            vec![Message::Start, Message::Stop, Message::Start, Message::Stop],
            "stopped",
        ),
        (vec![Message::Stop, Message::End, Message::Start], "ended"),
        (vec![message(Said::Crash, Attempt(1)), Message::Stop], "stopped"),
        (
            vec![
                message(Said::Crash, Attempt(1)),
                message(Said::Loss, Attempt(1)),
                Message::End,
            ],
            "ended",
        ),
    ] {
        let (wharf, id) = brought_to(From::Ready).await;
        let what = format!("{messages:?}");
        // All of them wait before anybody looks.
        let now = wharf.world.now();
        for message in messages {
            let body = serde_json::to_string(&message).expect("plain data");
            wharf.store.append(&id, body, None, now).await.expect("appended");
        }
        wharf.wharf().engine().poke(&id);
        let view = wharf.at_rest(&id).await;
        assert_eq!(view.status, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_for_is_refused_with_the_state() {
    for (from, start, stop, end) in [
        (From::Ready, true, true, true),
        (From::Provisioning, true, true, true),
        (From::Restoring, true, true, true),
        (From::Sleeping, true, true, true),
        (From::Down, true, true, true),
        (From::Stopped, true, true, true),
        (From::Stopping, false, true, true),
        (From::Stuck, false, true, true),
        (From::Failed, false, false, true),
        (From::Ended, false, false, true),
    ] {
        for (what, expected) in [("start", start), ("stop", stop), ("end", end)] {
            let (wharf, id) = brought_to(from).await;
            let result = match what {
                "start" => wharf.wharf().start(&id).await,
                "stop" => wharf.wharf().stop(&id).await,
                _ => wharf.wharf().end(&id).await,
            };
            assert_eq!(result.is_ok(), expected, "{from:?} {what}: {result:?}");
            if let Err(failure) = result {
                assert_eq!(failure.code, Code::InstanceState);
                assert!(failure.hint.is_some());
            }
        }
    }
    let (wharf, id) = brought_to(From::Ready).await;
    assert!(wharf.wharf().resume(&id).await.is_err() && wharf.wharf().abandon(&id, "x").await.is_err());
}
