//! Tenants that nobody uses sleep, and the next request wakes them: nobody who comes is turned away.

use futures::future::join_all;
use rustix::process::Signal;
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use wharf_harness::processes::send;

use crate::{
    harness::{Customer, Deployment, Setup, eventually, text},
    service,
};

const HOWS: [&str; 2] = ["stop", "pause"];
/// More than may be held for a moment by what comes before them on a small machine.
const CROWD: usize = 200;

/// A deployment with a tenant that sleeps after a second without a visitor.
async fn deployment(how: &str) -> Deployment {
    let section = service::app(
        &format!("sleep_after = \"1s\"\nsleep = \"{how}\"\nhealth = {{ interval = \"50ms\" }}"),
        &service::runs("answer"),
    );
    let deployment = Setup::new().configured(&section).up().await;
    deployment.ready("acme").await;
    deployment
}

async fn asleep(how: &str) -> (Deployment, Value) {
    let deployment = deployment(how).await;
    let asleep = deployment.comes_to("acme", "sleeping").await;
    (deployment, asleep)
}

/// A visitor gets an answer of this attempt, whatever the page that waits says meanwhile.
async fn is_answered(deployment: &Deployment, attempt: u64) {
    deployment.tenant("acme").get("/").await.is(200);
    let shown = deployment.show("acme").await;
    assert_eq!(shown["attempt"], attempt, "{shown:#}");
}

#[tokio::test]
async fn who_is_not_used_sleeps_and_the_next_visitor_is_answered() {
    for (how, tasks, attempt) in [("stop", 0, 2), ("pause", 1, 1)] {
        let (deployment, asleep) = asleep(how).await;
        let id = text(&asleep["id"]);
        assert_eq!(deployment.tasks_of(id).len(), tasks, "{how}");
        assert_eq!(asleep["cause"], Value::Null);
        is_answered(&deployment, attempt).await;
        deployment.comes_to("acme", "sleeping").await;
        deployment.agrees().await;
    }
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_wakes_it_once_and_is_answered() {
    for (how, attempt) in [("stop", 2), ("pause", 1)] {
        let (deployment, _) = asleep(how).await;
        let visitors = (0..CROWD).map(|_| async { deployment.tenant("acme").get("/").await.is(200).json() });
        let answers = join_all(visitors).await;
        let pids: BTreeSet<_> = answers.iter().map(|answer| answer["pid"].as_u64()).collect();
        assert_eq!(pids.len(), 1, "all met the same task");
        is_answered(&deployment, attempt).await;
    }
}

#[tokio::test]
async fn who_is_used_does_not_sleep() {
    let deployment = deployment("pause").await;
    let before = deployment.show("acme").await;
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        deployment.tenant("acme").get("/").await.is(200);
    }
    let after = deployment.show("acme").await;
    assert_eq!(
        (&after["status"], &after["since"]),
        (&before["status"], &before["since"])
    );
}

#[tokio::test]
async fn a_restart_leaves_asleep_who_is_asleep_and_its_visitor_is_answered() {
    for how in HOWS {
        let (mut deployment, _) = asleep(how).await;
        deployment.kill().await;
        deployment.up().await;
        deployment.comes_to("acme", "sleeping").await;
        assert_eq!(deployment.tasks(), [], "what was paused ended with Wharf");
        deployment.agrees().await;
        is_answered(&deployment, 2).await;
    }
}

#[tokio::test]
async fn who_sleeps_is_started_stopped_and_deleted_by_hand() {
    for how in HOWS {
        let (deployment, asleep) = asleep(how).await;
        deployment.wharf(&["start", "acme"]).await.exits(0);
        deployment.comes_to("acme", "sleeping").await;
        deployment.wharf(&["stop", "acme"]).await.exits(0);
        deployment.becomes("acme", "stopped").await;
        assert_eq!(deployment.tasks(), []);
        deployment.tells("acme", 503, "It is stopped", "instance.state").await;
        deployment.wharf(&["start", "acme"]).await.exits(0);
        deployment.comes_to("acme", "sleeping").await;
        deployment.wharf(&["delete", "acme"]).await.exits(0);
        deployment.is_gone(text(&asleep["id"])).await;
    }
}

#[tokio::test]
async fn a_paused_task_that_is_killed_is_not_missed_and_one_that_is_let_go_on_is_awake() {
    let (deployment, asleep) = asleep("pause").await;
    let id = text(&asleep["id"]);
    deployment.tasks_of(id)[0].kill();
    eventually("its end is noticed", async || {
        (deployment.show("acme").await["task"] == Value::Null).then_some(())
    })
    .await;
    deployment.comes_to("acme", "sleeping").await;
    is_answered(&deployment, 2).await;
    assert_eq!(deployment.comes_to("acme", "sleeping").await["attempt"], 2);
    // By hand: its visitors find it at the next look, or wake it.
    send(deployment.tasks_of(id)[0].pid, Signal::CONT);
    is_answered(&deployment, 2).await;
}

#[tokio::test]
async fn a_shop_that_slept_has_its_orders() {
    for how in HOWS {
        let toml = format!(
            "[services.storefront]\ntenant = true\ndatabase = true\nsleep_after = \"1s\"\nsleep = \"{how}\"\nhealth = {{ path = \"/healthz\" }}\n\
             identity_header = \"x-wharf-instance\"\nprocess = {{ command = [\"wharf\", \"storefront\"] }}\n"
        );
        let deployment = Setup::new().configured(&toml).up().await;
        deployment.ready("acme").await;
        let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
        deployment.comes_to("acme", "sleeping").await;
        Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    }
}
