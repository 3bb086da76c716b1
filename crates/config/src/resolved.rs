//! The value in force of every key, with where it came from: what `resolve` leaves, and what everything later reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use wharf_domain::{Code, ScheduleName, ServiceName, WebhookName};

use crate::{
    Machine, Problem, Problems, Source,
    document::Document,
    setting::{Raw, Setting},
    table::{AnyKey, Key, join},
    values::PlatformKind,
};

/// One key's value.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'static dyn AnyKey,
    /// What was given; `None` is the default.
    pub(crate) raw: Option<Raw<'a>>,
    pub(crate) source: Source,
    /// It is from a documented variable that is not named after the key.
    pub(crate) is_documented: bool,
    /// The value in TOML; empty if there is none.
    pub(crate) shown: String,
    /// What was given could be read.
    pub(crate) sound: bool,
    /// What else there is to say of it.
    pub(crate) note: Option<String>,
}

pub(crate) struct Resolved<'a> {
    pub(crate) entries: BTreeMap<String, Entry<'a>>,
    /// Sections that are there only where the file has them.
    pub(crate) sections: BTreeSet<String>,
    /// Where something else stands than the section that belongs there.
    pub(crate) no_sections: BTreeSet<String>,
    pub(crate) services: Vec<ServiceName>,
    pub(crate) schedules: Vec<ScheduleName>,
    /// The names below the sections that have one for each, by the section: webhooks and their receivers.
    pub(crate) named: BTreeMap<&'static str, Vec<WebhookName>>,
    /// The service that start events are laid over which name none, where it is not one of `services`.
    pub(crate) template: Option<ServiceName>,
    /// What is in force.
    pub(crate) platform: PlatformKind,
    pub(crate) machine: Machine,
    pub(crate) file: &'a Document<'a>,
    /// The folder of the file, from which its relative paths count.
    pub(crate) folder: PathBuf,
    pub(crate) problems: Problems,
}

impl Resolved<'_> {
    /// The value of a key in the section at `path`. One that could not be read is reported already, and stands as its default.
    pub(crate) fn get<T: Setting>(&self, path: &str, key: &Key<T>) -> T {
        let entry = self.entries.get(&join(path, key.name));
        debug_assert!(entry.is_some(), "{} is not in the table at {path:?}", key.name);
        let raw = entry.filter(|entry| entry.sound).and_then(|entry| entry.raw.as_ref());
        raw.and_then(|raw| T::read(raw).ok().or_else(|| T::salvage(raw)))
            .unwrap_or_else(key.default)
    }

    /// A path on this machine: relative ones in the file count from its folder, others from the working directory.
    pub(crate) fn path(&mut self, section: &str, key: &Key<PathBuf>) -> PathBuf {
        let given = self.get(section, key);
        self.placed(&join(section, key.name), given)
    }

    pub(crate) fn optional_path(&mut self, section: &str, key: &Key<Option<PathBuf>>) -> Option<PathBuf> {
        let given = self.get(section, key)?;
        Some(self.placed(&join(section, key.name), given))
    }

    fn placed(&mut self, path: &str, given: PathBuf) -> PathBuf {
        if !matches!(
            self.entries.get(path),
            Some(Entry {
                source: Source::File { .. },
                ..
            })
        ) {
            return given;
        }
        let placed = from_folder(&self.folder, &given);
        self.settle(path, placed.display().to_string().show());
        placed
    }

    /// Says what a default that depends on other values came to.
    pub(crate) fn settle(&mut self, path: &str, shown: String) {
        if let Some(entry) = self.entries.get_mut(path) {
            entry.shown = shown;
        }
    }

    /// Sets what the machine leaves no choice in.
    pub(crate) fn force(&mut self, path: &str, value: &impl Setting, why: &str) {
        if let Some(entry) = self.entries.get_mut(path) {
            (entry.raw, entry.source, entry.shown) = (None, Source::Default, value.show());
            entry.note = Some(why.to_owned());
        }
    }

    pub(crate) fn note(&mut self, path: &str, note: String) {
        if let Some(entry) = self.entries.get_mut(path) {
            entry.note = Some(note);
        }
    }

    /// Where a value stands, or what is nearest to where it would.
    pub(crate) fn source_of(&self, path: &str) -> Source {
        let mut around = Some(path);
        while let Some(path) = around {
            match self.entries.get(path).map(|entry| &entry.source) {
                Some(Source::Default) | None => {}
                Some(Source::File { .. }) => break,
                Some(elsewhere) => return elsewhere.clone(),
            }
            around = path.rsplit_once('.').map(|(above, _)| above);
        }
        self.file.locate(path.split('.'))
    }

    /// Reports what is wrong between values; the first of them is where it is shown. If one of them could not be read, that
    /// was reported, and what follows from it is not.
    pub(crate) fn report(&mut self, paths: &[&str], code: Code, message: impl Into<String>, hint: impl Into<String>) {
        if paths.iter().any(|path| self.is_broken(path)) {
            return;
        }
        let key = paths.first().copied().unwrap_or_default();
        let source = self.source_of(key);
        self.problems.push(Problem {
            key: key.to_owned(),
            source,
            message: message.into(),
            hint: Some(hint.into()),
            code,
        });
    }

    fn is_broken(&self, path: &str) -> bool {
        let mut around = Some(path);
        while let Some(path) = around {
            if self.no_sections.contains(path) || self.entries.get(path).is_some_and(|entry| !entry.sound) {
                return true;
            }
            around = path.rsplit_once('.').map(|(above, _)| above);
        }
        false
    }
}

/// A path as it counts from a folder, without the `.` that would stand in its middle.
pub(crate) fn from_folder(folder: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() || folder.as_os_str().is_empty() {
        path.to_owned()
    } else {
        folder.join(path).components().collect()
    }
}
