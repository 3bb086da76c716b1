//! Answers that are lost, calls that are refused, and a service that is not there.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use wharf_aws::{ClientOptions, DynamoStore};
use wharf_domain::Code;
use wharf_saga::{
    Batch, CommitError, Store,
    store::{Kind, Lease, LeaseChange, Release},
};
use wharf_testkit::emulator::Emulator;

use super::{
    NOW, claim, holding, id, note,
    proxy::{Fate, Proxy},
    record, registry, reserve, store_at, store_with,
};

/// A registry over a proxy, and one that goes straight to it.
struct Bench {
    store: Arc<DynamoStore>,
    straight: Arc<DynamoStore>,
    proxy: Proxy,
    _emulator: Emulator,
}

async fn bench() -> Bench {
    let (straight, emulator) = registry().await;
    let proxy = Proxy::start(&emulator.url()).await;
    Bench {
        store: store_at(&proxy.url, 2),
        straight,
        proxy,
        _emulator: emulator,
    }
}

impl Bench {
    /// The first `most` answers to this operation are lost. Gives how many were.
    fn lose(&self, operation: &'static str, most: u32) -> Arc<AtomicU32> {
        let lost = Arc::new(AtomicU32::new(0));
        let count = lost.clone();
        self.proxy.judge(move |called| {
            if called == operation && count.load(Ordering::Relaxed) < most {
                count.fetch_add(1, Ordering::Relaxed);
                return Fate::LoseAnswer;
            }
            Fate::Pass
        });
        lost
    }

    async fn lines(&self, n: u64) -> usize {
        self.straight.history(&id(n), 0, 100).await.expect("history").len()
    }
}

