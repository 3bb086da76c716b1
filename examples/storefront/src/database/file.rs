//! Opening the file: a new one is made, a used one is taken as it is, and one that a crash left half made is made again.
//!
//! Which of them it is, the header says. A file in WAL mode has been used, and was on the disk before it was: whatever is wrong with it is
//! reported and left alone. A file in rollback mode with our mark has never held anything of anybody's (see the head of this module's parent). Anything else belongs to
//! another program.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{BUSY_TIMEOUT, CACHED_STATEMENTS, new_secret};
use crate::random::NoRandomness;

/// `PRAGMA application_id` of a shop's database: "shop" in ASCII.
const APPLICATION_ID: i32 = 0x7368_6f70;
/// `PRAGMA user_version`: the number of the tables' form.
const SCHEMA: i32 = 1;
/// Of SQLite's file header: its length, and where its parts stand (<https://sqlite.org/fileformat2.html#the_database_header>).
const HEADER_BYTES: usize = 100;
const HEADER_MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_READ_VERSION: usize = 19;
const HEADER_APPLICATION_ID: usize = 68;
/// What `HEADER_READ_VERSION` holds in WAL mode.
const READ_VERSION_WAL: u8 = 2;
/// A file of zeros longer than this was not left by an unfinished start.
const NEW_FILE_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the database {path} cannot be opened: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the database {path} cannot be used: {source}")]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("{0} is not a database of this shop, and is left as it is: name another file in DATABASE_URL")]
    Foreign(PathBuf),
    #[error("the database {0} was written by a later version of the shop")]
    Newer(PathBuf),
    #[error("the database that DATABASE_URL names holds another program's tables, and is left as it is")]
    ForeignServer,
    #[error("the database that DATABASE_URL names was written by a later version of the shop")]
    NewerServer,
    #[error(transparent)]
    Server(#[from] super::Error),
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// What the first bytes of the file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing in it.
    Empty,
    /// Ours, and never used: made anew when it is not whole.
    Unused,
    /// Ours and in use, or a database without our mark: never touched but through SQLite.
    Database,
    Foreign,
}

/// Opens the file. The second value says whether it has been used, and so is in WAL mode.
pub(super) fn open(path: &Path) -> Result<(Connection, bool), OpenError> {
    let failed = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let unreadable = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let kind = look(path).map_err(unreadable)?;
    if kind == Kind::Foreign {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let mut connection = connect(path).map_err(failed)?;
    if kind == Kind::Unused && !is_whole(&connection).map_err(failed)? {
        drop(connection);
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(path)
            .map_err(unreadable)?;
        connection = connect(path).map_err(failed)?;
    }
    let lasting = is_in_wal_mode(&connection).map_err(failed)?;
    if !lasting {
        // Reading needs neither, and `make_lasting` sets both right before the first write.
        connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
        set_journal_mode(&connection, "MEMORY").map_err(failed)?;
    }
    match state(&connection).map_err(failed)? {
        State::Ready => {}
        State::Bare => create(&mut connection, &new_secret()?).map_err(failed)?,
        State::Newer => return Err(OpenError::Newer(path.to_owned())),
        State::Foreign => return Err(OpenError::Foreign(path.to_owned())),
    }
    Ok((connection, lasting))
}

pub(super) fn is_in_wal_mode(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok(mode == "wal")
}

/// Sets the journal mode. `false`: it did not change, which is how SQLite refuses.
pub(super) fn set_journal_mode(connection: &Connection, wanted: &str) -> rusqlite::Result<bool> {
    let mode: String = connection.query_row(&format!("PRAGMA journal_mode = {wanted}"), [], |row| row.get(0))?;
    Ok(mode.eq_ignore_ascii_case(wanted))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // No SQLITE_OPEN_URI: a path is a path, whatever characters are in it. No mutex of SQLite's own: `Database` is behind one.
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

/// Reads the header, and makes an empty file where there is none. Only its owner can read it: names of customers will stand in it.
fn look(path: &Path) -> io::Result<Kind> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    if header.iter().all(|byte| *byte == 0) {
        // After a power failure some file systems show a new file with its length and without its content.
        return Ok(if is_nothing_but_zeros(file)? {
            Kind::Empty
        } else {
            Kind::Foreign
        });
    }
    Ok(kind(&header))
}

fn is_nothing_but_zeros(mut rest: File) -> io::Result<bool> {
    let length = rest.metadata()?.len();
    if length > NEW_FILE_MAX {
        return Ok(false);
    }
    let mut content = Vec::with_capacity(length as usize);
    rest.by_ref().take(NEW_FILE_MAX).read_to_end(&mut content)?;
    let zeros = content.iter().all(|byte| *byte == 0);
    if zeros && length > 0 {
        rest.set_len(0)?;
    }
    Ok(zeros)
}

fn kind(header: &[u8]) -> Kind {
    if header.len() < HEADER_BYTES || !header.starts_with(HEADER_MAGIC) {
        return Kind::Foreign;
    }
    let is_ours = header[HEADER_APPLICATION_ID..].starts_with(&APPLICATION_ID.to_be_bytes());
    if is_ours && header[HEADER_READ_VERSION] != READ_VERSION_WAL {
        Kind::Unused
    } else {
        Kind::Database
    }
}

/// Whether every page is there and in order. Asked of unused files only, which have a dozen pages.
///
/// That it cannot be found out is an error, not a no: another start may be at work on the file.
fn is_whole(connection: &Connection) -> rusqlite::Result<bool> {
    match connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(verdict) => Ok(verdict == "ok"),
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// No table of anybody's.
    Bare,
    Newer,
    Foreign,
}

fn state(connection: &Connection) -> rusqlite::Result<State> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if tables == 0 {
        return Ok(State::Bare);
    }
    if number("PRAGMA application_id")? != APPLICATION_ID {
        return Ok(State::Foreign);
    }
    let version = number("PRAGMA user_version")?;
    Ok(if version > SCHEMA { State::Newer } else { State::Ready })
}

/// Makes tables and first products in one transaction: another start that looks at the same time sees all or nothing, and waits for it.
fn create(connection: &mut Connection, secret: &[u8]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if state(&transaction)? != State::Bare {
        return Ok(());
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.execute_batch(include_str!("seed.sql"))?;
    transaction.execute("INSERT INTO settings (name, value) VALUES ('secret', ?1)", [secret])?;
    transaction.commit()
}
