//! PostgreSQL's own programs on this machine: where they are, and of which version.

use std::{
    fs,
    path::{Path, PathBuf},
};
use wharf_domain::{Code, Failure};

/// Where Debian and what descends from it put them: a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Where others put them.
const USUAL: [&str; 4] = ["/usr/local/pgsql/bin", "/usr/pgsql/bin", "/usr/local/bin", "/usr/bin"];

/// A folder with `initdb`, `postgres` and `pg_dump`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those that are configured, or the newest ones that are found.
    pub fn find(configured: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = configured {
            return if folder.join("pg_dump").exists() {
                Ok(Self {
                    folder: folder.to_owned(),
                })
            } else {
                Err(missing(&format!("{} has no pg_dump", folder.display())))
            };
        }
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        versions.sort();
        let newest_first = versions.into_iter().rev().map(|(_, folder)| folder);
        newest_first
            .chain(USUAL.iter().map(PathBuf::from))
            .find(|folder| folder.join("pg_dump").exists())
            .map(|folder| Self { folder })
            .ok_or_else(|| missing("PostgreSQL's programs are not found on this machine"))
    }

    /// Those of this major version: a server's data are its version's alone.
    pub fn of_version(configured: Option<&Path>, version: &str) -> Result<Self, Failure> {
        let folder = Path::new(DEBIAN).join(version).join("bin");
        if configured.is_none() && folder.join("postgres").exists() {
            return Ok(Self { folder });
        }
        Self::find(configured)
    }

    /// One of them.
    #[must_use]
    pub fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn missing(what: &str) -> Failure {
    Failure::new(Code::ConfigInvalid, what)
        .hint("install them (Debian: apt-get install postgresql), or name their folder as [databases] programs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_folder_without_programs_is_refused_and_no_other_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let failure = Programs::find(Some(folder.path())).unwrap_err();
        assert_eq!(failure.code, Code::ConfigInvalid);
        fs::write(folder.path().join("pg_dump"), "").unwrap();
        assert_eq!(Programs::find(Some(folder.path())).unwrap().folder(), folder.path());
    }
}
