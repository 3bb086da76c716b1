//! Mails as files: for development, and for a machine whose mail another program picks up.

use async_trait::async_trait;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use wharf_domain::{Code, Failure};
use wharf_platform::{Mail, MailError, Mailer};
use wharf_saga::Clock;

use crate::message;

/// Puts each mail into a folder, as `<id>.eml`, readable by its owner alone. The same id again is the same file, which stays as it was.
pub struct FolderMailer {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    /// Tells apart the unfinished files of one process.
    next: AtomicU64,
}

impl std::fmt::Debug for FolderMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderMailer")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl FolderMailer {
    /// Makes the folder, mode 0700, if it is not there.
    pub fn new(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| {
                Failure::new(
                    Code::DataDirectory,
                    format!("the mail folder {} cannot be made: {error}", folder.display()),
                )
                .hint("choose another with `[mail] folder` in wharf.toml")
            })?;
        Ok(Self {
            folder: folder.to_owned(),
            clock,
            next: AtomicU64::new(0),
        })
    }
}

#[async_trait]
impl Mailer for FolderMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let name = file_name(&mail.id)
            .ok_or_else(|| MailError::Permanent(format!("{:?} cannot be a file's name", mail.id)))?;
        let path = self.folder.join(name);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!(".unfinished-{}-{number}", std::process::id()));
        let bytes = message::render(mail, self.clock.now()).map_err(|error| MailError::Permanent(error.to_string()))?;
        let written = tokio::task::spawn_blocking(move || put(&path, &unfinished, &bytes)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(MailError::Passing(format!("the mail cannot be written: {error}"))),
            Err(error) => Err(MailError::Passing(format!("the mail was not written: {error}"))),
        }
    }
}

/// Whole or not at all, and never over another.
fn put(path: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::hard_link(unfinished, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    };
    let written = write();
    let _ = fs::remove_file(unfinished);
    written
}

/// Ids are Wharf's own; what is not a plain name is not written anywhere.
fn file_name(id: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '#');
    (!id.is_empty() && id.len() <= 200 && !id.starts_with('.') && id.chars().all(plain)).then(|| format!("{id}.eml"))
}
