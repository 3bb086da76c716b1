//! What database files do beyond the contract.

use secrecy::{ExposeSecret, SecretString};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};
use tempfile::TempDir;
use wharf_domain::{Code, DeploymentId, InstanceId, Timestamp};
use wharf_local::FileDatabases;
use wharf_platform::{Database, Databases};

pub(crate) fn deployment() -> DeploymentId {
    DeploymentId::new([1; 10])
}

fn instance() -> InstanceId {
    InstanceId::new(Timestamp(1), [1; 10])
}

struct Fixture {
    databases: FileDatabases,
    data: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        Self {
            databases: FileDatabases::new(data.path(), deployment()).unwrap(),
            data,
        }
    }

    fn folder(&self) -> PathBuf {
        self.data.path().join("databases").join(instance().as_str())
    }

    async fn create(&self) -> Result<Database, wharf_domain::Failure> {
        self.databases
            .create(&instance(), "user_acme", &SecretString::from("unused"))
            .await
    }
}

#[tokio::test]
async fn a_database_is_an_empty_file_that_nobody_else_may_read() {
    let fixture = Fixture::new();
    let database = fixture.create().await.unwrap();
    let file = fixture.folder().canonicalize().unwrap().join("user_acme.db");
    assert_eq!(database.url.expose_secret(), format!("sqlite://{}", file.display()));
    let metadata = fs::metadata(&file).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (0, 0o600));
    assert_eq!(
        fs::metadata(fixture.folder()).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn what_is_in_it_stays_when_it_is_made_again() {
    let fixture = Fixture::new();
    fixture.create().await.unwrap();
    let file = fixture.folder().join("user_acme.db");
    fs::write(&file, "orders").unwrap();
    let again = FileDatabases::new(fixture.data.path(), deployment()).unwrap();
    again
        .create(&instance(), "user_acme", &SecretString::from("unused"))
        .await
        .unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), "orders");
}

#[tokio::test]
async fn a_url_names_a_path_with_odd_characters() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("my data 100% é?");
    let databases = FileDatabases::new(&data, deployment()).unwrap();
    let database = databases
        .create(&instance(), "user_acme", &SecretString::from("unused"))
        .await
        .unwrap();
    let url = database.url.expose_secret();
    assert!(url.contains("/my%20data%20100%25%20%C3%A9%3F/databases/"), "{url}");
}

#[tokio::test]
async fn a_removal_takes_the_journals_too() {
    let fixture = Fixture::new();
    fixture.create().await.unwrap();
    for suffix in ["-wal", "-shm", "-journal"] {
        fs::write(fixture.folder().join(format!("user_acme.db{suffix}")), "x").unwrap();
    }
    fixture.databases.remove(&instance(), "user_acme").await.unwrap();
    assert_eq!(fs::read_dir(fixture.data.path().join("databases")).unwrap().count(), 0);
}

#[tokio::test]
async fn another_database_of_the_instance_is_not_removed() {
    let fixture = Fixture::new();
    fixture.create().await.unwrap();
    fixture.databases.remove(&instance(), "user_other").await.unwrap();
    assert!(fixture.folder().join("user_acme.db").exists());
}

