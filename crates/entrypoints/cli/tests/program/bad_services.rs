//! Services that do not do what a service has to: each sign-up ends Failed, with the code that says why, and nothing is left.

use serde_json::Value;
use std::fs;

use crate::{
    harness::{Deployment, Setup, eventually, text},
    service,
};

/// A deployment whose tenants get a service of this section.
fn service(rest: &str) -> Setup {
    Setup::new().configured(&format!(
        "[services.app]\ntenant = true\ndatabase = true\nhealth = {{ path = \"/\", interval = \"20ms\", timeout = \"200ms\" }}\n{rest}\n"
    ))
}

fn shell(script: &str) -> Setup {
    service(&format!(
        "process = {{ command = [\"/bin/sh\", \"-c\", {}] }}",
        serde_json::json!(script)
    ))
}

fn role(role: &str) -> Setup {
    service(&format!("start_timeout = \"700ms\"\n{}", service::runs(role)))
}

/// A sign-up fails with this code, tells so to everybody whom it concerns, and leaves nothing. Gives the instance.
async fn fails(deployment: &Deployment, code: &str) -> Value {
    let accepted = deployment.provision("acme").await;
    let id = text(&accepted["id"]);
    let instance = deployment.becomes(id, "failed").await;
    assert_eq!(instance["cause"]["code"], code, "{instance:#}");
    assert!(
        instance["cause"]["hint"].is_string(),
        "it says what to do: {instance:#}"
    );
    deployment.is_gone(id).await;
    deployment.agrees().await;

    let (_, path) = text(&accepted["status_url"]).rsplit_once('/').expect("a URL");
    let status = deployment
        .console()
        .get(&format!("/provision/{path}"))
        .await
        .is(200)
        .json();
    assert_eq!(
        (&status["status"], &status["clean"], &status["cause"]["code"]),
        (&"failed".into(), &true.into(), &code.into())
    );
    assert_eq!(status["cause"]["detail"], Value::Null, "evidence is for operators");
    assert!(deployment.find("acme").await.is_none(), "the name is free");
    instance
}

#[tokio::test]
async fn a_command_that_is_not_there() {
    let deployment = service("process = { command = [\"./no-such-program\"] }").up().await;
    let instance = fails(&deployment, "task.command").await;
    assert!(
        text(&instance["cause"]["message"]).contains("no-such-program"),
        "{instance:#}"
    );
}

#[tokio::test]
async fn a_command_that_is_no_program() {
    let setup = service("process = { command = [\"./notes.txt\"] }");
    fs::write(setup.folder().join("notes.txt"), "buy milk").expect("a file");
    fails(&setup.up().await, "task.command").await;
}

