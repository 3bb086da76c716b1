//! A PostgreSQL server of Wharf's own, from the machine's programs, in the data directory.
//!
//! ```text
//! postgres/
//!   port         the one that tenants were told: the server keeps it
//!   start.log    what the server said before it wrote its own log
//!   cluster/     its data, its settings, its log/
//!   socket/      where Wharf comes in, as a user without a password
//! ```
//!
//! It ends with Wharf. After a kill of Wharf it goes on, for its tenants may too, and the next Wharf takes it over; a server that dies is started again. It listens
//! on loopback and where containers reach the host, and nowhere else; its administrator comes in by the socket alone.
//!
//! What must not be here: tenants' databases. For them it is a server like any other.

mod cluster;
mod postmaster;
mod users;

use parking_lot::Mutex;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_postgres::NoTls;
use wharf_domain::{Code, Failure};

use crate::{address::AdminAddress, programs::Programs};
use cluster::Cluster;
use postmaster::Postmaster;

/// Wharf's own role, which no tenant's is called.
pub(crate) const ADMIN: &str = "wharf";
/// After a kill the server goes through its log first.
const START_TIMEOUT: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(20);
/// The first pause before a server that died is started again; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(10);
/// A server that ran for so long did not die of its start.
const STEADY: Duration = Duration::from_mins(1);

/// What an operator chooses of it.
#[derive(Clone, Debug)]
pub struct ManagedOptions {
    /// Wharf's data directory.
    pub data: PathBuf,
    /// The folder of PostgreSQL's programs, where they are not found by themselves.
    pub programs: Option<PathBuf>,
    /// Who runs it where Wharf is root, as which PostgreSQL refuses to run.
    pub user: String,
    /// Where it listens besides loopback.
    pub gateways: Vec<Gateway>,
    pub max_connections: u32,
}

/// An address of this machine that others on one of its networks reach it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub address: IpAddr,
    /// Whose connections are taken, in CIDR notation.
    pub network: String,
}

/// The server, running. Dropped without `end`, as where Wharf does not come to be up, it is told to end and not waited for.
#[derive(Debug)]
pub struct Managed {
    address: AdminAddress,
    port: u16,
    pid: Arc<AtomicI32>,
    ending: Mutex<Option<Ending>>,
}

#[derive(Debug)]
struct Ending {
    word: oneshot::Sender<Duration>,
    keeper: JoinHandle<()>,
}

impl Drop for Managed {
    fn drop(&mut self) {
        if self.ending.lock().is_some() {
            postmaster::ask_to_end(self.pid.load(Ordering::Relaxed));
        }
    }
}

impl Managed {
    /// Starts it, or takes over the one that a killed Wharf left. What is left of one with other settings, or without an answer, is ended first.
    pub async fn start(options: ManagedOptions) -> Result<Self, Failure> {
        let cluster = Cluster::prepare(options).await?;
        let port = cluster.port()?;
        let address = AdminAddress::local(&cluster.socket(), port, ADMIN);
        let words = cluster.words(port);
        let postmaster = match Postmaster::left(&cluster.folder())? {
            Some(left) if cluster.was_started_by(&words) => {
                tracing::info!(pid = left.pid(), "the database server of the last run goes on");
                left
            }
            Some(mut left) => {
                left.end(START_TIMEOUT).await;
                cluster.spawn(&words)?
            }
            None => cluster.spawn(&words)?,
        };
        let mut keeper = Keeper {
            cluster,
            port,
            words,
            address,
            postmaster,
            pid: Arc::default(),
        };
        keeper.answers().await?;
        let (address, port, pid) = (keeper.address.clone(), keeper.port, keeper.pid.clone());
        pid.store(keeper.postmaster.pid(), Ordering::Relaxed);
        let (word, ended) = oneshot::channel();
        let keeper = tokio::spawn(keeper.keep(ended));
        Ok(Self {
            address,
            port,
            pid,
            ending: Mutex::new(Some(Ending { word, keeper })),
        })
    }

    /// As Wharf reaches it.
    #[must_use]
    pub const fn admin(&self) -> &AdminAddress {
        &self.address
    }

    /// As tenants reach it.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends it, with whatever is connected. After `grace` it is not asked any more, and goes through its log at its next start.
    pub async fn end(&self, grace: Duration) {
        let ending = self.ending.lock().take();
        if let Some(Ending { word, keeper }) = ending {
            let _ = word.send(grace);
            let _ = keeper.await;
        }
    }

