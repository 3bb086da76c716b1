//! Containers that are started ahead, as they are counted and shown.

use crate::engine::{Answer, Engine};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use wharf_docker::{
    DockerTasks, WarmService, WarmStock,
    doctor::{self, Checked, Warm},
};
use wharf_domain::service::RunSpec;
use wharf_platform::{TaskSpec, Tasks};
use wharf_testkit::contracts::harness::eventually;

/// Two of what is asked for are to wait.
fn two_of(spec: &TaskSpec) -> WarmService {
    let RunSpec::Docker(task) = &spec.run else {
        panic!("it is no container")
    };
    WarmService {
        service: spec.service.clone(),
        task: task.clone(),
        environment: BTreeMap::new(),
        count: 2,
    }
}

fn stock(tasks: &DockerTasks) -> WarmStock {
    let [stock] = tasks.stock().try_into().unwrap();
    stock
}

#[tokio::test]
async fn starts_that_got_one_that_waited_are_counted_and_those_that_found_none() {
    let made = Arc::new(AtomicUsize::new(0));
    // Docker makes one container, and no other; and what it made it does not list, which changes nothing about who has it.
    let engine = Engine::new(move |asked| match asked.what.as_str() {
        "POST /containers/create" if made.fetch_add(1, Ordering::SeqCst) > 0 => {
            Some(Answer::error(500, "no space left on device"))
        }
        "GET /containers/json" if made.load(Ordering::SeqCst) > 0 => Some(Answer::error(500, "a list takes too long")),
        what if what.ends_with("/rename") => Some(Answer::Now(204, String::new())),
        what if what.starts_with("GET /containers/wharf-") => {
            Some(Answer::json(&json!({"Id": "c", "State": {"Status": "running"}})))
        }
        _ => None,
    });
    let (_, spec) = engine.spec("never");
    let tasks = engine.open_with(vec![two_of(&spec)]).await.unwrap();
    let one_waits = async || (stock(&tasks).waiting == 1).then_some(());
    eventually("one waits", one_waits).await;
    let before = stock(&tasks);
    assert_eq!((before.service.as_str(), before.wanted), ("shop", 2));
    assert_eq!((before.claims, before.misses), (0, 0));

    tasks.start(spec).await.unwrap();
    let (_, late) = engine.spec("never");
    tasks.start(late).await.unwrap_err();
    let after = stock(&tasks);
    assert_eq!((after.waiting, after.claims, after.misses), (0, 1, 1));
}

#[tokio::test]
async fn the_doctor_sees_what_waits_for_this_deployment_and_is_nobodys() {
    let engine = Engine::new(|asked| {
        let labels = |slot: &str| json!({"Labels": {"wharf.warm": "mark", "wharf.slot": slot}});
        let all = ["waits", "told", "of-another-deployment"].map(labels);
        (asked.what == "GET /containers/json").then(|| Answer::json(&json!(all)))
    });
    let folder = engine.folder().join("warm");
    for slot in ["waits", "told"] {
        fs::create_dir_all(folder.join(slot)).unwrap();
    }
    fs::write(folder.join("told/environment.json"), "{}").unwrap();
    let (_, spec) = engine.spec("never");
    let warm = Warm {
        services: &[two_of(&spec)],
        folder: &folder,
    };
    let host = format!("unix://{}/socket", engine.folder().display());
    let checks = doctor::examine(&host, None, [], warm).await;
    let about = checks.iter().find(|check| check.what == "containers started ahead");
    let about = about.expect("it is looked at");
    assert_eq!(about.subject, "service shop");
    assert_eq!(
        about.result,
        Checked::Good(Some("1 of 2 wait for their owners".to_owned()))
    );
}