#[tokio::test]
async fn what_is_not_ours_is_a_failure_and_is_not_touched() {
    let mark = |deployment: &DeploymentId, instance: &InstanceId| {
        format!(r#"{{"deployment":"{}","instance":"{instance}"}}"#, deployment.as_str())
    };
    let other_deployment = DeploymentId::new([2; 10]);
    let other_instance = InstanceId::new(Timestamp(2), [2; 10]);
    for owner in [
        None,
        Some("nonsense".to_owned()),
        Some(mark(&other_deployment, &instance())),
        Some(mark(&deployment(), &other_instance)),
    ] {
        let fixture = Fixture::new();
        fs::create_dir(fixture.folder()).unwrap();
        fs::write(fixture.folder().join("user_acme.db"), "theirs").unwrap();
        if let Some(owner) = &owner {
            fs::write(fixture.folder().join("owner"), owner).unwrap();
        }
        let created = fixture.create().await.unwrap_err();
        let removed = fixture.databases.remove(&instance(), "user_acme").await.unwrap_err();
        let archived = fixture.databases.archive(&instance(), "user_acme").await.unwrap_err();
        for failure in [created, removed, archived] {
            assert_eq!(failure.code, Code::ResourceForeign, "{owner:?}: {failure:?}");
        }
        assert_eq!(
            fs::read_to_string(fixture.folder().join("user_acme.db")).unwrap(),
            "theirs"
        );
        assert_eq!(fixture.databases.all().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_mark_that_lost_its_content_with_the_power_is_ours_and_is_written_anew() {
    for left in [&b""[..], &[0; 64]] {
        let fixture = Fixture::new();
        fixture.create().await.unwrap();
        let (mark, file) = (fixture.folder().join("owner"), fixture.folder().join("user_acme.db"));
        let whole = fs::read(&mark).unwrap();
        fs::write(&file, "orders").unwrap();

        fs::write(&mark, left).unwrap();
        let all = fixture.databases.all().await.unwrap();
        assert_eq!(all, [(instance(), "user_acme".to_owned())]);
        let password = SecretString::from("unused");
        let opened = fixture.databases.open(&instance(), "user_acme", &password).await;
        assert!(opened.unwrap().is_some(), "the tenant comes back");
        assert_eq!(fs::read(&mark).unwrap(), whole);
        fs::write(&mark, left).unwrap();
        fixture.create().await.unwrap();
        assert_eq!(fs::read(&mark).unwrap(), whole);
        assert_eq!(fs::read_to_string(&file).unwrap(), "orders");

        fs::write(&mark, left).unwrap();
        fixture.databases.remove(&instance(), "user_acme").await.unwrap();
        assert!(!fixture.folder().exists());
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_the_file_is_not_followed() {
    let fixture = Fixture::new();
    fixture.create().await.unwrap();
    let file = fixture.folder().join("user_acme.db");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert_eq!(fixture.create().await.unwrap_err().code, Code::ResourceForeign);
}

#[tokio::test]
async fn an_archived_database_is_kept_and_its_place_is_free() {
    let fixture = Fixture::new();
    fixture.create().await.unwrap();
    fs::write(fixture.folder().join("user_acme.db"), "orders").unwrap();
    for _ in 0..2 {
        fixture.databases.archive(&instance(), "user_acme").await.unwrap();
    }
    let kept = fixture
        .data
        .path()
        .join("archive")
        .join(format!("user_acme-{}", instance()));
    assert_eq!(fs::read_to_string(kept.join("user_acme.db")).unwrap(), "orders");
    assert_eq!(fixture.databases.all().await.unwrap(), []);
    fixture.databases.remove(&instance(), "user_acme").await.unwrap();
    assert!(kept.join("user_acme.db").exists());
}

#[tokio::test]
async fn what_a_killed_wharf_left_half_done_is_removed() {
    let fixture = Fixture::new();
    let passing = fixture
        .data
        .path()
        .join("databases")
        .join(format!(".passing-{}", instance()));
    fs::create_dir(&passing).unwrap();
    fs::write(passing.join("user_acme.db"), "half").unwrap();
    let databases = FileDatabases::new(fixture.data.path(), deployment()).unwrap();
    assert!(!passing.exists());
    assert_eq!(databases.all().await.unwrap(), []);
}

#[tokio::test]
async fn a_name_that_is_a_path_is_refused() {
    let fixture = Fixture::new();
    for name in ["", "../user_acme", "a/b", "user acme", "Ä", &"x".repeat(64)] {
        let made = fixture
            .databases
            .create(&instance(), name, &SecretString::from("unused"))
            .await;
        assert_eq!(made.unwrap_err().code, Code::Internal, "{name}");
    }
    assert!(!fixture.folder().exists());
}
