//! Nothing in an item grows with an instance's life.

use wharf_saga::{
    Batch, Store,
    store::{Kind, LeaseChange, Release, Wake},
};

use super::{NOW, claim, client, everything, holding, id, item, note, record, registry, reserve, text};
use aws_sdk_dynamodb::types::AttributeValue;
use wharf_domain::Timestamp;

/// What an item counts at, as DynamoDB sums it up.
fn size(item: &super::Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        _ => 1,
    };
    item.iter().map(|(name, attribute)| name.len() + value(attribute)).sum()
}

#[tokio::test]
async fn items_are_no_larger_after_a_thousand_commits_than_after_two_hundred() {
    const COMMITS: u64 = 1_000;
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    let row = async || {
        let got = client
            .get_item()
            .table_name("wharf")
            .set_key(Some(item([("pk", text(id(1).as_str())), ("sk", text("instance"))])));
        size(&got.send().await.expect("read").item.expect("there"))
    };
    let mut lease = store.commit(claim(1)).await.expect("claimed").lease;
    let mut early = 0;
    let mut late = 0;
    let before = store.counters().write_units;
    for n in 1..=COMMITS {
        // What a heal does: a message comes, an address goes and another comes, which rests later.
        if n % 10 == 0 {
            let key = Some(format!("event {n}"));
            store
                .append(&id(1), "{\"what\":\"heal\"}".to_owned(), key, NOW)
                .await
                .expect("appended");
        }
        let endpoint = |n: u64| format!("10.0.{}.{}:8080", n / 256, n % 256);
        let rest = Release {
            kind: Kind::Endpoint,
            key: endpoint(n - 1),
            rest_until: Some(Timestamp(NOW.0 + n + 5)),
            must_hold: false,
        };
        let mut taken = reserve(Kind::Endpoint, &endpoint(n));
        taken.now = Timestamp(NOW.0 + n);
        let heals = n % 10 == 0;
        let batch = Batch {
            lease: LeaseChange::Renew,
            record: Some(record(
                &format!("round {n}"),
                "ready",
                Some(Wake {
                    at: Timestamp(NOW.0 + n),
                    seq: n,
                }),
            )),
            consumed: Some(n / 10),
            reserve: if heals { vec![taken] } else { Vec::new() },
            release: if heals { vec![rest] } else { Vec::new() },
            history: vec![note(&format!("the task of round {n} has ended")), note("a new attempt")],
            ..holding(1, &lease)
        };
        lease = store.commit(batch).await.expect("committed").lease;
        // The newest history fills the row's kilobyte and moves on, time and again.
        if n <= 200 {
            early = early.max(row().await);
        } else if n > COMMITS - 200 {
            late = late.max(row().await);
        }
    }
    assert!(late <= 1024, "{late} bytes: more than one kilobyte");
    assert!(
        late < early + 256,
        "{early} bytes after 20 commits, {late} after {COMMITS}"
    );
    let units = (store.counters().write_units - before) / COMMITS as f64;
    assert!(units < 5.0, "{units} write units for each commit");

    let items = everything(&client, "wharf").await;
    let largest = items.iter().map(size).max().expect("some");
    assert!(largest <= 1024 + 128, "{largest} bytes");
    let pages = items
        .iter()
        .filter(|item| matches!(item.get("sk"), Some(AttributeValue::S(sort)) if sort.starts_with("history#")))
        .count();
    assert!(
        pages < COMMITS as usize / 5,
        "{pages} pages of history for {COMMITS} commits"
    );

    // And all of it is there, in order, wherever a reader begins.
    for after in [0, 1, 777, 2 * COMMITS - 3] {
        let history = store.history(&id(1), after, 5_000).await.expect("history");
        let numbers: Vec<_> = history.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, (after + 1..=2 * COMMITS).collect::<Vec<_>>());
    }
    let page = store.history(&id(1), 500, 10).await.expect("history");
    assert_eq!(
        page.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (501..=510).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_inbox_that_nobody_reads_fills_pages_and_not_the_record() {
    const MESSAGES: u64 = 300;
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    let lease = store.commit(claim(1)).await.expect("claimed").lease;
    let body = |n: u64| format!("{{\"n\":{n},\"text\":\"{}\"}}", "word ".repeat(40));
    for n in 1..=MESSAGES {
        let seq = store.append(&id(1), body(n), None, NOW).await.expect("appended");
        assert_eq!(seq, Some(n));
    }
    let items = everything(&client, "wharf").await;
    let largest = items.iter().map(size).max().expect("some");
    assert!(largest < 4096, "{largest} bytes");
    let mut read = Vec::new();
    while read.len() < MESSAGES as usize {
        let page = store.inbox(&id(1), read.len() as u64, 64).await.expect("inbox");
        assert!(!page.is_empty() && page.len() <= 64);
        read.extend(page);
    }
    let expected: Vec<_> = (1..=MESSAGES).map(|n| (n, body(n))).collect();
    let read: Vec<_> = read.into_iter().map(|entry| (entry.seq, entry.body)).collect();
    assert_eq!(read, expected);

    let dealt_with = Batch {
        consumed: Some(MESSAGES),
        ..holding(1, &lease)
    };
    store.commit(dealt_with).await.expect("committed");
    assert_eq!(store.inbox(&id(1), 0, 64).await.expect("inbox"), []);
    let left = everything(&client, "wharf").await;
    assert_eq!(left.len(), 2, "the row and its counter: {left:?}");
}
