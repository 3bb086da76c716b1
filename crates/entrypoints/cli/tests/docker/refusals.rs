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
