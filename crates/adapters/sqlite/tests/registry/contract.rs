//! The Store's contract.

use std::sync::Arc;
use tempfile::TempDir;
use wharf_testkit::contracts::store::Fixture;

async fn make() -> Fixture {
    let folder = TempDir::new().expect("folder");
    Fixture::new(Arc::new(super::open(folder.path())), folder)
}

wharf_testkit::store_contract!(make);
wharf_testkit::store_tidying_contract!(make);
