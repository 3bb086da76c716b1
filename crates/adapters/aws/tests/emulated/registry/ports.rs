//! Ports: many callers at once, others' items, tickets, and the documented attributes.

use futures::future::join_all;
use std::{collections::BTreeSet, sync::Arc};
use wharf_aws::DynamoStore;
use wharf_domain::Timestamp;
use wharf_saga::{
    Batch, CommitError, Store,
    store::{Documented, Kind, Release},
};

use super::{NOW, claim, client, everything, holding, item, number, registry, reserve, store_at, text};

/// Leases a port of the range for the n-th instance. Gives it, and how many were lost to others on the way.
async fn lease(store: Arc<DynamoStore>, n: u64, first: u16, last: u16) -> (u16, u32) {
    for lost in 0..64 {
        let port = store.free_port(first..=last, NOW).await.expect("free port");
        let port = port.expect("there is one for each");
        let batch = Batch {
            reserve: vec![reserve(Kind::Port, &port.to_string())],
            ..claim(n)
        };
        match store.commit(batch).await {
            Ok(_) => return (port, lost),
            Err(CommitError::Taken { kind: Kind::Port, .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("{n} loses every port to another");
}

/// A hundred leases at once, from ten machines.
async fn crowd(url: &str, seed: u64, first: u16, last: u16) -> (BTreeSet<u16>, u32) {
    let machines: Vec<_> = (0..10).map(|machine| store_at(url, seed + machine)).collect();
    let leases = (0..100_u64).map(|n| {
        let store = machines[n as usize % machines.len()].clone();
        tokio::spawn(lease(store, seed * 1000 + n, first, last))
    });
    let mut ports = BTreeSet::new();
    let mut lost = 0;
    for leased in join_all(leases).await {
        let (port, tries) = leased.expect("no panic");
        assert!(ports.insert(port), "{port} was leased twice");
        lost += tries;
    }
    (ports, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_leases_at_once_never_collide_and_seldom_retry() {
    let (_, emulator) = registry().await;
    let (ports, lost) = crowd(&emulator.url(), 10, 8000, 9000).await;
    assert_eq!((ports.len(), lost), (100, 0), "each has a ticket of its own");
    assert_eq!(ports, (8000..8100).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_that_were_given_back_go_to_a_crowd_with_few_retries() {
    let (store, emulator) = registry().await;
    let range = 8000..=8299_u16;
    // All were taken once, and all are given back.
    for (n, ports) in (1..).zip(range.clone().collect::<Vec<_>>().chunks(40)) {
        for _ in ports {
            store.free_port(range.clone(), NOW).await.expect("a ticket");
        }
        let taken = Batch {
            reserve: ports
                .iter()
                .map(|port| reserve(Kind::Port, &port.to_string()))
                .collect(),
            ..claim(n)
        };
        let lease = store.commit(taken).await.expect("taken").lease;
        let given_back = Batch {
            release: ports.iter().map(|port| released(*port, None)).collect(),
            ..holding(n, &lease)
        };
        store.commit(given_back).await.expect("given back");
    }
    let (ports, lost) = crowd(&emulator.url(), 100, 8000, 8299).await;
    assert_eq!(ports.len(), 100);
    assert!(lost <= 150, "{lost} of 100 leases were lost to another at first");
}

fn released(port: u16, rest_until: Option<Timestamp>) -> Release {
    Release {
        kind: Kind::Port,
        key: port.to_string(),
        rest_until,
        must_hold: false,
    }
}

#[tokio::test]
async fn what_another_program_has_taken_is_respected() {
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    for port in [8000, 8001, 8003] {
        let theirs = item([
            ("port", number(port)),
            ("userId", text("somebody")),
            ("status", text("PROVISIONING")),
            ("createdAt", number(NOW.0)),
        ]);
        let put = client
            .put_item()
            .table_name("crownmercado-ports")
            .set_item(Some(theirs));
        put.send().await.expect("written");
    }
    assert_eq!(store.free_port(8000..=8004, NOW).await.expect("free port"), Some(8002));
    let taken = Batch {
        reserve: vec![reserve(Kind::Port, "8003")],
        ..claim(1)
    };
    match store.commit(taken).await {
        Err(CommitError::Taken {
            kind: Kind::Port, by, ..
        }) => assert_eq!(by.until, None),
        other => panic!("{other:?}"),
    }
    assert_eq!(everything(&client, "wharf").await.len(), 0, "nothing of it was written");
}

#[tokio::test]
async fn tickets_are_the_documented_hint_and_a_lost_one_is_found_again() {
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    let hint = async || {
        let got = client
            .get_item()
            .table_name("UserPortRegistry")
            .key("userId", text("SYSTEM_CONFIG"));
        got.send()
            .await
            .expect("read")
            .item
            .expect("there")
            .remove("lastAssignedPort")
    };
    assert_eq!(store.free_port(8000..=8002, NOW).await.expect("free port"), Some(8000));
    assert_eq!(hint().await, Some(number(8000)));
    // A process that draws, and dies.
    for _ in 0..2 {
        store_at(&emulator.url(), 7)
            .free_port(8000..=8002, NOW)
            .await
            .expect("free port");
    }
    assert_eq!(hint().await, Some(number(8002)));
    let mut leased = BTreeSet::new();
    for n in 1..=3 {
        let store = store_at(&emulator.url(), 10 + n);
        leased.insert(lease(store, n, 8000, 8002).await.0);
    }
    assert_eq!(leased, (8000..=8002).collect());
    assert_eq!(hint().await, Some(number(8002)), "it stays within the range");
    let another = store_at(&emulator.url(), 20);
    assert_eq!(another.free_port(8000..=8002, NOW).await.expect("free port"), None);
    assert_eq!(
        another.free_port(9000..=9001, NOW).await.expect("free port"),
        Some(9000),
        "another range has a hint of its own"
    );
}

#[tokio::test]
async fn the_table_of_ports_has_its_documented_form() {
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    let mut claim = claim(1);
    claim.reserve = vec![reserve(Kind::Port, "8000"), reserve(Kind::Port, "8001")];
    claim.documented = Some(Documented {
        key: "acme".to_owned(),
        fields: Vec::new(),
        live: true,
    });
    let lease = store.commit(claim).await.expect("free").lease;
    let given_back = Batch {
        release: vec![released(8000, None), released(8001, Some(Timestamp(NOW.0 + 5)))],
        ..holding(1, &lease)
    };
    let port = async |port: u64| {
        let got = client
            .get_item()
            .table_name("crownmercado-ports")
            .key("port", number(port));
        let mut found = got.send().await.expect("read").item.expect("there");
        assert_eq!(found.remove("userId"), Some(text("acme")));
        assert_eq!(found.remove("createdAt"), Some(number(NOW.0)));
        assert_eq!(found["port"], number(port));
        (found.remove("status").expect("a status"), found.remove("free_at"))
    };
    assert_eq!(port(8000).await, (text("PROVISIONING"), None));
    store.commit(given_back).await.expect("given back");
    assert_eq!(port(8000).await, (text("FREE"), Some(number(0))));
    assert_eq!(port(8001).await, (text("RESTING"), Some(number(NOW.0 + 5))));
}
