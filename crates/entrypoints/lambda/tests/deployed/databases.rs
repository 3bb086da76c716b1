//! Tenants with databases: a real PostgreSQL, and the function in its network that makes them, called by the one that is not.

use http::Method;
use serde_json::{Value, json};
use wharf_testkit::postgres::Postgres;

use crate::{
    account::{Account, Setup, shipped},
    tenants::{acme, path, provisioned},
    wait::eventually,
};

/// The shipped configuration, with a database for each tenant. A server that is down is not waited for long.
fn configuration() -> String {
    let own_data = "[services.crownmercado.environment]\nDATABASE_URL = \"sqlite:///data/shop.db\"\n";
    let shipped = shipped();
    assert!(shipped.contains(own_data));
    shipped.replace(own_data, "").replace(
        "[services.crownmercado]\n",
        "[services.crownmercado]\ndatabase = true\n",
    ) + "\n[databases]\nwait = \"2s\"\nscheme = \"postgresql\"\n"
}

async fn deployed(server: &Postgres) -> Account {
    let setup = Setup::default().configured(configuration());
    setup.with_databases_on(server).deploy().await
}

/// Databases and roles, but for those that PostgreSQL comes with.
fn everything(server: &Postgres) -> Vec<String> {
    server.ask(
        "postgres",
        "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') \
         UNION ALL SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' AND rolname <> 'admin' ORDER BY 1",
    )
}

#[tokio::test]
async fn a_tenant_has_a_database_and_a_mail_and_leaves_nothing_on_the_server() {
    let server = Postgres::start(&[]);
    let account = deployed(&server).await;
    let ready = provisioned(&account).await;
    assert_eq!(
        everything(&server),
        ["user_acme", "user_acme"],
        "a database and its role"
    );
    let task = &account.simulator.live_tasks()[0];
    let environment = |name: &str| task.environment.get(name).cloned().unwrap_or_default();
    assert_eq!(environment("DB_NAME"), "user_acme");
    let url = environment("DATABASE_URL");
    let said = server
        .try_ask(
            &url,
            "",
            "CREATE TABLE orders (id int); SELECT current_user || '@' || current_database()",
        )
        .expect("the tenant comes to its own database");
    assert_eq!(said, ["user_acme@user_acme"]);
    let refused = server
        .try_ask(&url, "", "CREATE DATABASE mine")
        .expect_err("it is no administrator");
    assert!(refused.contains("permission denied"), "{refused}");

    eventually("a mail", async || (!account.resend.mails().is_empty()).then_some(())).await;
    let (_, mail) = &account.resend.mails()[0];
    assert_eq!(mail["to"], json!(["admin@acme.example"]));
    assert!(
        mail.to_string().contains(ready["url"].as_str().expect("a URL")),
        "{mail}"
    );

    eventually("no connection that outlives its call", async || {
        let open = server.ask(
            "postgres",
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wharf'",
        );
        (open == ["0"]).then_some(())
    })
    .await;

    account.operate(Method::DELETE, "/tenants/acme", None).await;
    account.nothing_is_left().await;
    eventually("an empty server", async || everything(&server).is_empty().then_some(())).await;

    let (_, administrators) = server.administrator();
    let (log, tenants) = (account.log(), password_in(&url));
    for secret in [administrators, "p%40ss", tenants] {
        assert!(!log.contains(secret), "a password is in the log");
    }
    // A task's variables are AWS's to keep; who asks Wharf is told of none.
    let told = account.instances().await;
    assert!(!Value::from(told).to_string().contains(tenants));
}

fn password_in(url: &str) -> &str {
    let (_, rest) = url.split_once("user_acme:").expect("a user");
    rest.split_once('@').expect("a host").0
}

#[tokio::test]
async fn a_database_server_that_is_down_at_a_sign_up_ends_it_cleanly() {
    let mut server = Postgres::start(&[]);
    server.down();
    let account = deployed(&server).await;
    let accepted = account
        .operate(Method::POST, "/provision", Some(&acme()))
        .await
        .is(202)
        .json();
    let status = path(&accepted["status_url"]);
    eventually("the wait is over", async || {
        let answer = account.ask(Method::GET, &status, None).await.is(200).json();
        (answer["cause"]["code"] == "database.unreachable").then_some(())
    })
    .await;
    // What is to be removed is waited for longer than what is to be made.
    server.up();
    let failed = account.all_in_state(1, "failed").await;
    assert_eq!(failed[0]["clean"], true, "{failed:?}");
    assert_eq!(failed[0]["cause"]["code"], "database.unreachable", "{failed:?}");
    assert_eq!(account.simulator.tasks().len(), 0, "no task was started");
    assert_eq!(everything(&server), Vec::<String>::new());

    let other = json!({"subdomain": "bolt", "admin_email": "admin@bolt.example", "company_name": "Bolt"});
    account.operate(Method::POST, "/provision", Some(&other)).await.is(202);
    eventually("the other tenant's database", async || {
        (everything(&server) == ["user_bolt", "user_bolt"] && account.simulator.live_tasks().len() == 1).then_some(())
    })
    .await;
}
