//! Copies of a registry: made beside writers, checked, put back; and every kind of file that is none.

use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tempfile::TempDir;
use wharf_domain::{Code, Failure, Timestamp};
use wharf_saga::{
    Batch, Store,
    store::{Expect, Kind, LeaseChange, OutboxMail, Release, Reserve, Settle, Wake},
};
use wharf_sqlite::{SqliteStore, backup, restore};

use crate::{NOW, Same, claim, file, id, note, open, record, try_open};

const LATER: Timestamp = Timestamp(NOW.0 + 3_600_000);

fn back_up(folder: &Path, to: &str) -> PathBuf {
    let to = folder.join(to);
    backup(&file(folder), &to, false, NOW).expect("a backup");
    to
}

/// What is in a folder, byte for byte, but for the index of a log, which readers write too.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"))
        .map(|path| (path.clone(), fs::read(&path).expect("read")))
        .collect()
}

fn port(n: u64, renewals: u64) -> Reserve {
    Reserve {
        kind: Kind::Trigger,
        key: format!("{n}/{renewals}"),
        value: String::new(),
        until: None,
        now: NOW,
    }
}

/// Writes to one instance until told to end: each commit changes the record and adds one reservation and one line of history. `acknowledged` counts them.
async fn write(store: Arc<SqliteStore>, n: u64, acknowledged: Arc<AtomicU64>, end: Arc<AtomicBool>) {
    let body = |renewals: u64| format!("{{\"renewals\":{renewals},\"x\":\"{}\"}}", "x".repeat(2000));
    let claimed = Batch {
        reserve: vec![port(n, 0)],
        history: vec![note("claimed")],
        ..claim(n, &body(0))
    };
    let mut lease = store.commit(claimed).await.expect("claim").lease;
    while !end.load(Ordering::Relaxed) {
        acknowledged.store(lease.renewals, Ordering::SeqCst);
        let renewals = lease.renewals + 1;
        let expect = Expect::Lease {
            epoch: lease.epoch,
            renewals: lease.renewals,
        };
        let batch = Batch {
            record: Some(record(&body(renewals), None)),
            reserve: vec![port(n, renewals)],
            history: vec![note("renewed")],
            ..Batch::new(id(n), expect, LeaseChange::Renew)
        };
        lease = store.commit(batch).await.expect("nobody who writes is held up").lease;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_writers_is_of_one_moment_and_has_all_that_was_acknowledged_before() {
    const WRITERS: u64 = 8;
    let folder = TempDir::new().expect("folder");
    let store = Arc::new(open(folder.path()));
    let end = Arc::new(AtomicBool::new(false));
    let acknowledged: Vec<Arc<AtomicU64>> = (0..WRITERS).map(|_| Arc::default()).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let acknowledged = acknowledged[usize::try_from(n).expect("small")].clone();
            tokio::spawn(write(store.clone(), n, acknowledged, end.clone()))
        })
        .collect();
    while acknowledged.iter().any(|count| count.load(Ordering::SeqCst) < 2) {
        tokio::task::yield_now().await;
    }
    for round in 0..10 {
        let before: Vec<u64> = acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).collect();
        let from = folder.path().to_owned();
        let copy = tokio::task::spawn_blocking(move || back_up(&from, &format!("copy-{round}")))
            .await
            .expect("it ends");
        let copy = Connection::open(copy).expect("a database");
        for (n, before) in (0..WRITERS).zip(before) {
            let (renewals, reservations, history): (u64, u64, u64) = copy
                .query_row(
                    "SELECT json_extract(body, '$.renewals'),
                            (SELECT count(*) FROM reservations WHERE key LIKE ?2),
                            (SELECT count(*) FROM history WHERE instance = number)
                     FROM instances WHERE id = ?1",
                    [id(n).as_str(), &format!("{n}/%")],
                    |row| {
                        let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
                        Ok((number(0)?, number(1)?, number(2)?))
                    },
                )
                .expect("the instance");
            assert_eq!((renewals + 1, renewals + 1), (reservations, history), "half a commit");
            assert!(renewals >= before, "what was acknowledged is missing");
        }
    }
    end.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("it ends");
    }
}

