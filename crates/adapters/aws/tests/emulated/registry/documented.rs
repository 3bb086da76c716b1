//! The documented table of tenants.

use aws_sdk_dynamodb::types::KeySchemaElement;
use wharf_aws::{Tables, store::tables};
use wharf_saga::{
    Batch, CommitError, Store,
    store::{Documented, Field, Index, Kind, RecordWrite},
};

use super::{NOW, claim, client, everything, holding, id, item, number, record, registry, reserve, text};

fn tenant(status: &str, live: bool) -> Documented {
    Documented {
        key: "acme".to_owned(),
        fields: vec![
            ("email", Field::Text("admin@acme.example".to_owned())),
            ("companyName", Field::Text("Acme & Sons".to_owned())),
            ("port", Field::Number(8000)),
            ("status", Field::Text(status.to_owned())),
            ("createdAt", Field::Number(NOW.0.cast_signed())),
        ],
        live,
    }
}

#[tokio::test]
async fn it_says_what_the_record_says_in_the_same_commit() {
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    let mut batch = claim(1);
    batch.documented = Some(tenant("PROVISIONING", true));
    let lease = store.commit(batch).await.expect("claimed").lease;
    let read = async || {
        let got = client
            .get_item()
            .table_name("UserPortRegistry")
            .key("userId", text("acme"));
        got.send().await.expect("read").item.expect("there")
    };
    let expected = |status: &str, live| {
        item([
            ("userId", text("acme")),
            ("email", text("admin@acme.example")),
            ("companyName", text("Acme & Sons")),
            ("port", number(8000)),
            ("status", text(status)),
            ("createdAt", number(NOW.0)),
            ("instance", text(id(1).as_str())),
            ("live", aws_sdk_dynamodb::types::AttributeValue::Bool(live)),
        ])
    };
    assert_eq!(read().await, expected("PROVISIONING", true));
    let mut ready = holding(1, &lease);
    ready.documented = Some(tenant("RUNNING", true));
    store.commit(ready).await.expect("Ready");
    assert_eq!(read().await, expected("RUNNING", true));

    // A commit that is refused says nothing.
    let mut late = holding(1, &wharf_saga::store::Lease::default());
    late.documented = Some(tenant("FAILED", false));
    assert!(matches!(store.commit(late).await, Err(CommitError::Fenced)));
    assert_eq!(read().await, expected("RUNNING", true));
}

#[tokio::test]
async fn a_live_item_of_anothers_is_a_name_that_is_taken() {
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    // As the system before Wharf wrote it.
    let before = item([
        ("userId", text("acme")),
        ("email", text("old@acme.example")),
        ("status", text("RUNNING")),
        ("createdAt", number(NOW.0)),
    ]);
    let put = client
        .put_item()
        .table_name("UserPortRegistry")
        .set_item(Some(before.clone()));
    put.send().await.expect("written");
    let mut batch = claim(1);
    batch.reserve = vec![reserve(Kind::Name, "acme")];
    batch.documented = Some(tenant("PROVISIONING", true));
    match store.commit(batch).await {
        Err(CommitError::Taken {
            kind: Kind::Name,
            key,
            by,
        }) => {
            assert_eq!((key.as_str(), by.resting, by.until), ("acme", false, None));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(everything(&client, "UserPortRegistry").await, [before]);
    assert_eq!(
        everything(&client, "wharf").await.len(),
        0,
        "nothing of the claim stays"
    );
}

#[tokio::test]
async fn a_name_that_was_given_up_is_anothers_to_take() {
    let (store, _emulator) = registry().await;
    let mut first = claim(1);
    first.documented = Some(tenant("PROVISIONING", true));
    let lease = store.commit(first).await.expect("claimed").lease;
    let mut second = claim(2);
    second.documented = Some(tenant("PROVISIONING", true));
    match store.commit(second.clone()).await {
        Err(CommitError::Taken {
            kind: Kind::Name, by, ..
        }) => assert_eq!(by.owner, id(1)),
        other => panic!("{other:?}"),
    }
    let ended = Batch {
        record: Some(RecordWrite {
            index: Index {
                live: false,
                ..record("", "ended", None).index
            },
            ..record("over", "ended", None)
        }),
        documented: Some(tenant("ENDED", false)),
        ..holding(1, &lease)
    };
    store.commit(ended).await.expect("ended");
    store.commit(second).await.expect("it is free");
}

/// What templates are held against is what the tables are.
#[tokio::test]
async fn the_tables_are_what_they_are_said_to_be() {
    let (store, emulator) = registry().await;
    store.create_tables().await.expect("again, and nothing happens");
    let client = client(&emulator).await;
    for (name, table) in Tables::default().all() {
        let described = client
            .describe_table()
            .table_name(name)
            .send()
            .await
            .expect("described");
        let described = described.table.expect("a table");
        let keys: Vec<_> = described
            .key_schema()
            .iter()
            .map(KeySchemaElement::attribute_name)
            .collect();
        let expected: Vec<_> = std::iter::once(table.partition)
            .chain(table.sort)
            .map(tables::Attribute::name)
            .collect();
        assert_eq!(keys, expected, "{name}");
        let mut indexes: Vec<_> = described
            .global_secondary_indexes()
            .iter()
            .filter_map(|index| index.index_name())
            .collect();
        indexes.sort_unstable();
        let mut expected: Vec<_> = table.indexes.iter().map(|index| index.name).collect();
        expected.sort_unstable();
        assert_eq!(indexes, expected, "{name}");
        let ttl = client
            .describe_time_to_live()
            .table_name(name)
            .send()
            .await
            .expect("described");
        let attribute = ttl
            .time_to_live_description
            .and_then(|description| description.attribute_name);
        assert_eq!(attribute.as_deref(), table.time_to_live, "{name}");
    }
}

#[tokio::test]
async fn a_table_that_another_program_has_filled_gets_the_index_that_it_lacks() {
    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeyType, ScalarAttributeType};
    let emulator = wharf_testkit::emulator::Emulator::start(&[]).await;
    let client = client(&emulator).await;
    let key = KeySchemaElement::builder()
        .attribute_name("port")
        .key_type(KeyType::Hash);
    let attribute = AttributeDefinition::builder()
        .attribute_name("port")
        .attribute_type(ScalarAttributeType::N);
    let made = client
        .create_table()
        .table_name("crownmercado-ports")
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key.build().expect("a key"))
        .attribute_definitions(attribute.build().expect("an attribute"));
    made.send().await.expect("made");
    let theirs = item([("port", number(8000)), ("userId", text("somebody"))]);
    let put = client
        .put_item()
        .table_name("crownmercado-ports")
        .set_item(Some(theirs.clone()));
    put.send().await.expect("written");

    let store = super::store_at(&emulator.url(), 1);
    store.create_tables().await.expect("tables");
    assert_eq!(everything(&client, "crownmercado-ports").await, [theirs]);
    assert_eq!(store.free_port(8000..=8000, NOW).await.expect("it has its index"), None);
}
