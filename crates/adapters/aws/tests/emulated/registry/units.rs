//! What it costs, in DynamoDB's units.

use wharf_aws::StoreCounters;
use wharf_domain::Service;
use wharf_saga::{Store, store::Kind};
use wharf_testkit::sim::{services, wharf::provision_on};

use super::{NOW, claim, client, everything, reserve};

/// What one whole provision costs: name, trigger's key, status token, endpoint, link to the first password, mail, and the documented table.
async fn provision(service: Service) -> StoreCounters {
    let (store, _emulator) = super::registry().await;
    provision_on(store.clone(), service, Some("0b8ad0bf-8a67-4a3c-8d2b-4f3f6a0f1c55")).await;
    store.counters()
}

#[tokio::test]
async fn a_provision_takes_no_more_than_forty_write_units() {
    let dynamic = provision(services::shop()).await;
    let with_static_port = provision(services::direct()).await;
    for counters in [dynamic, with_static_port] {
        assert!(counters.write_units <= 40.0, "{counters:?}");
        // Five commits: those of claim, endpoint and Ready are transactions. And a port's ticket.
        assert!(counters.writes <= 6 && counters.transactions <= 3, "{counters:?}");
        assert_eq!(counters.refused, 0, "no condition is expected to fail");
    }
}

/// A port leased at this fill of a thousand, as the difference of what was counted before and after.
async fn lease(filled: u16) -> StoreCounters {
    let (store, emulator) = super::registry().await;
    let client = client(&emulator).await;
    // As a range is that has been in use: its ports were all taken once, and some were given back.
    let items = (8000..9000_u16).map(|port| {
        let mut item = super::item([
            ("port", super::number(port.into())),
            ("userId", super::text("acme")),
            ("createdAt", super::number(NOW.0)),
        ]);
        let is_taken = port % 1000 < filled;
        if is_taken {
            item.insert("owner".to_owned(), super::text(super::id(1).as_str()));
        } else {
            item.extend(super::item([
                ("pool", super::text("free")),
                ("free_at", super::number(0)),
            ]));
        }
        item
    });
    for chunk in items.collect::<Vec<_>>().chunks(25) {
        let puts = chunk.iter().map(|item| {
            let put = aws_sdk_dynamodb::types::PutRequest::builder().set_item(Some(item.clone()));
            aws_sdk_dynamodb::types::WriteRequest::builder()
                .put_request(put.build().expect("a put"))
                .build()
        });
        let written = client
            .batch_write_item()
            .request_items("crownmercado-ports", puts.collect());
        written.send().await.expect("written");
    }
    let last = super::item([
        ("userId", super::text("SYSTEM_CONFIG")),
        ("lastAssignedPort", super::number(9000)),
    ]);
    let put = client.put_item().table_name("UserPortRegistry").set_item(Some(last));
    put.send().await.expect("written");
    let before = store.counters();
    let port = store
        .free_port(8000..=9000, NOW)
        .await
        .expect("free port")
        .expect("one is free");
    let batch = wharf_saga::Batch {
        reserve: vec![reserve(Kind::Port, &port.to_string())],
        ..claim(2)
    };
    store.commit(batch).await.expect("it is free");
    assert_eq!(everything(&client, "crownmercado-ports").await.len(), 1000);
    let after = store.counters();
    StoreCounters {
        write_units: after.write_units - before.write_units,
        read_units: after.read_units - before.read_units,
        refused: after.refused - before.refused,
        ..after
    }
}

#[tokio::test]
async fn a_lease_costs_the_same_however_full_the_range_is() {
    for filled in [0, 500, 950, 999] {
        let cost = lease(filled).await;
        // The claim's row and counter (4, and 1 in an index), the port (2, and 1 where it leaves the index of free ones).
        assert!(cost.write_units <= 8.0, "{filled} of 1000: {cost:?}");
        assert!(cost.read_units <= 3.0, "{filled} of 1000: {cost:?}");
        // The ticket: this process learns once that the range is through.
        assert!(cost.refused <= 1, "{filled} of 1000: {cost:?}");
    }
}