/// One line of history, and the lease renewed.
fn step(n: u64, lease: &Lease) -> Batch {
    Batch {
        lease: LeaseChange::Renew,
        record: Some(record("went on", "queued", None)),
        history: vec![note("one line")],
        ..holding(n, lease)
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_made_once_and_known() {
    let bench = bench().await;
    // More answers than the SDK tries by itself.
    for lost_most in [1, 5] {
        let n = u64::from(lost_most);
        let lease = bench.store.commit(claim(n)).await.expect("claimed").lease;
        let lost = bench.lose("PutItem", lost_most);
        let committed = bench.store.commit(step(n, &lease)).await.expect("it is found out");
        assert_eq!(lost.load(Ordering::Relaxed), lost_most);
        assert_eq!((committed.lease.epoch, committed.lease.renewals), (1, 1));
        let stored = bench.straight.load(&id(n)).await.expect("load").expect("a record");
        assert_eq!(stored.lease, committed.lease);
        assert_eq!(bench.lines(n).await, 1);
        // And the driver goes on from there.
        bench
            .store
            .commit(step(n, &committed.lease))
            .await
            .expect("its own lease");
    }
}

#[tokio::test]
async fn a_transaction_whose_answer_is_lost_is_made_once_and_known() {
    let bench = bench().await;
    for lost_most in [1, 5] {
        let n = u64::from(lost_most);
        let lost = bench.lose("TransactWriteItems", lost_most);
        let batch = Batch {
            reserve: vec![reserve(Kind::Name, &format!("name-{n}"))],
            history: vec![note("claimed")],
            ..claim(n)
        };
        let committed = bench.store.commit(batch).await.expect("it is found out");
        assert_eq!(lost.load(Ordering::Relaxed), lost_most);
        assert_eq!(committed.lease.epoch, 1);
        assert_eq!(bench.lines(n).await, 1);
    }
    let counts = bench.straight.counts().await.expect("counts");
    assert_eq!(counts[0].count, 2, "each is counted once");
}

#[tokio::test]
async fn a_right_is_used_up_once_also_when_the_answer_is_lost() {
    let bench = bench().await;
    let granted = Batch {
        reserve: vec![reserve(Kind::Reveal, "link")],
        ..claim(1)
    };
    bench.store.commit(granted).await.expect("granted");
    let lost = bench.lose("TransactWriteItems", 1);
    let used = || Batch {
        release: vec![Release {
            kind: Kind::Reveal,
            key: "link".to_owned(),
            rest_until: None,
            must_hold: true,
        }],
        ..Batch::new(id(1), wharf_saga::store::Expect::Anything, LeaseChange::Keep)
    };
    bench.store.commit(used()).await.expect("it was ours");
    assert_eq!(lost.load(Ordering::Relaxed), 1);
    let again = bench.store.commit(used()).await;
    assert!(matches!(again, Err(CommitError::NotHeld { .. })), "{again:?}");
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_comes_once() {
    let bench = bench().await;
    bench.store.commit(claim(1)).await.expect("claimed");
    for (operation, key) in [("PutItem", None), ("TransactWriteItems", Some("key".to_owned()))] {
        let before = bench
            .straight
            .load(&id(1))
            .await
            .expect("load")
            .expect("a record")
            .inbox_head;
        let lost = bench.lose(operation, 5);
        let seq = bench
            .store
            .append(&id(1), "{}".to_owned(), key, NOW)
            .await
            .expect("found out");
        assert_eq!(lost.load(Ordering::Relaxed), 5);
        assert_eq!(seq, Some(before + 1));
        let stored = bench.straight.load(&id(1)).await.expect("load").expect("a record");
        assert_eq!(stored.inbox_head, before + 1, "{operation}");
    }
}

#[tokio::test]
async fn a_commit_that_came_through_before_it_was_throttled_is_known() {
    let bench = bench().await;
    let lease = bench.store.commit(claim(1)).await.expect("claimed").lease;
    let mut calls = 0;
    bench.proxy.judge(move |operation| {
        if operation != "PutItem" {
            return Fate::Pass;
        }
        calls += 1;
        match calls {
            1 => Fate::LoseAnswer,
            _ => Fate::Refuse("ThrottlingException", "slow down".to_owned()),
        }
    });
    let committed = bench.store.commit(step(1, &lease)).await.expect("it is found out");
    assert_eq!(committed.lease.renewals, 1);
    let failure = refused(
        bench
            .store
            .commit(step(1, &committed.lease))
            .await
            .expect_err("throttled"),
    );
    assert_eq!(failure.code, Code::AwsThrottled);
    assert_eq!(bench.lines(1).await, 1);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_said_to_be_unknown() {
    let bench = bench().await;
    let lease = bench.store.commit(claim(1)).await.expect("claimed").lease;
    bench.proxy.judge(|operation| match operation {
        "PutItem" => Fate::LoseAnswer,
        _ => Fate::LoseRequest,
    });
    match bench.store.commit(step(1, &lease)).await {
        Err(CommitError::Unknown(failure)) => assert_eq!(failure.code, Code::AwsUnavailable),
        other => panic!("{other:?}"),
    }
    // Nothing is remembered of what may not be so: the next look is a real one.
    bench.proxy.judge(|_| Fate::Pass);
    let stored = bench.store.load(&id(1)).await.expect("load").expect("a record");
    assert_eq!(stored.lease.renewals, 1);
    assert_eq!(bench.lines(1).await, 1);
}

#[tokio::test]
async fn a_denied_call_names_action_and_table_and_writes_nothing() {
    const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/wharf";
    let bench = bench().await;
    for (denied, action) in [
        ("PutItem", "dynamodb:PutItem"),
        ("TransactWriteItems", "dynamodb:UpdateItem"),
        ("GetItem", "dynamodb:GetItem"),
        ("Query", "dynamodb:Query"),
        ("BatchGetItem", "dynamodb:BatchGetItem"),
        ("UpdateItem", "dynamodb:UpdateItem"),
    ] {
        bench.proxy.judge(move |operation| {
            if operation != denied {
                return Fate::Pass;
            }
            let message =
                format!("User: arn:aws:iam::1:role/wharf is not authorized to perform: {action} on resource: {ARN}");
            Fate::Refuse("AccessDeniedException", message)
        });
        let store = &bench.store;
        let batch = || Batch {
            at_most_live: Some(5),
            ..claim(1)
        };
        let failure = match denied {
            "PutItem" => {
                // It takes a row that is there.
                let lease = store.commit(claim(9)).await.expect("claimed").lease;
                store.commit(holding(9, &lease)).await.map(drop).map_err(refused)
            }
            "GetItem" => store.load(&id(1)).await.map(drop).map_err(|error| error.failure),
            "BatchGetItem" | "UpdateItem" => store.free_port(8000..=8010, NOW).await.map(drop).map_err(|e| e.failure),
            _ => store.commit(batch()).await.map(drop).map_err(refused),
        }
        .expect_err(denied);
        assert_eq!(failure.code, Code::AwsDenied, "{denied}");
        let hint = failure.hint.expect("a hint");
        assert!(hint.contains(action) && hint.contains(ARN), "{hint}");
        assert_eq!(bench.straight.load(&id(1)).await.expect("load"), None, "{denied}");
    }
}

fn refused(error: CommitError) -> wharf_domain::Failure {
    match error {
        CommitError::Store(error) => error.failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_conflict_with_another_transaction_is_tried_again() {
    let bench = bench().await;
    for (operation, fate) in [
        ("TransactWriteItems", Fate::Cancel(&["None", "TransactionConflict"])),
        ("TransactWriteItems", Fate::Cancel(&["ThrottlingError", "None"])),
        (
            "PutItem",
            Fate::Refuse("TransactionConflictException", "in the middle of another".to_owned()),
        ),
    ] {
        let met = Arc::new(AtomicU32::new(0));
        let count = met.clone();
        bench.proxy.judge(move |called| {
            if called == operation && count.fetch_add(1, Ordering::Relaxed) < 3 {
                return fate.clone();
            }
            Fate::Pass
        });
        let n = u64::from(bench.store.counters().refused as u32) + 1;
        let lease = bench.store.commit(claim(n)).await.expect("it comes through").lease;
        bench.store.commit(step(n, &lease)).await.expect("it comes through");
        assert_eq!(met.load(Ordering::Relaxed), 4, "three in the way, and one that passed");
        assert_eq!(bench.lines(n).await, 1);
    }
    bench.proxy.judge(|operation| match operation {
        "TransactWriteItems" => Fate::Cancel(&["None", "TransactionConflict"]),
        _ => Fate::Pass,
    });
    let failure = refused(bench.store.commit(claim(99)).await.expect_err("for ever in the way"));
    assert_eq!(failure.code, Code::AwsThrottled);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_passing_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let store = store_with(
        ClientOptions {
            attempts: 1,
            ..ClientOptions::emulator(url)
        },
        1,
    );
    let failure = store.load(&id(1)).await.expect_err("nobody is there").failure;
    assert_eq!(failure.code, Code::AwsUnavailable);
    assert!(failure.code.is_passing());
    // A connection that never came about carried nothing.
    let failure = refused(store.commit(claim(1)).await.expect_err("nobody is there"));
    assert_eq!(failure.code, Code::AwsUnavailable);
}
