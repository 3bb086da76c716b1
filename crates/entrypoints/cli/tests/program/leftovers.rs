//! Processes that outlive what started them: what a task leaves behind, and what a killed server does.

use crate::{
    harness::{Deployment, Process, Setup, eventually, text},
    service,
};

/// A shop that has started a process of its own, in a session of its own where there is a `setsid`.
fn with_a_daemon() -> Setup {
    let script = "setsid sleep 1000 >/dev/null 2>&1 & exec \"$0\" storefront";
    let command = serde_json::json!(["/bin/sh", "-c", script, env!("CARGO_BIN_EXE_wharf")]);
    Setup::new().configured(&service::app(
        "database = true\nhealth = { path = \"/healthz\", interval = \"100ms\" }",
        &format!("process = {{ command = {command} }}"),
    ))
}

/// Waits until the instance has its two processes, each of them the program that it is to be. Gives the shop and its daemon.
async fn both(deployment: &Deployment, id: &str) -> [Process; 2] {
    eventually("there are a shop and its daemon", async || {
        let mut tasks = deployment.tasks_of(id);
        assert!(tasks.len() <= 2, "more than two: {tasks:#?}");
        tasks.sort_by_key(|task| !task.command.ends_with("/wharf storefront"));
        let [shop, daemon] = <[_; 2]>::try_from(tasks).ok()?;
        let are_they = shop.command.ends_with("wharf storefront") && daemon.command == "sleep 1000";
        are_they.then_some([shop, daemon])
    })
    .await
}

/// A deployment with one tenant, and its id.
async fn with_one() -> (Deployment, String) {
    let deployment = with_a_daemon().up().await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    (deployment, id)
}

#[tokio::test]
async fn what_a_killed_server_leaves_is_ended_by_the_next() {
    let (mut deployment, id) = with_one().await;
    let [shop, daemon] = both(&deployment, &id).await;
    deployment.kill().await;
    eventually("the shop itself is gone with its server", async || {
        let left = deployment.tasks_of(&id);
        left.iter().all(|task| task.pid != shop.pid).then_some(())
    })
    .await;
    deployment.up().await;
    let left = deployment.tasks();
    assert!(
        left.iter().all(|task| task.pid != daemon.pid),
        "{daemon:?} is still there"
    );
    let [_, other] = both(&deployment, &id).await;
    assert_ne!(other.pid, daemon.pid);
    deployment.agrees().await;
}

#[tokio::test]
async fn a_server_that_ends_in_order_takes_grandchildren_along() {
    let (mut deployment, id) = with_one().await;
    both(&deployment, &id).await;
    deployment.end().await;
    assert_eq!(deployment.tasks(), []);
}

#[tokio::test]
async fn a_stop_and_a_heal_take_grandchildren_along() {
    let (deployment, id) = with_one().await;
    let before = deployment.show(&id).await;
    let [shop, daemon] = both(&deployment, &id).await;
    shop.kill();
    deployment.back(&id, &before).await;
    let [_, other] = both(&deployment, &id).await;
    assert_ne!(other.pid, daemon.pid);
    deployment.ask("acme", "stop").await;
    deployment.becomes("acme", "stopped").await;
    assert_eq!(deployment.tasks_of(&id), []);
}

#[tokio::test]
async fn what_a_task_starts_in_the_moment_of_its_death_is_ended_too() {
    let command = serde_json::json!(["/bin/sh", "-c", "setsid sleep 1000 & kill -9 $$"]);
    let app = service::app("", &format!("process = {{ command = {command} }}"));
    let deployment = Setup::new().configured(&app).up().await;
    let names: Vec<String> = (0..30).map(|number| format!("t{number}")).collect();
    let accepted = futures::future::join_all(names.iter().map(|name| deployment.provision(name))).await;
    for accepted in accepted {
        deployment.becomes(text(&accepted["id"]), "failed").await;
    }
    assert_eq!(deployment.tasks(), []);
    deployment.agrees().await;
}

#[tokio::test]
async fn of_several_servers_that_start_at_once_on_new_data_one_runs() {
    let mut deployment = Setup::new().not_running();
    let refused = deployment.race(4).await;
    assert_eq!(refused.len(), 3);
    for refused in refused {
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        assert!(refused.stderr.contains("server.running"), "{refused:#?}");
    }
    deployment.wharf(&["list"]).await.exits(0);
}
