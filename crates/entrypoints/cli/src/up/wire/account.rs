//! The account that is deployed to: who we are in it, what its task definitions need, and the registry's tables. It starts and stops nothing.

use std::sync::Arc;
use wharf_aws::{
    ClientOptions, Clients, Governor, Sts, Tables,
    ecs::{Needs, needs},
    sts::Identity,
};
use wharf_config::Config;
use wharf_domain::{Code, Failure};
use wharf_local::{OsIds, SystemClock};

pub(crate) struct Account {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
}

impl Account {
    pub(crate) fn new(config: &Config, region: Option<&str>) -> Self {
        let options = ClientOptions {
            region: region.map(str::to_owned).or_else(|| config.aws.region.clone()),
            ..ClientOptions::default()
        };
        Self {
            clients: Arc::new(Clients::new(options)),
            governor: Arc::new(Governor::new(wharf_wiring::one_of(config.aws.share), Arc::new(OsIds))),
        }
    }

    /// As it was said, or as the AWS command line finds it.
    pub(crate) async fn region(&self) -> Option<String> {
        self.clients.config().await.region().map(ToString::to_string)
    }

    pub(crate) async fn identity(&self) -> Result<Identity, Failure> {
        if self.region().await.is_none() {
            return Err(Failure::new(Code::ConfigInvalid, "no AWS region is configured")
                .hint("set AWS_REGION, or say --region"));
        }
        let sts = Sts::new(self.clients.clone(), self.governor.clone(), Arc::new(SystemClock));
        sts.identity(Governor::deadline()).await
    }

    pub(crate) async fn needs(&self, task_definitions: impl IntoIterator<Item = &str>) -> Result<Needs, Failure> {
        needs(
            self.clients.clone(),
            self.governor.clone(),
            task_definitions,
            Governor::deadline(),
        )
        .await
    }

    /// Those of the registry's tables that are not there.
    pub(crate) async fn missing(&self, tables: &Tables) -> Result<Vec<String>, Failure> {
        let missing = tables.missing(self.clients.dynamodb().await).await?;
        Ok(missing.into_iter().map(str::to_owned).collect())
    }

    pub(crate) async fn create(&self, tables: &Tables) -> Result<(), Failure> {
        tables.create(self.clients.dynamodb().await).await
    }
}

/// What the registry's tables are called.
pub(crate) fn tables(config: &Config) -> Tables {
    let names = &config.registry;
    Tables {
        wharf: names.table.to_string(),
        ports: names.ports_table.to_string(),
        registry: names.users_table.to_string(),
    }
}

/// A server on tables that are not there could do nothing. What cannot be told is left to the first use.
pub(super) async fn examine(tables: &Tables, clients: &Clients) -> Result<(), Failure> {
    match tables.missing(clients.dynamodb().await).await {
        Ok(missing) if missing.is_empty() => Ok(()),
        Ok(missing) => Err(Failure::new(
            Code::StoreUnavailable,
            format!(
                "there is no table {} in {}",
                missing.join(", "),
                clients
                    .config()
                    .await
                    .region()
                    .map_or("this region", |region| region.as_ref())
            ),
        )
        .hint(
            "make it: `wharf deploy tables --apply`; or name those that are there \
             (WHARF_REGISTRY_TABLE, TABLE_NAME, REGISTRY_TABLE_NAME), or their region",
        )),
        Err(failure) => {
            tracing::debug!(code = %failure.code, error = %failure.message, "nobody says whether the tables are there");
            Ok(())
        }
    }
}
