//! Webhooks: a payment provisions a tenant, the end of a subscription stops it, and others are told what became of instances.
//!
//! | file | what it is for |
//! |---|---|
//! | `signature` | whether a webhook is genuine and of now; how ours are signed |
//! | `secrets` | where the secrets are |
//! | `reading` | what a webhook says, by its sender's rules |
//! | `orders` | a paid name that cannot be had, and the link to choose another |
//! | `contracts` | what is paid for, and the grace period after its end |
//! | `outgoing` | events to others |
//! | `inspect` | the pure parts, for `fuzz/` |
//!
//! What must not be here: HTTP, and the form of a body before it is known to be genuine.

mod contracts;
pub mod inspect;
mod orders;
mod outgoing;
mod reading;
mod secrets;
mod signature;

pub use orders::Choice;
pub use outgoing::Receiver;
pub use secrets::{FetchSecret, HookSecrets};
pub use signature::{Headers, ID, SIGNATURE, STRIPE_SIGNATURE, TIMESTAMP};
pub(crate) use {
    orders::{CHOICE, Order, used},
    outgoing::{Told, announce, announce_end},
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use wharf_domain::{
    Code, Failure, Instance, InstanceId, ServiceName, State, Tenant, WebhookName,
    request::{Provision, TriggerKey, fields_hash},
    webhook::WebhookRules,
};
use wharf_saga::store::Kind;

use crate::{
    claim::{Accepted, Caller, Extra},
    message::Message,
    wharf::Wharf,
};
use contracts::Lapse;
use reading::{Event, Paid, What};

/// A sender of webhooks.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub rules: WebhookRules,
    pub secrets: HookSecrets,
}

/// What became of a webhook that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// This instance is what was paid for; the same event gives it again.
    Provisioned(InstanceId),
    /// Its name cannot be had: who paid was asked for another.
    Asked,
    /// This instance is stopped when the grace period is over.
    Stops(InstanceId),
    /// What was paid for, and was waiting for a name, is not wanted any more.
    Withdrawn,
    /// It is about something that is not known here.
    Unknown,
    /// It is of another type, or about something that is not paid yet.
    Ignored,
}

impl Wharf {
    /// Takes a webhook: `body` as it came, byte for byte, since that is what is signed.
    pub async fn take_webhook(&self, name: &str, headers: Headers<'_>, body: &[u8]) -> Result<Taken, Failure> {
        let unknown = || {
            Failure::new(Code::WebhookUnknown, "no webhook of this name is configured")
                .hint("[webhooks.NAME] in wharf.toml configures one")
        };
        let name: WebhookName = name.parse().map_err(|_| unknown())?;
        let webhook = self.settings().webhooks.get(&name).ok_or_else(unknown)?;
        let rules = &webhook.rules;
        let secrets = webhook.secrets.get().await?;
        let now = self.clock().now();
        let id = signature::check(rules.kind, &secrets, headers, body, now, rules.tolerance)?;
        let Event { id, what } = reading::read(rules, id, body)?;
        let taken = match what {
            What::Nothing => Taken::Ignored,
            What::Provision { paid, contract } => {
                let contract = contract.map(|contract| contracts::key(&name, &contract));
                self.paid(&name, rules, &id, paid, contract).await?
            }
            What::Stop { contract, subdomain } => {
                let contract = contract.map(|contract| contracts::key(&name, &contract));
                let mail = format!("lapse-{}", digest(&name, &id));
                match self.lapse(contract, subdomain, now + rules.grace, mail).await? {
                    Lapse::Stops(id) => Taken::Stops(id),
                    Lapse::Withdrawn => Taken::Withdrawn,
                    Lapse::Unknown => Taken::Unknown,
                }
            }
        };
        tracing::info!(webhook = %name, event = id, ?taken, "a webhook was taken");
        Ok(taken)
    }

