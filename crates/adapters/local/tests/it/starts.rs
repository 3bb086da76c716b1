//! How tasks start: what they find, what is refused, many at once.

use crate::site::{Site, run, spec, stopped};
use futures::future::join_all;
use secrecy::SecretString;
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};
use wharf_domain::{Attempt, Code, service::RunSpec};
use wharf_platform::{Owner, TaskSpec, TaskStatus, Tasks};

#[tokio::test]
async fn a_task_finds_its_own_folder_and_environment_and_nothing_of_wharfs() {
    let site = Site::new();
    let owner = site.owner();
    let task = site
        .start(TaskSpec {
            port: Some(4711),
            environment: [("APP_PASSWORD".to_owned(), SecretString::from("hush"))].into(),
            ..spec(
                &owner,
                run(&["sh", "-c", "pwd; echo args: $0 $@; env; echo over", "zero", "one"]),
            )
        })
        .await
        .unwrap();
    let (_, _, output) = stopped(site.until_over(&(owner.clone(), task)).await);
    let home = site
        .data()
        .canonicalize()
        .unwrap()
        .join("instances")
        .join(owner.instance.as_str())
        .join("work");
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    let lines: BTreeSet<&str> = output.lines().collect();
    for expected in [
        home.to_str().unwrap(),
        "args: zero one",
        &format!("HOME={}", home.display()),
        "PORT=4711",
        "APP_PASSWORD=hush",
        "WHARF_ATTEMPT=1",
        &format!("WHARF_INSTANCE_ID={}", owner.instance),
        &format!("WHARF_DEPLOYMENT={}", owner.deployment.as_str()),
    ] {
        assert!(lines.contains(expected), "{expected} is missing in {output}");
    }
    assert!(!output.contains("CARGO"), "{output}");
}

#[tokio::test]
async fn a_folder_to_run_in_is_relative_to_the_configuration() {
    let site = Site::new();
    fs::create_dir(site.data().join("app")).unwrap();
    let owner = site.owner();
    let run = RunSpec::Process {
        command: vec!["pwd".into()],
        memory: None,
        directory: Some("app".into()),
    };
    let task = site.start(spec(&owner, run)).await.unwrap();
    let (_, _, output) = stopped(site.until_over(&(owner, task)).await);
    assert_eq!(
        output,
        site.data().canonicalize().unwrap().join("app").to_str().unwrap()
    );
}

#[tokio::test]
async fn a_script_without_an_interpreter_is_refused_with_a_hint() {
    let site = Site::new();
    let script = site.data().join("serve");
    for (content, hint) in [("echo hello", "#!/bin/sh"), ("#!/not/there", "first line")] {
        fs::write(&script, content).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let owner = site.owner();
        let failure = site.start(spec(&owner, run(&["./serve"]))).await.unwrap_err();
        assert_eq!(failure.code, Code::TaskCommand);
        assert!(
            failure.hint.as_deref().unwrap_or_default().contains(hint),
            "{failure:?}"
        );
        assert_eq!(
            site.find(&spec(&owner, run(&["./serve"]))).await.unwrap(),
            None,
            "it may be tried again"
        );
    }
}

#[tokio::test]
async fn a_start_that_failed_may_be_tried_again() {
    let site = Site::new();
    let owner = site.owner();
    site.start(spec(&owner, run(&["./serve"]))).await.unwrap_err();
    let script = site.data().join("serve");
    fs::write(&script, "#!/bin/sh\nexit 5\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let task = site.start(spec(&owner, run(&["./serve"]))).await.unwrap();
    let (_, code, _) = stopped(site.until_over(&(owner, task)).await);
    assert_eq!(code, Some(5));
}

#[tokio::test]
async fn a_start_goes_on_although_its_caller_gave_up() {
    let site = Site::new();
    let owner = site.owner();
    {
        let start = site.start(spec(&owner, run(&["wharf", "rest"])));
        let mut start = std::pin::pin!(start);
        assert!(futures::poll!(&mut start).is_pending());
    }
    let task = site
        .find(&spec(&owner, run(&["./serve"])))
        .await
        .unwrap()
        .expect("it is there");
    let task = (owner.clone(), task);
    assert!(matches!(site.status(&task).await, TaskStatus::Running { .. }));
    assert_eq!(site.start(spec(&owner, run(&["wharf", "rest"]))).await.unwrap(), task.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_start_at_once_and_all_run() {
    let site = Site::new();
    let owners: Vec<Owner> = (0..200).map(|_| site.owner()).collect();
    let began = std::time::Instant::now();
    let starts = owners
        .iter()
        .map(|owner| site.start(spec(owner, run(&["wharf", "rest"]))));
    let started: Vec<_> = join_all(starts).await.into_iter().map(Result::unwrap).collect();
    println!("200 starts took {:?}", began.elapsed());
    let ids: BTreeSet<&str> = started.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids.len(), 200);
    site.until_marked(200).await;
    assert_eq!(site.all(&[]).await.unwrap().len(), 200);
    let began = std::time::Instant::now();
    site.shutdown(crate::site::GRACE).await.unwrap();
    println!("ending them took {:?}", began.elapsed());
    assert_eq!(site.marked(), [0; 0]);
}

#[tokio::test]
async fn an_ended_attempt_is_forgotten_for_the_next() {
    let site = Site::new();
    let (owner, first) = site.run(&["false"]).await;
    site.until_over(&(owner.clone(), first.clone())).await;
    let next = Owner {
        attempt: Attempt(2),
        ..owner.clone()
    };
    site.start(spec(&next, run(&["wharf", "rest"]))).await.unwrap();
    assert_eq!(site.look(&owner, &first).await.unwrap(), TaskStatus::Gone);
}