    /// The number of its first process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.load(Ordering::Relaxed)
    }
}

/// Whether the programs and the user are there, without starting anything: for `wharf doctor`.
pub fn examine_managed(programs: Option<&Path>, user: &str) -> Result<String, Failure> {
    let programs = Programs::find(programs)?;
    for program in ["initdb", "postgres"] {
        if !programs.path(program).exists() {
            return Err(Failure::new(
                Code::ConfigInvalid,
                format!("{} has no {program}", programs.folder().display()),
            )
            .hint("install the server itself (Debian: apt-get install postgresql)"));
        }
    }
    users::runner(user)?;
    Ok(format!("programs of {}", programs.folder().display()))
}

/// Sees to it that the server runs.
struct Keeper {
    cluster: Cluster,
    port: u16,
    words: Vec<String>,
    address: AdminAddress,
    postmaster: Postmaster,
    pid: Arc<AtomicI32>,
}

impl Keeper {
    async fn keep(mut self, mut ended: oneshot::Receiver<Duration>) {
        let mut pause = PAUSE_FIRST;
        loop {
            let since = Instant::now();
            tokio::select! {
                grace = &mut ended => {
                    // Without a word Wharf is going away by itself: the next one takes it over.
                    if let Ok(grace) = grace {
                        self.postmaster.end(grace).await;
                    }
                    return;
                }
                () = self.postmaster.wait() => {}
            }
            if since.elapsed() > STEADY {
                pause = PAUSE_FIRST;
            }
            tracing::error!(
                pid = self.postmaster.pid(),
                "the database server has died: it is started again"
            );
            tokio::select! {
                _ = &mut ended => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_LONGEST);
            match self.cluster.spawn(&self.words) {
                Ok(postmaster) => {
                    self.pid.store(postmaster.pid(), Ordering::Relaxed);
                    self.postmaster = postmaster;
                }
                Err(failure) => tracing::error!(error = %failure, "the database server cannot be started"),
            }
        }
    }

    /// Waits until it takes connections, and shuts PostgreSQL's own databases to tenants.
    async fn answers(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + START_TIMEOUT;
        let mut restarts = 0;
        loop {
            let why = match self.shut_common_databases().await {
                Ok(()) => return Ok(()),
                Err(error) => error.to_string(),
            };
            if self.postmaster.has_ended() {
                // What the children of a killed server had in common takes a moment to go.
                restarts += 1;
                if restarts > 20 || Instant::now() > until {
                    return Err(
                        Failure::new(Code::DatabaseDenied, "the managed database server does not start")
                            .hint("what it said is below; its folder is `postgres` in the data directory")
                            .detail(self.cluster.said()),
                    );
                }
                sleep(PAUSE_FIRST).await;
                self.look_for_the_port_again()?;
                self.postmaster = self.cluster.spawn(&self.words)?;
            }
            if Instant::now() > until {
                return Err(Failure::new(
                    Code::DatabaseUnreachable,
                    format!("the managed database server does not answer: {why}"),
                )
                .hint("look at postgres/cluster/log in the data directory")
                .detail(self.cluster.said()));
            }
            sleep(LOOK).await;
        }
    }

    /// Between the moment that it was found free and the start another program may have taken it.
    fn look_for_the_port_again(&mut self) -> Result<(), Failure> {
        let port = self.cluster.port()?;
        if port != self.port {
            self.port = port;
            self.words = self.cluster.words(port);
            self.address = AdminAddress::local(&self.cluster.socket(), port, ADMIN);
        }
        Ok(())
    }

    async fn shut_common_databases(&self) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = self.address.config.connect(NoTls).await?;
        let driver = tokio::spawn(async move { connection.await.is_ok() });
        let shut = client
            .batch_execute(
                "REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC; REVOKE CONNECT, TEMPORARY ON DATABASE template1 FROM PUBLIC",
            )
            .await;
        drop(client);
        let _ = driver.await;
        shut
    }
}

/// Where it listens, as `listen_addresses` has it.
fn addresses(gateways: &[Gateway]) -> Vec<IpAddr> {
    let mut all = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    all.extend(gateways.iter().map(|gateway| gateway.address));
    all
}
