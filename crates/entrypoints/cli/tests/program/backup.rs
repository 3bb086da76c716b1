//! The registry as a file: copied beside a server under load, put back after a loss, and what has become of those who came and went in between.

use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::{
    cli::seen,
    harness::{Customer, Deployment, Setup, eventually, text},
};

fn copy(deployment: &Deployment) -> PathBuf {
    deployment.setup().folder().join("copy.db")
}

/// Backs up to the usual place. Gives what was printed.
async fn back_up(deployment: &Deployment) -> Value {
    let to = copy(deployment);
    let to = to.to_str().expect("UTF-8");
    deployment
        .wharf(&["backup", to, "--force", "--json"])
        .await
        .exits(0)
        .json()
}

async fn restore(deployment: &Deployment) -> Value {
    let from = copy(deployment);
    let from = from.to_str().expect("UTF-8");
    deployment.wharf(&["restore", from, "--json"]).await.exits(0).json()
}

/// An instance after a restart, as soon as it is at rest in this state with so many tasks. As the registry has it, it is ready before its
/// turn to be brought back has come.
async fn comes_to(deployment: &Deployment, id: &str, status: &str, tasks: usize) -> Value {
    eventually(&format!("{id} is {status}"), async || {
        let instance = deployment.rests(id).await;
        (instance["status"] == status && deployment.tasks_of(id).len() == tasks).then_some(instance)
    })
    .await
}

#[tokio::test]
async fn the_newest_hour_is_lost_and_registry_and_world_come_together_again() {
    let mut deployment = Deployment::new().await;
    let mut ids = Vec::new();
    for name in ["stays", "heals", "pauses", "leaves"] {
        ids.push(text(&deployment.ready(name).await["id"]).to_owned());
    }
    let [stays, heals, pauses, leaves] = <[String; 4]>::try_from(ids).expect("four");
    let order = Customer::of(deployment.tenant("stays")).order("Robin").await;
    let before = deployment.show(&heals).await;
    let shown = back_up(&deployment).await;
    assert_eq!((&shown["instances"], &shown["live"]), (&json!(4), &json!(4)));

    // The hour that is lost.
    let later = text(&deployment.ready("comes").await["id"]).to_owned();
    let later_order = Customer::of(deployment.tenant("comes")).order("Sam").await;
    deployment.ask("pauses", "stop").await;
    deployment.becomes(&pauses, "stopped").await;
    deployment.admin().delete("/tenants/leaves").await.is(202);
    deployment.becomes(&leaves, "ended").await;
    deployment.tasks_of(&heals)[0].kill();
    let healed = deployment.back(&heals, &before).await;
    deployment.kill().await;

    let restored = restore(&deployment).await;
    assert_eq!(restored["instances"], 4);
    let replaced = PathBuf::from(text(&restored["replaced"]));
    assert!(replaced.exists());
    deployment.up().await;

    for id in [&stays, &heals, &pauses] {
        comes_to(&deployment, id, "ready", 1).await;
    }
    assert_eq!(
        deployment.show(&heals).await["attempt"],
        healed["attempt"],
        "the number is given again"
    );
    Customer::of(deployment.tenant("stays")).finds(&order, "Robin").await;
    // Whose data went with the end is not ready with something empty.
    let gone = comes_to(&deployment, &leaves, "down", 0).await;
    assert_eq!(gone["cause"]["code"], "secrets.lost", "{gone:#}");
    assert!(!deployment.databases_of(&leaves).exists());
    deployment
        .tells("leaves", 503, "It is out of service", "instance.state")
        .await;
    // Whom the registry does not know has no task, and keeps what is his.
    assert!(deployment.find(&later).await.is_none());
    assert_eq!(deployment.tasks_of(&later), []);
    deployment
        .tells("comes", 404, "There is nothing here", "instance.unknown")
        .await;
    let found = deployment.wharf(&["repair", "--apply"]).await.exits(5).stdout;
    assert!(
        found.contains(&later)
            && found.contains("which the registry does not know")
            && found.contains("leaves is down"),
        "{found}"
    );
    assert!(
        deployment.secrets_of(&later).exists() && deployment.databases_of(&later).exists(),
        "nobody said that they are to go: {found}"
    );

    // What was replaced can be had back: nothing of it was lost.
    deployment.end().await;
    let kept = replaced.to_str().expect("UTF-8");
    deployment.wharf(&["restore", kept]).await.exits(0);
    deployment.up().await;
    comes_to(&deployment, &later, "ready", 1).await;
    Customer::of(deployment.tenant("comes"))
        .finds(&later_order, "Sam")
        .await;
    deployment.becomes(&pauses, "stopped").await;
    deployment.agrees().await;

    // And if the hour is to be lost for good: what was ended is ended again, and what is unknown goes when somebody says so.
    deployment.kill().await;
    restore(&deployment).await;
    deployment.up().await;
    comes_to(&deployment, &leaves, "down", 0).await;
    deployment.wharf(&["delete", "leaves"]).await.exits(0);
    deployment.is_gone(&leaves).await;
    let removed = deployment
        .wharf(&["repair", "--apply", "--remove-unknown"])
        .await
        .exits(0);
    assert!(removed.stdout.contains("done: "), "{removed:?}");
    assert!(!deployment.secrets_of(&later).exists() && !deployment.databases_of(&later).exists());
    deployment.agrees().await;
    Customer::of(deployment.tenant("stays")).finds(&order, "Robin").await;
}

