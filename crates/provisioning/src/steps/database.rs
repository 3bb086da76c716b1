//! `database`: one for each instance whose service wants one, that nobody else can reach.

use async_trait::async_trait;
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wharf_domain::{Code, Failure, Instance};
use wharf_saga::{Context, Outcome, Step};

use super::{DATABASE_PASSWORD, World, is_over, pause};

/// Between two looks at a server that does not answer.
const LOOK_FIRST: Duration = Duration::from_millis(200);
const LOOK_LONGEST: Duration = Duration::from_secs(10);
/// What is to be removed on a server that is down is waited for: given up, it would be left behind, and its name with it. So is what a customer had already.
const PATIENCE: Duration = Duration::from_hours(24);

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
            // Made by this very saga a moment ago: to look is cheaper than to make it again.
            if instance.held.database.is_some()
                && let Some(database) = databases.open(&instance.id, &name, password).await?
            {
                return Ok(database);
            }
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

    /// How long a database server that is away is waited for: only who was never Ready is told in the end that there is nothing to be had.
    pub(super) fn patience_with_server(&self, instance: &Instance) -> Duration {
        match instance.first_ready_at {
            None => self.settings.pace.database_wait,
            Some(_) => PATIENCE,
        }
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

/// Nobody did anything wrong: the server is down, or has no connection left.
pub(super) const fn is_server_away(failure: &Failure) -> bool {
    matches!(failure.code, Code::DatabaseUnreachable | Code::DatabaseConnections)
}

/// A server that is down, or has no connection left, is waited for: it is nobody's fault who signs up, and mostly a restart.
pub(super) fn wait_for_server(context: &Context<'_>, allowed: Duration, failure: Failure) -> Outcome {
    if !is_server_away(&failure) {
        return Outcome::from_failure(failure);
    }
    if is_over(context, allowed) {
        return Outcome::Fail(failure);
    }
    Outcome::Wait {
        until: context.now + pause(context, LOOK_LONGEST).max(LOOK_FIRST),
        why: format!("the database server: {}", failure.code.summary()),
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

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        match self.0.database(instance).await {
            Ok(database) => {
                instance.held.database = Some(database.name);
                Outcome::Done
            }
            Err(failure) => wait_for_server(context, self.0.patience_with_server(instance), failure),
        }
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        if !instance.service.database {
            return super::NOTHING_TO_UNDO;
        }
        let (databases, name) = (&self.0.platform.databases, database_name(instance));
        let removed = match instance.first_ready_at {
            None => databases.discard(context.id, &name).await,
            Some(_) => databases.remove(context.id, &name).await,
        };
        match removed {
            Ok(()) => {
                instance.held.database = None;
                Outcome::Done
            }
            // Somebody else's stands there, so ours was never made.
            Err(failure) if failure.code == Code::ResourceForeign && instance.held.database.is_none() => Outcome::Done,
            Err(failure) => wait_for_server(context, PATIENCE, failure),
        }
    }
}
