//! What files of secrets do beyond the contract.

use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};
use wharf_domain::{Code, InstanceId, Timestamp};
use wharf_local::FileSecrets;
use wharf_platform::Secrets;

fn instance() -> InstanceId {
    InstanceId::new(Timestamp(1), [1; 10])
}

fn values(value: &str) -> BTreeMap<String, SecretString> {
    [("APP_PASSWORD".to_owned(), SecretString::from(value))].into()
}

async fn put(secrets: &FileSecrets, value: &str) -> String {
    let in_force = secrets.put(&instance(), values(value)).await.unwrap();
    in_force["APP_PASSWORD"].expose_secret().to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_may_read_them() {
    let data = tempfile::tempdir().unwrap();
    let secrets = FileSecrets::new(data.path()).unwrap();
    put(&secrets, "hush").await;
    let folder = data.path().join("secrets");
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(format!("{}.json", instance()))), 0o600);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing else is left");
}

#[tokio::test]
async fn they_outlive_wharf() {
    let data = tempfile::tempdir().unwrap();
    put(&FileSecrets::new(data.path()).unwrap(), "first").await;
    let secrets = FileSecrets::new(data.path()).unwrap();
    assert_eq!(put(&secrets, "second").await, "first");
}

#[tokio::test]
async fn a_damaged_file_is_not_replaced_and_not_shown() {
    let data = tempfile::tempdir().unwrap();
    let secrets = FileSecrets::new(data.path()).unwrap();
    let file = data.path().join("secrets").join(format!("{}.json", instance()));
    fs::write(&file, "{\"APP_PASSWORD\": \"hush").unwrap();
    let got = secrets.get(&instance()).await.unwrap_err();
    let put = secrets.put(&instance(), values("new")).await.unwrap_err();
    for failure in [got, put] {
        assert_eq!(failure.code, Code::SecretsFailed);
        assert!(!format!("{failure:?}").contains("hush"), "{failure:?}");
    }
    assert!(fs::read_to_string(&file).unwrap().contains("hush"));
}

#[tokio::test]
async fn a_file_that_lost_its_content_with_the_power_was_never_told_and_is_replaced() {
    let data = tempfile::tempdir().unwrap();
    let secrets = FileSecrets::new(data.path()).unwrap();
    fs::write(data.path().join("secrets").join(format!("{}.json", instance())), "").unwrap();
    assert!(secrets.get(&instance()).await.unwrap().is_none());
    assert_eq!(put(&secrets, "first").await, "first");
}

#[tokio::test]
async fn what_a_killed_wharf_left_half_done_is_removed() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("secrets");
    drop(FileSecrets::new(data.path()).unwrap());
    fs::write(folder.join(".new-abc"), "half").unwrap();
    let secrets = FileSecrets::new(data.path()).unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    assert_eq!(secrets.all().await.unwrap(), []);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_failure_with_its_reason() {
    let data = tempfile::tempdir().unwrap();
    let secrets = FileSecrets::new(data.path()).unwrap();
    fs::remove_dir(data.path().join("secrets")).unwrap();
    let failure = secrets.put(&instance(), values("x")).await.unwrap_err();
    assert_eq!(failure.code, Code::SecretsFailed);
    assert!(failure.message.contains("No such file"), "{}", failure.message);
}
