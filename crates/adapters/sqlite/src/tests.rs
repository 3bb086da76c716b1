//! What only the inside of the crate can bring about: a file that may not grow.

use futures::future::join_all;
use std::{path::Path, sync::Arc};
use tempfile::TempDir;
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_saga::{
    Batch, CommitError, Ids, Store,
    store::{Expect, Index, Kind, LeaseChange, RecordWrite, Reserve},
};

use crate::{SqliteStore, writer::Work};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Zeros;

impl Ids for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn store(folder: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(&folder.join("registry.db"), &Zeros, NOW).expect("open"))
}

fn id(n: u64) -> InstanceId {
    InstanceId::new(Timestamp(NOW.0 + n), [0; 10])
}

/// A claim whose record is about `size` bytes.
fn claim(n: u64, size: usize) -> Batch {
    let index = Index {
        name: None,
        service: "shop".to_owned(),
        state: "queued",
        live: true,
    };
    Batch {
        record: Some(RecordWrite {
            body: format!("\"{}\"", "x".repeat(size)),
            index,
            wake: None,
        }),
        reserve: vec![Reserve {
            kind: Kind::Port,
            key: (8000 + n).to_string(),
            value: String::new(),
            until: None,
            now: NOW,
        }],
        ..Batch::new(id(n), Expect::Absent, LeaseChange::Keep)
    }
}

fn failure(outcome: Result<impl std::fmt::Debug, CommitError>) -> Failure {
    match outcome {
        Err(CommitError::Store(error)) => error.failure,
        other => panic!("{other:?}"),
    }
}

async fn limit_pages(store: &SqliteStore, pages: u32) {
    store
        .writer
        .submit(Work::PageLimit(pages))
        .await
        .expect("the limit is set");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_whole_and_takes_them_again_when_there_is_room() {
    let folder = TempDir::new().expect("folder");
    let store = store(folder.path());
    store.commit(claim(0, 10)).await.expect("there is room");
    // SQLite never makes a file smaller than it is: this is "no page more".
    limit_pages(&store, 1).await;
    let mut written = 1;
    let refused = loop {
        match store.commit(claim(written, 1000)).await {
            Ok(_) => written += 1,
            refused => break failure(refused),
        }
        assert!(written < 1000, "the disk never gets full");
    };
    assert_eq!(refused.code, Code::StoreFull);
    assert!(refused.hint.is_some());

    assert_eq!(store.load(&id(written)).await.expect("load"), None);
    assert_eq!(store.reservations_of(&id(written)).await.expect("reservations"), []);
    let port = 8000 + u16::try_from(written).expect("a small number");
    let offered = store.free_port(port..=port, NOW).await.expect("free port");
    assert_eq!(offered, Some(port), "the port of a refused claim is free");
    let appended = store.append(&id(0), "y".repeat(10_000), None, NOW).await;
    assert_eq!(appended.expect_err("no room").failure.code, Code::StoreFull);

    limit_pages(&store, u32::MAX).await;
    store.commit(claim(written, 1000)).await.expect("there is room again");
    let limited = Batch {
        at_most_live: Some(written),
        ..claim(written + 1, 10)
    };
    match store.commit(limited).await {
        Err(CommitError::TooMany { live }) => assert_eq!(live, written + 1, "what was refused is not counted"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_that_does_not_fit_does_not_fail_its_neighbours() {
    let folder = TempDir::new().expect("folder");
    let store = store(folder.path());
    limit_pages(&store, 60).await;
    let sizes = [10, 10, 1_000_000, 10, 10];
    let commits = (0..).zip(sizes).map(|(n, size)| store.commit(claim(n, size)));
    for (outcome, size) in join_all(commits).await.into_iter().zip(sizes) {
        if size == 10 {
            outcome.expect("it fits");
        } else {
            assert_eq!(failure(outcome).code, Code::StoreFull);
        }
    }
    for (n, size) in (0..).zip(sizes) {
        assert_eq!(store.load(&id(n)).await.expect("load").is_some(), size == 10);
    }
}

#[tokio::test]
async fn a_batch_that_contradicts_itself_is_refused() {
    let folder = TempDir::new().expect("folder");
    let store = store(folder.path());
    let without_record = Batch::new(id(1), Expect::Absent, LeaseChange::Keep);
    assert_eq!(failure(store.commit(without_record).await).code, Code::Internal);
    let unconditional = Batch {
        expect: Expect::Anything,
        ..claim(1, 10)
    };
    assert_eq!(failure(store.commit(unconditional).await).code, Code::Internal);
    assert_eq!(store.load(&id(1)).await.expect("load"), None);
}
