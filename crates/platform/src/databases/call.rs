//! Calls to whoever makes databases elsewhere, in a network that the caller is not in: what is asked and what is answered, as both sides write it.
//!
//! A call has all in it that it takes, the server's URL with its password among it: who answers keeps nothing, and has no configuration. How a call gets
//! there is not said here.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;
use wharf_domain::{DeploymentId, Failure, InstanceId};

use super::Database;

/// Who answers stops working after so long, and says so.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(13);
/// After so long the caller takes an answer for lost. Shorter than a step (`wharf_saga::limits::STEP_TIMEOUT`).
pub const CALL_WITHIN: Duration = Duration::from_secs(17);
/// Bytes of a call, as JSON. What is in it by rights has some hundreds.
pub const CALL_MAX: usize = 64 << 10;

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    pub server: DatabaseServer,
    #[serde(flatten)]
    pub action: Action,
}

/// The server that databases are made on, and what they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DatabaseServer {
    /// As the administrator comes to it.
    #[serde(serialize_with = "exposed", deserialize_with = "hidden")]
    pub url: SecretString,
    pub deployment: DeploymentId,
    /// The scheme of `DATABASE_URL`.
    pub tenant_scheme: String,
    /// As tenants reach the server, where it is not as the administrator does.
    pub tenant_host: Option<String>,
    pub tenant_port: Option<u16>,
    pub tenant_query: Option<String>,
    /// Of one tenant.
    pub connection_limit: u32,
    /// Zero: for ever.
    pub statement_timeout: Duration,
    pub template: String,
    pub extensions: Vec<String>,
    /// How long a removed database stays on the server. Zero: it is dropped at once.
    pub kept: Duration,
}

/// What is to be done: [`Databases`](super::Databases), word for word.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    Create {
        instance: InstanceId,
        name: String,
        #[serde(serialize_with = "exposed", deserialize_with = "hidden")]
        password: SecretString,
    },
    Open {
        instance: InstanceId,
        name: String,
        #[serde(serialize_with = "exposed", deserialize_with = "hidden")]
        password: SecretString,
    },
    Remove {
        instance: InstanceId,
        name: String,
    },
    Discard {
        instance: InstanceId,
        name: String,
    },
    All,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The database that was made or opened.
    Database(Told),
    /// There is nothing to be opened.
    Nothing,
    /// It is gone.
    Removed,
    All(Vec<(InstanceId, String)>),
    Failed(Failure),
}

/// A [`Database`] on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    name: String,
    #[serde(serialize_with = "exposed", deserialize_with = "hidden")]
    url: SecretString,
}

impl From<Database> for Told {
    fn from(Database { name, url }: Database) -> Self {
        Self { name, url }
    }
}

impl From<Told> for Database {
    fn from(Told { name, url }: Told) -> Self {
        Self { name, url }
    }
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn hidden<'d, D: Deserializer<'d>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_saga::limits::STEP_TIMEOUT;

    #[test]
    fn who_waits_is_more_patient_than_who_works() {
        assert!(ANSWER_WITHIN < CALL_WITHIN && CALL_WITHIN < STEP_TIMEOUT);
    }
}
