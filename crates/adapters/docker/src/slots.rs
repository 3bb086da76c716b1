//! Where a container that was started ahead finds out whose it is: a folder for each, which it alone sees, read-only, and in which its configuration
//! appears at once and whole.
//!
//! What must not be here: containers.
//!
//! The folders lie in one that only Wharf's own user may enter. Within, each can be read by all, for who the application is in its container is the
//! image's business. What is in a folder is secret, and goes with the container's end.

use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use wharf_domain::{Code, Failure};

/// Where the container sees its folder.
pub(crate) const INSIDE: &str = "/run/wharf";
/// Its variables, as one object of JSON: names and values are strings.
const FILE: &str = "environment.json";
/// By this variable it is told that it has to wait, and for which file.
pub(crate) const VARIABLE: &str = "WHARF_CONFIGURATION";
const UNFINISHED: &str = ".environment.json";

/// The file that a container waits for.
pub(crate) fn awaited() -> String {
    format!("{INSIDE}/{FILE}")
}

/// The folders of one deployment.
#[derive(Clone, Debug)]
pub(crate) struct Slots(PathBuf);

impl Slots {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder of one container, on the host.
    pub(crate) fn path(&self, slot: &str) -> PathBuf {
        self.0.join(slot)
    }

    pub(crate) fn make(&self, slot: &str) -> Result<(), Failure> {
        let made = private(&self.0).and_then(|()| {
            fs::create_dir(self.path(slot))?;
            // Whatever the mask of this process is.
            fs::set_permissions(self.path(slot), Permissions::from_mode(0o755))
        });
        made.map_err(|error| self.failed("made", &error))
    }

    /// Tells a container whose it is. Said again, it stays as it was said first.
    pub(crate) fn deliver(&self, slot: &str, environment: &BTreeMap<String, SecretString>) -> Result<(), Failure> {
        let folder = self.path(slot);
        if folder.join(FILE).exists() {
            return Ok(());
        }
        let plain: BTreeMap<&str, &str> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect();
        let text = serde_json::to_vec(&plain).map_err(|error| Failure::internal(error.to_string()))?;
        put(&folder, &text).map_err(|error| self.failed("written", &error))
    }

    /// Whether its container was told whose it is.
    pub(crate) fn is_told(&self, slot: &str) -> bool {
        self.path(slot).join(FILE).exists()
    }

    pub(crate) fn is_there(&self, slot: &str) -> bool {
        self.path(slot).is_dir()
    }

    pub(crate) fn remove(&self, slot: &str) {
        match fs::remove_dir_all(self.path(slot)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(slot, %error, "the configuration of a container that ended cannot be removed");
            }
            _ => {}
        }
    }

    /// Removes those of containers that are not there any more.
    pub(crate) fn keep_only(&self, slots: &HashSet<String>) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
            if !slots.contains(&name) {
                self.remove(&name);
            }
        }
    }

    fn failed(&self, what: &str, error: &io::Error) -> Failure {
        Failure::new(
            Code::DataDirectory,
            format!(
                "what containers in {} wait for cannot be {what}: {error}",
                self.0.display()
            ),
        )
        .hint("make room there, and let the user that runs Wharf write")
    }
}

/// A folder that nobody else may enter.
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// Whoever waits for it sees all of it or nothing. It need not outlast the machine: no container does.
fn put(folder: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text)?;
    file.set_permissions(Permissions::from_mode(0o444))?;
    fs::rename(unfinished, folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn what_a_container_is_told_is_read_by_itself_and_by_nobody_else_and_said_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let all = folder.path().join("warm");
        let slots = Slots::new(all.clone());
        slots.make("one").expect("made");
        assert!(slots.is_there("one") && !slots.is_told("one"));
        let says = |value: &str| BTreeMap::from([("A".to_owned(), SecretString::from(value))]);
        slots.deliver("one", &says("1\n\"2\"")).expect("told");
        slots.deliver("one", &says("3")).expect("told before");
        let text = fs::read(slots.path("one").join(FILE)).expect("there");
        let read: BTreeMap<String, String> = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(read, BTreeMap::from([("A".to_owned(), "1\n\"2\"".to_owned())]));
        // Inside, anybody may be the one who reads; outside, nobody gets that far.
        assert_eq!(mode(&all), 0o700);
        assert_eq!(
            (mode(&slots.path("one")), mode(&slots.path("one").join(FILE))),
            (0o755, 0o444)
        );
    }

    #[test]
    fn folders_go_with_their_containers() {
        let folder = tempfile::tempdir().expect("a folder");
        let slots = Slots::new(folder.path().join("warm"));
        for slot in ["one", "two", "three"] {
            slots.make(slot).expect("made");
        }
        slots.remove("one");
        slots.remove("one");
        slots.keep_only(&HashSet::from(["two".to_owned()]));
        assert_eq!(
            ["one", "two", "three"].map(|slot| slots.is_there(slot)),
            [false, true, false]
        );
        assert!(slots.deliver("one", &BTreeMap::new()).is_err());
    }
}
