//! `backup` and `restore`: the registry as one file. Both work on the data directory; no server is asked.

use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use wharf_config::Overrides;
use wharf_domain::{Code, Failure, Timestamp};

use super::{config, data_dir};
use crate::{
    args::{Backup, Global, Restore},
    output,
    up::{
        layout::Layout,
        wire::registry::{self, Snapshot},
    },
};

/// What a backup shows.
#[derive(Debug, Serialize)]
struct Shown {
    deployment: String,
    /// Milliseconds since the epoch.
    as_of: u64,
    instances: u64,
    live: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct BackedUp {
    file: PathBuf,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Debug, Serialize)]
struct PutBack {
    registry: PathBuf,
    #[serde(flatten)]
    shown: Shown,
    /// Where the registry is that was replaced.
    replaced: Option<PathBuf>,
    /// What was wrong with that one.
    unreadable: Option<String>,
    /// What to say next.
    next: Vec<&'static str>,
}

impl From<&Snapshot> for Shown {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            deployment: snapshot.deployment.to_string(),
            as_of: snapshot.as_of.as_millis(),
            instances: snapshot.instances,
            live: snapshot.live,
            bytes: snapshot.bytes,
        }
    }
}

pub(crate) fn backup(global: &Global, options: &Backup) -> Result<ExitCode, Failure> {
    let snapshot = registry::backup(&layout(global)?, &options.file, options.force)?;
    let value = BackedUp {
        file: options.file.clone(),
        shown: Shown::from(&snapshot),
    };
    output::value(&value, global.format(), |value| {
        format!(
            "{}: {}, {}",
            value.file.display(),
            size(value.shown.bytes),
            shown(&value.shown)
        )
    });
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn restore(global: &Global, options: &Restore) -> Result<ExitCode, Failure> {
    let layout = layout(global)?;
    let restored = registry::restore(&layout, &options.file)?;
    let value = PutBack {
        registry: layout.registry(),
        shown: Shown::from(&restored.snapshot),
        replaced: restored.replaced,
        unreadable: restored.unreadable,
        next: vec!["wharf up", "wharf repair"],
    };
    output::value(&value, global.format(), |value| put_back(value, &options.file));
    Ok(ExitCode::SUCCESS)
}

fn put_back(value: &PutBack, file: &Path) -> String {
    let mut lines = vec![format!(
        "{} is what {} holds: {}",
        value.registry.display(),
        file.display(),
        shown(&value.shown)
    )];
    if let Some(replaced) = &value.replaced {
        lines.push(format!("what it replaces is kept: {}", replaced.display()));
    }
    if let Some(why) = &value.unreadable {
        lines.push(format!(
            "  it could not be read ({why}), so nobody could tell whether it was of the same deployment"
        ));
    }
    lines.extend([
        String::new(),
        "next:".to_owned(),
        "  wharf up        brings back what was ready".to_owned(),
        "  wharf repair    shows what has changed since in the world; what was begun since, the registry does not know"
            .to_owned(),
    ]);
    lines.join("\n")
}

fn shown(shown: &Shown) -> String {
    let as_of = Timestamp::from_millis(shown.as_of);
    let instances = match shown.instances {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances"),
    };
    format!(
        "{instances} ({} live), as of {} ({} ago)",
        shown.live,
        date(as_of),
        output::age(registry::now(), as_of)
    )
}

/// As RFC 3339 writes it, to the second.
fn date(time: Timestamp) -> String {
    i64::try_from(time.as_millis() / 1000)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| time.as_millis().to_string(), |time| time.to_string())
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1_048_575 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The data directory, where the registry is in it. A configuration with errors must not keep anybody from saving what there is.
fn layout(global: &Global) -> Result<Layout, Failure> {
    match config::load(global, &Overrides::default()) {
        Ok(config) => registry::is_here(&config)?,
        Err(failure) if failure.code == Code::ConfigInvalid => {}
        Err(failure) => return Err(failure),
    }
    data_dir(global).map(Layout::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_as_people_write_them() {
        assert_eq!(date(Timestamp(1_700_000_000_999)), "2023-11-14T22:13:20Z");
        assert_eq!(size(1), "1 KiB");
        assert_eq!(size(3 * 1024 * 1024 / 2), "1.5 MiB");
    }
}
