//! A free port, to the last one.

use std::{collections::BTreeSet, sync::Arc};
use wharf_domain::Timestamp;
use wharf_saga::store::{Batch, Expect, Kind, LeaseChange, Release, Reserve, Store};

use super::{AT_ONCE, NOW, SECOND, at, commit, id, release, reserve};

async fn take_ports(store: &Arc<dyn Store>, n: u64, ports: impl IntoIterator<Item = u16>) {
    let ports: Vec<u16> = ports.into_iter().collect();
    for ports in ports.chunks(AT_ONCE) {
        let reserve = |port: &u16| reserve(Kind::Port, &port.to_string());
        let batch = Batch {
            reserve: ports.iter().map(reserve).collect(),
            ..Batch::new(id(n), Expect::Anything, LeaseChange::Keep)
        };
        commit(store, batch).await;
    }
}

async fn give_back(store: &Arc<dyn Store>, n: u64, port: u16, rest_until: Option<Timestamp>) {
    let batch = Batch {
        release: vec![Release {
            rest_until,
            ..release(Kind::Port, &port.to_string())
        }],
        ..Batch::new(id(n), Expect::Anything, LeaseChange::Keep)
    };
    commit(store, batch).await;
}

async fn free(store: &Arc<dyn Store>, first: u16, last: u16, now: Timestamp) -> Option<u16> {
    store.free_port(first..=last, now).await.expect("free port")
}

pub async fn a_free_port_is_one_that_nobody_has(store: Arc<dyn Store>) {
    let taken = [8000, 8001, 8003, 8004, 8006, 8007, 8009];
    take_ports(&store, 1, taken).await;
    // The same numbers under another kind are no ports.
    let others = Batch {
        reserve: vec![reserve(Kind::Endpoint, "8002"), reserve(Kind::Trigger, "8005")],
        ..Batch::new(id(2), Expect::Anything, LeaseChange::Keep)
    };
    commit(&store, others).await;
    for _ in 0..20 {
        let port = free(&store, 8000, 8009, NOW).await.expect("three are free");
        assert!([8002, 8005, 8008].contains(&port), "{port}");
    }
}

pub async fn the_last_free_port_is_found(store: Arc<dyn Store>) {
    take_ports(&store, 1, 8000..=8199).await;
    for last in [8000, 8123, 8199] {
        give_back(&store, 1, last, None).await;
        for _ in 0..3 {
            assert_eq!(free(&store, 8000, 8199, NOW).await, Some(last));
        }
        take_ports(&store, 1, [last]).await;
        assert_eq!(free(&store, 8000, 8199, NOW).await, None);
    }
}

pub async fn a_full_range_has_no_free_port(store: Arc<dyn Store>) {
    take_ports(&store, 1, 8000..=8049).await;
    take_ports(&store, 2, 8050..=8099).await;
    assert_eq!(free(&store, 8000, 8099, NOW).await, None);
    assert_eq!(
        free(&store, 8100, 8100, NOW).await,
        Some(8100),
        "beside it there is room"
    );
    assert_eq!(free(&store, 8099, 8100, NOW).await, Some(8100));
}

pub async fn a_port_that_was_given_back_is_free_again(store: Arc<dyn Store>) {
    take_ports(&store, 1, 8000..=8009).await;
    give_back(&store, 2, 8004, None).await;
    assert_eq!(free(&store, 8000, 8009, NOW).await, None, "another's is not given back");
    give_back(&store, 1, 8004, None).await;
    assert_eq!(free(&store, 8000, 8009, NOW).await, Some(8004));
}

pub async fn a_resting_port_is_free_when_its_rest_is_over(store: Arc<dyn Store>) {
    take_ports(&store, 1, 8000..=8009).await;
    give_back(&store, 1, 8007, Some(at(SECOND))).await;
    assert_eq!(free(&store, 8000, 8009, at(SECOND - 1)).await, None);
    assert_eq!(free(&store, 8000, 8009, at(SECOND)).await, Some(8007));
    let timed = Batch {
        reserve: vec![Reserve {
            until: Some(at(5 * SECOND)),
            now: at(SECOND),
            ..reserve(Kind::Port, "8007")
        }],
        ..Batch::new(id(2), Expect::Anything, LeaseChange::Keep)
    };
    commit(&store, timed).await;
    assert_eq!(free(&store, 8000, 8009, at(2 * SECOND)).await, None);
    assert_eq!(
        free(&store, 8000, 8009, at(5 * SECOND)).await,
        Some(8007),
        "held until then"
    );
}

pub async fn callers_in_turn_are_offered_different_ports(store: Arc<dyn Store>) {
    take_ports(&store, 1, (8000..8100).filter(|port| port % 2 == 0)).await;
    let mut offered = BTreeSet::new();
    for _ in 0..50 {
        offered.extend(free(&store, 8000, 8099, NOW).await);
    }
    assert!(offered.iter().all(|port| port % 2 == 1));
    // As far as can be: a store on a network may not remember each offer, and one that always offers the same would be no use.
    assert!(offered.len() > 25, "{} different ports in 50 offers", offered.len());
}
