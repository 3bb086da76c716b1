//! Instances' databases, as `[databases]` has them: files, databases of a PostgreSQL server that is there, or of one that Wharf runs itself.

use secrecy::SecretString;
use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};
use wharf_config::{Config, DatabaseKind, DatabaseSettings};
use wharf_domain::{Code, DeploymentId, Failure};
use wharf_local::{FileDatabases, OsIds, SystemClock};
use wharf_platform::{Databases, NoDatabases};
use wharf_postgres::{
    AdminAddress, Keeping, ManagedOptions, PostgresDatabases, PostgresOptions, Settings, TenantAddress,
    examine::Verdict,
};
pub(super) use wharf_postgres::{Gateway, Managed};

use super::{
    Layout,
    examine::{Finding, Grade},
};

/// How often the stock of ready databases and what was removed are looked at.
const SURVEY: Duration = Duration::from_mins(1);
/// Of a file that is to hold one URL.
const URL_FILE_MAX: u64 = 64 * 1024;

/// The databases, and the server that ends with Wharf.
pub(super) struct WiredDatabases {
    pub(super) databases: Arc<dyn Databases>,
    pub(super) managed: Option<Managed>,
}

impl WiredDatabases {
    pub(super) fn of(databases: impl Databases) -> Self {
        Self {
            databases: Arc::new(databases),
            managed: None,
        }
    }
}

/// `gateways` are the addresses by which containers reach this machine, where there are containers.
pub(super) async fn wire(
    config: &Config,
    layout: &Layout,
    deployment: &DeploymentId,
    gateways: Vec<Gateway>,
) -> Result<WiredDatabases, Failure> {
    let settings = &config.databases;
    match settings.kind {
        DatabaseKind::None => Ok(WiredDatabases::of(NoDatabases)),
        DatabaseKind::Files => FileDatabases::new(layout.root(), deployment.clone()).map(WiredDatabases::of),
        DatabaseKind::Postgres if settings.managed => managed(settings, layout, deployment, gateways).await,
        DatabaseKind::Postgres => {
            let gateway = gateways.first().map(|gateway| gateway.address.to_string());
            connect(settings, deployment, admin(settings)?, gateway).map(WiredDatabases::of)
        }
    }
}

async fn managed(
    settings: &DatabaseSettings,
    layout: &Layout,
    deployment: &DeploymentId,
    gateways: Vec<Gateway>,
) -> Result<WiredDatabases, Failure> {
    let gateway = gateways.first().map(|gateway| gateway.address.to_string());
    let managed = Managed::start(managed_options(settings, layout.root(), gateways)).await?;
    let databases = connect(settings, deployment, managed.admin().clone(), gateway)?;
    Ok(WiredDatabases {
        managed: Some(managed),
        ..WiredDatabases::of(databases)
    })
}

/// `gateway` is where tenants find this machine, if the server is on it.
pub(super) fn connect(
    settings: &DatabaseSettings,
    deployment: &DeploymentId,
    admin: AdminAddress,
    gateway: Option<String>,
) -> Result<PostgresDatabases, Failure> {
    let host = match (&settings.tenant_host, admin.host()) {
        (Some(host), _) => host.to_string(),
        (None, Some(host)) if !is_loopback(host) => host.to_owned(),
        (None, _) => gateway.unwrap_or_else(|| "127.0.0.1".to_owned()),
    };
    let options = PostgresOptions {
        deployment: deployment.clone(),
        tenant: TenantAddress {
            scheme: settings.scheme.to_string(),
            host,
            port: settings.tenant_port.unwrap_or_else(|| admin.port()),
            query: settings.tenant_query.as_ref().map(ToString::to_string),
        },
        settings: of_each(settings),
    };
    PostgresDatabases::new(admin, options, Arc::new(SystemClock), Arc::new(OsIds))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn managed_options(settings: &DatabaseSettings, data: &Path, gateways: Vec<Gateway>) -> ManagedOptions {
    ManagedOptions {
        data: data.to_owned(),
        programs: settings.programs.clone(),
        user: settings.user.to_string(),
        gateways,
        max_connections: settings.max_connections,
    }
}

/// What `wharf doctor` looks at of a PostgreSQL server. A managed one that does not run yet is not started for it.
pub(crate) async fn examine(config: &Config) -> Vec<Finding> {
    let settings = &config.databases;
    if settings.kind != DatabaseKind::Postgres {
        return Vec::new();
    }
    if settings.managed {
        let found = wharf_postgres::managed::examine_managed(settings.programs.as_deref(), settings.user.as_str());
        return vec![finding(
            "managed database server",
            found.map_or_else(Verdict::Bad, Verdict::Good),
        )];
    }
    examine_server(settings, admin(settings)).await
}

/// Connects to it, if it is known where it is.
pub(super) async fn examine_server(settings: &DatabaseSettings, admin: Result<AdminAddress, Failure>) -> Vec<Finding> {
    match admin {
        Ok(admin) => {
            let findings = wharf_postgres::examine::examine(admin, &of_each(settings)).await;
            findings
                .into_iter()
                .map(|one| finding(&one.what, one.verdict))
                .collect()
        }
        Err(failure) => vec![finding("database server", Verdict::Bad(failure))],
    }
}

pub(super) fn finding(what: &str, verdict: Verdict) -> Finding {
    let (grade, found, hint) = match verdict {
        Verdict::Good(found) => (Grade::Ok, found, None),
        Verdict::Doubtful { found, hint } => (Grade::Warning, found, Some(hint)),
        Verdict::Bad(failure) => (Grade::Failed, failure.to_string(), failure.hint),
    };
    Finding {
        subject: "databases".to_owned(),
        what: what.to_owned(),
        grade,
        found: Some(found),
        hint,
    }
}

/// What each instance's database is.
fn of_each(settings: &DatabaseSettings) -> Settings {
    Settings {
        connection_limit: settings.connection_limit,
        statement_timeout: settings.statement_timeout,
        template: settings.template.to_string(),
        extensions: settings.extensions.iter().map(ToString::to_string).collect(),
        spare: settings.spare as usize,
        keeping: Keeping {
            kept: settings.keep,
            archive: settings.archive.clone(),
            programs: settings.programs.clone(),
        },
        survey: SURVEY,
    }
}

/// The server that is there already.
fn admin(settings: &DatabaseSettings) -> Result<AdminAddress, Failure> {
    let url = match (&settings.url, &settings.url_file) {
        (Some(url), _) => url.expose().to_owned(),
        (None, Some(file)) => read_url(file)?,
        (None, None) => return Err(Failure::internal("a PostgreSQL server that nobody named")),
    };
    AdminAddress::parse(&SecretString::from(url))
}

fn read_url(file: &Path) -> Result<String, Failure> {
    let unusable = |why: &str| {
        Failure::new(
            Code::ConfigInvalid,
            format!("{} cannot be used as [databases] url_file: {why}", file.display()),
        )
        .hint("it holds the server's URL and nothing else")
    };
    let length = std::fs::metadata(file)
        .map_err(|error| unusable(&error.to_string()))?
        .len();
    if length > URL_FILE_MAX {
        return Err(unusable("it is too long"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| unusable(&error.to_string()))?;
    Ok(text.trim().to_owned())
}
