//! Where values come from, what outranks what, and what `explain` says of it.

use crate::common::{load, load_with};
use wharf_config::{LogLevel, Overrides, Source};
use wharf_domain::Code;

#[test]
fn an_option_outranks_the_environment_which_outranks_the_file() {
    let file = "server.listen = \"127.0.0.1:1001\"";
    let environment = [("WHARF_SERVER_LISTEN", "127.0.0.1:1002")];
    let option = Overrides {
        listen: Some("127.0.0.1:1003".into()),
        ..Overrides::default()
    };
    let explain = |environment: &[(&str, &str)], overrides: &Overrides, file: &str| {
        let config = load_with(file, environment, overrides).expect("fine");
        let explanation = config.explain("server.listen").expect("known");
        assert_eq!(explanation.value, Some(format!("\"{}\"", config.server.listen)));
        (config.server.listen.port(), explanation.source)
    };
    assert_eq!(explain(&[], &Overrides::default(), ""), (8080, Source::Default));
    let in_file = Source::File {
        file: "wharf.toml".into(),
        line: 1,
        column: 17,
    };
    assert_eq!(explain(&[], &Overrides::default(), file), (1001, in_file));
    let variable = Source::Environment {
        variable: "WHARF_SERVER_LISTEN".into(),
    };
    assert_eq!(explain(&environment, &Overrides::default(), file), (1002, variable));
    assert_eq!(
        explain(&environment, &option, file),
        (
            1003,
            Source::Flag {
                flag: "--listen".into()
            }
        )
    );
}

#[test]
fn the_documented_variables_are_honoured() {
    let level = |environment: &[(&str, &str)]| {
        load_with("log.level = \"error\"", environment, &Overrides::default())
            .expect("fine")
            .log
            .level
    };
    assert_eq!(level(&[]), LogLevel::Error);
    assert_eq!(level(&[("LOG_LEVEL", "INFO")]), LogLevel::Info);
    assert_eq!(level(&[("LOG_LEVEL", "WARNING")]), LogLevel::Warn);
    assert_eq!(
        level(&[("LOG_LEVEL", "INFO"), ("WHARF_LOG_LEVEL", "trace")]),
        LogLevel::Trace
    );
    assert_eq!(
        level(&[("LOG_LEVEL", "")]),
        LogLevel::Error,
        "an empty variable is none"
    );

    let services =
        "[services.a.process]\ncommand = [\"a\"]\n[services.b]\nstart_timeout = \"7s\"\nprocess.command = [\"b\"]";
    let config = load_with(services, &[("TASK_WAIT_TIMEOUT", "120")], &Overrides::default()).expect("fine");
    let seconds = |name: &str| config.services[&name.parse().expect("a name")].start_timeout.as_secs();
    assert_eq!(
        (seconds("a"), seconds("b"), seconds("storefront")),
        (120, 7, 60),
        "it is the default of services that set none"
    );
    let source = config.explain("services.a.start_timeout").expect("known").source;
    assert_eq!(
        source,
        Source::Environment {
            variable: "TASK_WAIT_TIMEOUT".into()
        }
    );
    assert_eq!(
        config
            .explain("services.storefront.start_timeout")
            .expect("known")
            .source,
        Source::BuiltIn
    );
}

