//! The function that makes databases, on a real PostgreSQL, and who calls it: the contract of databases holds over the wire between them. `cargo xtask test
//! --suite postgres` runs these tests.
//!
//! Lambda is a listener here that hands an invocation's payload to the function; that it is a process of its own is tested where it is deployed.

mod lambda;

use lambda::Lambda;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, InstanceId, Timestamp};
use wharf_platform::Databases;
use wharf_testkit::{contracts::databases::Fixture, postgres::Postgres};

async fn make() -> Fixture {
    let server = Postgres::start(&[]);
    let lambda = Lambda::start().await;
    Fixture {
        databases: Arc::new(lambda.databases(&server.url(), Duration::ZERO)),
        keeps: Box::new((server, lambda)),
    }
}

wharf_testkit::databases_contract!(real make);

fn instance() -> InstanceId {
    InstanceId::new(Timestamp(1), [1; 10])
}

fn password() -> SecretString {
    SecretString::from("tenant's/p@ss")
}

fn names(server: &Postgres) -> Vec<String> {
    server.ask(
        "postgres",
        "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1",
    )
}

#[tokio::test]
async fn what_is_removed_is_dropped_by_the_same_call_and_no_connection_stays() {
    let (server, lambda) = (Postgres::start(&[]), Lambda::start().await);
    let databases = lambda.databases(&server.url(), Duration::ZERO);
    let made = databases
        .create(&instance(), "user_acme", &password())
        .await
        .expect("made");
    let url = made.url.expose_secret();
    assert!(
        url.contains(&format!("@127.0.0.1:{}/user_acme", server.port())),
        "the server's own address"
    );
    databases.remove(&instance(), "user_acme").await.expect("removed");
    assert_eq!(names(&server), Vec::<String>::new());
    let until = Instant::now() + Duration::from_secs(10);
    while server.ask(
        "postgres",
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wharf'",
    ) != ["0"]
    {
        assert!(Instant::now() < until, "connections outlive their calls");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_kept_stays_closed_and_what_was_never_used_does_not() {
    let (server, lambda) = (Postgres::start(&[]), Lambda::start().await);
    let databases = lambda.databases(&server.url(), Duration::from_hours(1));
    databases
        .create(&instance(), "user_acme", &password())
        .await
        .expect("made");
    databases.remove(&instance(), "user_acme").await.expect("removed");
    let kept = names(&server);
    assert!(kept.len() == 1 && kept[0].starts_with("wharf_removed_"), "{kept:?}");
    assert_eq!(databases.all().await.expect("listed"), []);
    assert_eq!(names(&server), kept, "its time has not come");
    databases
        .create(&instance(), "user_acme", &password())
        .await
        .expect("made again");
    databases.discard(&instance(), "user_acme").await.expect("discarded");
    assert_eq!(names(&server), kept);
    // With another configuration its time is over, and whoever looks at all ends it.
    let databases = lambda.databases(&server.url(), Duration::ZERO);
    assert_eq!(databases.all().await.expect("listed"), []);
    assert_eq!(names(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_is_down_or_refuses_is_told_by_its_code() {
    let (mut server, lambda) = (Postgres::start(&[]), Lambda::start().await);
    let stranger = server.url().replace("p%40ss", "wrong");
    let failure = lambda
        .databases(&stranger, Duration::ZERO)
        .all()
        .await
        .expect_err("refused");
    assert_eq!(failure.code, Code::DatabaseDenied);
    assert!(!format!("{failure:?}").contains("wrong"), "{failure:?}");
    server.down();
    let databases = lambda.databases(&server.url(), Duration::ZERO);
    let failure = databases
        .create(&instance(), "user_acme", &password())
        .await
        .expect_err("nobody there");
    assert_eq!(failure.code, Code::DatabaseUnreachable);
    let none = lambda
        .databases("mysql://nobody", Duration::ZERO)
        .all()
        .await
        .expect_err("no URL");
    assert_eq!(none.code, Code::ConfigInvalid);
}

#[tokio::test]
async fn a_payload_that_is_no_call_is_refused_without_what_is_in_it() {
    let soon = Instant::now() + Duration::from_secs(15);
    for payload in [
        json!(null),
        json!({"wharf": "sweep"}),
        json!({"do": "all", "server": {"url": "postgresql://admin:hunter2@db/postgres"}}),
        json!({"do": "all", "server": "hunter2"}),
    ] {
        let answer = wharf_lambda::databases::invoke(payload, soon).await.expect("an answer");
        assert_eq!(answer["failed"]["code"], "event.invalid", "{answer}");
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_given_up_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let lambda = Lambda::start().await;
    let url = format!(
        "postgresql://admin@{}/postgres",
        silent.local_addr().expect("an address")
    );
    let begun = Instant::now();
    let failure = lambda.databases(&url, Duration::ZERO).all().await.expect_err("silent");
    assert_eq!(failure.code, Code::DatabaseUnreachable, "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
}
