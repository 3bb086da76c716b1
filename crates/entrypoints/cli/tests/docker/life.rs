//! A tenant's life in containers, and what happens to these behind Wharf's back.

use serde_json::{Value, json};

use crate::{
    harness::{eventually, text},
    site::Site,
};

#[tokio::test]
async fn a_tenant_signs_up_and_has_a_container_of_its_own_until_it_is_deleted() {
    let site = Site::new().await;
    let (acme, container) = site.tenant_in_a_container("acme").await;
    let (other, neighbour) = site.tenant_in_a_container("other").await;
    assert_ne!(container, neighbour);
    site.is_open("acme").await;
    site.is_open("other").await;

    let id = text(&acme["id"]);
    for (format, value) in [
        ("{{index .Config.Labels \"wharf.instance\"}}", id),
        ("{{index .Config.Labels \"wharf.service\"}}", "storefront"),
        ("{{index .Config.Labels \"wharf.attempt\"}}", "1"),
        ("{{.HostConfig.RestartPolicy.Name}}", "no"),
        ("{{.HostConfig.ReadonlyRootfs}}", "true"),
        ("{{.HostConfig.Memory}}", "134217728"),
        ("{{.HostConfig.CpuShares}}", "256"),
        ("{{.Config.User}}", "65532:65532"),
    ] {
        assert_eq!(site.docker.inspect(&container, format), value, "{format}");
    }
    let printed = site.wharf(&["logs", "acme"]).await.exits(0).stdout;
    assert!(printed.contains("8000"), "what it printed is shown: {printed}");

    site.wharf(&["stop", "acme"]).await.exits(0);
    site.becomes("acme", "stopped").await;
    assert_eq!(site.docker.running(id), [""; 0]);
    site.is_open("other").await;

    site.wharf(&["start", "acme"]).await.exits(0);
    let back = site.becomes("acme", "ready").await;
    assert_eq!((&back["id"], &back["url"]), (&acme["id"], &acme["url"]));
    assert_ne!(site.docker.container(id), container, "a new attempt is a new container");
    site.is_open("acme").await;

    for instance in [&acme, &other] {
        site.wharf(&["delete", text(&instance["subdomain"])]).await.exits(0);
        site.becomes(text(&instance["id"]), "ended").await;
        assert_eq!(site.docker.running(text(&instance["id"])), [""; 0]);
    }
    site.agrees().await;
}

#[tokio::test]
async fn containers_live_on_when_wharf_is_killed_and_are_adopted_by_the_next() {
    let mut site = Site::new().await;
    let (before, container) = site.tenant_in_a_container("acme").await;
    let started = site.docker.inspect(&container, "{{.State.StartedAt}}");
    site.kill().await;
    assert_eq!(site.docker.inspect(&container, "{{.State.Running}}"), "true");
    site.up().await;
    let after = site.becomes("acme", "ready").await;
    assert_eq!(after["attempt"], before["attempt"]);
    assert_eq!(site.docker.container(text(&before["id"])), container);
    assert_eq!(site.docker.inspect(&container, "{{.State.StartedAt}}"), started);
    site.is_open("acme").await;
    // In order, they live on just the same.
    site.end().await;
    assert_eq!(site.docker.inspect(&container, "{{.State.Running}}"), "true");
    site.up().await;
    site.is_open("acme").await;
    site.agrees().await;
}

#[tokio::test]
async fn a_provision_in_the_middle_of_which_wharf_is_killed_ends_with_one_container() {
    let mut site = Site::new().await;
    for (number, times) in [10, 60, 120, 200].into_iter().enumerate() {
        let name = format!("acme{number}");
        let accepted = site.provision(&name).await;
        crate::harness::spin(std::time::Duration::from_millis(times)).await;
        site.kill().await;
        site.up().await;
        site.becomes(text(&accepted["id"]), "ready").await;
        site.is_open(&name).await;
        assert_eq!(site.docker.all(text(&accepted["id"])).len(), 1);
    }
    site.agrees().await;
}

