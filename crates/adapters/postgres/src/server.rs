//! Connections to the server, with the administrator's rights: bounded in number, each use bounded in time, made anew when the server comes back.
//!
//! No statement of a tenant's is ever sent here, and no password: what is stored of one is computed on this side.

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_postgres::{NoTls, Row, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;
use wharf_domain::{Code, Failure};

use crate::{
    address::AdminAddress,
    tls,
    trouble::{Trouble, silent},
};

/// Four connections make as many databases a second as more do; the others are for what is quick.
const CONNECTIONS: usize = 8;
/// To get a connection. Waiting for one and making one together stay below what a step may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that one statement may take: less than a step, which has 20 seconds.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(12);
/// `pg_database_owner`, by which a database's owner owns its schema `public`, came with 14.
pub(crate) const VERSION_MIN: u32 = 14;

/// What Wharf has to know of the server, and what does not change while it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The major version.
    pub(crate) version: u32,
    pub(crate) is_superuser: bool,
    pub(crate) may_create: bool,
}

#[derive(Clone)]
enum Tls {
    None,
    Rustls(MakeRustlsConnect),
}

pub(crate) struct Server {
    address: AdminAddress,
    place: String,
    pool: Pool,
    tls: Tls,
    facts: OnceCell<Facts>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.place).finish()
    }
}

impl Server {
    /// Connects to nothing yet: the server may be down.
    pub(crate) fn new(address: AdminAddress) -> Result<Self, Failure> {
        let manager_config = ManagerConfig {
            // A connection whose server was restarted is noticed before it is used.
            recycling_method: RecyclingMethod::Verified,
        };
        let config = address.config.clone();
        let (tls, manager) = match address.trust {
            None => (Tls::None, Manager::from_config(config, NoTls, manager_config)),
            Some(trust) => {
                let tls = tls::connector(trust, address.authorities.as_deref())?;
                let manager = Manager::from_config(config, tls.clone(), manager_config);
                (Tls::Rustls(tls), manager)
            }
        };
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(CONNECTION_TIMEOUT),
                create: Some(CONNECTION_TIMEOUT),
                recycle: Some(CONNECTION_TIMEOUT),
            })
            .build()
            .map_err(|error| Failure::internal(format!("the pool of connections: {error}")))?;
        Ok(Self {
            place: address.place(),
            address,
            pool,
            tls,
            facts: OnceCell::new(),
        })
    }

    pub(crate) const fn address(&self) -> &AdminAddress {
        &self.address
    }

    async fn client(&self, doing: &str) -> Result<Object, Trouble> {
        self.pool
            .get()
            .await
            .map_err(|error| Trouble::of_pool(&error, &self.place, doing))
    }

    /// Statements in one transaction, or one that has to stand alone. `doing` completes "the database server cannot".
    pub(crate) async fn execute(&self, doing: &str, statements: &str) -> Result<(), Trouble> {
        self.execute_within(STATEMENT_TIMEOUT, doing, statements).await
    }

    pub(crate) async fn execute_within(&self, most: Duration, doing: &str, statements: &str) -> Result<(), Trouble> {
        let client = self.client(doing).await?;
        match tokio::time::timeout(most, client.batch_execute(statements)).await {
            Ok(done) => done.map_err(|error| Trouble::of(&error, &self.place, doing)),
            Err(_) => {
                // What comes next on this connection would wait behind the statement that is still under way.
                drop(Object::take(client));
                Err(silent(&self.place).into())
            }
        }
    }

    pub(crate) async fn query(
        &self,
        doing: &str,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let client = self.client(doing).await?;
        let asked = tokio::time::timeout(STATEMENT_TIMEOUT, async {
            let prepared = client.prepare_cached(statement).await?;
            client.query(&prepared, values).await
        })
        .await;
        match asked {
            Ok(rows) => rows.map_err(|error| Trouble::of(&error, &self.place, doing)),
            Err(_) => {
                drop(Object::take(client));
                Err(silent(&self.place).into())
            }
        }
    }

    /// Runs statements within another database, on a connection of their own.
    pub(crate) async fn execute_in(&self, database: &str, doing: &str, statements: &str) -> Result<(), Trouble> {
        let mut config = self.address.config.clone();
        config.dbname(database);
        let work = async {
            let (client, driver) = match &self.tls {
                Tls::None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, tokio::spawn(async move { connection.await.is_ok() }))
                }
                Tls::Rustls(tls) => {
                    let (client, connection) = config.connect(tls.clone()).await?;
                    (client, tokio::spawn(async move { connection.await.is_ok() }))
                }
            };
            let done = client.batch_execute(statements).await;
            drop(client);
            // The database is given its name while nobody is connected to it.
            let _ = driver.await;
            done
        };
        match tokio::time::timeout(STATEMENT_TIMEOUT, work).await {
            Ok(done) => done.map_err(|error| Trouble::of(&error, &self.place, doing)),
            Err(_) => Err(silent(&self.place).into()),
        }
    }

    /// What the server is, asked once.
    pub(crate) async fn facts(&self) -> Result<Facts, Failure> {
        self.facts.get_or_try_init(|| self.ask_facts()).await.copied()
    }

    async fn ask_facts(&self) -> Result<Facts, Failure> {
        let rows = self
            .query(
                "say what it is",
                "SELECT current_setting('server_version_num')::int4, rolsuper, rolcreatedb AND rolcreaterole FROM pg_roles WHERE rolname = current_user",
                &[],
            )
            .await?;
        let row = rows
            .first()
            .ok_or_else(|| Failure::internal("a user of the database server that it does not know"))?;
        let number: i32 = row.get(0);
        let facts = Facts {
            version: u32::try_from(number / 10_000).unwrap_or_default(),
            is_superuser: row.get(1),
            may_create: row.get(2),
        };
        if facts.version < VERSION_MIN {
            return Err(Failure::new(
                Code::DatabaseDenied,
                format!("the database server at {} is PostgreSQL {}", self.place, facts.version),
            )
            .hint(format!("Wharf needs PostgreSQL {VERSION_MIN} or later")));
        }
        if !facts.is_superuser && !facts.may_create {
            return Err(Failure::new(
                Code::DatabaseDenied,
                format!(
                    "Wharf's user on the database server at {} may not make roles and databases",
                    self.place
                ),
            )
            .hint("ALTER ROLE … CREATEDB CREATEROLE, or give the URL of a user that has both"));
        }
        Ok(facts)
    }
}
