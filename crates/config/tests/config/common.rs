//! What the tests share: a configuration of a text alone.

use std::{collections::BTreeMap, path::Path};
use wharf_config::{Config, Machine, Overrides, PortRange, Problems, Source};
use wharf_domain::{
    Service,
    service::{EcsTask, RunSpec},
};

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

/// The five documented services, each in another way.
pub(crate) const FIVE: &str = include_str!("../fixtures/five.toml");
/// A target group.
pub(crate) const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/some/4444444444444444";

pub(crate) fn loaded(text: &str, environment: &[(&str, &str)]) -> Config {
    load_with(text, environment, &Overrides::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(crate) fn service<'c>(config: &'c Config, name: &str) -> &'c Service {
    &config.services[&name.parse().expect("a name")]
}

pub(crate) fn task<'c>(config: &'c Config, name: &str) -> &'c EcsTask {
    match &service(config, name).run {
        RunSpec::Ecs(task) => task,
        RunSpec::Process { .. } | RunSpec::Docker(_) => panic!("{name} is not on ECS"),
    }
}

pub(crate) fn source(config: &Config, key: &str) -> Source {
    config.explain(key).expect("known").source
}

pub(crate) fn variable(name: &str) -> Source {
    Source::Environment { variable: name.into() }
}

/// A file with one service, whose `ecs` section is complete but for what is added.
pub(crate) fn one(more: &str) -> String {
    format!("platform.kind = \"ecs\"\n[services.a.ecs]\ncluster = \"c\"\ntask_definition = \"t\"\n{more}")
}

/// Each text has exactly the one problem that is given by its key and a part of its line.
#[track_caller]
pub(crate) fn each_is_refused(cases: &[(&str, &str, &str)]) {
    for (text, key, part) in cases {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
        let is_meant = problems[0].contains(&format!("{key}: ")) && problems[0].contains(part);
        assert!(is_meant, "{text}\n{}", problems[0]);
    }
}
