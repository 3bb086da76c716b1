//! What is paid for, joined to the tenant that has it: the end of a subscription finds the tenant that its beginning made, and stops it after a
//! grace period. The period is a message in the outbox: it outlives restarts, and whoever pays again before its end is not stopped.

use wharf_domain::{Code, Failure, InstanceId, State, Timestamp, WebhookName};
use wharf_saga::{
    Batch, CommitError,
    store::{Expect, Kind, LeaseChange, OutboxMail, Release, Reservation, Reserve, Settle},
};

use super::digest;
use crate::{mail::Letter, message::Message, wharf::Wharf};

/// The value of a contract that has ended, and whose tenant is about to be stopped.
const LAPSED: &str = "lapsed";

/// A contract of one sender, as the registry has it.
pub(super) fn key(webhook: &WebhookName, contract: &str) -> String {
    digest(webhook, contract)
}

/// Whether it is this instance's, and goes on.
pub(super) fn is_held_by(contract: &Reservation, owner: &InstanceId) -> bool {
    !contract.resting && contract.value != LAPSED && contract.owner == *owner
}

/// What came of the end of a contract.
pub(super) enum Lapse {
    /// The tenant is stopped after the grace period.
    Stops(InstanceId),
    /// Nothing was made for it yet, and nothing will be.
    Withdrawn,
    /// Nobody knows of it.
    Unknown,
}

impl Wharf {
    /// Joins a contract to an instance that is there.
    pub(super) async fn join_contract(&self, id: &InstanceId, contract: String) -> Result<(), Failure> {
        let now = self.clock().now();
        let mut batch = Batch::new(id.clone(), Expect::Anything, LeaseChange::Keep);
        batch.reserve.push(Reserve {
            kind: Kind::Contract,
            key: contract,
            value: String::new(),
            until: None,
            now,
        });
        match self.store().commit(batch).await {
            // It is another tenant's: that one has what was paid for.
            Ok(_) | Err(CommitError::Taken { .. }) => Ok(()),
            Err(error) => Err(commit_failure(error)),
        }
    }

    /// A contract has ended. `mail` is the message's id: the same event is one message.
    pub(super) async fn lapse(
        &self,
        contract: Option<String>,
        subdomain: Option<String>,
        at: Timestamp,
        mail: String,
    ) -> Result<Lapse, Failure> {
        let now = self.clock().now();
        let held = match &contract {
            Some(key) => self.store().reservation(Kind::Contract, key).await?,
            None => None,
        };
        let owner = match (held.filter(|held| !held.resting), subdomain) {
            (Some(held), _) => Some(held.owner),
            (None, Some(name)) => match self.find(&name).await {
                Ok(id) => Some(id),
                Err(failure) if failure.code == Code::InstanceUnknown => None,
                Err(failure) => return Err(failure),
            },
            (None, None) => None,
        };
        let Some(owner) = owner else { return Ok(Lapse::Unknown) };
        let mut batch = Batch::new(owner.clone(), Expect::Anything, LeaseChange::Keep);
        if self.store().load(&owner).await?.is_none() {
            // It waits for a name to be chosen: the link does not work any more.
            batch.release.extend(contract.map(|key| Release {
                kind: Kind::Contract,
                key,
                rest_until: None,
                must_hold: false,
            }));
            self.store().commit(batch).await.map_err(commit_failure)?;
            return Ok(Lapse::Withdrawn);
        }
        batch.reserve.extend(contract.map(|key| Reserve {
            kind: Kind::Contract,
            key,
            value: LAPSED.to_owned(),
            until: None,
            now,
        }));
        batch.outbox.push(OutboxMail {
            id: mail,
            body: Letter::Lapse { at }.body(),
        });
        match self.store().commit(batch).await {
            Ok(_) => {
                self.mail_bell().notify_one();
                Ok(Lapse::Stops(owner))
            }
            Err(error) => Err(commit_failure(error)),
        }
    }

    /// Stops a tenant whose grace period is over, unless it is paid for again.
    pub(crate) async fn lapsed(&self, mail: &str, id: &InstanceId, at: Timestamp) -> Result<Settle, Failure> {
        let now = self.clock().now();
        if now < at {
            let error = "what was paid for has ended: the tenant is stopped when the grace period is over".to_owned();
            return Ok(Settle::Later { at, error });
        }
        let held = self.store().reservations_of(id).await?;
        let is_paid = held
            .iter()
            .any(|(kind, _, held)| *kind == Kind::Contract && is_held_by(held, id));
        if is_paid {
            tracing::info!(instance = %id, "it is paid for again, and is not stopped");
            return Ok(Settle::Sent { at: now });
        }
        let is_over = match self.instance(id).await {
            Ok(instance) => instance.state.is_final() || matches!(instance.state, State::Stopped { .. }),
            Err(failure) if failure.code == Code::InstanceUnknown => true,
            Err(failure) => return Err(failure),
        };
        if !is_over {
            self.engine().send(id, &Message::Stop, Some(mail.to_owned())).await?;
        }
        Ok(Settle::Sent { at: now })
    }
}

fn commit_failure(error: CommitError) -> Failure {
    match error {
        CommitError::Store(error) => error.failure,
        CommitError::Unknown(failure) => failure,
        error => Failure::internal(error.to_string()),
    }
}
