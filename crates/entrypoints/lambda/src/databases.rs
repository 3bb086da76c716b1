//! The function that makes tenants' databases. It is in the network of the PostgreSQL server, where the one that calls it is not; it can call nobody else.
//!
//! It keeps nothing: each call has the server's URL in it, and its connection ends with it. Connections that outlived a call would be counted against
//! the server's while Lambda has the process frozen, and would be dead when it goes on.

use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, Failure};
use wharf_local::{OsIds, SystemClock};
use wharf_platform::{
    Databases,
    databases::call::{ANSWER_WITHIN, Action, Answer, Call, DatabaseServer},
};
use wharf_postgres::{AdminAddress, Keeping, PostgresDatabases, PostgresOptions, Settings, TenantAddress};

/// What is left of an invocation when it stops working, for the answer.
const MARGIN: Duration = Duration::from_millis(500);
/// Dropping what was removed waits for a checkpoint now and then. What is not dropped by then is by a later call: it has lost its name, and nobody waits for it.
const DROP_WITHIN: Duration = Duration::from_secs(5);

/// Answers one call. What was refused is an answer too: an error would be of the function itself.
///
/// # Errors
/// The answer cannot be written, which is a defect.
pub async fn invoke(payload: Value, deadline: Instant) -> Result<Value, Failure> {
    let until = (deadline - MARGIN).min(Instant::now() + ANSWER_WITHIN);
    let answer = match tokio::time::timeout_at(until, answer(payload)).await {
        Ok(answer) => answer.unwrap_or_else(Answer::Failed),
        Err(_) => Answer::Failed(
            Failure::new(Code::DatabaseUnreachable, "the database server does not answer in time")
                .hint("look whether it runs, and how busy it is"),
        ),
    };
    if let Answer::Failed(failure) = &answer {
        tracing::warn!(code = %failure.code, error = %failure.message, "a call failed");
    }
    serde_json::to_value(answer).map_err(|error| Failure::internal(format!("an answer: {error}")))
}

async fn answer(payload: Value) -> Result<Answer, Failure> {
    // What is wrong with it is not repeated: there are passwords in it.
    let Call { server, action } = serde_json::from_value(payload).map_err(|_| {
        Failure::new(
            Code::EventInvalid,
            "the payload is no call of the function that makes databases",
        )
        .hint("it is called by the function that starts instances, of the same version, and by nobody else")
    })?;
    let databases = connect(server)?;
    let answer = match &action {
        Action::Create {
            instance,
            name,
            password,
        } => Answer::Database(databases.create(instance, name, password).await?.into()),
        Action::Open {
            instance,
            name,
            password,
        } => databases
            .open(instance, name, password)
            .await?
            .map_or(Answer::Nothing, |database| Answer::Database(database.into())),
        Action::Remove { instance, name } => {
            databases.remove(instance, name).await?;
            Answer::Removed
        }
        Action::Discard { instance, name } => {
            databases.discard(instance, name).await?;
            Answer::Removed
        }
        Action::All => Answer::All(databases.all().await?),
    };
    // Whoever compares registry and world asks for all, now and then: what was kept has its end then.
    if matches!(action, Action::Remove { .. } | Action::Discard { .. } | Action::All) {
        drop_due(&databases).await;
    }
    Ok(answer)
}

async fn drop_due(databases: &PostgresDatabases) {
    match tokio::time::timeout(DROP_WITHIN, databases.drop_due()).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            tracing::warn!(code = %failure.code, error = %failure.message, "removed databases are not dropped: the next call tries again");
        }
        Err(_) => tracing::warn!("removed databases are not dropped yet: the next call goes on"),
    }
}

/// Connects to nothing yet.
fn connect(server: DatabaseServer) -> Result<PostgresDatabases, Failure> {
    let admin = AdminAddress::parse(&server.url)?;
    let options = PostgresOptions {
        deployment: server.deployment,
        tenant: TenantAddress {
            scheme: server.tenant_scheme,
            host: server
                .tenant_host
                .or_else(|| admin.host().map(str::to_owned))
                .unwrap_or_default(),
            port: server.tenant_port.unwrap_or_else(|| admin.port()),
            query: server.tenant_query,
        },
        settings: Settings {
            connection_limit: server.connection_limit,
            statement_timeout: server.statement_timeout,
            template: server.template,
            extensions: server.extensions,
            keeping: Keeping {
                kept: server.kept,
                ..Keeping::default()
            },
            ..Settings::default()
        },
    };
    PostgresDatabases::at_rest(admin, options, Arc::new(SystemClock), Arc::new(OsIds))
}
