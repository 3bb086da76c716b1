//! The administrator's connection by TLS: which servers are believed under which `sslmode`.

use crate::site::{Counting, HandClock, instance, options, password, settings};
use secrecy::SecretString;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::Command,
    sync::Arc,
};
use wharf_domain::{Code, Failure};
use wharf_platform::Databases;
use wharf_postgres::{AdminAddress, PostgresDatabases};
use wharf_testkit::postgres::Postgres;

fn openssl(folder: &Path, words: &str) {
    let output = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A server that takes TLS alone, by a certificate for `localhost`; beside it the authority `ca.pem`, and `other.pem`, which signed nothing.
fn server() -> Postgres {
    let mut server = Postgres::prepare(&["ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key"]);
    let folder = server.folder().to_owned();
    for (name, subject) in [("ca", "/CN=Authority"), ("other", "/CN=Stranger")] {
        openssl(
            &folder,
            &format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj {subject} -keyout {name}.key -out {name}.pem"),
        );
    }
    openssl(
        &folder,
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    );
    fs::write(folder.join("san"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        &folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    );
    let owner = fs::metadata(folder.join("data")).unwrap();
    chown(folder.join("server.key"), Some(owner.uid()), Some(owner.gid())).unwrap();
    fs::set_permissions(folder.join("server.key"), Permissions::from_mode(0o600)).unwrap();
    let access = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(folder.join("data/pg_hba.conf"), access).unwrap();
    server.up();
    server
}

async fn create(server: &Postgres, host: &str, query: &str) -> Result<(), Failure> {
    let url = server.url().replace("127.0.0.1", host);
    let address = AdminAddress::parse(&SecretString::from(format!("{url}?{query}"))).unwrap();
    let databases = PostgresDatabases::new(
        address,
        options(server.port(), settings()),
        Arc::new(HandClock::default()),
        Arc::new(Counting(1.into())),
    )?;
    databases
        .create(&instance(1), "user_acme", &password())
        .await
        .map(drop)?;
    let encrypted =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'wharf'";
    assert_eq!(server.ask("postgres", encrypted), ["t"]);
    Ok(())
}

#[tokio::test]
async fn the_server_is_believed_as_sslmode_says() {
    let server = server();
    let authority = |name: &str| format!("sslrootcert={}", server.folder().join(name).display());
    let ours = authority("ca.pem");
    for (host, query) in [
        ("localhost", format!("sslmode=verify-full&{ours}")),
        ("127.0.0.1", format!("sslmode=verify-ca&{ours}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
    ] {
        create(&server, host, &query)
            .await
            .unwrap_or_else(|failure| panic!("{query}: {failure:?}"));
    }
    for (host, query) in [
        // Another host's certificate.
        ("127.0.0.1", format!("sslmode=verify-full&{ours}")),
        ("localhost", format!("sslmode=verify-full&{}", authority("other.pem"))),
        ("localhost", format!("sslmode=verify-ca&{}", authority("other.pem"))),
        // This machine's authorities have not signed it.
        ("localhost", "sslmode=verify-full".to_owned()),
        ("localhost", "sslmode=disable".to_owned()),
    ] {
        let failure = create(&server, host, &query).await.expect_err(&query);
        assert_eq!(failure.code, Code::DatabaseDenied, "{query}: {failure:?}");
        assert!(!failure.code.is_passing() && failure.hint.is_some());
    }
}
