//! Instances' secrets as files: one JSON object for each instance, in a folder that nobody else may enter.
//!
//! What must not be here: making secrets up. Values come from the caller; what is there already stays in force.
//!
//! # What a loss of power leaves
//!
//! A file appears under its name only with its whole content, so a killed Wharf never leaves half of one. `put` returns
//! when content and name are on the disk: a task may have hashed a password into its database a moment later, and must
//! never meet another one. That costs two syncs at the same time, as long as one. A file of no bytes was named, and
//! lost its content with the power before `put` returned: nobody was ever told what was in it, and it is replaced.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use wharf_domain::{Code, Failure, InstanceId};
use wharf_platform::Secrets;

use crate::files;

/// No instance has secrets of this size; a file that has was not written by Wharf.
const MOST_BYTES: u64 = 1 << 20;
const SUFFIX: &str = ".json";
/// Starts the names of files that are not finished yet.
const UNFINISHED: &str = ".new-";

/// Keeps secrets in `<data>/secrets/<instance>.json`, mode 0600.
#[derive(Clone, Debug)]
pub struct FileSecrets {
    folder: Arc<Path>,
}

impl FileSecrets {
    /// Opens the folder, and removes what a killed Wharf left half done.
    ///
    /// `data` is this deployment's alone: nobody else may be writing there.
    pub fn new(data: &Path) -> Result<Self, Failure> {
        let folder = files::data_directory(data)?.join("secrets");
        files::private_folder(&folder)
            .and_then(|()| remove_unfinished(&folder))
            .map_err(|error| files::failure(Code::DataDirectory, "use", &folder, &error))?;
        Ok(Self { folder: folder.into() })
    }

    fn path(&self, instance: &InstanceId) -> PathBuf {
        self.folder.join(format!("{instance}{SUFFIX}"))
    }
}

fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(UNFINISHED))
        {
            files::gone_is_fine(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Paths in failures are those within the data directory: a failure may be shown to a tenant.
fn failed(doing: &str, instance: &InstanceId, error: &io::Error) -> Failure {
    files::failure(
        Code::SecretsFailed,
        doing,
        &Path::new("secrets").join(format!("{instance}{SUFFIX}")),
        error,
    )
}

type Values = BTreeMap<String, SecretString>;

fn to_json(values: &Values) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let plain: BTreeMap<&str, &str> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect();
    serde_json::to_vec(&plain)
        .map(Zeroizing::new)
        .map_err(|_| Failure::internal("the secrets cannot be written as JSON"))
}

/// The parser's own words are left out: they may repeat what they could not read.
fn from_json(bytes: &[u8], instance: &InstanceId) -> Result<Values, Failure> {
    let plain: BTreeMap<String, String> = serde_json::from_slice(bytes).map_err(|_| {
        Failure::new(Code::SecretsFailed, format!("secrets/{instance}{SUFFIX} is damaged")).hint(
            "bring the file back from a backup; it is not replaced, because the tenant's password would be another one",
        )
    })?;
    Ok(plain
        .into_iter()
        .map(|(name, value)| (name, SecretString::from(value)))
        .collect())
}

/// `None` where there is none, or one without content (see the head of this file).
fn read(file: &mut File, instance: &InstanceId) -> Result<Option<Values>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| failed("read", instance, &error))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    from_json(&bytes, instance).map(Some)
}

fn open(path: &Path, instance: &InstanceId) -> Result<Option<File>, Failure> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", instance, &error)),
    }
}

/// Writes the content under a passing name and then gives it its own, unless somebody has that.
fn write_if_absent(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(content)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// Puts the values if there are none, and gives those in force and their file, which may not be on the disk yet.
fn put(folder: &Path, path: &Path, instance: &InstanceId, values: &Values) -> Result<(File, Values), Failure> {
    let content = to_json(values)?;
    let mut replaced = false;
    loop {
        write_if_absent(folder, path, &content).map_err(|error| failed("write", instance, &error))?;
        let mut file = open(path, instance)?
            .ok_or_else(|| Failure::new(Code::SecretsFailed, "the secrets were removed while they were put"))?;
        match read(&mut file, instance)? {
            Some(in_force) => return Ok((file, in_force)),
            None if replaced => {
                return Err(Failure::new(
                    Code::SecretsFailed,
                    format!("secrets/{instance}{SUFFIX} stays empty"),
                ));
            }
            None => {
                replaced = true;
                files::gone_is_fine(fs::remove_file(path)).map_err(|error| failed("replace", instance, &error))?;
            }
        }
    }
}

#[async_trait]
impl Secrets for FileSecrets {
    async fn put(&self, instance: &InstanceId, values: Values) -> Result<Values, Failure> {
        let (folder, path, id) = (self.folder.clone(), self.path(instance), instance.clone());
        let (file, in_force) = files::blocking(move || put(&folder, &path, &id, &values)).await?;
        // Also if somebody else had put them: that call may have died before it synced. Content and name at the same time: a
        // journaling file system makes one write of both.
        let folder = self.folder.clone();
        let (content, id) = (file, instance.clone());
        let content = files::blocking(move || content.sync_all().map_err(|error| failed("keep", &id, &error)));
        let id = instance.clone();
        let name = files::blocking(move || files::sync_folder(&folder).map_err(|error| failed("keep", &id, &error)));
        tokio::try_join!(content, name)?;
        Ok(in_force)
    }

    async fn get(&self, instance: &InstanceId) -> Result<Option<Values>, Failure> {
        let (path, instance) = (self.path(instance), instance.clone());
        files::blocking(move || match open(&path, &instance)? {
            Some(mut file) => read(&mut file, &instance),
            None => Ok(None),
        })
        .await
    }

    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure> {
        // Not synced: a file that comes back with the power is one that `all` shows and repair removes.
        let (path, instance) = (self.path(instance), instance.clone());
        files::blocking(move || {
            files::gone_is_fine(fs::remove_file(path)).map_err(|error| failed("remove", &instance, &error))
        })
        .await
    }

    async fn all(&self) -> Result<Vec<InstanceId>, Failure> {
        let folder = self.folder.clone();
        files::blocking(move || {
            let listed = |error: io::Error| files::failure(Code::SecretsFailed, "list", Path::new("secrets"), &error);
            let mut all = Vec::new();
            for entry in fs::read_dir(&folder).map_err(listed)? {
                let name = entry.map_err(listed)?.file_name();
                let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
                all.extend(id);
            }
            all.sort_unstable();
            Ok(all)
        })
        .await
    }
}
