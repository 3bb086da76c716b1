//! What a tenant is given, and what is another's.

use crate::site::{PASSWORD, Site, connect, instance, password, settings};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use wharf_domain::Code;
use wharf_platform::Databases;
use wharf_postgres::Settings;

#[tokio::test]
async fn a_tenant_owns_its_database_and_has_the_limits_that_are_configured() {
    let site = Site::new(Settings {
        connection_limit: 3,
        statement_timeout: Duration::from_millis(1500),
        ..settings()
    });
    let database = site.create(1, "user_acme-co").await;
    assert_eq!(
        site.as_tenant(&database, "SELECT current_user, current_database()")
            .unwrap(),
        ["user_acme-co|user_acme-co"]
    );
    let work = "CREATE TABLE orders (id int); INSERT INTO orders VALUES (7); SELECT * FROM orders";
    assert_eq!(site.as_tenant(&database, work).unwrap(), ["7"]);
    assert_eq!(site.as_tenant(&database, "SHOW statement_timeout").unwrap(), ["1500ms"]);
    let role = "SELECT rolconnlimit, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'user_acme-co'";
    assert_eq!(site.server.ask("postgres", role), ["3|f|f|f|f|f"]);
}

#[tokio::test]
async fn neither_a_password_nor_its_text_reaches_the_server() {
    let site = Site::on(
        wharf_testkit::postgres::Postgres::start(&["log_statement=all", "log_min_duration_statement=0"]),
        settings(),
    );
    site.create(1, "user_acme").await;
    // As a superuser the test could see what the server keeps: it is no password.
    let kept = site.server.ask(
        "postgres",
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'user_acme'",
    );
    assert!(kept[0].starts_with("SCRAM-SHA-256$"), "{kept:?}");
    assert!(site.server.log().contains("CREATE ROLE \"user_acme\""));
    assert!(!site.server.log().contains(PASSWORD));
}

