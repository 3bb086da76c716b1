//! The platform of one machine: tasks as child processes; databases, secrets and mails as files; the registry in SQLite.

use std::{path::PathBuf, sync::Arc, time::Duration};
use wharf_config::Config;
use wharf_domain::{Code, Failure, service::RunSpec};
use wharf_edge::{Edge, EdgeProber, Owns};
use wharf_local::{FileLogs, FileSecrets, OsIds, ProcessOptions, ProcessTasks, SystemClock};
use wharf_platform::Platform;
use wharf_provisioning::Pace;
use wharf_saga::Clock;
use wharf_sqlite::SqliteStore;
use wharf_webhooks::WebhookPoster;

use super::{Layout, Wired, databases, mail};

/// How long what is left of the last run has to end by itself.
const REAPED_WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn wire(config: &Config, layout: &Layout, edge: &Arc<Edge>) -> Result<Wired, Failure> {
    let data = layout.root();
    let store = Arc::new(SqliteStore::open(&layout.registry(), &OsIds, SystemClock.now())?);
    let deployment = store.deployment_id().clone();
    let logs = Arc::new(FileLogs::new(data)?);
    let options = ProcessOptions {
        deployment: deployment.clone(),
        data: data.to_owned(),
        base: base(),
        own_program: own_program()?,
        ports: config.ports.dynamic.first..=config.ports.dynamic.last,
    };
    let tasks = Arc::new(ProcessTasks::new(options, logs.clone())?);
    let orphans = tokio::time::timeout(REAPED_WITHIN, tasks.reap_orphans())
        .await
        .map_err(|_| {
            Failure::new(Code::TaskStopTimeout, "processes of the last run do not end")
                .hint("end them by hand: they have WHARF_DEPLOYMENT in their environment")
        })??;
    if !orphans.is_empty() {
        tracing::warn!(count = orphans.len(), "ended processes that the last run left behind");
    }
    let owns: Owns = {
        let tasks = tasks.clone();
        Arc::new(move |probe| {
            let (tasks, owner, port) = (tasks.clone(), probe.owner.clone(), probe.endpoint.port());
            Box::pin(async move { tasks.owns_port(&owner, port).await })
        })
    };
    let databases = databases::wire(config, layout, &deployment, Vec::new()).await?;
    let platform = Platform {
        tasks: tasks.clone(),
        events: tasks.clone(),
        routes: edge.clone(),
        databases: databases.databases,
        secrets: Arc::new(FileSecrets::new(data)?),
        mailer: mail::mailer(config, None)?,
        poster: Arc::new(WebhookPoster::default()),
        prober: Arc::new(EdgeProber::new(Some(owns))),
        logs,
    };
    Ok(Wired {
        deployment,
        platform,
        store: store.clone(),
        sqlite: Some(store),
        processes: Some(tasks),
        docker: None,
        managed: databases.managed,
        cloud: None,
        pace: Pace {
            capacity_wait: config.platform.capacity_wait,
            database_wait: config.databases.wait,
            ..Pace::default()
        },
    })
}

/// What the command `wharf` means in a service.
fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::internal(format!("this program cannot find its own file: {error}")))
}

/// What a relative directory counts from, where no file says.
fn base() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// Whether a service's command can be started at all: for `doctor`.
pub(crate) fn check_command(run: &RunSpec) -> Result<(), Failure> {
    wharf_local::check_command(run, base(), own_program()?)
}
