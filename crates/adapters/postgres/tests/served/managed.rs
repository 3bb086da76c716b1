//! A server of Wharf's own: made, taken over, started again, and open to nobody else.

use crate::site::{HandClock, PASSWORD, instance, options, password, settings, until};
use secrecy::ExposeSecret;
use std::{
    fs,
    net::{IpAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use wharf_domain::Code;
use wharf_platform::Databases;
use wharf_postgres::{Gateway, Managed, ManagedOptions, PostgresDatabases};
use wharf_testkit::postgres::programs;

const GRACE: Duration = Duration::from_secs(20);

/// A data directory, as Wharf makes it.
fn data() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    // The server's user comes through it where the test is root.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    (folder, data)
}

fn of(data: &Path) -> ManagedOptions {
    ManagedOptions {
        data: data.to_owned(),
        programs: Some(programs()),
        user: "postgres".to_owned(),
        gateways: Vec::new(),
        max_connections: 20,
    }
}

fn databases(managed: &Managed) -> PostgresDatabases {
    PostgresDatabases::new(
        managed.admin().clone(),
        options(managed.port(), settings()),
        Arc::new(HandClock::default()),
        Arc::new(crate::site::Counting(1.into())),
    )
    .unwrap()
}

fn ask(url: &str, password: &str, statement: &str) -> Result<String, String> {
    let output = Command::new(programs().join("psql"))
        .args(["-X", "-q", "-A", "-t", "-d", url, "-c", statement])
        .env("PGPASSWORD", password)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

fn signal(signal: &str, pid: i32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

fn is_there(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_server_of_its_own_serves_tenants_and_ends_with_wharf() {
    let (_folder, data) = data();
    let managed = Managed::start(of(&data)).await.unwrap();
    let pid = managed.pid();
    let databases = databases(&managed);
    let acme = databases.create(&instance(1), "user_acme", &password()).await.unwrap();
    let url = acme.url.expose_secret();
    ask(url, PASSWORD, "CREATE TABLE orders AS SELECT 7 AS id").unwrap();
    // PostgreSQL's own databases are shut, and its administrator comes by the socket alone.
    for database in ["postgres", "template1"] {
        let elsewhere = format!("postgresql://user_acme@127.0.0.1:{}/{database}", managed.port());
        let refused = ask(&elsewhere, PASSWORD, "SELECT 1").unwrap_err();
        assert!(refused.contains("permission denied for database"), "{refused}");
    }
    let admin = format!("postgresql://wharf@127.0.0.1:{}/postgres", managed.port());
    let refused = ask(&admin, "", "SELECT 1").unwrap_err();
    assert!(refused.contains("pg_hba.conf rejects"), "{refused}");
    assert_eq!(
        fs::metadata(data.join("postgres/cluster"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    let url = url.to_owned();
    drop(databases);
    managed.end(GRACE).await;
    assert!(!is_there(pid));

    // The next one keeps port and data: running containers have its address.
    let managed = Managed::start(of(&data)).await.unwrap();
    assert_eq!(ask(&url, PASSWORD, "SELECT id FROM orders").unwrap(), "7");
    managed.end(GRACE).await;
}

#[tokio::test]
async fn the_server_of_a_killed_wharf_is_taken_over_or_ended_by_its_settings() {
    let (_folder, data) = data();
    let managed = Managed::start(of(&data)).await.unwrap();
    let pid = managed.pid();
    // As a kill leaves it: nobody says a word to the server.
    std::mem::forget(managed);
    let again = Managed::start(of(&data)).await.unwrap();
    assert_eq!(again.pid(), pid);
    std::mem::forget(again);
    let otherwise = ManagedOptions {
        max_connections: 30,
        ..of(&data)
    };
    let again = Managed::start(otherwise).await.unwrap();
    assert_ne!(again.pid(), pid);
    assert!(!is_there(pid));
    again.end(GRACE).await;
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again_with_what_was_committed() {
    let (_folder, data) = data();
    let managed = Managed::start(of(&data)).await.unwrap();
    let databases = databases(&managed);
    let acme = databases.create(&instance(1), "user_acme", &password()).await.unwrap();
    let url = acme.url.expose_secret();
    ask(url, PASSWORD, "CREATE TABLE orders AS SELECT 7 AS id").unwrap();
    // Others close the data directory at their own start.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let pid = managed.pid();
    signal("-KILL", pid);
    until("it is there again", async || {
        managed.pid() != pid && ask(url, PASSWORD, "SELECT id FROM orders").is_ok_and(|id| id == "7")
    })
    .await;
    databases.create(&instance(2), "user_bolt", &password()).await.unwrap();
    drop(databases);
    managed.end(GRACE).await;
}

#[tokio::test]
async fn another_programs_process_is_not_taken_for_the_server() {
    let (_folder, data) = data();
    let managed = Managed::start(of(&data)).await.unwrap();
    managed.end(GRACE).await;
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let file = data.join("postgres/cluster/postmaster.pid");
    fs::write(&file, format!("{}\n{}\n", other.id(), data.display())).unwrap();
    let managed = Managed::start(of(&data)).await.unwrap();
    assert_ne!(managed.pid(), i32::try_from(other.id()).unwrap());
    assert!(other.try_wait().unwrap().is_none(), "it was touched");
    managed.end(GRACE).await;
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_port_that_another_program_took_is_replaced() {
    let (_folder, data) = data();
    let managed = Managed::start(of(&data)).await.unwrap();
    let port = managed.port();
    managed.end(GRACE).await;
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let managed = Managed::start(of(&data)).await.unwrap();
    assert_ne!(managed.port(), port);
    managed.end(GRACE).await;
}

#[tokio::test]
async fn it_listens_on_loopback_and_on_the_gateway_and_takes_only_its_network() {
    let (_folder, data) = data();
    // The whole of 127/8 is this machine: it stands for two addresses of it.
    let gateway: IpAddr = "127.9.9.1".parse().unwrap();
    let managed = Managed::start(ManagedOptions {
        gateways: vec![Gateway {
            address: gateway,
            network: "127.9.9.0/24".to_owned(),
        }],
        ..of(&data)
    })
    .await
    .unwrap();
    let databases = databases(&managed);
    databases.create(&instance(1), "user_acme", &password()).await.unwrap();
    TcpStream::connect((gateway, managed.port())).unwrap();
    TcpStream::connect(("127.9.9.2", managed.port())).unwrap_err();
    let by_gateway = format!("postgresql://user_acme@{gateway}:{}/user_acme", managed.port());
    ask(&by_gateway, PASSWORD, "SELECT 1").unwrap();
    drop(databases);
    managed.end(GRACE).await;
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (_folder, data) = data();
    let nowhere = ManagedOptions {
        programs: Some(data.join("nowhere")),
        ..of(&data)
    };
    let failure = Managed::start(nowhere).await.unwrap_err();
    assert_eq!(failure.code, Code::ConfigInvalid);
    assert!(failure.hint.unwrap().contains("apt-get install postgresql"));
}