#[tokio::test]
async fn one_that_exits_at_once_with_its_last_words() {
    let deployment = shell("echo the licence has expired >&2; exit 3").up().await;
    let instance = fails(&deployment, "task.crashed").await;
    assert!(text(&instance["cause"]["message"]).contains("code 3"), "{instance:#}");
    assert!(
        text(&instance["cause"]["detail"]).contains("the licence has expired"),
        "{instance:#}"
    );
    let ran = deployment
        .wharf(&["provision", "acme", "--email", "a@b.example", "--company", "Acme"])
        .await
        .exits(1);
    assert!(
        ran.stderr.contains("code 3") && ran.stderr.contains("everything was taken back"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn one_that_is_killed_by_a_signal() {
    let instance = fails(&shell("kill -SEGV $$").up().await, "task.crashed").await;
    assert!(text(&instance["cause"]["message"]).contains("SIGSEGV"), "{instance:#}");
}

#[tokio::test]
async fn one_that_never_listens() {
    let deployment =
        service("start_timeout = \"300ms\"\nprocess = { command = [\"/bin/sh\", \"-c\", \"exec sleep 1000\"] }")
            .up()
            .await;
    let instance = fails(&deployment, "route.unhealthy").await;
    assert!(text(&instance["cause"]["message"]).contains("300ms"), "{instance:#}");
}

#[tokio::test]
async fn one_that_never_ends_by_asking() {
    let stubborn = "start_timeout = \"300ms\"\nstop_timeout = \"100ms\"\nprocess = { command = [\"/bin/sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"] }";
    fails(&service(stubborn).up().await, "route.unhealthy").await;
}

#[tokio::test]
async fn one_that_answers_500() {
    let instance = fails(&role("broken").up().await, "route.unhealthy").await;
    assert!(text(&instance["cause"]["message"]).contains("500"), "{instance:#}");
}

#[tokio::test]
async fn one_that_listens_on_another_port() {
    fails(&role("elsewhere").up().await, "route.unhealthy").await;
}

#[tokio::test]
async fn one_that_prints_a_gigabyte_and_leaves() {
    let deployment = shell("yes 'all work and no play makes jack a dull boy' | head -c 1000000000; exit 7")
        .up()
        .await;
    let instance = fails(&deployment, "task.crashed").await;
    assert!(text(&instance["cause"]["message"]).contains("code 7"), "{instance:#}");
    assert!(
        text(&instance["cause"]["detail"]).len() <= 4096,
        "the last of it, not all of it"
    );

    let kept: u64 = fs::read_dir(deployment.data().join("instances").join(text(&instance["id"])))
        .map(|entries| {
            entries
                .map(|entry| entry.expect("an entry").metadata().expect("its size").len())
                .sum()
        })
        .unwrap_or_default();
    assert!(kept < 8 << 20, "{kept} bytes of output are kept");
    let status = fs::read_to_string(format!("/proc/{}/status", deployment.pid())).expect("the server's status");
    let most = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    assert!(
        most.is_some_and(|kilobytes| kilobytes < 128 << 10),
        "the server took {most:?} kB of memory"
    );
}

#[tokio::test]
async fn one_that_forks_and_leaves() {
    let deployment = shell("sleep 1000 & exit 0").up().await;
    let instance = fails(&deployment, "task.crashed").await;
    assert!(text(&instance["cause"]["message"]).contains("left"), "{instance:#}");
}

#[tokio::test]
async fn one_whose_child_listens_after_it_has_left() {
    let instance = fails(&role("daemon").up().await, "task.crashed").await;
    assert!(text(&instance["cause"]["message"]).contains("left"), "{instance:#}");
}

#[tokio::test]
async fn one_that_takes_more_memory_than_it_may() {
    let setup = service(&service::runs_within("hoard", "64MiB"));
    fails(&setup.up().await, "task.memory").await;
}

#[tokio::test]
async fn what_answers_in_a_tasks_place_is_not_taken_for_it() {
    // The task does not send the instance's id in the header that it should.
    let rest = "start_timeout = \"2s\"\nidentity_header = \"x-wharf-instance\"";
    let rest = format!("{rest}\n{}", service::runs("answer"));
    fails(&service(&rest).up().await, "route.identity").await;
}

/// Two ports for a service with static ones.
fn two_ports(quarantine: &str) -> Setup {
    let setup = Setup::new();
    let port = format!("port = {{ kind = \"static\", range = \"{}\" }}", setup.ports.fixed(2));
    let app = service::app(&port, &service::runs("answer"));
    setup.configured(&format!("[ports]\nquarantine = \"{quarantine}\"\n{app}"))
}

#[tokio::test]
async fn a_sign_up_without_a_port_left_is_refused_and_claims_nothing() {
    let deployment = two_ports("1h").up().await;
    let first = deployment.provision("one").await;
    assert!(first["port"].is_u64(), "a static port is known at once: {first}");
    let second = deployment.provision("two").await;
    deployment
        .console()
        .post("/provision", &Deployment::sign_up("three"))
        .await
        .problem(503, "port.exhausted");
    assert!(deployment.find("three").await.is_none());
    for accepted in [&first, &second] {
        deployment.becomes(text(&accepted["id"]), "ready").await;
    }
    deployment.admin().delete("/tenants/one").await.is(202);
    deployment.becomes(text(&first["id"]), "ended").await;
    deployment
        .console()
        .post("/provision", &Deployment::sign_up("three"))
        .await
        .problem(503, "port.exhausted");
    deployment.agrees().await;
}

#[tokio::test]
async fn a_port_is_used_again_when_it_has_rested() {
    let deployment = two_ports("300ms").up().await;
    let first = deployment.ready("one").await;
    deployment.ready("two").await;
    deployment.admin().delete("/tenants/one").await.is(202);
    deployment.becomes(text(&first["id"]), "ended").await;
    let third = eventually("the port has rested", async || {
        let answer = deployment
            .console()
            .post("/provision", &Deployment::sign_up("three"))
            .await;
        (answer.status == 202).then(|| answer.json())
    })
    .await;
    let third = deployment.becomes(text(&third["id"]), "ready").await;
    assert_eq!(third["port"], first["port"]);
    deployment.agrees().await;
}

#[tokio::test]
async fn a_port_that_another_program_has_is_passed_over() {
    let setup = Setup::new();
    let taken = setup.ports.first_dynamic();
    let _other = std::net::TcpListener::bind(("127.0.0.1", taken)).expect("the port is free");
    let deployment = setup.up().await;
    let instance = deployment.ready("acme").await;
    assert_ne!(instance["port"], taken);
}
