//! The one place that names adapters: makes them from the configuration, and puts them together to one deployment. What belongs to one platform
//! stands in its own file.

pub(crate) mod account;
pub(crate) mod databases;
mod databases_on_aws;
mod docker;
mod ecs;
pub(crate) mod examine;
pub(crate) mod mail;
pub(crate) mod process;
pub(crate) mod registry;
mod routes;

use axum::{Router, body::Body, extract::ConnectInfo};
use http_body_util::BodyExt;
use rustix::process::{Resource, getrlimit};
use secrecy::{SecretSlice, SecretString};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wharf_config::{Config, PlatformKind};
use wharf_docker::DockerTasks;
use wharf_domain::{Code, DeploymentId, Failure};
use wharf_edge::{ControlService, Edge, EdgeConfig};
use wharf_http::HttpState;
use wharf_local::{OsIds, ProcessTasks, SystemClock, TimerWaker};
use wharf_platform::Platform;
use wharf_provisioning::{
    Message, Pace, Provisioning, Settings, Wharf, recovery::RestoreQueue, tokens::TokenKey, webhooks::FetchSecret,
    wharf::Deployment,
};
use wharf_saga::{Driving, Engine, Store, limits};
use wharf_sqlite::SqliteStore;

use super::{layout::Layout, metrics};
use databases::Managed;
use ecs::Cloud;

/// A server, put together and listening.
pub(crate) struct Server {
    pub(crate) wharf: Wharf,
    pub(crate) public_url: String,
    /// Where clients on this machine reach the API.
    pub(crate) api: String,
    pub(crate) listen: SocketAddr,
    sqlite: Option<Arc<SqliteStore>>,
    edge: Arc<Edge>,
    processes: Option<Arc<ProcessTasks>>,
    docker: Option<Arc<DockerTasks>>,
    managed: Option<Managed>,
    cloud: Option<Cloud>,
    stopping: CancellationToken,
    config: Config,
    admin_token: SecretString,
    session_key: SecretSlice<u8>,
}

/// What a platform brings: what the use cases see of it, and what the server does with it besides.
struct Wired {
    deployment: DeploymentId,
    platform: Platform,
    store: Arc<dyn Store>,
    /// The registry of one machine, for its counters.
    sqlite: Option<Arc<SqliteStore>>,
    /// Tasks that end with the server.
    processes: Option<Arc<ProcessTasks>>,
    /// Containers, some of them started ahead.
    docker: Option<Arc<DockerTasks>>,
    /// A database server that ends with this one.
    managed: Option<Managed>,
    cloud: Option<Cloud>,
    pace: Pace,
}

/// What the deployment is known by to its operators, and what its links are derived from.
struct Keys {
    admin_token: SecretString,
    key: [u8; 32],
}

fn keys(layout: &Layout) -> Result<Keys, Failure> {
    Ok(Keys {
        admin_token: layout.make_admin_token(&OsIds)?,
        key: layout.make_token_key(&OsIds)?,
    })
}

pub(crate) async fn wire(config: Config, layout: &Layout) -> Result<Server, Failure> {
    let clock = Arc::new(SystemClock);
    let ids = Arc::new(OsIds);
    // The address is taken before anything is made that needs it, and opened when there is something to serve.
    let edge = Arc::new(Edge::reserve(edge_config(&config), Handle::current())?);
    let listen = edge.local_addr();
    let public_url = config.server.public_url(listen.port());
    let wired = match config.platform.kind {
        PlatformKind::Process => process::wire(&config, layout, &edge).await?,
        PlatformKind::Ecs => ecs::wire(&config, layout, &edge).await?,
        PlatformKind::Docker => docker::wire(&config, layout, &edge).await?,
    };
    let Keys { admin_token, key } = match &wired.cloud {
        Some(cloud) => cloud.keys(&config, layout).await?,
        None => keys(layout)?,
    };
    let (tokens, session_key) = (TokenKey::new(key), wharf_wiring::session_key(&key));
    let engine: Arc<OnceLock<Engine<Provisioning>>> = Arc::default();
    let waker = {
        let engine = engine.clone();
        TimerWaker::new(clock.clone(), move |id, seq| {
            if let Some(engine) = engine.get() {
                engine.wake(&id, seq);
            }
        })
    };
    let fetch = wired.cloud.as_ref().map(Cloud::fetch);
    let fetch = fetch.as_ref().map(|fetch| fetch as &dyn Fn(String) -> FetchSecret);
    let settings = Settings {
        pace: wired.pace,
        ..wharf_wiring::settings_with(&config, wired.deployment, Some(listen.port()), fetch)
    };
    let wharf = Wharf::new(Deployment {
        store: wired.store,
        platform: wired.platform,
        settings,
        clock,
        ids,
        waker: Arc::new(waker),
        tokens,
        reporter: Arc::new(()),
        driving: Driving::Here,
        linger: limits::LINGER,
    });
    let _ = engine.set(wharf.engine().clone());
    Ok(Server {
        wharf,
        public_url,
        api: api(listen),
        listen,
        sqlite: wired.sqlite,
        edge,
        processes: wired.processes,
        docker: wired.docker,
        managed: wired.managed,
        cloud: wired.cloud,
        stopping: CancellationToken::new(),
        config,
        admin_token,
        session_key,
    })
}

