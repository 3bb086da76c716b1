//! What the server refused, or why it was not reached, as a failure: its code says whether the engine tries again.

use deadpool_postgres::PoolError;
use std::error::Error as _;
use tokio_postgres::error::SqlState;
use wharf_domain::{Code, Failure};

/// A failure, and PostgreSQL's own code for it where there is one.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) state: Option<SqlState>,
    pub(crate) failure: Failure,
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        trouble.failure
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { state: None, failure }
    }
}

impl Trouble {
    pub(crate) fn is(&self, state: &SqlState) -> bool {
        self.state.as_ref() == Some(state)
    }

    /// `place` is host and port; `doing` completes "the database server cannot".
    pub(crate) fn of(error: &tokio_postgres::Error, place: &str, doing: &str) -> Self {
        let Some(refusal) = error.as_db_error() else {
            return Self::from(unreached(error, place));
        };
        let state = refusal.code().clone();
        let said = refusal.message();
        Self {
            failure: refused(&state, place, doing, said),
            state: Some(state),
        }
    }

    pub(crate) fn of_pool(error: &PoolError, place: &str, doing: &str) -> Self {
        match error {
            PoolError::Backend(error) => Self::of(error, place, doing),
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => Self::from(
                Failure::new(
                    Code::DatabaseConnections,
                    format!("all of Wharf's own connections to {place} are in use"),
                )
                .hint("the server answers slowly: look at what it is busy with"),
            ),
            PoolError::Timeout(_) => Self::from(silent(place)),
            other => Self::from(Failure::internal(format!("the pool of connections: {other}"))),
        }
    }
}

/// It did not answer in time.
pub(crate) fn silent(place: &str) -> Failure {
    Failure::new(
        Code::DatabaseUnreachable,
        format!("the database server at {place} does not answer in time"),
    )
    .hint("look whether it runs, and how busy it is")
}

fn unreached(error: &tokio_postgres::Error, place: &str) -> Failure {
    let mut why = error.to_string();
    let mut source = error.source();
    let mut is_certificate = false;
    while let Some(inner) = source {
        let text = inner.to_string();
        if !why.ends_with(&text) {
            why = format!("{why}: {text}");
        }
        is_certificate |= text.contains("invalid peer certificate");
        source = inner.source();
    }
    if is_certificate {
        return Failure::new(Code::DatabaseDenied, format!("the database server at {place} is not believed: {why}"))
            .hint("name the authority of its certificate as `sslrootcert` in the URL, and the host as it stands in the certificate");
    }
    let is_ours = [
        "invalid configuration",
        "authentication error",
        "server does not support TLS",
    ]
    .iter()
    .any(|text| why.contains(text));
    if is_ours {
        return Failure::new(
            Code::DatabaseDenied,
            format!("the database server at {place} cannot be used: {why}"),
        )
        .hint("look at user, password and sslmode of the server's URL");
    }
    Failure::new(
        Code::DatabaseUnreachable,
        format!("the database server at {place} is not reached: {why}"),
    )
    .hint("look whether it runs, and whether this machine may connect to it")
}

fn refused(state: &SqlState, place: &str, doing: &str, said: &str) -> Failure {
    let text = format!("the database server at {place} cannot {doing}: {said}");
    let (code, hint) = match *state {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            Code::DatabaseDenied,
            "look at user and password of the server's URL, and at the server's pg_hba.conf",
        ),
        SqlState::INSUFFICIENT_PRIVILEGE => (
            Code::DatabaseDenied,
            "Wharf's user has to be a superuser, or to have CREATEDB and CREATEROLE; extensions that are not trusted need a superuser",
        ),
        SqlState::TOO_MANY_CONNECTIONS | SqlState::CONFIGURATION_LIMIT_EXCEEDED => (
            Code::DatabaseConnections,
            "raise max_connections of the server, or lower [databases] connection_limit",
        ),
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY => (Code::DatabaseFailed, "make room on the database server"),
        SqlState::UNDEFINED_FILE | SqlState::FEATURE_NOT_SUPPORTED => (
            Code::DatabaseDenied,
            "look at [databases] extensions: each has to be installed on the server",
        ),
        SqlState::UNDEFINED_DATABASE => (
            Code::DatabaseDenied,
            "look at the database in the server's URL and at [databases] template",
        ),
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            (Code::DatabaseUnreachable, "wait until it has started")
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => (
            Code::DatabaseUnreachable,
            "this server is a stand-by: the URL has to lead to the primary",
        ),
        SqlState::OBJECT_IN_USE => (Code::DatabaseFailed, "end what is connected to it"),
        _ if state.code().starts_with("08") => (Code::DatabaseUnreachable, "look whether it runs"),
        _ => (Code::DatabaseFailed, "look at the server's log"),
    };
    Failure::new(code, text).hint(hint)
}
