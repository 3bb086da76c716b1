//! The platform ECS: tasks, target groups and secrets on AWS; the registry in DynamoDB, or here in SQLite. Hosts and paths go through the
//! embedded load balancer, which reaches the tasks by their own addresses.

use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use wharf_aws::{
    AwsSecrets, ClientOptions, Clients, DirectProber, DynamoStore, EcsTasks, ElbRoutes, Governor, QueueReceiver, Sts,
    WakeMessage, WharfSecrets,
};
use wharf_config::{Config, RegistryKind};
use wharf_domain::{Code, DeploymentId, Failure};
use wharf_edge::Edge;
use wharf_local::{OsIds, SystemClock};
use wharf_mail::ResendKey;
use wharf_platform::Platform;
use wharf_provisioning::{Pace, Wharf, events::Delivery, tokens::TokenKey, webhooks::FetchSecret};
use wharf_saga::{Clock, Store};
use wharf_sqlite::SqliteStore;
use wharf_webhooks::WebhookPoster;

use super::{Keys, Layout, Wired, account, databases_on_aws::OnAws, mail, routes::ByKey};

/// Messages of the queue that are dealt with at once.
const AT_ONCE: usize = 64;
/// Between two looks at a registry that others write too.
const LOOK_FOR_NEWS: Duration = Duration::from_secs(1);

/// How EventBridge calls what ECS tells of tasks.
const TASK_STATE_CHANGE: &str = "ECS Task State Change";

/// What of AWS the server goes on with after the wiring.
pub(super) struct Cloud {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    tasks: Arc<EcsTasks>,
    queue_url: Option<String>,
}

pub(super) async fn wire(config: &Config, layout: &Layout, edge: &Arc<Edge>) -> Result<Wired, Failure> {
    let options = ClientOptions {
        region: config.aws.region.clone(),
        ..ClientOptions::default()
    };
    let clients = Arc::new(Clients::new(options));
    let governor = Arc::new(Governor::new(wharf_wiring::one_of(config.aws.share), Arc::new(OsIds)));
    identify(&clients, &governor).await?;
    let registry = registry(config, layout, &clients).await?;
    let deployment = registry.deployment;
    let tasks = Arc::new(EcsTasks::new(
        deployment.clone(),
        clients.clone(),
        governor.clone(),
        Arc::new(SystemClock),
    ));
    let target_groups = ElbRoutes::new(clients.clone(), governor.clone(), deployment.clone(), Arc::new(OsIds));
    let databases = OnAws::new(clients.clone(), governor.clone());
    let databases = databases.wire(config, layout, &deployment).await?;
    let platform = Platform {
        tasks: tasks.clone(),
        events: tasks.clone(),
        routes: Arc::new(ByKey {
            embedded: edge.clone(),
            target_groups: Arc::new(target_groups),
        }),
        databases: databases.databases,
        secrets: Arc::new(AwsSecrets::new(clients.clone(), governor.clone(), deployment.clone())),
        mailer: mail::mailer(config, resend_key(config, &clients, &governor))?,
        poster: Arc::new(WebhookPoster::default()),
        prober: Arc::new(DirectProber),
        logs: Arc::new(tasks.logs()),
    };
    let pace = Pace {
        look_at_tasks: config.aws.poll_interval,
        look_for_news: registry.sqlite.is_none().then_some(LOOK_FOR_NEWS),
        capacity_wait: config.platform.capacity_wait,
        database_wait: config.databases.wait,
        ..Pace::default()
    };
    Ok(Wired {
        deployment,
        platform,
        store: registry.store,
        sqlite: registry.sqlite,
        processes: None,
        docker: None,
        managed: databases.managed,
        cloud: Some(Cloud {
            clients,
            governor,
            tasks,
            queue_url: config.aws.queue_url.clone(),
        }),
        pace,
    })
}

