//! A registry is made, checked, brought to the present format and taken over. What cannot be opened is left as it is.
//!
//! A new registry is made under another name and renamed when it is whole. So at its own name there is never half of one, and an
//! empty file there is damage and not a beginning.

use rusqlite::{Connection, OpenFlags, config::DbConfig, params};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_domain::{DeploymentId, Failure, Timestamp};
use wharf_saga::{Ids, store::Kind};

use crate::{
    columns::{optional_time, time_column},
    ports::{Ports, taken_until},
    read::rows,
    restore,
    schema::{self, APPLICATION_ID, MIGRATIONS},
    trouble,
};

/// How long a connection waits for another program that has the file locked (a shell, a backup).
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Up to this size everything is checked at each opening: two milliseconds for a megabyte. Of a larger file the damage is found when it is read,
/// or by [`SqliteStore::check`](crate::SqliteStore::check).
const CHECKED_UP_TO: u64 = 32 * 1024 * 1024;
/// An SQLite file begins with a header of this length. In it are, at fixed places, …
const HEADER: usize = 100;
/// … what every such file begins with …
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// … and whose file it is: four bytes, the most significant one first.
const APPLICATION_ID_AT: usize = 68;

/// A registry that is ready, before anybody reads or writes it.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) deployment: DeploymentId,
    pub(crate) live: u64,
    pub(crate) ports: Ports,
}

pub(crate) fn open(path: &Path, ids: &dyn Ids, now: Timestamp) -> Result<Opened, Failure> {
    match fs::symlink_metadata(path) {
        Ok(_) => {
            check_file(path)?;
            restore::clear(path).map_err(|error| trouble::opening_file(&error, path))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, ids, now)?,
        Err(error) => return Err(trouble::opening_file(&error, path)),
    }
    let trouble = |error: rusqlite::Error| trouble::opening(&error, path);
    let log_was_left = beside(path, "-wal").exists();
    let mut connection = connect(path).map_err(trouble)?;
    // Closing folds a log that was left into the file: not into one that is damaged, or a later version's.
    let keep_log = |keep| {
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
            .map_err(trouble)
    };
    keep_log(log_was_left)?;
    check(&connection, path)?;
    keep_log(false)?;
    take_over(&mut connection, now).map_err(trouble)?;
    know(connection, path)
}

/// Looks at the file itself, before SQLite does.
pub(crate) fn check_file(path: &Path) -> Result<(), Failure> {
    let trouble = |error: io::Error| trouble::opening_file(&error, path);
    // For writing too, so that a file that cannot be written is found out before anything is read from it.
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(trouble)?;
    if !file.metadata().map_err(trouble)?.is_file() {
        return Err(trouble::unusable(path, "it is no file"));
    }
    match header_defect(&mut file).map_err(trouble)? {
        Some(defect) => Err(trouble::damaged(path, defect)),
        None => Ok(()),
    }
}

/// What keeps a file from being a registry, as far as its first bytes tell.
pub(crate) fn header_defect(file: &mut File) -> io::Result<Option<&'static str>> {
    let mut header = [0; HEADER];
    Ok(match file.read_exact(&mut header) {
        Ok(()) if !header.starts_with(MAGIC) => Some("it does not begin as a registry does"),
        Ok(()) if !header[APPLICATION_ID_AT..].starts_with(&APPLICATION_ID.to_be_bytes()) => {
            Some("it is a database, but not a registry of Wharf's")
        }
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some("it is cut off, or empty"),
        Err(error) => return Err(error),
    })
}

fn create(path: &Path, ids: &dyn Ids, now: Timestamp) -> Result<(), Failure> {
    // SQLite would take it for the new registry's, and write an old one's pages into that.
    if beside(path, "-wal").exists() {
        return Err(trouble::damaged(path, "its log is there without it"));
    }
    // Everything that was registered is in a file beside it, and an empty registry would hide that.
    if beside(path, restore::READY).exists() {
        return Err(restore::unfinished(path));
    }
    let unfinished = beside(path, ".new");
    let trouble = |error: io::Error| trouble::opening_file(&error, path);
    for left_over in [unfinished.clone(), beside(path, ".new-wal"), beside(path, ".new-shm")] {
        match fs::remove_file(left_over) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(trouble(error)),
            _ => {}
        }
    }
    // SQLite gives the files beside it the mode that this one has.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(trouble)?;
    if let Err(error) = fill(&unfinished, ids, now) {
        let failure = trouble::opening(&error, path);
        let _ = fs::remove_file(&unfinished);
        return Err(failure);
    }
    fs::rename(&unfinished, path).map_err(trouble)?;
    File::open(folder_of(path))
        .and_then(|folder| folder.sync_all())
        .map_err(trouble)
}

