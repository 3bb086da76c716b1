//! Processes that outlive what started them: what a task leaves behind, and what a killed server does.

use crate::{
    harness::{Deployment, Setup, eventually, text},
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

/// Signs up, and waits until the shop's own process is there too.
async fn two_processes(deployment: &Deployment) -> String {
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    eventually("there are two processes", async || {
        (deployment.tasks_of(&id).len() == 2).then_some(())
    })
    .await;
    id
}

#[tokio::test]
async fn what_a_killed_server_leaves_is_ended_by_the_next() {
    let mut deployment = with_a_daemon().up().await;
    let id = two_processes(&deployment).await;
    let before = deployment.show(&id).await;
    let shop = deployment
        .tasks_of(&id)
        .into_iter()
        .find(|task| task.command.contains("storefront"))
        .expect("a shop");
    deployment.kill().await;
    let left = eventually("the shop itself is gone with its server", async || {
        let left = deployment.tasks_of(&id);
        left.iter().all(|task| task.pid != shop.pid).then_some(left)
    })
    .await;
    deployment.up().await;
    for process in left {
        assert!(
            deployment.tasks().iter().all(|task| task.pid != process.pid),
            "{process:?} is still there"
        );
    }
    deployment.back(&id, &before).await;
    eventually("there are two processes", async || {
        (deployment.tasks_of(&id).len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_ends_in_order_takes_grandchildren_along() {
    let mut deployment = with_a_daemon().up().await;
    two_processes(&deployment).await;
    deployment.end().await;
    assert_eq!(deployment.tasks(), []);
}

#[tokio::test]
async fn a_stop_and_a_heal_take_grandchildren_along() {
    let deployment = with_a_daemon().up().await;
    let id = two_processes(&deployment).await;
    let before = deployment.show(&id).await;
    let old = deployment.tasks_of(&id);
    old.iter()
        .find(|task| task.command.contains("storefront"))
        .expect("a shop")
        .kill();
    deployment.back(&id, &before).await;
    eventually("there are two processes", async || {
        (deployment.tasks_of(&id).len() == 2).then_some(())
    })
    .await;
    assert!(
        deployment
            .tasks_of(&id)
            .iter()
            .all(|task| old.iter().all(|gone| gone.pid != task.pid))
    );
    deployment.ask("acme", "stop").await;
    deployment.becomes("acme", "stopped").await;
    assert_eq!(deployment.tasks_of(&id), []);
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
