//! Surveys: everybody's reservations of names, ports and endpoints, and the mails that were not sent.

use std::{collections::BTreeSet, sync::Arc};
use wharf_saga::store::{Batch, Kind, Release, Reservation, Settle, Store, Survey, Unsent};

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
