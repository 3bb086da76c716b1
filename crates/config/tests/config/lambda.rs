//! On AWS Lambda: the environment alone, a bundled file, and what the machine leaves no choice in.

use crate::common::{FIVE, GROUP as ARN, machine, task};
use std::{collections::BTreeMap, path::Path};
use wharf_config::{Config, DatabaseKind, Machine, MailKind, Overrides, PlatformKind, Problems, RegistryKind, Source};
use wharf_domain::{
    Code, ServiceName,
    service::{PortRule, RouteRule, RunSpec},
};

fn on_lambda(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let environment: BTreeMap<_, _> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let file = file.map(|text| (Path::new("/var/task/wharf.toml"), text));
    Config::load(file, &environment, &Overrides::default(), Machine::lambda())
}

#[test]
fn the_starters_variables_alone_describe_the_default_service() {
    let environment = [
        ("ECS_CLUSTER", "my-cluster"),
        (
            "TASK_DEFINITION",
            "arn:aws:ecs:eu-west-1:123456789012:task-definition/my-task:1",
        ),
        ("TARGET_GROUP_ARN", ARN),
        ("SUBNETS", "subnet-1,subnet-2"),
        ("SECURITY_GROUPS", "sg-1"),
        ("CONTAINER_PORT", "8080"),
        ("TASK_WAIT_TIMEOUT", "120"),
        ("LOG_LEVEL", "DEBUG"),
    ];
    let config = on_lambda(None, &environment).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        config.events.default_service.as_ref().map(ServiceName::as_str),
        Some("default")
    );
    assert_eq!((config.services.len(), &config.tenant_service), (1, &None));
    let service = config.services.values().next().expect("one");
    assert_eq!(config.events.template.as_ref(), Some(service));
    assert_eq!(service.start_timeout.as_secs(), 120);
    let groups = RouteRule::TargetGroups {
        arns: vec![ARN.into()],
        rule: None,
        url: None,
    };
    assert_eq!(service.route, groups);
    let task = task(&config, "default");
    assert_eq!((task.cluster.as_str(), task.port), ("my-cluster", Some(8080)));
    assert_eq!((task.subnets.len(), task.security_groups.len()), (2, 1));
    let explained = config.explain("services.default.ecs.cluster").expect("known");
    assert_eq!(
        explained.source,
        Source::Environment {
            variable: "ECS_CLUSTER".into()
        }
    );
}

#[test]
fn the_provisioners_variables_alone_describe_a_tenants_service() {
    let documented = [
        ("CLUSTER_NAME", "my-poc-cluster"),
        ("TASK_DEFINITION", "crownmercado-poc-task"),
        ("EC2_IP", "192.0.2.7"),
        ("TABLE_NAME", "crownmercado-ports"),
    ];
    let config = on_lambda(None, &documented).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.tenant_service.as_ref().map(ServiceName::as_str), Some("app"));
    assert_eq!((config.services.len(), &config.events.default_service), (1, &None));
    let app = config.services.values().next().expect("one");
    assert_eq!(
        app.port,
        PortRule::Static {
            first: 8000,
            last: 9000
        }
    );
    let url = "http://{subdomain}.{ip}.sslip.io:{port}";
    assert_eq!(app.route, RouteRule::Direct { url: url.into() });
    assert_eq!(
        task(&config, "app").host_address,
        Some("192.0.2.7".parse().expect("an address"))
    );

    let template = config.events.template.as_ref().expect("on ECS");
    let RunSpec::Ecs(task) = &template.run else {
        panic!("on ECS")
    };
    assert_eq!(
        (task.cluster.as_str(), task.task_definition.as_str()),
        ("my-poc-cluster", ""),
        "no event starts a tenant's task for nobody"
    );

    let config = on_lambda(None, &documented[..3]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        config.services.values().next().expect("one").port,
        PortRule::Dynamic,
        "as documented later"
    );
}

#[test]
fn without_anything_there_is_nothing_to_start_and_nothing_is_wrong() {
    let config = on_lambda(None, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.services.is_empty());
    assert!(config.events.template.is_some(), "an event may say everything itself");
    assert_eq!(config.platform.kind, PlatformKind::Ecs);
    assert_eq!(config.registry.kind, RegistryKind::Dynamodb);
    assert_eq!(config.mail.kind, MailKind::Resend);
}

#[test]
fn the_machine_leaves_no_choice_of_platform_registry_and_mail() {
    let file = FIVE
        .replace("kind = \"ecs\"", "kind = \"process\"")
        .replace("kind = \"dynamodb\"", "kind = \"sqlite\"\n[mail]\nkind = \"folder\"")
        .replace("kind = \"path\", prefix = \"/api/fa\"", "kind = \"direct\"");
    let config = on_lambda(Some(&file), &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.platform.kind, PlatformKind::Ecs);
    assert_eq!(config.registry.kind, RegistryKind::Dynamodb);
    assert_eq!(config.mail.kind, MailKind::Resend);
    let explained = config.explain("platform.kind").expect("known");
    assert_eq!(explained.value.as_deref(), Some("\"ecs\""));
    assert_eq!(explained.note.as_deref(), Some("AWS Lambda starts tasks on ECS only"));
}

