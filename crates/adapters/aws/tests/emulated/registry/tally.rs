//! Counts that every process adds to.

use std::time::Duration;
use wharf_domain::Timestamp;

use super::{NOW, client, everything, registry, store_at};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn processes_count_together_and_each_stretch_by_itself() {
    let (store, emulator) = registry().await;
    let another = store_at(&emulator.url(), 2);
    let one = async || store.tally("signup 203.0.113.9", NOW, HOUR).await.expect("counted");
    assert_eq!(one().await, 1);
    assert_eq!(
        another.tally("signup 203.0.113.9", NOW, HOUR).await.expect("counted"),
        2
    );
    assert_eq!(
        another.tally("signup 203.0.113.10", NOW, HOUR).await.expect("counted"),
        1
    );
    let together = futures::future::join_all((0..10).map(|_| one())).await;
    assert_eq!(together.iter().max(), Some(&12), "none is lost: {together:?}");
    let later = Timestamp(NOW.0 + 3_600_000);
    assert_eq!(
        store.tally("signup 203.0.113.9", later, HOUR).await.expect("counted"),
        1
    );
}

#[tokio::test]
async fn a_count_ends_by_itself_and_tells_nobody_whose_it_was() {
    let (store, emulator) = registry().await;
    store.tally("signup 203.0.113.9", NOW, HOUR).await.expect("counted");
    let client = client(&emulator).await;
    let items = everything(&client, "wharf").await;
    let kept = items
        .iter()
        .find(|item| item["pk"].as_s().is_ok_and(|pk| pk.starts_with("tally#")));
    let kept = kept.expect("a count");
    assert!(!format!("{kept:?}").contains("203.0.113.9"));
    let ttl: u64 = kept["ttl"].as_n().expect("a number").parse().expect("a second");
    assert!(ttl * 1000 > NOW.0 && ttl * 1000 <= NOW.0 + 3_601_000 + 1000);
}
