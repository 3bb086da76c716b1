//! The one file that names adapters: makes them from the function's environment and the file of its package, and puts them together.
//!
//! Making them calls nobody. Of all that is here only the key of the tokens is fetched before an invocation goes on: no instance is claimed without it.

use futures::{FutureExt, future::BoxFuture};
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wharf_aws::{
    AwsSecrets, ClientOptions, Clients, DirectProber, DynamoStore, EcsTasks, ElbRoutes, FunctionDatabases, Governor,
    SqsWaker, Tables, WharfSecrets, secrets::postgres_url,
};
use wharf_config::{Config, DatabaseKind, MailKind, RepairApply};
use wharf_domain::{Code, DeploymentId, Failure, InstanceId, Timestamp};
use wharf_local::{OsIds, SystemClock};
use wharf_mail::ResendKey;
use wharf_platform::{Databases, Mail, MailError, Mailer, NoDatabases, Platform};
use wharf_provisioning::{Pace, Settings, tokens::TokenKey, webhooks::FetchSecret};
use wharf_saga::{Clock, Seen, Waker};
use wharf_webhooks::WebhookPoster;
use wharf_wiring::mail::{resend, smtp};

use crate::{
    deployed::{Deployed, HttpKeys, HttpParts, Parts},
    function::Make,
    metrics::Metrics,
};

/// ECS tells when a task runs or ends. A look at one that waits is for what it did not tell, and is an invocation of its own.
const BACK_STOP: Duration = Duration::from_secs(15);

/// How the function's deployment is put together.
#[must_use]
pub fn make() -> Make {
    Box::new(|| deployed().boxed())
}

/// The time of this machine.
#[must_use]
pub const fn clock() -> SystemClock {
    SystemClock
}

async fn deployed() -> Result<Deployed, Failure> {
    let config = Config::on_lambda(&environment())?;
    let aws = Aws::new(&config);
    let tokens = TokenKey::new(TokenKey::digest(&aws.token_key().await?));
    Ok(Deployed::new(parts(&config, &aws, tokens)?))
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What every adapter of AWS is made of.
#[derive(Clone)]
struct Aws {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    secrets: Arc<WharfSecrets>,
    token_key: Option<String>,
    admin_token: Option<String>,
}

impl Aws {
    fn new(config: &Config) -> Self {
        let options = ClientOptions {
            region: config.aws.region.clone(),
            ..ClientOptions::on_lambda()
        };
        let clients = Arc::new(Clients::new(options));
        let governor = Arc::new(Governor::new(wharf_wiring::one_of(config.aws.share), Arc::new(OsIds)));
        Self {
            secrets: Arc::new(WharfSecrets::new(clients.clone(), governor.clone())),
            clients,
            governor,
            token_key: config.aws.token_key_secret.clone(),
            admin_token: config.aws.admin_token_secret.clone(),
        }
    }

    async fn secret(&self, name: Option<&String>, key: &str) -> Result<SecretString, Failure> {
        let name = name.ok_or_else(|| {
            Failure::new(
                Code::ConfigInvalid,
                format!("aws.{key} is not set, and the function needs it"),
            )
            .hint("set it to the name or the ARN of a secret in Secrets Manager, as deploy/template.yaml does")
        })?;
        self.secrets.get(name).await
    }

    async fn token_key(&self) -> Result<SecretString, Failure> {
        self.secret(self.token_key.as_ref(), "token_key_secret").await
    }

    async fn http_keys(self) -> Result<HttpKeys, Failure> {
        let admin_token = self.secret(self.admin_token.as_ref(), "admin_token_secret").await?;
        let key = TokenKey::digest(&self.token_key().await?);
        Ok(HttpKeys {
            admin_token,
            session_key: wharf_wiring::session_key(&key),
        })
    }
}

fn parts(config: &Config, aws: &Aws, tokens: TokenKey) -> Result<Parts, Failure> {
    let deployment = config.registry.deployment.clone();
    let (clients, governor) = (aws.clients.clone(), aws.governor.clone());
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(OsIds));
    let tasks = Arc::new(EcsTasks::new(
        deployment.clone(),
        clients.clone(),
        governor.clone(),
        clock.clone(),
    ));
    let platform = Platform {
        tasks: tasks.clone(),
        events: tasks.clone(),
        routes: Arc::new(ElbRoutes::new(
            clients.clone(),
            governor.clone(),
            deployment.clone(),
            ids.clone(),
        )),
        databases: databases(config, aws),
        secrets: Arc::new(AwsSecrets::new(clients.clone(), governor.clone(), deployment.clone())),
        mailer: mailer(config, aws)?,
        poster: Arc::new(WebhookPoster::default()),
        prober: Arc::new(DirectProber),
        logs: Arc::new(tasks.logs()),
    };
    let tables = Tables {
        wharf: config.registry.table.to_string(),
        ports: config.registry.ports_table.to_string(),
        registry: config.registry.users_table.to_string(),
    };
    let queue_url = config.aws.queue_url.clone();
    let queue = queue_url
        .as_ref()
        .map(|url| Arc::new(SqsWaker::new(clients.clone(), governor, clock.clone(), url.clone())));
    let waker: Arc<dyn Waker> = match &queue {
        Some(queue) => queue.clone(),
        None => Arc::new(NoQueue),
    };
    let (keys, heard) = (aws.clone(), tasks);
    let public_url = config.server.public_url(config.server.listen.port());
    let store = Arc::new(DynamoStore::new(clients, tables, ids.clone(), clock.clone()));
    let counter = store.clone();
    Ok(Parts {
        store,
        platform,
        settings: settings(config, deployment.clone(), queue_url.is_some(), aws),
        clock,
        ids,
        waker,
        tokens,
        reporter: Arc::new(Metrics::to_stdout(deployment)),
        again_in: Arc::new(move |receipt, after| -> BoxFuture<'static, _> {
            let queue = queue.clone();
            async move {
                if let Some(queue) = queue {
                    queue.again_in(&receipt, after).await;
                }
            }
            .boxed()
        }),
        wakes: queue_url.is_some(),
        repairs: config.repair.apply == RepairApply::Safe,
        poll: config.aws.poll_interval,
        task_event: Arc::new(move |event| heard.heard(event)),
        http: HttpParts {
            keys: Arc::new(move || -> BoxFuture<'static, _> { keys.clone().http_keys().boxed() }),
            signup: wharf_wiring::signup_limits(config),
            tally: Some(Arc::new(move |what, per| -> BoxFuture<'static, _> {
                let counter = counter.clone();
                async move { counter.tally(&what, SystemClock.now(), per).await }.boxed()
            })),
            public_url,
        },
    })
}

