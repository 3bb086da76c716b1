//! A copy of the registry, whole and of one moment, made beside a server that writes; and what makes a file such a copy.
//!
//! `VACUUM INTO` reads it in one transaction, and in WAL mode nobody who writes waits for a reader. (SQLite's backup functions, which copy page by
//! page, begin anew with each commit of another process.) What was deleted is not in the copy: no address of a tenant who has gone.
//!
//! Putting a copy in the registry's place is `restore`'s.

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig, params};
use std::{
    fs::{self, File},
    io,
    path::Path,
};
use wharf_domain::{Code, DeploymentId, Failure, Timestamp};

use crate::{
    columns::time_column,
    open::{BUSY_TIMEOUT, beside, check_file, folder_of, header_defect},
    read::rows,
    schema::{self, MIGRATIONS},
    trouble,
};

/// What a copy is called until it is known to be whole. One that was left behind by a killed program can be removed.
const UNFINISHED: &str = ".wharf-backup-";
/// Where a copy says when it was made.
const TAKEN: &str = "taken";

/// What a copy of a registry shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub deployment: DeploymentId,
    /// When it was so.
    pub as_of: Timestamp,
    /// How many instances it has, those that are over among them.
    pub instances: u64,
    pub live: u64,
    /// Of the file.
    pub bytes: u64,
}

/// Copies the registry to `to`, readable by its owner alone (mode 0600). Nobody has to be stopped for it: it may be called in a process beside the one that has the
/// registry open.
///
/// The file appears under its name only when it is whole, checked and on the disk. One that is there already stays, and is a failure, unless it is to be replaced.
///
/// Fails with `backup.exists` or `backup.failed` for what is the copy's fault; with `store.damaged`, `store.newer`, `store.unavailable` or
/// `data.directory` for what is the registry's.
pub fn backup(registry: &Path, to: &Path, replace: bool, now: Timestamp) -> Result<Snapshot, Failure> {
    if !replace && fs::symlink_metadata(to).is_ok() {
        return Err(exists(to));
    }
    let source = open_beside(registry)?;
    let unwritable = |error: io::Error| failed(to, &error);
    let folder = File::open(folder_of(to)).map_err(unwritable)?;
    let copy = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder_of(to))
        .map_err(unwritable)?;
    copy_into(&source, copy.path()).map_err(|error| copying(&error, registry, to))?;
    let snapshot = finish(copy.path(), now).map_err(|defect| match defect {
        Defect::Damaged(what) => trouble::damaged(registry, &what),
        Defect::Newer(format) => trouble::newer(registry, format),
        Defect::Unread(error) => copying(&error, registry, to),
    })?;
    copy.as_file().sync_all().map_err(unwritable)?;
    let placed = if replace {
        copy.persist(to).map(drop)
    } else {
        copy.persist_noclobber(to).map(drop)
    };
    placed.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => exists(to),
        _ => failed(to, &error.error),
    })?;
    folder.sync_all().map_err(unwritable)?;
    Ok(snapshot)
}

fn open_beside(registry: &Path) -> Result<Connection, Failure> {
    check_file(registry)?;
    connect_beside(registry).map_err(|error| trouble::opening(&error, registry))
}

/// A connection beside whoever else has the registry open. It leaves the log to them, or as a killed server left it.
pub(crate) fn connect_beside(registry: &Path) -> rusqlite::Result<Connection> {
    let log_was_left = beside(registry, "-wal").exists();
    let connection = connect(registry, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log_was_left)?;
    Ok(connection)
}

/// A connection that changes nothing by being opened.
pub(crate) fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(
        "PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
    )?;
    Ok(connection)
}

/// Copies everything to a file that is empty.
pub(crate) fn copy_into(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let to = to.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(to.to_owned()))?;
    source.execute("VACUUM INTO ?1", [to]).map(drop)
}

/// Writes into a copy when it was made, and looks whether it is one.
fn finish(copy: &Path, now: Timestamp) -> Result<Snapshot, Defect> {
    let connection = connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nobody else sees this file yet, and one that is not finished is thrown away.
    connection.execute_batch("PRAGMA journal_mode = MEMORY")?;
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        params![TAKEN, time_column(now).to_string()],
    )?;
    examine(&connection, copy)
}

