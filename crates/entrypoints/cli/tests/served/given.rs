//! A server that is there already.

use crate::harness::{Customer, Deployment, Setup, eventually, text};
use wharf_testkit::postgres::Postgres;

const CONFIGURATION: &str = "[databases]\nwait = \"2s\"\nspare = 2\nconnection_limit = 7\n[names]\nrest = \"0s\"\n";

fn setup(server: &Postgres) -> Setup {
    Setup::new()
        .configured(CONFIGURATION)
        .with("WHARF_POSTGRES_URL", &server.url())
}

/// What is on the server of any tenant's.
fn of_tenants(server: &Postgres) -> Vec<String> {
    let names = "SELECT rolname FROM pg_roles WHERE rolname ~ '^(user|wharf_removed)_' UNION \
                 SELECT datname FROM pg_database WHERE datname ~ '^(user|wharf_removed)_' ORDER BY 1";
    server.ask("postgres", names)
}

async fn is_clean(server: &Postgres) {
    eventually("nothing of a tenant's is on the server", async || {
        of_tenants(server).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_shop_lives_in_a_database_of_its_own_and_takes_it_along() {
    let server = Postgres::start(&[]);
    let mut deployment = setup(&server).up().await;
    let acme = deployment.ready("acme").await;
    deployment.ready("bolt").await;
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    assert_eq!(server.ask("user_acme", "SELECT customer FROM orders"), ["Robin"]);
    assert_eq!(server.ask("user_bolt", "SELECT count(*) FROM orders"), ["0"]);
    let limit = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'user_acme'";
    assert_eq!(server.ask("postgres", limit), ["7"]);
    let [task] = <[_; 1]>::try_from(deployment.tasks_of(text(&acme["id"]))).expect("one process");
    assert_eq!(task.variable("DB_NAME"), Some("user_acme"));
    assert!(
        task.variable("WHARF_POSTGRES_URL").is_none(),
        "the administrator's URL is not the tenant's"
    );

    // A kill of Wharf takes the tasks with it, and nothing that they have written.
    deployment.kill().await;
    deployment.up().await;
    deployment.back("acme", &acme).await;
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;

    for name in ["acme", "bolt"] {
        deployment.wharf(&["delete", name]).await.exits(0);
    }
    is_clean(&server).await;
    deployment.agrees().await;
    assert!(!deployment.log().contains("p@ss/word") && !deployment.log().contains("p%40ss"));
}

#[tokio::test]
async fn a_server_that_is_down_at_sign_up_fails_it_cleanly_and_a_later_one_succeeds() {
    let mut server = Postgres::start(&[]);
    let deployment = setup(&server).up().await;
    server.down();
    deployment.provision("acme").await;
    eventually("the status says what is waited for", async || {
        let shown = deployment.find("acme").await?;
        shown.to_string().contains("the database server").then_some(())
    })
    .await;
    let id = text(&deployment.show("acme").await["id"]).to_owned();
    eventually("the wait is over", async || {
        let shown = deployment.show(&id).await;
        shown.to_string().contains("database.unreachable").then_some(())
    })
    .await;
    server.up();
    let failed = deployment.becomes(&id, "failed").await;
    assert!(failed.to_string().contains("database.unreachable"), "{failed}");
    is_clean(&server).await;
    deployment.is_gone(&id).await;
    deployment.ready("acme").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn a_restart_under_running_tenants_is_survived() {
    let mut server = Postgres::start(&[]);
    let deployment = setup(&server).up().await;
    let before = deployment.ready("acme").await;
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    for kill in [false, true] {
        if kill {
            server.kill();
        } else {
            server.down();
        }
        // Down for less than what its health check forgives, or it is healed: the data are the same either way.
        server.up();
        eventually("the shop answers", async || {
            let answer = deployment.tenant("acme").try_get("/healthz").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
        Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    }
    deployment.ready("bolt").await;
    assert_eq!(deployment.show("acme").await["url"], before["url"]);
    deployment.agrees().await;
}

#[tokio::test]
async fn a_server_that_stays_away_takes_no_tenant_out_of_service() {
    let mut server = Postgres::start(&[]);
    // The second crash would be the last.
    let toml = format!("{CONFIGURATION}[heal]\nlimit = 1\n");
    let deployment = setup(&server).configured(&toml).up().await;
    let before = deployment.ready("acme").await;
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    server.down();
    eventually(
        "its task is replaced, and the next one waits for the server",
        async || {
            let shown = deployment.show("acme").await;
            shown.to_string().contains("the database server").then_some(())
        },
    )
    .await;
    // Longer than a sign-up is patient: who has data there is not given up.
    let gives_up = text(&deployment.provision("bolt").await["id"]).to_owned();
    eventually("a sign-up is given up", async || {
        let shown = deployment.show(&gives_up).await;
        shown.to_string().contains("database.unreachable").then_some(())
    })
    .await;
    server.up();
    deployment.back("acme", &before).await;
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.becomes(&gives_up, "failed").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn what_is_anothers_is_not_touched_and_fails_a_sign_up() {
    let server = Postgres::start(&[]);
    assert!(server.ask("postgres", "CREATE DATABASE user_acme").is_empty());
    let deployment = setup(&server).up().await;
    let id = text(&deployment.provision("acme").await["id"]).to_owned();
    let failed = deployment.becomes(&id, "failed").await;
    assert!(failed.to_string().contains("resource.foreign"), "{failed}");
    assert_eq!(of_tenants(&server), ["user_acme"]);
    deployment.agrees().await;
}

#[tokio::test]
async fn a_sign_up_that_fails_leaves_no_database_to_be_kept_or_archived() {
    let server = Postgres::start(&[]);
    let toml = format!(
        "[databases]\nkeep = \"7d\"\narchive = \"{}\"\n\n[services.storefront]\ntenant = true\ndatabase = true\nprocess = {{ command = [\"false\"] }}\n",
        server.folder().join("archive").display()
    );
    let deployment = setup(&server).configured(&toml).up().await;
    let id = text(&deployment.provision("acme").await["id"]).to_owned();
    deployment.becomes(&id, "failed").await;
    is_clean(&server).await;
    assert!(
        !server.folder().join("archive").exists(),
        "an empty database is no archive"
    );
    deployment.agrees().await;
}

#[tokio::test]
async fn a_kill_between_any_two_steps_leaves_no_role_without_its_database() {
    let server = Postgres::start(&[]);
    let mut deployment = setup(&server).up().await;
    for round in 0..4_u32 {
        let name = format!("t{round}");
        let _ = deployment
            .console()
            .try_ask(http::Method::POST, "/provision", Some(&Deployment::sign_up(&name)))
            .await;
        deployment.kill().await;
        let half = server.ask(
            "postgres",
            "SELECT rolname FROM pg_roles r WHERE rolname LIKE 'user%' AND NOT EXISTS (SELECT FROM pg_database WHERE datdba = r.oid)",
        );
        assert!(half.is_empty(), "{half:?}");
        deployment.up().await;
        if deployment.find(&name).await.is_none() {
            deployment.provision(&name).await;
        }
        deployment.becomes(&name, "ready").await;
    }
    deployment.agrees().await;
}

#[tokio::test]
async fn doctor_looks_at_the_server() {
    let mut server = Postgres::start(&[]);
    let deployment = setup(&server).not_running();
    let found = deployment.wharf(&["doctor"]).await;
    assert!(
        found.stdout.contains("PostgreSQL") && found.stdout.contains("as a superuser"),
        "{found:?}"
    );
    assert!(found.stdout.contains("every tenant can connect to"), "{found:?}");
    server.down();
    let found = deployment.wharf(&["doctor"]).await;
    assert!(found.stdout.contains("BAD  database server"), "{found:?}");
    assert!(!found.stdout.contains("p%40ss"));
}
