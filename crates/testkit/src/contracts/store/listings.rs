//! Pages, filters, counts, and what is due.

use std::sync::Arc;
use wharf_domain::Timestamp;
use wharf_saga::store::{Batch, Count, Index, LeaseChange, PAGE_MAX, Query, RecordWrite, Store, Wake};

use super::{NOW, at, claim, commit, holding, id, load, record, wake};

fn query(limit: usize) -> Query {
    Query {
        limit,
        ..Query::default()
    }
}

/// The numbers of the instances that a page has, in its order.
async fn page(store: &Arc<dyn Store>, query: Query) -> Vec<u64> {
    let stored = store.list(query).await.expect("list");
    let number = |stored: &wharf_saga::store::Stored| {
        let text = stored.body.strip_prefix("{\"text\":\"").expect("body");
        text.trim_end_matches("\"}").parse().expect("a number")
    };
    stored.iter().map(number).collect()
}

async fn claim_indexed(store: &Arc<dyn Store>, n: u64, index: Index) {
    let record = RecordWrite {
        index,
        ..record(&n.to_string(), "queued", None)
    };
    commit(
        store,
        Batch {
            record: Some(record),
            lease: LeaseChange::Keep,
            ..claim(n)
        },
    )
    .await;
}

fn plain() -> Index {
    Index {
        name: None,
        service: "shop".to_owned(),
        state: "ready",
        live: true,
    }
}

