//! The shop's data, behind the methods of `Database`, in a SQLite file or on a PostgreSQL server, as `DATABASE_URL` has it. No SQL and no type of a driver is
//! seen outside this folder; no HTTP and no HTML comes in. `postgres` has the server's side; everything else here is about the file.
//!
//! Calls block. They are made on the server's one thread on purpose: a read takes microseconds, every page needs one, and a second thread would cost more than it
//! could take over. Only an order waits for the disk.
//!
//! # When the disk is waited for
//!
//! A shop that nobody has used holds nothing that cannot be made again. So a new database is made without a single fsync, in SQLite's rollback
//! mode, and the first answer does not wait for the disk. The first write makes it lasting (`make_lasting`): file and folder reach the disk, and only then is the file
//! turned to WAL mode, which its header shows from then on. From there, what matters to people is written with `synchronous=FULL` (`Keep::Always`).
//!
//! `file` has the other half of that bargain: what is done at start with a new file that a crash left half written.

mod basket;
mod catalogue;
mod file;
mod orders;
mod postgres;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior};

pub(crate) use self::{
    basket::{Added, BasketLine, QUANTITY_MAX},
    catalogue::{Draft, Product},
    file::OpenError,
    orders::{Order, OrderSummary, Outcome, PAGE as ORDERS_PAGE},
};
use crate::{
    money::Cents,
    random::{self, NoRandomness, Token},
};

/// How long another program, such as a backup, may hold the database before a request is given up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// SQLite gives up at once, without its time-out, when two processes mark a file at the same moment. One of them has won, so that a second look mostly suffices.
const LASTING_TRIES: u32 = 8;
/// More statements than the shop has.
const CACHED_STATEMENTS: usize = 48;

/// A request could not be carried out. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database could not be brought to the disk: {0}")]
    Disk(#[from] std::io::Error),
    #[error("the database's file system cannot hold a write-ahead log")]
    NoWal,
    #[error("the database server failed: {}", told(.0))]
    Postgres(#[from] ::postgres::Error),
    #[error("the connection to the database server has ended")]
    Gone,
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// What the server said; the driver's own words say only that it said something.
fn told(error: &::postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

type Result<T, E = Error> = std::result::Result<T, E>;

/// Where the data are.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    File(PathBuf),
    Server(Box<::postgres::Config>),
}

/// The shop's database.
#[derive(Debug)]
pub(crate) struct Database(Engine);

#[derive(Debug)]
enum Engine {
    File(Sqlite),
    Server(postgres::Server),
}

/// The methods that a file and a server both have, passed on to the one that there is.
macro_rules! both {
    ($($(#[$doc:meta])* fn $name:ident(&$($kind:ident)?; $($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Database {
            $($(#[$doc])*
            pub(crate) fn $name(&$($kind)? self, $($argument: $type),*) -> Result<$result> {
                match &$($kind)? self.0 {
                    Engine::File(file) => file.$name($($argument),*),
                    Engine::Server(server) => server.$name($($argument),*),
                }
            })*
        }
    };
}

both! {
    fn ping(&;) -> ();
    fn secret(&;) -> Vec<u8>;
    fn products_on_sale(&;) -> Vec<Product>;
    fn all_products(&;) -> Vec<Product>;
    fn product(&; id: i64) -> Option<Product>;
    fn add_product(&mut; draft: &Draft) -> bool;
    fn change_product(&mut; id: i64, draft: &Draft, stock_seen: i64) -> bool;
    fn set_withdrawn(&mut; id: i64, withdrawn: bool) -> bool;
    fn basket(&; basket: &Token) -> Vec<BasketLine>;
    fn basket_count(&; basket: &Token) -> i64;
    fn add_to_basket(&mut; basket: Option<&Token>, product: i64, quantity: i64, now: i64) -> Added;
    fn change_basket(&mut; basket: &Token, product: i64, quantity: i64, now: i64) -> ();
    fn place_order(&mut; basket: &Token, key: &Token, customer: &str, note: &str, agreed: Cents, now: i64) -> Outcome;
    fn order(&; number: i64) -> Option<Order>;
    fn orders(&; before: i64) -> Vec<OrderSummary>;
    fn mark_shipped(&mut; number: i64, now: i64) -> bool;
}

impl Database {
    /// Opens what is there, or makes the tables and first products.
    pub(crate) fn open(location: &Location) -> Result<Self, OpenError> {
        Ok(Self(match location {
            Location::File(path) => Engine::File(Sqlite::open(path)?),
            Location::Server(config) => Engine::Server(postgres::Server::open(config.as_ref().clone())?),
        }))
    }
}

/// What a write is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// It is on the disk before the call returns: orders, and what the admin changes.
    Always,
    /// A power failure may take it, never the shop's own end: baskets.
    Usually,
}

/// The shop's database in a file. A process has one for a file, and no more: see `make_lasting` for what closing a file does to locks.
#[derive(Debug)]
struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// In WAL mode, and known to the disk.
    lasting: bool,
    /// The durability that `PRAGMA synchronous` is set to.
    keeping: Option<Keep>,
}

impl Sqlite {
    /// Opens the shop's file, or makes it with its tables and first products. The folder has to be there.
    fn open(path: &Path) -> Result<Self, OpenError> {
        let (connection, lasting) = file::open(path)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            lasting,
            keeping: None,
        })
    }

    /// Whether the database answers: it reads from the file, not only from memory.
    fn ping(&self) -> Result<()> {
        self.connection
            .prepare_cached("SELECT 1 FROM products LIMIT 1")?
            .query_row([], |_| Ok(()))
            .optional()?;
        Ok(())
    }

    /// A key of this shop's own, the same as long as the database is.
    fn secret(&self) -> Result<Vec<u8>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM settings WHERE name = 'secret'")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Runs `work` in a transaction, which an error rolls back.
    fn write<T>(&mut self, keep: Keep, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.make_lasting()?;
        if self.keeping != Some(keep) {
            let level = if keep == Keep::Always { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.keeping = Some(keep);
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Brings a new file to the disk, then marks it as one that holds something: WAL mode is the mark, and the first thing that the header says of it.
    ///
    /// The order matters. A header that says WAL before the rest is on the disk would, after a power failure, forbid the next start to make the file anew.
    fn make_lasting(&mut self) -> Result<()> {
        let mut tries = 0;
        while !self.lasting {
            tries += 1;
            match self.try_make_lasting() {
                Err(Error::Sqlite(error))
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < LASTING_TRIES => {}
                done => done?,
            }
        }
        Ok(())
    }

    fn try_make_lasting(&mut self) -> Result<()> {
        // Another process may be doing the same. This waits for it, and looks at the header again.
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?
            .rollback()?;
        if !file::is_in_wal_mode(&self.connection)? {
            // Closing a file gives up its POSIX locks, SQLite's own as well: it may be opened here only because no transaction is open and WAL mode has not begun.
            File::open(&self.path)?.sync_all()?;
            if let Some(folder) = self.path.parent() {
                File::open(folder)?.sync_all()?;
            }
            self.connection.pragma_update(None, "synchronous", "FULL")?;
            self.keeping = Some(Keep::Always);
            if !(file::set_journal_mode(&self.connection, "DELETE")?
                && file::set_journal_mode(&self.connection, "WAL")?)
            {
                return Err(Error::NoWal);
            }
        }
        self.lasting = true;
        Ok(())
    }
}

/// The secret of a new shop.
fn new_secret() -> Result<[u8; 32], NoRandomness> {
    random::bytes()
}

#[cfg(test)]
mod tests;
