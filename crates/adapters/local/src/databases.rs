//! Tenants' databases as SQLite files: a folder for each instance, with the file and what its program keeps beside it.
//!
//! What must not be here: SQLite. Wharf makes an empty file, which is an empty database; what is in it is the tenant's.
//!
//! # What a loss of power leaves
//!
//! `create` does not sync. What it makes is empty; if it is lost before the instance was Ready the next `create` makes it
//! again. Every sync that comes after it, of the registry or of the tenant's own file, lets a journaling file system write
//! the folders too that were made before; so it is there once Ready is committed, and after that only `open` is asked.
//! `archive` does sync: nobody calls that again.
//!
//! A file's name may come back without its content: a file system writes what is in it up to half a minute later, and
//! the folder's other files do not wait for it. So an owner mark without content is one of ours that lost it, and is
//! written anew. Nobody else makes one in a folder that has an instance's id, in a data directory that is this
//! deployment's alone; and the database beside it may hold orders.

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use wharf_domain::{Code, DeploymentId, Failure, InstanceId};
use wharf_platform::{Database, Databases};

use crate::files;

const SUFFIX: &str = ".db";
/// Says whose a folder is.
const OWNER_FILE: &str = "owner";
/// Starts the names of folders that are being made, and of those that are being removed.
const PASSING: &str = ".passing-";
/// PostgreSQL's limit for a name, so that a name that does here does there.
const NAME_MAX: usize = 63;

/// Makes databases at `<data>/databases/<instance>/<name>.db`, and puts archived ones at `<data>/archive/<name>-<instance>/`.
#[derive(Clone, Debug)]
pub struct FileDatabases {
    places: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    deployment: DeploymentId,
    folder: PathBuf,
    archive: PathBuf,
}

/// What `owner` holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OwnerMark {
    deployment: DeploymentId,
    instance: InstanceId,
}

/// What stands at an instance's folder.
enum Place {
    Nothing,
    Own,
    /// Ours, with a mark that lost its content with the power.
    Unmarked,
}

impl FileDatabases {
    /// Opens the folder, and removes what a killed Wharf left half made or half removed.
    pub fn new(data: &Path, deployment: DeploymentId) -> Result<Self, Failure> {
        let data = files::data_directory(data)?;
        let places = Places {
            deployment,
            folder: data.join("databases"),
            archive: data.join("archive"),
        };
        files::private_folder(&places.folder)
            .and_then(|()| remove_passing(&places.folder))
            .map_err(|error| files::failure(Code::DataDirectory, "use", &places.folder, &error))?;
        Ok(Self {
            places: Arc::new(places),
        })
    }

    /// Takes an instance's database out of use and keeps it: the folder is moved to the archive, whole. Nothing to move
    /// is a success.
    pub async fn archive(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        let (places, instance, name) = (self.places.clone(), instance.clone(), name.to_owned());
        files::blocking(move || places.archive(&instance, &name)).await
    }
}

fn remove_passing(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PASSING)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Paths in failures are those within the data directory: a failure may be shown to a tenant.
fn failed(doing: &str, instance: &InstanceId, error: &io::Error) -> Failure {
    files::failure(
        Code::DatabaseFailed,
        doing,
        &Path::new("databases").join(instance.as_str()),
        error,
    )
}

fn foreign(instance: &InstanceId, what: &str) -> Failure {
    Failure::new(Code::ResourceForeign, format!("databases/{instance} {what}"))
        .hint("it is left as it is: look whose it is, and move it out of the data directory")
}

fn no_file(instance: &InstanceId) -> Failure {
    foreign(instance, "has something in the database's place that is not a file")
}

fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_plain) {
        return Err(Failure::internal(format!("{name:?} is not a database's name")));
    }
    Ok(())
}

/// `sqlite:///folder/file.db`, whatever characters the data directory's path has.
fn url(path: &Path) -> Result<SecretString, Failure> {
    let path = path
        .to_str()
        .ok_or_else(|| Failure::internal("the database's path is not valid UTF-8"))?;
    let mut url = String::with_capacity(path.len() + 16);
    url.push_str("sqlite://");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~@+,=".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    Ok(SecretString::from(url))
}

impl Places {
    fn of(&self, instance: &InstanceId) -> PathBuf {
        self.folder.join(instance.as_str())
    }

    fn passing(&self, instance: &InstanceId) -> PathBuf {
        self.folder.join(format!("{PASSING}{instance}"))
    }

