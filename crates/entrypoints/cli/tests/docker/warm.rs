//! Shops that were started ahead, and become a tenant's when one signs up.

use crate::{
    engine::Docker,
    harness::{eventually, spin, text},
    site::{Site, shop},
};
use std::time::Duration;

async fn site(warm: usize) -> Site {
    let docker = Docker::of_the_suite();
    let image = docker.shop();
    let toml = shop(&image, "").replace("tenant = true\n", &format!("tenant = true\nwarm = {warm}\n"));
    Site::configured(docker, &toml).await
}

impl Site {
    /// Ids of shops that are nobody's, as soon as there are so many.
    async fn waiting(&self, count: usize) -> Vec<String> {
        let deployment = self.deployment_id().expect("a deployment");
        eventually("shops wait", async || {
            let waiting = self.docker.waiting(&deployment);
            (waiting.len() == count).then_some(waiting)
        })
        .await
    }
}

#[tokio::test]
async fn a_sign_up_gets_the_shop_that_waited_and_the_next_one_is_started() {
    let site = site(1).await;
    let waited = site.waiting(1).await;
    site.agrees().await;
    let (acme, container) = site.tenant_in_a_container("acme").await;
    assert_eq!([site.docker.inspect(&container, "{{.Id}}")], waited[..]);
    site.is_open("acme").await;
    let password = site.docker.inspect(&container, "{{.Config.Env}}");
    assert!(
        !password.contains("APP_PASSWORD"),
        "Docker knows no secret of it: {password}"
    );
    let printed = site.wharf(&["logs", "acme"]).await.exits(0).stdout;
    assert!(printed.contains("waiting to be told"), "{printed}");

    let next = site.waiting(1).await;
    assert_ne!(next, waited);
    site.agrees().await;
    site.wharf(&["stop", "acme"]).await.exits(0);
    site.becomes("acme", "stopped").await;
    assert_eq!(site.docker.running(text(&acme["id"])), [""; 0]);
    site.wharf(&["start", "acme"]).await.exits(0);
    site.becomes("acme", "ready").await;
    let container = site.docker.container(text(&acme["id"]));
    assert_eq!(
        [site.docker.inspect(&container, "{{.Id}}")],
        next[..],
        "a start gets one too"
    );
    site.is_open("acme").await;

    site.docker.run(&["kill", &container]);
    site.back("acme", &site.show("acme").await).await;
    site.is_open("acme").await;
    site.wharf(&["delete", "acme"]).await.exits(0);
    site.becomes(text(&acme["id"]), "ended").await;
    site.agrees().await;
}

#[tokio::test]
async fn a_claim_in_the_middle_of_which_wharf_is_killed_ends_with_one_shop_that_answers() {
    let mut site = site(1).await;
    for (number, times) in [1, 5, 10, 15, 25].into_iter().enumerate() {
        site.waiting(1).await;
        let name = format!("acme{number}");
        let accepted = site.provision(&name).await;
        spin(Duration::from_millis(times)).await;
        site.kill().await;
        site.up().await;
        site.becomes(text(&accepted["id"]), "ready").await;
        site.is_open(&name).await;
        assert_eq!(site.docker.all(text(&accepted["id"])).len(), 1);
    }
    site.waiting(1).await;
    site.agrees().await;
}
