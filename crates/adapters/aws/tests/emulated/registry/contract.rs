//! The Store's contract.

use wharf_testkit::contracts::store::Fixture;

async fn make() -> Fixture {
    let (store, emulator) = super::registry().await;
    Fixture::new(store, emulator)
}

wharf_testkit::store_contract!(make);
