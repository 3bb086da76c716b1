//! `database`: one for each instance whose service wants one, that nobody else can reach.

use async_trait::async_trait;
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};
use wharf_domain::{Code, Failure, Instance};
use wharf_saga::{Context, Outcome, Step};

use super::{DATABASE_PASSWORD, World};

pub(crate) struct Database(pub(crate) Arc<World>);

/// `user_<tenant>`, as documented; an instance without a tenant has its id there.
pub(crate) fn database_name(instance: &Instance) -> String {
    format!("user_{}", instance.name())
}

impl World {
    /// The instance's database. Before its first Ready it is made if it is not there. After that it holds what is the customer's: where it is gone,
    /// an empty one in its place would hide that.
    pub(super) async fn database(&self, instance: &Instance) -> Result<wharf_platform::Database, Failure> {
        let secrets = self.secrets(instance).await?;
        let password = secrets.get(DATABASE_PASSWORD).ok_or_else(|| secrets_lost(instance))?;
        let name = database_name(instance);
        let databases = &self.platform.databases;
        if instance.first_ready_at.is_none() {
            return databases.create(&instance.id, &name, password).await;
        }
        databases.open(&instance.id, &name, password).await?.ok_or_else(|| {
            Failure::new(
                Code::DatabaseLost,
                format!("the database {name} of {} is gone", instance.id),
            )
            .hint(format!(
                "restore the database from a backup, then `wharf start {0}`; or, if {0} was to be ended, `wharf delete {0}`",
                instance.name()
            ))
        })
    }

    /// The instance's secrets, in force since its first attempt.
    pub(super) async fn secrets(&self, instance: &Instance) -> Result<BTreeMap<String, SecretString>, Failure> {
        match self.platform.secrets.get(&instance.id).await? {
            Some(secrets) => Ok(secrets),
            None if instance.held.secrets => Err(secrets_lost(instance)),
            None => Ok(BTreeMap::new()),
        }
    }
}

fn secrets_lost(instance: &Instance) -> Failure {
    Failure::new(
        Code::SecretsLost,
        format!("the secrets of {} are gone", instance.id),
    )
    .hint(format!(
        "restore them from a backup (on one machine the data directory's `secrets` folder), then `wharf start {0}`; or, if {0} was to be ended, `wharf delete {0}`",
        instance.name()
    ))
}

#[async_trait]
impl Step<Instance> for Database {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn run(&self, _: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        match self.0.database(instance).await {
            Ok(database) => {
                instance.held.database = Some(database.name);
                Outcome::Done
            }
            Err(failure) => Outcome::from_failure(failure),
        }
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        if !instance.service.database {
            return super::NOTHING_TO_UNDO;
        }
        match self
            .0
            .platform
            .databases
            .remove(context.id, &database_name(instance))
            .await
        {
            Ok(()) => {
                instance.held.database = None;
                Outcome::Done
            }
            // Somebody else's stands there, so ours was never made.
            Err(failure) if failure.code == Code::ResourceForeign && instance.held.database.is_none() => Outcome::Done,
            Err(failure) => Outcome::from_failure(failure),
        }
    }
}
