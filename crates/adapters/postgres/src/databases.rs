//! [`PostgresDatabases`]: a role and a database for each instance, made and removed so that a kill at any moment leaves nothing half.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use wharf_domain::{Code, DeploymentId, Failure, InstanceId, Timestamp};
use wharf_platform::{Database, Databases};
use wharf_saga::{Clock, Ids};

use crate::{
    address::AdminAddress,
    catalogue::{self, Place},
    mark::Mark,
    names,
    options::{PostgresOptions, Settings, TenantAddress},
    removal::Removals,
    server::Server,
    spares::Spares,
};

/// Others of the deployment may take what is in stock before it is claimed here; then one is made.
const CLAIMS: u32 = 16;

/// Makes databases on one PostgreSQL server.
pub struct PostgresDatabases {
    server: Arc<Server>,
    spares: Arc<Spares>,
    removals: Arc<Removals>,
    deployment: DeploymentId,
    tenant: TenantAddress,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// They end with this value.
    background: Vec<JoinHandle<()>>,
}

impl Drop for PostgresDatabases {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
    }
}

impl std::fmt::Debug for PostgresDatabases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PostgresDatabases").field(&self.server).finish()
    }
}

impl PostgresDatabases {
    /// Connects to nothing yet: a server that is down keeps nobody from starting. In the background the stock is filled, and what was removed is dropped; this
    /// has to be called within a runtime.
    pub fn new(
        admin: AdminAddress,
        options: PostgresOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, Failure> {
        let mut databases = Self::at_rest(admin, options, clock, ids)?;
        databases.background = vec![
            tokio::spawn({
                let spares = databases.spares.clone();
                async move { spares.tend().await }
            }),
            tokio::spawn({
                let removals = databases.removals.clone();
                async move { removals.carry_out().await }
            }),
        ];
        Ok(databases)
    }

    /// The same with nothing in the background, for a process that is stopped between two calls: each database is made when it is wanted, and
    /// [`drop_due`](Self::drop_due) drops what was removed.
    pub fn at_rest(
        admin: AdminAddress,
        options: PostgresOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, Failure> {
        let PostgresOptions {
            deployment,
            tenant,
            settings,
        } = options;
        let server = Arc::new(Server::new(admin)?);
        let spares = Arc::new(Spares::new(
            server.clone(),
            deployment.clone(),
            settings.clone(),
            ids.clone(),
        ));
        let removals = Arc::new(Removals::new(
            server.clone(),
            deployment.clone(),
            settings.clone(),
            clock.clone(),
        ));
        Ok(Self {
            server,
            spares,
            removals,
            deployment,
            tenant,
            settings,
            clock,
            ids,
            background: Vec::new(),
        })
    }

    /// Drops what was removed and has been kept long enough.
    pub async fn drop_due(&self) -> Result<(), Failure> {
        self.removals.carry_out_due().await
    }

    /// How many databases are ready before anybody wants one.
    #[must_use]
    pub fn in_stock(&self) -> usize {
        self.spares.ready()
    }

    /// How many removed databases and roles are still on the server, kept or about to be dropped.
    pub async fn removed(&self) -> Result<usize, Failure> {
        Ok(catalogue::waiting(&self.server, &self.deployment).await?.len())
    }

    fn told(&self, name: &str, password: &SecretString) -> Database {
        Database {
            name: name.to_owned(),
            url: self.tenant.url(name, password),
        }
    }

    /// What a role may do: nothing but to be connected, so many times.
    fn role_options(&self, verifier: &str) -> String {
        format!(
            "LOGIN NOCREATEDB NOCREATEROLE CONNECTION LIMIT {} PASSWORD {}",
            self.settings.connection_limit,
            names::literal(verifier)
        )
    }

    fn statement_timeout(&self, role: &str) -> String {
        match self.settings.statement_timeout {
            Duration::ZERO => format!("ALTER ROLE {role} RESET statement_timeout"),
            most => format!("ALTER ROLE {role} SET statement_timeout = {}", most.as_millis()),
        }
    }

    /// Role, mark and database in one transaction: all of it is there, or none.
    async fn claim(&self, instance: &InstanceId, name: &str, verifier: &str, mut place: Place) -> Result<(), Failure> {
        let is_superuser = self.server.facts().await?.is_superuser;
        for _ in 0..CLAIMS {
            let has_role = place == Place::Role;
            let spare = match self.spares.take() {
                Some(spare) => spare,
                None => self.spares.make().await?,
            };
            let (new, role) = (names::quoted(&spare.name), names::quoted(name));
            let mark = names::literal(&Mark::new(&self.deployment, instance).text());
            let verb = if has_role { "ALTER" } else { "CREATE" };
            let mut statements = format!("{verb} ROLE {role} {};", self.role_options(verifier));
            // Writing to a String cannot fail.
            let _ = write!(statements, "COMMENT ON ROLE {role} IS {mark};");
            if !is_superuser {
                let _ = write!(statements, "GRANT {role} TO CURRENT_USER;");
            }
            let _ = write!(
                statements,
                "{};\
                 REVOKE ALL ON DATABASE {new} FROM PUBLIC;\
                 COMMENT ON DATABASE {new} IS NULL;\
                 ALTER DATABASE {new} ALLOW_CONNECTIONS true;\
                 ALTER DATABASE {new} RENAME TO {role};\
                 ALTER DATABASE {role} OWNER TO {role}",
                self.statement_timeout(&role)
            );
            let Err(trouble) = self.server.execute("give a tenant its database", &statements).await else {
                return Ok(());
            };
            if trouble.is(&SqlState::UNDEFINED_DATABASE) {
                // Another process of the deployment was faster.
                continue;
            }
            if !trouble.is(&SqlState::DUPLICATE_DATABASE) && !trouble.is(&SqlState::DUPLICATE_OBJECT) {
                return Err(trouble.into());
            }
            place = match catalogue::look(&self.server, &self.deployment, instance, name).await? {
                Place::Own => return Ok(()),
                Place::Usurped(failure) | Place::Others(failure) | Place::Foreign(failure) => return Err(failure),
                free @ (Place::Nothing | Place::Role) => free,
            };
        }
        Err(Failure::new(
            Code::DatabaseFailed,
            format!("the database {name} could not be claimed: others were faster {CLAIMS} times"),
        ))
    }

    /// Gives what is there already the password and the limits that are in force now.
    async fn adopt(&self, name: &str, verifier: &str) -> Result<(), Failure> {
        let role = names::quoted(name);
        let statements = format!(
            "ALTER ROLE {role} {};{};REVOKE ALL ON DATABASE {role} FROM PUBLIC;ALTER DATABASE {role} ALLOW_CONNECTIONS true",
            self.role_options(verifier),
            self.statement_timeout(&role)
        );
        self.server
            .execute("give a tenant its database again", &statements)
            .await
            .map_err(Failure::from)
    }

    /// Takes away what is the instance's under this name; `mark` says what is written on it while it waits for its end.
    async fn take_away(
        &self,
        instance: &InstanceId,
        name: &str,
        mark: fn(Mark, &str, Timestamp) -> Mark,
    ) -> Result<(), Failure> {
        names::check(name)?;
        match catalogue::look(&self.server, &self.deployment, instance, name).await? {
            Place::Nothing | Place::Others(_) => Ok(()),
            Place::Own => self.retire(instance, name, mark).await,
            Place::Role | Place::Usurped(_) => self.remove_role(instance, name).await,
            Place::Foreign(failure) => Err(failure),
        }
    }

    /// Shuts the database and ends what is connected to it, then gives it and its role a name under which they wait for their end.
    async fn retire(
        &self,
        instance: &InstanceId,
        name: &str,
        mark: fn(Mark, &str, Timestamp) -> Mark,
    ) -> Result<(), Failure> {
        let role = names::quoted(name);
        let shut = format!("ALTER ROLE {role} NOLOGIN;ALTER DATABASE {role} ALLOW_CONNECTIONS false");
        self.server.execute("shut a tenant's database", &shut).await?;
        self.server
            .query(
                "end a tenant's connections",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE (datname = $1 OR usename = $1) AND pid <> pg_backend_pid()",
                &[&name],
            )
            .await?;
        let removed = names::removed(instance, &*self.ids);
        let mark = mark(Mark::new(&self.deployment, instance), name, self.clock.now());
        let (to, mark) = (names::quoted(&removed), names::literal(&mark.text()));
        let statements = format!(
            "ALTER DATABASE {role} RENAME TO {to};ALTER ROLE {role} RENAME TO {to};COMMENT ON ROLE {to} IS {mark}"
        );
        self.server
            .execute("take a tenant's database out of use", &statements)
            .await?;
        self.removals.wake();
        Ok(())
    }

    /// Removes a role that has no database of its own.
    async fn remove_role(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        let role = names::quoted(name);
        let dropped = self
            .server
            .execute("drop a tenant's role", &format!("DROP ROLE IF EXISTS {role}"))
            .await;
        let Err(trouble) = dropped else { return Ok(()) };
        if !trouble.is(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) {
            return Err(trouble.into());
        }
        // It owns something elsewhere, which somebody has to look at. The name is free for others all the same.
        tracing::warn!(role = name, error = %trouble.failure, "a removed tenant's role still owns something");
        let to = names::quoted(&names::removed(instance, &*self.ids));
        let mark = Mark::new(&self.deployment, instance).removed(name, self.clock.now());
        let statements = format!(
            "ALTER ROLE {role} NOLOGIN;ALTER ROLE {role} RENAME TO {to};COMMENT ON ROLE {to} IS {}",
            names::literal(&mark.text())
        );
        self.server
            .execute("take a tenant's role out of use", &statements)
            .await
            .map_err(Failure::from)
    }
}

/// What the server keeps of a password (RFC 5802): the password itself is never sent to it, where a log could show it. It costs some milliseconds of computing.
async fn verifier(password: &SecretString) -> Result<String, Failure> {
    let password = password.clone();
    tokio::task::spawn_blocking(move || postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes()))
        .await
        .map_err(|error| Failure::internal(format!("a password's hash: {error}")))
}

#[async_trait]
impl Databases for PostgresDatabases {
    async fn create(&self, instance: &InstanceId, name: &str, password: &SecretString) -> Result<Database, Failure> {
        names::check(name)?;
        let (place, verifier) = tokio::try_join!(
            catalogue::look(&self.server, &self.deployment, instance, name),
            verifier(password),
        )?;
        match place {
            Place::Own => self.adopt(name, &verifier).await?,
            Place::Nothing | Place::Role => self.claim(instance, name, &verifier, place).await?,
            Place::Usurped(failure) | Place::Others(failure) | Place::Foreign(failure) => return Err(failure),
        }
        Ok(self.told(name, password))
    }

    async fn open(
        &self,
        instance: &InstanceId,
        name: &str,
        password: &SecretString,
    ) -> Result<Option<Database>, Failure> {
        names::check(name)?;
        match catalogue::look(&self.server, &self.deployment, instance, name).await? {
            Place::Own => Ok(Some(self.told(name, password))),
            Place::Nothing | Place::Role => Ok(None),
            Place::Usurped(failure) | Place::Others(failure) | Place::Foreign(failure) => Err(failure),
        }
    }

    async fn remove(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        self.take_away(instance, name, Mark::removed).await
    }

    async fn discard(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        self.take_away(instance, name, Mark::discarded).await
    }

    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure> {
        catalogue::all(&self.server, &self.deployment).await
    }
}
