//! What `[databases]` means together, and what services may want of it.

use wharf_domain::Code;

use crate::{
    Config,
    keys::service::DATABASE,
    resolved::Resolved,
    services::Read,
    table::join,
    values::{DatabaseKind, PlatformKind},
};

pub(super) fn check(resolved: &mut Resolved<'_>, config: &Config, services: &[Read]) {
    let databases = &config.databases;
    let is_ecs = config.platform.kind == PlatformKind::Ecs;
    // The variable outranks the secret.
    let has_url = databases.url.is_some() || (is_ecs && config.aws.postgres_secret.is_some());
    let given = [has_url, databases.url_file.is_some(), databases.managed];
    let servers = given.into_iter().filter(|given| *given).count();
    match databases.kind {
        DatabaseKind::Postgres if servers == 0 => resolved.report(
            &[
                "databases.kind",
                "databases.url",
                "databases.url_file",
                "databases.managed",
                "aws.postgres_secret",
            ],
            Code::ConfigInvalid,
            "instances are to get databases of a PostgreSQL server, and there is none",
            if is_ecs {
                "set WHARF_POSTGRES_URL, or name a secret that holds the URL as postgres_secret in [aws]"
            } else {
                "set WHARF_POSTGRES_URL, name a file that holds the URL as url_file, or set managed = true"
            },
        ),
        DatabaseKind::Postgres if servers > 1 => resolved.report(
            &["databases.managed", "databases.url", "databases.url_file"],
            Code::ConfigInvalid,
            "there is more than one PostgreSQL server to choose from",
            "keep one of WHARF_POSTGRES_URL, url_file and managed = true",
        ),
        DatabaseKind::Files if config.platform.kind != PlatformKind::Process => resolved.report(
            &["databases.kind", "platform.kind"],
            Code::ConfigInvalid,
            "a file of this machine is no database for what runs elsewhere",
            "choose kind = \"postgres\", with WHARF_POSTGRES_URL or managed = true",
        ),
        DatabaseKind::None | DatabaseKind::Files | DatabaseKind::Postgres => {}
    }
    if databases.managed && is_ecs {
        resolved.report(
            &["databases.managed", "platform.kind"],
            Code::ConfigInvalid,
            "tasks on ECS do not reach a server that listens on this machine alone",
            "set WHARF_POSTGRES_URL to a server that they reach",
        );
    }
    if databases.kind == DatabaseKind::Postgres && is_ecs && config.aws.databases_function.is_some() {
        by_a_function(resolved, config);
    }
    if databases.kind == DatabaseKind::None {
        for read in services.iter().filter(|read| read.service.database) {
            resolved.report(
                &[&join(&read.path, DATABASE.name), "platform.kind", "databases.kind"],
                Code::DatabaseUnsupported,
                "there is no database server to make databases on",
                "set WHARF_POSTGRES_URL (or, on one machine, [databases] managed = true; on AWS Lambda, the stack's parameter PostgresSecret), or database = false",
            );
        }
    }
}

/// The function has neither a disk nor PostgreSQL's programs, and no file of this machine.
fn by_a_function(resolved: &mut Resolved<'_>, config: &Config) {
    if config.databases.archive.is_some() {
        resolved.report(
            &["databases.archive", "aws.databases_function"],
            Code::ConfigInvalid,
            "a function has neither pg_dump nor a disk that lasts",
            "use keep, which leaves removed databases on the server for a while, or a server's own backups",
        );
    }
    if config.databases.url_file.is_some() {
        resolved.report(
            &["databases.url_file", "aws.databases_function"],
            Code::ConfigInvalid,
            "a function is told its database server by a secret, and not by a file",
            "name the secret that holds the URL as postgres_secret in [aws]",
        );
    }
}
