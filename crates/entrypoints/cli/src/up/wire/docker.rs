//! The platform of containers on one machine: tasks on Docker; secrets and mails as files; the registry in SQLite.

use async_trait::async_trait;
use std::{env, path::PathBuf, sync::Arc};
use wharf_config::Config;
use wharf_docker::{DockerOptions, DockerTasks, WarmService};
use wharf_domain::{Code, Failure, service::RunSpec};
use wharf_edge::{Edge, EdgeProber, Owns};
use wharf_local::{FileSecrets, OsIds, SystemClock};
use wharf_platform::{Platform, Probe, Prober, Proof};
use wharf_provisioning::{Ahead, Pace};
use wharf_saga::Clock;
use wharf_sqlite::SqliteStore;
use wharf_webhooks::WebhookPoster;

use super::{
    Layout, Wired,
    databases::{self, Gateway},
    mail,
};

pub(super) async fn wire(config: &Config, layout: &Layout, edge: &Arc<Edge>) -> Result<Wired, Failure> {
    let data = layout.root();
    let store = Arc::new(SqliteStore::open(&layout.registry(), &OsIds, SystemClock.now())?);
    let deployment = store.deployment_id().clone();
    let docker = &config.docker;
    let tasks = DockerTasks::open(DockerOptions {
        deployment: deployment.clone(),
        host: docker.host.clone(),
        subnet: docker.subnet,
        publish: docker.publish,
        host_address: docker.host_address,
        credentials: credentials(config),
        warm: warm(config),
        warm_folder: layout.warm(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(OsIds),
    });
    let tasks = Arc::new(tasks.await?);
    tracing::info!(network = %tasks.subnet(), gateway = %tasks.gateway(), "containers have their addresses here");
    let gateway = Gateway {
        address: tasks.gateway().into(),
        network: tasks.subnet().to_string(),
    };
    let databases = databases::wire(config, layout, &deployment, vec![gateway]).await?;
    let platform = Platform {
        tasks: tasks.clone(),
        events: tasks.clone(),
        routes: edge.clone(),
        databases: databases.databases,
        secrets: Arc::new(FileSecrets::new(data)?),
        mailer: mail::mailer(config, None)?,
        poster: Arc::new(WebhookPoster::default()),
        prober: Arc::new(ContainerProber::new(tasks.clone())),
        logs: Arc::new(tasks.logs()),
    };
    Ok(Wired {
        deployment,
        platform,
        store: store.clone(),
        sqlite: Some(store),
        processes: None,
        docker: Some(tasks),
        managed: databases.managed,
        cloud: None,
        pace: Pace {
            capacity_wait: config.platform.capacity_wait,
            database_wait: config.databases.wait,
            ..Pace::default()
        },
    })
}

/// What is started ahead.
pub(super) fn warm(config: &Config) -> Vec<WarmService> {
    let wanted = config.warm.iter().filter_map(|(name, count)| {
        let ahead = Ahead::of(config.services.get(name)?);
        let Some(RunSpec::Docker(task)) = ahead.run else {
            return None;
        };
        Some(WarmService {
            service: name.clone(),
            task,
            environment: ahead.environment,
            count: *count as usize,
        })
    });
    wanted.collect()
}

/// The file of registries' credentials: the configured one, or Docker's own.
pub(super) fn credentials(config: &Config) -> Option<PathBuf> {
    let docker_own = || {
        let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".docker"));
        folder.or_else(home).map(|folder| folder.join("config.json"))
    };
    config.docker.credentials_file.clone().or_else(docker_own)
}

/// Asks a container at its own address, also where visitors go by a port of the machine: what answers there may be Docker's proxy, before the application is.
struct ContainerProber {
    tasks: Arc<DockerTasks>,
    http: EdgeProber,
}

impl ContainerProber {
    fn new(tasks: Arc<DockerTasks>) -> Self {
        let owns: Owns = {
            let tasks = tasks.clone();
            Arc::new(move |probe| {
                let (tasks, owner, task, endpoint) = (
                    tasks.clone(),
                    probe.owner.clone(),
                    probe.task.clone(),
                    probe.endpoint.clone(),
                );
                // It had the address before the answer if it has it after: a container keeps it while it runs.
                Box::pin(async move { Ok(tasks.own_endpoint(&owner, &task).await? == Some(endpoint)) })
            })
        };
        Self {
            tasks,
            http: EdgeProber::new(Some(owns)),
        }
    }
}

#[async_trait]
impl Prober for ContainerProber {
    async fn probe(&self, probe: &Probe) -> Result<Proof, Failure> {
        if probe.endpoint.ip().is_some_and(|ip| self.tasks.has_address(ip)) {
            return self.http.probe(probe).await;
        }
        let endpoint = self.tasks.own_endpoint(&probe.owner, &probe.task).await?;
        let endpoint =
            endpoint.ok_or_else(|| Failure::new(Code::RouteUnhealthy, "the container has no address just now"))?;
        let own = Probe {
            endpoint,
            ..probe.clone()
        };
        self.http.probe(&own).await
    }
}