#[tokio::test]
async fn a_container_that_is_killed_or_paused_or_removed_by_hand_is_replaced() {
    let site = Site::new().await;
    let (mut before, mut container) = site.tenant_in_a_container("acme").await;
    let id = text(&before["id"]).to_owned();
    for words in [&["kill"][..], &["stop"], &["pause"], &["rm", "--force"]] {
        site.docker.run(&[words, &[container.as_str()]].concat());
        let after = site.back("acme", &before).await;
        let next = site.docker.container(&id);
        assert_ne!(next, container, "{words:?}");
        site.is_open("acme").await;
        (before, container) = (after, next);
    }
    assert_eq!(
        site.show("acme").await["status"],
        "ready",
        "nobody counted that against it"
    );
    site.agrees().await;
}

#[tokio::test]
async fn what_became_of_containers_while_wharf_was_away_is_found_at_its_start() {
    let mut site = Site::new().await;
    let (killed, one) = site.tenant_in_a_container("killed").await;
    let (removed, two) = site.tenant_in_a_container("removed").await;
    site.end().await;
    site.docker.run(&["kill", &one]);
    site.docker.run(&["rm", "--force", &two]);
    site.up().await;
    for before in [&killed, &removed] {
        let name = text(&before["subdomain"]);
        site.back(name, before).await;
        site.is_open(name).await;
    }
    site.agrees().await;
}

#[tokio::test]
async fn repair_finds_the_container_that_nobody_owns_and_removes_it() {
    let site = Site::new().await;
    let (acme, container) = site.tenant_in_a_container("acme").await;
    let image = site.docker.inspect(&container, "{{.Config.Image}}");
    let network = site.docker.inspect(&container, "{{.HostConfig.NetworkMode}}");
    let label = |name: &str, value: &str| format!("--label=wharf.{name}={value}");
    let deployment = site
        .docker
        .inspect(&container, "{{index .Config.Labels \"wharf.deployment\"}}");
    let stray = "inst_00000000000000000000000000";
    let marks = [
        label("deployment", &deployment),
        label("instance", stray),
        label("attempt", "1"),
        label("service", "storefront"),
    ];
    let name = format!("wharf-{deployment}-{stray}-1");
    let mut words = vec!["run", "--detach", "--network", &network, "--name", &name];
    words.extend(marks.iter().map(String::as_str));
    words.extend([
        "--env",
        "DATABASE_URL=sqlite:///shop.db",
        "--env",
        "PORT=8000",
        "--env",
        "HOST=0.0.0.0",
        &image,
    ]);
    site.docker.run(&words);

    let plan = site.wharf(&["repair", "--json"]).await;
    assert!(plan.stdout.contains(stray), "{plan:?}");
    assert_eq!(site.docker.running(stray), [name.as_str()], "a plan changes nothing");
    site.wharf(&["repair", "--apply"]).await.exits(0);
    eventually("it is stopped", async || {
        site.docker.running(stray).is_empty().then_some(())
    })
    .await;
    assert_eq!(
        site.docker.container(text(&acme["id"])),
        container,
        "and what is owned is left alone"
    );
    site.agrees().await;
}

#[tokio::test]
async fn a_static_port_is_reached_on_the_machine_itself() {
    let docker = crate::engine::Docker::of_the_suite();
    let image = docker.shop();
    let range = crate::harness::Setup::new().ports.fixed(4);
    let more = format!(
        "port = {{ kind = \"static\", range = \"{range}\" }}\nroute = {{ kind = \"direct\", url = \"http://{{ip}}:{{port}}/\" }}"
    );
    let site = Site::configured(docker, &crate::site::shop(&image, &more)).await;
    let (acme, container) = site.tenant_in_a_container("acme").await;
    let url = text(&acme["url"]);
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let published = site.docker.inspect(&container, "{{json .HostConfig.PortBindings}}");
    let published: Value = serde_json::from_str(&published).expect("JSON");
    let port = text(&published["8000/tcp"][0]["HostPort"]).to_owned();
    assert_eq!(url, format!("http://127.0.0.1:{port}/"));
    let visitor = wharf_harness::Client {
        address: format!("127.0.0.1:{port}").parse().expect("an address"),
        host: format!("127.0.0.1:{port}"),
        headers: Vec::new(),
    };
    visitor.page("/").await.is(200);
    site.admin().post("/instances/acme/stop", &json!({})).await.is(202);
    site.becomes("acme", "stopped").await;
    site.admin().post("/instances/acme/start", &json!({})).await.is(202);
    let back = site.becomes("acme", "ready").await;
    assert_eq!(back["url"], acme["url"], "the port is its own for life");
}