pub async fn pages_are_newest_first_and_join_without_gap(store: Arc<dyn Store>) {
    // In an order that is not the ids'.
    for n in [5, 1, 9, 3, 7, 2, 8, 4, 6, 10] {
        claim_indexed(&store, n, plain()).await;
    }
    assert_eq!(page(&store, query(100)).await, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let mut joined = Vec::new();
    loop {
        let next = page(
            &store,
            Query {
                before: joined.last().map(|last| id(*last)),
                ..query(3)
            },
        )
        .await;
        assert!(next.len() <= 3);
        if next.is_empty() {
            break;
        }
        joined.extend(next);
    }
    assert_eq!(joined, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(page(&store, query(0)).await, [0; 0]);
    let whole = store.list(query(1)).await.expect("list");
    assert_eq!(whole, [load(&store, 10).await], "a listing has whole records");
}

pub async fn a_page_is_never_longer_than_allowed(store: Arc<dyn Store>) {
    let claims = (1..=PAGE_MAX as u64 + 5).map(|n| claim_indexed(&store, n, plain()));
    futures::future::join_all(claims).await;
    assert_eq!(page(&store, query(usize::MAX)).await.len(), PAGE_MAX);
    let rest = Query {
        before: Some(id(6)),
        ..query(usize::MAX)
    };
    assert_eq!(page(&store, rest).await, [5, 4, 3, 2, 1]);
}

pub async fn every_filter_and_every_pair_of_filters_holds(store: Arc<dyn Store>) {
    const STATES: [&str; 3] = ["queued", "ready", "ended"];
    const SERVICES: [&str; 2] = ["shop", "auth"];
    let indexed = |n: u64| Index {
        name: (!n.is_multiple_of(3)).then(|| format!("name-{}", n % 5)),
        service: SERVICES[(n % 2) as usize].to_owned(),
        state: STATES[(n / 2 % 3) as usize],
        live: (n / 4).is_multiple_of(2),
    };
    for n in 1..=48 {
        claim_indexed(&store, n, indexed(n)).await;
    }
    let states = [None, Some("queued"), Some("ended"), Some("no such state")];
    let services = [None, Some("shop"), Some("auth")];
    let names = [None, Some("name-1"), Some("name-2")];
    let truths = [None, Some(true), Some(false)];
    let mut queries = Vec::new();
    for state in states {
        for service in services {
            for name in names {
                for named in truths {
                    for live in truths {
                        for before in [None, Some(30)] {
                            queries.push((state, service, name, named, live, before));
                        }
                    }
                }
            }
        }
    }
    for (state, service, name, named, live, before) in queries {
        let wanted = Query {
            state: state.map(str::to_owned),
            service: service.map(str::to_owned),
            name: name.map(str::to_owned),
            named,
            live,
            before: before.map(id),
            limit: 7,
        };
        let matches = |n: &u64| {
            let index = indexed(*n);
            state.is_none_or(|state| state == index.state)
                && service.is_none_or(|service| service == index.service)
                && name.is_none_or(|name| index.name.as_deref() == Some(name))
                && named.is_none_or(|named| named == index.name.is_some())
                && live.is_none_or(|live| live == index.live)
                && before.is_none_or(|before| *n < before)
        };
        let expected: Vec<u64> = (1..=48).rev().filter(matches).take(7).collect();
        assert_eq!(page(&store, wanted.clone()).await, expected, "{wanted:?}");
    }
}

pub async fn a_listing_follows_the_record(store: Arc<dyn Store>) {
    let lease = commit(&store, claim(1)).await.lease;
    let changed = Index {
        name: Some("acme".to_owned()),
        service: "auth".to_owned(),
        state: "ended",
        live: false,
    };
    let record = RecordWrite {
        index: changed,
        ..record("1", "ended", None)
    };
    commit(
        &store,
        Batch {
            record: Some(record),
            ..holding(1, &lease)
        },
    )
    .await;
    let of = |state: Option<&str>, service: Option<&str>, name: Option<&str>, live| Query {
        state: state.map(str::to_owned),
        service: service.map(str::to_owned),
        name: name.map(str::to_owned),
        live,
        ..query(10)
    };
    for before in [
        of(Some("queued"), None, None, None),
        of(None, Some("shop"), None, None),
        of(None, None, None, Some(true)),
    ] {
        assert_eq!(page(&store, before.clone()).await, [0; 0], "{before:?}");
    }
    for after in [
        of(Some("ended"), None, None, None),
        of(None, Some("auth"), None, None),
        of(None, None, Some("acme"), None),
        of(None, None, None, Some(false)),
    ] {
        assert_eq!(page(&store, after.clone()).await, [1], "{after:?}");
    }
    assert_eq!(store.counts().await.expect("counts").len(), 1);
}

pub async fn counts_are_by_service_and_state(store: Arc<dyn Store>) {
    assert_eq!(store.counts().await.expect("counts"), []);
    let services = ["shop", "auth", "shop", "shop", "auth", "shop"];
    let states = ["ready", "ready", "ended", "ready", "ready", "queued"];
    for (n, (service, state)) in (1..).zip(services.into_iter().zip(states)) {
        let index = Index {
            service: service.to_owned(),
            state,
            ..plain()
        };
        claim_indexed(&store, n, index).await;
    }
    let mut counts = store.counts().await.expect("counts");
    counts.sort_by(|a, b| (&a.service, &a.state).cmp(&(&b.service, &b.state)));
    let expected = [
        ("auth", "ready", 2),
        ("shop", "ended", 1),
        ("shop", "queued", 1),
        ("shop", "ready", 2),
    ]
    .map(|(service, state, count)| Count {
        service: service.to_owned(),
        state: state.to_owned(),
        count,
    });
    assert_eq!(counts, expected);
}

pub async fn what_is_due_longest_comes_first(store: Arc<dyn Store>) {
    for (n, (millis, seq)) in (1..).zip([(500, 1), (100, 2), (900, 3), (300, 4), (100, 5)]) {
        commit(
            &store,
            Batch {
                record: Some(record("sleeps", "queued", Some(wake(millis, seq)))),
                ..claim(n)
            },
        )
        .await;
    }
    let due = async |now: Timestamp, limit| -> Vec<(u64, Wake)> {
        let due = store.due(now, limit).await.expect("due");
        due.into_iter()
            .map(|due| {
                let n = (1..=5).find(|n| id(*n) == due.id).expect("one of them");
                (n, due.wake)
            })
            .collect()
    };
    let order = |due: Vec<(u64, Wake)>| due.into_iter().map(|(n, _)| n).collect::<Vec<_>>();
    assert_eq!(due(at(99), 10).await, []);
    assert_eq!(order(due(at(500), 10).await), [2, 5, 4, 1], "at its time it is due");
    assert_eq!(order(due(at(500), 3).await), [2, 5, 4]);
    assert_eq!(due(at(500), 1).await, [(2, wake(100, 2))]);
    assert_eq!(order(due(Timestamp::MAX, usize::MAX).await), [2, 5, 4, 1, 3]);
    assert_eq!(due(at(500), 0).await, []);
}

pub async fn a_record_at_rest_is_not_due(store: Arc<dyn Store>) {
    let sleeping = Batch {
        record: Some(record("sleeps", "queued", Some(wake(0, 1)))),
        ..claim(1)
    };
    let lease = commit(&store, sleeping).await.lease;
    assert_eq!(store.due(NOW, 10).await.expect("due").len(), 1);
    let resting = Batch {
        record: Some(record("rests", "ready", None)),
        lease: LeaseChange::Release,
        ..holding(1, &lease)
    };
    commit(&store, resting).await;
    assert_eq!(store.due(Timestamp::MAX, 10).await.expect("due"), []);
    assert_eq!(load(&store, 1).await.wake, None);
}
