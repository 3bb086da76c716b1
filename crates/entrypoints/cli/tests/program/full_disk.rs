//! A disk that is full while the registry is written to: a small file system of the server's own, in a mount name space of its own,
//! so that it is gone when the server is. The test sees it through `/proc`.

use rustix::process::geteuid;
use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness::{Deployment, Setup, disk, eventually, text};

/// A file of the server's small disk, as it is seen from here.
fn seen(deployment: &Deployment, name: &str) -> PathBuf {
    let data = deployment.data();
    Path::new("/proc")
        .join(deployment.pid().to_string())
        .join("root")
        .join(data.strip_prefix("/").unwrap_or(&data))
        .join(name)
}

#[tokio::test]
async fn a_full_disk_refuses_sign_ups_and_loses_nothing_that_was_taken() {
    let setup = Setup::new();
    fs::create_dir(setup.data()).expect("a folder");
    let Some(wrapper) = disk::allowed(&setup.data()) else {
        let must = geteuid().is_root() && std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(
            !must,
            "the superuser may not mount here, and CI may not go without this test"
        );
        eprintln!("nothing can be mounted here: a full disk was not tested");
        return;
    };
    let data = setup.data();
    let prepare = format!("{} && exec \"$@\"", disk::mount(12));
    let words = [wrapper, &["sh", "-c", &prepare, data.to_str().expect("UTF-8")]].concat();
    let deployment = setup.behind(&words).up().await;
    let token = fs::read_to_string(seen(&deployment, "admin-token")).expect("a token");
    let admin = deployment
        .console()
        .with("authorization", format!("Bearer {}", token.trim()));

    let first = deployment.provision("one").await;
    let path = format!("/instances/{}", text(&first["id"]));
    eventually("the first is ready", async || {
        (admin.get(&path).await.json()["status"] == "ready").then_some(())
    })
    .await;

    let ballast = seen(&deployment, "ballast");
    disk::fill(&ballast).expect("a full disk");
    // The registry's log may have some room of its own left: it is used up.
    let mut taken = Vec::new();
    let refused = eventually("a sign-up is refused for want of space", async || {
        let name = format!("t{}", taken.len());
        let answer = deployment
            .console()
            .post("/provision", &Deployment::sign_up(&name))
            .await;
        if answer.status == 202 {
            taken.push(text(&answer.json()["id"]).to_owned());
            return None;
        }
        Some((name, answer))
    })
    .await;
    let (name, answer) = refused;
    let problem = answer.problem(503, "store.full").json();
    assert!(
        !problem.to_string().contains("registry.db"),
        "a visitor is not told where the registry is: {problem:#}"
    );
    assert_eq!(
        admin.get(&path).await.is(200).json()["status"],
        "ready",
        "what is there is served on"
    );
    deployment.tenant("one").get("/").await.is(200);
    admin.get(&format!("/instances/{name}")).await.is(404);

    fs::remove_file(&ballast).expect("make room");
    let accepted = eventually("it goes on by itself", async || {
        let answer = deployment
            .console()
            .post("/provision", &Deployment::sign_up(&name))
            .await;
        (answer.status == 202).then(|| answer.json())
    })
    .await;
    taken.push(text(&accepted["id"]).to_owned());
    for id in taken {
        let path = format!("/instances/{id}");
        eventually("it is ready, or nothing is left of it", async || {
            let instance = admin.get(&path).await.is(200).json();
            let is_over =
                instance["status"] == "ready" || (instance["status"] == "failed" && instance["clean"] == true);
            (is_over && instance["moving"] == false).then_some(())
        })
        .await;
    }
    let path = format!("/instances/{}", text(&accepted["id"]));
    assert_eq!(admin.get(&path).await.is(200).json()["status"], "ready");
    let repair = admin.post("/repair", &serde_json::json!({})).await.is(200).json();
    assert_eq!(repair["findings"], serde_json::json!([]), "{repair:#}");
}

#[tokio::test]
async fn a_server_that_cannot_write_where_it_is_found_takes_nothing_up() {
    let mut deployment = Deployment::new().await;
    deployment.ready("acme").await;
    deployment.kill().await;
    // Stands for a full disk: what is to be written there cannot be.
    let obstacle = deployment.data().join("server.json.new");
    fs::create_dir(&obstacle).expect("an obstacle");
    let before = deployment.log().len();
    let refused = deployment.try_up().await.expect_err("it cannot be found");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("data.directory"), "{refused:#?}");
    let since = &deployment.log()[before..];
    assert!(!since.contains("going on where the last run ended"), "{since}");

    fs::remove_dir(&obstacle).expect("no obstacle");
    deployment.up().await;
    deployment.becomes("acme", "ready").await;
    deployment.agrees().await;
}
