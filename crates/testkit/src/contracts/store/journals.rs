//! History, outbox, and tidying.

use std::sync::Arc;
use wharf_domain::{Code, Failure, Timestamp};
use wharf_saga::store::{
    Batch, Expect, Happening, HistoryEntry, Kind, LeaseChange, Numbered, OutboxMail, Pending, Release, Reserve, Settle,
    Store,
};

use super::{
    AT_ONCE, DAY, NOW, SECOND, append, at, claim, commit, holding, id, load, mail, note, release, reserve, see,
};

pub async fn history_is_numbered_from_one_without_gaps(store: Arc<dyn Store>) {
    assert_eq!(store.history(&id(1), 0, 10).await.expect("history"), []);
    let with = |batch: Batch, texts: &[&str]| Batch {
        history: texts.iter().copied().map(note).collect(),
        ..batch
    };
    let lease = commit(&store, with(claim(1), &["a", "b"])).await.lease;
    commit(&store, with(claim(2), &["other"])).await;
    commit(&store, holding(1, &lease)).await;
    commit(&store, with(holding(1, &lease), &["c"])).await;
    // A refused batch uses up no number.
    let refused = store.commit(with(claim(1), &["never"])).await;
    assert!(refused.is_err());
    let anybody = Batch::new(id(1), Expect::Anything, LeaseChange::Keep);
    commit(&store, with(anybody, &["d", "e"])).await;

    let read = async |after, limit| {
        let history = store.history(&id(1), after, limit).await.expect("history");
        history
            .into_iter()
            .map(|Numbered { seq, entry }| match entry.what {
                Happening::Note { text } => (seq, text),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let all = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")].map(|(seq, text)| (seq, text.to_owned()));
    assert_eq!(read(0, 100).await, all);
    assert_eq!(read(0, 2).await, all[..2]);
    assert_eq!(read(2, 2).await, all[2..4]);
    assert_eq!(read(5, 2).await, []);
    assert_eq!(store.history(&id(2), 0, 10).await.expect("history").len(), 1);
}

pub async fn every_happening_is_read_back(store: Arc<dyn Store>) {
    let cause = Failure::new(Code::TaskCrashed, "it ended with \"7\"\n").hint("look at its logs");
    let step = "database".to_owned();
    let happenings = [
        Happening::Began {
            saga: "provision".to_owned(),
        },
        Happening::Started {
            step: step.clone(),
            undo: false,
        },
        Happening::Done {
            step: step.clone(),
            undo: true,
            millis: 12,
        },
        Happening::Waits {
            step: step.clone(),
            undo: false,
            why: "for RUNNING".to_owned(),
        },
        Happening::Failed {
            step,
            undo: false,
            last: true,
            cause: cause.clone(),
        },
        Happening::State {
            state: "failed".to_owned(),
            cause: Some(cause),
        },
        Happening::State {
            state: "ready".to_owned(),
            cause: None,
        },
        Happening::Note {
            text: "Zoë wrote".to_owned(),
        },
    ];
    let entries: Vec<_> = (1..)
        .zip(happenings)
        .map(|(attempt, what)| HistoryEntry {
            at: at(u64::from(attempt)),
            attempt,
            what,
        })
        .collect();
    commit(
        &store,
        Batch {
            history: entries.clone(),
            ..claim(1)
        },
    )
    .await;
    let read: Vec<_> = store
        .history(&id(1), 0, 100)
        .await
        .expect("history")
        .into_iter()
        .map(|numbered| numbered.entry)
        .collect();
    assert_eq!(read, entries);
}

async fn put(store: &Arc<dyn Store>, n: u64, mails: Vec<OutboxMail>) {
    let batch = Batch {
        outbox: mails,
        ..Batch::new(id(n), Expect::Anything, LeaseChange::Keep)
    };
    commit(store, batch).await;
}

async fn outbox(store: &Arc<dyn Store>, now: Timestamp, limit: usize) -> Vec<Pending> {
    store.outbox(now, limit).await.expect("outbox")
}

async fn waiting(store: &Arc<dyn Store>, now: Timestamp) -> Vec<String> {
    let pending = outbox(store, now, 100).await;
    pending.into_iter().map(|pending| pending.id).collect()
}

pub async fn a_mail_put_twice_is_one(store: Arc<dyn Store>) {
    put(&store, 1, vec![mail("a"), mail("a")]).await;
    let other = OutboxMail {
        body: "{\"to\":\"another\"}".to_owned(),
        ..mail("a")
    };
    put(&store, 2, vec![other]).await;
    let pending = outbox(&store, NOW, 10).await;
    assert_eq!(pending.len(), 1);
    let first = &pending[0];
    assert_eq!((first.id.as_str(), &first.instance, first.tries), ("a", &id(1), 0));
    assert_eq!(first.body, mail("a").body, "the first one");
    assert!(first.next_at <= NOW);

    store.settle("a", Settle::Sent { at: NOW }).await.expect("settle");
    put(&store, 1, vec![mail("a")]).await;
    assert_eq!(waiting(&store, Timestamp::MAX).await, [""; 0], "also after it was sent");
}

pub async fn mails_are_tried_oldest_first(store: Arc<dyn Store>) {
    put(&store, 1, vec![mail("m3"), mail("m1")]).await;
    put(&store, 2, vec![mail("m2")]).await;
    put(&store, 1, vec![mail("m0")]).await;
    assert_eq!(waiting(&store, NOW).await, ["m3", "m1", "m2", "m0"]);
    assert_eq!(outbox(&store, NOW, 3).await.len(), 3);
    let put_off = Settle::Later {
        at: at(SECOND),
        error: "no route".to_owned(),
    };
    store.settle("m1", put_off).await.expect("settle");
    assert_eq!(waiting(&store, NOW).await, ["m3", "m2", "m0"]);
    assert_eq!(
        waiting(&store, at(SECOND)).await,
        ["m3", "m1", "m2", "m0"],
        "it is as old as before"
    );
}

pub async fn a_mail_that_is_put_off_waits_until_then(store: Arc<dyn Store>) {
    put(&store, 1, vec![mail("a")]).await;
    for tries in 1..=3 {
        let next = at(u64::from(tries) * SECOND);
        let later = Settle::Later {
            at: next,
            error: "no route".to_owned(),
        };
        store.settle("a", later).await.expect("settle");
        assert_eq!(waiting(&store, Timestamp(next.0 - 1)).await, [""; 0]);
        let pending = outbox(&store, next, 10).await;
        assert_eq!(pending.len(), 1);
        assert_eq!((pending[0].tries, pending[0].next_at), (tries, next));
    }
}

pub async fn a_mail_that_was_sent_or_given_up_is_not_tried_again(store: Arc<dyn Store>) {
    put(&store, 1, vec![mail("sent"), mail("dead"), mail("left")]).await;
    store.settle("sent", Settle::Sent { at: NOW }).await.expect("settle");
    let dead = Settle::Dead {
        error: "no such mailbox".to_owned(),
    };
    store.settle("dead", dead.clone()).await.expect("settle");
    store.settle("no such mail", dead).await.expect("nothing happens");
    assert_eq!(waiting(&store, Timestamp::MAX).await, ["left"]);
    // The answer of a slower try.
    let later = Settle::Later {
        at: NOW,
        error: "too late".to_owned(),
    };
    store.settle("sent", later).await.expect("settle");
    assert_eq!(
        waiting(&store, Timestamp::MAX).await,
        ["left"],
        "nothing takes back that it was sent"
    );
}

async fn tidy(store: &Arc<dyn Store>, now: Timestamp) -> u64 {
    let mut removed = 0;
    for _ in 0..100 {
        match store.tidy(now).await.expect("tidy") {
            0 => return removed,
            some => removed += some,
        }
    }
    panic!("tidying does not come to an end");
}

pub async fn tidying_removes_what_is_over(store: Arc<dyn Store>) {
    assert_eq!(tidy(&store, Timestamp::MAX).await, 0, "an empty store is tidy");
    let until = |key: &str| Reserve {
        until: Some(at(SECOND)),
        ..reserve(Kind::Trigger, key)
    };
    let claimed = Batch {
        reserve: vec![reserve(Kind::Name, "acme")],
        ..claim(1)
    };
    let lease = commit(&store, claimed).await.lease;
    let keys: Vec<_> = (0..1200).map(|n| until(&n.to_string())).collect();
    for keys in keys.chunks(AT_ONCE) {
        let batch = Batch {
            reserve: keys.to_vec(),
            ..holding(1, &lease)
        };
        commit(&store, batch).await;
    }
    let rest = Release {
        rest_until: Some(at(SECOND)),
        ..release(Kind::Name, "acme")
    };
    commit(
        &store,
        Batch {
            release: vec![rest],
            ..holding(1, &lease)
        },
    )
    .await;
    assert_eq!(tidy(&store, at(SECOND - 1)).await, 0);
    assert_eq!(store.reservations_of(&id(1)).await.expect("reservations").len(), 1201);
    let once = store.tidy(at(SECOND)).await.expect("tidy");
    assert!(once > 0);
    assert_eq!(once + tidy(&store, at(SECOND)).await, 1201);
    assert_eq!(store.reservations_of(&id(1)).await.expect("reservations"), []);
    assert_eq!(store.reservation(Kind::Name, "acme").await.expect("reservation"), None);
}

pub async fn tidying_keeps_what_is_not(store: Arc<dyn Store>) {
    let claimed = Batch {
        reserve: vec![reserve(Kind::Name, "acme"), reserve(Kind::Port, "8000")],
        history: vec![note("claimed")],
        outbox: vec![mail("a"), mail("b")],
        ..claim(1)
    };
    let lease = commit(&store, claimed).await.lease;
    append(&store, 1, "\"dealt with\"", None, NOW).await;
    append(&store, 1, "\"unread\"", Some("k"), NOW).await;
    let read = Batch {
        consumed: Some(1),
        ..holding(1, &lease)
    };
    commit(&store, read).await;
    let put_off = Settle::Later {
        at: at(SECOND),
        error: "no route".to_owned(),
    };
    store.settle("b", put_off).await.expect("settle");
    let after_read = async || store.inbox(&id(1), 1, 10).await.expect("inbox");
    let (before, unread) = (see(&store, 1..2).await, after_read().await);
    tidy(&store, at(10_000 * DAY)).await;
    let after = see(&store, 1..2).await;
    assert_eq!((after.records, after.histories), (before.records, before.histories));
    assert_eq!((after.reservations, after.outbox), (before.reservations, before.outbox));
    assert_eq!(after_read().await, unread);
    assert_eq!(unread.len(), 1);
    assert_eq!(load(&store, 1).await.inbox_head, 2);
}
