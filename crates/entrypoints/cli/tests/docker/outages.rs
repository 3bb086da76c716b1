//! Docker away for a while: under running tenants, in the middle of a provision, at Wharf's start.

use wharf_harness::dockerd::{BESIDE_OTHERS, Engine};

use crate::{
    engine::Docker,
    harness::{eventually, text},
    site::{DIFFERENCES, Site},
};

#[tokio::test]
async fn docker_restarted_under_running_tenants_and_in_the_middle_of_a_provision_is_survived() {
    let mut engine = Engine::with(BESIDE_OTHERS).await;
    let site = Site::on(Docker::of(&engine)).await;
    let before = site.ready("acme").await;
    for crash in [false, true] {
        let now = site.show("acme").await;
        let name = if crash { "crash" } else { "order" };
        let accepted = site.provision(name).await;
        engine.end(crash);
        // Nobody is given up while Docker is away, however often it is asked.
        eventually("the sign-up waits for Docker", async || {
            let waits = site.show(text(&accepted["id"])).await;
            assert_ne!(waits["status"], "failed", "{waits:#}");
            site.log().contains("events are lost").then_some(())
        })
        .await;
        engine.start().await;
        site.becomes(text(&accepted["id"]), "ready").await;
        site.is_open(name).await;
        let after = site.back("acme", &now).await;
        assert_eq!(after["id"], before["id"]);
        site.is_open("acme").await;
    }
    site.agrees().await;
}

#[tokio::test]
async fn without_docker_the_server_does_not_start_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = format!("unix://{}/none", folder.path().display());
    let toml = crate::site::shop("shop", "");
    let mut deployment = crate::harness::Setup::new()
        .configured(&toml)
        .with("DOCKER_HOST", &host)
        .not_running();
    let refused = deployment.try_up().await.expect_err("there is no Docker");
    assert_ne!(refused.code, Some(0));
    assert!(
        refused.stderr.contains("docker.unavailable") && refused.stderr.contains("systemctl start docker"),
        "{}",
        refused.stderr
    );
    let doctor = deployment.wharf(&["doctor"]).await;
    assert_eq!(doctor.code, DIFFERENCES, "{doctor:?}");
    assert!(doctor.stdout.contains("there is no socket of Docker"), "{doctor:?}");
}
