//! The documented variables: what they set, what they outrank, and that no secret of theirs is shown. Then mail and events, which they decide on.

use crate::common::{
    FIVE, GROUP as ARN, each_is_refused, load, load_with, loaded, one, service, source, task, variable,
};
use std::{net::IpAddr, time::Duration};
use wharf_config::{MailKind, Overrides, Secret};
use wharf_domain::service::{Launch, RouteRule, RunSpec};

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

    assert!(
        config.services.keys().all(|name| name.as_str() != "default"),
        "the group is taken"
    );
    let named = "platform.kind = \"ecs\"\n[services.b]\nroute = { kind = \"direct\" }\necs = {}";
    let config = loaded(named, &environment);
    assert_eq!(service(&config, "default").route, groups, "nobody else has it");

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
    let file = "platform.kind = \"ecs\"\n[registry]\nports_table = \"a-ports\"\nusers_table = \"users\"\n[aws]\npoll_interval = \"9s\"\nqueue_url = \"https://a\"";
    let environment = [
        ("TABLE_NAME", "b-ports"),
        ("REGISTRY_TABLE_NAME", "Registry"),
        ("TASK_POLL_INTERVAL", "7"),
        ("WHARF_QUEUE_URL", "https://b/1/wakes"),
        ("WHARF_DEPLOYMENT", "shop-dev"),
        ("RESEND_API_KEY", "re_secret"),
    ];
    let config = loaded(file, &environment);
    assert_eq!(config.registry.ports_table.as_str(), "b-ports");
    assert_eq!(config.registry.users_table.as_str(), "Registry");
    assert_eq!(config.registry.deployment.as_str(), "shop-dev");
    assert_eq!(config.aws.poll_interval, Duration::from_secs(7));
    assert_eq!(config.aws.queue_url.as_deref(), Some("https://b/1/wakes"));
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

#[test]
fn the_registry_and_the_queue_fit_the_platform() {
    each_is_refused(&[
        (
            "registry.kind = \"dynamodb\"",
            "registry.kind",
            "processes belong to this machine",
        ),
        (
            &format!("aws.queue_url = \"wharf-wakes\"\n{}", one("")),
            "aws.queue_url",
            "not the URL of a queue",
        ),
        (
            &format!("aws.share = 1.5\n{}", one("")),
            "aws.share",
            "not a share from 0.01 to 1.0",
        ),
        (
            &format!("registry.table = \"a b\"\n{}", one("")),
            "registry.table",
            "not the name of a table",
        ),
        (
            &format!("registry.deployment = \"Shop\"\n{}", one("")),
            "registry.deployment",
            "not the name of a deployment",
        ),
    ]);
    assert_eq!(
        loaded("aws.share = 1", &[]).aws,
        loaded("", &[]).aws,
        "a whole is a share too"
    );
}
