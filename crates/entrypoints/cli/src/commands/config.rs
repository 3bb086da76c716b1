//! `config check | explain | schema`, and reading the configuration for every other command.

use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};
use wharf_config::{Machine, Overrides, Problems};
use wharf_domain::{Code, Failure};

use crate::{
    args::{Config as Command, Global},
    exit, output,
};

/// The configuration that is taken where none is named.
const FILE: &str = "wharf.toml";

pub(crate) fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(on) => check(global, &on.overrides()),
        Command::Explain { key, on } => {
            let explanation = load(global, &on.overrides())?.explain(&key)?;
            output::value(&explanation, global.format(), ToString::to_string);
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema => {
            output::line(&serde_json::to_string_pretty(&wharf_config::schema()).unwrap_or_default());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(global: &Global, overrides: &Overrides) -> Result<ExitCode, Failure> {
    let path = path(global);
    match read(global, overrides)? {
        Ok(config) => {
            let services: Vec<&str> = config.services.keys().map(wharf_domain::ServiceName::as_str).collect();
            let value = json!({"file": path, "problems": [], "services": services});
            output::value(&value, global.format(), |_| match &path {
                Some(path) => format!("{} is fine; services: {}", path.display(), services.join(", ")),
                None => format!(
                    "there is no {FILE}, and none is needed; services: {}",
                    services.join(", ")
                ),
            });
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            output::value(&problems, global.format(), ToString::to_string);
            Ok(ExitCode::from(exit::USAGE))
        }
    }
}

/// The configuration, or one failure that has every problem in it.
pub(crate) fn load(global: &Global, overrides: &Overrides) -> Result<wharf_config::Config, Failure> {
    read(global, overrides)?.map_err(Failure::from)
}

fn read(global: &Global, overrides: &Overrides) -> Result<Result<wharf_config::Config, Problems>, Failure> {
    let file = file(global)?;
    let overrides = Overrides {
        data_dir: global.data_dir.clone().or_else(|| overrides.data_dir.clone()),
        ..overrides.clone()
    };
    let file: Option<(&Path, &str)> = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    Ok(wharf_config::Config::load(
        file,
        &environment(),
        &overrides,
        Machine::detect(),
    ))
}

/// Where the data are, also by a configuration with errors; `None` where nothing can be read of it.
pub(crate) fn data_dir(global: &Global) -> Result<Option<PathBuf>, Failure> {
    let file = file(global)?;
    let file: Option<(&Path, &str)> = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    let overrides = Overrides {
        data_dir: global.data_dir.clone(),
        ..Overrides::default()
    };
    Ok(wharf_config::Config::data_dir(
        file,
        &environment(),
        &overrides,
        Machine::detect(),
    ))
}

/// The file of the configuration, with its text.
pub(crate) fn file(global: &Global) -> Result<Option<(PathBuf, String)>, Failure> {
    let Some(path) = path(global) else { return Ok(None) };
    match wharf_config::read_file(&path)? {
        Some(text) => Ok(Some((path, text))),
        None => Err(
            Failure::new(Code::ConfigInvalid, format!("there is no file {}", path.display()))
                .hint("name the configuration with --config"),
        ),
    }
}

/// The variables that can be read.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The file that is read: the one that is named, or the one that is there. Absolute, since what is in it counts from its folder.
fn path(global: &Global) -> Option<PathBuf> {
    let path = match &global.config {
        Some(path) => path.clone(),
        None => Some(PathBuf::from(FILE)).filter(|path| path.exists())?,
    };
    Some(std::path::absolute(&path).unwrap_or(path))
}
