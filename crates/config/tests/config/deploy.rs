//! The file of `deploy/`, on the function that it is meant for, with the variables that the stack gives it.

use std::{collections::BTreeMap, path::Path};
use wharf_config::{Config, Machine, Overrides, PlatformKind, Source};
use wharf_domain::service::{RouteRule, RunSpec};

const FILE: &str = include_str!("../../../../deploy/wharf.toml");
const TEMPLATE: &str = include_str!("../../../../deploy/template.yaml");

/// What `template.yaml` sets, all of it empty: an empty variable counts as none.
fn variables() -> BTreeMap<String, String> {
    let (_, rest) = TEMPLATE
        .split_once("        Variables:\n")
        .expect("the function's environment");
    let names = rest
        .lines()
        .take_while(|line| line.starts_with("          "))
        .filter_map(|line| line.trim_start().split_once(": ").map(|(name, _)| name))
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        });
    names.map(|name| (name.to_owned(), String::new())).collect()
}

fn deployed(given: &[(&str, &str)]) -> Config {
    let mut environment = variables();
    let stack = [
        (
            "WHARF_QUEUE_URL",
            "https://sqs.us-east-2.amazonaws.com/123456789012/start-engines-wake-dev",
        ),
        ("WHARF_REGISTRY_TABLE", "wharf-dev"),
        ("WHARF_DEPLOYMENT", "dev"),
        ("WHARF_AWS_ADMIN_TOKEN_SECRET", "wharf/dev/admin-token"),
        ("WHARF_AWS_TOKEN_KEY_SECRET", "wharf/dev/token-key"),
        (
            "WHARF_SERVER_PUBLIC_URL",
            "https://abc.execute-api.us-east-2.amazonaws.com",
        ),
        ("WHARF_SERVER_CONSOLE_HOST", "abc.execute-api.us-east-2.amazonaws.com"),
        ("TABLE_NAME", "crownmercado-ports-dev"),
        ("REGISTRY_TABLE_NAME", "UserPortRegistry-dev"),
        ("TASK_WAIT_TIMEOUT", "300"),
        ("TASK_POLL_INTERVAL", "5"),
        ("ASSIGN_PUBLIC_IP", "ENABLED"),
        ("LOG_LEVEL", "INFO"),
    ];
    for (name, value) in stack.iter().chain(given) {
        let known = environment.insert((*name).to_owned(), (*value).to_owned());
        assert!(known.is_some(), "the template does not set {name}");
    }
    let file = Some((Path::new("/var/task/wharf.toml"), FILE));
    Config::load(file, &environment, &Overrides::default(), Machine::lambda())
        .unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn it_is_sound_where_the_stack_says_no_more_than_it_must() {
    let config = deployed(&[]);
    assert_eq!(config.platform.kind, PlatformKind::Ecs);
    let names: Vec<_> = config.services.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["auth", "batch", "crownmercado", "fa", "pdf", "users"]);
    for service in config.services.values() {
        assert!(matches!(&service.run, RunSpec::Ecs(_)), "{}", service.name);
        let goes = matches!(
            (&service.route, service.tenant),
            (RouteRule::TargetGroups { .. }, false) | (RouteRule::Direct { .. }, true)
        );
        assert!(goes, "{}", service.name);
    }
    assert!(!config.signup.open);
}

#[test]
fn what_the_stack_says_of_a_service_outranks_the_file() {
    const ARN: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/auth-tg-dev/4444444444444444";
    let config = deployed(&[
        ("AUTH_TARGET_GROUP_ARN", ARN),
        ("AUTH_CLUSTER", "another"),
        ("SUBNETS", "subnet-1,subnet-2"),
        ("EC2_IP", "192.0.2.7"),
    ]);
    let auth = &config.services[&"auth".parse().expect("a name")];
    assert!(matches!(&auth.route, RouteRule::TargetGroups { arns, .. } if arns == &[ARN]));
    let RunSpec::Ecs(task) = &auth.run else {
        panic!("{:?}", auth.run)
    };
    assert_eq!((task.cluster.as_str(), task.subnets.len()), ("another", 2));
}

#[test]
fn every_variable_of_the_stack_is_a_setting_of_ours() {
    let names = variables();
    assert!(names.len() > 45, "{names:?}");
    let settings = [
        ("registry.table", "WHARF_REGISTRY_TABLE"),
        ("registry.deployment", "WHARF_DEPLOYMENT"),
        ("registry.ports_table", "TABLE_NAME"),
        ("registry.users_table", "REGISTRY_TABLE_NAME"),
        ("aws.queue_url", "WHARF_QUEUE_URL"),
        ("aws.admin_token_secret", "WHARF_AWS_ADMIN_TOKEN_SECRET"),
        ("aws.token_key_secret", "WHARF_AWS_TOKEN_KEY_SECRET"),
        ("server.public_url", "WHARF_SERVER_PUBLIC_URL"),
        ("server.console_host", "WHARF_SERVER_CONSOLE_HOST"),
        ("aws.poll_interval", "TASK_POLL_INTERVAL"),
        ("log.level", "LOG_LEVEL"),
    ];
    let config = deployed(&[]);
    for (key, variable) in settings {
        let source = config
            .explain(key)
            .unwrap_or_else(|failure| panic!("{key}: {failure}"))
            .source
            .clone();
        assert_eq!(
            source,
            Source::Environment {
                variable: variable.to_owned()
            },
            "{key}"
        );
    }
}