#[test]
fn a_variable_is_named_after_its_key() {
    let services = "[services.my-app.process]\ncommand = [\"a\"]";
    let environment = [
        ("WHARF_SERVICES_MY_APP_SINGLETON", "yes"),
        ("WHARF_SERVICES_MY_APP_PROCESS_MEMORY", "64MiB"),
        ("WHARF_SERVER_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
        ("WHARF_SERVER_MAX_INSTANCES", "7"),
    ];
    let config =
        load_with(services, &environment, &Overrides::default()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.services[&"my-app".parse().expect("a name")].singleton);
    assert_eq!(
        config
            .explain("services.my-app.process.memory")
            .expect("known")
            .value
            .as_deref(),
        Some("\"64MiB\"")
    );
    assert_eq!(config.server.max_instances, 7);
    assert!(config.server.trusts_proxy("10.9.8.7".parse().expect("an address")));
    assert!(
        config
            .server
            .trusts_proxy("::ffff:127.0.0.1".parse().expect("an address"))
    );
    assert!(!config.server.trusts_proxy("192.0.2.1".parse().expect("an address")));
}

#[test]
fn a_mistyped_variable_is_refused_and_a_strange_one_is_not() {
    let problems = |name: &str| match load_with("", &[(name, "7")], &Overrides::default()) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    };
    assert_eq!(
        problems("WHARF_SERVER_LISTN"),
        "environment WHARF_SERVER_LISTN: server.listen: unknown variable; did you mean WHARF_SERVER_LISTEN?"
    );
    for strange in [
        "WHARF_SERVER_PORT",
        "WHARF_SERVER_SERVICE_HOST",
        "WHARF_PORT_8080_TCP",
        "WHARF_TOKEN",
        "WHARF_INSTANCE_ID",
        "WHARF_",
    ] {
        assert_eq!(problems(strange), "", "{strange}: a container platform may set it");
    }
    let wrong = problems("WHARF_SERVER_LISTEN");
    assert!(
        wrong.starts_with("environment WHARF_SERVER_LISTEN: server.listen: \"7\" is not an IP address"),
        "{wrong}"
    );
    let only_in_file = problems("WHARF_SERVICES_STOREFRONT_PROCESS_COMMAND");
    assert!(only_in_file.contains("only in the file"), "{only_in_file}");
}

#[test]
fn a_variable_that_means_two_keys_is_refused() {
    let services = "[services.a.process]\ncommand = [\"a\"]\n[services.a-process]\nprocess.command = [\"b\"]\n[services.a-port]\nprocess.command = [\"b\"]\n";
    assert!(load(services).is_ok(), "as long as it is not set");
    let two = "[services.a-b.process]\ncommand = [\"a\"]\nport.kind = \"dynamic\"\n[services.a-b-process]\nprocess.command = [\"b\"]";
    let environment = [("WHARF_SERVICES_A_B_PROCESS_PORT_KIND", "static")];
    let problems = load_with(two, &environment, &Overrides::default()).expect_err("it means both");
    assert!(problems.to_string().contains("as well"), "{problems}");
}

#[test]
fn a_wrong_value_is_wrong_also_where_it_is_outranked() {
    let option = Overrides {
        listen: Some("127.0.0.1:0".into()),
        ..Overrides::default()
    };
    let problems = load_with("server.listen = \"nowhere\"", &[], &option).expect_err("the file is wrong");
    assert!(
        problems.to_string().starts_with("wharf.toml:1:17: server.listen: "),
        "{problems}"
    );
}

#[test]
fn an_explanation_says_it_all() {
    let config = load("[heal]\nwithin = \"5m\"\n").expect("fine");
    insta::assert_snapshot!(config.explain("heal.within").expect("known"), @r#"
    heal.within = "5m"
      from     wharf.toml:2:10
      default  "10m"
      type     a duration, from "1s" to "30d"
      also     WHARF_HEAL_WITHIN

    The time in which crashes are counted.
    "#);
    insta::assert_json_snapshot!(config.explain("server.public_url").expect("known"));
}

#[test]
fn what_cannot_be_explained_is_answered_with_the_nearest() {
    let config = load("[services.auth.process]\ncommand = [\"a\"]").expect("fine");
    let cases = [
        ("server.lisen", "did you mean server.listen?"),
        ("listen", "did you mean server.listen?"),
        ("services.auht.tenant", "did you mean services.auth.tenant?"),
        ("server", "name one of its keys: body_limit, connections_per_address"),
        ("services", "name one of its keys: auth.database"),
        ("nonsense", "docs/configuration.md has all of them"),
        ("", "docs/configuration.md has all of them"),
    ];
    for (key, hint) in cases {
        let failure = config.explain(key).expect_err(key);
        assert_eq!(failure.code, Code::ConfigInvalid);
        assert!(
            failure.hint.as_deref().is_some_and(|given| given.starts_with(hint)),
            "{key}: {failure:?}"
        );
    }
    let absent = config
        .explain("services.auth.docker.image")
        .expect("known, though there is none");
    assert_eq!((absent.value, absent.source), (None, Source::Default));
    assert!(
        config
            .explain("services.NAME.port.kind")
            .expect("of every service")
            .doc
            .contains("static")
    );
}