/// The failure of a copy that could not be made: the registry's fault, or that of the place where it was to be.
fn copying(error: &rusqlite::Error, registry: &Path, to: &Path) -> Failure {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory,
        ) => trouble::failure(error, "copy the registry", registry),
        _ => failed(to, error),
    }
}

fn exists(to: &Path) -> Failure {
    Failure::new(Code::BackupExists, format!("{} is there already", to.display()))
        .hint("choose another name, or replace it with --force")
}

fn failed(to: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Code::BackupFailed,
        format!("the backup {} cannot be written: {error}", to.display()),
    )
    .hint("it takes a folder that this user may write in, with room for a copy of the registry")
}

/// Why a file is no registry that this version can use.
#[derive(Debug)]
pub(crate) enum Defect {
    Damaged(String),
    /// It has this format.
    Newer(usize),
    /// SQLite, or the disk, failed.
    Unread(rusqlite::Error),
}

impl From<rusqlite::Error> for Defect {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // What SQLite has no word for: a table or a column that should be there is not.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) | None => {
                Self::Damaged(error.to_string())
            }
            Some(_) => Self::Unread(error),
        }
    }
}

/// Looks at everything: that it is a registry of a format that this version knows, whole to the last index, and with the tables of its format and nothing else.
pub(crate) fn examine(connection: &Connection, path: &Path) -> Result<Snapshot, Defect> {
    let damaged = |what: &str| Defect::Damaged(what.to_owned());
    let format = schema::format(connection)?.ok_or_else(|| damaged("it does not say which format it has"))?;
    if format > MIGRATIONS.len() {
        return Err(Defect::Newer(format));
    }
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Defect::Damaged(found));
    }
    if schema::shape(connection)? != schema::shape_of(format)? {
        return Err(damaged("it has not the tables of a registry"));
    }
    let meta = |key: &str| -> rusqlite::Result<Option<String>> {
        connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
    };
    let deployment = meta("deployment")?
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged("it does not say whose it is"))?;
    let taken = meta(TAKEN)?
        .and_then(|text| text.parse().ok())
        .map(Timestamp::from_millis);
    let count = |condition: &str| -> rusqlite::Result<u64> {
        let counted = rows(
            connection,
            &format!("SELECT count(*) FROM instances WHERE {condition}"),
            &[],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(counted.first().copied().unwrap_or_default().unsigned_abs())
    };
    let metadata = fs::metadata(path).ok();
    Ok(Snapshot {
        deployment,
        as_of: taken
            .or_else(|| metadata.as_ref().and_then(written))
            .unwrap_or_default(),
        instances: count("1")?,
        live: count("live = 1")?,
        bytes: metadata.map_or(0, |metadata| metadata.len()),
    })
}

/// When the file was written last: what a registry shows that was put aside and not made as a copy.
fn written(metadata: &fs::Metadata) -> Option<Timestamp> {
    let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
}

/// Opens a file that is to be a backup, and looks whether it is one. It is not changed.
pub(crate) fn open_backup(file: &Path) -> Result<(Connection, Snapshot), Failure> {
    let unread = |error: &dyn std::fmt::Display| unusable(file, &format!("it cannot be read: {error}"));
    let metadata = fs::metadata(file).map_err(|error| unread(&error))?;
    if !metadata.is_file() {
        return Err(unusable(file, "it is no file"));
    }
    let mut opened = File::open(file).map_err(|error| unread(&error))?;
    if let Some(defect) = header_defect(&mut opened).map_err(|error| unread(&error))? {
        return Err(unusable(file, defect));
    }
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| unread(&error))?;
    let snapshot = examine(&connection, file).map_err(|defect| match defect {
        Defect::Damaged(what) => unusable(file, &format!("it is damaged: {what}")),
        Defect::Newer(format) => trouble::newer(file, format),
        Defect::Unread(error) => unread(&error),
    })?;
    Ok((connection, snapshot))
}

fn unusable(file: &Path, what: &str) -> Failure {
    Failure::new(
        Code::BackupUnusable,
        format!("{} is no backup that can be restored: {what}", file.display()),
    )
    .hint("nothing was changed; take another file that `wharf backup` has made")
}
