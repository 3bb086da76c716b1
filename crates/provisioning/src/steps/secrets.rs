//! `secrets`: the passwords that an instance needs, made once and the same at every attempt.

use async_trait::async_trait;
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};
use wharf_domain::Instance;
use wharf_saga::{Context, Outcome, Step};

use super::{APP_PASSWORD, DATABASE_PASSWORD, World};

pub(crate) struct Secrets(pub(crate) Arc<World>);

impl Secrets {
    /// 120 bits, in an alphabet that needs no quoting in a URL, a shell or a mail.
    fn password(&self) -> SecretString {
        let mut bytes = [0; 15];
        self.0.ids.fill(&mut bytes);
        SecretString::from(data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase())
    }
}

#[async_trait]
impl Step<Instance> for Secrets {
    fn name(&self) -> &'static str {
        "secrets"
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let mut values = BTreeMap::from([(APP_PASSWORD.to_owned(), self.password())]);
        if instance.service.database {
            values.insert(DATABASE_PASSWORD.to_owned(), self.password());
        }
        match self.0.platform.secrets.put(context.id, values).await {
            Ok(_) => {
                instance.held.secrets = true;
                Outcome::Done
            }
            Err(failure) => Outcome::from_failure(failure),
        }
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        match self.0.platform.secrets.remove(context.id).await {
            Ok(()) => {
                instance.held.secrets = false;
                Outcome::Done
            }
            Err(failure) => Outcome::from_failure(failure),
        }
    }
}
