//! Making, checking and taking over a registry; and every kind of file that is none.

use rusqlite::Connection;
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use wharf_domain::{Code, Failure, Timestamp};
use wharf_saga::{
    Batch, Store,
    store::{Expect, Kind, LeaseChange, Reserve, Wake},
};
use wharf_sqlite::SqliteStore;

use crate::{NOW, Same, claim, file, id, note, open, record, try_open};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o777
}

/// What is in the folder, byte for byte.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"))
        .map(|path| (path.clone(), fs::read(&path).expect("read")))
        .collect();
    files.sort();
    files
}

/// Opening fails, with a hint, and leaves everything as it is.
fn refused(folder: &Path) -> Failure {
    let before = contents(folder);
    let failure = try_open(&file(folder)).expect_err("no registry");
    let after = contents(folder);
    let sizes = |files: &[(PathBuf, Vec<u8>)]| {
        files
            .iter()
            .map(|(path, bytes)| (path.clone(), bytes.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(&after), sizes(&before), "{failure}");
    assert!(after == before, "something was changed: {failure}");
    assert!(failure.hint.is_some(), "{failure:?}");
    assert!(failure.message.contains("registry.db"), "it names the file: {failure}");
    failure
}

/// A closed registry with some instances in it.
async fn filled(folder: &Path, instances: u64) {
    let store = open(folder);
    let claims = (0..instances).map(|n| {
        let batch = Batch {
            history: vec![note("a line"), note("another")],
            ..claim(n, &format!("\"{}\"", "x".repeat(1000)))
        };
        store.commit(batch)
    });
    for outcome in futures::future::join_all(claims).await {
        outcome.expect("claim");
    }
}

#[tokio::test]
async fn a_new_registry_belongs_to_its_user_alone() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    store.commit(claim(1, "{}")).await.expect("claim");
    let mut files: Vec<_> = contents(folder.path()).into_iter().map(|(path, _)| path).collect();
    files.push(folder.path().join("registry.db-shm"));
    let names: Vec<_> = files
        .iter()
        .map(|path| path.file_name().expect("name").to_owned())
        .collect();
    assert_eq!(names, ["registry.db", "registry.db-wal", "registry.db-shm"]);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_deployment_keeps_its_id() {
    let folder = TempDir::new().expect("folder");
    let first = SqliteStore::open(&file(folder.path()), &Same(1), NOW).expect("open");
    let deployment = first.deployment_id().clone();
    drop(first);
    let again = SqliteStore::open(&file(folder.path()), &Same(2), NOW).expect("open");
    assert_eq!(*again.deployment_id(), deployment);
    let other = TempDir::new().expect("folder");
    let other = SqliteStore::open(&file(other.path()), &Same(2), NOW).expect("open");
    assert_ne!(*other.deployment_id(), deployment);
}

#[tokio::test]
async fn opening_frees_what_was_held_and_leaves_what_slept() {
    let folder = TempDir::new().expect("folder");
    let late = Some(Wake {
        at: Timestamp(NOW.0 + 35_000),
        seq: 4,
    });
    let early = Some(Wake {
        at: Timestamp(NOW.0 - 1),
        seq: 2,
    });
    let store = open(folder.path());
    for (n, wake, release) in [(1, late, false), (2, late, true), (3, early, false), (4, None, false)] {
        let claimed = store.commit(claim(n, "{}")).await.expect("claim").lease;
        let expect = Expect::Lease {
            epoch: claimed.epoch,
            renewals: claimed.renewals,
        };
        let lease = if release {
            LeaseChange::Release
        } else {
            LeaseChange::Renew
        };
        let batch = Batch {
            record: Some(record("{}", wake)),
            ..Batch::new(id(n), expect, lease)
        };
        store.commit(batch).await.expect("commit");
    }
    drop(store);

    let store = open(folder.path());
    let now = Some(Wake { at: NOW, seq: 4 });
    for (n, wake, renewals) in [(1, now, 1), (2, late, 1), (3, early, 1), (4, None, 1)] {
        let stored = store.load(&id(n)).await.expect("load").expect("record");
        assert_eq!(stored.wake, wake, "{n}");
        assert_eq!(
            (stored.lease.epoch, stored.lease.renewals, stored.lease.holder),
            (1, renewals, None),
            "{n}"
        );
    }
    let due: Vec<_> = store
        .due(NOW, 10)
        .await
        .expect("due")
        .into_iter()
        .map(|due| due.id)
        .collect();
    assert_eq!(due, [id(3), id(1)]);
}

#[tokio::test]
async fn what_is_kept_in_memory_is_read_again() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    let port = |key: &str, until| Reserve {
        kind: Kind::Port,
        key: key.to_owned(),
        value: String::new(),
        until,
        now: NOW,
    };
    let batch = Batch {
        reserve: vec![
            port("8000", None),
            port("8001", Some(Timestamp(NOW.0 + 10))),
            port("no number", None),
        ],
        ..claim(1, "{}")
    };
    store.commit(batch).await.expect("claim");
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.free_port(8000..=8001, NOW).await.expect("free port"), None);
    let later = Timestamp(NOW.0 + 10);
    assert_eq!(
        store.free_port(8000..=8001, later).await.expect("free port"),
        Some(8001)
    );
    let limited = Batch {
        at_most_live: Some(1),
        ..claim(2, "{}")
    };
    store.commit(limited).await.expect_err("one is live");
}

