//! Registries of earlier formats are brought to the present one. Each format that was released has a fixture: what it wrote, as SQL.

use rusqlite::Connection;
use std::path::Path;
use tempfile::TempDir;
use wharf_domain::Timestamp;
use wharf_saga::{
    Batch, Store,
    store::{Expect, Happening, Kind, Lease, LeaseChange, Wake},
};

use crate::{NOW, file, note, open};

fn write_fixture(folder: &Path, sql: &str) {
    let connection = Connection::open(file(folder)).expect("open");
    connection.execute_batch(sql).expect("the fixture is whole");
}

/// The fixture has one instance in the middle of a saga, with everything that can stand beside a record, and one that ended.
#[tokio::test]
async fn a_registry_of_format_1_is_read_and_written() {
    let folder = TempDir::new().expect("folder");
    write_fixture(folder.path(), include_str!("../fixtures/format-1.sql"));
    let store = open(folder.path());
    assert_eq!(store.deployment_id().as_str(), "dep_0123456789abcdef");

    let id = "inst_01hf7yat00000000000000000c".parse().expect("an id");
    let stored = store.load(&id).await.expect("load").expect("record");
    assert_eq!(stored.body, "{\"version\":1}");
    let lease = Lease {
        epoch: 3,
        renewals: 2,
        holder: None,
    };
    assert_eq!(stored.lease, lease);
    assert_eq!(stored.wake, Some(Wake { at: NOW, seq: 5 }));
    assert_eq!((stored.inbox_head, stored.inbox_read), (2, 1));
    let inbox = store.inbox(&id, 1, 10).await.expect("inbox");
    assert_eq!(
        (inbox.len(), inbox[0].seq, inbox[0].body.as_str()),
        (1, 2, "{\"message\":\"stop\"}")
    );
    let repeated = store
        .append(&id, "{}".to_owned(), Some("event-1".to_owned()), NOW)
        .await;
    assert_eq!(repeated.expect("append"), Some(1));
    let history = store.history(&id, 0, 10).await.expect("history");
    assert_eq!(history.len(), 2);
    assert!(matches!(&history[1].entry.what, Happening::Started { step, .. } if step == "database"));
    let name = store
        .reservation(Kind::Name, "acme")
        .await
        .expect("reservation")
        .expect("held");
    assert_eq!((&name.owner, name.resting), (&id, false));
    let port = store
        .reservation(Kind::Port, "8000")
        .await
        .expect("reservation")
        .expect("rests");
    assert_eq!((port.resting, port.until), (true, Some(Timestamp(NOW.0 + 86_400_000))));
    let mails = store.outbox(NOW, 10).await.expect("outbox");
    assert_eq!((mails.len(), mails[0].id.as_str(), mails[0].tries), (1, "welcome", 1));
    assert_eq!(store.counts().await.expect("counts").len(), 2);

    let expect = Expect::Lease { epoch: 3, renewals: 2 };
    let batch = Batch {
        history: vec![note("goes on")],
        ..Batch::new(id.clone(), expect, LeaseChange::Renew)
    };
    store.commit(batch).await.expect("commit");
    assert_eq!(store.history(&id, 2, 10).await.expect("history")[0].seq, 3);
}
