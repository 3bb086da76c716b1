//! Several machines on one registry: nothing that one of them remembers deceives another.

use futures::future::join_all;
use std::{collections::BTreeSet, sync::Arc};
use wharf_aws::DynamoStore;
use wharf_saga::{
    Batch, CommitError, Store,
    store::{LeaseChange, Query},
};

use super::{NOW, claim, holding, id, note, record, registry, store_at};

fn machines(url: &str) -> Vec<Arc<DynamoStore>> {
    (0..8).map(|machine| store_at(url, 100 + machine)).collect()
}

#[tokio::test]
async fn a_driver_whose_instance_was_taken_over_elsewhere_is_fenced() {
    let (one, emulator) = registry().await;
    let two = store_at(&emulator.url(), 2);
    let lease = one.commit(claim(1)).await.expect("claimed").lease;
    two.load(&id(1)).await.expect("load").expect("a record");
    let taken = Batch {
        lease: LeaseChange::Take {
            holder: "two".to_owned(),
        },
        ..holding(1, &lease)
    };
    two.commit(taken).await.expect("taken over");
    let late = one.commit(holding(1, &lease)).await;
    assert!(matches!(late, Err(CommitError::Fenced)), "{late:?}");
}

#[tokio::test]
async fn a_message_from_another_machine_refuses_a_wait_and_no_other_commit() {
    let (one, emulator) = registry().await;
    let two = store_at(&emulator.url(), 2);
    let lease = one.commit(claim(1)).await.expect("claimed").lease;
    two.append(&id(1), "{}".to_owned(), None, NOW).await.expect("appended");
    let waits = Batch {
        inbox_at: Some(0),
        ..holding(1, &lease)
    };
    let refused = one.commit(waits).await;
    assert!(matches!(refused, Err(CommitError::InboxMoved)), "{refused:?}");
    two.append(&id(1), "{}".to_owned(), None, NOW).await.expect("appended");
    let works = Batch {
        record: Some(record("works", "queued", None)),
        ..holding(1, &lease)
    };
    let committed = one.commit(works).await.expect("committed");
    assert_eq!(committed.inbox_head, 2, "it is told what has come");
    assert_eq!(two.inbox(&id(1), 0, 10).await.expect("inbox").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_lines_of_all_machines_are_numbered_without_gaps() {
    const EACH: u64 = 12;
    let (store, emulator) = registry().await;
    store.commit(claim(1)).await.expect("claimed");
    let machines = machines(&emulator.url());
    let work = machines.iter().cloned().map(|machine| {
        tokio::spawn(async move {
            let mut numbers = Vec::new();
            for n in 0..EACH {
                let key = (n % 3 == 0).then(|| "the same for all".to_owned());
                let seq = machine.append(&id(1), n.to_string(), key, NOW).await.expect("appended");
                numbers.push((n % 3 == 0, seq.expect("an instance")));
                let line = Batch {
                    history: vec![note("a line")],
                    ..Batch::new(id(1), wharf_saga::store::Expect::Anything, LeaseChange::Keep)
                };
                machine.commit(line).await.expect("committed");
            }
            numbers
        })
    });
    let mut distinct = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for numbers in join_all(work).await {
        for (is_repeated, number) in numbers.expect("no panic") {
            distinct.insert(number);
            if is_repeated {
                repeated.insert(number);
            }
        }
    }
    assert_eq!(repeated.len(), 1, "one message for one key");
    let expected = machines.len() as u64 * (EACH - EACH / 3) + 1;
    assert_eq!(distinct, (1..=expected).collect());
    let history = store.history(&id(1), 0, 1000).await.expect("history");
    let lines: Vec<_> = history.iter().map(|entry| entry.seq).collect();
    assert_eq!(lines, (1..=machines.len() as u64 * EACH).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_holds_over_all_machines() {
    const MOST: u64 = 37;
    let (store, emulator) = registry().await;
    let machines = machines(&emulator.url());
    let claims = (1..=120_u64).map(|n| {
        let machine = machines[n as usize % machines.len()].clone();
        tokio::spawn(async move {
            let limited = Batch {
                at_most_live: Some(MOST),
                ..claim(n)
            };
            match machine.commit(limited).await {
                Ok(_) => 1,
                Err(CommitError::TooMany { live }) => {
                    assert_eq!(live, MOST);
                    0
                }
                Err(other) => panic!("{other:?}"),
            }
        })
    });
    let won: u64 = join_all(claims)
        .await
        .into_iter()
        .map(|won| won.expect("no panic"))
        .sum();
    assert_eq!(won, MOST);
    let live = Query {
        live: Some(true),
        limit: 1000,
        ..Query::default()
    };
    assert_eq!(store.list(live).await.expect("list").len() as u64, MOST);
}
