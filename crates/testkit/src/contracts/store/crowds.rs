//! Hundreds at once: one name, one limit, one inbox, one lease, one range.

use futures::future::join_all;
use std::{collections::BTreeSet, future::Future, sync::Arc};
use wharf_saga::store::{Batch, CommitError, Index, Kind, Query, RecordWrite, Store};

use super::{NOW, append, claim, commit, holding, id, load, record, reserve, take};

const CROWD: u64 = 500;

/// Runs all of them on tasks of their own, at the same time.
async fn at_once<T: Send + 'static>(
    count: u64,
    one: impl Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = T> + Send>>,
) -> Vec<T> {
    let tasks: Vec<_> = (1..=count).map(|n| tokio::spawn(one(n))).collect();
    join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("no panic"))
        .collect()
}

pub async fn of_many_claims_of_one_name_one_wins(store: Arc<dyn Store>) {
    let outcomes = at_once(CROWD, |n| {
        let store = store.clone();
        Box::pin(async move {
            let batch = Batch {
                reserve: vec![reserve(Kind::Token, &format!("token {n}")), reserve(Kind::Name, "acme")],
                ..claim(n)
            };
            (n, store.commit(batch).await)
        })
    })
    .await;
    let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(winners.len(), 1);
    let winner = id(winners[0].0);
    for (n, outcome) in &outcomes {
        match outcome {
            Ok(_) => assert_eq!(id(*n), winner),
            Err(CommitError::Taken { kind, by, .. }) => {
                assert_eq!((kind, &by.owner), (&Kind::Name, &winner));
                assert_eq!(store.load(&id(*n)).await.expect("load"), None);
                let left = store.reservations_of(&id(*n)).await.expect("reservations");
                assert_eq!(left, [], "nothing of a loser stays");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

pub async fn the_limit_on_live_instances_holds_in_a_crowd(store: Arc<dyn Store>) {
    const MOST: u64 = 37;
    let outcomes = at_once(CROWD, |n| {
        let store = store.clone();
        Box::pin(async move {
            let batch = Batch {
                at_most_live: Some(MOST),
                ..claim(n)
            };
            store.commit(batch).await
        })
    })
    .await;
    let mut won = 0;
    for outcome in outcomes {
        match outcome {
            Ok(_) => won += 1,
            Err(CommitError::TooMany { live }) => assert_eq!(live, MOST),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, MOST);
    let live = Query {
        live: Some(true),
        limit: 1000,
        ..Query::default()
    };
    assert_eq!(store.list(live).await.expect("list").len() as u64, MOST);
}

pub async fn room_is_made_by_what_ends(store: Arc<dyn Store>) {
    let limited = |n, live| {
        let mut record = record("x", "queued", None);
        record.index.live = live;
        Batch {
            at_most_live: Some(2),
            record: Some(record),
            ..claim(n)
        }
    };
    let index = |live| Index {
        live,
        ..super::index("shop", "queued")
    };
    let lease = commit(&store, limited(1, true)).await.lease;
    commit(&store, limited(2, true)).await;
    let full = store.commit(limited(3, true)).await;
    assert!(matches!(full, Err(CommitError::TooMany { live: 2 })), "{full:?}");
    let become_live = |live| Batch {
        record: Some(RecordWrite {
            index: index(live),
            ..record("x", "queued", None)
        }),
        // It says what a claim may do, and nothing of a record that is there.
        at_most_live: Some(0),
        ..holding(1, &lease)
    };
    commit(&store, become_live(false)).await;
    commit(&store, become_live(false)).await;
    commit(&store, limited(3, true)).await;
    let full = store.commit(limited(4, true)).await;
    assert!(matches!(full, Err(CommitError::TooMany { live: 2 })), "{full:?}");
    commit(&store, become_live(true)).await;
    let over = store.commit(limited(4, false)).await;
    assert!(matches!(over, Err(CommitError::TooMany { live: 3 })), "{over:?}");
    let unlimited = Batch {
        at_most_live: None,
        ..limited(4, true)
    };
    commit(&store, unlimited).await;
}

pub async fn many_messages_at_once_have_numbers_of_their_own(store: Arc<dyn Store>) {
    commit(&store, claim(1)).await;
    let numbers = at_once(CROWD, |n| {
        let store = store.clone();
        // Each fifth one is a repetition of the same.
        let key = n.is_multiple_of(5).then_some("repeated");
        Box::pin(async move { (key.is_some(), append(&store, 1, &n.to_string(), key, NOW).await) })
    })
    .await;
    let repeated: BTreeSet<_> = numbers
        .iter()
        .filter(|(repeated, _)| *repeated)
        .map(|(_, n)| *n)
        .collect();
    assert_eq!(repeated.len(), 1);
    let all: BTreeSet<_> = numbers.into_iter().map(|(_, n)| n).collect();
    let expected = CROWD - CROWD / 5 + 1;
    assert_eq!(all, (1..=expected).collect());
    assert_eq!(load(&store, 1).await.inbox_head, expected);
    let entries = store.inbox(&id(1), 0, 1000).await.expect("inbox");
    let order: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(order, (1..=expected).collect::<Vec<_>>());
}

pub async fn of_many_drivers_one_takes_the_lease(store: Arc<dyn Store>) {
    let seen = commit(&store, claim(1)).await.lease;
    let outcomes = at_once(CROWD, |n| {
        let (store, seen) = (store.clone(), seen.clone());
        Box::pin(async move {
            let batch = Batch {
                lease: take(&format!("driver {n}")),
                ..holding(1, &seen)
            };
            store.commit(batch).await
        })
    })
    .await;
    let mut winners = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(committed) => winners.push(committed.lease),
            Err(CommitError::Fenced) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(winners, [load(&store, 1).await.lease]);
    assert_eq!(winners[0].epoch, 2);
}

pub async fn a_crowd_takes_every_port_of_a_range_once(store: Arc<dyn Store>) {
    const PORTS: u64 = 60;
    let taken = at_once(PORTS, |n| {
        let store = store.clone();
        Box::pin(async move {
            for _ in 0..10_000 {
                let port = store.free_port(8000..=8059, NOW).await.expect("free port");
                let Some(port) = port else {
                    panic!("{n} finds none, though there is one for each");
                };
                let batch = Batch {
                    reserve: vec![reserve(Kind::Port, &port.to_string())],
                    ..claim(n)
                };
                match store.commit(batch).await {
                    Ok(_) => return port,
                    Err(CommitError::Taken { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            panic!("{n} never gets the port that it was offered");
        })
    })
    .await;
    let distinct: BTreeSet<_> = taken.into_iter().collect();
    assert_eq!(distinct, (8000..=8059).collect());
    assert_eq!(store.free_port(8000..=8059, NOW).await.expect("free port"), None);
}
