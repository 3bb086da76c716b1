//! One owner a key: rests, ends, releases.

use std::sync::Arc;
use wharf_domain::Timestamp;
use wharf_saga::store::{Batch, CommitError, Expect, Kind, LeaseChange, Release, Reservation, Reserve, Store};

use super::{NOW, SECOND, at, claim, commit, id, release, reserve};

/// A batch of reservations only.
fn only(n: u64, reserve: Vec<Reserve>, release: Vec<Release>) -> Batch {
    Batch {
        reserve,
        release,
        ..Batch::new(id(n), Expect::Anything, LeaseChange::Keep)
    }
}

async fn find(store: &Arc<dyn Store>, kind: Kind, key: &str) -> Option<Reservation> {
    store.reservation(kind, key).await.expect("reservation")
}

/// Who has it, if the n-th instance cannot.
async fn refused(store: &Arc<dyn Store>, n: u64, wanted: Reserve) -> Reservation {
    let (kind, key) = (wanted.kind, wanted.key.clone());
    match store.commit(only(n, vec![wanted], Vec::new())).await {
        Err(CommitError::Taken { kind: k, key: y, by }) => {
            assert_eq!((k, y), (kind, key));
            by
        }
        other => panic!("{other:?}"),
    }
}

pub async fn a_key_has_one_owner(store: Arc<dyn Store>) {
    assert_eq!(find(&store, Kind::Name, "acme").await, None);
    commit(
        &store,
        Batch {
            reserve: vec![reserve(Kind::Name, "acme")],
            ..claim(1)
        },
    )
    .await;
    let held = Reservation {
        owner: id(1),
        value: "mine".to_owned(),
        resting: false,
        until: None,
    };
    assert_eq!(find(&store, Kind::Name, "acme").await, Some(held.clone()));
    let late = Reserve {
        value: "another's".to_owned(),
        now: Timestamp::MAX,
        ..reserve(Kind::Name, "acme")
    };
    assert_eq!(refused(&store, 2, late).await, held, "what has no end does not end");
    assert_eq!(find(&store, Kind::Name, "acme").await, Some(held));
    assert_eq!(
        find(&store, Kind::Name, "Acme").await,
        None,
        "keys are compared as they are"
    );
}

pub async fn kinds_do_not_share_keys(store: Arc<dyn Store>) {
    for (n, kind) in (1..).zip(Kind::ALL) {
        commit(&store, only(n, vec![reserve(*kind, "8000")], Vec::new())).await;
    }
    for (n, kind) in (1..).zip(Kind::ALL) {
        let found = find(&store, *kind, "8000").await.expect("held");
        assert_eq!(found.owner, id(n), "{kind}");
    }
}

pub async fn the_owner_may_reserve_again(store: Arc<dyn Store>) {
    commit(&store, only(1, vec![reserve(Kind::Trigger, "t")], Vec::new())).await;
    let again = Reserve {
        value: "other fields".to_owned(),
        until: Some(at(SECOND)),
        ..reserve(Kind::Trigger, "t")
    };
    commit(&store, only(1, vec![again], Vec::new())).await;
    let found = find(&store, Kind::Trigger, "t").await.expect("held");
    assert_eq!(
        (found.owner, found.value.as_str(), found.until),
        (id(1), "other fields", Some(at(SECOND)))
    );
}

pub async fn a_reservation_ends_by_itself(store: Arc<dyn Store>) {
    let until = |now, until| Reserve {
        until: Some(until),
        now,
        ..reserve(Kind::Trigger, "t")
    };
    commit(&store, only(1, vec![until(NOW, at(SECOND))], Vec::new())).await;
    let by = refused(&store, 2, until(at(SECOND - 1), at(9 * SECOND))).await;
    assert_eq!((by.owner, by.until, by.resting), (id(1), Some(at(SECOND)), false));
    commit(&store, only(2, vec![until(at(SECOND), at(9 * SECOND))], Vec::new())).await;
    let found = find(&store, Kind::Trigger, "t").await.expect("held");
    assert_eq!((found.owner, found.until), (id(2), Some(at(9 * SECOND))));
    assert_eq!(store.reservations_of(&id(1)).await.expect("reservations"), []);
}

pub async fn a_released_key_is_free_at_once(store: Arc<dyn Store>) {
    commit(&store, only(1, vec![reserve(Kind::Name, "acme")], Vec::new())).await;
    commit(&store, only(1, Vec::new(), vec![release(Kind::Name, "acme")])).await;
    assert_eq!(find(&store, Kind::Name, "acme").await, None);
    commit(&store, only(2, vec![reserve(Kind::Name, "acme")], Vec::new())).await;
}

/// Instance 1 has held the name and lets it rest.
async fn let_rest(store: &Arc<dyn Store>, until: Timestamp) {
    commit(store, only(1, vec![reserve(Kind::Name, "acme")], Vec::new())).await;
    let rest = Release {
        rest_until: Some(until),
        ..release(Kind::Name, "acme")
    };
    commit(store, only(1, Vec::new(), vec![rest])).await;
}

fn reserve_name(now: Timestamp) -> Vec<Reserve> {
    vec![Reserve {
        now,
        ..reserve(Kind::Name, "acme")
    }]
}

