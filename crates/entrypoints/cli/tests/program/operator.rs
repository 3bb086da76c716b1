//! What an operator does when something is not as it should be: repair, resume, abandon; and a mail that could not leave.

use serde_json::{Value, json};
use std::fs;

use crate::harness::{Deployment, eventually, text};

/// A tenant whose database bears another deployment's mark, and which was asked to end.
async fn stuck() -> (Deployment, String, std::path::PathBuf, Vec<u8>) {
    let deployment = Deployment::new().await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    let mark = deployment.databases_of(&id).join("owner");
    let own = fs::read(&mark).expect("an owner's mark");
    let mut foreign: Value = serde_json::from_slice(&own).expect("JSON");
    foreign["deployment"] = "dep_0123456789abcdef".into();
    fs::write(&mark, foreign.to_string()).expect("written");
    let ran = deployment.wharf(&["delete", "acme"]).await.exits(1);
    assert!(ran.stderr.contains("resource.foreign"), "{ran:?}");
    (deployment, id, mark, own)
}

#[tokio::test]
async fn what_is_foreign_is_not_deleted_and_its_instance_is_stuck_until_somebody_sees_to_it() {
    let (deployment, id, mark, own) = stuck().await;
    let instance = deployment.becomes(&id, "stuck").await;
    assert_eq!(
        (&instance["stuck_at"], &instance["cause"]["code"]),
        (&"database".into(), &"resource.foreign".into())
    );
    assert!(
        deployment.databases_of(&id).join("user_acme.db").exists(),
        "it is left as it is"
    );
    assert_eq!(deployment.tasks(), []);
    deployment
        .tells("acme", 503, "It is out of service", "instance.state")
        .await;
    let plan = deployment.wharf(&["repair"]).await.exits(5);
    assert!(
        plan.stdout.contains("stuck at step database") && plan.stdout.contains("wharf resume"),
        "{plan:?}"
    );
    deployment.wharf(&["resume", "acme"]).await.exits(1);
    deployment.becomes(&id, "stuck").await;

    fs::write(mark, own).expect("mended");
    deployment.wharf(&["resume", "acme"]).await.exits(0);
    deployment.becomes(&id, "ended").await;
    deployment.is_gone(&id).await;
    deployment.agrees().await;
}

#[tokio::test]
async fn what_is_stuck_stays_so_over_a_restart_and_can_be_given_up() {
    let (mut deployment, id, ..) = stuck().await;
    deployment.kill().await;
    deployment.up().await;
    deployment.becomes(&id, "stuck").await;
    deployment
        .wharf(&["abandon", "acme", "--reason", "seen to by hand"])
        .await
        .exits(0);
    let over = deployment.becomes(&id, "ended").await;
    assert!(over["history"].to_string().contains("seen to by hand"), "{over:#}");
    deployment
        .tells("acme", 404, "There is nothing here", "instance.unknown")
        .await;
    assert!(
        deployment.databases_of(&id).exists(),
        "what is left in the world is the operator's"
    );
}

#[tokio::test]
async fn repair_shows_what_is_nobodys_and_removes_it_only_when_told() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let over = text(&deployment.ready("over").await["id"]).to_owned();
    let secrets = fs::read(deployment.secrets_of(&over)).expect("secrets");
    deployment.admin().delete("/tenants/over").await.is(202);
    deployment.becomes(&over, "ended").await;
    deployment.agrees().await;

    // As if a file had come back with the power.
    fs::write(deployment.secrets_of(&over), secrets).expect("written");
    let foreign = deployment.data().join("secrets/notes.txt");
    fs::write(&foreign, "somebody's").expect("written");
    let plan = deployment.wharf(&["repair", "--json"]).await.exits(5).json();
    assert_eq!(plan["findings"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["findings"][0]["mend"]["mend"], "remove_secrets");
    assert!(deployment.secrets_of(&over).exists(), "shown, and not done");

    let applied = deployment.wharf(&["repair", "--apply", "--json"]).await.exits(0).json();
    assert_eq!(applied["mended"][0]["outcome"], "done", "{applied:#}");
    assert!(!deployment.secrets_of(&over).exists());
    assert!(foreign.exists(), "what is not Wharf's is left alone");
    deployment.agrees().await;
    deployment.tenant("acme").get("/").await.is(200);
}

