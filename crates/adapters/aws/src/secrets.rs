//! Instances' secrets in Secrets Manager: one secret for each instance, a JSON object of names to values.
//!
//! | file | what it is for |
//! |---|---|
//! | `own` | [`WharfSecrets`]: what Wharf itself is given in Secrets Manager, read and kept for a while |
//! | `server` | the URL of a database server that is kept so |
//!
//! A secret's name carries deployment and instance, so that nobody else's is ever in its place. What must not be here: making values up.

mod own;
mod server;

pub use own::WharfSecrets;
pub use server::postgres_url;

use async_trait::async_trait;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::time::Instant;
use wharf_domain::{Code, DeploymentId, Failure, InstanceId};
use wharf_platform::Secrets;

use crate::{
    clients::Clients,
    failure::failure,
    governor::{CallError, Governor},
    operations::Operation,
};

/// What one answer of ListSecrets may hold.
const PAGE: i32 = 100;
/// A region has at most 500,000 secrets.
const PAGES: usize = 5_000;

/// Keeps secrets in Secrets Manager as `wharf/<deployment>/<instance>`.
///
/// A secret that somebody scheduled for deletion (the console does that) is restored when its instance needs it: a new password would not fit the database that
/// was made with the old one.
pub struct AwsSecrets {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    deployment: DeploymentId,
}

impl fmt::Debug for AwsSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSecrets")
            .field("deployment", &self.deployment)
            .finish_non_exhaustive()
    }
}

/// A secret as it is kept.
struct Kept {
    arn: String,
    values: BTreeMap<String, SecretString>,
}

/// What came of making one.
enum Made {
    Done,
    /// One of this name is there; it may be about to go all the same.
    Exists,
    /// One of this name is there, and about to go.
    Going,
}

impl AwsSecrets {
    #[must_use]
    pub fn new(clients: Arc<Clients>, governor: Arc<Governor>, deployment: DeploymentId) -> Self {
        Self {
            clients,
            governor,
            deployment,
        }
    }

    /// The ARN of the instance's secret, for a container that reads it by itself; `None` if it has none.
    pub async fn arn(&self, instance: &InstanceId) -> Result<Option<String>, Failure> {
        let kept = self.read(instance, Governor::deadline()).await?;
        Ok(kept.map(|kept| kept.arn))
    }

    fn prefix(&self) -> String {
        format!("wharf/{}/", self.deployment)
    }

    fn name(&self, instance: &InstanceId) -> String {
        format!("{}{instance}", self.prefix())
    }

    async fn create(
        &self,
        instance: &InstanceId,
        values: &BTreeMap<String, SecretString>,
        deadline: Instant,
    ) -> Result<Made, Failure> {
        let client = self.clients.secretsmanager().await;
        let operation = Operation::SecretsCreateSecret;
        let name = self.name(instance);
        let plain: BTreeMap<&str, &str> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect();
        let json = serde_json::to_string(&plain).map(Zeroizing::new);
        let json = json.map_err(|error| Failure::internal(format!("secrets cannot be written: {error}")))?;
        let send = || {
            let call = client.create_secret().name(&name).secret_string(json.as_str());
            call.tags(tag("wharf:deployment", self.deployment.as_str()))
                .tags(tag("wharf:instance", instance.as_str()))
                .send()
        };
        match self.governor.call(operation, deadline, send).await {
            Ok(_) => Ok(Made::Done),
            Err(error) if is(&error, "ResourceExistsException") => Ok(Made::Exists),
            Err(error) if is_going(&error) => Ok(Made::Going),
            Err(error) => Err(refused(error, operation, &name)),
        }
    }

    async fn restore(&self, instance: &InstanceId, deadline: Instant) -> Result<(), Failure> {
        let client = self.clients.secretsmanager().await;
        let operation = Operation::SecretsRestoreSecret;
        let name = self.name(instance);
        let send = || client.restore_secret().secret_id(&name).send();
        match self.governor.call(operation, deadline, send).await {
            Ok(_) => {
                tracing::warn!(%instance, "somebody scheduled the instance's secret for deletion; it is restored");
                Ok(())
            }
            // One that was removed for good takes a moment to be gone.
            Err(error) if is_going(&error) || is(&error, "ResourceNotFoundException") => Err(unsettled(&name)),
            Err(error) => Err(refused(error, operation, &name)),
        }
    }

