//! Containers that are started ahead: claimed once, by one, also when Wharf ends in the middle; replaced when they would be others now; gone when nobody
//! wants them.

use crate::site::{GRACE, Site, build, containers, spec};
use bollard::query_parameters::{KillContainerOptionsBuilder, RenameContainerOptions};
use futures::future::join_all;
use secrecy::SecretString;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wharf_docker::{DockerTasks, WarmService};
use wharf_domain::{
    instance::TaskRef,
    service::{DockerTask, RunSpec},
};
use wharf_platform::{Owner, TaskSpec, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::eventually;

const SECRET: &str = "postgresql://user:hunter2@host/database";

fn service(task: DockerTask, count: usize) -> WarmService {
    WarmService {
        service: "test".parse().unwrap(),
        task,
        environment: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        count,
    }
}

fn wanted(owner: &Owner, task: DockerTask) -> TaskSpec {
    let given = [
        ("GREETING", "hello"),
        ("WHARF_INSTANCE_ID", owner.instance.as_str()),
        ("DATABASE_URL", SECRET),
    ];
    TaskSpec {
        environment: given
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
            .into(),
        ..spec(owner, RunSpec::Docker(task))
    }
}

async fn until_waiting(tasks: &DockerTasks, count: usize) {
    eventually("containers wait", async || (tasks.waiting() == count).then_some(())).await;
}

async fn id(site: &Site, task: &TaskRef) -> String {
    let found = site.docker.inspect_container(&task.id, None).await.unwrap();
    found.id.unwrap()
}

/// Ids of those that are nobody's.
async fn nobodys(site: &Site) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for id in containers(&site.docker, &site.deployment).await {
        let Ok(seen) = site.docker.inspect_container(&id, None).await else {
            continue;
        };
        if seen.name.unwrap().contains("-warm-") {
            found.insert(id);
        }
    }
    found
}

