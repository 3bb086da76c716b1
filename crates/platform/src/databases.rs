//! Tenants' databases: one for each instance that wants one, with credentials of its own.

use async_trait::async_trait;
use secrecy::SecretString;
use wharf_domain::{Failure, InstanceId};

/// A database as its instance is told of it.
#[derive(Clone, Debug)]
pub struct Database {
    pub name: String,
    /// `DATABASE_URL`, with credentials.
    pub url: SecretString,
}

/// Makes and removes databases.
///
/// Guarantees wanted:
/// - `create` again gives the same database, with what is in it. A database of that name that is not this instance's is `resource.foreign`, and is not touched.
/// - `remove` removes only what is this instance's; gone already is a success.
/// - No tenant can reach another's.
#[async_trait]
pub trait Databases: Send + Sync + 'static {
    /// `name` is `user_<tenant>`; `password` is the role's, where the server has roles.
    async fn create(&self, instance: &InstanceId, name: &str, password: &SecretString) -> Result<Database, Failure>;

    async fn remove(&self, instance: &InstanceId, name: &str) -> Result<(), Failure>;

    /// Every database of this deployment: owner and name.
    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure>;
}
