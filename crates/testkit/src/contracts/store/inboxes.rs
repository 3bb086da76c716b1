//! Numbers and keys of messages, what they make due, and the position that a wait is written against.

use std::sync::Arc;
use wharf_saga::store::{Batch, CommitError, InboxEntry, Store};

use super::{DAY, HOUR, NOW, SECOND, append, at, claim, commit, holding, id, load, record, see, wake};

async fn bodies(store: &Arc<dyn Store>, n: u64, after: u64, limit: usize) -> Vec<(u64, String)> {
    let entries = store.inbox(&id(n), after, limit).await.expect("inbox");
    entries
        .into_iter()
        .map(|InboxEntry { seq, body }| (seq, body))
        .collect()
}

pub async fn messages_are_numbered_and_read_in_order(store: Arc<dyn Store>) {
    for n in [1, 2] {
        commit(&store, claim(n)).await;
    }
    for seq in 1..=12 {
        assert_eq!(append(&store, 1, &format!("\"{seq}\""), None, NOW).await, seq);
    }
    assert_eq!(
        append(&store, 2, "\"other\"", None, NOW).await,
        1,
        "each inbox counts for itself"
    );
    assert_eq!(load(&store, 1).await.inbox_head, 12);
    let all: Vec<_> = (1..=12).map(|seq| (seq, format!("\"{seq}\""))).collect();
    assert_eq!(bodies(&store, 1, 0, 100).await, all);
    assert_eq!(bodies(&store, 1, 0, 5).await, all[..5]);
    assert_eq!(bodies(&store, 1, 5, 5).await, all[5..10]);
    assert_eq!(bodies(&store, 1, 12, 5).await, []);
    assert_eq!(bodies(&store, 3, 0, 5).await, [], "nobody's inbox is empty");
}

pub async fn a_message_to_nobody_is_not_kept(store: Arc<dyn Store>) {
    let before = see(&store, 1..2).await;
    let appended = store.append(&id(1), "{}".to_owned(), Some("key".to_owned()), NOW).await;
    assert_eq!(appended.expect("append"), None);
    assert_eq!(see(&store, 1..2).await, before);
}

pub async fn a_repeated_key_is_one_message(store: Arc<dyn Store>) {
    for n in [1, 2] {
        commit(&store, claim(n)).await;
    }
    assert_eq!(append(&store, 1, "\"first\"", Some("k"), NOW).await, 1);
    assert_eq!(append(&store, 1, "\"between\"", None, NOW).await, 2);
    assert_eq!(
        append(&store, 1, "\"other\"", Some("k"), at(DAY)).await,
        1,
        "the first one's number"
    );
    assert_eq!(
        append(&store, 1, "\"between\"", None, NOW).await,
        3,
        "without a key each is its own"
    );
    assert_eq!(
        append(&store, 2, "\"there\"", Some("k"), NOW).await,
        1,
        "another inbox's keys are others"
    );
    let first = bodies(&store, 1, 0, 1).await;
    assert_eq!(first, [(1, "\"first\"".to_owned())]);
    assert_eq!(load(&store, 1).await.inbox_head, 3);
}

pub async fn a_key_is_known_for_two_days_after_it_was_dealt_with(store: Arc<dyn Store>) {
    let lease = commit(&store, claim(1)).await.lease;
    append(&store, 1, "\"first\"", Some("k"), NOW).await;
    commit(
        &store,
        Batch {
            consumed: Some(1),
            ..holding(1, &lease)
        },
    )
    .await;
    let almost = at(48 * HOUR - 1);
    while store.tidy(almost).await.expect("tidy") > 0 {}
    assert_eq!(append(&store, 1, "\"again\"", Some("k"), almost).await, 1);
    assert_eq!(load(&store, 1).await.inbox_head, 1);
}

