//! Secrets are nowhere but where they have to be: the secrets' folder and the environment of the task that they are for.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    harness::{Deployment, Setup, eventually, text},
    service,
};

/// Everything below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path))
        } else {
            all.push(path)
        }
    }
    all
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// What must not be found, by name.
fn secrets(deployment: &Deployment, id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let own: Value = serde_json::from_slice(&fs::read(deployment.secrets_of(id)).expect("secrets")).expect("JSON");
    let key = fs::read(deployment.data().join("token-key")).expect("a key");
    assert_eq!(key.len(), 32);
    vec![
        ("APP_PASSWORD", text(&own["APP_PASSWORD"]).into()),
        ("DATABASE_PASSWORD", text(&own["DATABASE_PASSWORD"]).into()),
        ("the admin token", deployment.admin_token().into()),
        ("the token key", key.clone()),
        ("the token key in hexadecimal", HEXLOWER.encode(&key).into()),
        ("the token key in base 64", BASE64.encode(&key).into()),
    ]
}

#[tokio::test]
async fn secrets_are_nowhere_but_in_their_files_and_their_tasks_environment() {
    let deployment = Setup::new().with("LOG_LEVEL", "trace").up().await;
    let first = deployment.ready("acme").await;
    let id = text(&first["id"]);
    let secrets = secrets(&deployment, id);
    eventually("the mail", async || {
        fs::read_dir(deployment.data().join("mail")).ok()?.next().map(drop)
    })
    .await;

    // Whatever may print them is made to: a crash, a heal, a stop, a failed command, doctor, repair, the pages.
    let environment = deployment.tasks_of(id)[0].environment.join("\n");
    assert!(
        environment.contains(&*String::from_utf8_lossy(&secrets[0].1)),
        "its own password reaches the task"
    );
    deployment.tasks_of(id)[0].kill();
    deployment.back("acme", &first).await;
    let mut said = Vec::new();
    for arguments in [
        &["list", "--json"][..],
        &["show", "acme", "--json"],
        &["show", "acme"],
        &["logs", "acme"],
        &["repair"],
        &["doctor", "--json"],
    ] {
        let ran = deployment.wharf(arguments).await;
        said.push((format!("{arguments:?}"), ran.stdout + &ran.stderr));
    }
    for path in ["/instances", "/instances/acme", "/instances/acme/logs", "/metrics"] {
        said.push((path.to_owned(), deployment.admin().get(path).await.is(200).text()));
    }
    said.push((
        "the shop".to_owned(),
        deployment.tenant("acme").get("/").await.is(200).text(),
    ));
    said.push((
        "its admin's door".to_owned(),
        deployment.tenant("acme").get("/admin/login").await.is(200).text(),
    ));
    said.push(("the server's log".to_owned(), deployment.log()));
    for (what, text) in &said {
        for (name, secret) in &secrets {
            assert!(!holds(text.as_bytes(), secret), "{name} is in {what}");
        }
    }
    assert!(deployment.log().len() > 1000, "the log is as talkative as it can be");

    let commands = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    for command in commands {
        for (name, secret) in &secrets {
            assert!(
                !holds(&command, secret),
                "{name} is in a command line: {}",
                String::from_utf8_lossy(&command)
            );
        }
    }
    let data = deployment.data();
    let allowed = [
        data.join("admin-token"),
        data.join("token-key"),
        deployment.secrets_of(id),
    ];
    let others = files(&data).into_iter().filter(|path| !allowed.contains(path));
    let mut looked_at = 0;
    for path in others {
        // A file of SQLite's may go away between the look and the reading.
        let Ok(bytes) = fs::read(&path) else { continue };
        looked_at += 1;
        for (name, secret) in &secrets {
            assert!(!holds(&bytes, secret), "{name} is in {}", path.display());
        }
    }
    assert!(looked_at >= 5, "registry, mail, output, database, server.json");
}

#[tokio::test]
async fn a_task_gets_its_own_secrets_and_nobody_elses() {
    let deployment = Deployment::new().await;
    let one = text(&deployment.ready("one").await["id"]).to_owned();
    let two = text(&deployment.ready("two").await["id"]).to_owned();
    let password = |id: &str| {
        deployment.tasks_of(id)[0]
            .variable("APP_PASSWORD")
            .expect("a password")
            .to_owned()
    };
    let (first, second) = (password(&one), password(&two));
    assert_ne!(first, second);
    assert!(first.len() >= 20, "from a CSPRNG, with no fewer than 100 bits");
    let environment = deployment.tasks_of(&one)[0].environment.join("\n");
    let admin_token = deployment.admin_token();
    for secret in [second.as_str(), admin_token.as_str(), two.as_str()] {
        assert!(!environment.contains(secret));
    }
}

#[tokio::test]
async fn only_the_owner_may_read_what_is_secret() {
    let deployment = Deployment::new().await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let data = deployment.data();
    assert_eq!(mode(&data), 0o700);
    for file in [
        data.join("admin-token"),
        data.join("token-key"),
        data.join("registry.db"),
        deployment.secrets_of(&id),
    ] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(&data.join("secrets")), 0o700);
}

#[tokio::test]
async fn wharfs_own_credentials_are_not_passed_on_to_a_tenant() {
    let app = service::app("", &service::runs("answer"));
    let deployment = Setup::new().configured(&app).up().await;
    deployment.ready("acme").await;
    let token = deployment.admin_token();
    let answer = deployment
        .tenant("acme")
        .with("authorization", format!("Bearer {token}"))
        .get("/")
        .await
        .is(200)
        .json();
    assert!(!answer["headers"].to_string().contains(&token), "{answer:#}");
    let own = deployment
        .tenant("acme")
        .with("authorization", "Bearer the-tenants-own")
        .get("/")
        .await
        .is(200)
        .json();
    assert!(own["headers"].to_string().contains("the-tenants-own"), "{own:#}");
}
