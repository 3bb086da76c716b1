//! The contract of databases, with a stock and without.

use crate::site::{Site, settings, until};
use std::sync::Arc;
use wharf_postgres::Settings;
use wharf_testkit::contracts::databases::Fixture;

fn fixture(site: Site) -> Fixture {
    let Site { databases, server, .. } = site;
    Fixture {
        databases: Arc::new(databases),
        keeps: Box::new(server),
    }
}

mod made_when_wanted {
    use super::*;

    async fn make() -> Fixture {
        fixture(Site::new(settings()))
    }

    wharf_testkit::databases_contract!(real make);
}

mod from_the_stock {
    use super::*;

    async fn make() -> Fixture {
        let site = Site::new(Settings { spare: 2, ..settings() });
        until("two in stock", async || site.databases.in_stock() == 2).await;
        fixture(site)
    }

    wharf_testkit::databases_contract!(real make);
}
