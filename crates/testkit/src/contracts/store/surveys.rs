//! Surveys: everybody's reservations of names, ports and endpoints, and the mails that were not sent.

use std::{collections::BTreeSet, sync::Arc};
use wharf_domain::Code;
use wharf_saga::store::{Batch, Fate, Kind, Posted, Release, Reservation, Settle, Store, Survey, Unsent};

use super::{NOW, SECOND, at, claim, commit, holding, id, mail, release, reserve};

/// Every page, joined. `limit` bounds each list of each page.
async fn survey(store: &Arc<dyn Store>, limit: usize) -> Survey {
    let mut whole = Survey::default();
    let mut from = None;
    // Ten pages for each thing that a check puts there: more are a walk that never ends.
    for _ in 0..1000 {
        let page = store.survey(from, limit).await.expect("survey");
        assert!(
            page.reservations.len() <= limit && page.mails.len() <= limit,
            "{page:?}"
        );
        whole.reservations.extend(page.reservations);
        whole.mails.extend(page.mails);
        from = page.next;
        if from.is_none() {
            whole.reservations.sort_by(|(a, x, _), (b, y, _)| (a, x).cmp(&(b, y)));
            whole.mails.sort_by(|a, b| a.id.cmp(&b.id));
            return whole;
        }
    }
    panic!("it does not end");
}

pub async fn a_survey_shows_what_is_held_and_not_what_ends_by_itself(store: Arc<dyn Store>) {
    assert_eq!(survey(&store, 10).await, Survey::default());
    let all = Kind::ALL.iter().map(|kind| reserve(*kind, "8000")).collect();
    let lease = commit(
        &store,
        Batch {
            reserve: all,
            ..claim(1)
        },
    )
    .await
    .lease;
    let rest = Release {
        rest_until: Some(at(SECOND)),
        ..release(Kind::Port, "8000")
    };
    let rests = Batch {
        release: vec![rest],
        ..holding(1, &lease)
    };
    commit(&store, rests).await;
    let found = survey(&store, 10).await;
    let held = |kind, resting| {
        let reservation = Reservation {
            owner: id(1),
            value: "mine".to_owned(),
            resting,
            until: resting.then(|| at(SECOND)),
        };
        (kind, "8000".to_owned(), reservation)
    };
    assert_eq!(
        found.reservations,
        [
            held(Kind::Name, false),
            held(Kind::Port, true),
            held(Kind::Endpoint, false)
        ]
    );
}

pub async fn a_survey_shows_the_mails_that_were_not_sent(store: Arc<dyn Store>) {
    let put = Batch {
        outbox: ["dead", "late", "new", "sent"].map(mail).into(),
        ..claim(1)
    };
    commit(&store, put).await;
    let error = || "no such mailbox".to_owned();
    let settled = [
        ("dead", Settle::Dead { error: error() }),
        (
            "late",
            Settle::Later {
                at: at(SECOND),
                error: error(),
            },
        ),
        ("sent", Settle::Sent { at: NOW }),
    ];
    for (mail, settle) in settled {
        store.settle(mail, settle).await.expect("settle");
    }
    let mut found = survey(&store, 10).await.mails;
    // A mail that was never tried is due at once, whatever a store calls that.
    let new = found.iter_mut().find(|mail| mail.id == "new").expect("it waits");
    assert!(new.next_at.take().is_some_and(|next| next <= NOW));
    let unsent = |id: &str, tries, next_at, error| Unsent {
        id: id.to_owned(),
        instance: super::id(1),
        tries,
        next_at,
        error,
    };
    assert_eq!(
        found,
        [
            unsent("dead", 1, None, Some(error())),
            unsent("late", 1, Some(at(SECOND)), Some(error())),
            unsent("new", 0, None, None),
        ]
    );
    let again = Settle::Later {
        at: NOW,
        error: error(),
    };
    store.settle("dead", again).await.expect("settle");
    let revived = survey(&store, 10).await.mails;
    assert!(revived.iter().all(|mail| mail.next_at.is_some()), "{revived:?}");
}

/// All mails, page by page, by their ids.
async fn mails(store: &Arc<dyn Store>, limit: usize) -> Vec<Posted> {
    let (mut whole, mut from) = (Vec::new(), None);
    loop {
        let page = store.posted(from, limit).await.expect("mails");
        assert!(page.mails.len() <= limit, "a page of {limit} is not longer");
        whole.extend(page.mails);
        from = page.next;
        if from.is_none() {
            whole.sort_by(|a: &Posted, b| a.id.cmp(&b.id));
            return whole;
        }
    }
}

