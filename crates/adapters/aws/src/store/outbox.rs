//! Mails that wait to be handed over.

use std::time::Duration;
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::{
    StoreError,
    store::{Fate, OutboxMail, Pending, Posted, Settle},
};

use super::{
    DynamoStore,
    action::{Action, Verb},
    attributes::{Item, Read, damaged, item, number, text, time},
    read::{Ask, failed},
    rights::ALONE,
    tables::DUE,
};

/// The partition, in the index of what is due, of mails that wait.
const WAITING: &str = "mail";
/// How long a mail that was sent stays: as long as its being put twice has to be noticed, and somebody might ask for it.
const SENT_KEPT: Duration = Duration::from_hours(30 * 24);

fn key(id: &str) -> Item {
    item([("pk", text(format!("mail#{id}"))), ("sk", text(ALONE))])
}

/// The write that puts a mail, unless it was put before. `order` is higher for a later one.
pub(super) fn put(table: &str, instance: &InstanceId, mail: &OutboxMail, order: u64) -> Action {
    let mut whole = key(&mail.id);
    whole.extend(item([
        ("id", text(&mail.id)),
        ("instance", text(instance.as_str())),
        ("body", text(&mail.body)),
        ("tries", number(0)),
        ("order", number(order)),
        ("due", text(WAITING)),
        // At once, by whatever clock.
        ("due_at", number(0)),
    ]));
    Action::new(table, Verb::Put(whole)).only_if("attribute_not_exists(#pk)", item([]))
}

pub(super) fn posted(item: &Item) -> Result<Posted, StoreError> {
    let (waits, sent) = (
        item.optional_time("due_at").map_err(failed)?,
        item.optional_time("sent_at").map_err(failed)?,
    );
    let Pending {
        id,
        instance,
        body,
        tries,
        ..
    } = pending(item)?;
    Ok(Posted {
        id,
        instance,
        body,
        tries,
        fate: match (sent, waits) {
            (Some(at), _) => Fate::Sent { at },
            (None, Some(next_at)) => Fate::Waits { next_at },
            (None, None) => Fate::Dead,
        },
        error: item.optional_text("error").map(str::to_owned),
    })
}

fn pending(item: &Item) -> Result<Pending, StoreError> {
    Ok(Pending {
        id: item.text("id").map_err(failed)?.to_owned(),
        instance: item
            .text("instance")
            .map_err(failed)?
            .parse()
            .map_err(|_| failed(damaged(item, "instance")))?,
        body: item.text("body").map_err(failed)?.to_owned(),
        tries: item.number("tries").map_err(failed)? as u32,
        // One that is given up, or sent, waits for nothing.
        next_at: item.optional_time("due_at").map_err(failed)?.unwrap_or(Timestamp(0)),
    })
}

impl DynamoStore {
    pub(super) async fn waiting_mails(&self, now: Timestamp, limit: usize) -> Result<Vec<Pending>, StoreError> {
        let table = &self.base.tables().wharf;
        let found = self
            .base
            .query(&Ask {
                table,
                index: Some(DUE),
                keys: "#due = :due AND #due_at <= :now",
                filter: None,
                values: item([(":due", text(WAITING)), (":now", time(now))]),
                newest_first: false,
                limit,
            })
            .await?;
        let keys: Vec<_> = found
            .iter()
            .map(|found| {
                let key = found.iter().filter(|(name, _)| matches!(name.as_str(), "pk" | "sk"));
                let key = key.map(|(name, value)| (name.clone(), value.clone())).collect();
                (table.as_str(), key)
            })
            .collect();
        let mut mails = Vec::new();
        // The index may still show one that was sent meanwhile.
        for mail in self.base.get_many(&keys, true).await?.into_iter().flatten() {
            let waits = mail.optional_number("due_at").map_err(failed)?;
            if waits.is_some_and(|at| at <= now.as_millis()) {
                mails.push((mail.number("order").map_err(failed)?, pending(&mail)?));
            }
        }
        mails.sort_by_key(|(order, _)| *order);
        Ok(mails.into_iter().map(|(_, mail)| mail).collect())
    }

    pub(super) async fn settle_mail(&self, id: &str, settle: Settle) -> Result<(), StoreError> {
        let (expression, values) = match settle {
            Settle::Sent { at } => (
                "SET #tries = #tries + :one, #sent_at = :at, #ttl = :ttl REMOVE #due, #due_at, #error",
                item([(":at", time(at)), (":ttl", number((at + SENT_KEPT).as_millis() / 1000))]),
            ),
            Settle::Later { at, error } => (
                "SET #tries = #tries + :one, #due = :due, #due_at = :at, #error = :error",
                item([(":due", text(WAITING)), (":at", time(at)), (":error", text(error))]),
            ),
            Settle::Dead { error } => (
                "SET #tries = #tries + :one, #error = :error REMOVE #due, #due_at",
                item([(":error", text(error))]),
            ),
            Settle::Again { at } => {
                let values = item([(":due", text(WAITING)), (":at", time(at)), (":none", number(0))]);
                return self
                    .change_mail(id, "SET #tries = :none, #due = :due, #due_at = :at", values)
                    .await;
            }
        };
        let values = values.into_iter().chain(item([(":one", number(1))])).collect();
        self.change_mail(id, expression, values).await
    }

    /// Nothing takes back that it was sent.
    async fn change_mail(&self, id: &str, expression: &str, values: Item) -> Result<(), StoreError> {
        let update = Verb::Update {
            key: key(id),
            expression: expression.to_owned(),
        };
        let action = Action::new(&self.base.tables().wharf, update)
            .only_if("attribute_exists(#pk) AND attribute_not_exists(#sent_at)", values);
        self.base.write_alone(action).await
    }

    /// One mail, as it is committed.
    pub(super) async fn posted_mail(&self, id: &str) -> Result<Option<Posted>, StoreError> {
        let table = self.base.tables().wharf.as_str();
        let found = self.base.get_many(&[(table, key(id))], true).await?;
        found.into_iter().flatten().next().map(|item| posted(&item)).transpose()
    }
}
