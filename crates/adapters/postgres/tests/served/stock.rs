//! The stock of ready databases: how it is filled, shared, and found again.

use crate::site::{Site, connect, instance, password, settings, until};
use futures::{StreamExt, stream::FuturesUnordered};
use wharf_platform::Databases;
use wharf_postgres::Settings;

fn stocking(spare: usize) -> Settings {
    Settings { spare, ..settings() }
}

fn stocked(site: &Site) -> Vec<String> {
    let is_stocked = |name: &String| name.starts_with("wharf_spare_");
    site.databases().into_iter().filter(is_stocked).collect()
}

#[tokio::test]
async fn what_is_taken_is_made_again() {
    let site = Site::new(stocking(2));
    until("two in stock", async || site.databases.in_stock() == 2).await;
    let before = stocked(&site);
    site.create(1, "user_acme").await;
    until("two again", async || site.databases.in_stock() == 2).await;
    let after = stocked(&site);
    assert_eq!(before.iter().filter(|name| after.contains(name)).count(), 1);
    assert_eq!(site.databases.all().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_crowd_beyond_the_stock_gets_databases_of_its_own() {
    let site = Site::new(stocking(2));
    until("two in stock", async || site.databases.in_stock() == 2).await;
    let names: Vec<_> = (0..12_u64).map(|number| format!("user_t{number}")).collect();
    let crowd: FuturesUnordered<_> = names
        .iter()
        .zip(0..)
        .map(|(name, number)| site.create(number, name))
        .collect();
    let made: Vec<_> = crowd.collect().await;
    assert_eq!(made.len(), 12);
    let mut all: Vec<_> = site
        .databases
        .all()
        .await
        .unwrap()
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    all.sort();
    let mut wanted = names.clone();
    wanted.sort();
    assert_eq!(all, wanted);
    for database in &made {
        site.as_tenant(database, "SELECT 1").unwrap();
    }
}

#[tokio::test]
async fn the_stock_of_a_killed_server_is_found_and_what_it_left_half_made_is_dropped() {
    let mut site = Site::new(stocking(2));
    until("two in stock", async || site.databases.in_stock() == 2).await;
    let before = stocked(&site);
    let half = format!("wharf_spare_{}_0000000000ff", crate::site::deployment());
    let make = format!("CREATE DATABASE \"{half}\" ALLOW_CONNECTIONS false");
    assert!(site.server.ask("postgres", &make).is_empty());
    let (again, _) = connect(&site.server, stocking(2), 1000);
    site.databases = again;
    until("they are found", async || site.databases.in_stock() == 2).await;
    until("the half made one is dropped", async || stocked(&site) == before).await;
}

#[tokio::test]
async fn a_stock_that_was_made_otherwise_is_replaced() {
    let mut site = Site::new(stocking(1));
    until("one in stock", async || site.databases.in_stock() == 1).await;
    let before = stocked(&site);
    let changed = Settings {
        extensions: vec!["pgcrypto".to_owned()],
        ..stocking(1)
    };
    let (again, _) = connect(&site.server, changed, 1000);
    site.databases = again;
    until("one in stock", async || site.databases.in_stock() == 1).await;
    until("the old one is dropped", async || stocked(&site).len() == 1).await;
    assert_ne!(stocked(&site), before);
    let acme = site.create(1, "user_acme").await;
    site.as_tenant(&acme, "SELECT gen_salt('bf')").unwrap();
}

#[tokio::test]
async fn a_stock_that_is_not_wanted_any_more_goes() {
    let mut site = Site::new(stocking(2));
    until("two in stock", async || site.databases.in_stock() == 2).await;
    let (again, _) = connect(&site.server, stocking(0), 1000);
    site.databases = again;
    until("they are dropped", async || stocked(&site).is_empty()).await;
}

#[tokio::test]
async fn anothers_databases_are_not_taken_for_a_stock() {
    let site = Site::new(stocking(0));
    let others = [
        "wharf_spare_dep_aaaaaaaaaaaaaaaa_000000000001".to_owned(),
        format!("wharf_spare_{}_notours", crate::site::deployment()),
    ];
    for name in &others {
        assert!(
            site.server
                .ask("postgres", &format!("CREATE DATABASE \"{name}\""))
                .is_empty()
        );
    }
    site.create(1, "user_acme").await;
    site.databases.remove(&instance(1), "user_acme").await.unwrap();
    until("removals are carried out", async || {
        site.databases.removed().await.unwrap() == 0
    })
    .await;
    let mut expected = others.to_vec();
    expected.sort();
    assert_eq!(site.databases(), expected);
}

#[tokio::test]
async fn what_another_process_takes_first_is_not_waited_for() {
    let site = Site::new(stocking(2));
    until("two in stock", async || site.databases.in_stock() == 2).await;
    for name in stocked(&site) {
        assert!(
            site.server
                .ask("postgres", &format!("DROP DATABASE \"{name}\""))
                .is_empty()
        );
    }
    let database = site
        .databases
        .create(&instance(1), "user_acme", &password())
        .await
        .unwrap();
    site.as_tenant(&database, "SELECT 1").unwrap();
}