#[tokio::test]
async fn a_backup_is_its_users_alone_and_replaces_nothing_unless_told() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    store.commit(claim(1, "{}")).await.expect("claim");
    let to = folder.path().join("copy");
    let snapshot = backup(&file(folder.path()), &to, false, NOW).expect("a backup");
    assert_eq!((snapshot.instances, snapshot.live, snapshot.as_of), (1, 1, NOW));
    assert_eq!(&snapshot.deployment, store.deployment_id());
    let metadata = fs::metadata(&to).expect("it is there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(metadata.len(), snapshot.bytes);

    let before = fs::read(&to).expect("read");
    store.commit(claim(2, "{}")).await.expect("claim");
    let refused = backup(&file(folder.path()), &to, false, NOW).expect_err("it is there");
    assert_eq!(refused.code, Code::BackupExists);
    assert_eq!(fs::read(&to).expect("read"), before);
    let snapshot = backup(&file(folder.path()), &to, true, NOW).expect("replaced");
    assert_eq!(snapshot.instances, 2);
    let left: Vec<_> = contents(folder.path()).into_keys().collect();
    assert_eq!(
        left,
        ["copy", "registry.db", "registry.db-wal"].map(|name| folder.path().join(name)),
        "and nothing is left beside it"
    );
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_said_and_left() {
    let folder = TempDir::new().expect("folder");
    drop(open(folder.path()));
    for to in ["no/such/folder/copy", "registry.db/copy"] {
        let failure = backup(&file(folder.path()), &folder.path().join(to), true, NOW).expect_err("no place");
        assert_eq!(failure.code, Code::BackupFailed, "{failure}");
        assert!(failure.hint.is_some());
    }
}

#[tokio::test]
async fn a_registry_without_a_server_is_copied_with_the_log_that_it_left_and_stays_as_it_is() {
    let folder = TempDir::new().expect("folder");
    let killed = TempDir::new().expect("folder");
    let store = open(folder.path());
    store.commit(claim(1, "{}")).await.expect("claim");
    // As a killed server leaves it: the commit is in the log alone.
    for (path, bytes) in contents(folder.path()) {
        fs::write(killed.path().join(path.file_name().expect("a name")), bytes).expect("copied");
    }
    drop(store);
    for folder in [folder.path(), killed.path()] {
        let before = contents(folder);
        let elsewhere = TempDir::new().expect("folder");
        let copy = elsewhere.path().join("copy");
        let snapshot = backup(&file(folder), &copy, false, NOW).expect("a backup");
        assert_eq!(snapshot.instances, 1);
        assert!(contents(folder) == before, "something was changed");
    }
}

#[tokio::test]
async fn what_was_deleted_is_not_in_a_backup() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    let mail = OutboxMail {
        id: "welcome".to_owned(),
        body: "somebody@left.example".to_owned(),
    };
    let with_a_mail = Batch {
        outbox: vec![mail],
        ..claim(1, "{}")
    };
    store.commit(with_a_mail).await.expect("claim");
    store.settle("welcome", Settle::Sent { at: NOW }).await.expect("sent");
    let a_year_later = Timestamp(NOW.0 + 365 * 24 * 3_600_000);
    assert_eq!(store.tidy(a_year_later).await.expect("tidied"), 1);
    let copy = fs::read(back_up(folder.path(), "copy")).expect("read");
    assert!(!copy.windows(12).any(|bytes| bytes == b"left.example"));
}

#[tokio::test]
async fn of_a_damaged_registry_there_is_no_backup() {
    let folder = TempDir::new().expect("folder");
    filled(folder.path()).await;
    damage(&file(folder.path()));
    let to = folder.path().join("copy");
    let failure = backup(&file(folder.path()), &to, false, NOW).expect_err("damaged");
    assert_eq!(failure.code, Code::StoreDamaged, "{failure}");
    assert_eq!(contents(folder.path()).len(), 1, "nothing is left beside it");
}

/// A closed registry with something of everything in it.
async fn filled(folder: &Path) {
    let store = open(folder);
    for n in 0..40 {
        let batch = Batch {
            reserve: vec![port(n, 0)],
            history: vec![note("claimed")],
            ..claim(n, &format!("\"{}\"", "x".repeat(2000)))
        };
        store.commit(batch).await.expect("claim");
    }
}