#[tokio::test]
async fn a_database_that_vanished_before_it_was_used_is_told_and_stays_lost() {
    let mut deployment = Deployment::new().await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    let kept = deployment.ready("kept").await;
    let folder = deployment.databases_of(&id);
    fs::remove_dir_all(&folder).expect("removed");

    let told = async |deployment: &Deployment| {
        let plan = deployment
            .wharf(&["repair", "--apply", "--remove-unknown", "--json"])
            .await;
        let plan = plan.exits(5).json();
        let findings = plan["findings"].as_array().expect("a list").clone();
        let lost: Vec<&Value> = findings.iter().filter(|found| found["subject"] == "database").collect();
        assert_eq!(lost.len(), 1, "{plan:#}");
        assert_eq!(text(&lost[0]["what"]), "the database user_acme of acme is gone");
        assert!(text(&lost[0]["cause"]).contains("lost power"), "{plan:#}");
        let hint = text(&lost[0]["hint"]);
        assert!(
            hint.contains(&format!("databases/{id}")) && hint.contains("wharf delete acme"),
            "{plan:#}"
        );
        assert!(
            lost[0]["mend"].is_null() && !folder.exists(),
            "nothing empty in its stead: {plan:#}"
        );
    };
    told(&deployment).await;
    // As after the loss of power that took it.
    deployment.kill().await;
    deployment.up().await;
    deployment.back("kept", &kept).await;
    // Until its turn comes it is still called what it was.
    let down = eventually("it is given up", async || {
        let acme = deployment.show("acme").await;
        (acme["status"] == "down").then_some(acme)
    });
    assert_eq!(down.await["cause"]["code"], "database.lost");
    told(&deployment).await;
    deployment.wharf(&["delete", "acme"]).await.exits(0);
    deployment.becomes(&id, "ended").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_mail_that_cannot_be_written_is_tried_again_and_fails_nobody() {
    let deployment = Deployment::new().await;
    let folder = deployment.data().join("mail");
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("removed");
    }
    fs::write(&folder, "in the way").expect("written");
    deployment.ready("acme").await;
    deployment.tenant("acme").get("/").await.is(200);
    eventually("it was tried", async || {
        deployment.log().contains("a mail was not handed over").then_some(())
    })
    .await;
    assert!(!deployment.log().contains("admin@acme.example"), "no address in a log");
    deployment.becomes("acme", "ready").await;

    fs::remove_file(&folder).expect("removed");
    fs::create_dir(&folder).expect("made");
    eventually("it is there", async || {
        let mails = fs::read_dir(&folder).ok()?;
        mails
            .filter_map(Result::ok)
            .any(|mail| mail.path().extension().is_some_and(|kind| kind == "eml"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_that_comes_during_a_heals_pause_outranks_it() {
    let toml = "[server]\nhold_timeout = \"200ms\"\n[heal]\nbackoff_first = \"1m\"\nbackoff_max = \"1m\"\n";
    let deployment = crate::harness::Setup::new().configured(toml).up().await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    deployment.tasks_of(&id)[0].kill();
    let waiting = eventually("it waits before the next attempt", async || {
        let instance = deployment.show("acme").await;
        instance["waits_for"].is_string().then_some(instance)
    })
    .await;
    assert_eq!(
        (&waiting["status"], &waiting["step"]),
        (&json!("restoring"), &json!("pause"))
    );
    deployment.tells("acme", 503, "It is starting", "instance.state").await;
    deployment.ask("acme", "stop").await;
    deployment.becomes("acme", "stopped").await;
    deployment.ask("acme", "start").await;
    deployment.becomes("acme", "ready").await;
}
