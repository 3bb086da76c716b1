//! Services on ECS: what their section comes to, what is refused of it, and what the documented variables add.

use crate::common::{load, load_with, problems};
use std::{net::IpAddr, time::Duration};
use wharf_config::{Config, MailKind, Overrides, PlatformKind, RegistryKind, Secret, Source};
use wharf_domain::{
    Code, Service, ServiceName,
    service::{CapacityProvider, EcsTask, Launch, ListenerRule, PortRule, RouteRule, RunSpec, SecretsAs},
};

const FIVE: &str = include_str!("../fixtures/five.toml");
const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/some/4444444444444444";

fn loaded(text: &str, environment: &[(&str, &str)]) -> Config {
    load_with(text, environment, &Overrides::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn service<'c>(config: &'c Config, name: &str) -> &'c Service {
    &config.services[&name.parse().expect("a name")]
}

fn task<'c>(config: &'c Config, name: &str) -> &'c EcsTask {
    match &service(config, name).run {
        RunSpec::Ecs(task) => task,
        RunSpec::Process { .. } => panic!("{name} is a process"),
    }
}

fn source(config: &Config, key: &str) -> Source {
    config.explain(key).expect("known").source
}

fn variable(name: &str) -> Source {
    Source::Environment { variable: name.into() }
}

/// A file with one service, whose `ecs` section is complete but for what is added.
fn one(more: &str) -> String {
    format!("platform.kind = \"ecs\"\n[services.a.ecs]\ncluster = \"c\"\ntask_definition = \"t\"\n{more}")
}

#[track_caller]
fn each_is_refused(cases: &[(&str, &str, &str)]) {
    for (text, key, part) in cases {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
        let is_meant = problems[0].contains(&format!("{key}: ")) && problems[0].contains(part);
        assert!(is_meant, "{text}\n{}", problems[0]);
    }
}

