//! No room for a task is waited for, with a place in the queue, up to a time; a task lost before the first Ready is tried again, a bounded number of times.

use std::time::Duration;
use wharf_domain::{Attempt, Code, Failure, InstanceId, State};
use wharf_provisioning::InstanceView;
use wharf_testkit::sim::{Behaviour, SimWharf};

fn full() -> Behaviour {
    Behaviour {
        refused: Some(Failure::new(Code::TaskCapacity, "RESOURCE:MEMORY")),
        ..Behaviour::default()
    }
}

fn lost() -> Behaviour {
    Behaviour {
        runs_after: Duration::from_secs(1),
        exits_after: Some(Duration::from_millis(1)),
        lost: true,
        ..Behaviour::default()
    }
}

async fn sign_up(wharf: &SimWharf, name: &str) -> InstanceId {
    wharf.sign_up(name).await.expect("accepted").id
}

/// It is not at rest meanwhile.
async fn until_queued(wharf: &SimWharf, id: &InstanceId) -> InstanceView {
    let queued = wharf.wharf().wait_until(id, Duration::from_mins(1), |state| {
        matches!(state, State::Queued { .. })
    });
    let view = queued.await.expect("shown");
    assert_eq!(view.status, "queued");
    view
}

async fn assert_nothing_left(wharf: &SimWharf, id: &InstanceId) {
    assert_eq!(wharf.world.belongings(id), [""; 0]);
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn room_is_waited_for_and_the_queue_has_an_order() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave("shop", full());
    let first = sign_up(&wharf, "acme").await;
    until_queued(&wharf, &first).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = sign_up(&wharf, "bolt").await;
    let view = until_queued(&wharf, &second).await;
    assert_eq!(view.queue.map(|queue| (queue.position, queue.of)), Some((2, 2)));
    let ahead = wharf.wharf().show(&first).await.expect("shown");
    let queue = ahead.queue.expect("a place");
    assert_eq!((queue.position, queue.of), (1, 2));
    assert!(queue.why.contains("RESOURCE:MEMORY"));
    assert_eq!(ahead.waits_for, Some(queue.why));

    wharf.world.behave("shop", Behaviour::default());
    for id in [first, second] {
        let view = wharf.until(&id, "ready").await;
        assert_eq!((view.attempt, view.queue), (Attempt(1), None));
    }
}

#[tokio::test(start_paused = true)]
async fn room_that_never_comes_is_an_error_in_the_end_and_nothing_is_left() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave("shop", full());
    let id = sign_up(&wharf, "acme").await;
    until_queued(&wharf, &id).await;
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::TaskCapacity));
    let waited = view.since.since(view.created_at);
    let allowed = wharf.wharf().settings().pace.capacity_wait;
    assert!(
        waited >= allowed && waited < allowed + Duration::from_mins(1),
        "{waited:?}"
    );
    assert_nothing_left(&wharf, &id).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_can_be_ended() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave("shop", full());
    let id = sign_up(&wharf, "acme").await;
    until_queued(&wharf, &id).await;
    wharf.wharf().end(&id).await.expect("it can be");
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::InstanceCancelled));
    assert_nothing_left(&wharf, &id).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_lost_before_the_first_ready_is_a_new_attempt() {
    let wharf = SimWharf::new(1).await;
    for _ in 0..2 {
        wharf.world.behave_next("shop", lost());
    }
    let id = sign_up(&wharf, "acme").await;
    let view = wharf.until(&id, "ready").await;
    assert_eq!(view.attempt, Attempt(3));
    assert_eq!(wharf.world.live_tasks(&id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn hosts_that_are_always_lost_are_given_up() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave("shop", lost());
    let id = sign_up(&wharf, "acme").await;
    let view = wharf.until(&id, "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::TaskLost));
    assert_eq!(wharf.world.tasks(&id).len(), 10);
    assert_nothing_left(&wharf, &id).await;
}
