//! Tasks that turn up when nobody wants them any more: told of by the platform, or found by the look at all tasks.

use wharf_domain::{Attempt, InstanceId, Timestamp, instance::TaskRef};
use wharf_platform::{Owner, TaskEvent, TaskStatus};
use wharf_testkit::sim::{SimWharf, services::plain};

fn plant(wharf: &SimWharf, instance: &InstanceId, attempt: u32) -> TaskRef {
    let owner = Owner {
        deployment: wharf.world.deployment_id().clone(),
        instance: instance.clone(),
        attempt: Attempt(attempt),
    };
    wharf.world.plant_task(owner, &plain("auth").name)
}

fn running(instance: &InstanceId, task: &TaskRef) -> TaskEvent {
    TaskEvent {
        instance: instance.clone(),
        task: task.clone(),
        status: TaskStatus::Running { endpoint: None },
    }
}

async fn ended(wharf: &SimWharf) -> InstanceId {
    let id = wharf.ready("acme", "shop").await;
    wharf.wharf().end(&id).await.expect("asked for");
    wharf.until(&id, "ended").await;
    id
}

#[tokio::test(start_paused = true)]
async fn a_task_of_an_ended_instance_is_stopped_when_the_platform_tells_of_it() {
    let wharf = SimWharf::new(1).await;
    let id = ended(&wharf).await;
    let stray = plant(&wharf, &id, 2);
    wharf.wharf().heard(running(&id, &stray)).await.expect("heard");
    assert!(wharf.world.live_tasks(&id).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_look_at_all_tasks_stops_those_of_ended_instances_and_of_earlier_attempts() {
    let wharf = SimWharf::new(1).await;
    let over = ended(&wharf).await;
    let live = wharf.ready("bolt", "shop").await;
    wharf.world.exit(&live, 1);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let own = wharf.until(&live, "ready").await;
    assert_eq!(own.attempt, Attempt(2));
    plant(&wharf, &over, 7);
    let unknown = InstanceId::new(Timestamp(1), [3; 10]);
    plant(&wharf, &unknown, 1);
    let late = plant(&wharf, &live, 1);
    assert_ne!(Some(late.id), own.task);
    wharf.wharf().check_tasks().await.expect("looked");
    assert!(wharf.world.live_tasks(&over).is_empty());
    assert!(wharf.world.live_tasks(&unknown).is_empty());
    let left: Vec<_> = wharf
        .world
        .live_tasks(&live)
        .into_iter()
        .map(|task| task.reference.id)
        .collect();
    assert_eq!(left, [own.task.expect("its own")]);
}

/// Found by simulation (seed 357): of two tasks of one attempt the second ran for ever.
#[tokio::test(start_paused = true)]
async fn of_an_attempt_that_the_platform_started_twice_one_task_stays() {
    let wharf = SimWharf::new(1).await;
    let twice = wharf_testkit::sim::Behaviour {
        twin: true,
        ..Default::default()
    };
    wharf.world.behave_next("site", twice);
    let id = wharf.ready("acme", "site").await;
    assert_eq!(wharf.world.live_tasks(&id).len(), 2);
    wharf.wharf().check_tasks().await.expect("looked");
    let own = wharf.until(&id, "ready").await.task;
    let left = wharf.world.live_tasks(&id);
    assert_eq!(left.len(), 1);
    assert_eq!(own.as_ref(), Some(&left[0].reference.id));
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_claim_that_is_under_way_is_left_alone() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "site",
        wharf_testkit::sim::Behaviour {
            runs_after: std::time::Duration::from_secs(20),
            ..Default::default()
        },
    );
    let request = wharf_testkit::sim::wharf::sign_up("acme", Some("site"));
    let accepted = wharf
        .wharf()
        .provision(request, wharf_provisioning::Caller::Visitor, None)
        .await;
    let id = accepted.expect("taken").id;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(wharf.world.live_tasks(&id).len(), 1);
    wharf.wharf().check_tasks().await.expect("looked");
    wharf.until(&id, "ready").await;
    assert_eq!(wharf.world.tasks(&id).len(), 1, "it is still the first one");
}

#[tokio::test(start_paused = true)]
async fn with_an_empty_registry_nothing_is_taken_for_a_stray() {
    let wharf = SimWharf::new(1).await;
    let unknown = InstanceId::new(Timestamp(1), [3; 10]);
    let task = plant(&wharf, &unknown, 1);
    wharf.wharf().heard(running(&unknown, &task)).await.expect("heard");
    wharf.wharf().check_tasks().await.expect("looked");
    assert_eq!(wharf.world.live_tasks(&unknown).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn anothers_task_is_never_touched() {
    let wharf = SimWharf::new(1).await;
    let over = ended(&wharf).await;
    let owner = Owner {
        deployment: wharf_domain::DeploymentId::new([9; 10]),
        instance: over.clone(),
        attempt: Attempt(1),
    };
    let task = wharf.world.plant_task(owner, &plain("auth").name);
    wharf.wharf().check_tasks().await.expect("looked");
    let _ = wharf.wharf().heard(running(&over, &task)).await;
    assert_eq!(wharf.world.live_tasks(&over).len(), 1);
}
