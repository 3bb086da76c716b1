//! How containers end: by themselves, for their memory, at somebody's hand, and by Wharf's. And what is adopted.

use crate::site::{GRACE, Site, spec, stopped};
use bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptions, StopContainerOptions};
use futures::{StreamExt, stream::BoxStream};
use wharf_domain::{
    Code,
    service::{DockerTask, RunSpec},
};
use wharf_platform::{Owner, Stopping, TaskEvent, TaskEvents, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::{eventually, soon};

/// The next event of the task that is no sign of life.
async fn end_of(events: &mut BoxStream<'static, TaskEvent>, task: &str) -> TaskStatus {
    soon("its end is told", async {
        loop {
            let event = events.next().await.unwrap();
            let is_alive = matches!(event.status, TaskStatus::Running { .. } | TaskStatus::Pending { .. });
            if event.task.id == task && !is_alive {
                return event.status;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_container_that_takes_too_much_memory_is_told_as_such_with_its_limit() {
    let site = Site::new().await;
    let running = site.run(&["hoard"]).await;
    let (cause, ..) = stopped(site.until_over(&running).await);
    assert_eq!(cause.code, Code::TaskMemory, "{cause}");
    assert!(cause.message.contains("64.0 MiB"), "{cause}");
}

#[tokio::test]
async fn a_container_that_ends_at_once_is_told_with_what_it_said() {
    let site = Site::new().await;
    let running = site.run(&["nonsense"]).await;
    let (cause, exit_code, output) = stopped(site.until_over(&running).await);
    assert_eq!((cause.code, exit_code), (Code::TaskCrashed, Some(1)));
    assert!(output.contains("nobody knows \"nonsense\""), "{output}");
}

#[tokio::test]
async fn a_container_killed_by_hand_is_lost_through_no_fault_of_its_own() {
    let site = Site::new().await;
    let mut events = site.subscribe();
    let running = site.run(&["rest"]).await;
    let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
    site.docker.kill_container(&running.1.id, Some(options)).await.unwrap();
    let (cause, ..) = stopped(end_of(&mut events, &running.1.id).await);
    assert_eq!(cause.code, Code::TaskLost, "{cause}");
    assert!(cause.message.contains("somebody"), "{cause}");
}

#[tokio::test]
async fn a_container_stopped_by_hand_is_lost_through_no_fault_of_its_own() {
    let site = Site::new().await;
    let mut events = site.subscribe();
    let running = site.run(&["rest"]).await;
    site.until_printed(&running, "at rest").await;
    site.docker
        .stop_container(&running.1.id, None::<StopContainerOptions>)
        .await
        .unwrap();
    let (cause, exit_code, _) = stopped(end_of(&mut events, &running.1.id).await);
    assert_eq!((cause.code, exit_code), (Code::TaskLost, Some(0)), "{cause}");
}

#[tokio::test]
async fn a_container_paused_by_hand_is_lost_and_can_be_ended() {
    let site = Site::new().await;
    let mut events = site.subscribe();
    let running = site.run(&["rest"]).await;
    site.docker.pause_container(&running.1.id).await.unwrap();
    let TaskStatus::Paused { cause } = end_of(&mut events, &running.1.id).await else {
        panic!("it is paused");
    };
    assert_eq!(cause.code, Code::TaskLost, "{cause}");
    assert!(cause.message.contains("paused"), "{cause}");
    site.until_stopped(&running, GRACE).await;
}

#[tokio::test]
async fn a_container_removed_by_hand_is_gone() {
    let site = Site::new().await;
    let mut events = site.subscribe();
    let running = site.run(&["rest"]).await;
    let options = RemoveContainerOptions {
        force: true,
        ..RemoveContainerOptions::default()
    };
    site.docker
        .remove_container(&running.1.id, Some(options))
        .await
        .unwrap();
    let told = end_of(&mut events, &running.1.id).await;
    assert!(
        matches!(told, TaskStatus::Gone | TaskStatus::Stopped { .. }),
        "{told:?}"
    );
    assert_eq!(site.status(&running).await, TaskStatus::Gone);
    let stopping = site.stop(&running.0, &running.1, GRACE).await;
    assert_eq!(stopping, Ok(Stopping::Stopped));
}

#[tokio::test]
async fn containers_live_on_without_wharf_and_are_adopted_by_the_next() {
    let site = Site::new().await;
    let (owner, task) = site.run(&["serve"]).await;
    let endpoint = site.endpoint(&(owner.clone(), task.clone())).await;
    let next = site.again().await;
    assert_eq!(next.all(&[]).await, Ok(vec![(owner.clone(), task.clone())]));
    let again = next.start(spec(&owner, RunSpec::Docker(site.task(&["serve"])))).await;
    assert_eq!(again, Ok(task.clone()));
    let expected = TaskStatus::Running {
        endpoint: Some(endpoint),
    };
    assert_eq!(next.look(&owner, &task).await, Ok(expected));
    assert_eq!(next.subnet(), site.subnet());
}

#[tokio::test]
async fn a_container_that_was_made_and_not_started_is_started_by_the_next_wharf() {
    let site = Site::new().await;
    let owner = site.owner();
    let run = RunSpec::Docker(site.task(&["rest"]));
    let task = site.start(spec(&owner, run.clone())).await.unwrap();
    // As a Wharf that was killed in between leaves it.
    let options = RemoveContainerOptions {
        force: true,
        ..RemoveContainerOptions::default()
    };
    let found = site.docker.inspect_container(&task.id, None).await.unwrap();
    let labels = found.config.and_then(|config| config.labels);
    site.docker.remove_container(&task.id, Some(options)).await.unwrap();
    let body = bollard::models::ContainerCreateBody {
        image: Some(site.image.clone()),
        cmd: Some(vec!["rest".to_owned()]),
        labels,
        ..bollard::models::ContainerCreateBody::default()
    };
    let options = bollard::query_parameters::CreateContainerOptions {
        name: Some(task.id.clone()),
        ..bollard::query_parameters::CreateContainerOptions::default()
    };
    site.docker.create_container(Some(options), body).await.unwrap();
    assert_eq!(site.find(&spec(&owner, run.clone())).await, Ok(Some(task.clone())));
    assert_eq!(site.start(spec(&owner, run)).await, Ok(task.clone()));
    assert!(matches!(site.look(&owner, &task).await, Ok(TaskStatus::Running { .. })));
}

#[tokio::test]
async fn a_container_of_somebody_else_under_our_name_is_told_and_left_alone() {
    let site = Site::new().await;
    let owner = site.owner();
    let name = format!("wharf-{}-{}-{}", owner.deployment, owner.instance, owner.attempt);
    let body = bollard::models::ContainerCreateBody {
        image: Some(site.image.clone()),
        cmd: Some(vec!["rest".to_owned()]),
        ..bollard::models::ContainerCreateBody::default()
    };
    let options = bollard::query_parameters::CreateContainerOptions {
        name: Some(name.clone()),
        ..bollard::query_parameters::CreateContainerOptions::default()
    };
    site.docker.create_container(Some(options), body).await.unwrap();
    let refused = site
        .start(spec(&owner, RunSpec::Docker(site.task(&["rest"]))))
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::ResourceForeign);
    let found = site.find(&spec(&owner, RunSpec::Docker(site.task(&["rest"])))).await;
    assert_eq!(found, Ok(None), "there is nothing of ours to take back");
    let task = wharf_domain::instance::TaskRef {
        id: name.clone(),
        attempt: owner.attempt,
    };
    let stopped = site.stop(&owner, &task, GRACE).await;
    assert_eq!(stopped.unwrap_err().code, Code::ResourceForeign);
    site.docker.inspect_container(&name, None).await.unwrap();
    let options = RemoveContainerOptions {
        force: true,
        ..RemoveContainerOptions::default()
    };
    site.docker.remove_container(&name, Some(options)).await.unwrap();
}

#[tokio::test]
async fn of_an_instances_containers_that_ended_the_last_but_one_is_kept_and_no_older_one() {
    let site = Site::new().await;
    let first = site.owner();
    for attempt in 1..=4 {
        let owner = Owner {
            attempt: wharf_domain::Attempt(attempt),
            ..first.clone()
        };
        let crashing: DockerTask = site.task(&["crash"]);
        let task = site.start(spec(&owner, RunSpec::Docker(crashing))).await.unwrap();
        site.until_over(&(owner, task)).await;
    }
    eventually("the old ones are removed", async || {
        let left = crate::site::containers(&site.docker, &site.deployment).await;
        (left.len() == 2).then_some(())
    })
    .await;
}