#[test]
fn a_route_through_wharfs_own_load_balancer_leads_nowhere() {
    let problems = on_lambda(Some(FIVE), &[]).expect_err("fa has a path route").to_string();
    assert!(
        problems.contains("services.fa.route.kind: ") && problems.contains("on AWS Lambda there is none"),
        "{problems}"
    );
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn sign_up_is_closed_unless_the_operator_opens_it_knowingly() {
    let open = |text: &str| on_lambda(Some(text), &[]).map(|config| config.signup.open);
    assert!(!open("").expect("fine"));
    let problems = open("signup.open = true").expect_err("without confirming").to_string();
    assert!(
        problems.contains("signup.open: ") && problems.contains("verify_email = false"),
        "{problems}"
    );
    assert!(open("signup = { open = true, verify_email = false }").expect("the operator's own decision"));
}

#[test]
fn a_server_off_loopback_stays_closed_whatever_is_waived() {
    let text =
        "server = { listen = \"192.0.2.1:80\", trust_tenants = true }\nsignup = { open = true, verify_email = false }";
    let file = Some((Path::new("wharf.toml"), text));
    let problems = Config::load(file, &BTreeMap::new(), &Overrides::default(), machine()).expect_err("refused");
    assert!(
        problems.to_string().contains("confirm its e-mail address"),
        "{problems}"
    );
}

#[test]
fn links_are_made_from_the_public_url() {
    let api = [(
        "WHARF_SERVER_PUBLIC_URL",
        "https://abc.execute-api.eu-west-1.amazonaws.com",
    )];
    let config = on_lambda(None, &api).expect("fine");
    assert_eq!(
        config.server.public_url(0),
        "https://abc.execute-api.eu-west-1.amazonaws.com"
    );
}

#[test]
fn what_is_wrong_with_the_environment_is_reported_at_once() {
    let environment = [
        ("ECS_CLUSTER", "c"),
        ("TASK_DEFINITION", "t"),
        ("TARGET_GROUP_ARN", "tg"),
        ("CONTAINER_PORT", "http"),
        ("LAUNCH_TYPE", "LAMBDA"),
        ("TABLE_NAME", "x"),
        ("EC2_IP", "host"),
        ("TASK_POLL_INTERVAL", "0"),
    ];
    let problems = on_lambda(None, &environment).expect_err("nearly all of it");
    let mut keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "aws.poll_interval",
        "registry.ports_table",
        "services.default.ecs.container_port",
        "services.default.ecs.host_address",
        "services.default.ecs.launch",
        "services.default.ecs.route.arns",
    ];
    assert_eq!(keys, expected, "{problems}");
}

#[test]
fn the_file_that_is_deployed_is_sound_here_and_on_a_server() {
    let text = include_str!("../../../../deploy/wharf.toml");
    let config = on_lambda(Some(text), &[("EC2_IP", "192.0.2.7")]).unwrap_or_else(|problems| panic!("{problems}"));
    let ports: Vec<_> = ["auth", "pdf", "fa"].map(|name| task(&config, name).port).into();
    assert_eq!(ports, [Some(8080), Some(9080), Some(2531)], "as documented");
    assert_eq!(
        config.tenant_service.as_ref().map(ServiceName::as_str),
        Some("crownmercado")
    );
    assert_eq!(
        task(&config, "crownmercado").host_address,
        Some("192.0.2.7".parse().expect("an address"))
    );
    let file = Some((Path::new("wharf.toml"), text));
    let on_a_server = Config::load(file, &BTreeMap::new(), &Overrides::default(), machine());
    assert_eq!(on_a_server.map(|config| config.services.len()), Ok(6));
}

const WITH_DATABASE: &str = "[services.a]\ntenant = true\ndatabase = true\necs = { cluster = \"c\", task_definition = \"t\", port = 8000, route = { kind = \"direct\" } }";

/// What the stack tells the function where it has the parameter PostgresSecret.
const BY_THE_STACK: [(&str, &str); 3] = [
    ("WHARF_AWS_POSTGRES_SECRET", "wharf/dev/postgres"),
    ("WHARF_AWS_POSTGRES_ADDRESS", "10.0.0.5:5432"),
    ("WHARF_AWS_DATABASES_FUNCTION", "start-engines-databases-dev"),
];

#[test]
fn databases_are_made_by_the_function_that_the_stack_names() {
    let config = on_lambda(Some(WITH_DATABASE), &BY_THE_STACK).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.databases.kind, DatabaseKind::Postgres);
    assert_eq!(
        config.aws.databases_function.as_deref(),
        Some("start-engines-databases-dev")
    );
    for missing in [0, 2] {
        let mut variables = BY_THE_STACK;
        variables[missing].1 = "";
        let problems = on_lambda(Some(WITH_DATABASE), &variables).expect_err("nobody makes them");
        let problem = problems.iter().next().expect("one");
        assert_eq!(problem.code, Code::DatabaseUnsupported, "{problem}");
        assert!(
            problem
                .hint
                .as_ref()
                .is_some_and(|hint| hint.contains("PostgresSecret")),
            "{problem}"
        );
    }
    let none = on_lambda(None, &[("ECS_CLUSTER", "c"), ("TASK_DEFINITION", "t")]);
    let none = none.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(none.databases.kind, DatabaseKind::None);
}

#[test]
fn a_function_makes_no_archive() {
    let file = format!("{WITH_DATABASE}\n[databases]\narchive = \"/backup\"\nkeep = \"30d\"\n");
    let problems = on_lambda(Some(&file), &BY_THE_STACK).expect_err("it has no pg_dump");
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["databases.archive"]);
}
