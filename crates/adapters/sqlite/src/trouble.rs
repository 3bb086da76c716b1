//! What an SQLite error means to an operator: one of the registry's failure codes, and what to do.

use rusqlite::ErrorCode;
use std::path::Path;
use wharf_domain::{Code, Failure};

use crate::schema::MIGRATIONS;

/// With less than this left on the disk, an error of the disk's is taken for a lack of space: SQLite asks for up to 32 KiB of
/// its index at once, and reports that it did not get them as an input/output error.
const FULL_BELOW: u64 = 64 * 1024;

/// The failure that an error amounts to. `doing` fits "failed to …"; `path` is the registry's file.
pub(crate) fn failure(error: &rusqlite::Error, doing: &str, path: &Path) -> Failure {
    let at = path.display();
    let Some(code) = error.sqlite_error_code() else {
        return match error {
            // What a column holds is not what was written into it.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => damaged(path, &error.to_string()),
            _ => Failure::internal(format!("failed to {doing}: {error}")),
        };
    };
    match code {
        ErrorCode::DiskFull => full(path),
        ErrorCode::SystemIoFailure if is_full(path) => full(path),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => damaged(path, &error.to_string()),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Failure::new(Code::StoreUnavailable, format!("failed to {doing}: {at} is in use"))
                .hint("another program keeps the registry's file locked: close it (an sqlite3 shell, a backup)")
        }
        ErrorCode::SystemIoFailure => Failure::new(
            Code::StoreUnavailable,
            format!("failed to {doing}: the disk under {at} reports an error: {error}"),
        )
        .hint("look into the system's log (dmesg) for errors of this disk"),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => Failure::new(
            Code::StoreUnavailable,
            format!("failed to {doing}: {at} cannot be written: {error}"),
        )
        .hint("was it moved, or its file system made read-only? Put it right, then restart the server"),
        ErrorCode::OutOfMemory => Failure::new(
            Code::StoreUnavailable,
            format!("failed to {doing}: there is no memory left"),
        ),
        _ => Failure::internal(format!("failed to {doing}: {error}")),
    }
}

/// Whether a transaction whose COMMIT gave this error may nevertheless be found committed after a crash: its last frame may have reached
/// the log before the error came. Of a full disk SQLite says that the frame was not written.
pub(crate) fn leaves_doubt(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

pub(crate) fn damaged(path: &Path, what: &str) -> Failure {
    let at = path.display();
    Failure::new(Code::StoreDamaged, format!("the registry {at} is damaged: {what}")).hint(format!(
        "nothing was changed in it. `wharf restore FILE` puts a backup in its place; or move it away together with {at}-wal and {at}-shm, and begin with an empty one"
    ))
}

pub(crate) fn newer(path: &Path, format: usize) -> Failure {
    Failure::new(
        Code::StoreNewer,
        format!(
            "the registry {} has format {format}, and this version knows formats up to {}",
            path.display(),
            MIGRATIONS.len()
        ),
    )
    .hint("start the version of wharf that wrote it, or a later one: a registry never goes back")
}

fn full(path: &Path) -> Failure {
    Failure::new(
        Code::StoreFull,
        format!(
            "the disk of the registry {} is full; nothing was written",
            path.display()
        ),
    )
    .hint("make room on the disk: the server goes on by itself")
}

/// An error while opening, where "cannot be written" is the data directory's fault.
pub(crate) fn opening(error: &rusqlite::Error, path: &Path) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            unusable(path, &error.to_string())
        }
        // A table or a column that should be there is not.
        Some(ErrorCode::Unknown) => damaged(path, &error.to_string()),
        _ => failure(error, "open the registry", path),
    }
}

/// An error of the file system's while opening.
pub(crate) fn opening_file(error: &std::io::Error, path: &Path) -> Failure {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => full(path),
        _ => unusable(path, &error.to_string()),
    }
}

pub(crate) fn unusable(path: &Path, what: &str) -> Failure {
    Failure::new(
        Code::DataDirectory,
        format!("the registry {} cannot be opened: {what}", path.display()),
    )
    .hint("the data directory must be a folder that the user who runs wharf can write: mend it, or choose another with --data-dir")
}

fn is_full(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BELOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn code(extended: i32) -> Code {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None);
        // A folder with room on its disk, so that an error of the disk's is just that.
        failure(&error, "write the registry", Path::new("./registry.db")).code
    }

    #[test]
    fn each_error_has_its_meaning() {
        for (error, expected) in [
            (ffi::SQLITE_FULL, Code::StoreFull),
            (ffi::SQLITE_IOERR_WRITE, Code::StoreUnavailable),
            (ffi::SQLITE_IOERR_FSYNC, Code::StoreUnavailable),
            (ffi::SQLITE_CORRUPT, Code::StoreDamaged),
            (ffi::SQLITE_CORRUPT_INDEX, Code::StoreDamaged),
            (ffi::SQLITE_NOTADB, Code::StoreDamaged),
            (ffi::SQLITE_BUSY, Code::StoreUnavailable),
            (ffi::SQLITE_READONLY_DBMOVED, Code::StoreUnavailable),
            (ffi::SQLITE_MISUSE, Code::Internal),
        ] {
            assert_eq!(code(error), expected, "{error}");
        }
    }

    #[test]
    fn only_a_disk_that_took_nothing_leaves_no_doubt() {
        let doubt = |code| leaves_doubt(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(doubt(ffi::SQLITE_IOERR_FSYNC));
        assert!(doubt(ffi::SQLITE_IOERR_WRITE));
        assert!(!doubt(ffi::SQLITE_FULL));
    }
}
