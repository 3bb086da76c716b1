//! What is over: DynamoDB removes it, by the time to live that it was written with.

use aws_sdk_dynamodb::types::AttributeValue;
use wharf_domain::Timestamp;
use wharf_saga::{
    Batch, Store,
    store::{Kind, OutboxMail, Release, Settle},
};

use super::{NOW, claim, client, everything, holding, id, note, registry, reserve};

const DAY: u64 = 24 * 3600 * 1000;

#[tokio::test]
async fn what_ends_has_a_time_to_live_and_nothing_else_has() {
    let (store, emulator) = registry().await;
    let client = client(&emulator).await;
    let until = Timestamp(NOW.0 + 2 * DAY);
    let mut trigger = reserve(Kind::Trigger, "t");
    trigger.until = Some(until);
    let mails = ["sent", "left"].map(|id| OutboxMail {
        id: id.to_owned(),
        body: "{}".to_owned(),
    });
    let claimed = Batch {
        reserve: vec![
            trigger,
            reserve(Kind::Name, "acme"),
            reserve(Kind::Token, "hash"),
            reserve(Kind::Endpoint, "e"),
        ],
        history: vec![note("a line")],
        outbox: mails.to_vec(),
        ..claim(1)
    };
    let lease = store.commit(claimed).await.expect("claimed").lease;
    let rests = Batch {
        release: vec![Release {
            kind: Kind::Name,
            key: "acme".to_owned(),
            rest_until: Some(until),
            must_hold: false,
        }],
        ..holding(1, &lease)
    };
    store.commit(rests).await.expect("it rests");
    store
        .append(&id(1), "{}".to_owned(), Some("key".to_owned()), NOW)
        .await
        .expect("appended");
    store.settle("sent", Settle::Sent { at: NOW }).await.expect("settled");
    assert_eq!(
        store.tidy(Timestamp::MAX).await.expect("tidy"),
        0,
        "it is not for us to do"
    );

    let mut ends = Vec::new();
    let mut stays = Vec::new();
    for item in everything(&client, "wharf").await {
        let [pk, sk] = ["pk", "sk"].map(|name| item[name].as_s().expect("a text").clone());
        match item.get("ttl") {
            Some(AttributeValue::N(second)) => {
                let millis = second.parse::<u64>().expect("a number") * 1000;
                assert!(millis > until.0, "{pk} {sk} would be removed before its time");
                assert!(millis <= NOW.0 + 31 * DAY, "{pk} {sk} stays too long");
                ends.push((pk, sk));
            }
            _ => stays.push((pk, sk)),
        }
    }
    ends.sort();
    let instance = id(1).as_str().to_owned();
    let alone = |pk: &str| (pk.to_owned(), "-".to_owned());
    let expected = [
        (instance.clone(), "key#key".to_owned()),
        alone("mail#sent"),
        alone("name#acme"),
        alone("trigger#t"),
    ];
    assert_eq!(ends, expected);
    for (pk, sk) in [
        (instance, "instance".to_owned()),
        alone("mail#left"),
        alone("token#hash"),
        alone("endpoint#e"),
    ] {
        assert!(stays.contains(&(pk.clone(), sk.clone())), "{pk} {sk}");
    }
}

#[tokio::test]
async fn what_is_over_is_free_whether_or_not_it_was_removed() {
    let (store, _emulator) = registry().await;
    let mut ended = reserve(Kind::Trigger, "t");
    ended.until = Some(Timestamp(NOW.0 + 1));
    let first = Batch {
        reserve: vec![ended.clone()],
        ..claim(1)
    };
    store.commit(first).await.expect("claimed");
    let later = wharf_saga::store::Reserve {
        now: Timestamp(NOW.0 + 1),
        ..ended
    };
    let second = Batch {
        reserve: vec![later],
        ..claim(2)
    };
    store.commit(second).await.expect("its time is over");
    assert_eq!(store.reservations_of(&id(1)).await.expect("reservations"), []);
}
