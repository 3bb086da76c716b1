//! A server that is down, restarted, full, or not ours to use.

use crate::site::{Site, connect, instance, options, password, settings, until};
use secrecy::SecretString;
use std::sync::Arc;
use wharf_domain::{Code, Failure};
use wharf_platform::Databases;
use wharf_postgres::{AdminAddress, PostgresDatabases, Settings};
use wharf_testkit::postgres::Postgres;

fn with_url(server: &Postgres, url: &str) -> PostgresDatabases {
    PostgresDatabases::new(
        AdminAddress::parse(&SecretString::from(url)).unwrap(),
        options(server.port(), settings()),
        Arc::new(crate::site::HandClock::default()),
        Arc::new(crate::site::Counting(1.into())),
    )
    .unwrap()
}

async fn refused(databases: &PostgresDatabases) -> Failure {
    databases
        .create(&instance(1), "user_acme", &password())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for() {
    let server = Postgres::prepare(&[]);
    let (databases, _) = connect(&server, settings(), 1);
    let mut site = Site {
        databases,
        clock: Arc::default(),
        server,
    };
    let failure = refused(&site.databases).await;
    assert_eq!(failure.code, Code::DatabaseUnreachable);
    assert!(failure.code.is_passing());
    assert!(failure.message.contains(&site.server.port().to_string()), "{failure}");
    let failure = site.databases.remove(&instance(1), "user_acme").await.unwrap_err();
    assert_eq!(failure.code, Code::DatabaseUnreachable);
    site.server.up();
    let database = site.create(1, "user_acme").await;
    site.as_tenant(&database, "SELECT 1").unwrap();
}

#[tokio::test]
async fn a_restart_of_the_server_is_survived() {
    let mut site = Site::new(Settings { spare: 1, ..settings() });
    until("one in stock", async || site.databases.in_stock() == 1).await;
    let acme = site.create(1, "user_acme").await;
    for round in 2..5 {
        if round == 3 {
            site.server.kill();
        } else {
            site.server.down();
        }
        assert!(refused(&site.databases).await.code.is_passing());
        site.server.up();
        // Every connection of the pool is dead, and none of them is a sign-up's trouble.
        let name = format!("user_t{round}");
        let made = site.create(round, &name).await;
        site.as_tenant(&made, "SELECT 1").unwrap();
    }
    site.as_tenant(&acme, "SELECT 1").unwrap();
    until("one in stock", async || site.databases.in_stock() == 1).await;
}

#[test]
fn a_server_without_a_connection_left_is_told_as_such_and_tried_again() {
    let server = Postgres::start(&["max_connections=5", "superuser_reserved_connections=1"]);
    let role = "CREATE ROLE builder LOGIN CREATEDB CREATEROLE PASSWORD 'builder'";
    assert!(server.ask("postgres", role).is_empty());
    let url = format!("postgresql://builder:builder@127.0.0.1:{}/postgres", server.port());
    std::thread::scope(|scope| {
        let sleepers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| sleep_until_ended(&server, &url)))
            .collect();
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while server.ask("postgres", sleeping) != ["4"] {
            std::thread::yield_now();
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let databases = with_url(&server, &url);
            let failure = refused(&databases).await;
            assert_eq!(failure.code, Code::DatabaseConnections, "{failure}");
            assert!(failure.code.is_passing());
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'builder'";
            assert!(!server.ask("postgres", end).is_empty());
            until("there is room again", async || {
                databases.create(&instance(1), "user_acme", &password()).await.is_ok()
            })
            .await;
        });
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

/// Takes a connection, as soon as there is one beside the administrator's.
fn sleep_until_ended(server: &Postgres, url: &str) {
    loop {
        let ended = server.try_ask(url, "builder", "SELECT pg_sleep(100)").unwrap_err();
        if ended.contains("administrator command") {
            return;
        }
        assert!(ended.contains("connection slots"), "{ended}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_missing_rights_are_final() {
    let server = Postgres::start(&[]);
    let place = format!("127.0.0.1:{}/postgres", server.port());
    let failure = refused(&with_url(&server, &format!("postgresql://admin:wrong@{place}"))).await;
    assert_eq!(failure.code, Code::DatabaseDenied);
    assert!(!failure.code.is_passing() && failure.hint.is_some());
    assert!(!format!("{failure:?}").contains("wrong"));

    assert!(
        server
            .ask("postgres", "CREATE ROLE guest LOGIN PASSWORD 'guest'")
            .is_empty()
    );
    let failure = refused(&with_url(&server, &format!("postgresql://guest:guest@{place}"))).await;
    assert_eq!(failure.code, Code::DatabaseDenied);
    assert!(failure.hint.unwrap().contains("CREATEROLE"));
    let left = server.ask("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'user_acme'");
    assert_eq!(left, ["0"]);
}

#[tokio::test]
async fn a_sign_up_during_a_kill_of_the_server_leaves_nothing_or_all() {
    let mut site = Site::new(settings());
    for round in 0..6_u64 {
        let name = format!("user_k{round}");
        let making = {
            let databases = &site.databases;
            let (instance, name) = (instance(round), name.clone());
            async move { databases.create(&instance, &name, &password()).await.is_ok() }
        };
        let nap = tokio::time::sleep(std::time::Duration::from_millis(5 * round));
        let made = tokio::select! {
            made = making => made,
            () = nap => false,
        };
        site.server.kill();
        site.server.up();
        let half = site.server.ask(
            "postgres",
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'user%' AND NOT EXISTS \
             (SELECT FROM pg_database WHERE datname = rolname AND datdba = pg_roles.oid AND datallowconn)",
        );
        assert!(half.is_empty(), "{half:?}");
        // fsync is off, but what was told survives the server's own death.
        let database = site.create(round, &name).await;
        site.as_tenant(&database, "SELECT 1").unwrap();
        let _ = made;
    }
    until("what was left in between is dropped", async || {
        site.databases().iter().all(|name| name.starts_with("user_k"))
    })
    .await;
    assert_eq!(site.databases().len(), 6);
}
