//! Repair beside live sagas. The server that drives them is stopped at each single call that it makes, before and after what the call does; then another process compares and mends with every permission
//! there is; then the server goes on. Nothing may come of it: the saga ends as it would have, with the same attempts and tasks, and its data is there.

use std::time::Duration;
use wharf_domain::InstanceId;
use wharf_provisioning::{
    Caller, Message,
    repair::{Class, Outcome},
};
use wharf_testkit::sim::{Behaviour, Edge, SimWharf, services, wharf::sign_up};

use crate::repairing::{ours, plan};

/// What happens to an instance while repair is at work.
#[derive(Clone, Copy, Debug)]
enum Saga {
    Provision,
    Stop,
    Start,
    End,
    /// Its task crashes.
    Heal,
    /// Its host is lost.
    Restore,
    /// Its route is led anew.
    Reroute,
}

impl Saga {
    const ALL: [Self; 7] = [
        Self::Provision,
        Self::Stop,
        Self::Start,
        Self::End,
        Self::Heal,
        Self::Restore,
        Self::Reroute,
    ];

    /// The state in which it ends, and how many tasks there have been then.
    const fn ends(self) -> (&'static str, usize) {
        match self {
            Self::Provision | Self::Reroute => ("ready", 1),
            Self::Stop => ("stopped", 1),
            Self::End => ("ended", 1),
            Self::Start | Self::Heal | Self::Restore => ("ready", 2),
        }
    }
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// An instance as it is before the saga, and a neighbour whom all this is none of his business.
async fn before(saga: Saga) -> (SimWharf, Option<InstanceId>, InstanceId) {
    let wharf = SimWharf::with(1, |world, settings| {
        world.lease_ports(20_000, 20_009);
        settings.heal.backoff_first = Duration::from_millis(10);
    })
    .await;
    let neighbour = wharf.ready("neighbour", "shop").await;
    if matches!(saga, Saga::Provision) {
        return (wharf, None, neighbour);
    }
    let id = wharf.ready("acme", "shop").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    if matches!(saga, Saga::Start) {
        wharf.wharf().stop(&id).await.expect("asked for");
        wharf.until(&id, "stopped").await;
    }
    (wharf, Some(id), neighbour)
}

/// Sets the saga going. What asks for it is the server's own call, and may be the one at which it is stopped.
fn begin(wharf: &SimWharf, saga: Saga, id: Option<&InstanceId>) {
    let (running, id) = (wharf.wharf().clone(), id.cloned());
    if matches!(saga, Saga::Heal)
        && let Some(id) = &id
    {
        wharf.world.exit(id, 1);
        return;
    }
    tokio::spawn(async move {
        let Some(id) = id else {
            let accepted = running.provision(sign_up("acme", None), Caller::Visitor, None).await;
            return accepted.map(drop);
        };
        let cause = wharf_domain::Failure::new(wharf_domain::Code::TaskLost, "its host is gone");
        let attempt = wharf_domain::Attempt(1);
        match saga {
            Saga::Stop => running.stop(&id).await,
            Saga::Start => running.start(&id).await,
            Saga::End => running.end(&id).await,
            Saga::Restore => {
                let lost = Message::Lost { attempt, cause };
                running.engine().send(&id, &lost, None).await.map(drop)
            }
            Saga::Reroute => {
                let unrouted = Message::Unrouted { attempt, cause };
                running.engine().send(&id, &unrouted, None).await.map(drop)
            }
            Saga::Provision | Saga::Heal => Ok(()),
        }
    });
}

/// How many calls the server makes until the saga is over.
async fn calls(saga: Saga) -> u64 {
    let (wharf, id, _) = before(saga).await;
    let begun = wharf.run.process.calls_begun();
    begin(&wharf, saga, id.as_ref());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let id = wharf.wharf().find("acme").await.ok().or(id).expect("it was claimed");
    wharf.until(&id, saga.ends().0).await;
    wharf.run.process.calls_begun() - begun
}

/// Repairs while the server is stopped at this call; gives what is not as it should be in the end.
async fn repair_at(saga: Saga, call: u64, edge: Edge) -> Vec<String> {
    let (wharf, id, neighbour) = before(saga).await;
    let process = &wharf.run.process;
    process.pause_at(process.calls_begun() + call, edge);
    begin(&wharf, saga, id.as_ref());
    process.paused().await;
    let visitor = wharf.visit(77);
    let mut complaints = Vec::new();
    for turn in 0..2 {
        let found = visitor.wharf.repair_plan().await.expect("compared");
        for mended in visitor.wharf.repair_apply(found, Class::Unknown).await {
            // That a task is gone which has just crashed both may notice: it is told by the same message.
            let is_the_same = matches!(mended.mend, wharf_provisioning::repair::Mend::BringBack { .. });
            if mended.outcome != Outcome::PassedOver && !is_the_same {
                complaints.push(format!("turn {turn}: {}", mended.text));
            }
        }
    }
    process.resume();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let found = wharf.wharf().find("acme").await.ok();
    let Some(id) = found.or(id) else {
        complaints.push("it was never claimed".to_owned());
        return complaints;
    };
    let (state, tasks) = saga.ends();
    let view = wharf.at_rest(&id).await;
    if view.status != state || wharf.world.tasks(&id).len() != tasks {
        complaints.push(format!(
            "it is {} and has had {} tasks: {}",
            view.status,
            wharf.world.tasks(&id).len(),
            wharf.story(&id).await
        ));
    }
    if state == "ready" {
        complaints.extend(wharf.serves(&wharf.record(&id).await.data).err());
    }
    if !matches!(saga, Saga::Provision | Saga::End)
        && wharf
            .world
            .database("user_acme")
            .is_none_or(|database| database.rows.len() != 1)
    {
        complaints.push("its data is gone".to_owned());
    }
    let beside = wharf.record(&neighbour).await.data;
    complaints.extend(wharf.serves(&beside).err());
    if beside.attempt.0 != 1 {
        complaints.push("the neighbour was disturbed".to_owned());
    }
    complaints.extend(wharf.leftovers().await);
    complaints.extend(plan(&wharf).await.into_iter().map(|finding| finding.what));
    complaints
}

#[test]
fn repair_at_any_moment_of_any_saga_disturbs_nothing() {
    let mut all = Vec::new();
    for saga in Saga::ALL {
        let calls = paused(calls(saga));
        assert!(calls > 8, "{saga:?}: {calls}");
        for call in 1..=calls {
            for edge in [Edge::Before, Edge::After] {
                for complaint in paused(repair_at(saga, call, edge)) {
                    all.push(format!("{saga:?} stopped {edge:?} call {call}: {complaint}"));
                }
            }
        }
    }
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}

/// While the sagas of a crowd go on, repair runs all the time, and mends what was planted; nobody else notices.
#[tokio::test(start_paused = true)]
async fn repair_that_never_stops_disturbs_no_crowd() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: Duration::from_millis(700),
            answers_after: Duration::from_millis(300),
            ends_after: Duration::from_millis(500),
            ..Behaviour::default()
        },
    );
    let repairing = wharf.wharf().clone();
    let visitor = wharf.visit(77);
    let never = tokio::spawn(async move {
        loop {
            for wharf in [&repairing, &visitor.wharf] {
                let found = wharf.repair_plan().await.expect("compared");
                for mended in wharf.repair_apply(found, Class::Unknown).await {
                    assert!(!mended.text.contains("tenant"), "{mended:?}");
                }
            }
            tokio::time::sleep(Duration::from_millis(37)).await;
        }
    });
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(wharf.sign_up(&format!("tenant{number}")).await.expect("accepted").id);
        tokio::time::sleep(Duration::from_millis(130)).await;
    }
    let over = wharf_testkit::contracts::harness::some_instance();
    wharf
        .world
        .plant_task(ours(&wharf, over.clone(), 1), &services::shop().name);
    tokio::time::sleep(Duration::from_secs(10)).await;
    for (number, id) in ids.iter().enumerate() {
        wharf.until(id, "ready").await;
        match number % 3 {
            0 => wharf.wharf().stop(id).await.expect("asked for"),
            1 => wharf.world.exit(id, 1),
            _ => {}
        }
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    for (number, id) in ids.iter().enumerate() {
        let (state, attempt) = match number % 3 {
            0 => ("stopped", 1),
            1 => ("ready", 2),
            _ => ("ready", 1),
        };
        let view = wharf.until(id, state).await;
        assert_eq!(view.attempt.0, attempt, "{}", wharf.story(id).await);
        if state == "ready" {
            wharf.serves(&wharf.record(id).await.data).expect("it serves");
        }
        wharf.wharf().end(id).await.expect("asked for");
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    never.abort();
    assert!(
        !never.await.is_err_and(|error| error.is_panic()),
        "repair itself is well"
    );
    assert_eq!(wharf.world.live_tasks(&over).len(), 0, "and what was nobody's is gone");
    assert_eq!(wharf.leftovers().await, [""; 0]);
    assert_eq!(plan(&wharf).await, []);
}
