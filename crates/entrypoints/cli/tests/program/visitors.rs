//! What visitors of a tenant's address meet, whatever state its instance is in.

use serde_json::json;
use std::fs;

use crate::{
    harness::{Deployment, Setup, eventually, text},
    service,
};

#[tokio::test]
async fn a_host_that_is_not_served_is_misdirected() {
    let deployment = Deployment::new().await;
    for host in ["example.com", "localhost.example.com", "a.b.localhost", "10.0.0.1"] {
        deployment
            .host(host)
            .with("accept", "application/json")
            .get("/")
            .await
            .problem(421, "host.unknown");
    }
    deployment
        .tells("nobody", 404, "There is nothing here", "instance.unknown")
        .await;
    for host in ["localhost", "127.0.0.1", "LOCALHOST"] {
        deployment.host(host).get("/healthz").await.is(200);
    }
}

#[tokio::test]
async fn visitors_of_something_that_starts_are_asked_to_wait() {
    let setup = Setup::new();
    let gate = setup.folder().join("gate");
    let app = service::app("health = { interval = \"20ms\" }", &service::runs_behind(&gate));
    let toml = format!("[server]\nhold_timeout = \"200ms\"\n{app}");
    let mut deployment = setup.configured(&toml).up().await;
    let accepted = deployment.provision("acme").await;
    let page = deployment.tells("acme", 503, "It is starting", "instance.state").await;
    assert_eq!(
        (page.header("refresh"), page.header("retry-after")),
        (Some("1"), Some("1"))
    );
    fs::write(&gate, "").expect("open");
    let before = deployment.becomes(text(&accepted["id"]), "ready").await;
    assert_eq!(
        deployment.tenant("acme").get("/here").await.is(200).json()["path"],
        "/here"
    );

    // The same after a restart, without anybody asking for it to come back.
    fs::remove_file(&gate).expect("shut");
    deployment.kill().await;
    deployment.up().await;
    deployment.tells("acme", 503, "It is starting", "instance.state").await;
    fs::write(&gate, "").expect("open");
    deployment.back("acme", &before).await;
    deployment.tenant("acme").get("/").await.is(200);
}

#[tokio::test]
async fn one_that_does_not_answer_in_time_gets_its_visitor_a_reference_that_is_in_the_log() {
    let app = service::app("health = { interval = \"1h\" }", &service::runs("answer"));
    let toml = format!("[server]\nresponse_timeout = \"200ms\"\n{app}");
    let deployment = Setup::new().configured(&toml).up().await;
    let instance = deployment.ready("acme").await;
    let late = deployment
        .tenant("acme")
        .with("accept", "application/json")
        .get("/hold")
        .await
        .problem(504, "route.unhealthy")
        .json();
    let reference = text(&late["reference"]).to_owned();
    eventually("the log has the reference", async || {
        deployment.log().contains(&reference).then_some(())
    })
    .await;
    let logs = deployment
        .admin()
        .get(&format!("/instances/{}/logs", text(&instance["id"])))
        .await
        .is(200)
        .text();
    assert!(logs.contains("holding"), "{logs}");
    let listed = deployment.wharf(&["list", "--json"]).await.exits(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["status"], json!("ready"));
}

#[tokio::test]
async fn a_direct_route_is_an_address_of_its_own() {
    let setup = Setup::new();
    let port = setup.ports.fixed(1);
    let (first, _) = port.split_once('-').expect("a range");
    let direct = format!(
        "port = {{ kind = \"static\", range = \"{port}\" }}\nroute = {{ kind = \"direct\", url = \"http://{{subdomain}}.{{ip}}.sslip.io:{{port}}\" }}"
    );
    let app = service::app(&direct, &service::runs("answer"));
    let deployment = setup.configured(&app).up().await;
    let instance = deployment.ready("acme").await;
    assert_eq!(instance["url"], format!("http://acme.127.0.0.1.sslip.io:{first}"));
    let mut visitor = deployment.host("acme.127.0.0.1.sslip.io");
    visitor.address = text(&instance["endpoint"]).parse().expect("an address");
    visitor.get("/").await.is(200);
    deployment.tenant("acme").get("/").await.is(404);
    deployment.agrees().await;
}

#[tokio::test]
async fn a_visit_while_a_task_is_replaced_is_answered_or_told_why_not() {
    let deployment = Deployment::new().await;
    let before = deployment.ready("acme").await;
    let shop = deployment.tenant("acme");
    deployment.tasks()[0].kill();
    eventually("the shop answers again", async || {
        let answer = shop.get("/").await;
        // Refused in the moment of the death, then held, then asked to wait.
        assert!(
            [200, 502, 503].contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        let instance = deployment.show("acme").await;
        (answer.status == 200 && instance["attempt"].as_u64() > before["attempt"].as_u64()).then_some(())
    })
    .await;
}
