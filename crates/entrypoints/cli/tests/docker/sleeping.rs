//! Containers that nobody uses are paused or stopped, and the next visitor wakes them.

use serde_json::Value;

use crate::{
    engine::Docker,
    harness::{eventually, text},
    site::{Site, shop},
};

async fn site(how: &str) -> Site {
    let docker = Docker::of_the_suite();
    let toml = shop(&docker.shop(), "").replace(
        "tenant = true",
        &format!("tenant = true\nsleep_after = \"2s\"\nsleep = \"{how}\""),
    );
    Site::configured(docker, &toml).await
}

/// A visitor comes, and asks again as long as a page tells him to wait. Gives the instance as it is then.
async fn visited(site: &Site) -> Value {
    eventually("a visitor is answered", async || {
        (site.tenant("acme").page("/").await.status == 200).then_some(())
    })
    .await;
    site.show("acme").await
}

#[tokio::test]
async fn a_container_that_nobody_uses_is_paused_and_goes_on_for_the_next_visitor() {
    let mut site = site("pause").await;
    let (acme, container) = site.tenant_in_a_container("acme").await;
    let is = |site: &Site, status: &str| assert_eq!(site.docker.inspect(&container, "{{.State.Status}}"), status);
    site.comes_to("acme", "sleeping").await;
    is(&site, "paused");
    assert_eq!(visited(&site).await["attempt"], 1);
    is(&site, "running");

    site.comes_to("acme", "sleeping").await;
    site.kill().await;
    site.up().await;
    site.comes_to("acme", "sleeping").await;
    is(&site, "paused");
    site.agrees().await;
    assert_eq!(visited(&site).await["attempt"], 1, "it has outlived Wharf");

    site.comes_to("acme", "sleeping").await;
    site.docker.run(&["unpause", &container]);
    site.comes_to("acme", "ready").await;
    site.comes_to("acme", "sleeping").await;
    site.docker.run(&["kill", &container]);
    eventually("its end is noticed", async || {
        (site.show("acme").await["task"] == Value::Null).then_some(())
    })
    .await;
    site.comes_to("acme", "sleeping").await;
    assert_eq!(visited(&site).await["attempt"], 2);
    site.comes_to("acme", "sleeping").await;
    site.wharf(&["delete", "acme"]).await.exits(0);
    assert_eq!(site.docker.running(text(&acme["id"])), [""; 0]);
    site.agrees().await;
}

#[tokio::test]
async fn a_container_that_nobody_uses_is_stopped_and_another_answers_the_next_visitor() {
    let site = site("stop").await;
    let (acme, _) = site.tenant_in_a_container("acme").await;
    let asleep = site.comes_to("acme", "sleeping").await;
    assert_eq!(site.docker.running(text(&acme["id"])), [""; 0]);
    let freed = asleep["slept"]["freed_bytes"].as_u64().expect("told");
    assert!(
        (1..134_217_728).contains(&freed),
        "what it used, and not what it may use: {freed}"
    );
    assert_eq!(visited(&site).await["attempt"], 2);
    site.agrees().await;
}
