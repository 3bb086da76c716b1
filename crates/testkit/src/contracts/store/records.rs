//! Claims, leases, fencing, all or nothing, and the order of conditions.

use std::sync::Arc;
use wharf_saga::store::{
    Batch, CommitError, Expect, Index, Kind, Lease, LeaseChange, RecordWrite, Release, Store, Stored,
};

use super::{
    NOW, SECOND, append, claim, commit, holding, id, load, mail, note, record, release, reserve, see, take, wake,
};

pub async fn a_claim_is_read_back_as_it_was_written(store: Arc<dyn Store>) {
    assert_eq!(store.load(&id(1)).await.expect("load"), None, "an empty store");
    let body = "{\"company\":\"Zoë & Søn „Ωμέγα“ 🛶\",\"n\":1}";
    let committed = commit(
        &store,
        Batch {
            record: Some(RecordWrite {
                body: body.to_owned(),
                index: Index {
                    name: Some("acme".to_owned()),
                    service: "shop".to_owned(),
                    state: "queued",
                    live: true,
                },
                wake: Some(wake(5 * SECOND, 9)),
            }),
            ..claim(1)
        },
    )
    .await;
    let lease = Lease {
        epoch: 1,
        renewals: 0,
        holder: Some("one".to_owned()),
    };
    assert_eq!((committed.inbox_head, &committed.lease), (0, &lease));
    let expected = Stored {
        id: id(1),
        body: body.to_owned(),
        lease,
        wake: Some(wake(5 * SECOND, 9)),
        inbox_head: 0,
        inbox_read: 0,
    };
    assert_eq!(store.load(&id(1)).await.expect("load"), Some(expected));
}

pub async fn a_second_claim_of_an_id_is_refused(store: Arc<dyn Store>) {
    commit(&store, claim(1)).await;
    let refused = store
        .commit(Batch {
            record: Some(record("again", "queued", None)),
            ..claim(1)
        })
        .await;
    assert!(matches!(refused, Err(CommitError::Exists)), "{refused:?}");
    assert!(load(&store, 1).await.body.contains("claimed"));
}

pub async fn a_write_needs_the_lease_as_it_was_seen(store: Arc<dyn Store>) {
    let lease = commit(&store, claim(1)).await.lease;
    for (epoch, renewals) in [(0, 0), (2, 0), (1, 1), (u64::MAX >> 1, 0)] {
        let stranger = Lease {
            epoch,
            renewals,
            holder: None,
        };
        let refused = store
            .commit(Batch {
                record: Some(record("wrong", "queued", None)),
                ..holding(1, &stranger)
            })
            .await;
        assert!(
            matches!(refused, Err(CommitError::Fenced)),
            "{epoch} {renewals}: {refused:?}"
        );
    }
    let nobody = store.commit(holding(2, &lease)).await;
    assert!(
        matches!(nobody, Err(CommitError::Fenced)),
        "no record, no lease: {nobody:?}"
    );
    commit(
        &store,
        Batch {
            record: Some(record("right", "queued", None)),
            ..holding(1, &lease)
        },
    )
    .await;
    assert!(load(&store, 1).await.body.contains("right"));
}

pub async fn each_lease_change_does_what_it_says(store: Arc<dyn Store>) {
    let mut lease = commit(&store, claim(1)).await.lease;
    let steps = [
        (LeaseChange::Keep, 1, 0, Some("one")),
        (LeaseChange::Renew, 1, 1, Some("one")),
        (LeaseChange::Renew, 1, 2, Some("one")),
        (LeaseChange::Release, 1, 3, None),
        (take("two"), 2, 0, Some("two")),
        (take("one"), 3, 0, Some("one")),
        (LeaseChange::Keep, 3, 0, Some("one")),
    ];
    for (change, epoch, renewals, holder) in steps {
        let batch = Batch {
            lease: change.clone(),
            ..holding(1, &lease)
        };
        lease = commit(&store, batch).await.lease;
        let expected = Lease {
            epoch,
            renewals,
            holder: holder.map(str::to_owned),
        };
        assert_eq!(lease, expected, "after {change:?}");
        assert_eq!(load(&store, 1).await.lease, expected, "stored after {change:?}");
    }
}

