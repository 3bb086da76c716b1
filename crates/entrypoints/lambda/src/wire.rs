//! The one file that names adapters: makes them from the function's environment and the file of its package, and puts them together.
//!
//! Making them calls nobody. Of all that is here only the key of the tokens is fetched before an invocation goes on: no instance is claimed without it.

use futures::{FutureExt, future::BoxFuture};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{SecretSlice, SecretString};
use sha2::Sha256;
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};
use wharf_aws::{
    AwsSecrets, ClientOptions, Clients, DirectProber, DynamoStore, EcsTasks, ElbRoutes, Governor, SqsWaker, Tables,
    WharfSecrets,
};
use wharf_config::Config;
use wharf_domain::{Code, DeploymentId, Failure, InstanceId, Timestamp};
use wharf_http::{Rate, SignupLimits};
use wharf_local::{OsIds, SystemClock};
use wharf_mail::{ResendKey, ResendMailer, ResendOptions};
use wharf_platform::{Mail, MailError, Mailer, NoDatabases, Platform};
use wharf_provisioning::{Addresses, Pace, Settings, settings::Heal, tokens::TokenKey};
use wharf_saga::{Clock, Seen, Waker};

use crate::{
    deployed::{Deployed, HttpKeys, HttpParts, Parts},
    function::Make,
    metrics::Metrics,
};

/// How long the first password's link works.
const PASSWORD_LINK: Duration = Duration::from_hours(7 * 24);
/// Losses of its host within `heal.within` after which an instance is given up for now.
const LOSSES: usize = 20;
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
            ..ClientOptions::default()
        };
        let clients = Arc::new(Clients::new(options));
        let governor = Arc::new(Governor::new(share_of(config.aws.share), Arc::new(OsIds)));
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
            session_key: session_key(&key),
        })
    }
}

/// Console sessions are signed with a key of their own, derived from the deployment's.
fn session_key(key: &[u8; 32]) -> SecretSlice<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(b"console sessions");
    SecretSlice::from(mac.finalize().into_bytes().to_vec())
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
        databases: Arc::new(NoDatabases),
        secrets: Arc::new(AwsSecrets::new(clients.clone(), governor.clone(), deployment.clone())),
        mailer: mailer(config, aws)?,
        prober: Arc::new(DirectProber),
        logs: Arc::new(tasks.logs()),
    };
    let tables = Tables {
        wharf: config.registry.table.to_string(),
        ports: config.registry.ports_table.to_string(),
        registry: config.registry.users_table.to_string(),
    };
    let queue_url = config.aws.queue_url.clone();
    let waker: Arc<dyn Waker> = match &queue_url {
        Some(url) => Arc::new(SqsWaker::new(clients.clone(), governor, clock.clone(), url.clone())),
        None => Arc::new(NoQueue),
    };
    let (keys, heard) = (aws.clone(), tasks);
    let public_url = config.server.public_url(config.server.listen.port());
    let store = Arc::new(DynamoStore::new(clients, tables, ids.clone(), clock.clone()));
    let counter = store.clone();
    Ok(Parts {
        store,
        platform,
        settings: settings(config, deployment.clone(), &public_url, queue_url.is_some()),
        clock,
        ids,
        waker,
        tokens,
        reporter: Arc::new(Metrics::to_stdout(deployment)),
        wakes: queue_url.is_some(),
        poll: config.aws.poll_interval,
        task_event: Arc::new(move |event| heard.heard(event)),
        http: HttpParts {
            keys: Arc::new(move || -> BoxFuture<'static, _> { keys.clone().http_keys().boxed() }),
            signup: SignupLimits {
                per_address: Rate {
                    count: config.signup.rate.count,
                    per: config.signup.rate.per,
                },
                open: config.signup.open,
            },
            tally: Some(Arc::new(move |what, per| -> BoxFuture<'static, _> {
                let counter = counter.clone();
                async move { counter.tally(&what, SystemClock.now(), per).await }.boxed()
            })),
            public_url,
        },
    })
}

fn settings(config: &Config, deployment: DeploymentId, public_url: &str, has_queue: bool) -> Settings {
    let port = config.server.listen.port();
    let tenants = config.server.url_of("tenants", port);
    let (scheme, rest) = tenants.split_once("://tenants").unwrap_or(("https", ""));
    let back_stop = if has_queue { BACK_STOP } else { Duration::ZERO };
    Settings {
        deployment,
        services: config.services.clone(),
        tenant_service: config.tenant_service.clone(),
        default_service: config.events.default_service.clone(),
        event_template: config.events.template.clone(),
        allow: config.events.allow.clone(),
        addresses: Addresses {
            public_url: public_url.to_owned(),
            scheme: scheme.to_owned(),
            tenant_domain: config.server.tenant_domain.to_string(),
            services_host: config.server.services_host.to_string(),
            port: rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        },
        max_instances: config.server.max_instances.into(),
        name_rest: config.names.rest,
        reserved_names: config.names.reserved.iter().cloned().collect(),
        excluded_ports: config.ports.excluded.clone(),
        port_quarantine: config.ports.quarantine,
        direct_quarantine: config.ports.direct_quarantine,
        heal: Heal {
            limit: config.heal.limit as usize,
            losses: LOSSES,
            within: config.heal.within,
            backoff_first: config.heal.backoff_first,
            backoff_longest: config.heal.backoff_max,
        },
        mail_from: config.mail.from.to_string(),
        password_link: PASSWORD_LINK,
        // Nothing is restored at once here: tasks outlive the function.
        restore_parallel: 1,
        pace: Pace {
            look_at_tasks: config.aws.poll_interval.max(back_stop),
            shortest_look: back_stop.max(Pace::default().shortest_look),
            capacity_wait: config.platform.capacity_wait,
            ..Pace::default()
        },
    }
}

fn mailer(config: &Config, aws: &Aws) -> Result<Arc<dyn Mailer>, Failure> {
    let key = match (&config.mail.resend_api_key, &config.aws.resend_secret) {
        (Some(key), _) => ResendKey::Given(SecretString::from(key.expose().to_owned())),
        (None, Some(name)) => {
            let (secrets, name) = (aws.secrets.clone(), name.clone());
            ResendKey::Kept(Arc::new(move || {
                let (secrets, name) = (secrets.clone(), name.clone());
                async move { secrets.get(&name).await }.boxed()
            }))
        }
        (None, None) => return Ok(Arc::new(NoMail)),
    };
    Ok(Arc::new(ResendMailer::new(ResendOptions {
        base: config.mail.resend_url.to_string(),
        ..ResendOptions::new(key)
    })?))
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

/// A share of an allowance, as one of how many.
fn share_of(share: f64) -> NonZeroU32 {
    // From 1 to 100: the configuration says so.
    NonZeroU32::new((1.0 / share).ceil() as u32).unwrap_or(NonZeroU32::MIN)
}