#[test]
fn what_a_crash_left_of_a_creation_is_swept_away() {
    let folder = TempDir::new().expect("folder");
    for name in ["registry.db.new", "registry.db.new-wal", "registry.db.new-shm"] {
        fs::write(folder.path().join(name), "half of something").expect("write");
    }
    drop(open(folder.path()));
    let names: Vec<_> = contents(folder.path())
        .into_iter()
        .map(|(path, _)| path.file_name().expect("name").to_owned())
        .collect();
    assert_eq!(names, ["registry.db"]);
}

#[test]
fn a_file_of_something_else_is_damaged() {
    for content in ["", "hello", &"garbage ".repeat(2000), "SQLite format 3\0 and no more"] {
        let folder = TempDir::new().expect("folder");
        fs::write(file(folder.path()), content).expect("write");
        let failure = refused(folder.path());
        assert_eq!(failure.code, Code::StoreDamaged, "{failure}");
        assert!(failure.hint.expect("hint").contains("backup"));
    }
}

#[test]
fn a_database_of_somebody_elses_is_left_alone() {
    let folder = TempDir::new().expect("folder");
    let other = Connection::open(file(folder.path())).expect("open");
    other.execute_batch("CREATE TABLE songs (title TEXT)").expect("table");
    drop(other);
    let failure = refused(folder.path());
    assert_eq!(failure.code, Code::StoreDamaged, "{failure}");
    assert!(failure.message.contains("not a registry"), "{failure}");
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_damaged() {
    let folder = TempDir::new().expect("folder");
    filled(folder.path(), 200).await;
    let whole = fs::metadata(file(folder.path())).expect("metadata").len();
    for length in [whole - 4096, whole / 2, 4096, 1000, 50] {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(file(folder.path()))
            .expect("open");
        file.set_len(length).expect("cut");
        drop(file);
        let failure = refused(folder.path());
        assert_eq!(failure.code, Code::StoreDamaged, "{length} of {whole}: {failure}");
    }
}

#[tokio::test]
async fn a_page_that_was_torn_is_found_wherever_it_is() {
    let origin = TempDir::new().expect("folder");
    filled(origin.path(), 200).await;
    let whole = fs::read(file(origin.path())).expect("read");
    let pages = whole.len() / 4096;
    assert!(pages > 60);
    for page in (0..pages).step_by(7) {
        let folder = TempDir::new().expect("folder");
        fs::write(file(folder.path()), &whole).expect("write");
        let mut torn = fs::OpenOptions::new()
            .write(true)
            .open(file(folder.path()))
            .expect("open");
        // The header of the file itself is another case.
        let begin = (page * 4096).max(100) as u64;
        torn.seek(SeekFrom::Start(begin)).expect("seek");
        torn.write_all(&[0xa5; 2048]).expect("write");
        drop(torn);
        let failure = refused(folder.path());
        assert_eq!(failure.code, Code::StoreDamaged, "page {page}: {failure}");
    }
}

#[tokio::test]
async fn a_log_without_its_registry_is_not_given_to_a_new_one() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    store.commit(claim(1, "{}")).await.expect("claim");
    let log = fs::read(folder.path().join("registry.db-wal")).expect("a log");
    drop(store);
    let other = TempDir::new().expect("folder");
    fs::write(other.path().join("registry.db-wal"), log).expect("write");
    assert_eq!(refused(other.path()).code, Code::StoreDamaged);
}

