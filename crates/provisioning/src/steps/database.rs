//! `database`: one for each instance whose service wants one, that nobody else can reach.

use async_trait::async_trait;
use std::sync::Arc;
use wharf_domain::{Code, Failure, Instance};
use wharf_saga::{Context, Outcome, Step};

use super::{DATABASE_PASSWORD, World};

pub(crate) struct Database(pub(crate) Arc<World>);

/// `user_<tenant>`, as documented; an instance without a tenant has its id there.
pub(crate) fn database_name(instance: &Instance) -> String {
    format!("user_{}", instance.name())
}

impl World {
    /// The instance's database, made if it is not there yet.
    pub(super) async fn database(&self, instance: &Instance) -> Result<wharf_platform::Database, Failure> {
        let secrets = self.platform.secrets.get(&instance.id).await?.unwrap_or_default();
        let password = secrets.get(DATABASE_PASSWORD).ok_or_else(|| {
            Failure::new(Code::SecretsFailed, format!("the secrets of {} are gone", instance.id))
                .hint("restore the data directory's `secrets` folder from a backup")
        })?;
        self.platform
            .databases
            .create(&instance.id, &database_name(instance), password)
            .await
    }
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
