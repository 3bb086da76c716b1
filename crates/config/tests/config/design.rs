//! The files that the documents show, and no file at all.

use crate::common::{load, machine};
use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};
use wharf_config::{Config, Overrides, PortRange, Rate};
use wharf_domain::{
    ServiceName,
    service::{HealthCheck, PortRule, RouteRule, RunSpec},
};

fn service<'c>(config: &'c Config, name: &str) -> &'c wharf_domain::Service {
    config
        .services
        .iter()
        .find(|(known, _)| known.as_str() == name)
        .map(|(_, service)| service)
        .expect(name)
}

fn without_a_file() -> Config {
    Config::load(None, &BTreeMap::new(), &Overrides::default(), machine()).expect("no configuration is needed")
}

#[test]
fn no_configuration_is_needed() {
    let config = without_a_file();
    assert_eq!(config.server.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert_eq!(config.server.public_url(8080), "http://localhost:8080");
    assert_eq!(config.server.public_url(80), "http://localhost");
    assert_eq!(
        config.server.url_of("acme.localhost", 8080),
        "http://acme.localhost:8080"
    );
    assert_eq!(config.server.data_dir, Path::new(".wharf"));
    assert_eq!(config.mail.folder, Path::new(".wharf/mail"));
    assert_eq!(config.mail.from.to_string(), "Wharf <wharf@localhost>");
    assert!(config.signup.open);
    assert_eq!(
        config.signup.rate,
        Rate {
            count: 20,
            per: Duration::from_hours(1)
        }
    );
    assert_eq!(
        config.ports.dynamic,
        PortRange {
            first: 20_000,
            last: 29_999
        }
    );
    assert!(config.ports.excluded.contains(&8080));
    assert_eq!(config.names.rest, Duration::from_hours(30 * 24));
    assert_eq!(
        config.names.reserved.iter().map(String::as_str).collect::<Vec<_>>(),
        ["services"],
        "services.localhost is no tenant's"
    );
    assert_eq!(config.heal.limit, 5);
    assert_eq!(
        config.tenant_service.as_ref().map(ServiceName::as_str),
        Some("storefront")
    );
    assert_eq!(config.services.len(), 1);
}

#[test]
fn an_empty_file_says_the_same_as_none() {
    let of_empty = load("").expect("nothing is wrong with nothing");
    assert_eq!(
        serde_json::to_value(of_empty).expect("JSON"),
        serde_json::to_value(without_a_file()).expect("JSON")
    );
}

#[test]
fn the_file_of_the_design_is_what_it_says() {
    let config = load(include_str!("../fixtures/design.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let storefront = service(&config, "storefront");
    assert_eq!(
        storefront,
        service(&without_a_file(), "storefront"),
        "the built-in one is that of the design"
    );
    assert!(storefront.tenant && storefront.database && !storefront.singleton);
    assert_eq!(storefront.port, PortRule::Dynamic);
    assert_eq!(storefront.route, RouteRule::Host);
    assert_eq!(storefront.start_timeout, Duration::from_mins(1));
    assert_eq!(storefront.identity_header.as_deref(), Some("x-wharf-instance"));
    assert_eq!(storefront.environment["GREETING"], "Welcome to {company_name}");
    let health = HealthCheck {
        path: "/healthz".into(),
        interval: Duration::from_millis(500),
        timeout: Duration::from_secs(2),
        healthy: 1,
        unhealthy: 3,
    };
    assert_eq!(storefront.health, health);
    let command = vec!["wharf".to_owned(), "storefront".to_owned()];
    assert_eq!(
        storefront.run,
        RunSpec::Process {
            command,
            memory: Some(256 << 20),
            directory: None
        }
    );

    let auth = service(&config, "auth");
    assert_eq!(
        auth.route,
        RouteRule::Path {
            prefix: "/api/auth".into()
        }
    );
    assert_eq!(auth.start_timeout, Duration::from_mins(5));
    let command = vec!["./auth".to_owned(), "--port".to_owned(), "{port}".to_owned()];
    assert_eq!(
        auth.run,
        RunSpec::Process {
            command,
            memory: None,
            directory: None
        }
    );
    assert_eq!(
        config.tenant_service.as_ref().map(ServiceName::as_str),
        Some("storefront")
    );
}

#[test]
fn a_resolved_service_survives_being_stored() {
    let config = load(include_str!("../fixtures/design.toml")).expect("the design's");
    for service in config.services.values() {
        let json = serde_json::to_string(service).expect("JSON");
        assert_eq!(
            &serde_json::from_str::<wharf_domain::Service>(&json).expect("reads back"),
            service
        );
    }
}

#[test]
fn every_default_that_is_shown_reads_as_itself() {
    // What `explain` shows of every setting, written into a file, is the same configuration.
    let config = without_a_file();
    let lines: Vec<_> = config
        .explanations()
        .filter(|explanation| explanation.note.is_none() && !explanation.key.starts_with("services."))
        .filter_map(|explanation| {
            let value = explanation.value?;
            Some(format!("{} = {value}", explanation.key))
        })
        .collect();
    let text = lines.join("\n");
    let again = load(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert_eq!(again.explanations().count(), config.explanations().count());
    for (was, is) in config.explanations().zip(again.explanations()) {
        assert_eq!((&was.key, &was.value), (&is.key, &is.value));
    }
}