/// Without credentials every saga would fail, and what runs could not be stopped: better said before anything is taken on.
async fn identify(clients: &Arc<Clients>, governor: &Arc<Governor>) -> Result<(), Failure> {
    if clients.config().await.region().is_none() {
        return Err(Failure::new(Code::ConfigInvalid, "no AWS region is configured")
            .hint("set AWS_REGION, or `region` in the section [aws] of wharf.toml"));
    }
    let sts = Sts::new(clients.clone(), governor.clone(), Arc::new(SystemClock));
    match sts.identity(Governor::deadline()).await {
        Ok(identity) => tracing::info!(account = identity.account, arn = identity.arn, "AWS knows us"),
        // What passes does not keep a server from coming back to tasks that run.
        Err(failure) if failure.code.is_passing() => {
            tracing::warn!(code = %failure.code, error = %failure.message, "AWS cannot be asked who we are");
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

struct Registry {
    deployment: DeploymentId,
    store: Arc<dyn Store>,
    sqlite: Option<Arc<SqliteStore>>,
}

async fn registry(config: &Config, layout: &Layout, clients: &Arc<Clients>) -> Result<Registry, Failure> {
    let names = &config.registry;
    Ok(match names.kind {
        RegistryKind::Sqlite => {
            let store = Arc::new(SqliteStore::open(&layout.registry(), &OsIds, SystemClock.now())?);
            Registry {
                deployment: store.deployment_id().clone(),
                store: store.clone(),
                sqlite: Some(store),
            }
        }
        RegistryKind::Dynamodb => {
            let tables = account::tables(config);
            account::examine(&tables, clients).await?;
            let store = DynamoStore::new(clients.clone(), tables, Arc::new(OsIds), Arc::new(SystemClock));
            Registry {
                deployment: names.deployment.clone(),
                store: Arc::new(store),
                sqlite: None,
            }
        }
    })
}

/// The key of Resend, where a secret holds it.
fn resend_key(config: &Config, clients: &Arc<Clients>, governor: &Arc<Governor>) -> Option<ResendKey> {
    let name = config.aws.resend_secret.clone()?;
    let secrets = Arc::new(WharfSecrets::new(clients.clone(), governor.clone()));
    Some(ResendKey::Kept(Arc::new(move || {
        let (secrets, name) = (secrets.clone(), name.clone());
        Box::pin(async move { secrets.get(&name).await })
    })))
}

impl Cloud {
    /// Where secrets of webhooks are that are not in the environment: in Secrets Manager, by name or ARN.
    pub(super) fn fetch(&self) -> impl Fn(String) -> FetchSecret + use<> {
        let secrets = Arc::new(WharfSecrets::new(self.clients.clone(), self.governor.clone()));
        move |name| {
            let secrets = secrets.clone();
            Arc::new(move || {
                let (secrets, name) = (secrets.clone(), name.clone());
                Box::pin(async move { secrets.get(&name).await })
            })
        }
    }

    /// Those that the deployment's functions have too, where the configuration names them; else this machine's own.
    pub(super) async fn keys(&self, config: &Config, layout: &Layout) -> Result<Keys, Failure> {
        let secrets = WharfSecrets::new(self.clients.clone(), self.governor.clone());
        let Keys {
            mut admin_token,
            mut key,
        } = super::keys(layout)?;
        if let Some(name) = &config.aws.admin_token_secret {
            admin_token = secrets.get(name).await?;
            // The command line on this machine looks for it there.
            layout.keep_admin_token(&admin_token)?;
        }
        if let Some(name) = &config.aws.token_key_secret {
            key = TokenKey::digest(&secrets.get(name).await?);
        }
        Ok(Keys { admin_token, key })
    }

    /// What comes by the queue: wakes, ECS's events, and starts and stops that EventBridge was given.
    pub(super) fn listen(&self, wharf: &Wharf, stopping: CancellationToken) {
        let Some(queue_url) = &self.queue_url else {
            tracing::info!("no queue is configured: tasks on their way are looked at now and then");
            return;
        };
        let receiver = QueueReceiver::new(self.clients.clone(), self.governor.clone(), queue_url.clone(), AT_ONCE);
        let (wharf, tasks) = (wharf.clone(), self.tasks.clone());
        tokio::spawn(Arc::new(receiver).run(stopping, move |body| {
            let (wharf, tasks) = (wharf.clone(), tasks.clone());
            async move { hear(&wharf, &tasks, &body).await }
        }));
    }
}

/// Does what a message asks for. One that fails stays in the queue, and comes again or goes where the queue puts what nobody can read.
async fn hear(wharf: &Wharf, tasks: &EcsTasks, body: &str) -> Result<(), Failure> {
    match WakeMessage::parse(body) {
        Some(WakeMessage::Wake { id, seq, .. }) => {
            wharf.engine().wake(&id, seq);
            return Ok(());
        }
        Some(WakeMessage::Lease { id, seen }) => {
            wharf.engine().recheck(&id, seen);
            return Ok(());
        }
        None => {}
    }
    let event: Value = serde_json::from_str(body).map_err(|error| {
        Failure::new(
            Code::EventInvalid,
            format!("a message of the queue is not JSON: {error}"),
        )
    })?;
    if event["detail-type"] == TASK_STATE_CHANGE {
        return match tasks.heard(&event) {
            Some(event) => wharf.heard(event).await,
            None => Ok(()),
        };
    }
    let delivery = Delivery {
        key: None,
        patience: Some(Duration::ZERO),
    };
    wharf.answer_event(&event, delivery).await.map(drop)
}
