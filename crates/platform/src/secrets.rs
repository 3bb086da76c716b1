//! Instances' secrets: made once, the same at every attempt, gone with the instance.

use async_trait::async_trait;
use secrecy::SecretString;
use std::collections::BTreeMap;
use wharf_domain::{Failure, InstanceId};

/// Keeps secrets.
///
/// Guarantees wanted:
/// - `put` keeps what is there: it gives the values in force, which are those of the first `put`.
/// - Values are readable by this deployment alone (file mode 0600, a resource policy).
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// Puts the instance's secrets, by name, if it has none yet; gives those in force.
    async fn put(
        &self,
        instance: &InstanceId,
        values: BTreeMap<String, SecretString>,
    ) -> Result<BTreeMap<String, SecretString>, Failure>;

    async fn get(&self, instance: &InstanceId) -> Result<Option<BTreeMap<String, SecretString>>, Failure>;

    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure>;

    /// Every instance that has secrets.
    async fn all(&self) -> Result<Vec<InstanceId>, Failure>;
}