#[test]
fn the_five_documented_services_are_what_their_sections_say() {
    let config = loaded(FIVE, &[]);
    assert_eq!(config.platform.kind, PlatformKind::Ecs);
    assert_eq!(
        config.services.len(),
        5,
        "the bundled shop is a process, and is not here"
    );
    assert_eq!(config.tenant_service, None);

    let auth = service(&config, "auth");
    let expected = EcsTask {
        cluster: "auth-cluster".into(),
        task_definition: "auth-api-task".into(),
        container: None,
        port: Some(8080),
        subnets: vec!["subnet-1".into(), "subnet-2".into()],
        security_groups: vec!["sg-1".into()],
        assign_public_ip: false,
        launch: Launch::Auto,
        command: None,
        cpu: None,
        memory: None,
        execute_command: false,
        secrets: SecretsAs::Values,
        host_address: None,
    };
    assert_eq!(auth.run, RunSpec::Ecs(expected));
    assert_eq!(
        (auth.health.path.as_str(), &auth.port),
        ("/healthz", &PortRule::Dynamic)
    );
    let RouteRule::TargetGroups { arns, rule, url } = &auth.route else {
        panic!("target groups")
    };
    assert_eq!(arns.len(), 2);
    let listener = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/all/1/2";
    let expected = ListenerRule {
        listener: listener.into(),
        host: None,
        path: Some("/api/auth/*".into()),
    };
    assert_eq!(rule.as_ref(), Some(&expected));
    assert_eq!(url.as_deref(), Some("https://api.example.com/api/auth"));

    let pdf = task(&config, "pdf");
    assert_eq!((pdf.container.as_deref(), pdf.port), (Some("pdf"), Some(9080)));
    assert_eq!(
        (pdf.cpu, pdf.memory, pdf.execute_command),
        (Some(512), Some(1024), true)
    );
    assert_eq!((&pdf.launch, pdf.assign_public_ip), (&Launch::Fargate, true));

    assert_eq!(
        service(&config, "fa").route,
        RouteRule::Path {
            prefix: "/api/fa".into()
        }
    );
    let fa = task(&config, "fa");
    assert_eq!(
        (&fa.launch, fa.secrets, fa.port),
        (&Launch::Ec2, SecretsAs::Arn, Some(2531))
    );

    let provider = |name: &str, weight, base| CapacityProvider {
        name: name.into(),
        weight,
        base,
    };
    let users = task(&config, "users");
    let providers = vec![provider("FARGATE_SPOT", 3, 0), provider("FARGATE", 1, 1)];
    assert_eq!(
        (&users.launch, users.memory),
        (&Launch::CapacityProviders(providers), Some(512))
    );

    let batch = task(&config, "batch");
    assert_eq!(
        batch.port, None,
        "a rule for the host's port says nothing of the container's"
    );
    assert_eq!(batch.host_address, Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(
        batch.command.as_deref(),
        Some(&["run".to_owned(), "--id".into(), "{instance_id}".into()][..])
    );
    let port = PortRule::Static {
        first: 8100,
        last: 8199,
    };
    assert_eq!(service(&config, "batch").port, port);
    assert_eq!(
        service(&config, "batch").route,
        RouteRule::Direct {
            url: "http://{ip}:{port}".into()
        }
    );
}

#[test]
fn what_wharf_itself_needs_of_aws_is_typed() {
    let config = loaded(FIVE, &[]);
    assert_eq!(config.aws.region.as_deref(), Some("eu-west-1"));
    assert_eq!(config.aws.poll_interval, Duration::from_secs(5));
    assert!((config.aws.share - 0.5).abs() < f64::EPSILON);
    assert_eq!(config.registry.kind, RegistryKind::Dynamodb);
    assert_eq!(config.registry.table.as_str(), "wharf");
    assert_eq!(config.registry.ports_table.as_str(), "crownmercado-ports");
    assert_eq!(config.registry.users_table.as_str(), "UserPortRegistry");
    assert_eq!(config.platform.capacity_wait, Duration::from_mins(15));
    assert_eq!(
        config.events.default_service.as_ref().map(ServiceName::as_str),
        Some("auth")
    );
    assert_eq!(config.events.template.as_ref(), Some(service(&config, "auth")));
    assert!(config.events.allow.clusters[0].matches("team-blue") && config.events.allow.subnets.is_empty());
    assert!(config.ports.excluded.contains(&51_678), "the agent's");
}

#[test]
fn the_platform_is_chosen_by_option_variable_or_file() {
    let file = format!(
        "{}\nprocess = {{ command = [\"./a\"] }}",
        "[services.a]\necs = { cluster = \"c\", task_definition = \"t\" }"
    );
    let kind = |environment: &[(&str, &str)], platform: Option<&str>| {
        let overrides = Overrides {
            platform: platform.map(Into::into),
            ..Overrides::default()
        };
        let config = load_with(&file, environment, &overrides).unwrap_or_else(|problems| panic!("{problems}"));
        (config.platform.kind, source(&config, "platform.kind"))
    };
    assert_eq!(kind(&[], None), (PlatformKind::Process, Source::Default));
    let chosen = [("WHARF_PLATFORM", "ecs")];
    assert_eq!(kind(&chosen, None), (PlatformKind::Ecs, variable("WHARF_PLATFORM")));
    let flag = Source::Flag {
        flag: "--platform".into(),
    };
    assert_eq!(kind(&chosen, Some("process")), (PlatformKind::Process, flag));
}

#[test]
fn a_service_needs_a_cluster_and_a_task_definition() {
    each_is_refused(&[
        (
            "platform.kind = \"ecs\"\n[services.a]\nprocess = { command = [\"./a\"] }",
            "services.a",
            "no section for the platform in force, ecs",
        ),
        (
            "platform.kind = \"ecs\"\n[services.a-b]\necs = { task_definition = \"t\" }",
            "services.a-b.ecs.cluster",
            "is missing; add cluster = \"my-cluster\", or set A_B_CLUSTER or ECS_CLUSTER or CLUSTER_NAME",
        ),
        (
            "platform.kind = \"ecs\"\n[services.a]\necs = { cluster = \"c\" }",
            "services.a.ecs.task_definition",
            "or set A_TASK_DEF or TASK_DEFINITION",
        ),
        (
            "platform.kind = \"ecs\"\n[services.a]\necs = { cluster = \"a b\", task_definition = \"t\" }",
            "services.a.ecs.cluster",
            "neither a name nor an ARN",
        ),
    ]);
    let elsewhere = "[services.a]\necs = { cluster = \"c\" }\nprocess = { command = [\"./a\"] }";
    assert_eq!(
        problems(elsewhere),
        Vec::<String>::new(),
        "another platform is in force"
    );
}

#[test]
fn a_database_for_each_instance_is_refused_by_its_own_code() {
    let problems = load(&format!(
        "platform.kind = \"ecs\"\n[services.a]\ndatabase = true\n{}",
        "ecs = { cluster = \"c\", task_definition = \"t\" }"
    ))
    .expect_err("not in this version");
    let problem = problems.iter().next().expect("one");
    assert_eq!(
        (problem.key.as_str(), problem.code),
        ("services.a.database", Code::DatabaseUnsupported)
    );
}

#[test]
fn networks_are_named_by_ids() {
    let five = "[\"sg-1\", \"sg-2\", \"sg-3\", \"sg-4\", \"sg-5\", \"sg-6\"]";
    each_is_refused(&[
        (
            &one("subnets = [\"private\"]"),
            "services.a.ecs.subnets",
            "an id begins with subnet-",
        ),
        (
            &one("subnets = [\"subnet-1\"]\nsecurity_groups = [\"subnet-1\"]"),
            "services.a.ecs.security_groups",
            "an id begins with sg-",
        ),
        (
            &one(&format!("subnets = [\"subnet-1\"]\nsecurity_groups = {five}")),
            "services.a.ecs.security_groups",
            "at most 5",
        ),
        (
            &one("launch = \"fargate\""),
            "services.a.ecs.subnets",
            "in which subnets",
        ),
        (
            &one("security_groups = [\"sg-1\"]"),
            "services.a.ecs.security_groups",
            "in which subnets",
        ),
        (
            &one("assign_public_ip = false"),
            "services.a.ecs.assign_public_ip",
            "in which subnets",
        ),
        (
            &one("assign_public_ip = \"perhaps\""),
            "services.a.ecs.assign_public_ip",
            "expected true or false",
        ),
    ]);
    let config = loaded(&one("subnets = [\"subnet-1\"]\nassign_public_ip = \"DISABLED\""), &[]);
    assert!(!task(&config, "a").assign_public_ip);
}

#[test]
fn ports_of_the_container_and_of_the_host_are_told_apart() {
    each_is_refused(&[
        (&one("port = 0"), "services.a.ecs.port", "0 is no port"),
        (
            &one("port = \"8080\""),
            "services.a.ecs.port",
            "expected a port or a table",
        ),
        (
            &one("port = { kind = \"statc\" }"),
            "services.a.ecs.port.kind",
            "did you mean \"static\"?",
        ),
        (
            &one("port = { knd = \"static\" }"),
            "services.a.ecs.port.knd",
            "did you mean \"kind\"?",
        ),
        (
            &one("port = { range = \"8000-9000\" }"),
            "services.a.ecs.port.range",
            "only with kind = \"static\"",
        ),
        (
            &one("port = 80\ncontainer_port = 81"),
            "services.a.ecs.port",
            "container_port says 81; say it once",
        ),
        (
            &one("launch = \"fargate\"\nsubnets = [\"subnet-1\"]\nport = { kind = \"static\" }"),
            "services.a.ecs.port",
            "no port of a host to lease",
        ),
        (
            &one(
                "port = { kind = \"static\" }\n[services.b]\nport.kind = \"static\"\necs = { cluster = \"c\", task_definition = \"t\" }",
            ),
            "services.b.port.range",
            "shares ports with 8000-9000 of services.a.ecs.port",
        ),
    ]);
    let config = loaded(&one("port = { kind = \"static\" }\ncontainer_port = 80"), &[]);
    assert_eq!(
        service(&config, "a").port,
        PortRule::Static {
            first: 8000,
            last: 9000
        }
    );
    assert_eq!(task(&config, "a").port, Some(80));
    // The hosts' range is not this machine's.
    let config = loaded(&one("port = { kind = \"static\", range = \"33000-33999\" }"), &[]);
    assert_eq!(
        service(&config, "a").port,
        PortRule::Static {
            first: 33_000,
            last: 33_999
        }
    );
}

#[test]
fn placement_is_a_launch_type_or_capacity_providers() {
    let providers = |text: &str| one(&format!("capacity_providers = {text}"));
    each_is_refused(&[
        (
            &one("launch = \"fargat\""),
            "services.a.ecs.launch",
            "did you mean \"fargate\"?",
        ),
        (
            &one("launch = \"ec2\"\ncapacity_providers = [{ name = \"x\" }]"),
            "services.a.ecs.launch",
            "not both",
        ),
        (
            &providers("[{ weight = 1 }]"),
            "services.a.ecs.capacity_providers",
            "has no name",
        ),
        (
            &providers("[{ name = \"x\", weigth = 1 }]"),
            "services.a.ecs.capacity_providers.weigth",
            "did you mean \"weight\"?",
        ),
        (
            &providers("[{ name = \"x\", weight = 1001 }]"),
            "services.a.ecs.capacity_providers",
            "from 0 to 1000",
        ),
        (
            &providers("[{ name = \"x\", base = 100001 }]"),
            "services.a.ecs.capacity_providers",
            "from 0 to 100000",
        ),
        (
            &providers("[{ name = \"x\", weight = 0 }]"),
            "services.a.ecs.capacity_providers",
            "no task is placed",
        ),
        (
            &providers("[{ name = \"x\", base = 1 }, { name = \"y\", base = 1 }]"),
            "services.a.ecs.capacity_providers",
            "only one capacity provider",
        ),
        (
            &providers("[{ name = \"x\" }, { name = \"x\" }]"),
            "services.a.ecs.capacity_providers",
            "there twice",
        ),
        (
            &providers("[\"FARGATE\"]"),
            "services.a.ecs.capacity_providers",
            "expected a list of tables",
        ),
        (&one("memory = \"1500kB\""), "services.a.ecs.memory", "not whole MiB"),
        (&one("memory = 1"), "services.a.ecs.memory", "is not from"),
    ]);
    // A general variable gives way.
    let config = loaded(&providers("[{ name = \"x\" }]"), &[("LAUNCH_TYPE", "EC2")]);
    assert!(matches!(task(&config, "a").launch, Launch::CapacityProviders(_)));
}

#[test]
fn target_groups_are_whole_and_nobody_elses() {
    let route = |text: &str| one(&format!("route = {{ {text} }}"));
    let groups = |more: &str| route(&format!("kind = \"target_groups\", arns = [\"{ARN}\"]{more}"));
    let listener = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/all/1/2";
    each_is_refused(&[
        (
            &route("kind = \"target_groups\""),
            "services.a.ecs.route.arns",
            "no target group is named; add arns = [\"arn:aws:elasticloadbalancing:…\"], or set A_TARGET_GROUP_ARN or TARGET_GROUP_ARN",
        ),
        (
            &route("kind = \"target_groups\", arns = [\"some\"]"),
            "services.a.ecs.route.arns",
            "not the ARN of a target group",
        ),
        (
            &route(&format!("kind = \"target_groups\", arns = [\"{ARN}\", \"{ARN}\"]")),
            "services.a.ecs.route.arns",
            "there twice",
        ),
        (
            &route(&format!("kind = \"direct\", arns = [\"{ARN}\"]")),
            "services.a.ecs.route.arns",
            "only with kind = \"target_groups\"",
        ),
        (
            &groups(", url = \"http://{ip}\""),
            "services.a.ecs.route.url",
            "not the address of a page",
        ),
        (
            &groups(&format!(", rule = {{ listener = \"{listener}\" }}")),
            "services.a.ecs.route.rule",
            "take every request",
        ),
        (
            &groups(", rule = { path = \"/x\" }"),
            "services.a.ecs.route.rule.listener",
            "is missing",
        ),
        (
            &groups(", rule = { listener = \"all\", path = \"/x\" }"),
            "services.a.ecs.route.rule.listener",
            "not the ARN of a listener",
        ),
        (
            &groups(&format!(", rule = {{ listener = \"{listener}\", path = \"x\" }}")),
            "services.a.ecs.route.rule.path",
            "begin with /",
        ),
        (
            &route(&format!(
                "kind = \"direct\", rule = {{ listener = \"{listener}\", path = \"/x\" }}"
            )),
            "services.a.ecs.route.rule",
            "only with kind = \"target_groups\"",
        ),
        (
            &format!(
                "{}\n[services.b.ecs]\ncluster = \"c\"\ntask_definition = \"t\"\nroute = {{ kind = \"target_groups\", arns = [\"{ARN}\"] }}",
                groups("")
            ),
            "services.b.ecs.route.arns",
            "that of services.a as well",
        ),
        (
            &groups("").replace("[services.a.ecs]", "[services.a]\ntenant = true\n[services.a.ecs]"),
            "services.a.ecs.route.kind",
            "all tenants one address",
        ),
    ]);
}

#[test]
fn a_port_that_is_not_known_before_the_start_is_not_filled_in() {
    each_is_refused(&[
        (
            &one("command = [\"--port\", \"{port}\"]"),
            "services.a.ecs.command.1",
            "only where it is static",
        ),
        (
            &one("command = [\"{prot}\"]"),
            "services.a.ecs.command.0",
            "did you mean {port}?",
        ),
        (
            &one("").replace(
                "[services.a.ecs]",
                "[services.a]\nenvironment = { A = \"{port}\" }\n[services.a.ecs]",
            ),
            "services.a.environment.A",
            "only where it is static",
        ),
    ]);
    loaded(&one("port = { kind = \"static\" }\ncommand = [\"{port}\"]"), &[]);
}

#[test]
fn a_variable_with_a_services_name_outranks_the_file() {
    let environment = [
        ("AUTH_CLUSTER", "blue"),
        ("AUTH_TASK_DEF", "auth:9"),
        ("AUTH_SUBNETS", "subnet-8, subnet-9"),
        ("AUTH_SECURITY_GROUPS", "sg-9"),
        ("AUTH_TARGET_GROUP_ARN", ARN),
        ("USERS_TARGET_GROUP_ARN", ARN),
    ];
    let config = loaded(FIVE, &environment[..5]);
    let auth = task(&config, "auth");
    assert_eq!(
        (auth.cluster.as_str(), auth.task_definition.as_str()),
        ("blue", "auth:9")
    );
    assert_eq!(auth.subnets, ["subnet-8", "subnet-9"]);
    assert_eq!(auth.security_groups, ["sg-9"]);
    let RouteRule::TargetGroups { arns, rule, .. } = &service(&config, "auth").route else {
        panic!("target groups")
    };
    assert_eq!(
        (arns.as_slice(), rule.is_some()),
        (&[ARN.to_owned()][..], true),
        "the rule is the file's"
    );
    assert_eq!(source(&config, "services.auth.ecs.cluster"), variable("AUTH_CLUSTER"));
    assert_eq!(task(&config, "pdf").cluster, "pdf-cluster");

    // It makes target groups of whatever the file has.
    let config = loaded(FIVE, &environment[5..]);
    assert_eq!(
        service(&config, "users").route,
        RouteRule::TargetGroups {
            arns: vec![ARN.into()],
            rule: None,
            url: None
        }
    );
    assert_eq!(
        source(&config, "services.users.ecs.route.kind"),
        variable("USERS_TARGET_GROUP_ARN")
    );
}

#[test]
fn a_general_variable_fills_in_what_a_section_leaves_out_and_moves_nothing() {
    let environment = [
        ("ECS_CLUSTER", "general"),
        ("TASK_DEFINITION", "general"),
        ("SUBNETS", "subnet-7"),
        ("SECURITY_GROUPS", "sg-7"),
        ("CONTAINER_PORT", "7000"),
        ("ASSIGN_PUBLIC_IP", "DISABLED"),
        ("EC2_IP", "192.0.2.9"),
        ("LAUNCH_TYPE", "EXTERNAL"),
    ];
    let config = loaded(FIVE, &environment);
    assert_eq!(
        config.services.len(),
        5,
        "variables describe no service beside those of the file"
    );
    let clusters: Vec<_> = ["auth", "batch", "fa", "pdf"]
        .map(|name| task(&config, name).cluster.as_str())
        .into();
    assert_eq!(clusters, ["auth-cluster", "batch-cluster", "fa-cluster", "pdf-cluster"]);
    assert_eq!(task(&config, "auth").subnets, ["subnet-1", "subnet-2"]);
    assert_eq!(task(&config, "fa").subnets, ["subnet-7"]);
    assert_eq!(
        (task(&config, "fa").port, task(&config, "pdf").port),
        (Some(2531), Some(9080))
    );
    assert_eq!(task(&config, "users").port, Some(7000));
    assert_eq!(task(&config, "users").host_address, Some(IpAddr::from([192, 0, 2, 9])));
    assert_eq!(task(&config, "batch").host_address, Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(
        (&task(&config, "fa").launch, &task(&config, "auth").launch),
        (&Launch::Ec2, &Launch::External)
    );
    assert_eq!(
        source(&config, "services.users.ecs.container_port"),
        variable("CONTAINER_PORT")
    );
    let short = config.explain("services.fa.ecs.container_port").expect("known");
    assert_eq!(short.value.as_deref(), Some("2531"));
    assert_eq!(short.note.as_deref(), Some("services.fa.ecs.port says it"));
}

#[test]
fn a_general_target_group_is_for_services_that_say_nothing_of_their_route() {
    let file = "platform.kind = \"ecs\"
        [services.a.ecs]\n[services.b]\nroute = { kind = \"direct\" }\necs = {}\n[services.c]\ntenant = true\necs = {}";
    let environment = [
        ("CLUSTER_NAME", "c"),
        ("TASK_DEFINITION", "t"),
        ("TARGET_GROUP_ARN", ARN),
        ("DEFAULT_TARGET_GROUP_ARN", "arn:aws:elasticloadbalancing:x"),
    ];
    let config = loaded(file, &environment);
    let groups = RouteRule::TargetGroups {
        arns: vec![ARN.into()],
        rule: None,
        url: None,
    };
    assert_eq!(service(&config, "a").route, groups);
    assert_eq!(
        service(&config, "b").route,
        RouteRule::Direct {
            url: "http://{ip}:{port}".into()
        }
    );
    assert_eq!(service(&config, "c").route, RouteRule::Host);
    assert_eq!(
        source(&config, "services.a.ecs.route.arns"),
        variable("TARGET_GROUP_ARN")
    );
    assert!(
        config
            .explain("services.b.ecs.route.arns")
            .expect("known")
            .value
            .is_none()
    );

    let two = "platform.kind = \"ecs\"\n[services.a.ecs]\n[services.b.ecs]";
    let problems = load_with(two, &environment, &Overrides::default()).expect_err("one for both");
    assert!(
        problems.to_string().contains("that of services.a as well"),
        "{problems}"
    );
}

#[test]
fn a_service_without_a_section_runs_with_what_the_environment_says() {
    let file = "platform.kind = \"ecs\"\n[services.auth]\nstart_timeout = \"2m\"\n[services.pdf]";
    let environment = [
        ("ECS_CLUSTER", "c"),
        ("AUTH_TASK_DEF", "auth"),
        ("WHARF_SERVICES_PDF_ECS_TASK_DEFINITION", "pdf"),
    ];
    let config = loaded(file, &environment);
    assert_eq!(task(&config, "auth").task_definition, "auth");
    assert_eq!(
        (
            task(&config, "pdf").task_definition.as_str(),
            task(&config, "pdf").cluster.as_str()
        ),
        ("pdf", "c")
    );
    assert_eq!(
        source(&config, "services.pdf.ecs.task_definition"),
        variable("WHARF_SERVICES_PDF_ECS_TASK_DEFINITION")
    );
}

#[test]
fn variables_of_ecs_mean_nothing_on_another_platform() {
    let file = "[services.a]\nprocess = { command = [\"./a\"] }\necs = { cluster = \"c\" }";
    let environment = [
        ("ECS_CLUSTER", "general"),
        ("A_CLUSTER", "own"),
        ("CONTAINER_PORT", "no port"),
        ("TARGET_GROUP_ARN", ARN),
    ];
    let config = loaded(file, &environment);
    assert_eq!(
        config
            .explain("services.a.ecs.cluster")
            .expect("known")
            .value
            .as_deref(),
        Some("\"c\"")
    );
    assert_eq!(service(&config, "a").route, RouteRule::Path { prefix: "/a".into() });
    assert_eq!(config.events.template, None);
}

#[test]
fn wharfs_own_variables_outrank_the_file() {
    let file = "platform.kind = \"ecs\"\n[registry]\nports_table = \"a-ports\"\nusers_table = \"users\"\n[aws]\npoll_interval = \"9s\"\nqueue_url = \"a\"";
    let environment = [
        ("TABLE_NAME", "b-ports"),
        ("REGISTRY_TABLE_NAME", "Registry"),
        ("TASK_POLL_INTERVAL", "7"),
        ("WHARF_QUEUE_URL", "b"),
        ("RESEND_API_KEY", "re_secret"),
    ];
    let config = loaded(file, &environment);
    assert_eq!(config.registry.ports_table.as_str(), "b-ports");
    assert_eq!(config.registry.users_table.as_str(), "Registry");
    assert_eq!(config.aws.poll_interval, Duration::from_secs(7));
    assert_eq!(config.aws.queue_url.as_deref(), Some("b"));
    assert_eq!(source(&config, "registry.ports_table"), variable("TABLE_NAME"));
    assert_eq!(config.mail.kind, MailKind::Resend);
    assert_eq!(
        config.mail.resend_api_key.as_ref().map(Secret::expose),
        Some("re_secret")
    );
}

#[test]
fn a_secret_is_shown_nowhere() {
    let config = loaded("", &[("RESEND_API_KEY", "re_secret")]);
    let explained = config.explain("mail.resend_api_key").expect("known");
    assert_eq!(explained.source, variable("RESEND_API_KEY"));
    let everything = [
        explained.to_string(),
        serde_json::to_string(&explained).expect("JSON"),
        serde_json::to_string(&config).expect("JSON"),
        format!("{config:?}"),
    ];
    assert!(everything.iter().all(|text| !text.contains("re_secret")), "{explained}");
    let problems = load("mail.resend_api_key = \"re_secret\"")
        .expect_err("not in a file")
        .to_string();
    assert!(
        problems.contains("does not belong in the file") && !problems.contains("re_secret"),
        "{problems}"
    );
}

#[test]
fn mails_go_to_resend_where_there_is_a_key_for_it() {
    let kind = |text: &str, environment: &[(&str, &str)]| loaded(text, environment).mail.kind;
    let key = [("RESEND_API_KEY", "re_secret")];
    assert_eq!(
        kind("", &key),
        MailKind::Folder,
        "a shell that has a key sends no mail from a desk"
    );
    assert_eq!(kind("mail.kind = \"resend\"", &key), MailKind::Resend);
    assert_eq!(kind("platform.kind = \"ecs\"", &[]), MailKind::Folder);
    assert_eq!(kind("platform.kind = \"ecs\"", &key), MailKind::Resend);
    assert_eq!(
        kind("platform.kind = \"ecs\"\naws.resend_secret = \"wharf/resend\"", &[]),
        MailKind::Resend
    );
    each_is_refused(&[("mail.kind = \"resend\"", "mail.kind", "no API key")]);
}

#[test]
fn an_event_that_names_no_service_starts_the_default_one() {
    let base = one("");
    let chosen = |text: &str| loaded(text, &[]).events.default_service.map(|name| name.to_string());
    assert_eq!(chosen(&base), None);
    assert_eq!(
        chosen(&format!("events.default_service = \"a\"\n{base}")).as_deref(),
        Some("a")
    );
    assert_eq!(
        chosen(&base.replace("services.a.ecs", "services.default.ecs")).as_deref(),
        Some("default")
    );
    each_is_refused(&[
        (
            &format!("events.default_service = \"b\"\n{base}"),
            "events.default_service",
            "choose one of: a",
        ),
        (
            &format!(
                "events.default_service = \"a\"\n{}",
                base.replace("[services.a.ecs]", "[services.a]\ntenant = true\n[services.a.ecs]")
            ),
            "events.default_service",
            "is for tenants",
        ),
        ("events.allow = [\"x\"]", "events.allow", "expected a section"),
    ]);
}

#[test]
fn an_event_that_says_everything_itself_has_something_to_be_laid_over() {
    let config = loaded(&one(""), &[("SUBNETS", "subnet-1")]);
    let template = config.events.template.as_ref().expect("on ECS");
    let RunSpec::Ecs(task) = &template.run else {
        panic!("on ECS")
    };
    assert_eq!((task.cluster.as_str(), task.task_definition.as_str()), ("", ""));
    assert_eq!(task.subnets, ["subnet-1"]);
    assert_eq!(
        template.route,
        RouteRule::Direct {
            url: "http://{ip}:{port}".into()
        }
    );
    assert!(config.services.keys().all(|name| name.as_str() != "default"));
    assert!(
        config
            .explanations()
            .all(|explanation| !explanation.key.starts_with("services.default"))
    );
}