impl Server {
    /// Begins to answer.
    pub(crate) fn open(&self, queue: &Arc<RestoreQueue>) -> Result<(), Failure> {
        let queue = queue.clone();
        let state = HttpState {
            tally: None,
            wharf: self.wharf.clone(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(OsIds),
            admin_token: self.admin_token.clone(),
            session_key: self.session_key.clone(),
            limits: wharf_wiring::signup_limits(&self.config),
            trusted_proxies: self.config.server.trusted_proxies.clone(),
            public_url: self.public_url.clone(),
            secure: self.public_url.starts_with("https://"),
            metrics: Box::new({
                let (edge, store, docker) = (self.edge.clone(), self.sqlite.clone(), self.docker.clone());
                move |registry| metrics::register(registry, edge, store, docker)
            }),
            restoring: Arc::new(move || queue.len()),
            stopping: self.stopping.clone(),
        };
        self.edge.serve(control(wharf_http::router(state)))
    }

    /// Those that somebody asks for come back first.
    pub(crate) fn follow_wishes(&self) {
        let Some(mut wanted) = self.edge.wanted() else { return };
        let wharf = self.wharf.clone();
        tokio::spawn(async move {
            while let Some(id) = wanted.recv().await {
                let wharf = wharf.clone();
                // Nobody waits for another's turn: each is asked for once until he is there, so these are few.
                tokio::spawn(async move { wharf.asked_for(&id).await });
            }
        });
    }

    /// What comes by the queue of a cloud.
    pub(crate) fn follow_queue(&self) {
        if let Some(cloud) = &self.cloud {
            cloud.listen(&self.wharf, self.stopping.clone());
        }
    }

    /// A Ready instance that stops answering tells itself.
    pub(crate) fn follow_health(&self) {
        let mut changes = self.edge.health_changes();
        let wharf = self.wharf.clone();
        tokio::spawn(async move {
            loop {
                match changes.recv().await {
                    Ok(change) => {
                        if let Some(cause) = change.failure.filter(|_| !change.healthy) {
                            tell(
                                &wharf,
                                &change.instance,
                                &Message::Unhealthy {
                                    attempt: change.attempt,
                                    cause,
                                },
                            )
                            .await;
                        }
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "health changes were missed")
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }

    /// No new requests; those under way are finished; sagas come to a wait; tasks are told to end, and made to.
    pub(crate) async fn end(&self, grace: Duration) {
        self.stopping.cancel();
        self.edge.shutdown(grace / 2).await;
        self.wharf.engine().shutdown(grace / 2).await;
        if let Some(processes) = &self.processes
            && let Err(failure) = processes.shutdown(grace / 2).await
        {
            tracing::error!(error = %failure, "some tasks did not end");
        }
        // Tasks end before what they write to.
        if let Some(server) = &self.managed {
            server.end(grace / 2).await;
        }
    }
}

async fn tell(wharf: &Wharf, id: &wharf_domain::InstanceId, message: &Message) {
    if let Err(failure) = wharf.engine().send(id, message, None).await {
        tracing::error!(instance = %id, error = %failure, "an event could not be written down; repair will find it");
    }
}

/// The router as the edge calls it, with the peer's address beside the request.
fn control(router: Router) -> ControlService {
    Arc::new(move |mut request, peer| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        Box::pin(async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    })
}

fn edge_config(config: &Config) -> EdgeConfig {
    let server = &config.server;
    let mut edge = EdgeConfig::new(server.listen);
    edge.console_host = server.console_host.to_string();
    edge.services_host = server.services_host.to_string();
    edge.tenant_domain = server.tenant_domain.to_string();
    edge.trusted_proxies.clone_from(&server.trusted_proxies);
    edge.limits.header_bytes = usize::try_from(server.header_limit).unwrap_or(usize::MAX);
    edge.limits.body_bytes = Some(server.body_limit);
    edge.limits.connections_per_address = server.connections_per_address as usize;
    edge.timeouts.client_header = server.header_timeout;
    edge.timeouts.client_idle = server.idle_timeout;
    edge.timeouts.response_header = server.response_timeout;
    edge.timeouts.hold_programs = server.hold_timeout;
    edge
}

/// Clients on this machine reach an unspecified address by loopback.
fn api(listen: SocketAddr) -> String {
    match listen {
        SocketAddr::V4(address) if address.ip().is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        SocketAddr::V6(address) if address.ip().is_unspecified() => format!("http://[::1]:{}", address.port()),
        address => format!("http://{address}"),
    }
}

/// How many files this process may have open.
pub(crate) fn open_files() -> Result<u64, Failure> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < 4096 {
        return Err(Failure::new(
            Code::DataDirectory,
            format!("only {most} files may be open at once, and each task costs two"),
        )
        .hint("raise it with `ulimit -n`"));
    }
    Ok(most)
}
