//! Simulated secrets: kept as they were first put.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use wharf_domain::{Failure, InstanceId};
use wharf_platform::Secrets;

use super::{Flaw, SimWorld, calls::Calls};

/// Secrets, as one process reaches them.
pub(crate) struct SimSecrets(pub(crate) Calls);

fn sealed(values: &BTreeMap<String, String>) -> BTreeMap<String, SecretString> {
    let seal = |(name, value): (&String, &String)| (name.clone(), SecretString::from(value.clone()));
    values.iter().map(seal).collect()
}

#[async_trait]
impl Secrets for SimSecrets {
    async fn put(
        &self,
        instance: &InstanceId,
        values: BTreeMap<String, SecretString>,
    ) -> Result<BTreeMap<String, SecretString>, Failure> {
        let instance = instance.clone();
        self.0
            .make("secrets.put", instance.to_string(), move |state, _| {
                if state.has(Flaw::NewPassword) {
                    state.secrets.remove(&instance);
                }
                let present = state.secrets.entry(instance.clone()).or_insert_with(|| {
                    let open =
                        |(name, value): (&String, &SecretString)| (name.clone(), value.expose_secret().to_owned());
                    values.iter().map(open).collect()
                });
                Ok(sealed(present))
            })
            .await
    }

    async fn get(&self, instance: &InstanceId) -> Result<Option<BTreeMap<String, SecretString>>, Failure> {
        let instance = instance.clone();
        self.0
            .make("secrets.get", instance.to_string(), move |state, _| {
                Ok(state.secrets.get(&instance).map(sealed))
            })
            .await
    }

    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure> {
        let instance = instance.clone();
        self.0
            .make("secrets.remove", instance.to_string(), move |state, _| {
                if !state.has(Flaw::KeepsSecrets) {
                    state.secrets.remove(&instance);
                }
                Ok(())
            })
            .await
    }

    async fn all(&self) -> Result<Vec<InstanceId>, Failure> {
        self.0
            .make("secrets.all", "", |state, _| {
                Ok(state.secrets.keys().cloned().collect())
            })
            .await
    }
}

impl SimWorld {
    /// What is kept for an instance, in the open.
    #[must_use]
    pub fn secrets(&self, id: &InstanceId) -> Option<BTreeMap<String, String>> {
        self.state().secrets.get(id).cloned()
    }

    /// Puts secrets there that nobody asked for.
    pub fn plant_secrets(&self, id: &InstanceId) {
        let planted = BTreeMap::from([("APP_PASSWORD".to_owned(), "planted".to_owned())]);
        self.state().secrets.insert(id.clone(), planted);
    }

    /// Somebody removes an instance's secrets behind Wharf's back.
    pub fn lose_secrets(&self, id: &InstanceId) {
        self.state().secrets.remove(id);
    }
}
