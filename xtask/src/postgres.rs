//! Where PostgreSQL's programs are: Debian has a folder for each version, beside `PATH`.

use std::{fs, path::PathBuf};

use crate::error::Error;

const FOLDER: &str = "/usr/lib/postgresql";

/// The folder of the newest version that has a server.
pub(crate) fn programs() -> Result<PathBuf, Error> {
    let entries = fs::read_dir(FOLDER).map_err(|source| Error::Read {
        path: FOLDER.into(),
        source,
    })?;
    let version = |entry: fs::DirEntry| {
        Some((
            entry.file_name().to_str()?.parse::<u32>().ok()?,
            entry.path().join("bin"),
        ))
    };
    entries
        .flatten()
        .filter_map(version)
        .filter(|(_, folder)| folder.join("postgres").exists())
        .max()
        .map(|(_, folder)| folder)
        .ok_or_else(|| Error::Read {
            path: FOLDER.into(),
            source: std::io::Error::other("no version in it has a server"),
        })
}