#[tokio::test]
async fn a_backup_in_the_middle_of_many_provisions_is_gone_on_with() {
    let mut deployment = Deployment::new().await;
    let names: Vec<String> = (0..12).map(|number| format!("t{number}")).collect();
    let provisions = futures::future::join_all(names.iter().map(|name| deployment.provision(name)));
    // Some are accepted before it, some after it, and some are on their way.
    let (_, shown) = tokio::join!(provisions, back_up(&deployment));
    let known = shown["live"].as_u64().expect("a number");
    deployment.kill().await;
    restore(&deployment).await;
    deployment.up().await;
    let live = deployment.live().await;
    assert_eq!(live.len() as u64, known);
    for instance in live {
        deployment.becomes(text(&instance["id"]), "ready").await;
    }
}

#[tokio::test]
async fn a_backup_is_said_in_words_and_refused_in_words() {
    let mut deployment = Deployment::new().await;
    deployment.ready("acme").await;
    seen(
        "backup",
        &deployment,
        &deployment.wharf(&["backup", "copy.db"]).await.exits(0),
    );
    let mode = fs::metadata(copy(&deployment)).expect("a copy").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    seen(
        "error-backup-exists",
        &deployment,
        &deployment.wharf(&["backup", "copy.db"]).await.exits(4),
    );
    seen(
        "backup-json",
        &deployment,
        &deployment
            .wharf(&["backup", "copy.db", "--force", "--json"])
            .await
            .exits(0),
    );
    seen(
        "error-backup-no-folder",
        &deployment,
        &deployment.wharf(&["backup", "no/folder/copy.db"]).await.exits(1),
    );
    seen(
        "error-restore-while-it-runs",
        &deployment,
        &deployment.wharf(&["restore", "copy.db"]).await.exits(1),
    );
    deployment.end().await;
    let folder = deployment.setup().folder().to_owned();
    fs::write(
        folder.join("text.db"),
        "something else, and longer than the head of a database is ".repeat(4),
    )
    .expect("a file");
    let whole = fs::read(copy(&deployment)).expect("a copy");
    fs::write(folder.join("half.db"), &whole[..whole.len() / 2]).expect("a file");
    for (name, file) in [("nothing", "nothing.db"), ("text", "text.db"), ("half", "half.db")] {
        let ran = deployment.wharf(&["restore", file]).await.exits(4);
        assert!(ran.stderr.contains("backup.unusable"), "{ran:?}");
        if name != "half" {
            seen(&format!("error-restore-{name}"), &deployment, &ran);
        }
    }
    seen(
        "restore",
        &deployment,
        &deployment.wharf(&["restore", "copy.db"]).await.exits(0),
    );
    // A server that lost its registry makes a new one, which is another deployment's.
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        let _ = fs::remove_file(deployment.data().join(name));
    }
    deployment.up().await;
    deployment.end().await;
    let ran = deployment.wharf(&["restore", "copy.db"]).await.exits(4);
    assert!(ran.stderr.contains("backup.foreign"), "{ran:?}");
}

#[tokio::test]
async fn where_there_is_no_registry_it_is_said() {
    let deployment = Setup::new().not_running();
    seen(
        "error-backup-no-registry",
        &deployment,
        &deployment.wharf(&["backup", "copy.db"]).await.exits(1),
    );
    let on_aws = "[platform]\nkind = \"ecs\"\n[registry]\nkind = \"dynamodb\"\n";
    let deployment = Setup::new().configured(on_aws).not_running();
    for command in ["backup", "restore"] {
        let ran = deployment.wharf(&[command, "copy.db"]).await.exits(4);
        seen(&format!("error-{command}-on-dynamodb"), &deployment, &ran);
    }
}
