//! What becomes of an instance after its first Ready, and what its visitors are told meanwhile.

use crate::{
    harness::{Customer, Deployment, Setup, eventually, text},
    service,
};

#[tokio::test]
async fn a_stopped_tenant_keeps_name_and_data_and_comes_back() {
    let mut deployment = Deployment::new().await;
    let before = deployment.ready("acme").await;
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;

    deployment.wharf(&["stop", "acme"]).await.exits(0);
    deployment.becomes("acme", "stopped").await;
    assert_eq!(deployment.tasks(), []);
    deployment.tells("acme", 503, "It is stopped", "instance.state").await;
    deployment
        .console()
        .post("/provision", &Deployment::sign_up("acme"))
        .await
        .problem(409, "name.taken");

    deployment.end().await;
    deployment.up().await;
    deployment.becomes("acme", "stopped").await;
    assert_eq!(deployment.tasks(), [], "stopped is stopped, over a restart too");

    let started = deployment.wharf(&["start", "acme", "--json"]).await.exits(0).json();
    assert_eq!(
        (&started["status"], &started["url"], &started["id"]),
        (&"ready".into(), &before["url"], &before["id"])
    );
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_trial_is_told_of_its_end_extended_stopped_and_taken_up_again() {
    let trial = "ttl = \"2h\"\nttl_notice = \"1h\"\nttl_then = \"stop\"";
    let app = service::app(trial, &service::runs("answer"));
    let deployment = Setup::new().configured(&app).up().await;
    let before = deployment.ready("acme").await;
    let ends = |shown: &serde_json::Value| shown["expires_at"].as_u64().expect("an end");
    let ready_at = before["first_ready_at"].as_u64().expect("a time");
    assert_eq!(ends(&before) - ready_at, 7_200_000);
    deployment.wharf(&["extend", "acme", "--for", "1d"]).await.exits(0);
    let longer = eventually("it has another end", async || {
        let shown = deployment.show("acme").await;
        (ends(&shown) > ends(&before)).then_some(shown)
    })
    .await;
    assert!(ends(&longer).abs_diff(ends(&before) + 86_400_000) <= 1000);
    let shown = deployment.wharf(&["show", "acme"]).await.exits(0);
    assert!(shown.stdout.contains("\nends       "), "{shown:?}");

    let soon = jiff::Timestamp::now() + std::time::Duration::from_secs(5);
    deployment
        .wharf(&["extend", "acme", "--until", &soon.to_string()])
        .await
        .exits(0);
    eventually("it is stopped by itself", async || {
        let shown = deployment.show("acme").await;
        (shown["status"] == "stopped").then_some(())
    })
    .await;
    deployment.mail("it is stopped, and its data is kept").await;
    let refused = deployment.wharf(&["start", "acme"]).await.exits(4);
    assert!(
        refused.stderr.contains("instance.expired") && refused.stderr.contains("wharf extend acme"),
        "{refused:?}"
    );
    deployment.wharf(&["extend", "acme", "--forever"]).await.exits(0);
    deployment.wharf(&["start", "acme"]).await.exits(0);
    assert_eq!(deployment.show("acme").await["expires_at"], serde_json::Value::Null);
    for wrong in [
        ["--for", "fortnight"],
        ["--until", "tomorrow"],
        ["--until", "2001-01-01T00:00:00Z"],
    ] {
        let code = if wrong[1].starts_with('2') { 4 } else { 2 };
        deployment
            .wharf(&[&["extend", "acme"], &wrong[..]].concat())
            .await
            .exits(code);
    }
    deployment.agrees().await;
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_and_its_name_rests() {
    let deployment = Deployment::new().await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    deployment.wharf(&["delete", "acme"]).await.exits(0);
    let over = deployment.becomes(&id, "ended").await;
    assert_eq!(over["subdomain"], "acme", "an ended record stays readable by its id");
    deployment.is_gone(&id).await;
    deployment
        .tells("acme", 404, "There is nothing here", "instance.unknown")
        .await;
    deployment
        .console()
        .post("/provision", &Deployment::sign_up("acme"))
        .await
        .problem(409, "name.resting");
    assert!(deployment.find("acme").await.is_none());
    deployment.agrees().await;
}

#[tokio::test]
async fn a_name_that_has_rested_goes_to_somebody_new_with_nothing_of_the_last() {
    let deployment = Setup::new().configured("[names]\nrest = \"0s\"\n").up().await;
    let first = text(&deployment.ready("acme").await["id"]).to_owned();
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    deployment.admin().delete("/tenants/acme").await.is(202);
    deployment.becomes(&first, "ended").await;

    let second = deployment.ready("acme").await;
    assert_ne!(second["id"], first.as_str());
    assert_eq!(
        deployment.tenant("acme").get(&order).await.status,
        404,
        "the last one's order is not the next one's"
    );
    deployment.agrees().await;
}

#[tokio::test]
async fn a_task_that_dies_is_replaced_by_a_new_attempt_with_the_same_data() {
    let deployment = Deployment::new().await;
    let before = deployment.ready("acme").await;
    let id = text(&before["id"]);
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    let [task] = <[_; 1]>::try_from(deployment.tasks_of(id)).expect("one process");
    task.kill();
    let after = deployment.back("acme", &before).await;
    assert_eq!((&after["attempt"], &after["url"]), (&2.into(), &before["url"]));
    let [next] = <[_; 1]>::try_from(deployment.tasks_of(id)).expect("one process");
    assert_ne!(next.pid, task.pid);
    assert_eq!(
        next.variable("APP_PASSWORD"),
        task.variable("APP_PASSWORD"),
        "the same at every attempt"
    );
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_task_that_stops_answering_is_replaced() {
    let hasty = "stop_timeout = \"100ms\"\nhealth = { path = \"/\", interval = \"20ms\", timeout = \"100ms\" }";
    let app = service::app(hasty, &service::runs("answer"));
    let deployment = Setup::new().configured(&app).up().await;
    let before = deployment.ready("acme").await;
    let [task] = <[_; 1]>::try_from(deployment.tasks_of(text(&before["id"]))).expect("one process");
    task.freeze();
    let after = deployment.back("acme", &before).await;
    assert_eq!(after["attempt"], 2);
    deployment.tenant("acme").get("/").await.is(200);
    assert!(
        deployment.show("acme").await["history"]
            .to_string()
            .contains("route.unhealthy")
    );
}

#[tokio::test]
async fn a_task_that_dies_again_and_again_is_down_until_somebody_starts_it() {
    let mut deployment = Setup::new()
        .configured("[heal]\nlimit = 1\nbackoff_first = \"10ms\"\n")
        .up()
        .await;
    let first = deployment.ready("acme").await;
    let id = text(&first["id"]).to_owned();
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    deployment.tasks_of(&id)[0].kill();
    deployment.back("acme", &first).await;
    deployment.tasks_of(&id)[0].kill();

    let down = eventually("it is down", async || {
        let instance = deployment.show("acme").await;
        (instance["status"] == "down").then_some(instance)
    })
    .await;
    let cause = &down["cause"];
    assert_eq!(cause["code"], "task.crashed");
    assert!(text(&cause["message"]).contains("signal 9"), "{cause:#}");
    assert!(
        text(&cause["detail"]).contains("listening on"),
        "its last output: {cause:#}"
    );
    assert_eq!(deployment.tasks(), []);
    deployment
        .tells("acme", 503, "It is out of service", "instance.state")
        .await;
    let shown = deployment.wharf(&["show", "acme"]).await.exits(0).stdout;
    assert!(
        shown.contains("task.crashed") && shown.contains("listening on"),
        "{shown}"
    );

    deployment.end().await;
    deployment.up().await;
    deployment.becomes("acme", "down").await;
    deployment.wharf(&["start", "acme"]).await.exits(0);
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_sign_up_that_is_stopped_while_it_starts_leaves_nothing() {
    let setup = Setup::new();
    let gate = setup.folder().join("never");
    let app = service::app("database = true", &service::runs_behind(&gate));
    let deployment = setup.configured(&app).up().await;
    let accepted = deployment.provision("acme").await;
    let id = text(&accepted["id"]);
    eventually("its task runs", async || {
        (!deployment.tasks_of(id).is_empty()).then_some(())
    })
    .await;
    deployment.wharf(&["delete", "acme"]).await.exits(0);
    let instance = deployment.becomes(id, "failed").await;
    assert_eq!(instance["cause"]["code"], "instance.cancelled");
    deployment.is_gone(id).await;
    deployment.provision("acme").await;
}

#[tokio::test]
async fn a_changed_configuration_does_not_reshape_what_is_there() {
    let app = |greeting: &str| {
        format!(
            "[services.shop]\ntenant = true\ndatabase = true\nhealth = {{ path = \"/healthz\", interval = \"100ms\" }}\nenvironment = {{ GREETING = \"{greeting}\" }}\nprocess = {{ command = [\"wharf\", \"storefront\"] }}\n"
        )
    };
    let mut deployment = Setup::new().configured(&app("Good morning")).up().await;
    let old = deployment.ready("old").await;
    deployment.end().await;
    deployment.configure(&app("Good evening"));
    deployment.up().await;
    deployment.back("old", &old).await;
    deployment.ready("new").await;
    let greets = async |name: &str, greeting: &str| {
        let page = deployment.tenant(name).get("/").await.is(200).text();
        assert!(page.contains(greeting), "{page}");
    };
    greets("old", "Good morning").await;
    greets("new", "Good evening").await;

    // Nor does taking its service out of the file take an instance away.
    deployment.end().await;
    deployment.configure("");
    deployment.up().await;
    deployment.back("old", &old).await;
    deployment.agrees().await;
    deployment.ask("old", "stop").await;
    deployment.becomes("old", "stopped").await;
    deployment.ask("old", "start").await;
    deployment.becomes("old", "ready").await;
    deployment.admin().delete("/tenants/old").await.is(202);
    deployment.becomes(text(&old["id"]), "ended").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn many_tenants_come_back_after_a_kill() {
    let mut deployment = Deployment::new().await;
    let names: Vec<String> = (0..25).map(|number| format!("t{number}")).collect();
    let signed_up = futures::future::join_all(names.iter().map(|name| deployment.ready(name))).await;
    deployment.kill().await;
    deployment.up().await;
    for (name, before) in names.iter().zip(&signed_up) {
        deployment.back(name, before).await;
        let page = deployment.tenant(name).get("/").await.is(200).text();
        assert!(page.contains(&format!("The {name} Company")), "each has its own");
    }
    assert_eq!(deployment.tasks().len(), names.len());
    deployment.agrees().await;
}

#[tokio::test]
async fn one_that_is_stopped_or_down_can_be_deleted() {
    let deployment = Setup::new().configured("[heal]\nlimit = 0\n").up().await;
    let stopped = text(&deployment.ready("stopped").await["id"]).to_owned();
    deployment.ask("stopped", "stop").await;
    deployment.becomes("stopped", "stopped").await;
    let down = text(&deployment.ready("down").await["id"]).to_owned();
    deployment.tasks_of(&down)[0].kill();
    eventually("it is down", async || {
        (deployment.show("down").await["status"] == "down").then_some(())
    })
    .await;
    for (name, id) in [("stopped", &stopped), ("down", &down)] {
        deployment.admin().delete(&format!("/tenants/{name}")).await.is(202);
        deployment.becomes(id, "ended").await;
        deployment.is_gone(id).await;
    }
    deployment.agrees().await;
}
