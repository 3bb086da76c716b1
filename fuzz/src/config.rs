//! `wharf.toml` and the environment: a configuration in which everything is good, or problems in words, in bounded time. The input is the file; after a line
//! `---`, variables, one a line.

use std::{collections::BTreeMap, path::Path};
use wharf_config::{Config, Machine, Overrides};

/// What no output may hold: the value of every variable that is a secret.
const SECRET: &str = "re_planted_secret";

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, variables) = text.split_once("\n---\n").unwrap_or((text, ""));
    let mut environment: BTreeMap<String, String> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    environment.insert("RESEND_API_KEY".to_owned(), SECRET.to_owned());
    let machine = Machine::default();
    for machine in [machine, Machine::lambda()] {
        let path = Path::new("/etc/wharf/wharf.toml");
        match Config::load(Some((path, file)), &environment, &Overrides::default(), machine) {
            Ok(config) => good(&config, text),
            Err(problems) => {
                assert!(!problems.is_empty(), "it is refused, and nothing is wrong with it");
                for problem in &problems {
                    assert!(!problem.message.is_empty(), "{problem:?}");
                }
                is_silent(&problems.to_string(), text);
                is_silent(&format!("{problems:?}"), text);
                serde_json::to_string(&problems).expect("problems are JSON");
            }
        }
    }
}

fn good(config: &Config, text: &str) {
    is_silent(&format!("{config:?}"), text);
    is_silent(&serde_json::to_string(config).expect("a configuration is JSON"), text);
    for explanation in config.explanations() {
        is_silent(&explanation.to_string(), text);
    }
    for (name, service) in &config.services {
        assert_eq!(*name, service.name);
        assert!(!service.start_timeout.is_zero(), "{name} has no time to start");
    }
    if let Some(name) = &config.tenant_service {
        assert!(
            config.services.get(name).is_some_and(|service| service.tenant),
            "{name}"
        );
    }
    let server = &config.server;
    let is_loopback = server.listen.ip().to_canonical().is_loopback();
    assert!(
        is_loopback || server.trust_tenants || config.platform.kind != wharf_config::PlatformKind::Process,
        "it listens at {} although tenants' processes run as this very user",
        server.listen
    );
    assert_ne!(server.console_host, server.services_host, "two origins");
}

fn is_silent(said: &str, text: &str) {
    // An input may say it itself, somewhere where it is no secret.
    assert!(
        !said.contains(SECRET) || text.contains(SECRET),
        "a secret is told: {said}"
    );
}
