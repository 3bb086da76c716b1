//! What `wharf doctor` looks at before anybody signs up: the server, its rights and its room. Reads only.

use std::process::Stdio;
use wharf_domain::{Code, Failure};

use crate::{address::AdminAddress, options::Settings, programs::Programs, server::Server};

/// Fewer free connections than these are soon none.
const FREE_MIN: i64 = 10;

/// What came of one look.
#[derive(Debug)]
pub enum Verdict {
    Good(String),
    /// It keeps nobody from starting.
    Doubtful {
        found: String,
        hint: String,
    },
    Bad(Failure),
}

/// One thing that was looked at.
#[derive(Debug)]
pub struct Finding {
    pub what: String,
    pub verdict: Verdict,
}

impl Finding {
    fn new(what: impl Into<String>, found: Result<Verdict, Failure>) -> Self {
        Self {
            what: what.into(),
            verdict: found.unwrap_or_else(Verdict::Bad),
        }
    }
}

/// Connects, and looks. Where the server does not answer there is nothing more to see.
pub async fn examine(admin: AdminAddress, settings: &Settings) -> Vec<Finding> {
    let what = format!("database server {}", admin.place());
    let server = match Server::new(admin) {
        Ok(server) => server,
        Err(failure) => return vec![Finding::new(what, Err(failure))],
    };
    let facts = match server.facts().await {
        Ok(facts) => facts,
        Err(failure) => return vec![Finding::new(what, Err(failure))],
    };
    let rights = if facts.is_superuser {
        "a superuser"
    } else {
        "a user with CREATEDB and CREATEROLE"
    };
    let mut findings = vec![Finding::new(
        what,
        Ok(Verdict::Good(format!("PostgreSQL {}, as {rights}", facts.version))),
    )];
    findings.push(Finding::new(
        "database template",
        template(&server, &settings.template).await,
    ));
    if !settings.extensions.is_empty() {
        findings.push(Finding::new(
            "database extensions",
            extensions(&server, &settings.extensions).await,
        ));
    }
    findings.push(Finding::new("database connections", connections(&server).await));
    findings.push(Finding::new("databases that tenants can enter", common(&server).await));
    if settings.keeping.archive.is_some() {
        let found = dump(settings.keeping.programs.as_deref(), facts.version).await;
        findings.push(Finding::new("pg_dump", found));
    }
    findings
}

async fn template(server: &Server, name: &str) -> Result<Verdict, Failure> {
    let rows = server
        .query(
            "list its databases",
            "SELECT 1 FROM pg_database WHERE datname = $1",
            &[&name],
        )
        .await?;
    if rows.is_empty() {
        return Err(Failure::new(
            Code::DatabaseDenied,
            format!("there is no database {name} to make others from"),
        )
        .hint("make it, or leave [databases] template out"));
    }
    Ok(Verdict::Good(name.to_owned()))
}

async fn extensions(server: &Server, names: &[String]) -> Result<Verdict, Failure> {
    let rows = server
        .query(
            "list its extensions",
            "SELECT wanted FROM unnest($1::text[]) wanted WHERE wanted NOT IN (SELECT name FROM pg_available_extensions)",
            &[&names],
        )
        .await?;
    if rows.is_empty() {
        return Ok(Verdict::Good(names.join(", ")));
    }
    let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Err(Failure::new(
        Code::DatabaseDenied,
        format!("the server does not have {}", missing.join(", ")),
    )
    .hint("install them on the server, or take them out of [databases] extensions"))
}

async fn connections(server: &Server) -> Result<Verdict, Failure> {
    let rows = server
        .query(
            "count its connections",
            "SELECT current_setting('max_connections')::int8, count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
            &[],
        )
        .await?;
    let row = rows.first().ok_or_else(|| Failure::internal("a count without a row"))?;
    let (most, used): (i64, i64) = (row.get(0), row.get(1));
    let found = format!("{most} at the most, {used} in use");
    Ok(if most - used < FREE_MIN {
        Verdict::Doubtful {
            found,
            hint: "raise max_connections of the server".to_owned(),
        }
    } else {
        Verdict::Good(found)
    })
}

/// Tenants' own are shut to others. What an operator has beside them on the server is the operator's to shut.
async fn common(server: &Server) -> Result<Verdict, Failure> {
    let rows = server
        .query(
            "list its databases",
            "SELECT datname::text FROM pg_database WHERE datallowconn AND has_database_privilege('public', oid, 'CONNECT') ORDER BY 1",
            &[],
        )
        .await?;
    let open: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(match open.first() {
        None => Verdict::Good("their own".to_owned()),
        Some(first) => Verdict::Doubtful {
            found: format!("every tenant can connect to {}", open.join(", ")),
            hint: format!("REVOKE CONNECT ON DATABASE {first} FROM PUBLIC, and so for the others"),
        },
    })
}

async fn dump(folder: Option<&std::path::Path>, server: u32) -> Result<Verdict, Failure> {
    let program = Programs::find(folder)?.path("pg_dump");
    let output = tokio::process::Command::new(&program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| {
            Failure::new(
                Code::ConfigInvalid,
                format!("{} cannot be run: {error}", program.display()),
            )
        })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let own = version(&said);
    if own.is_some_and(|own| own >= server) {
        return Ok(Verdict::Good(said));
    }
    Err(Failure::new(
        Code::ConfigInvalid,
        format!("{} is {said}, and the server is PostgreSQL {server}", program.display()),
    )
    .hint("install programs at least as new as the server, and name their folder as [databases] programs"))
}

/// The major version of `pg_dump (PostgreSQL) 15.18 (Debian …)`.
fn version(said: &str) -> Option<u32> {
    let number = said
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_version_is_its_first_number() {
        assert_eq!(version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(version("pg_dump (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(version("command not found"), None);
    }
}