    async fn paid(
        &self,
        name: &WebhookName,
        rules: &WebhookRules,
        event: &str,
        paid: Paid,
        contract: Option<String>,
    ) -> Result<Taken, Failure> {
        let trigger = TriggerKey::new("webhook:provision", &digest(name, event))?;
        let service = rules
            .service
            .clone()
            .or_else(|| self.settings().tenant_service.clone())
            .ok_or_else(|| {
                Failure::new(Code::ServiceUnknown, "no service for tenants is configured")
                    .hint("give a service `tenant = true` in wharf.toml")
            })?;
        let (order, hash) = match paid {
            Paid::Good(tenant) => {
                let request = Provision {
                    tenant: tenant.clone(),
                    service: Some(service.clone()),
                };
                let hash = fields_hash(&request);
                let extra = Extra {
                    contract: contract.clone(),
                    ..Extra::default()
                };
                let why = match self
                    .provision_with(request, Caller::Webhook, Some(trigger.clone()), extra)
                    .await
                {
                    Ok(accepted) => return self.has_paid(accepted, contract).await,
                    // What holds the key, or the contract, waits for a name and has no record yet.
                    Err(failure) if failure.code == Code::InstanceUnknown => return Ok(Taken::Asked),
                    Err(failure) if !is_about_the_name(&failure) => return Err(failure),
                    Err(failure) => failure,
                };
                if let Some(own) = self.own_already(&tenant, &service, &why).await? {
                    return self.pays_again(own, contract).await;
                }
                (order(tenant, service, contract, &why), hash)
            }
            Paid::Unnamed {
                wanted,
                company_name,
                admin_email,
                why,
            } => {
                let order = Order {
                    wanted,
                    company_name,
                    admin_email,
                    service,
                    contract,
                    reason: why.message,
                };
                let hash = fields_hash(&order);
                (order, hash)
            }
        };
        if self.ask_for_name(&trigger, &hash, &order).await? {
            return Ok(Taken::Asked);
        }
        // The same event, before: a name may have been chosen since.
        let before = self.store().reservation(Kind::Trigger, &trigger.text()).await?;
        match before {
            Some(before) if self.store().load(&before.owner).await?.is_some() => Ok(Taken::Provisioned(before.owner)),
            _ => Ok(Taken::Asked),
        }
    }

    /// A payment was taken: for a new instance, for the one that the same event made before, or for one that was there.
    async fn has_paid(&self, accepted: Accepted, contract: Option<String>) -> Result<Taken, Failure> {
        let was_there = accepted.replayed && accepted.token.is_none();
        if was_there {
            return self.pays_again(accepted.instance, contract).await;
        }
        Ok(Taken::Provisioned(accepted.id))
    }

    /// Somebody pays for the tenant that they have: it goes on, or comes back.
    async fn pays_again(&self, instance: Instance, contract: Option<String>) -> Result<Taken, Failure> {
        if let Some(contract) = contract {
            self.join_contract(&instance.id, contract).await?;
        }
        if matches!(
            instance.state,
            State::Stopped { .. } | State::Stopping { end: false, .. }
        ) {
            self.engine().send(&instance.id, &Message::Start, None).await?;
        }
        Ok(Taken::Provisioned(instance.id))
    }

    /// The instance that has the name, if it is the one of whoever pays: the same address, for the same service.
    async fn own_already(
        &self,
        tenant: &Tenant,
        service: &ServiceName,
        why: &Failure,
    ) -> Result<Option<Instance>, Failure> {
        if why.code != Code::NameTaken {
            return Ok(None);
        }
        let id = match self.find(tenant.subdomain.as_str()).await {
            Ok(id) => id,
            Err(failure) if failure.code == Code::InstanceUnknown => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let is_own = |instance: &Instance| {
            let email = instance.tenant.as_ref().map(|tenant| tenant.admin_email.as_str());
            instance.service.name == *service
                && email.is_some_and(|email| email.eq_ignore_ascii_case(tenant.admin_email.as_str()))
        };
        match self.instance(&id).await {
            Ok(instance) => Ok(Some(instance).filter(is_own)),
            // Another program has the name, in a table that it shares with us.
            Err(failure) if failure.code == Code::InstanceUnknown => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

fn order(tenant: Tenant, service: ServiceName, contract: Option<String>, why: &Failure) -> Order {
    Order {
        wanted: tenant.subdomain.to_string(),
        company_name: tenant.company_name,
        admin_email: tenant.admin_email,
        service,
        contract,
        reason: why.message.clone(),
    }
}

const fn is_about_the_name(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::NameTaken | Code::NameResting | Code::NameReserved | Code::NameInvalid
    )
}

/// A key of fixed length and plain signs, whatever its sender calls the thing.
fn digest(webhook: &WebhookName, id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(webhook.as_str());
    hash.update([0]);
    hash.update(id);
    HEXLOWER.encode(&hash.finalize()[..20])
}