pub async fn every_mail_is_shown_with_its_fate(store: Arc<dyn Store>) {
    let put = Batch {
        outbox: ["dead", "late", "new", "sent"].map(mail).into(),
        ..claim(1)
    };
    commit(&store, put).await;
    let error = || "no such mailbox".to_owned();
    let later = Settle::Later {
        at: at(SECOND),
        error: error(),
    };
    for (mail, settle) in [
        ("dead", Settle::Dead { error: error() }),
        ("late", later.clone()),
        ("sent", later),
        ("sent", Settle::Sent { at: at(2 * SECOND) }),
    ] {
        store.settle(mail, settle).await.expect("settle");
    }
    let mut found = mails(&store, 10).await;
    assert_eq!(mails(&store, 3).await, found, "the pages join without gap");
    // A mail that was never tried is due at once, whatever a store calls that.
    if let Some(Posted {
        fate: Fate::Waits { next_at },
        ..
    }) = found.iter_mut().find(|mail| mail.id == "new")
    {
        assert!(*next_at <= NOW);
        *next_at = NOW;
    }
    let posted = |id: &str, tries, fate, error| Posted {
        id: id.to_owned(),
        instance: super::id(1),
        body: mail(id).body,
        tries,
        fate,
        error,
    };
    let expected = [
        posted("dead", 1, Fate::Dead, Some(error())),
        posted("late", 1, Fate::Waits { next_at: at(SECOND) }, Some(error())),
        posted("new", 0, Fate::Waits { next_at: NOW }, None),
        posted("sent", 2, Fate::Sent { at: at(2 * SECOND) }, None),
    ];
    assert_eq!(found, expected);
    for nowhere in ["", "\\", "ò\u{1a}\0", "elsewhere"] {
        let refused = store.posted(Some(nowhere.to_owned()), 10).await;
        let code = refused.map(drop).map_err(|error| error.failure.code);
        assert_eq!(code, Err(Code::RequestInvalid), "{nowhere:?}");
    }
    for mail in expected.iter().filter(|mail| mail.id != "new") {
        assert_eq!(store.mail(&mail.id).await.expect("mail").as_ref(), Some(mail));
    }
    assert_eq!(store.mail("no such mail").await.expect("mail"), None);
}

pub async fn a_mail_that_is_wanted_again_is_tried_from_the_beginning(store: Arc<dyn Store>) {
    let put = Batch {
        outbox: ["dead", "sent"].map(mail).into(),
        ..claim(1)
    };
    commit(&store, put).await;
    let error = "no such mailbox".to_owned();
    for (mail, settle) in [
        ("dead", Settle::Dead { error: error.clone() }),
        ("sent", Settle::Sent { at: NOW }),
        ("dead", Settle::Again { at: at(SECOND) }),
        ("sent", Settle::Again { at: at(SECOND) }),
        ("no such mail", Settle::Again { at: at(SECOND) }),
    ] {
        store.settle(mail, settle).await.expect("settle");
    }
    let of = async |id: &str| store.mail(id).await.expect("mail").expect("it is there");
    let (dead, sent) = (of("dead").await, of("sent").await);
    assert_eq!(
        (dead.fate, dead.tries, dead.error),
        (Fate::Waits { next_at: at(SECOND) }, 0, Some(error))
    );
    assert_eq!(sent.fate, Fate::Sent { at: NOW }, "nothing takes back that it was sent");
    let due = store.outbox(at(SECOND), 10).await.expect("outbox");
    assert_eq!(due.iter().map(|mail| mail.id.as_str()).collect::<Vec<_>>(), ["dead"]);
    assert!(store.outbox(NOW, 10).await.expect("outbox").is_empty());
}

pub async fn the_pages_of_a_survey_join_without_gap(store: Arc<dyn Store>) {
    for n in 1..8 {
        let batch = Batch {
            reserve: vec![
                reserve(Kind::Name, &format!("name-{n}")),
                reserve(Kind::Port, &format!("{}", 8000 + n)),
            ],
            outbox: vec![mail(&format!("mail-{n}"))],
            ..claim(n)
        };
        commit(&store, batch).await;
    }
    let whole = survey(&store, 1000).await;
    let keys: BTreeSet<_> = whole
        .reservations
        .iter()
        .map(|(kind, key, _)| (*kind, key.clone()))
        .collect();
    assert_eq!((keys.len(), whole.reservations.len(), whole.mails.len()), (14, 14, 7));
    for limit in [1, 3, 7] {
        assert_eq!(survey(&store, limit).await, whole, "{limit} a page");
    }
}
