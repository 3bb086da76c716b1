//! The registry on DynamoDB: the Store's contract, and what is its own.

mod contract;

use std::sync::Arc;
use wharf_aws::{ClientOptions, Clients, DynamoStore, Tables};
use wharf_testkit::{
    emulator::Emulator,
    sim::{SimClock, SimIds},
};

fn store_at(url: &str, seed: u64) -> DynamoStore {
    let clients = Arc::new(Clients::new(ClientOptions::emulator(url)));
    let ids = Arc::new(SimIds::new(seed));
    DynamoStore::new(clients, Tables::default(), ids, Arc::new(SimClock::new()))
}

/// A registry with its tables, and the emulator that it is in.
async fn registry() -> (Arc<DynamoStore>, Emulator) {
    let emulator = Emulator::start(&[]).await;
    let store = store_at(&emulator.url(), 1);
    store.create_tables().await.expect("tables");
    (Arc::new(store), emulator)
}
