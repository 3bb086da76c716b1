//! The function is killed in the middle of a call.

use serde_json::json;
use std::time::Duration;
use wharf_aws_simulator::{Fault, Mishap};

use crate::{account::Account, wait::eventually};

#[tokio::test]
async fn what_a_killed_function_has_begun_is_taken_up_by_the_sweep_and_done_once() {
    let account = Account::new().await;
    let slow = Fault::on("RunTask", Mishap::Delayed(Duration::from_secs(4)));
    account.simulator.fault(slow.once());
    account
        .put_event("custom.app", "Start ECS Task", &json!({"service": "auth"}))
        .await;
    eventually("a task that is being started", async || {
        let instances = account.instances().await;
        instances.iter().any(|its| its["step"] == "task").then_some(())
    })
    .await;
    account.kill_sandboxes();
    // The rule does so each minute; nothing else tells anybody of this instance now. The lease has to run out before it is due, and to be seen twice before
    // somebody else has it.
    eventually("a sweep that takes it up", async || {
        account.sweep().await;
        account.has_delayed_messages().await.then_some(())
    })
    .await;
    let instances = account.all_in_state(1, "ready").await;
    let tasks = account.simulator.tasks();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!(instances[0]["task"], tasks[0].arn.as_str());
    assert_eq!(instances[0]["attempt"], 1);
}