    /// Looks whose the instance's folder is. Another's is a failure: it is not touched.
    fn look(&self, instance: &InstanceId) -> Result<Place, Failure> {
        let folder = self.of(instance);
        let look = |error: io::Error| failed("look at", instance, &error);
        match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Nothing),
            Err(error) => return Err(look(error)),
            Ok(metadata) if !metadata.is_dir() => return Err(foreign(instance, "is not a folder of Wharf's making")),
            Ok(_) => {}
        }
        let text = match fs::read(folder.join(OWNER_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(foreign(instance, "does not say whose it is"));
            }
            Err(error) => return Err(look(error)),
        };
        if text.iter().all(|byte| *byte == 0) {
            return Ok(Place::Unmarked);
        }
        match serde_json::from_slice::<OwnerMark>(&text) {
            Ok(mark) if mark.deployment == self.deployment && mark.instance == *instance => Ok(Place::Own),
            Ok(mark) => Err(foreign(
                instance,
                &format!(
                    "belongs to {} of deployment {}",
                    mark.instance,
                    mark.deployment.as_str()
                ),
            )),
            Err(_) => Err(foreign(instance, "has an owner mark that cannot be read")),
        }
    }

    /// Makes the folder under a passing name and then gives it its own: one that has its name has its owner's mark.
    fn make_folder(&self, instance: &InstanceId) -> io::Result<()> {
        let passing = self.passing(instance);
        if files::is_there(&passing)? {
            fs::remove_dir_all(&passing)?;
        }
        DirBuilder::new().mode(0o700).create(&passing)?;
        self.write_mark(&passing, instance)?;
        fs::rename(&passing, self.of(instance))
    }

    fn write_mark(&self, folder: &Path, instance: &InstanceId) -> io::Result<()> {
        let mark = OwnerMark {
            deployment: self.deployment.clone(),
            instance: instance.clone(),
        };
        files::write_private(&folder.join(OWNER_FILE), &serde_json::to_vec(&mark)?)
    }

    /// Whether there is a folder of ours. If its mark has lost its content it gets it back.
    fn has_folder(&self, instance: &InstanceId) -> Result<bool, Failure> {
        match self.look(instance)? {
            Place::Nothing => return Ok(false),
            Place::Own => {}
            Place::Unmarked => self
                .write_mark(&self.of(instance), instance)
                .map_err(|error| failed("mark", instance, &error))?,
        }
        Ok(true)
    }

    fn create(&self, instance: &InstanceId, name: &str) -> Result<Database, Failure> {
        check_name(name)?;
        if !self.has_folder(instance)? {
            self.make_folder(instance)
                .map_err(|error| failed("make", instance, &error))?;
        }
        if let Some(database) = self.open(instance, name)? {
            return Ok(database);
        }
        let path = self.of(instance).join(format!("{name}{SUFFIX}"));
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed("make a database in", instance, &error))?;
        Ok(Database {
            name: name.to_owned(),
            url: url(&path)?,
        })
    }

    /// The database where it is; nothing is made.
    fn open(&self, instance: &InstanceId, name: &str) -> Result<Option<Database>, Failure> {
        check_name(name)?;
        if !self.has_folder(instance)? {
            return Ok(None);
        }
        let path = self.of(instance).join(format!("{name}{SUFFIX}"));
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(Database {
                name: name.to_owned(),
                url: url(&path)?,
            })),
            Ok(_) => Err(no_file(instance)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", instance, &error)),
        }
    }

    /// The databases in an instance's own folder.
    fn names(&self, instance: &InstanceId) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.of(instance))? {
            let name = entry?.file_name();
            names.extend(
                name.to_str()
                    .and_then(|name| name.strip_suffix(SUFFIX))
                    .map(str::to_owned),
            );
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether the folder is there to be taken away for the sake of this database: it holds it, or none at all.
    fn is_to_go(&self, instance: &InstanceId, name: &str) -> Result<bool, Failure> {
        check_name(name)?;
        if let Place::Nothing = self.look(instance)? {
            return Ok(false);
        }
        let names = self
            .names(instance)
            .map_err(|error| failed("look at", instance, &error))?;
        Ok(names.is_empty() || names.iter().any(|known| known == name))
    }

    /// The folder goes whole, with journals and whatever the tenant's program kept beside its database: it is one
    /// instance's, and an instance has one database.
    fn remove(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        let passing = self.passing(instance);
        let remove = |error: io::Error| failed("remove", instance, &error);
        if self.is_to_go(instance, name)? {
            if files::is_there(&passing).map_err(remove)? {
                fs::remove_dir_all(&passing).map_err(remove)?;
            }
            // Under its own name it would lose its mark before its database, and be nobody's if that is where Wharf is killed.
            fs::rename(self.of(instance), &passing).map_err(remove)?;
        }
        if files::is_there(&passing).map_err(remove)? {
            fs::remove_dir_all(&passing).map_err(remove)?;
        }
        Ok(())
    }

    fn archive(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        if !self.is_to_go(instance, name)? {
            return Ok(());
        }
        let to = self.archive.join(format!("{name}-{instance}"));
        files::private_folder(&self.archive)
            .and_then(|()| fs::rename(self.of(instance), &to))
            .and_then(|()| files::sync_folder(&self.archive))
            .and_then(|()| files::sync_folder(&self.folder))
            .map_err(|error| failed("archive", instance, &error))
    }

    fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure> {
        let list = |error: io::Error| files::failure(Code::DatabaseFailed, "list", Path::new("databases"), &error);
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(list)? {
            let name = entry.map_err(list)?.file_name();
            let Some(instance) = name.to_str().and_then(|name| name.parse::<InstanceId>().ok()) else {
                continue;
            };
            // What is another's, or was removed since it was listed, is not of this deployment.
            if matches!(self.look(&instance), Ok(Place::Own | Place::Unmarked)) {
                match self.names(&instance) {
                    Ok(names) => all.extend(names.into_iter().map(|name| (instance.clone(), name))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed("list", &instance, &error)),
                }
            }
        }
        all.sort_unstable();
        Ok(all)
    }
}

#[async_trait]
impl Databases for FileDatabases {
    /// A file has no roles: the password is not used. What keeps tenants apart is that none is told another's path.
    async fn create(&self, instance: &InstanceId, name: &str, _password: &SecretString) -> Result<Database, Failure> {
        let (places, instance, name) = (self.places.clone(), instance.clone(), name.to_owned());
        files::blocking(move || places.create(&instance, &name)).await
    }

    async fn open(&self, instance: &InstanceId, name: &str, _: &SecretString) -> Result<Option<Database>, Failure> {
        let (places, instance, name) = (self.places.clone(), instance.clone(), name.to_owned());
        files::blocking(move || places.open(&instance, &name)).await
    }

    async fn remove(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        let (places, instance, name) = (self.places.clone(), instance.clone(), name.to_owned());
        files::blocking(move || places.remove(&instance, &name)).await
    }

    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure> {
        let places = self.places.clone();
        files::blocking(move || places.all()).await
    }
}
