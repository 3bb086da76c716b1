//! Tenants' databases: one for each instance that wants one, with credentials of its own.
//!
//! | file | what it is for |
//! |---|---|
//! | `call` | the same asked of somebody in another network |

pub mod call;

use async_trait::async_trait;
use secrecy::SecretString;
use wharf_domain::{Code, Failure, InstanceId};

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
/// - `open` makes nothing: where it is not, nobody is given an empty one in its stead.
/// - `remove` removes only what is this instance's; gone already is a success.
/// - No tenant can reach another's.
#[async_trait]
pub trait Databases: Send + Sync + 'static {
    /// `name` is `user_<tenant>`; `password` is the role's, where the server has roles.
    async fn create(&self, instance: &InstanceId, name: &str, password: &SecretString) -> Result<Database, Failure>;

    /// The database that `create` gave. `None`: it is gone.
    async fn open(
        &self,
        instance: &InstanceId,
        name: &str,
        password: &SecretString,
    ) -> Result<Option<Database>, Failure>;

    async fn remove(&self, instance: &InstanceId, name: &str) -> Result<(), Failure>;

    /// The same where the instance was never Ready: nobody's data are in it, so nothing of it is kept or archived.
    async fn discard(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        self.remove(instance, name).await
    }

    /// Every database of this deployment: owner and name.
    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure>;
}

/// Where a platform has none: a service that wants one is refused before anything is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDatabases;

#[async_trait]
impl Databases for NoDatabases {
    async fn create(&self, _: &InstanceId, name: &str, _: &SecretString) -> Result<Database, Failure> {
        Err(Failure::new(
            Code::DatabaseUnsupported,
            format!("this platform has no databases, and {name} was to be made"),
        )
        .hint("remove `database = true` from the service, or run it on a platform that has databases"))
    }

    async fn open(&self, _: &InstanceId, _: &str, _: &SecretString) -> Result<Option<Database>, Failure> {
        Ok(None)
    }

    /// Of what was never made nothing is left.
    async fn remove(&self, _: &InstanceId, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure> {
        Ok(Vec::new())
    }
}