pub async fn a_resting_key_is_nobody_elses(store: Arc<dyn Store>) {
    let_rest(&store, at(SECOND)).await;
    let resting = Reservation {
        owner: id(1),
        value: "mine".to_owned(),
        resting: true,
        until: Some(at(SECOND)),
    };
    assert_eq!(find(&store, Kind::Name, "acme").await, Some(resting.clone()));
    assert_eq!(
        refused(&store, 2, reserve_name(at(SECOND - 1)).remove(0)).await,
        resting
    );
    commit(&store, only(2, reserve_name(at(SECOND)), Vec::new())).await;
    let found = find(&store, Kind::Name, "acme").await.expect("held");
    assert_eq!((found.owner, found.resting, found.until), (id(2), false, None));
}

pub async fn the_one_who_released_may_take_it_back(store: Arc<dyn Store>) {
    let_rest(&store, at(SECOND)).await;
    commit(&store, only(1, reserve_name(NOW), Vec::new())).await;
    let found = find(&store, Kind::Name, "acme").await.expect("held");
    assert_eq!((found.owner, found.resting, found.until), (id(1), false, None));
}

pub async fn a_release_of_what_is_not_held_does_nothing(store: Arc<dyn Store>) {
    let_rest(&store, at(SECOND)).await;
    commit(&store, only(1, vec![reserve(Kind::Port, "8000")], Vec::new())).await;
    let resting = find(&store, Kind::Name, "acme").await;
    let held = find(&store, Kind::Port, "8000").await;
    for rest_until in [None, Some(at(99 * SECOND))] {
        let of = |kind, key| Release {
            rest_until,
            ..release(kind, key)
        };
        commit(&store, only(2, Vec::new(), vec![of(Kind::Port, "8000")])).await;
        commit(&store, only(2, Vec::new(), vec![of(Kind::Port, "8001")])).await;
        // Again, as an undo that is run twice does.
        commit(&store, only(1, Vec::new(), vec![of(Kind::Name, "acme")])).await;
        assert_eq!(find(&store, Kind::Port, "8000").await, held);
        assert_eq!(find(&store, Kind::Port, "8001").await, None);
        assert_eq!(
            find(&store, Kind::Name, "acme").await,
            resting,
            "its rest is what it was"
        );
    }
}

pub async fn a_release_that_must_hold_says_when_it_does_not(store: Arc<dyn Store>) {
    let_rest(&store, at(SECOND)).await;
    commit(&store, only(1, vec![reserve(Kind::Reveal, "r")], Vec::new())).await;
    let must = |kind, key| Release {
        must_hold: true,
        ..release(kind, key)
    };
    let cases = [
        (2, Kind::Reveal, "r", "another's"),
        (1, Kind::Reveal, "s", "nobody's"),
        (1, Kind::Name, "acme", "one that rests"),
    ];
    for (n, kind, key, what) in cases {
        match store.commit(only(n, Vec::new(), vec![must(kind, key)])).await {
            Err(CommitError::NotHeld { kind: k, key: y }) => assert_eq!((k, y.as_str()), (kind, key)),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert!(find(&store, Kind::Reveal, "r").await.is_some());
}

pub async fn a_right_is_used_up_once(store: Arc<dyn Store>) {
    commit(&store, only(1, vec![reserve(Kind::Reveal, "r")], Vec::new())).await;
    let uses = (0..20).map(|_| {
        let used = Release {
            must_hold: true,
            ..release(Kind::Reveal, "r")
        };
        store.commit(only(1, Vec::new(), vec![used]))
    });
    let outcomes = futures::future::join_all(uses).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

pub async fn all_reservations_of_an_owner_are_found(store: Arc<dyn Store>) {
    let ended = Reserve {
        until: Some(at(1)),
        ..reserve(Kind::Trigger, "ended")
    };
    let_rest(&store, at(SECOND)).await;
    commit(
        &store,
        only(
            1,
            vec![
                reserve(Kind::Port, "8001"),
                reserve(Kind::Port, "8000"),
                reserve(Kind::Token, "hash"),
                ended,
            ],
            Vec::new(),
        ),
    )
    .await;
    commit(&store, only(2, vec![reserve(Kind::Port, "8002")], Vec::new())).await;
    let mut found: Vec<_> = store
        .reservations_of(&id(1))
        .await
        .expect("reservations")
        .into_iter()
        .map(|(kind, key, reservation)| (kind, key, reservation.resting))
        .collect();
    found.sort();
    let expected = [
        (Kind::Name, "acme", true),
        (Kind::Port, "8000", false),
        (Kind::Port, "8001", false),
        (Kind::Trigger, "ended", false),
        (Kind::Token, "hash", false),
    ];
    assert_eq!(
        found,
        expected.map(|(kind, key, resting)| (kind, key.to_owned(), resting))
    );
}

/// An effect-free step reserves, is undone before anything was committed, and its release comes in the same batch: nothing is left.
pub async fn reserved_and_released_at_once_is_released(store: Arc<dyn Store>) {
    commit(
        &store,
        only(
            1,
            vec![reserve(Kind::Endpoint, "10.0.0.1:80")],
            vec![release(Kind::Endpoint, "10.0.0.1:80")],
        ),
    )
    .await;
    assert_eq!(find(&store, Kind::Endpoint, "10.0.0.1:80").await, None);
    let rest = Release {
        rest_until: Some(at(SECOND)),
        ..release(Kind::Endpoint, "10.0.0.1:80")
    };
    commit(
        &store,
        only(1, vec![reserve(Kind::Endpoint, "10.0.0.1:80")], vec![rest]),
    )
    .await;
    let found = find(&store, Kind::Endpoint, "10.0.0.1:80").await.expect("it rests");
    assert!(found.resting);
}
