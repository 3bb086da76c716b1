//! `[databases]`: what an instance with `database = true` gets.

use serde::Serialize;
use std::{path::PathBuf, time::Duration};

use crate::{
    keys::{aws, databases as keys},
    resolved::Resolved,
    setting::Setting,
    values::{DatabaseKind, DatabaseName, Host, PlatformKind, Secret, UrlQuery, UrlScheme},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DatabaseSettings {
    pub kind: DatabaseKind,
    /// From the environment.
    pub url: Option<Secret>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    pub managed: bool,
    /// The folder of PostgreSQL's programs.
    pub programs: Option<PathBuf>,
    /// Who runs a managed server where Wharf is root.
    pub user: DatabaseName,
    /// Of a managed server.
    pub max_connections: u32,
    /// How long a server that does not answer is waited for.
    pub wait: Duration,
    pub scheme: UrlScheme,
    pub tenant_host: Option<Host>,
    pub tenant_port: Option<u16>,
    pub tenant_query: Option<UrlQuery>,
    /// Of one instance.
    pub connection_limit: u32,
    /// Zero: for ever.
    pub statement_timeout: Duration,
    pub template: DatabaseName,
    pub extensions: Vec<DatabaseName>,
    /// Databases that are kept ready.
    pub spare: u32,
    /// How long a removed one stays on the server.
    pub keep: Duration,
    /// Where one is dumped to before it is dropped.
    pub archive: Option<PathBuf>,
}

impl DatabaseSettings {
    pub(crate) fn read(from: &mut Resolved<'_>) -> Self {
        const PATH: &str = "databases";
        let url = from.get(PATH, &keys::URL);
        let url_file = from.optional_path(PATH, &keys::URL_FILE);
        let managed = from.get(PATH, &keys::MANAGED);
        let has_function = from.get("aws", &aws::DATABASES_FUNCTION).is_some();
        let kind = if from.machine.lambda && !has_function {
            from.force(
                "databases.kind",
                &DatabaseKind::None,
                "AWS Lambda reaches a database server by a function in its network alone, and aws.databases_function names none",
            );
            DatabaseKind::None
        } else {
            let is_ecs = from.platform == PlatformKind::Ecs;
            let has_secret = is_ecs && from.get("aws", &aws::POSTGRES_SECRET).is_some();
            let has_server = url.is_some() || url_file.is_some() || managed || has_secret;
            let kind = from.get(PATH, &keys::KIND).unwrap_or(match from.platform {
                _ if has_server => DatabaseKind::Postgres,
                PlatformKind::Process => DatabaseKind::Files,
                PlatformKind::Docker | PlatformKind::Ecs => DatabaseKind::None,
            });
            from.settle("databases.kind", kind.show());
            kind
        };
        Self {
            kind,
            url,
            url_file,
            managed,
            programs: from.optional_path(PATH, &keys::PROGRAMS),
            user: from.get(PATH, &keys::USER),
            max_connections: from.get(PATH, &keys::MAX_CONNECTIONS),
            wait: from.get(PATH, &keys::WAIT),
            scheme: from.get(PATH, &keys::SCHEME),
            tenant_host: from.get(PATH, &keys::TENANT_HOST),
            tenant_port: from.get(PATH, &keys::TENANT_PORT),
            tenant_query: from.get(PATH, &keys::TENANT_QUERY),
            connection_limit: from.get(PATH, &keys::CONNECTION_LIMIT),
            statement_timeout: from.get(PATH, &keys::STATEMENT_TIMEOUT),
            template: from.get(PATH, &keys::TEMPLATE),
            extensions: from.get(PATH, &keys::EXTENSIONS),
            spare: from.get(PATH, &keys::SPARE),
            keep: from.get(PATH, &keys::KEEP),
            archive: from.optional_path(PATH, &keys::ARCHIVE),
        }
    }
}
