//! Databases that are ready before anybody wants one: a claim is a rename, which takes a fraction of a millisecond, where `CREATE DATABASE` takes twenty.
//!
//! The server is the only list of them: what a killed Wharf had in stock is there for the next one, and what it had begun to make is dropped. Where several
//! processes serve one deployment they share a stock; whoever renames first has it.

use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;
use wharf_domain::{DeploymentId, Failure};
use wharf_saga::Ids;

use crate::{catalogue, names, options::Settings, server::Server, trouble::Trouble};

/// The first pause after a failure; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// A stock that is empty costs a sign-up twenty milliseconds, and no more: there is no hurry.
const PAUSE_LONGEST: Duration = Duration::from_secs(30);
/// Dropping waits for a checkpoint now and then.
pub(crate) const DROP_TIMEOUT: Duration = Duration::from_mins(2);

pub(crate) struct Spares {
    server: Arc<Server>,
    deployment: DeploymentId,
    settings: Settings,
    fingerprint: String,
    ids: Arc<dyn Ids>,
    shelf: Mutex<Shelf>,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Shelf {
    ready: VecDeque<String>,
    /// Being made by this process, for the stock or for a claim.
    making: BTreeSet<String>,
}

/// A database that has no tenant yet. It is this process's alone until it is claimed or dropped.
#[derive(Debug)]
pub(crate) struct Spare<'a> {
    pub(crate) name: String,
    spares: &'a Spares,
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        self.spares.shelf.lock().making.remove(&self.name);
    }
}

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spares").field(&self.server).finish()
    }
}

impl Spares {
    pub(crate) fn new(server: Arc<Server>, deployment: DeploymentId, settings: Settings, ids: Arc<dyn Ids>) -> Self {
        Self {
            server,
            deployment,
            fingerprint: settings.fingerprint(),
            settings,
            ids,
            shelf: Mutex::default(),
            taken: Notify::new(),
        }
    }

    /// One of the stock.
    pub(crate) fn take(&self) -> Option<Spare<'_>> {
        let name = {
            let mut shelf = self.shelf.lock();
            let name = shelf.ready.pop_front()?;
            shelf.making.insert(name.clone());
            name
        };
        self.taken.notify_one();
        Some(Spare { name, spares: self })
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        self.shelf.lock().ready.len()
    }

    /// Makes one, closed to everybody. Its name and its owner say that it is this deployment's before anything else is written.
    pub(crate) async fn make(&self) -> Result<Spare<'_>, Trouble> {
        let name = names::spare(&self.deployment, &*self.ids);
        self.shelf.lock().making.insert(name.clone());
        let spare = Spare { name, spares: self };
        let database = names::quoted(&spare.name);
        let template = names::quoted(&self.settings.template);
        self.server
            .execute(
                "make a database",
                &format!("CREATE DATABASE {database} TEMPLATE {template} ALLOW_CONNECTIONS false"),
            )
            .await?;
        if !self.settings.extensions.is_empty() {
            self.server
                .execute(
                    "open a new database to Wharf",
                    &format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC; ALTER DATABASE {database} ALLOW_CONNECTIONS true"),
                )
                .await?;
            let statements: Vec<_> = self
                .settings
                .extensions
                .iter()
                .map(|extension| format!("CREATE EXTENSION IF NOT EXISTS {}", names::quoted(extension)))
                .collect();
            self.server
                .execute_in(&spare.name, "make the extensions", &statements.join("; "))
                .await?;
        }
        Ok(spare)
    }

    /// Makes one and puts it into stock.
    async fn add(&self) -> Result<(), Failure> {
        let spare = self.make().await?;
        let comment = names::literal(&self.fingerprint);
        self.server
            .execute(
                "mark a database",
                &format!("COMMENT ON DATABASE {} IS {comment}", names::quoted(&spare.name)),
            )
            .await?;
        let name = spare.name.clone();
        drop(spare);
        self.shelf.lock().ready.push_back(name);
        Ok(())
    }

    /// Keeps the stock as large as it is to be, for as long as it is polled.
    pub(crate) async fn tend(&self) {
        let mut doubtful = BTreeSet::new();
        let mut pause = PAUSE_FIRST;
        loop {
            match self.look_and_fill(&mut doubtful).await {
                Ok(()) => {
                    pause = PAUSE_FIRST;
                    let survey = tokio::time::Instant::now() + self.settings.survey;
                    self.fill_until(survey).await;
                }
                Err(failure) => {
                    if pause == PAUSE_FIRST {
                        tracing::warn!(error = %failure, "no databases are put into stock: they are made when they are wanted");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_LONGEST);
                }
            }
        }
    }

    /// Whenever one is taken another is made. Ends at that time, or at a failure.
    async fn fill_until(&self, end: tokio::time::Instant) {
        loop {
            tokio::select! {
                () = self.taken.notified() => {}
                () = tokio::time::sleep_until(end) => return,
            }
            if let Err(failure) = self.fill().await {
                tracing::debug!(error = %failure, "no database could be put into stock");
                return;
            }
        }
    }

    async fn look_and_fill(&self, doubtful: &mut BTreeSet<String>) -> Result<(), Failure> {
        self.server.facts().await?;
        self.survey(doubtful).await?;
        self.fill().await
    }

    async fn fill(&self) -> Result<(), Failure> {
        while self.ready() < self.settings.spare {
            self.add().await?;
        }
        Ok(())
    }

    /// Compares the shelf with the server: takes in what is ready there, and drops what is not wanted. What is not ready may be another process's that is just being
    /// made: it is dropped when it is found a second time.
    async fn survey(&self, doubtful: &mut BTreeSet<String>) -> Result<(), Failure> {
        let there = catalogue::stock(&self.server, &self.deployment).await?;
        let mut unwanted = Vec::new();
        let mut still_doubtful = BTreeSet::new();
        {
            let mut shelf = self.shelf.lock();
            shelf.ready.retain(|name| there.iter().any(|one| one.name == *name));
            for one in there {
                if shelf.making.contains(&one.name) || shelf.ready.contains(&one.name) {
                    continue;
                }
                match one.fingerprint {
                    Some(fingerprint) if fingerprint == self.fingerprint && shelf.ready.len() < self.settings.spare => {
                        shelf.ready.push_back(one.name);
                    }
                    Some(_) => unwanted.push(one.name),
                    None if doubtful.contains(&one.name) => unwanted.push(one.name),
                    None => {
                        still_doubtful.insert(one.name);
                    }
                }
            }
        }
        *doubtful = still_doubtful;
        for name in unwanted {
            self.drop_database(&name).await?;
        }
        Ok(())
    }

    async fn drop_database(&self, name: &str) -> Result<(), Failure> {
        tracing::info!(database = name, "dropping a database in stock that nobody can use");
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", names::quoted(name));
        self.server
            .execute_within(DROP_TIMEOUT, "drop a database in stock", &statement)
            .await
            .map_err(Failure::from)
    }
}
