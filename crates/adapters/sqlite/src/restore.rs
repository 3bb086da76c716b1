//! A backup is put in the registry's place. What cannot be used is found out before anything is touched; what is replaced is kept.
//!
//! At no moment of it is there nothing: a kill leaves the old registry, or the new one, or a file ([`READY`]) that keeps the next opening from
//! beginning with an empty one.

use rusqlite::{OpenFlags, config::DbConfig};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use wharf_domain::{Code, DeploymentId, Failure, Timestamp};

use crate::{
    backup::{Snapshot, connect as connect_quietly, connect_beside, copy_into, examine, open_backup},
    columns::time_column,
    open::{beside, connect, folder_of, header_defect, take_over},
    trouble,
};

/// What follows the registry's name while its successor is made.
const UNFINISHED: &str = ".restoring";
/// What follows it when that is whole, and on its way to the registry's name.
pub(crate) const READY: &str = ".restored";

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    pub snapshot: Snapshot,
    /// Where the registry is now that was replaced, if there was one (its log beside it, where it could not be folded into it).
    pub replaced: Option<PathBuf>,
    /// What was wrong with that one, if it could not be read: then nobody can tell whether it was the same deployment's.
    pub unreadable: Option<String>,
}

/// Puts the backup `from` in the place of `registry`. Every lease in it is free, and whatever was under way is due at `now`: as after a crash.
///
/// The caller holds the exclusive lock on the data directory.
///
/// Fails with `backup.unusable`, `backup.foreign` (the registry is another deployment's) or `store.newer`, and has changed nothing then; with
/// `data.directory`, `store.full` or `store.unavailable` where the copy cannot be made.
pub fn restore(from: &Path, registry: &Path, now: Timestamp) -> Result<Restored, Failure> {
    let (backup, snapshot) = open_backup(from)?;
    let standing = standing(registry);
    if let Standing::Of(deployment) = &standing
        && *deployment != snapshot.deployment
    {
        return Err(foreign(from, &snapshot.deployment, registry, deployment));
    }
    let trouble = |error: rusqlite::Error| trouble::opening(&error, registry);
    let trouble_file = |error: io::Error| trouble::opening_file(&error, registry);
    let unfinished = beside(registry, UNFINISHED);
    let ready = beside(registry, READY);
    clear(registry).map_err(trouble_file)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(trouble_file)?;
    copy_into(&backup, &unfinished).map_err(trouble)?;
    take(&unfinished, now).map_err(trouble)?;
    File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(trouble_file)?;
    if let Standing::Of(_) = &standing {
        fold(registry);
    }
    let kept = kept_name(registry, now).map_err(trouble)?;
    fs::rename(&unfinished, &ready)
        .and_then(|()| sync_folder_of(registry))
        .and_then(|()| exchange(registry, &ready, &kept))
        .map_err(trouble_file)?;
    Ok(Restored {
        snapshot,
        replaced: kept.exists().then_some(kept),
        unreadable: match standing {
            Standing::Unreadable(why) => Some(why),
            Standing::Nothing | Standing::Of(_) => None,
        },
    })
}

/// What is in the registry's place.
enum Standing {
    Nothing,
    Of(DeploymentId),
    Unreadable(String),
}

fn standing(registry: &Path) -> Standing {
    if fs::symlink_metadata(registry).is_err() {
        return Standing::Nothing;
    }
    let look = || -> Result<DeploymentId, String> {
        // What is none is not shown to SQLite, which might think that it can mend it.
        let defect = File::open(registry).and_then(|mut file| header_defect(&mut file));
        if let Some(defect) = defect.map_err(|error| error.to_string())? {
            return Err(defect.to_owned());
        }
        let deployment: String = connect_beside(registry)
            .and_then(|connection| {
                connection.query_row("SELECT value FROM meta WHERE key = 'deployment'", [], |row| row.get(0))
            })
            .map_err(|error| error.to_string())?;
        deployment.parse().map_err(|_| "it does not say whose it is".to_owned())
    };
    match look() {
        Ok(deployment) => Standing::Of(deployment),
        Err(why) => Standing::Unreadable(why),
    }
}

/// Folds the log into a registry that is to be put aside, so that it is one file. One that is damaged stays as it is.
fn fold(registry: &Path) {
    let whole = |connection: &rusqlite::Connection| examine(connection, registry).is_ok();
    match connect_quietly(registry, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        // Closing does it.
        Ok(connection) if whole(&connection) => drop(connection),
        Ok(connection) => {
            let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            tracing::debug!(
                ?kept,
                "the registry that is replaced is damaged, and its log stays beside it"
            );
        }
        Err(error) => tracing::debug!(%error, "the registry that is replaced cannot be opened"),
    }
}

/// Makes the copy a registry that a server may open.
fn take(copy: &Path, now: Timestamp) -> rusqlite::Result<()> {
    let mut connection = connect(copy)?;
    take_over(&mut connection, now)?;
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('restored', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
        [time_column(now).to_string()],
    )?;
    connection.execute("DELETE FROM meta WHERE key = 'taken'", [])?;
    // Closing folds the log into the file, with an fsync, and removes it.
    connection.close().map_err(|(_, error)| error)
}

/// Removes what a restore that was killed has left, which nobody needs as long as the registry is there.
pub(crate) fn clear(registry: &Path) -> io::Result<()> {
    for suffix in [UNFINISHED, READY] {
        for part in ["", "-wal", "-shm", "-journal"] {
            match fs::remove_file(beside(registry, &format!("{suffix}{part}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// A name beside the registry, with the time, that nobody has.
fn kept_name(registry: &Path, now: Timestamp) -> rusqlite::Result<PathBuf> {
    let time: String = rusqlite::Connection::open_in_memory()?.query_row(
        "SELECT strftime('%Y%m%dT%H%M%SZ', ?1 / 1000, 'unixepoch')",
        [time_column(now)],
        |row| row.get(0),
    )?;
    let first = beside(registry, &format!(".replaced-{time}"));
    let taken = |path: &Path| fs::symlink_metadata(path).is_ok() || beside(path, "-wal").exists();
    let mut name = first.clone();
    let mut number = 1_u32;
    while taken(&name) {
        number += 1;
        name = beside(&first, &format!("-{number}"));
    }
    Ok(name)
}

/// The registry goes first and its log after it: were it the other way round, a kill between the two would leave a registry without its last commits.
fn exchange(registry: &Path, ready: &Path, kept: &Path) -> io::Result<()> {
    for part in ["", "-wal"] {
        match fs::rename(beside(registry, part), beside(kept, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match fs::remove_file(beside(registry, "-shm")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(ready, registry)?;
    sync_folder_of(registry)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The failure of an opening after a restore that was killed in the middle of its last two steps.
pub(crate) fn unfinished(registry: &Path) -> Failure {
    Failure::new(
        Code::StoreDamaged,
        format!(
            "a restore of the registry {} was broken off before its end",
            registry.display()
        ),
    )
    .hint("say `wharf restore FILE` once more: the backup is as it was, and so is the registry that it replaces")
}

fn foreign(from: &Path, of: &DeploymentId, registry: &Path, here: &DeploymentId) -> Failure {
    Failure::new(
        Code::BackupForeign,
        format!(
            "{} is of the deployment {}, and the registry {} is of {}",
            from.display(),
            of.as_str(),
            registry.display(),
            here.as_str()
        ),
    )
    .hint("nothing was changed. Name the other deployment's folder with --data-dir; or, if it is this one that is to go, move its registry away first")
}
