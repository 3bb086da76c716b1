//! Simulated databases, with something in them, so that a test can see whether it is still there.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use wharf_domain::{Attempt, Code, Failure, InstanceId};
use wharf_platform::{Database, Databases, Owner};

use super::{Flaw, SimWorld, calls::Calls};

/// A tenant's database.
#[derive(Clone, Debug)]
pub struct SimDatabase {
    /// The attempt means nothing here.
    pub owner: Owner,
    pub rows: BTreeMap<String, String>,
    /// Which one of all that were ever made it is.
    pub number: u64,
    password: String,
}

impl SimDatabase {
    fn as_told(&self, name: &str) -> Database {
        Database {
            name: name.to_owned(),
            url: SecretString::from(format!("sim://{name}:{}@databases/{name}", self.password)),
        }
    }
}

/// Databases, as one process reaches them.
pub(crate) struct SimDatabases(pub(crate) Calls);

fn foreign(name: &str) -> Failure {
    Failure::new(Code::ResourceForeign, format!("the database {name} is another's"))
}

#[async_trait]
impl Databases for SimDatabases {
    async fn create(&self, instance: &InstanceId, name: &str, password: &SecretString) -> Result<Database, Failure> {
        let owner = self.0.world.mark(instance);
        let (what, name, password) = (format!("{name} {instance}"), name.to_owned(), password.clone());
        self.0
            .make("databases.create", what, move |state, _| {
                if state.has(Flaw::FreshDatabase)
                    && state.databases.get(&name).is_some_and(|found| found.owner == owner)
                {
                    state.databases.remove(&name);
                }
                let made = &mut state.databases_made;
                let database = state.databases.entry(name.clone()).or_insert_with(|| SimDatabase {
                    number: {
                        *made += 1;
                        *made
                    },
                    owner: owner.clone(),
                    rows: BTreeMap::new(),
                    password: password.expose_secret().to_owned(),
                });
                if database.owner != owner {
                    return Err(foreign(&name));
                }
                Ok(database.as_told(&name))
            })
            .await
    }

    async fn open(&self, instance: &InstanceId, name: &str, _: &SecretString) -> Result<Option<Database>, Failure> {
        let owner = self.0.world.mark(instance);
        let (what, name) = (format!("{name} {instance}"), name.to_owned());
        self.0
            .make("databases.open", what, move |state, _| {
                match state.databases.get(&name) {
                    Some(database) if database.owner != owner => Err(foreign(&name)),
                    found => Ok(found.map(|database| database.as_told(&name))),
                }
            })
            .await
    }

    async fn remove(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        let owner = self.0.world.mark(instance);
        let (what, name) = (format!("{name} {instance}"), name.to_owned());
        self.0
            .make("databases.remove", what, move |state, _| {
                // Another's is not ours to remove: of ours there is nothing left.
                if state
                    .databases
                    .get(&name)
                    .is_some_and(|database| database.owner == owner || state.has(Flaw::RemovesForeign))
                {
                    state.databases.remove(&name);
                }
                Ok(())
            })
            .await
    }

    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure> {
        let deployment = self.0.world.deployment_id().clone();
        self.0
            .make("databases.all", "", move |state, _| {
                Ok(state
                    .databases
                    .iter()
                    .filter(|(_, database)| database.owner.deployment == deployment)
                    .map(|(name, database)| (database.owner.instance.clone(), name.clone()))
                    .collect())
            })
            .await
    }
}

impl SimWorld {
    fn mark(&self, instance: &InstanceId) -> Owner {
        Owner {
            deployment: self.deployment_id().clone(),
            instance: instance.clone(),
            attempt: Attempt(0),
        }
    }

    /// Puts a row into a database, as its application would. Whether there is such a database.
    pub fn write_row(&self, database: &str, key: &str, value: &str) -> bool {
        let mut state = self.state();
        let found = state.databases.get_mut(database);
        found
            .map(|database| database.rows.insert(key.to_owned(), value.to_owned()))
            .is_some()
    }

    /// What a database is, and what is in it.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<SimDatabase> {
        self.state().databases.get(name).cloned()
    }

    /// Puts a database there that nobody asked for.
    pub fn plant_database(&self, owner: Owner, name: &str) {
        let database = SimDatabase {
            owner,
            number: 0,
            rows: BTreeMap::from([("whose".to_owned(), "planted".to_owned())]),
            password: String::new(),
        };
        self.state().databases.insert(name.to_owned(), database);
    }

    /// Somebody removes a database behind Wharf's back.
    pub fn lose_database(&self, name: &str) {
        self.state().databases.remove(name);
    }
}