pub async fn a_message_makes_its_instance_due(store: Arc<dyn Store>) {
    let due = async |now| {
        let due = store.due(now, 10).await.expect("due");
        due.into_iter().map(|due| (due.id, due.wake)).collect::<Vec<_>>()
    };
    let lease = commit(&store, claim(1)).await.lease;
    append(&store, 1, "{}", None, at(5)).await;
    let at_five = wake(5, 0);
    assert_eq!(due(at(4)).await, []);
    assert_eq!(due(at(5)).await, [(id(1), at_five)], "from rest");
    assert_eq!(load(&store, 1).await.wake, Some(at_five));

    let sleep = |millis, seq| Batch {
        record: Some(record("sleeps", "queued", Some(wake(millis, seq)))),
        ..holding(1, &lease)
    };
    commit(&store, sleep(100 * SECOND, 7)).await;
    append(&store, 1, "{}", None, at(50)).await;
    assert_eq!(
        load(&store, 1).await.wake,
        Some(wake(50, 7)),
        "earlier than it would have been, and no new wait"
    );

    commit(&store, sleep(20, 8)).await;
    append(&store, 1, "{}", None, at(60)).await;
    assert_eq!(load(&store, 1).await.wake, Some(wake(20, 8)), "it was due earlier");

    let rests = Batch {
        record: Some(record("rests", "queued", None)),
        ..holding(1, &lease)
    };
    commit(&store, rests).await;
    append(&store, 1, "{}", None, at(70)).await;
    assert_eq!(
        load(&store, 1).await.wake,
        Some(wake(70, 8)),
        "its last wait's number is not lost at rest"
    );
}

pub async fn a_wait_is_written_only_against_the_inbox_that_was_read(store: Arc<dyn Store>) {
    let lease = commit(&store, claim(1)).await.lease;
    let wait = |inbox_at| Batch {
        inbox_at: Some(inbox_at),
        record: Some(record("waits", "queued", Some(wake(SECOND, 1)))),
        ..holding(1, &lease)
    };
    commit(&store, wait(0)).await;
    append(&store, 1, "{}", None, NOW).await;
    let before = see(&store, 1..2).await;
    for stale in [0, 2] {
        let refused = store.commit(wait(stale)).await;
        assert!(matches!(refused, Err(CommitError::InboxMoved)), "{stale}: {refused:?}");
    }
    assert_eq!(see(&store, 1..2).await, before);
    commit(&store, wait(1)).await;
}

pub async fn a_commit_tells_what_has_come_meanwhile(store: Arc<dyn Store>) {
    let lease = commit(&store, claim(1)).await.lease;
    assert_eq!(commit(&store, holding(1, &lease)).await.inbox_head, 0);
    append(&store, 1, "{}", None, NOW).await;
    append(&store, 1, "{}", None, NOW).await;
    assert_eq!(commit(&store, holding(1, &lease)).await.inbox_head, 2);
    let batch = Batch {
        consumed: Some(2),
        ..holding(1, &lease)
    };
    assert_eq!(
        commit(&store, batch).await.inbox_head,
        2,
        "what was dealt with still counts"
    );
}

pub async fn what_was_dealt_with_stays_dealt_with(store: Arc<dyn Store>) {
    let lease = commit(&store, claim(1)).await.lease;
    for n in 1..=4 {
        append(&store, 1, &format!("\"{n}\""), (n % 2 == 0).then_some("even"), NOW).await;
    }
    // The fourth has the second one's key: there are three.
    assert_eq!(load(&store, 1).await.inbox_head, 3);
    let consume = |up_to| Batch {
        consumed: Some(up_to),
        ..holding(1, &lease)
    };
    commit(&store, consume(2)).await;
    assert_eq!(load(&store, 1).await.inbox_read, 2);
    assert_eq!(
        bodies(&store, 1, 2, 10).await,
        [(3, "\"3\"".to_owned())],
        "what is left is kept"
    );
    commit(&store, consume(1)).await;
    assert_eq!(load(&store, 1).await.inbox_read, 2, "never backwards");
    commit(&store, consume(99)).await;
    assert_eq!(load(&store, 1).await.inbox_read, 3, "never beyond what has come");
    assert_eq!(append(&store, 1, "\"next\"", None, NOW).await, 4);
    assert_eq!(bodies(&store, 1, 3, 10).await, [(4, "\"next\"".to_owned())]);
}
