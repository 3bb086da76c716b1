//! Instances' databases where the platform is ECS: the server's URL may be in Secrets Manager, and a Lambda function may be the only one that reaches
//! the server.

use secrecy::SecretString;
use std::sync::Arc;
use wharf_aws::{Clients, FunctionDatabases, Governor, WharfSecrets, secrets::postgres_url};
use wharf_config::{Config, DatabaseKind};
use wharf_domain::{DeploymentId, Failure};
use wharf_local::SystemClock;
use wharf_platform::Databases;
use wharf_postgres::{AdminAddress, examine::Verdict};

use super::{
    Layout,
    databases::{self, WiredDatabases},
    examine::Finding,
};

/// What of the account it takes.
#[derive(Clone)]
pub(super) struct OnAws {
    pub(super) clients: Arc<Clients>,
    pub(super) governor: Arc<Governor>,
    pub(super) secrets: Arc<WharfSecrets>,
}

impl OnAws {
    pub(super) fn new(clients: Arc<Clients>, governor: Arc<Governor>) -> Self {
        Self {
            secrets: Arc::new(WharfSecrets::new(clients.clone(), governor.clone())),
            clients,
            governor,
        }
    }

    pub(super) async fn wire(
        &self,
        config: &Config,
        layout: &Layout,
        deployment: &DeploymentId,
    ) -> Result<WiredDatabases, Failure> {
        if let Some(function) = function(config) {
            return Ok(WiredDatabases::of(self.by_function(config, function, deployment)));
        }
        let Some(name) = secret(config) else {
            return databases::wire(config, layout, deployment, Vec::new()).await;
        };
        let admin = AdminAddress::parse(&self.url(config, name).await?)?;
        databases::connect(&config.databases, deployment, admin, None).map(WiredDatabases::of)
    }

    fn by_function(&self, config: &Config, function: &str, deployment: &DeploymentId) -> FunctionDatabases {
        let (on_aws, config, deployment) = (self.clone(), Arc::new(config.clone()), deployment.clone());
        FunctionDatabases::new(
            self.clients.clone(),
            self.governor.clone(),
            Arc::new(SystemClock),
            function.to_owned(),
            Arc::new(move || {
                let (on_aws, config, deployment) = (on_aws.clone(), config.clone(), deployment.clone());
                Box::pin(async move {
                    let url = match (&config.databases.url, secret(&config)) {
                        (None, Some(name)) => on_aws.url(&config, name).await?,
                        (Some(url), _) => SecretString::from(url.expose().to_owned()),
                        (None, None) => return Err(Failure::internal("a PostgreSQL server that nobody named")),
                    };
                    Ok(wharf_wiring::database_server(&config, deployment, url))
                })
            }),
        )
    }

    async fn url(&self, config: &Config, name: &str) -> Result<SecretString, Failure> {
        postgres_url(&self.secrets.get(name).await?, config.aws.postgres_address.as_deref())
    }

    /// What `wharf doctor` looks at.
    pub(super) async fn examine(&self, config: &Config) -> Vec<Finding> {
        if let Some(function) = function(config) {
            let databases = self.by_function(config, function, &config.registry.deployment);
            let found = databases.all().await;
            let verdict = found.map_or_else(Verdict::Bad, |all| {
                Verdict::Good(format!(
                    "reaches the server, which has {} databases of this deployment",
                    all.len()
                ))
            });
            return vec![databases::finding(&format!("function {function}"), verdict)];
        }
        match secret(config) {
            None => databases::examine(config).await,
            Some(name) => {
                let url = self.url(config, name).await;
                databases::examine_server(&config.databases, url.and_then(|url| AdminAddress::parse(&url))).await
            }
        }
    }
}

/// Who makes databases in Wharf's stead.
fn function(config: &Config) -> Option<&str> {
    let function = config.aws.databases_function.as_deref()?;
    (config.databases.kind == DatabaseKind::Postgres).then_some(function)
}

/// Where the URL is that no variable and no file gives.
fn secret(config: &Config) -> Option<&str> {
    let settings = &config.databases;
    let is_given = settings.url.is_some() || settings.url_file.is_some();
    let name = config.aws.postgres_secret.as_deref()?;
    (settings.kind == DatabaseKind::Postgres && !is_given).then_some(name)
}
