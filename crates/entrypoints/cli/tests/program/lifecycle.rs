//! What becomes of an instance after its first Ready, and what its visitors are told meanwhile.

use serde_json::{Value, json};
use std::fs;

use crate::{
    harness::{Answer, Customer, Deployment, Setup, eventually, text},
    service,
};

/// A page that says this, for a person; and the same as a problem, for a program.
async fn tells(deployment: &Deployment, tenant: &str, status: u16, words: &str, code: &str) -> Answer {
    let page = deployment.tenant(tenant).page("/").await.is(status);
    assert!(page.text().contains(words), "{}", page.text());
    deployment.tenant(tenant).with("accept", "application/json").get("/").await.problem(status, code);
    page
}

#[tokio::test]
async fn a_stopped_tenant_keeps_name_and_data_and_comes_back() {
    let mut deployment = Deployment::new().await;
    let before = deployment.ready("acme").await;
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;

    deployment.wharf(&["stop", "acme"]).await.exits(0);
    deployment.becomes("acme", "stopped").await;
    assert_eq!(deployment.tasks(), []);
    tells(&deployment, "acme", 503, "It is stopped", "instance.state").await;
    deployment.console().post("/provision", &Deployment::sign_up("acme")).await.problem(409, "name.taken");

    deployment.end().await;
    deployment.up().await;
    deployment.becomes("acme", "stopped").await;
    assert_eq!(deployment.tasks(), [], "stopped is stopped, over a restart too");

    let started = deployment.wharf(&["start", "acme", "--json"]).await.exits(0).json();
    assert_eq!((&started["status"], &started["url"], &started["id"]), (&"ready".into(), &before["url"], &before["id"]));
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_and_its_name_rests() {
    let deployment = Deployment::new().await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    deployment.wharf(&["delete", "acme"]).await.exits(0);
    let over = deployment.becomes(&id, "ended").await;
    assert_eq!(over["subdomain"], "acme", "an ended record stays readable by its id");
    deployment.is_gone(&id).await;
    tells(&deployment, "acme", 404, "There is nothing here", "instance.unknown").await;
    deployment.console().post("/provision", &Deployment::sign_up("acme")).await.problem(409, "name.resting");
    assert!(deployment.find("acme").await.is_none());
    deployment.agrees().await;
}

#[tokio::test]
async fn a_name_that_has_rested_goes_to_somebody_new_with_nothing_of_the_last() {
    let deployment = Setup::new().configured("[names]\nrest = \"0s\"\n").up().await;
    let first = text(&deployment.ready("acme").await["id"]).to_owned();
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    deployment.admin().delete("/tenants/acme").await.is(202);
    deployment.becomes(&first, "ended").await;

    let second = deployment.ready("acme").await;
    assert_ne!(second["id"], first.as_str());
    assert_eq!(deployment.tenant("acme").get(&order).await.status, 404, "the last one's order is not the next one's");
    deployment.agrees().await;
}

#[tokio::test]
async fn a_task_that_dies_is_replaced_by_a_new_attempt_with_the_same_data() {
    let deployment = Deployment::new().await;
    let before = deployment.ready("acme").await;
    let id = text(&before["id"]);
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    let [task] = <[_; 1]>::try_from(deployment.tasks_of(id)).expect("one process");
    task.kill();
    let after = deployment.back("acme", &before).await;
    assert_eq!((&after["attempt"], &after["url"]), (&2.into(), &before["url"]));
    let [next] = <[_; 1]>::try_from(deployment.tasks_of(id)).expect("one process");
    assert_ne!(next.pid, task.pid);
    assert_eq!(next.variable("APP_PASSWORD"), task.variable("APP_PASSWORD"), "the same at every attempt");
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_task_that_stops_answering_is_replaced() {
    let toml = format!(
        "[services.app]\ntenant = true\nstop_timeout = \"100ms\"\nhealth = {{ path = \"/\", interval = \"20ms\", timeout = \"100ms\" }}\n{}\nprocess = {{ {} }}\n",
        service::environment("answer", None),
        service::command()
    );
    let deployment = Setup::new().configured(&toml).up().await;
    let before = deployment.ready("acme").await;
    let [task] = <[_; 1]>::try_from(deployment.tasks_of(text(&before["id"]))).expect("one process");
    task.freeze();
    let after = deployment.back("acme", &before).await;
    assert_eq!(after["attempt"], 2);
    deployment.tenant("acme").get("/").await.is(200);
    assert!(deployment.show("acme").await["history"].to_string().contains("route.unhealthy"));
}

#[tokio::test]
async fn a_task_that_dies_again_and_again_is_down_until_somebody_starts_it() {
    let mut deployment = Setup::new().configured("[heal]\nlimit = 1\nbackoff_first = \"10ms\"\n").up().await;
    let first = deployment.ready("acme").await;
    let id = text(&first["id"]).to_owned();
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    deployment.tasks_of(&id)[0].kill();
    deployment.back("acme", &first).await;
    deployment.tasks_of(&id)[0].kill();

    let down = eventually("it is down", async || {
        let instance = deployment.show("acme").await;
        (instance["status"] == "down").then_some(instance)
    })
    .await;
    let cause = &down["cause"];
    assert_eq!(cause["code"], "task.crashed");
    assert!(text(&cause["message"]).contains("signal 9"), "{cause:#}");
    assert!(text(&cause["detail"]).contains("listening on"), "its last output: {cause:#}");
    assert_eq!(deployment.tasks(), []);
    tells(&deployment, "acme", 503, "It is out of service", "instance.state").await;
    let shown = deployment.wharf(&["show", "acme"]).await.exits(0).stdout;
    assert!(shown.contains("task.crashed") && shown.contains("listening on"), "{shown}");

    deployment.end().await;
    deployment.up().await;
    deployment.becomes("acme", "down").await;
    deployment.wharf(&["start", "acme"]).await.exits(0);
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_host_that_is_not_served_is_misdirected() {
    let deployment = Deployment::new().await;
    for host in ["example.com", "localhost.example.com", "a.b.localhost", "10.0.0.1"] {
        deployment.host(host).with("accept", "application/json").get("/").await.problem(421, "host.unknown");
    }
    tells(&deployment, "nobody", 404, "There is nothing here", "instance.unknown").await;
    for host in ["localhost", "127.0.0.1", "LOCALHOST"] {
        deployment.host(host).get("/healthz").await.is(200);
    }
}

#[tokio::test]
async fn visitors_of_something_that_starts_are_asked_to_wait() {
    let setup = Setup::new();
    let gate = setup.folder().join("gate");
    let toml = format!(
        "[services.slow]\ntenant = true\nhealth = {{ path = \"/\", interval = \"20ms\" }}\n{}\nprocess = {{ {} }}\n",
        service::environment("answer", Some(&gate)),
        service::command()
    );
    let mut deployment = setup.configured(&toml).up().await;
    let accepted = deployment.provision("acme").await;
    let page = tells(&deployment, "acme", 503, "It is starting", "instance.state").await;
    assert_eq!((page.header("refresh"), page.header("retry-after")), (Some("1"), Some("1")));
    fs::write(&gate, "").expect("open");
    let before = deployment.becomes(text(&accepted["id"]), "ready").await;
    assert_eq!(deployment.tenant("acme").get("/here").await.is(200).json()["path"], "/here");

    // The same after a restart, without anybody asking for it to come back.
    fs::remove_file(&gate).expect("shut");
    deployment.kill().await;
    deployment.up().await;
    tells(&deployment, "acme", 503, "It is starting", "instance.state").await;
    fs::write(&gate, "").expect("open");
    deployment.back("acme", &before).await;
    deployment.tenant("acme").get("/").await.is(200);
}

#[tokio::test]
async fn a_sign_up_that_is_stopped_while_it_starts_leaves_nothing() {
    let setup = Setup::new();
    let gate = setup.folder().join("never");
    let toml = format!(
        "[services.slow]\ntenant = true\ndatabase = true\n{}\nprocess = {{ {} }}\n",
        service::environment("answer", Some(&gate)),
        service::command()
    );
    let deployment = setup.configured(&toml).up().await;
    let accepted = deployment.provision("acme").await;
    let id = text(&accepted["id"]);
    eventually("its task runs", async || (!deployment.tasks_of(id).is_empty()).then_some(())).await;
    deployment.wharf(&["delete", "acme"]).await.exits(0);
    let instance = deployment.becomes(id, "failed").await;
    assert_eq!(instance["cause"]["code"], "instance.cancelled");
    deployment.is_gone(id).await;
    deployment.provision("acme").await;
}

#[tokio::test]
async fn one_that_does_not_answer_in_time_gets_its_visitor_a_reference_that_is_in_the_log() {
    let toml = format!(
        "[server]\nresponse_timeout = \"200ms\"\n[services.app]\ntenant = true\nhealth = {{ path = \"/\", interval = \"1h\" }}\n{}\nprocess = {{ {} }}\n",
        service::environment("answer", None),
        service::command()
    );
    let deployment = Setup::new().configured(&toml).up().await;
    let instance = deployment.ready("acme").await;
    let late = deployment.tenant("acme").with("accept", "application/json").get("/hold").await.problem(504, "route.unhealthy").json();
    let reference = text(&late["reference"]).to_owned();
    eventually("the log has the reference", async || deployment.log().contains(&reference).then_some(())).await;
    let logs = deployment.admin().get(&format!("/instances/{}/logs", text(&instance["id"]))).await.is(200).text();
    assert!(logs.contains("holding"), "{logs}");
    let listed: Value = deployment.wharf(&["list", "--json"]).await.exits(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["status"], json!("ready"));
}
