//! The registry on DynamoDB: the Store's contract, and what is its own.

mod answers;
mod contract;
mod documented;
mod growth;
mod machines;
mod ports;
mod proxy;
mod removal;
mod tally;
mod units;

use aws_sdk_dynamodb::types::AttributeValue;
use std::{collections::HashMap, sync::Arc, time::Duration};
use wharf_aws::{ClientOptions, Clients, DynamoStore, Tables};
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::{
    Batch,
    store::{Expect, Happening, HistoryEntry, Index, Kind, Lease, LeaseChange, RecordWrite, Reserve, Wake},
};
use wharf_testkit::{
    emulator::Emulator,
    sim::{SimClock, SimIds},
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn store_with(options: ClientOptions, seed: u64) -> Arc<DynamoStore> {
    let clients = Arc::new(Clients::new(options));
    let ids = Arc::new(SimIds::new(seed));
    Arc::new(DynamoStore::new(
        clients,
        Tables::default(),
        ids,
        Arc::new(SimClock::new()),
    ))
}

/// What another machine has of the same registry: nothing in common but the tables. The emulator serves one call after another, on a machine that may
/// have much else to do: what is slow is no fault here.
fn store_at(url: &str, seed: u64) -> Arc<DynamoStore> {
    let patient = ClientOptions {
        registry_attempt_timeout: Duration::from_secs(30),
        registry_operation_timeout: Duration::from_secs(90),
        ..ClientOptions::emulator(url)
    };
    store_with(patient, seed)
}

/// A registry with its tables, and the emulator that it is in.
async fn registry() -> (Arc<DynamoStore>, Emulator) {
    let emulator = Emulator::start(&[]).await;
    let store = store_at(&emulator.url(), 1);
    store.create_tables().await.expect("tables");
    (store, emulator)
}

/// What a person with the AWS command line sees, and other programs write.
async fn client(emulator: &Emulator) -> aws_sdk_dynamodb::Client {
    let clients = Clients::new(ClientOptions::emulator(emulator.url()));
    clients.dynamodb().await.clone()
}

type Item = HashMap<String, AttributeValue>;

fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Everything in a table.
async fn everything(client: &aws_sdk_dynamodb::Client, table: &str) -> Vec<Item> {
    let pages = client.scan().table_name(table).into_paginator().items().send();
    pages.collect::<Result<_, _>>().await.expect("a scan")
}

/// The n-th instance: later ones sort later.
fn id(n: u64) -> InstanceId {
    InstanceId::new(Timestamp(NOW.0 + n), [7; 10])
}

fn record(text: &str, state: &'static str, wake: Option<Wake>) -> RecordWrite {
    RecordWrite {
        body: format!("{{\"text\":\"{text}\"}}"),
        index: Index {
            name: None,
            service: "shop".to_owned(),
            state,
            live: true,
        },
        wake,
    }
}

/// A claim by driver "one".
fn claim(n: u64) -> Batch {
    let lease = LeaseChange::Take {
        holder: "one".to_owned(),
    };
    Batch {
        record: Some(record("claimed", "queued", None)),
        ..Batch::new(id(n), Expect::Absent, lease)
    }
}

/// A batch of whoever saw this lease.
fn holding(n: u64, lease: &Lease) -> Batch {
    let expect = Expect::Lease {
        epoch: lease.epoch,
        renewals: lease.renewals,
    };
    Batch::new(id(n), expect, LeaseChange::Keep)
}

fn reserve(kind: Kind, key: &str) -> Reserve {
    Reserve {
        kind,
        key: key.to_owned(),
        value: String::new(),
        until: None,
        now: NOW,
    }
}

fn note(text: &str) -> HistoryEntry {
    HistoryEntry {
        at: NOW,
        attempt: 1,
        what: Happening::Note { text: text.to_owned() },
    }
}
