//! What the tests share: a configuration of a text alone.

use std::{collections::BTreeMap, path::Path};
use wharf_config::{Config, Machine, Overrides, PortRange, Problems};

/// Linux's own range.
pub(crate) fn machine() -> Machine {
    Machine {
        ip_local_port_range: Some(PortRange {
            first: 32_768,
            last: 60_999,
        }),
        ..Machine::default()
    }
}

pub(crate) fn load(text: &str) -> Result<Config, Problems> {
    load_with(text, &[], &Overrides::default())
}

pub(crate) fn load_with(text: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Config, Problems> {
    let environment: BTreeMap<_, _> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Config::load(
        Some((Path::new("wharf.toml"), text)),
        &environment,
        overrides,
        machine(),
    )
}

/// Everything that is wrong with a text, a line each.
pub(crate) fn problems(text: &str) -> Vec<String> {
    match load(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}