#[tokio::test]
async fn damage_that_comes_later_is_found_by_a_check_and_by_reading() {
    let folder = TempDir::new().expect("folder");
    filled(folder.path(), 200).await;
    let store = open(folder.path());
    store.check().await.expect("it is whole");
    let mut torn = fs::OpenOptions::new()
        .write(true)
        .open(file(folder.path()))
        .expect("open");
    let length = torn.metadata().expect("metadata").len();
    // The second half: the header and the schema stay.
    torn.seek(SeekFrom::Start(length / 2)).expect("seek");
    torn.write_all(&vec![0xa5; length as usize / 2]).expect("write");
    drop(torn);
    assert_eq!(store.check().await.expect_err("torn").code, Code::StoreDamaged);
    let mut damaged = 0;
    for n in 0..200 {
        match store.load(&id(n)).await {
            Ok(stored) => assert!(stored.is_some(), "what is not damaged is read"),
            Err(error) => {
                assert_eq!(error.failure.code, Code::StoreDamaged, "{error}");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
}

#[tokio::test]
async fn a_later_format_is_refused_and_left_alone() {
    let folder = TempDir::new().expect("folder");
    filled(folder.path(), 3).await;
    let registry = Connection::open(file(folder.path())).expect("open");
    registry
        .execute("UPDATE meta SET value = '999' WHERE key = 'format'", [])
        .expect("update");
    drop(registry);
    let failure = refused(folder.path());
    assert_eq!(failure.code, Code::StoreNewer, "{failure}");
    assert!(failure.message.contains("999"), "{failure}");
}

#[test]
fn a_registry_without_a_format_is_damaged() {
    let folder = TempDir::new().expect("folder");
    drop(open(folder.path()));
    for change in [
        "UPDATE meta SET value = 'one' WHERE key = 'format'",
        "DELETE FROM meta",
        "DROP TABLE meta",
    ] {
        let registry = Connection::open(file(folder.path())).expect("open");
        registry.execute(change, []).expect(change);
        drop(registry);
        let failure = try_open(&file(folder.path())).expect_err("no format");
        assert_eq!(failure.code, Code::StoreDamaged, "{change}: {failure}");
    }
}

#[test]
fn a_place_that_is_none_is_the_data_directorys_fault() {
    let folder = TempDir::new().expect("folder");
    fs::create_dir(file(folder.path())).expect("a folder in its place");
    fs::write(folder.path().join("plain"), "").expect("a file");
    for path in [
        file(folder.path()),
        folder.path().join("missing/registry.db"),
        folder.path().join("plain/registry.db"),
    ] {
        let failure = try_open(&path).expect_err("no place for a registry");
        assert_eq!(failure.code, Code::DataDirectory, "{failure}");
        assert!(failure.hint.expect("hint").contains("--data-dir"));
    }
}

/// Runs as a child, under a user who may not write there.
const NOT_WRITABLE: &str = "WHARF_TEST_NOT_WRITABLE";

#[test]
fn as_a_child_it_may_not_write() {
    if let Some(folder) = std::env::var_os(NOT_WRITABLE) {
        cannot_be_written(Path::new(&folder));
    }
}

fn cannot_be_written(folder: &Path) {
    for name in ["there", "not there"] {
        let failure = try_open(&folder.join(name).join("registry.db")).expect_err("not writable");
        assert_eq!(failure.code, Code::DataDirectory, "{name}: {failure}");
    }
}

#[test]
fn a_registry_that_cannot_be_written_is_the_data_directorys_fault() {
    const NOBODY: u32 = 65_534;
    let folder = TempDir::new().expect("folder");
    let (there, not_there) = (folder.path().join("there"), folder.path().join("not there"));
    for path in [&there, &not_there] {
        fs::create_dir(path).expect("folder");
    }
    drop(open(&there));
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    set(&file(&there), 0o444);
    for path in [&there, &not_there] {
        set(path, 0o555);
    }
    if fs::metadata(folder.path()).expect("metadata").uid() == 0 {
        // Nothing is forbidden to root: a child does it as nobody, with a copy of this program where nobody can reach it.
        set(folder.path(), 0o755);
        let program = folder.path().join("tests");
        fs::copy(std::env::current_exe().expect("this program"), &program).expect("copy");
        set(&program, 0o755);
        let child = Command::new(program)
            .args(["--exact", "opening::as_a_child_it_may_not_write", "--nocapture"])
            .env(NOT_WRITABLE, folder.path())
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .expect("a child");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    } else {
        cannot_be_written(folder.path());
    }
    for path in [&there, &not_there] {
        set(path, 0o755);
    }
}
