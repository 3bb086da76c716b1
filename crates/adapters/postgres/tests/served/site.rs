//! A server and an adapter on it, as a test wants them.

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use wharf_domain::{DeploymentId, InstanceId, Timestamp};
use wharf_platform::{Database, Databases};
use wharf_postgres::{AdminAddress, PostgresDatabases, PostgresOptions, Settings, TenantAddress};
use wharf_saga::{Clock, Ids};
use wharf_testkit::postgres::Postgres;

pub(crate) const PASSWORD: &str = "tenant's/p@ss";

pub(crate) fn password() -> SecretString {
    SecretString::from(PASSWORD)
}

pub(crate) fn deployment() -> DeploymentId {
    DeploymentId::new([1; 10])
}

pub(crate) fn instance(number: u64) -> InstanceId {
    InstanceId::new(Timestamp(number), [1; 10])
}

/// Never gives the same twice, in a test that is a process of its own. Two sites on one server need different ones.
#[derive(Debug)]
pub(crate) struct Counting(pub(crate) AtomicU64);

impl Ids for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, from) in bytes.iter_mut().rev().zip(number.iter().rev()) {
            *byte = *from;
        }
    }
}

/// A clock that a test turns.
#[derive(Debug, Default)]
pub(crate) struct HandClock(pub(crate) Mutex<Duration>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_760_000_000_000) + *self.0.lock()
    }
}

/// What a test changes nothing of.
pub(crate) fn settings() -> Settings {
    Settings {
        survey: Duration::from_millis(50),
        ..Settings::default()
    }
}

pub(crate) fn options(port: u16, settings: Settings) -> PostgresOptions {
    PostgresOptions {
        deployment: deployment(),
        tenant: TenantAddress {
            scheme: "postgresql".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            query: None,
        },
        settings,
    }
}

pub(crate) fn connect(server: &Postgres, settings: Settings, first_id: u64) -> (PostgresDatabases, Arc<HandClock>) {
    let clock = Arc::new(HandClock::default());
    let databases = PostgresDatabases::new(
        AdminAddress::parse(&SecretString::from(server.url())).unwrap(),
        options(server.port(), settings),
        clock.clone(),
        Arc::new(Counting(AtomicU64::new(first_id))),
    )
    .unwrap();
    (databases, clock)
}

pub(crate) struct Site {
    pub(crate) databases: PostgresDatabases,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) server: Postgres,
}

impl Site {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::on(Postgres::start(&[]), settings)
    }

    pub(crate) fn on(server: Postgres, settings: Settings) -> Self {
        let (databases, clock) = connect(&server, settings, 1);
        Self {
            databases,
            clock,
            server,
        }
    }

    pub(crate) async fn create(&self, number: u64, name: &str) -> Database {
        self.databases
            .create(&instance(number), name, &password())
            .await
            .unwrap()
    }

    /// What the tenant's own program sees.
    pub(crate) fn as_tenant(&self, database: &Database, statements: &str) -> Result<Vec<String>, String> {
        self.server.try_ask(database.url.expose_secret(), PASSWORD, statements)
    }

    /// Every database but those that PostgreSQL comes with.
    pub(crate) fn databases(&self) -> Vec<String> {
        self.server.ask(
            "postgres",
            "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1",
        )
    }

    /// Every role but those that PostgreSQL comes with.
    pub(crate) fn roles(&self) -> Vec<String> {
        self.server.ask(
            "postgres",
            "SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' AND rolname <> 'admin' ORDER BY 1",
        )
    }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"));
}