fn settings(config: &Config, deployment: DeploymentId, has_queue: bool, aws: &Aws) -> Settings {
    let back_stop = if has_queue { BACK_STOP } else { Duration::ZERO };
    let kept = aws.secrets.clone();
    let fetch = move |name: String| -> FetchSecret {
        let kept = kept.clone();
        Arc::new(move || -> BoxFuture<'static, _> {
            let (kept, name) = (kept.clone(), name.clone());
            async move { kept.get(&name).await }.boxed()
        })
    };
    let settings = wharf_wiring::settings_with(config, deployment, None, Some(&fetch));
    let pace = Pace {
        look_at_tasks: config.aws.poll_interval.max(back_stop),
        shortest_look: back_stop.max(settings.pace.shortest_look),
        ..settings.pace
    };
    Settings { pace, ..settings }
}

/// Another function makes them: this one is not in the database server's network, and what is would need a way out of it for all else.
fn databases(config: &Config, aws: &Aws) -> Arc<dyn Databases> {
    let (DatabaseKind::Postgres, Some(function)) = (config.databases.kind, &config.aws.databases_function) else {
        return Arc::new(NoDatabases);
    };
    let (config, secrets) = (Arc::new(config.clone()), aws.secrets.clone());
    let server = move || -> BoxFuture<'static, _> {
        let (config, secrets) = (config.clone(), secrets.clone());
        async move {
            let url = match (&config.databases.url, &config.aws.postgres_secret) {
                (Some(url), _) => SecretString::from(url.expose().to_owned()),
                (None, Some(name)) => postgres_url(&secrets.get(name).await?, config.aws.postgres_address.as_deref())?,
                (None, None) => return Err(Failure::internal("a PostgreSQL server that nobody named")),
            };
            let deployment = config.registry.deployment.clone();
            Ok(wharf_wiring::database_server(&config, deployment, url))
        }
        .boxed()
    };
    Arc::new(FunctionDatabases::new(
        aws.clients.clone(),
        aws.governor.clone(),
        Arc::new(SystemClock),
        function.clone(),
        Arc::new(server),
    ))
}

fn mailer(config: &Config, aws: &Aws) -> Result<Arc<dyn Mailer>, Failure> {
    let mail = &config.mail;
    if mail.kind == MailKind::Smtp {
        return Ok(Arc::new(smtp(mail, Arc::new(SystemClock))?));
    }
    let kept = config.aws.resend_secret.clone().map(|name| {
        let secrets = aws.secrets.clone();
        ResendKey::Kept(Arc::new(move || {
            let (secrets, name) = (secrets.clone(), name.clone());
            async move { secrets.get(&name).await }.boxed()
        }))
    });
    Ok(match resend(mail, kept)? {
        Some(resend) => Arc::new(resend),
        None => Arc::new(NoMail),
    })
}

/// A deployment without a mail provider: its tenants are Ready all the same, and the log says who was not told.
struct NoMail;

#[async_trait::async_trait]
impl Mailer for NoMail {
    async fn send(&self, _: &Mail) -> Result<(), MailError> {
        Err(MailError::Permanent(
            "no mail provider is configured: set RESEND_API_KEY, or aws.resend_secret to the name of a secret that holds it"
                .to_owned(),
        ))
    }
}

/// A deployment without a queue, whose every wait ends with somebody's look: a sweep's, a state machine's, or that of an invocation that waits.
struct NoQueue;

#[async_trait::async_trait]
impl Waker for NoQueue {
    async fn wake(&self, _: &InstanceId, _: Timestamp, _: u64) {}

    async fn recheck(&self, _: &InstanceId, _: Seen, _: Duration) {}
}
