//! What tenants can do to one another, tried as tenants.

use crate::site::{PASSWORD, Site, settings, until};
use secrecy::ExposeSecret;
use wharf_postgres::Settings;

#[tokio::test]
async fn a_tenant_can_neither_connect_to_anothers_database_nor_see_its_tables() {
    let site = Site::new(Settings { spare: 1, ..settings() });
    until("one in stock", async || site.databases.in_stock() == 1).await;
    // One of the stock, one made when it is wanted.
    let acme = site.create(1, "user_acme").await;
    let bolt = site.create(2, "user_bolt").await;
    site.as_tenant(&acme, "CREATE TABLE secret_orders (id int)").unwrap();
    for (own, other) in [("acme", "bolt"), ("bolt", "acme")] {
        let into_other = format!("postgresql://user_{own}@127.0.0.1:{}/user_{other}", site.server.port());
        let refused = site.server.try_ask(&into_other, PASSWORD, "SELECT 1").unwrap_err();
        assert!(refused.contains("permission denied for database"), "{refused}");
    }
    let tables = "SELECT count(*) FROM pg_class WHERE relname = 'secret_orders'";
    assert_eq!(site.as_tenant(&bolt, tables).unwrap(), ["0"]);
    for act in [
        "SET ROLE user_acme",
        "DROP DATABASE user_acme",
        "ALTER DATABASE user_acme OWNER TO user_bolt",
        "GRANT CONNECT ON DATABASE user_acme TO user_bolt",
        "ALTER ROLE user_acme PASSWORD 'mine'",
        "GRANT user_acme TO user_bolt",
        "CREATE DATABASE more",
        "CREATE ROLE more",
        "ALTER DATABASE user_bolt RENAME TO wharf_spare_mine",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT rolpassword FROM pg_authid",
    ] {
        let refused = site.as_tenant(&bolt, act);
        assert!(refused.is_err(), "{act}: {refused:?}");
    }
    assert_eq!(
        site.as_tenant(&acme, "SELECT count(*) FROM secret_orders").unwrap(),
        ["0"]
    );
}

#[tokio::test]
async fn nobody_connects_to_what_is_in_stock() {
    let site = Site::new(Settings {
        spare: 1,
        extensions: vec!["pgcrypto".to_owned()],
        ..settings()
    });
    until("one in stock", async || site.databases.in_stock() == 1).await;
    let acme = site.create(1, "user_acme").await;
    until("one more in stock", async || site.databases.in_stock() == 1).await;
    let stocked = site
        .databases()
        .into_iter()
        .find(|name| name.starts_with("wharf_spare_"))
        .unwrap();
    let url = format!("postgresql://user_acme@127.0.0.1:{}/{stocked}", site.server.port());
    site.server.try_ask(&url, PASSWORD, "SELECT 1").unwrap_err();
    site.as_tenant(&acme, "SELECT 1").unwrap();
}

#[tokio::test]
async fn a_tenant_has_no_more_connections_than_its_limit() {
    let site = Site::new(Settings {
        connection_limit: 1,
        ..settings()
    });
    let acme = site.create(1, "user_acme").await;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| site.as_tenant(&acme, "SELECT pg_sleep(60)"));
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'user_acme' AND wait_event = 'PgSleep'";
        while site.server.ask("postgres", busy) != ["1"] {
            std::thread::yield_now();
        }
        let refused = site
            .server
            .try_ask(acme.url.expose_secret(), PASSWORD, "SELECT 1")
            .unwrap_err();
        assert!(refused.contains("too many connections for role"), "{refused}");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'user_acme'";
        assert_eq!(site.server.ask("postgres", end), ["t"]);
        first.join().unwrap().unwrap_err();
    });
}