    async fn read(&self, instance: &InstanceId, deadline: Instant) -> Result<Option<Kept>, Failure> {
        let client = self.clients.secretsmanager().await;
        let operation = Operation::SecretsGetSecretValue;
        let name = self.name(instance);
        let send = || client.get_secret_value().secret_id(&name).send();
        let answer = match self.governor.call(operation, deadline, send).await {
            Ok(answer) => answer,
            Err(error) if is(&error, "ResourceNotFoundException") || is_going(&error) => return Ok(None),
            Err(error) => return Err(refused(error, operation, &name)),
        };
        let text = Zeroizing::new(answer.secret_string.unwrap_or_default());
        let values: BTreeMap<String, SecretString> = serde_json::from_str::<BTreeMap<String, String>>(&text)
            // The error would quote what it stumbled over.
            .map_err(|_| {
                Failure::new(
                    Code::ResourceForeign,
                    format!("the secret {name} does not hold what Wharf put there: a JSON object of texts"),
                )
                .hint("if somebody changed it, put its former version back (AWSPREVIOUS)")
            })?
            .into_iter()
            .map(|(name, value)| (name, SecretString::from(value)))
            .collect();
        Ok(Some(Kept {
            arn: answer.arn.unwrap_or_default(),
            values,
        }))
    }
}

#[async_trait]
impl Secrets for AwsSecrets {
    async fn put(
        &self,
        instance: &InstanceId,
        values: BTreeMap<String, SecretString>,
    ) -> Result<BTreeMap<String, SecretString>, Failure> {
        let deadline = Governor::deadline();
        let is_going = match self.create(instance, &values, deadline).await? {
            Made::Done => return Ok(values),
            Made::Exists => false,
            Made::Going => true,
        };
        if !is_going && let Some(kept) = self.read(instance, deadline).await? {
            return Ok(kept.values);
        }
        self.restore(instance, deadline).await?;
        let kept = self.read(instance, deadline).await?;
        kept.map(|kept| kept.values)
            .ok_or_else(|| unsettled(&self.name(instance)))
    }

    async fn get(&self, instance: &InstanceId) -> Result<Option<BTreeMap<String, SecretString>>, Failure> {
        let kept = self.read(instance, Governor::deadline()).await?;
        Ok(kept.map(|kept| kept.values))
    }

    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure> {
        let client = self.clients.secretsmanager().await;
        let operation = Operation::SecretsDeleteSecret;
        let name = self.name(instance);
        // Without recovery: the name would be taken for days, and the values kept that nobody may have any more.
        let send = || {
            let call = client.delete_secret().secret_id(&name);
            call.force_delete_without_recovery(true).send()
        };
        match self.governor.call(operation, Governor::deadline(), send).await {
            Ok(_) => Ok(()),
            Err(error) if is(&error, "ResourceNotFoundException") => Ok(()),
            Err(error) => Err(refused(error, operation, &name)),
        }
    }

    async fn all(&self) -> Result<Vec<InstanceId>, Failure> {
        let client = self.clients.secretsmanager().await;
        let operation = Operation::SecretsListSecrets;
        let prefix = self.prefix();
        let mut all = Vec::new();
        let mut token = None;
        for _ in 0..PAGES {
            let send = || {
                let filter = Filter::builder()
                    .key(FilterNameStringType::Name)
                    .values(&prefix)
                    .build();
                let call = client.list_secrets().filters(filter).max_results(PAGE);
                call.set_next_token(token.clone()).send()
            };
            let answer = self
                .governor
                .ask(operation, &prefix, Governor::deadline(), send)
                .await?;
            let names = answer.secret_list().iter().filter_map(|secret| secret.name());
            all.extend(names.filter_map(|name| name.strip_prefix(&prefix)?.parse::<InstanceId>().ok()));
            token = answer.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok(all)
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

fn is<E: ProvideErrorMetadata>(error: &CallError<SdkError<E, HttpResponse>>, code: &str) -> bool {
    matches!(error, CallError::Failed(error) if error.code() == Some(code))
}

/// Scheduled for deletion, or being deleted: Secrets Manager has one code for that and much else.
fn is_going<E: ProvideErrorMetadata>(error: &CallError<SdkError<E, HttpResponse>>) -> bool {
    matches!(error, CallError::Failed(error)
        if error.code() == Some("InvalidRequestException") && error.message().is_some_and(|message| message.contains("deletion")))
}

fn refused<E>(error: CallError<SdkError<E, HttpResponse>>, operation: Operation, name: &str) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    error.into_failure(operation, |error| failure(&error, &operation.on(name)))
}

fn unsettled(name: &str) -> Failure {
    Failure::new(
        Code::SecretsFailed,
        format!("the secret {name} is being made or removed just now"),
    )
    .hint("it is tried again by itself")
}