pub async fn a_driver_that_was_taken_over_is_fenced(store: Arc<dyn Store>) {
    let first = commit(&store, claim(1)).await.lease;
    let second = commit(
        &store,
        Batch {
            lease: take("two"),
            ..holding(1, &first)
        },
    )
    .await
    .lease;
    let before = see(&store, 1..2).await;
    for lease in [LeaseChange::Keep, LeaseChange::Renew, LeaseChange::Release, take("one")] {
        let refused = store
            .commit(Batch {
                record: Some(record("late", "queued", Some(wake(SECOND, 1)))),
                lease,
                ..holding(1, &first)
            })
            .await;
        assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
    }
    assert_eq!(see(&store, 1..2).await, before);
    commit(&store, holding(1, &second)).await;
}

pub async fn a_batch_without_a_record_keeps_the_record(store: Arc<dyn Store>) {
    let lease = commit(
        &store,
        Batch {
            record: Some(record("first", "queued", Some(wake(SECOND, 3)))),
            ..claim(1)
        },
    )
    .await
    .lease;
    let before = load(&store, 1).await;
    commit(
        &store,
        Batch {
            history: vec![note("a line")],
            reserve: vec![reserve(Kind::Name, "acme")],
            ..holding(1, &lease)
        },
    )
    .await;
    assert_eq!(load(&store, 1).await, before);
    assert_eq!(store.history(&id(1), 0, 10).await.expect("history").len(), 1);
}

pub async fn a_batch_that_expects_nothing_touches_no_record(store: Arc<dyn Store>) {
    let reservations = |n| Batch {
        reserve: vec![reserve(Kind::Reveal, &format!("key {n}"))],
        ..Batch::new(id(n), Expect::Anything, LeaseChange::Keep)
    };
    let committed = commit(&store, reservations(1)).await;
    assert_eq!((committed.inbox_head, committed.lease), (0, Lease::default()));
    assert_eq!(store.load(&id(1)).await.expect("load"), None, "no record comes of it");
    assert_eq!(store.reservations_of(&id(1)).await.expect("reservations").len(), 1);

    commit(&store, claim(2)).await;
    append(&store, 2, "{}", None, NOW).await;
    let before = load(&store, 2).await;
    let committed = commit(&store, reservations(2)).await;
    assert_eq!((committed.inbox_head, committed.lease), (1, before.lease.clone()));
    assert_eq!(load(&store, 2).await, before);
}

/// Two instances: 1 holds name and port and has a message that was read and one that was not; 2 wants everything.
async fn two_at_odds(store: &Arc<dyn Store>) -> (Lease, Lease) {
    let one = commit(
        store,
        Batch {
            reserve: vec![reserve(Kind::Name, "acme"), reserve(Kind::Port, "8000")],
            history: vec![note("claimed")],
            ..claim(1)
        },
    )
    .await
    .lease;
    let two = commit(store, claim(2)).await.lease;
    append(store, 2, "{\"n\":1}", None, NOW).await;
    append(store, 2, "{\"n\":2}", None, NOW).await;
    (one, two)
}

/// Writes everything that can be written.
fn everything(batch: Batch) -> Batch {
    let mut record = record("changed", "ready", Some(wake(SECOND, 5)));
    record.index.name = Some("changed".to_owned());
    record.index.live = batch.expect == Expect::Absent;
    Batch {
        lease: take("three"),
        record: Some(record),
        consumed: Some(1),
        reserve: vec![reserve(Kind::Endpoint, "10.0.0.1:80"), reserve(Kind::Trigger, "t")],
        release: vec![release(Kind::Name, "acme"), release(Kind::Port, "8000")],
        history: vec![note("changed"), note("twice")],
        outbox: vec![mail("welcome")],
        ..batch
    }
}

