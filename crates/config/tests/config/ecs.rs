//! Services on ECS: what their section comes to, and what is refused of it.

use crate::common::{
    FIVE, GROUP as ARN, each_is_refused, load, load_with, loaded, one, problems, service, source, task, variable,
};
use std::{net::IpAddr, time::Duration};
use wharf_config::{DatabaseKind, Overrides, PlatformKind, RegistryKind, Source};
use wharf_domain::{
    Code, ServiceName,
    service::{CapacityProvider, EcsTask, Launch, ListenerRule, PortRule, RouteRule, RunSpec, SecretsAs},
};

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
    assert_eq!(config.registry.deployment.as_str(), "wharf");
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
fn a_secret_tells_of_the_database_server_on_aws_and_nowhere_else() {
    let secret = "[aws]\npostgres_secret = \"wharf/postgres\"\n";
    let service = "[services.a]\ndatabase = true\necs = { cluster = \"c\", task_definition = \"t\" }\nprocess = { command = [\"./a\"] }\n";
    let kind = |platform: &str| {
        let file = format!("platform.kind = \"{platform}\"\n{service}{secret}");
        load(&file)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .databases
            .kind
    };
    assert_eq!(kind("ecs"), DatabaseKind::Postgres);
    assert_eq!(kind("process"), DatabaseKind::Files);
    each_is_refused(&[(
        &format!("platform.kind = \"ecs\"\n{service}[databases]\nkind = \"postgres\"\n"),
        "databases.kind",
        "name a secret that holds the URL as postgres_secret",
    )]);
}

#[test]
fn a_port_rests_until_what_came_late_is_found() {
    let with = |more: &str| format!("{}\n{more}", one(""));
    each_is_refused(&[
        (
            &with("[ports]\nquarantine = \"14m\""),
            "ports.quarantine",
            "\"14m\" is too short: a call to AWS may take effect \"5m\" late, and be found by repair \"10m\" after that",
        ),
        (
            &with("[ports]\nquarantine = \"4m\"\n[repair]\ninterval = \"off\""),
            "ports.quarantine",
            "make it \"5m\" or longer",
        ),
        (
            &with("[ports]\ndirect_quarantine = \"0s\""),
            "ports.direct_quarantine",
            "make it \"15m\" or longer",
        ),
        (
            &with("[repair]\ninterval = \"1h\""),
            "ports.quarantine",
            "make it \"1h5m\" or longer",
        ),
    ]);
    for well in [
        "[ports]\nquarantine = \"15m\"",
        "[ports]\nquarantine = \"6m\"\n[repair]\ninterval = \"1m\"",
        "[ports]\nquarantine = \"5m\"\n[repair]\ninterval = \"off\"",
    ] {
        assert_eq!(problems(&with(well)), Vec::<String>::new(), "{well}");
    }
    let here = "[ports]\nquarantine = \"0s\"\n[services.a]\nprocess = { command = [\"./a\"] }";
    assert_eq!(
        problems(here),
        Vec::<String>::new(),
        "on one machine nothing comes late"
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
