//! The file of `examples/single-host`, as it stands.

use crate::common::{load_with, machine};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use wharf_config::{Config, DatabaseKind, MailKind, Overrides, PlatformKind};

const FILE: &str = include_str!("../../../../examples/single-host/wharf.toml");
const SECRETS: &[(&str, &str)] = &[
    ("STRIPE_WEBHOOK_SECRET", "whsec_0123456789abcdef"),
    ("SMTP_PASSWORD", "secret"),
];

#[test]
fn with_its_secrets_it_is_fine() {
    let config = load_with(FILE, SECRETS, &Overrides::default()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.platform.kind, PlatformKind::Docker);
    assert_eq!(
        (config.databases.kind, config.mail.kind),
        (DatabaseKind::Postgres, MailKind::Smtp)
    );
    assert!(config.databases.managed && !config.signup.open);
    assert_eq!((config.webhooks.len(), config.schedules.len()), (1, 2));
}

#[test]
fn nothing_but_its_secrets_is_missing() {
    let problems = load_with(FILE, &[], &Overrides::default()).expect_err("secrets are missing");
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("set SMTP_PASSWORD")));
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("set STRIPE_WEBHOOK_SECRET"))
    );
}

#[test]
fn a_client_finds_its_server_without_the_secrets() {
    let data_dir = |text: &str| {
        let file = Some((Path::new("wharf.toml"), text));
        Config::data_dir(file, &BTreeMap::new(), &Overrides::default(), machine())
    };
    assert_eq!(data_dir(FILE), Some(PathBuf::from("/var/lib/wharf")));
    assert_eq!(data_dir("no TOML at all ["), None);
}