/// Writes nonsense over a page in the middle.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].fill(0xA5);
    fs::write(path, bytes).expect("written");
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up_with_leases_free_and_work_due() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    let sleeping = Batch {
        record: Some(record(
            "{}",
            Some(Wake {
                at: Timestamp(LATER.0 + 1),
                seq: 1,
            }),
        )),
        ..claim(1, "{}")
    };
    store.commit(sleeping).await.expect("claim");
    let held = store.load(&id(1)).await.expect("load").expect("there");
    assert!(held.lease.holder.is_some());
    let copy = back_up(folder.path(), "copy");
    // The newest hour.
    store.commit(claim(2, "{}")).await.expect("claim");
    let deployment = store.deployment_id().clone();
    drop(store);

    let restored = restore(&copy, &file(folder.path()), LATER).expect("restored");
    assert_eq!((restored.snapshot.instances, restored.snapshot.as_of), (1, NOW));
    assert_eq!(restored.unreadable, None);
    let store = SqliteStore::open(&file(folder.path()), &Same(9), LATER).expect("it opens");
    assert_eq!(store.deployment_id(), &deployment);
    let stored = store.load(&id(1)).await.expect("load").expect("there");
    assert_eq!((&stored.lease.holder, stored.lease.epoch), (&None, held.lease.epoch));
    assert_eq!(
        store.due(LATER, 10).await.expect("due").len(),
        1,
        "it was in the middle of something"
    );
    assert_eq!(store.load(&id(2)).await.expect("load"), None);
    drop(store);
    assert_eq!(
        fs::metadata(file(folder.path())).expect("there").permissions().mode() & 0o777,
        0o600
    );

    let kept = restored.replaced.expect("kept");
    assert!(
        kept.to_string_lossy()
            .ends_with("registry.db.replaced-20231114T231320Z"),
        "{kept:?}"
    );
    let back = restore(&kept, &file(folder.path()), LATER).expect("what was replaced can be restored too");
    assert_eq!(back.snapshot.instances, 2);
    assert_ne!(back.replaced, Some(kept), "each has a name of its own");
    open(folder.path()).check().await.expect("whole");
}

#[tokio::test]
async fn ports_and_names_are_held_as_they_were() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    let leased = |n: u64, key: &str| Reserve {
        kind: Kind::Port,
        key: key.to_owned(),
        ..port(n, 0)
    };
    let first = Batch {
        reserve: vec![leased(1, "8000")],
        ..claim(1, "{}")
    };
    let lease = store.commit(first).await.expect("claim").lease;
    let copy = back_up(folder.path(), "copy");
    let released = Batch {
        release: vec![Release {
            kind: Kind::Port,
            key: "8000".to_owned(),
            rest_until: None,
            must_hold: true,
        }],
        ..Batch::new(
            id(1),
            Expect::Lease {
                epoch: lease.epoch,
                renewals: lease.renewals,
            },
            LeaseChange::Renew,
        )
    };
    store.commit(released).await.expect("released");
    let second = Batch {
        reserve: vec![leased(2, "8001")],
        ..claim(2, "{}")
    };
    store.commit(second).await.expect("claim");
    drop(store);
    restore(&copy, &file(folder.path()), NOW).expect("restored");
    let store = open(folder.path());
    assert_eq!(store.free_port(8000..=8001, NOW).await.expect("a port"), Some(8001));
}

