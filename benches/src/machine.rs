//! The machine that the figures are of: without it they mean nothing.

use serde::Serialize;
use std::{fmt, fs, path::Path, thread};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// Cores that this process may use.
    pub(crate) cores: usize,
    pub(crate) processor: String,
    /// Of 1,000,000,000 bytes.
    pub(crate) memory_gb: f64,
    pub(crate) system: String,
    /// The file system that everything durable was written to.
    pub(crate) file_system: String,
}

impl Machine {
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            processor: value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            memory_gb: value_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
                .map_or(0.0, |kib| (kib * 1024.0 / 1e9).round()),
            system: system(),
            file_system: file_system(folder).unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cores,
            processor,
            memory_gb,
            system,
            file_system,
        } = self;
        write!(
            f,
            "{cores} cores ({processor}), {memory_gb:.0} GB, {system}, {file_system}"
        )
    }
}

fn system() -> String {
    let of = |what| fs::read_to_string(format!("/proc/sys/kernel/{what}"));
    match (of("ostype"), of("osrelease")) {
        (Ok(kind), Ok(release)) => format!("{} {}", kind.trim(), release.trim()),
        _ => std::env::consts::OS.to_owned(),
    }
}

/// What stands behind `key :` in a file of such lines.
fn value_of(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
}

/// The kind of the file system that holds a folder: that of the longest mount point above it.
fn file_system(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind.to_owned())
}
