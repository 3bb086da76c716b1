//! The server itself: what it refuses to start on, how it ends, and what a bad disk does to it.

use rustix::process::Signal;
use std::fs;

use crate::{
    harness::{Deployment, Refused, Setup, eventually, send, spin, text},
    service,
};

fn says(refused: &Refused, code: i32, parts: &[&str]) {
    assert_eq!(refused.code, Some(code), "{refused:#?}");
    for part in parts {
        assert!(refused.stderr.contains(part), "{part:?} is not in {refused:#?}");
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_with_the_pid_of_the_first() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let second = deployment.wharf(&["up", "--listen", "127.0.0.1:0"]).await.exits(1);
    assert!(
        second.stderr.contains("server.running") && second.stderr.contains(&format!("pid {}", deployment.pid())),
        "{second:?}"
    );
    assert_eq!(second.stdout, "");
    deployment.tenant("acme").get("/").await.is(200);
    assert_eq!(deployment.tasks().len(), 1, "the first one's children are left alone");
}

#[tokio::test]
async fn a_second_server_on_the_same_address_is_refused() {
    let first = Deployment::new().await;
    let mut second = Setup::new().not_running();
    let listen = first.listen().to_string();
    let refused = second.try_up_with(&["--listen", &listen]).await.expect_err("taken");
    // Which process it is only root can see: the server's memory, and all that belongs to it, is closed to others of its user.
    let whom = if rustix::process::geteuid().is_root() {
        first.pid().to_string()
    } else {
        "another program".to_owned()
    };
    says(&refused, 1, &["listen.busy", &listen, &whom]);
    first.console().get("/healthz").await.is(200);
}

#[tokio::test]
async fn it_prints_where_to_go_and_nothing_more() {
    let deployment = Setup::new().not_running();
    let listen = deployment.listen();
    let mut server = deployment.following(&["up", "--listen", &listen.to_string(), "--log-level", "warn"]);
    server.prints("\n", 1).await;
    deployment.console().get("/healthz").await.is(200);
    send(server.pid(), Signal::TERM);
    let (code, printed) = server.ends().await;
    assert_eq!(code, Some(0));
    assert_eq!(printed, format!("Wharf is up: http://localhost:{}\n", listen.port()));
}

#[tokio::test]
async fn port_0_takes_any_free_one_and_says_which() {
    let mut deployment = Setup::new().not_running();
    deployment.try_up_with(&["--listen", "127.0.0.1:0"]).await.expect("up");
    let up = deployment.up.clone();
    let port = text(&up["listen"]).rsplit_once(':').expect("an address").1.to_owned();
    assert_ne!(port, "0");
    assert_eq!(up["url"], format!("http://localhost:{port}"));
    assert_eq!(
        (&up["api"], &up["pid"]),
        (&format!("http://127.0.0.1:{port}").into(), &deployment.pid().into())
    );
    let listed = deployment.wharf(&["list", "--json"]).await.exits(0);
    assert_eq!(listed.json(), serde_json::json!([]));
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_or_written_is_refused() {
    let setup = Setup::new();
    fs::write(setup.folder().join("file"), "").expect("a file");
    let below_a_file = setup.folder().join("file/data");
    // Nobody can make a folder there, not even the superuser.
    let forbidden = "/sys/kernel/wharf-data".to_owned();
    let deployment = setup.not_running();
    for folder in [below_a_file.display().to_string(), forbidden] {
        let refused = deployment
            .wharf(&["up", "--data-dir", &folder, "--listen", "127.0.0.1:0"])
            .await
            .exits(1);
        assert!(
            refused.stderr.contains("data.directory") && refused.stderr.contains(&folder),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("--data-dir"), "it says what to do: {refused:?}");
    }
}

/// Replaces the first occurrence of some bytes in a file.
fn patch(path: &std::path::Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(path).expect("a file");
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("the bytes are there");
    bytes[at..at + from.len()].copy_from_slice(to);
    fs::write(path, bytes).expect("written");
}

#[tokio::test]
async fn a_registry_of_a_later_version_is_refused_and_left_as_it_is() {
    let mut deployment = Deployment::new().await;
    deployment.ready("acme").await;
    deployment.end().await;
    let registry = deployment.data().join("registry.db");
    patch(&registry, b"format1", b"format9");
    let before = fs::read(&registry).expect("a registry");
    let refused = deployment.try_up().await.expect_err("a later version's");
    says(&refused, 1, &["store.newer", "format 9"]);
    assert_eq!(fs::read(&registry).expect("a registry"), before);

    patch(&registry, b"format9", b"format1");
    deployment.up().await;
    deployment.becomes("acme", "ready").await;
}

#[tokio::test]
async fn a_damaged_registry_is_refused_and_left_as_it_is() {
    let mut deployment = Deployment::new().await;
    deployment.ready("acme").await;
    deployment.end().await;
    let registry = deployment.data().join("registry.db");
    let whole = fs::read(&registry).expect("a registry");
    let mut torn = whole.clone();
    let length = torn.len();
    torn[4096..length / 2].fill(0x5a);
    for damaged in [
        torn,
        whole[..whole.len() / 2].to_vec(),
        b"this is no registry".to_vec(),
        Vec::new(),
    ] {
        fs::write(&registry, &damaged).expect("written");
        let refused = deployment.try_up().await.expect_err("damaged");
        says(&refused, 1, &["store.damaged", "registry.db", "backup"]);
        assert_eq!(fs::read(&registry).expect("a registry"), damaged);
    }
    fs::write(&registry, whole).expect("restored");
    deployment.up().await;
    deployment.rests("acme").await;
    deployment.tenant("acme").get("/").await.is(200);
}

#[tokio::test]
async fn every_error_of_a_configuration_is_told_at_once_with_its_line() {
    let toml = "[server]\nlisen = \"127.0.0.1:1\"\nmax_instances = 0\n\n[services.shop]\ntenant = true\nstart_timeout = \"60\"\n";
    let deployment = Setup::new().configured(toml).not_running();
    for command in [&["up"][..], &["config", "check"]] {
        let ran = deployment.wharf(command).await.exits(2);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        for part in [
            "wharf.toml:2:1",
            "did you mean \"listen\"?",
            "wharf.toml:3:17",
            "wharf.toml:7:17",
            "wharf.toml:5:",
        ] {
            assert!(told.contains(part), "{part:?} is not in {told}");
        }
    }
}

#[tokio::test]
async fn its_log_is_for_people_or_for_machines_and_as_talkative_as_asked() {
    let mut deployment = Setup::new().not_running();
    let listen = deployment.listen().to_string();
    let options = ["--listen", &listen, "--log-format", "json", "--log-level", "debug"];
    deployment.try_up_with(&options).await.expect("up");
    deployment.ready("acme").await;
    deployment.end().await;
    let log = deployment.log();
    let levels: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON object a line"))
        .map(|line| text(&line["level"]).to_owned())
        .collect();
    assert!(levels.iter().any(|level| level == "DEBUG"), "{log}");
    let refused = deployment.wharf(&["up", "--log-level", "loud"]).await.exits(2);
    assert!(refused.stderr.contains("log.level"), "{refused:?}");
}

#[tokio::test]
async fn listening_off_loopback_needs_trust() {
    let deployment = Setup::new().not_running();
    let refused = deployment.wharf(&["up", "--listen", "0.0.0.0:0"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("trust"), "{refused:?}");
}

/// A service whose answers to `/hold` come when it is asked for `/release`.
async fn holding() -> (Deployment, std::net::SocketAddr) {
    let app = service::app("health = { interval = \"1h\" }", &service::runs("answer"));
    let deployment = Setup::new().configured(&app).up().await;
    let instance = deployment.ready("acme").await;
    (deployment, text(&instance["endpoint"]).parse().expect("an address"))
}

#[tokio::test]
async fn asked_to_end_it_finishes_what_is_under_way_and_takes_nothing_new() {
    let (mut deployment, endpoint) = holding().await;
    let tenant = deployment.tenant("acme");
    let under_way = tokio::spawn(async move { tenant.get("/hold").await });
    let admin = deployment.admin();
    eventually("the request is under way", async || {
        admin
            .get("/instances/acme/logs")
            .await
            .is(200)
            .text()
            .contains("holding")
            .then_some(())
    })
    .await;

    deployment.signal(Signal::TERM);
    let console = deployment.console();
    eventually("nobody new is let in", async || {
        console.try_ask(http::Method::GET, "/healthz", None).await.err()
    })
    .await;
    assert_eq!(
        deployment.tasks().len(),
        1,
        "what answers a request under way is not ended before it has"
    );
    let mut behind = deployment.tenant("acme");
    behind.address = endpoint;
    // It may be ended before it has answered this one, which did not come through the front.
    let _ = behind.try_ask(http::Method::GET, "/release", None).await;
    under_way.await.expect("an answer").is(200);
    assert!(deployment.ended().await.success());
    assert_eq!(deployment.tasks(), []);
    assert!(!deployment.data().join("server.json").exists());
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_it_from_ending() {
    let (mut deployment, _) = holding().await;
    let tenant = deployment.tenant("acme");
    let under_way = tokio::spawn(async move { tenant.try_ask(http::Method::GET, "/hold", None).await });
    let admin = deployment.admin();
    eventually("the request is under way", async || {
        admin
            .get("/instances/acme/logs")
            .await
            .is(200)
            .text()
            .contains("holding")
            .then_some(())
    })
    .await;
    deployment.end().await;
    assert!(under_way.await.expect("no panic").is_err());
    assert_eq!(deployment.tasks(), []);
}

#[tokio::test]
async fn ctrl_c_ends_it_and_its_children_in_order() {
    let mut deployment = Deployment::new().await;
    let before = deployment.ready("acme").await;
    let mut events = deployment.admin().events("/instances/acme/events").await;
    deployment.signal(Signal::INT);
    assert!(deployment.ended().await.success());
    assert_eq!(deployment.tasks(), []);
    while events.next().await.is_some() {}
    deployment.wharf(&["list"]).await.exits(3);
    deployment.up().await;
    deployment.back("acme", &before).await;
    assert_eq!(
        deployment.show("acme").await["history"]
            .to_string()
            .matches("task.crashed")
            .count(),
        0,
        "an end in order is no crash"
    );
}

#[tokio::test]
async fn asked_to_end_in_the_middle_of_a_provision_it_goes_on_at_the_next_start() {
    let mut deployment = Deployment::new().await;
    for (name, micros) in [("one", 0), ("two", 2_000), ("three", 8_000)] {
        let accepted = deployment.provision(name).await;
        spin(std::time::Duration::from_micros(micros)).await;
        deployment.end().await;
        assert_eq!(deployment.tasks(), []);
        deployment.up().await;
        deployment.becomes(text(&accepted["id"]), "ready").await;
    }
    deployment.agrees().await;
}
