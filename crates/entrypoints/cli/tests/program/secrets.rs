//! Secrets are where they have to be, and for whom: the secrets' folder, and the environment of the task that they are for. That they are
//! nowhere else is for `whole_run`.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    harness::{Deployment, Setup, text},
    service,
};

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
