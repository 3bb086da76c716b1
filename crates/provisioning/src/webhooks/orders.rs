//! A paid name that cannot be had: who paid is asked for another one, by a link that works once and not for ever. Nothing is started until it is
//! chosen, and nothing that was paid for is lost on the way.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use wharf_domain::{
    Code, CompanyName, Email, Failure, InstanceId, ServiceName, StatusToken, Subdomain, Tenant,
    request::{KEY_RETENTION, Provision, TriggerKey},
};
use wharf_saga::{
    Batch, CommitError,
    store::{Expect, Kind, LeaseChange, OutboxMail, Reserve},
};

use super::contracts::is_held_by;
use crate::{
    claim::{Accepted, Caller, Extra},
    mail::Letter,
    wharf::Wharf,
};

/// How long another name can be chosen.
pub(crate) const CHOICE: Duration = Duration::from_hours(7 * 24);

/// What was paid for, and waits for a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The name as it was given; it need not be one.
    pub(crate) wanted: String,
    pub(crate) company_name: CompanyName,
    pub(crate) admin_email: Email,
    pub(crate) service: ServiceName,
    /// The key of the contract, if there is one.
    pub(crate) contract: Option<String>,
    /// Why the name cannot be had.
    pub(crate) reason: String,
}

/// What somebody sees who may choose a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub company_name: String,
    pub wanted: String,
    pub reason: String,
}

/// An order's place: the record that its instance will have.
struct Open {
    id: InstanceId,
    key: String,
    order: Order,
}

impl Wharf {
    /// Keeps an order, and writes to who paid. `false`: the same event was taken before.
    pub(super) async fn ask_for_name(&self, trigger: &TriggerKey, hash: &str, order: &Order) -> Result<bool, Failure> {
        let now = self.clock().now();
        let id = self.ids().instance_id(now);
        let reserve = |kind, key: String, value: String, until| Reserve {
            kind,
            key,
            value,
            until,
            now,
        };
        let kept = serde_json::to_string(order).map_err(|error| Failure::internal(error.to_string()))?;
        let mut batch = Batch::new(id.clone(), Expect::Anything, LeaseChange::Keep);
        batch.reserve = vec![
            reserve(
                Kind::Trigger,
                trigger.text(),
                hash.to_owned(),
                Some(now + KEY_RETENTION),
            ),
            reserve(Kind::Order, self.tokens().choose(&id).hash(), kept, Some(now + CHOICE)),
        ];
        if let Some(contract) = &order.contract {
            batch
                .reserve
                .push(reserve(Kind::Contract, contract.clone(), String::new(), None));
        }
        batch.outbox.push(OutboxMail {
            id: format!("choose-{id}"),
            body: Letter::Choose {
                order: Box::new(order.clone()),
            }
            .body(),
        });
        match self.store().commit(batch).await {
            Ok(_) => {
                self.mail_bell().notify_one();
                Ok(true)
            }
            Err(CommitError::Taken { .. }) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.failure),
            Err(CommitError::Unknown(failure)) => Err(failure),
            Err(error) => Err(Failure::internal(error.to_string())),
        }
    }

    /// What the link of the mail is for, while it works.
    pub async fn choice(&self, token: &str) -> Result<Choice, Failure> {
        let Open { order, .. } = self.open_order(token).await?;
        Ok(Choice {
            company_name: order.company_name.to_string(),
            wanted: order.wanted,
            reason: order.reason,
        })
    }

    /// Gives what was paid for this name. A name that cannot be had leaves the link as it is.
    pub async fn choose(&self, token: &str, subdomain: Subdomain) -> Result<Accepted, Failure> {
        let Open { id, key, order } = self.open_order(token).await?;
        let request = Provision {
            tenant: Tenant {
                subdomain,
                admin_email: order.admin_email,
                company_name: order.company_name,
            },
            service: Some(order.service),
        };
        let extra = Extra {
            id: Some(id),
            contract: None,
            order: Some(key),
        };
        self.provision_with(request, Caller::Visitor, None, extra).await
    }

    async fn open_order(&self, token: &str) -> Result<Open, Failure> {
        let key = StatusToken::parse(token).ok_or_else(used)?.hash();
        let kept = self.store().reservation(Kind::Order, &key).await?.ok_or_else(used)?;
        if kept.resting || kept.until.is_some_and(|until| until <= self.clock().now()) {
            return Err(used());
        }
        let order: Order = serde_json::from_str(&kept.value).map_err(|error| Failure::internal(error.to_string()))?;
        // What is not paid for any more is not given.
        if let Some(contract) = &order.contract {
            let held = self.store().reservation(Kind::Contract, contract).await?;
            if !held.is_some_and(|held| is_held_by(&held, &kept.owner)) {
                return Err(used());
            }
        }
        Ok(Open {
            id: kept.owner,
            key,
            order,
        })
    }
}

pub(crate) fn used() -> Failure {
    Failure::new(
        Code::ChoiceUsed,
        "a name was chosen already, or the link is too old or not complete",
    )
    .hint("the mail that came when the application was ready has its address; otherwise ask the operator")
}