/// Who answers there.
async fn answer(tasks: &DockerTasks, owner: &Owner, task: &TaskRef) -> String {
    let TaskStatus::Running {
        endpoint: Some(endpoint),
    } = tasks.look(owner, task).await.unwrap()
    else {
        panic!("it runs")
    };
    let address = SocketAddr::new(endpoint.ip().unwrap(), endpoint.port());
    eventually("it answers", async || {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        text.rsplit("\r\n").next().map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn a_container_that_waited_becomes_its_owners_and_keeps_nothing_when_it_ends() {
    let site = Site::new().await;
    let task = site.task(&["late"]);
    let tasks = site.again_with(vec![service(task.clone(), 1)]).await;
    until_waiting(&tasks, 1).await;
    assert_eq!(tasks.all(&[]).await, Ok(Vec::new()), "it is nobody's, and no orphan");
    let waited = nobodys(&site).await;
    let owner = site.owner();
    assert_eq!(tasks.find(&wanted(&owner, task.clone())).await, Ok(None));

    let started = tasks.start(wanted(&owner, task.clone())).await.unwrap();
    assert_eq!(BTreeSet::from([id(&site, &started).await]), waited);
    assert_eq!(answer(&tasks, &owner, &started).await, owner.instance.as_str());
    assert_eq!(tasks.all(&[]).await, Ok(vec![(owner.clone(), started.clone())]));
    let found = site.docker.inspect_container(&started.id, None).await.unwrap();
    assert!(
        !format!("{found:?}").contains("hunter2"),
        "Docker knows no secret of it"
    );
    let host = found.host_config.unwrap();
    assert_eq!((host.memory, host.readonly_rootfs), (Some(64 << 20), Some(true)));
    let printed = site.until_printed(&(owner.clone(), started.clone()), "told of").await;
    assert!(printed.contains("told of 4 variables, read-only: true"), "{printed}");

    // Said again, also to another Wharf, it is the same; and the next one waits already.
    until_waiting(&tasks, 1).await;
    let stock = tasks.stock().remove(0);
    assert_eq!((stock.wanted, stock.waiting, stock.claims, stock.misses), (1, 1, 1, 0));
    drop(tasks);
    let next = site.again_with(vec![service(task.clone(), 1)]).await;
    until_waiting(&next, 1).await;
    assert_eq!(next.start(wanted(&owner, task.clone())).await, Ok(started.clone()));
    assert_eq!(next.find(&wanted(&owner, task)).await, Ok(Some(started.clone())));
    assert_eq!(next.waiting(), 1, "none was used up for that");

    let slot = found.config.unwrap().labels.unwrap()["wharf.slot"].clone();
    let told = site.folder.path().join("warm").join(slot).join("environment.json");
    assert!(fs::read_to_string(&told).unwrap().contains("hunter2"));
    site.until_stopped(&(owner, started), GRACE).await;
    eventually("what it was told is gone", async || (!told.exists()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_each_its_own_whether_one_waited_or_not() {
    let site = Site::new().await;
    let task = site.task(&["late"]);
    let tasks = site.again_with(vec![service(task.clone(), 2)]).await;
    until_waiting(&tasks, 2).await;
    // Those that did not wait find out from their environment.
    let owners: Vec<(Owner, DockerTask)> = (0..6).map(|_| (site.owner(), task.clone())).collect();
    let started = join_all(
        owners
            .iter()
            .map(|(owner, task)| tasks.start(wanted(owner, task.clone()))),
    )
    .await;
    let mut ids = BTreeSet::new();
    for ((owner, _), started) in owners.iter().zip(started) {
        let started = started.unwrap();
        assert!(ids.insert(id(&site, &started).await), "one container for two");
        assert_eq!(answer(&tasks, owner, &started).await, owner.instance.as_str());
    }
    let mut all: Vec<Owner> = tasks
        .all(&[])
        .await
        .unwrap()
        .into_iter()
        .map(|(owner, _)| owner)
        .collect();
    let mut expected: Vec<Owner> = owners.into_iter().map(|(owner, _)| owner).collect();
    all.sort_by_key(|owner| owner.instance.clone());
    expected.sort_by_key(|owner| owner.instance.clone());
    assert_eq!(all, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_container_is_claimed_by_one_of_many() {
    let site = Site::new().await;
    let task = site.task(&["late"]);
    let tasks = site.again_with(vec![service(task.clone(), 1)]).await;
    until_waiting(&tasks, 1).await;
    let waited = nobodys(&site).await;
    let owners: Vec<Owner> = (0..4).map(|_| site.owner()).collect();
    let started = join_all(owners.iter().map(|owner| tasks.start(wanted(owner, task.clone())))).await;
    let mut ids = BTreeSet::new();
    for started in started {
        ids.insert(id(&site, &started.unwrap()).await);
    }
    assert_eq!(ids.len(), 4, "each has a container of its own");
    assert_eq!(ids.intersection(&waited).count(), 1, "and one of them is what waited");
}

/// As a Wharf that was killed between the claim and telling leaves it.
#[tokio::test]
async fn a_container_that_was_claimed_and_told_nothing_is_told_by_the_next_wharf() {
    let site = Site::new().await;
    let task = site.task(&["late"]);
    let owner = site.owner();
    let name = format!("wharf-{}-{}-{}", owner.deployment, owner.instance, owner.attempt);
    {
        let killed = site.again_with(vec![service(task.clone(), 1)]).await;
        until_waiting(&killed, 1).await;
    }
    let [waited] = <[String; 1]>::try_from(nobodys(&site).await.into_iter().collect::<Vec<_>>()).unwrap();
    let options = RenameContainerOptions { name: name.clone() };
    site.docker.rename_container(&waited, options).await.unwrap();

    let next = site.again_with(vec![service(task.clone(), 1)]).await;
    until_waiting(&next, 1).await;
    let found = next.find(&wanted(&owner, task.clone())).await.unwrap();
    let found = found.expect("undoing the start would find it");
    assert_eq!((found.id.as_str(), id(&site, &found).await), (name.as_str(), waited));
    assert_eq!(next.start(wanted(&owner, task)).await, Ok(found.clone()));
    assert_eq!(answer(&next, &owner, &found).await, owner.instance.as_str());
    assert_eq!(next.waiting(), 1, "what waits is still there");
}

#[tokio::test]
async fn what_waits_is_of_the_image_as_it_is_now() {
    let site = Site::new().await;
    let image = format!("wharf-docker-helper:warm-{}", site.deployment);
    build(&site.docker, &image, "ENTRYPOINT [\"/helper\"]\nENV VERSION=1").await;
    let task = DockerTask {
        image: image.clone(),
        ..site.task(&["late"])
    };
    let tasks = site.again_with(vec![service(task.clone(), 1)]).await;
    until_waiting(&tasks, 1).await;
    let before = nobodys(&site).await;
    build(&site.docker, &image, "ENTRYPOINT [\"/helper\"]\nENV VERSION=2").await;

    let owner = site.owner();
    let started = tasks.start(wanted(&owner, task)).await.unwrap();
    let found = site.docker.inspect_container(&started.id, None).await.unwrap();
    let environment = found.config.unwrap().env.unwrap();
    assert!(environment.contains(&"VERSION=2".to_owned()), "{environment:?}");
    assert!(!before.contains(&found.id.unwrap()));

    drop(tasks);
    let next = site
        .again_with(vec![service(
            DockerTask {
                image: image.clone(),
                ..site.task(&["late"])
            },
            1,
        )])
        .await;
    until_waiting(&next, 1).await;
    let after = nobodys(&site).await;
    assert!(after.is_disjoint(&before), "the old one is removed");
}

#[tokio::test]
async fn a_container_that_died_while_it_waited_is_not_handed_out_and_is_replaced() {
    let site = Site::new().await;
    let task = site.task(&["late"]);
    let tasks = site.again_with(vec![service(task.clone(), 1)]).await;
    until_waiting(&tasks, 1).await;
    let before = nobodys(&site).await;
    let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
    let dead = before.first().unwrap();
    site.docker.kill_container(dead, Some(options)).await.unwrap();
    let owner = site.owner();
    // At once: whether its end has been heard of or not.
    let started = tasks.start(wanted(&owner, site.task(&["late"]))).await.unwrap();
    assert_ne!(&id(&site, &started).await, dead);
    assert!(matches!(
        tasks.look(&owner, &started).await,
        Ok(TaskStatus::Running { .. })
    ));
    until_waiting(&tasks, 1).await;
    assert!(nobodys(&site).await.is_disjoint(&before));
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_removed_with_its_folder() {
    let site = Site::new().await;
    let task = site.task(&["late"]);
    let folders = || fs::read_dir(site.folder.path().join("warm")).unwrap().count();
    {
        let tasks = site.again_with(vec![service(task.clone(), 3)]).await;
        until_waiting(&tasks, 3).await;
        assert_eq!(folders(), 3);
    }
    let fewer = site.again_with(vec![service(task, 1)]).await;
    eventually("two are removed", async || {
        (nobodys(&site).await.len() == 1).then_some(())
    })
    .await;
    until_waiting(&fewer, 1).await;
    eventually("their folders too", async || (folders() == 1).then_some(())).await;
    drop(fewer);
    let _none = site.again().await;
    eventually("all are removed", async || {
        nobodys(&site).await.is_empty().then_some(())
    })
    .await;
    eventually("their folders too", async || (folders() == 0).then_some(())).await;
}

/// A program that does not know how to wait: it is tried again, ever more seldom, and sign-ups go on without.
#[tokio::test]
async fn a_service_that_cannot_wait_costs_no_sign_up() {
    let site = Site::new().await;
    let task = site.task(&["crash"]);
    let tasks = site.again_with(vec![service(task.clone(), 1)]).await;
    eventually("one was tried", async || {
        (!nobodys(&site).await.is_empty()).then_some(())
    })
    .await;
    let owner = site.owner();
    let started = tasks.start(wanted(&owner, task)).await.unwrap();
    let running = (owner, started);
    let over = eventually("it is over", async || {
        match tasks.look(&running.0, &running.1).await.unwrap() {
            TaskStatus::Running { .. } | TaskStatus::Pending { .. } => None,
            over => Some(over),
        }
    })
    .await;
    assert!(
        matches!(over, TaskStatus::Stopped { exit_code: Some(3), .. }),
        "{over:?}"
    );
}
