//! That what waits at the same time is committed together.

use futures::future::join_all;
use rusqlite::Connection;
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use wharf_saga::{CommitError, Store};
use wharf_sqlite::SqliteStore;

use crate::{NOW, claim, file, id, open};

/// Lets `count` writes pile up behind a lock, and gives how many commits they took.
async fn pile_up(store: &Arc<SqliteStore>, folder: &TempDir, count: u64) -> (u64, Vec<Result<(), CommitError>>) {
    let before = store.counters();
    let blocker = Connection::open(file(folder.path())).expect("a second connection");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let writes = join_all((0..count).map(|n| {
        let store = store.clone();
        async move { store.commit(claim(n, "{}")).await.map(drop) }
    }));
    tokio::pin!(writes);
    // Polled once, all of them are in the queue; the writer can do nothing but wait for the lock.
    let still_waits = tokio::time::timeout(Duration::from_millis(1), &mut writes)
        .await
        .is_err();
    assert!(still_waits);
    blocker.execute_batch("ROLLBACK").expect("the lock is given back");
    drop(blocker);
    let outcomes = writes.await;
    (store.counters().commits - before.commits, outcomes)
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let folder = TempDir::new().expect("folder");
    let store = Arc::new(open(folder.path()));
    let (commits, outcomes) = pile_up(&store, &folder, 200).await;
    assert!(outcomes.iter().all(Result::is_ok));
    // The writer may have taken the first few before the rest came.
    assert!(commits <= 2, "{commits} commits for 200 writes");
    assert_eq!(store.counters().writes, 200);
    for n in 0..200 {
        assert!(store.load(&id(n)).await.expect("load").is_some());
    }
}

#[tokio::test]
async fn a_refusal_costs_no_commit_and_refuses_nobody_else() {
    let folder = TempDir::new().expect("folder");
    let store = Arc::new(open(folder.path()));
    store.commit(claim(3, "{}")).await.expect("claim");
    let before = store.counters();
    assert!(matches!(store.commit(claim(3, "{}")).await, Err(CommitError::Exists)));
    assert_eq!(store.counters(), before);
    let (_, outcomes) = pile_up(&store, &folder, 10).await;
    for (n, outcome) in (0..).zip(outcomes) {
        assert_eq!(outcome.is_ok(), n != 3, "{n}");
    }
}

#[tokio::test]
async fn a_lone_write_is_one_commit() {
    let folder = TempDir::new().expect("folder");
    let store = open(folder.path());
    for n in 0..10 {
        store.commit(claim(n, "{}")).await.expect("claim");
        let counters = store.counters();
        assert_eq!((counters.commits, counters.writes), (n + 1, n + 1));
    }
    store.append(&id(0), "{}".to_owned(), None, NOW).await.expect("append");
    assert_eq!(store.counters().commits, 11);
}

#[tokio::test]
async fn dropping_the_store_finishes_what_was_handed_in() {
    let folder = TempDir::new().expect("folder");
    let store = Arc::new(open(folder.path()));
    let mut writes: Vec<_> = (0..100)
        .map(|n| {
            let store = store.clone();
            Box::pin(async move { store.commit(claim(n, "{}")).await.map(drop) })
        })
        .collect();
    // Polled once and given up: in the queue, with nobody who waits for the answers.
    for write in &mut writes {
        let _ = futures::poll!(write);
    }
    drop(writes);
    drop(store);
    assert!(
        !folder.path().join("registry.db-wal").exists(),
        "the log is folded into the file"
    );
    let store = open(folder.path());
    for n in 0..100 {
        assert!(store.load(&id(n)).await.expect("load").is_some(), "{n}");
    }
}