fn fill(path: &Path, ids: &dyn Ids, now: Timestamp) -> rusqlite::Result<()> {
    let mut random = [0; 10];
    ids.fill(&mut random);
    let mut connection = connect(path)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    schema::migrate(&mut connection, 0, MIGRATIONS)?;
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('deployment', ?1), ('created', ?2)",
        params![DeploymentId::new(random).as_str(), time_column(now).to_string()],
    )?;
    // Closing folds the log into the file, with an fsync, and removes it.
    connection.close().map_err(|(_, error)| error)
}

pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA cache_size = -8192;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Of which format it is, and whether it is whole.
fn check(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let trouble = |error: rusqlite::Error| trouble::opening(&error, path);
    let format = schema::format(connection)
        .map_err(trouble)?
        .ok_or_else(|| trouble::damaged(path, "it does not say which format it has"))?;
    if format > MIGRATIONS.len() {
        return Err(trouble::newer(path, format));
    }
    let size = fs::metadata(path).map_or(u64::MAX, |metadata| metadata.len());
    if size <= CHECKED_UP_TO {
        check_pages(connection, path).map_err(trouble)??;
    }
    Ok(())
}

/// Checks every page and every row, as long as it takes.
pub(crate) fn check_pages(connection: &Connection, path: &Path) -> rusqlite::Result<Result<(), Failure>> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // It has read the whole file: what it kept of it is not needed.
    connection.execute_batch("PRAGMA shrink_memory")?;
    Ok(if found == "ok" {
        Ok(())
    } else {
        Err(trouble::damaged(path, &found))
    })
}

/// Brings the registry to the present format, and takes over from the process that had it.
///
/// Nobody else has it open (the data directory is locked), so every lease is a dead one's: it is free, and its epoch stays, so that a
/// write of the dead process that some queue still holds would be refused. Whoever held one was in the middle of something: it is due now.
/// What slept lets its lease go before it did, and is due at its time.
pub(crate) fn take_over(connection: &mut Connection, now: Timestamp) -> rusqlite::Result<()> {
    let format = schema::format(connection)?.unwrap_or_default();
    schema::migrate(connection, format, MIGRATIONS)?;
    let transaction = connection.transaction()?;
    transaction.execute(
        "UPDATE instances INDEXED BY instances_held SET wake_at = ?1 WHERE holder IS NOT NULL AND wake_at > ?1",
        [time_column(now)],
    )?;
    transaction.execute("UPDATE instances SET holder = NULL WHERE holder IS NOT NULL", [])?;
    transaction.commit()
}

/// Reads what is known beside the file.
fn know(connection: Connection, path: &Path) -> Result<Opened, Failure> {
    let trouble = |error: rusqlite::Error| trouble::opening(&error, path);
    let deployment: String = connection
        .query_row("SELECT value FROM meta WHERE key = 'deployment'", [], |row| row.get(0))
        .map_err(trouble)?;
    let deployment = deployment
        .parse()
        .map_err(|error| trouble::damaged(path, &format!("{error}")))?;
    let live: i64 = connection
        .query_row("SELECT count(*) FROM instances WHERE live = 1", [], |row| row.get(0))
        .map_err(trouble)?;
    let taken = rows(
        &connection,
        "SELECT key, until FROM reservations WHERE kind = ?1",
        &[&Kind::Port.as_str()],
        |row| Ok((row.get::<_, String>(0)?, taken_until(optional_time(row, 1)?))),
    )
    .map_err(trouble)?;
    let mut ports = Ports::new();
    ports.apply(
        taken
            .into_iter()
            .filter_map(|(key, until)| Some((key.parse().ok()?, until))),
    );
    // What this has read is not needed again soon.
    connection.execute_batch("PRAGMA shrink_memory").map_err(trouble)?;
    Ok(Opened {
        connection,
        deployment,
        live: live.unsigned_abs(),
        ports,
    })
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
