//! Where the registry is, and what Wharf itself needs of AWS.

use serde::Serialize;
use std::time::Duration;
use wharf_domain::DeploymentId;

use crate::{
    keys::aws as keys,
    resolved::Resolved,
    setting::Setting,
    values::{RegistryKind, TableName},
};

/// `[registry]`: where Wharf keeps what it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registry {
    pub kind: RegistryKind,
    /// The deployment's name, where it is not made with the registry's file.
    pub deployment: DeploymentId,
    /// Wharf's own table of DynamoDB.
    pub table: TableName,
    /// The documented table of leased ports.
    pub ports_table: TableName,
    /// The documented table of tenants.
    pub users_table: TableName,
}

impl Registry {
    pub(crate) fn read(from: &mut Resolved<'_>) -> Self {
        const PATH: &str = "registry";
        let kind = if from.machine.lambda {
            from.force(
                "registry.kind",
                &RegistryKind::Dynamodb,
                "AWS Lambda has no disk that lasts",
            );
            RegistryKind::Dynamodb
        } else {
            from.get(PATH, &keys::KIND)
        };
        let deployment = from.get(PATH, &keys::DEPLOYMENT).unwrap_or_else(unnamed);
        from.settle("registry.deployment", deployment.show());
        Self {
            kind,
            deployment,
            table: from.get(PATH, &keys::TABLE),
            ports_table: from.get(PATH, &keys::PORTS_TABLE),
            users_table: from.get(PATH, &keys::USERS_TABLE),
        }
    }
}

/// A deployment that nobody named.
fn unnamed() -> DeploymentId {
    "wharf".parse().expect("this is a name; a test says so")
}

/// `[aws]`: what Wharf itself needs of AWS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Aws {
    /// Where it is `None`, the SDK finds it.
    pub region: Option<String>,
    /// The SQS queue of wakes and events.
    pub queue_url: Option<String>,
    /// Between two looks at a task whose events do not come.
    pub poll_interval: Duration,
    /// Of each of the account's API allowances, more than 0 and at most 1.
    pub share: f64,
    /// Secrets of Secrets Manager, by name or ARN.
    pub admin_token_secret: Option<String>,
    pub token_key_secret: Option<String>,
    pub resend_secret: Option<String>,
    /// The PostgreSQL server of instances' databases: its URL, or who comes to it.
    pub postgres_secret: Option<String>,
    /// Where that server is, if the secret does not say it.
    pub postgres_address: Option<String>,
    /// The function that makes databases, by name or ARN.
    pub databases_function: Option<String>,
}

impl Aws {
    pub(crate) fn read(from: &Resolved<'_>) -> Self {
        const PATH: &str = "aws";
        Self {
            region: from.get(PATH, &keys::REGION),
            queue_url: from.get(PATH, &keys::QUEUE_URL),
            poll_interval: from.get(PATH, &keys::POLL_INTERVAL),
            share: from.get(PATH, &keys::SHARE).0,
            admin_token_secret: from.get(PATH, &keys::ADMIN_TOKEN_SECRET),
            token_key_secret: from.get(PATH, &keys::TOKEN_KEY_SECRET),
            resend_secret: from.get(PATH, &keys::RESEND_SECRET),
            postgres_secret: from.get(PATH, &keys::POSTGRES_SECRET),
            postgres_address: from.get(PATH, &keys::POSTGRES_ADDRESS),
            databases_function: from.get(PATH, &keys::DATABASES_FUNCTION),
        }
    }
}
