//! Mails as files: for development, and for a machine whose mail another program picks up.
//!
//! What must not be here: what a mail looks like (`message`).

use async_trait::async_trait;
use std::{
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use wharf_domain::{Code, Failure};
use wharf_platform::{Mail, MailError, Mailer};
use wharf_saga::Clock;

use crate::message;

/// Starts the names of files that are not finished yet. No mail's name starts with a dot.
const UNFINISHED: &str = ".unfinished-";

/// Puts each mail into a folder, as `<id>.eml`, readable by its owner alone. The same id again is the same file, which
/// stays as it was.
pub struct FolderMailer {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for FolderMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderMailer")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl FolderMailer {
    /// Makes the folder, mode 0700, if it is not there, and removes what a killed Wharf left half written.
    pub fn new(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .and_then(|()| remove_unfinished(folder))
            .map_err(|error| {
                Failure::new(
                    Code::DataDirectory,
                    format!("the mail folder {} cannot be used: {error}", folder.display()),
                )
                .hint("choose another with `[mail] folder` in wharf.toml")
            })?;
        Ok(Self {
            folder: folder.to_owned(),
            clock,
        })
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
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[async_trait]
impl Mailer for FolderMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let bytes = message::render(mail, self.clock.now())?;
        // The id was found to be plain.
        let (folder, path) = (self.folder.clone(), self.folder.join(format!("{}.eml", mail.id)));
        tokio::task::spawn_blocking(move || put(&folder, &path, &bytes))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            // A full disk, a folder that somebody closed: an operator can mend all of it.
            .map_err(|error| MailError::Passing(format!("the mail cannot be written to its folder: {error}")))
    }
}

/// Whole or not at all, never over another, and on the disk when it returns: the outbox forgets the mail then.
fn put(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !path.try_exists()? {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => return Err(error.error),
            _ => {}
        }
    }
    File::open(folder)?.sync_all()
}