#[tokio::test]
async fn a_tenant_connects_by_its_url_alone() {
    let site = Site::new(settings());
    let database = site.create(1, "user_acme").await;
    // The URL's own password counts where the variable holds none.
    let asked = site.server.try_ask(database.url.expose_secret(), "", "SELECT 1");
    assert_eq!(asked.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_database_made_again_keeps_what_is_in_it_and_takes_the_password_of_now() {
    let site = Site::new(settings());
    let database = site.create(1, "user_acme").await;
    site.as_tenant(&database, "CREATE TABLE kept (id int)").unwrap();
    let other = SecretString::from("another");
    let again = site.databases.create(&instance(1), "user_acme", &other).await.unwrap();
    let url = again.url.expose_secret();
    assert_eq!(
        site.server
            .try_ask(url, "another", "SELECT count(*) FROM kept")
            .unwrap(),
        ["0"]
    );
    site.as_tenant(&database, "SELECT 1").unwrap_err();
}

#[tokio::test]
async fn what_stands_between_role_and_database_is_gone_on_with() {
    let site = Site::new(settings());
    let mark = format!(
        "wharf {{\"deployment\":\"{}\",\"instance\":\"{}\"}}",
        crate::site::deployment(),
        instance(1)
    );
    let left = format!("CREATE ROLE user_acme; COMMENT ON ROLE user_acme IS '{mark}'");
    assert!(site.server.ask("postgres", &left).is_empty());
    assert!(
        site.databases
            .open(&instance(1), "user_acme", &password())
            .await
            .unwrap()
            .is_none()
    );
    let database = site.create(1, "user_acme").await;
    site.as_tenant(&database, "SELECT 1").unwrap();
}

#[tokio::test]
async fn a_role_without_a_database_is_removed() {
    let site = Site::new(settings());
    site.create(1, "user_acme").await;
    assert!(site.server.ask("postgres", "DROP DATABASE user_acme").is_empty());
    site.databases.remove(&instance(1), "user_acme").await.unwrap();
    assert!(site.roles().is_empty());
}

/// What others have made under the name, and what is there before and after.
async fn stays_foreign(site: &Site, made: &[&str]) {
    for statement in made {
        assert!(site.server.ask("postgres", statement).is_empty());
    }
    let before = (site.databases(), site.roles());
    let databases = &site.databases;
    let made = databases.create(&instance(1), "user_acme", &password()).await;
    assert_eq!(made.unwrap_err().code, Code::ResourceForeign);
    let opened = databases.open(&instance(1), "user_acme", &password()).await;
    assert_eq!(opened.unwrap_err().code, Code::ResourceForeign);
    let removed = databases.remove(&instance(1), "user_acme").await;
    assert_eq!(removed.unwrap_err().code, Code::ResourceForeign);
    assert!(databases.all().await.unwrap().is_empty());
    let is_stocked = |name: &String| name.starts_with("wharf_spare_");
    let after = (site.databases(), site.roles());
    assert_eq!(
        (
            after.0.iter().filter(|name| !is_stocked(name)).collect::<Vec<_>>(),
            &after.1
        ),
        (before.0.iter().collect(), &before.1)
    );
}

#[tokio::test]
async fn a_database_with_another_owner_is_foreign_and_stays() {
    stays_foreign(&Site::new(settings()), &["CREATE DATABASE user_acme"]).await;
}

#[tokio::test]
async fn a_role_that_somebody_made_is_foreign_and_stays() {
    let made = ["CREATE ROLE user_acme", "CREATE DATABASE user_acme OWNER user_acme"];
    stays_foreign(&Site::new(settings()), &made).await;
}

#[tokio::test]
async fn another_instances_database_is_foreign_and_stays() {
    let site = Site::new(settings());
    let database = site.create(2, "user_acme").await;
    let databases = &site.databases;
    let made = databases.create(&instance(1), "user_acme", &password()).await;
    assert_eq!(made.unwrap_err().code, Code::ResourceForeign);
    // Nothing of the first one's is there, and so nothing is left of it.
    databases.remove(&instance(1), "user_acme").await.unwrap();
    site.as_tenant(&database, "SELECT 1").unwrap();
}

#[tokio::test]
async fn a_tenant_cannot_pass_its_database_off_as_anothers() {
    let site = Site::new(settings());
    let acme = site.create(1, "user_acme").await;
    let mark = format!(
        "wharf {{\"deployment\":\"{}\",\"instance\":\"{}\"}}",
        crate::site::deployment(),
        instance(2)
    );
    site.as_tenant(&acme, &format!("COMMENT ON DATABASE user_acme IS '{mark}'"))
        .unwrap();
    site.as_tenant(&acme, &format!("COMMENT ON ROLE user_acme IS '{mark}'"))
        .unwrap_err();
    let all = site.databases.all().await.unwrap();
    assert_eq!(all, [(instance(1), "user_acme".to_owned())]);
}

#[tokio::test]
async fn names_that_postgres_would_not_keep_as_they_are_are_refused() {
    let site = Site::new(settings());
    for name in ["user_A", "user_a\"; DROP DATABASE postgres; --", "", "wharf_spare_x"] {
        assert!(site.databases.create(&instance(1), name, &password()).await.is_err());
    }
    assert!(site.roles().is_empty());
}

#[tokio::test]
async fn a_database_has_the_extensions_and_the_template_that_are_configured() {
    let server = wharf_testkit::postgres::Postgres::start(&[]);
    assert!(server.ask("postgres", "CREATE DATABASE shop_template").is_empty());
    assert!(
        server
            .ask(
                "shop_template",
                "CREATE TABLE catalogue (id int); GRANT ALL ON catalogue TO PUBLIC"
            )
            .is_empty()
    );
    let site = Site::on(
        server,
        Settings {
            template: "shop_template".to_owned(),
            extensions: vec!["pgcrypto".to_owned(), "uuid-ossp".to_owned()],
            ..settings()
        },
    );
    let database = site.create(1, "user_acme").await;
    let extensions = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1";
    assert_eq!(
        site.as_tenant(&database, extensions).unwrap(),
        ["pgcrypto", "uuid-ossp"]
    );
    assert_eq!(
        site.as_tenant(&database, "SELECT count(*) FROM catalogue").unwrap(),
        ["0"]
    );
}

#[tokio::test]
async fn what_the_server_does_not_have_ends_in_a_failure_that_names_it() {
    let site = Site::new(Settings {
        extensions: vec!["timescaledb".to_owned()],
        ..settings()
    });
    let failure = site
        .databases
        .create(&instance(1), "user_acme", &password())
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::DatabaseDenied);
    assert!(failure.message.contains("timescaledb"), "{failure}");
    assert!(failure.hint.unwrap().contains("extensions"));
    let (databases, _) = connect(
        &site.server,
        Settings {
            template: "nowhere".to_owned(),
            ..settings()
        },
        1000,
    );
    let failure = databases
        .create(&instance(1), "user_acme", &password())
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::DatabaseDenied);
    assert!(failure.message.contains("nowhere"), "{failure}");
}

#[tokio::test]
async fn a_user_that_is_no_superuser_suffices() {
    let server = wharf_testkit::postgres::Postgres::start(&[]);
    let role = "CREATE ROLE builder LOGIN CREATEDB CREATEROLE PASSWORD 'builder'";
    assert!(server.ask("postgres", role).is_empty());
    let url = format!("postgresql://builder:builder@127.0.0.1:{}/postgres", server.port());
    let databases = wharf_postgres::PostgresDatabases::new(
        wharf_postgres::AdminAddress::parse(&SecretString::from(url)).unwrap(),
        crate::site::options(server.port(), settings()),
        std::sync::Arc::new(crate::site::HandClock::default()),
        std::sync::Arc::new(crate::site::Counting(1.into())),
    )
    .unwrap();
    let database = databases.create(&instance(1), "user_acme", &password()).await.unwrap();
    let again = databases.create(&instance(1), "user_acme", &password()).await.unwrap();
    assert_eq!(database.url.expose_secret(), again.url.expose_secret());
    let asked = server.try_ask(database.url.expose_secret(), PASSWORD, "CREATE TABLE orders (id int)");
    asked.unwrap();
    databases.remove(&instance(1), "user_acme").await.unwrap();
    crate::site::until("it is dropped", async || databases.removed().await.unwrap() == 0).await;
    let left = server.ask(
        "postgres",
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'wharf%' OR rolname LIKE 'user%'",
    );
    assert!(left.is_empty(), "{left:?}");
}