/// Restoring fails, and nothing in the folder has changed.
fn refused(from: &Path, folder: &Path) -> Failure {
    let before = contents(folder);
    let failure = restore(from, &file(folder), NOW).expect_err("refused");
    assert!(contents(folder) == before, "something was changed: {failure}");
    assert!(failure.hint.is_some(), "{failure:?}");
    failure
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_nothing_is_touched() {
    let folder = TempDir::new().expect("folder");
    filled(folder.path()).await;
    let whole = back_up(folder.path(), "whole");
    let bytes = fs::read(&whole).expect("read");
    let candidate = folder.path().join("candidate");
    let written = |bytes: &[u8]| {
        fs::write(&candidate, bytes).expect("written");
        refused(&candidate, folder.path())
    };
    let changed = |sql: &str| {
        fs::write(&candidate, &bytes).expect("written");
        let connection = Connection::open(&candidate).expect("a database");
        connection.execute_batch(sql).expect("changed");
        drop(connection);
        refused(&candidate, folder.path())
    };
    let mut unusable = vec![
        refused(&folder.path().join("nothing"), folder.path()),
        refused(folder.path(), folder.path()),
        written(b""),
        written(
            b"not a database at all, but longer than a header is: ................................................",
        ),
        written(&bytes[..bytes.len() - 4096]),
        written(&bytes[..bytes.len() / 2]),
        written(&bytes[..200]),
        changed("PRAGMA application_id = 7"),
        changed("DELETE FROM meta WHERE key = 'deployment'"),
        changed("UPDATE meta SET value = 'x' WHERE key = 'format'"),
        changed("UPDATE meta SET value = '0' WHERE key = 'format'"),
        changed("CREATE TRIGGER more AFTER INSERT ON instances BEGIN DELETE FROM meta; END"),
        changed("DROP INDEX instances_due"),
        changed("DROP TABLE history"),
    ];
    fs::write(&candidate, &bytes).expect("written");
    damage(&candidate);
    unusable.push(refused(&candidate, folder.path()));
    for failure in unusable {
        assert_eq!(failure.code, Code::BackupUnusable, "{failure}");
    }
    assert_eq!(
        changed("UPDATE meta SET value = '99' WHERE key = 'format'").code,
        Code::StoreNewer
    );
    assert_eq!(
        changed("UPDATE meta SET value = 'dep_000000000000000g' WHERE key = 'deployment'").code,
        Code::BackupForeign
    );
    restore(&whole, &file(folder.path()), NOW).expect("the whole one is none of these");
}

#[tokio::test]
async fn a_damaged_registry_is_replaced_and_kept_byte_for_byte() {
    let folder = TempDir::new().expect("folder");
    filled(folder.path()).await;
    let copy = back_up(folder.path(), "copy");
    for content in [&b"nonsense"[..], b""] {
        fs::write(file(folder.path()), content).expect("damaged");
        let log = folder.path().join("registry.db-wal");
        fs::write(&log, b"a log").expect("and its log");
        let restored = restore(&copy, &file(folder.path()), NOW).expect("restored");
        let kept = restored.replaced.expect("kept");
        assert_eq!(fs::read(&kept).expect("read"), content);
        let kept_log = PathBuf::from(format!("{}-wal", kept.display()));
        assert_eq!(fs::read(kept_log).expect("read"), b"a log");
        assert!(restored.unreadable.is_some());
        open(folder.path()).check().await.expect("whole");
    }
}

#[tokio::test]
async fn a_new_folder_takes_any_deployments_backup() {
    let (folder, new) = (TempDir::new().expect("folder"), TempDir::new().expect("folder"));
    filled(folder.path()).await;
    let copy = back_up(folder.path(), "copy");
    let restored = restore(&copy, &file(new.path()), NOW).expect("restored");
    assert_eq!((restored.replaced, restored.unreadable), (None, None));
    assert_eq!(
        open(new.path()).deployment_id(),
        open(folder.path()).deployment_id(),
        "whose resources are then its own"
    );
}

#[tokio::test]
async fn a_restore_that_is_killed_before_its_end_is_never_taken_for_a_new_registry() {
    let folder = TempDir::new().expect("folder");
    filled(folder.path()).await;
    let copy = back_up(folder.path(), "copy");
    let (registry, ready) = (file(folder.path()), folder.path().join("registry.db.restored"));
    // Killed when the new one was made, and the old one still stood in its place.
    fs::copy(&copy, &ready).expect("copied");
    drop(open(folder.path()));
    assert!(!ready.exists(), "nobody needs it any more");
    // Killed when the old one was out of its place, and the new one not in it.
    fs::copy(&copy, &ready).expect("copied");
    fs::rename(&registry, folder.path().join("aside")).expect("renamed");
    let failure = try_open(&registry).expect_err("nothing is there");
    assert_eq!(failure.code, Code::StoreDamaged);
    assert!(failure.hint.is_some_and(|hint| hint.contains("wharf restore")));
    assert!(!registry.exists());
    restore(&copy, &registry, NOW).expect("said once more");
    open(folder.path()).check().await.expect("whole");
    assert!(!ready.exists());
}