pub async fn a_refused_batch_leaves_nothing_at_all(store: Arc<dyn Store>) {
    let (one, two) = two_at_odds(&store).await;
    let stranger = Lease {
        epoch: 7,
        ..two.clone()
    };
    let must_hold = |kind, key: &str| Release {
        must_hold: true,
        ..release(kind, key)
    };
    let before = see(&store, 1..4).await;

    let mut taken = everything(holding(2, &two));
    taken.reserve.push(reserve(Kind::Name, "acme"));
    let mut not_held = everything(holding(1, &one));
    not_held.release.push(must_hold(Kind::Name, "another"));
    let refused = [
        ("Exists", everything(Batch::new(id(1), Expect::Absent, take("three")))),
        ("Fenced", everything(holding(1, &stranger))),
        (
            "InboxMoved",
            Batch {
                inbox_at: Some(1),
                ..everything(holding(2, &two))
            },
        ),
        (
            "TooMany",
            Batch {
                at_most_live: Some(2),
                ..everything(Batch::new(id(3), Expect::Absent, take("three")))
            },
        ),
        ("Taken", taken),
        ("NotHeld", not_held),
    ];
    for (expected, batch) in refused {
        let error = store.commit(batch).await.expect_err(expected);
        assert!(format!("{error:?}").starts_with(expected), "{expected}: {error:?}");
        assert_eq!(see(&store, 1..4).await, before, "after {expected}");
    }
    // The same, when nothing is in its way.
    commit(&store, everything(holding(1, &one))).await;
    let after = see(&store, 1..4).await;
    assert_ne!(after.records, before.records);
    assert_ne!(after.histories, before.histories);
    assert_ne!(after.reservations, before.reservations);
    assert_ne!(after.outbox, before.outbox);
    assert_ne!(after.due, before.due);
    assert_ne!(after.counts, before.counts);
}

pub async fn conditions_are_checked_in_their_order(store: Arc<dyn Store>) {
    let (_, two) = two_at_odds(&store).await;
    let stranger = Lease {
        epoch: 7,
        ..two.clone()
    };
    // Fails every condition that comes after `expect`.
    let all_wrong = |batch: Batch| Batch {
        record: Some(record("x", "queued", None)),
        inbox_at: Some(1),
        at_most_live: Some(0),
        reserve: vec![reserve(Kind::Name, "acme")],
        release: vec![Release {
            must_hold: true,
            ..release(Kind::Name, "another")
        }],
        ..batch
    };
    let mut batch = all_wrong(Batch::new(id(1), Expect::Absent, take("two")));
    assert!(matches!(store.commit(batch).await, Err(CommitError::Exists)));
    batch = all_wrong(holding(2, &stranger));
    assert!(matches!(store.commit(batch).await, Err(CommitError::Fenced)));

    batch = all_wrong(Batch::new(id(3), Expect::Absent, take("two")));
    assert!(matches!(
        store.commit(batch.clone()).await,
        Err(CommitError::InboxMoved)
    ));
    batch.inbox_at = Some(0);
    assert!(matches!(
        store.commit(batch.clone()).await,
        Err(CommitError::TooMany { live: 2 })
    ));
    batch.at_most_live = Some(3);
    match store.commit(batch.clone()).await {
        Err(CommitError::Taken { kind, key, by }) => {
            assert_eq!((kind, key.as_str(), by.owner), (Kind::Name, "acme", id(1)));
        }
        other => panic!("{other:?}"),
    }
    batch.reserve.clear();
    match store.commit(batch.clone()).await {
        Err(CommitError::NotHeld { kind, key }) => assert_eq!((kind, key.as_str()), (Kind::Name, "another")),
        other => panic!("{other:?}"),
    }
    batch.release.clear();
    commit(&store, batch).await;
}

pub async fn what_was_committed_is_seen_by_the_next_read(store: Arc<dyn Store>) {
    let mut lease = commit(&store, claim(1)).await.lease;
    for n in 0..50 {
        let body = format!("round {n}");
        let batch = Batch {
            record: Some(record(&body, "queued", None)),
            lease: LeaseChange::Renew,
            reserve: vec![reserve(Kind::Trigger, &body)],
            history: vec![note(&body)],
            ..holding(1, &lease)
        };
        lease = commit(&store, batch).await.lease;
        let stored = load(&store, 1).await;
        assert!(stored.body.contains(&body), "{} is not {body}", stored.body);
        assert_eq!(stored.lease, lease);
        let reservation = store.reservation(Kind::Trigger, &body).await.expect("reservation");
        assert_eq!(reservation.map(|reservation| reservation.owner), Some(id(1)));
        let history = store.history(&id(1), n, 100).await.expect("history");
        assert_eq!(history.len(), 1, "round {n}");
    }
}

pub async fn a_large_record_is_kept_whole(store: Arc<dyn Store>) {
    let text = "ünïcödé ".repeat(10_000);
    commit(
        &store,
        Batch {
            record: Some(record(&text, "queued", None)),
            ..claim(1)
        },
    )
    .await;
    assert_eq!(load(&store, 1).await.body, format!("{{\"text\":\"{text}\"}}"));
}
