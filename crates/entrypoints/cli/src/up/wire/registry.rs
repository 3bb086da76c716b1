//! The registry as a file, for `backup` and `restore`: no server is made.

pub(crate) use wharf_sqlite::{Restored, Snapshot};

use std::path::Path;
use wharf_config::{Config, RegistryKind};
use wharf_domain::{Code, Failure, Timestamp};
use wharf_local::SystemClock;
use wharf_saga::Clock;

use super::Layout;

/// Refuses where the registry is not a file of this machine's.
pub(crate) fn is_here(config: &Config) -> Result<(), Failure> {
    match config.registry.kind {
        RegistryKind::Sqlite => Ok(()),
        RegistryKind::Dynamodb => Err(Failure::new(
            Code::BackupUnsupported,
            "the registry is in DynamoDB, which keeps it of every second of the last 35 days",
        )
        .hint(
            "restore its tables to new names (aws dynamodb restore-table-to-point-in-time), set WHARF_REGISTRY_TABLE, \
             REGISTRY_TABLE_NAME and TABLE_NAME to these, then `wharf repair`: docs/backup.md has the commands",
        )),
    }
}

/// Copies the registry, whether or not a server runs on it.
pub(crate) fn backup(layout: &Layout, to: &Path, replace: bool) -> Result<Snapshot, Failure> {
    let registry = layout.registry();
    if !registry.exists() {
        return Err(Failure::new(
            Code::DataDirectory,
            format!("there is no registry {}", registry.display()),
        )
        .hint("name the server's data directory with --data-dir"));
    }
    wharf_sqlite::backup(&registry, to, replace, SystemClock.now())
}

/// Puts a backup in the registry's place, for which no server may run.
pub(crate) fn restore(layout: &Layout, from: &Path) -> Result<Restored, Failure> {
    let _lock = layout.take().map_err(|failure| match failure.code {
        Code::ServerRunning => failure.hint("end it first: a registry is restored while no server runs on it"),
        _ => failure,
    })?;
    wharf_sqlite::restore(from, &layout.registry(), SystemClock.now())
}

/// The time, to say how long ago a backup was made.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}
