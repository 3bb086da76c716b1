//! What cannot be started is taken back whole, with a code and what to do; and `doctor` knows it before.

use crate::{
    engine::Docker,
    harness::text,
    site::{DIFFERENCES, Site, shop},
};

async fn fails(site: &Site, code: &str, words: &str) {
    let accepted = site.provision("acme").await;
    let failed = site.becomes(text(&accepted["id"]), "failed").await;
    let cause = &failed["cause"];
    assert_eq!(cause["code"], code, "{failed:#}");
    assert!(text(&cause["message"]).contains(words), "{failed:#}");
    assert!(cause["hint"].is_string(), "{failed:#}");
    assert_eq!(failed["clean"], true, "{failed:#}");
    site.agrees().await;
}

#[tokio::test]
async fn an_image_that_is_not_there_fails_a_sign_up_at_once() {
    let docker = Docker::of_the_suite();
    let site = Site::configured(docker, &shop("wharf-nothing-like-this:none", "")).await;
    fails(&site, "task.image", "wharf-nothing-like-this:none").await;
    let doctor = site.wharf(&["doctor"]).await;
    assert_eq!(doctor.code, DIFFERENCES, "{doctor:?}");
    assert!(
        doctor.stdout.contains("BAD  image wharf-nothing-like-this:none"),
        "{doctor:?}"
    );
}

#[tokio::test]
async fn a_shop_that_ends_at_once_fails_with_what_it_said() {
    let docker = Docker::of_the_suite();
    let image = docker.shop();
    let toml = shop(&image, "").replace("sqlite:///tmp/shop.db", "mysql://nowhere");
    let site = Site::configured(docker, &toml).await;
    fails(&site, "task.crashed", "exited with code").await;
    let printed = site.wharf(&["logs", text(&site.rests_failed().await)]).await.exits(0);
    assert!(printed.stdout.contains("SQLite"), "{printed:?}");
}

/// Whoever runs Wharf has to be let in by Docker's socket, which lets in root and its group.
#[tokio::test]
async fn a_user_whom_docker_does_not_let_in_is_told_who_may() {
    use std::{
        fs::{self, Permissions},
        os::unix::{fs::PermissionsExt, process::CommandExt},
        process::Command,
    };
    const NOBODY: u32 = 65_534;
    let docker = Docker::of_the_suite();
    // A folder, and a program in it, that nobody may use: the build's need not be.
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("opened");
    let (program, toml) = (folder.path().join("wharf"), folder.path().join("wharf.toml"));
    fs::copy(env!("CARGO_BIN_EXE_wharf"), &program).expect("copied");
    fs::write(&toml, shop("shop", "")).expect("written");
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(words)
            .arg("--config")
            .arg(&toml)
            .arg("--data-dir")
            .arg(folder.path().join("data"));
        command
            .env_clear()
            .env("DOCKER_HOST", &docker.host)
            .current_dir(folder.path());
        command.uid(NOBODY).gid(NOBODY).output().expect("run as nobody")
    };
    let up = run(&["up", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&up.stderr).into_owned();
    assert!(!up.status.success(), "{said}");
    assert!(
        said.contains("docker.denied") && said.contains("group `docker`"),
        "{said}"
    );
    let doctor = run(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(DIFFERENCES), "{said}");
    assert!(said.contains("may not use the socket"), "{said}");
}

impl Site {
    /// The id of the only instance that there was.
    async fn rests_failed(&self) -> serde_json::Value {
        let all = self.admin().get("/instances?limit=10").await.is(200).json();
        all["instances"][0]["id"].clone()
    }
}

#[tokio::test]
async fn doctor_says_what_docker_is_and_that_the_image_is_there() {
    let site = Site::new().await;
    let doctor = site.wharf(&["doctor"]).await;
    for words in ["API 1.", "it is here, and listens on port 8000", "all are in force"] {
        assert!(doctor.stdout.contains(words), "{words}: {doctor:?}");
    }
}
