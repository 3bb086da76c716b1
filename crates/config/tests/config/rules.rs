//! Each rule between settings, by a file that breaks it and by one that just does not.

use crate::common::{load, load_with, machine, problems};
use std::{collections::BTreeMap, path::Path};
use wharf_config::{Config, Machine, Overrides, PortRange};
use wharf_domain::{Code, Failure, service::PortRule, service::RouteRule, service::RunSpec};

const COMMAND: &str = "process = { command = [\"./x\"] }";

/// Each text has exactly the one problem that is given by its key and a part of its line.
#[track_caller]
fn each_is_refused(cases: &[(&str, &str, &str)]) {
    for (text, key, part) in cases {
        let text = text.replace("COMMAND", COMMAND);
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
        assert!(
            problems[0].contains(&format!("{key}: ")) && problems[0].contains(part),
            "{text}\n{}",
            problems[0]
        );
    }
}

#[track_caller]
fn each_is_fine(cases: &[&str]) {
    for text in cases {
        assert_eq!(
            problems(&text.replace("COMMAND", COMMAND)),
            Vec::<String>::new(),
            "{text}"
        );
    }
}

#[test]
fn only_containers_on_docker_are_started_ahead() {
    each_is_refused(&[(
        "[services.a]\nwarm = 1\nCOMMAND",
        "services.a.warm",
        "the platform in force is process",
    )]);
    each_is_fine(&[
        "[services.a]\nwarm = 0\nCOMMAND",
        "platform.kind = \"docker\"\n[services.a]\nwarm = 2\ndocker = { image = \"a\", container_port = 80, command = [\"--port={port}\"] }",
    ]);
}

#[test]
fn a_service_on_docker_says_what_it_takes_to_run_it() {
    const ON_DOCKER: &str = "platform.kind = \"docker\"\n";
    let cases = [
        (
            "[services.a]",
            "services.a",
            "no section for the platform in force, docker",
        ),
        (
            "[services.a.docker]\ncontainer_port = 80",
            "services.a.docker.image",
            "no image",
        ),
        (
            "[services.a]\ndatabase = true\ndocker = { image = \"a\" }",
            "services.a.database",
            "no database server",
        ),
        (
            "[services.a.docker]\nimage = \"a\"\ncommand = [\"--port={port}\"]",
            "services.a.docker.command.0",
            "container_port",
        ),
        (
            "[services.a]\nenvironment = { LISTEN = \"0.0.0.0:{port}\" }\ndocker = { image = \"a\" }",
            "services.a.environment.LISTEN",
            "container_port",
        ),
        (
            "[services.a.docker]\nimage = \"a\"\nloosen = [\"root\"]",
            "services.a.docker.loosen",
            "none of capabilities",
        ),
        (
            "[services.a.docker]\nimage = \"a\"\ncapabilities = [\"ALL\"]",
            "services.a.docker.capabilities",
            "not the name of one capability",
        ),
        (
            "[services.a.docker]\nimage = \"a\"\ntmpfs = [\"tmp\"]",
            "services.a.docker.tmpfs",
            "absolute path",
        ),
        (
            "[services.a.docker]\nimage = \"a\"\nmemory = \"1MiB\"",
            "services.a.docker.memory",
            "6MiB",
        ),
        (
            "[services.a]\nwarm = 1\nport = { kind = \"static\", range = \"9000-9001\" }\ndocker = { image = \"a\" }",
            "services.a.warm",
            "a static port",
        ),
        (
            "[services.a]\ntenant = true\nwarm = 1\ndocker = { image = \"a\", command = [\"--of={subdomain}\"] }",
            "services.a.warm",
            "{subdomain} is not known",
        ),
        ("docker.subnet = \"fd00::/64\"", "docker.subnet", "IPv4"),
        ("docker.subnet = \"10.0.0.0/30\"", "docker.subnet", "hardly any"),
        (
            "registry.kind = \"dynamodb\"",
            "registry.kind",
            "containers belong to this machine",
        ),
        (
            "server.listen = \"0.0.0.0:8080\"\nserver.console_host = \"wharf.example.com\"\nserver.tenant_domain = \"example.net\"\n\
             [services.a]\ntenant = true\ndocker = { image = \"a\", port = { kind = \"static\" }, \
             route = { kind = \"direct\", url = \"http://{ip}:{port}\" } }",
            "docker.host_address",
            "address of this machine",
        ),
    ];
    for (text, key, words) in cases {
        each_is_refused(&[(&format!("{ON_DOCKER}{text}"), key, words)]);
    }
    each_is_fine(&[
        "platform.kind = \"docker\"\n[services.a]\ntenant = true\n\
         docker = { image = \"a\", container_port = 80, memory = 256, cpu_units = 256, command = [\"--port={port}\"] }",
        "platform.kind = \"docker\"",
    ]);
}

#[test]
fn listening_off_loopback_needs_trust() {
    each_is_refused(&[
        ("server.listen = \"0.0.0.0:8080\"", "server.listen", "--trust-tenants"),
        (
            "server.listen = \"[::]:8080\"",
            "server.listen",
            "processes run as your own user",
        ),
        (
            "server = { listen = \"192.0.2.1:80\", trust_tenants = true }\nsignup.open = true",
            "signup.open",
            "confirm its e-mail address",
        ),
    ]);
    each_is_fine(&[
        "server.listen = \"[::1]:8080\"",
        "server.listen = \"[::ffff:127.0.0.1]:8080\"",
        "server.listen = \"127.8.8.8:0\"",
        "server = { listen = \"0.0.0.0:8080\", trust_tenants = true }",
    ]);
    let failure = Failure::from(load("server.listen = \"0.0.0.0:80\"").expect_err("refused"));
    assert_eq!(failure.code, Code::ListenRefused);
    let config = load("server = { listen = \"0.0.0.0:80\", trust_tenants = true }").expect("trusted");
    assert!(!config.signup.open, "sign-up is closed off loopback by itself");
    let trusted = Overrides {
        trust_tenants: true,
        listen: Some("0.0.0.0:80".into()),
        ..Overrides::default()
    };
    assert!(load_with("", &[], &trusted).is_ok());
}

#[test]
fn console_services_and_tenants_are_three_origins() {
    let off_loopback = |hosts: &str| format!("[server]\nlisten = \"0.0.0.0:80\"\ntrust_tenants = true\n{hosts}");
    let same = "console_host = \"console.example.com\"\ntenant_domain = \"apps.example.com\"";
    let under_suffix = "console_host = \"console.example.co.uk\"\ntenant_domain = \"example.co.uk\"";
    each_is_refused(&[
        (
            "server.services_host = \"localhost\"",
            "server.services_host",
            "the host of the console",
        ),
        (
            &off_loopback(same),
            "server.tenant_domain",
            "share the registrable domain example.com",
        ),
        (&off_loopback(under_suffix), "server.tenant_domain", "example.co.uk"),
        // Whoever has names that others know has a proxy in front.
        (
            &off_loopback(same).replace("0.0.0.0", "127.0.0.1"),
            "server.tenant_domain",
            "share the registrable domain example.com",
        ),
    ]);
    each_is_fine(&[
        "server.console_host = \"console.wharf.test\"\nserver.tenant_domain = \"apps.wharf.test\"",
        &off_loopback("console_host = \"wharf.example.com\"\ntenant_domain = \"example.net\""),
        // Anybody can register below a public suffix, so each tenant is a site of its own there.
        &off_loopback("console_host = \"wharf.github.io\"\ntenant_domain = \"github.io\""),
    ]);
}

#[test]
fn behind_a_proxy_it_is_as_open_as_on_an_address_of_its_own() {
    let proxied = "[server]\nconsole_host = \"wharf.example.com\"\ntenant_domain = \"example.net\"\n";
    let trusted = format!("{proxied}trust_tenants = true\n");
    each_is_refused(&[
        (
            proxied,
            "server.console_host",
            "people elsewhere come to wharf.example.com by a proxy",
        ),
        (
            &format!("{trusted}[signup]\nopen = true"),
            "signup.open",
            "confirm its e-mail address",
        ),
    ]);
    assert!(!load(&trusted).expect("fine").signup.open);
    assert!(load("server.console_host = \"wharf.test\"").expect("fine").signup.open);
}

#[test]
fn hosts_below_the_tenants_domain_are_no_tenants_names() {
    let hosts = "[server]\nconsole_host = \"console.wharf.test\"\nservices_host = \"a.b.wharf.test\"\ntenant_domain = \"wharf.test\"";
    let config = load(&format!("{hosts}\n[names]\nreserved = [\"shop\"]")).expect("fine on loopback");
    let reserved: Vec<_> = config.names.reserved.iter().map(String::as_str).collect();
    assert_eq!(reserved, ["console", "shop"]);
    assert!(config.names.is_reserved(&"shop".parse().expect("a name")));
}

#[test]
fn ranges_of_ports_lie_apart() {
    let two = |first: &str, second: &str| {
        let service = |name: &str, range: &str| {
            format!("[services.{name}]\nport = {{ kind = \"static\", range = \"{range}\" }}\nCOMMAND\n")
        };
        service("a", first) + &service("b", second)
    };
    each_is_refused(&[
        (
            &two("8000-9000", "9000-9100"),
            "services.b.port.range",
            "shares ports with 8000-9000 of services.a.port.range",
        ),
        (
            &two("9000-9100", "8000-9000"),
            "services.a.port.range",
            "of services.b.port.range",
        ),
        (&two("8000-9000", "50000"), "services.b.port.range", "32768-60999"),
        (&two("8000-9000", "1000-1100"), "services.b.port.range", "below 1024"),
        (
            "platform.dynamic_ports = \"30000-40000\"",
            "platform.dynamic_ports",
            "net.ipv4.ip_local_port_range",
        ),
        (
            "platform.dynamic_ports = \"7000-8000\"\n[services.a]\nport.kind = \"static\"\nCOMMAND",
            "services.a.port.range",
            "shares ports with 7000-8000, from which dynamic ports are leased",
        ),
    ]);
    each_is_fine(&[
        &two("8000-8999", "9000-9100"),
        "platform.dynamic_ports = \"10000-20000\"",
    ]);
}

#[test]
fn the_default_of_dynamic_ports_makes_way_for_static_ranges_and_the_system() {
    let config = load(&format!(
        "[services.a]\nport = {{ kind = \"static\", range = \"20000-25000\" }}\n{COMMAND}"
    ))
    .expect("makes way");
    assert_eq!(
        config.ports.dynamic,
        PortRange {
            first: 10_000,
            last: 19_999
        }
    );
    let machine = Machine {
        ip_local_port_range: Some(PortRange {
            first: 1024,
            last: 65_535,
        }),
        ..Machine::default()
    };
    let problems = Config::load(None, &BTreeMap::new(), &Overrides::default(), machine).expect_err("no port is left");
    assert!(problems.to_string().contains("ip_local_port_range"), "{problems}");
}

#[test]
fn a_service_needs_the_section_of_the_platform_and_a_program() {
    each_is_refused(&[
        (
            "[services.a]\necs = { cluster = \"c\" }",
            "services.a",
            "no section for the platform in force, process",
        ),
        (
            "[services.a.process]\nmemory = \"64MiB\"",
            "services.a.process.command",
            "is missing",
        ),
        (
            "[services.a.process]\ncommand = []",
            "services.a.process.command",
            "empty",
        ),
        (
            "[services.a.process]\ncommand = [\" \", \"x\"]",
            "services.a.process.command",
            "no program",
        ),
        (
            "[services.a.process]\ncommand = [\"./{port}\"]",
            "services.a.process.command",
            "could start anything",
        ),
        (
            "[services.a.process]\ncommand = [\"./a\", \"{prot}\"]",
            "services.a.process.command.1",
            "did you mean {port}?",
        ),
        (
            "[services.a.process]\ncommand = [\"./a\", \"-p{app_password}\"]",
            "services.a.process.command.1",
            "read a command line",
        ),
        (
            "[services.a.process]\ncommand = [\"./a\", \"{subdomain}\"]",
            "services.a.process.command.1",
            "set tenant = true",
        ),
        (
            "[services.a.process]\ncommand = [\"./a\", \"x\\u0000\"]",
            "services.a.process.command",
            "zero byte",
        ),
        (
            "[services.a.process]\ncommand = [\"./a\"]\nmemory = \"1kB\"",
            "services.a.process.memory",
            "is not from",
        ),
    ]);
    each_is_fine(&["[services.a.process]\ncommand = [\"sh\", \"-c\", \"exec ./a ${PORT} '{\\\"a\\\": 1}'\"]"]);
}

#[test]
fn what_wharf_gives_to_a_task_is_not_set_by_the_file() {
    let with = |rest: &str| format!("[services.a]\n{rest}\nCOMMAND");
    each_is_refused(&[
        (
            &with("environment = { PORT = \"1\" }"),
            "services.a.environment.PORT",
            "set by Wharf itself",
        ),
        (
            &with("environment = { WHARF_X = \"1\" }"),
            "services.a.environment.WHARF_X",
            "Wharf's own",
        ),
        (
            &with("database = true\nenvironment = { DATABASE_URL = \"x\" }"),
            "services.a.environment.DATABASE_URL",
            "set by Wharf itself",
        ),
        (
            &with("tenant = true\nenvironment = { USER_ID = \"x\" }"),
            "services.a.environment.USER_ID",
            "set by Wharf itself",
        ),
        (
            &with("environment = { A = \"{ip}\" }"),
            "services.a.environment.A",
            "known here",
        ),
        (
            &with("environment = { A = 1 }"),
            "services.a.environment.A",
            "between quotation marks",
        ),
        (
            &with("environment = { \"A B\" = \"1\" }"),
            "services.a.environment.\"A B\"",
            "not a variable's name",
        ),
    ]);
    each_is_fine(&[&with(
        "environment = { DATABASE_URL = \"postgres://elsewhere\", USER_ID = \"x\", A = \"{port} {instance_id}\" }",
    )]);
}

#[test]
fn routes_fit_their_service() {
    let with = |rest: &str| format!("[services.a]\n{rest}\nCOMMAND");
    each_is_refused(&[
        (
            &with("route.kind = \"host\""),
            "services.a.route.kind",
            "this service has no tenants",
        ),
        (
            &with("tenant = true\nroute.kind = \"path\""),
            "services.a.route.kind",
            "all tenants one address",
        ),
        (
            &with("route = { kind = \"direct\", url = \"http://{subdomain}:{port}\" }"),
            "services.a.route.url",
            "set tenant = true",
        ),
        (
            &with("route = { kind = \"direct\", url = \"http://{ip}:{prot}\" }"),
            "services.a.route.url",
            "did you mean {port}?",
        ),
        (
            &with("route = { kind = \"direct\", url = \"{ip}:{port}\" }"),
            "services.a.route.url",
            "not the address of a page",
        ),
        (
            &with("route = { kind = \"direct\", url = \"http://{ip}:8{port}0\" }"),
            "services.a.route.url",
            "not the address of a page",
        ),
        (
            &with("route = { kind = \"direct\", url = \"ftp://{ip}\" }"),
            "services.a.route.url",
            "not the address of a page",
        ),
        (
            &with("route = { kind = \"direct\", url = \"http://a@{ip}\" }"),
            "services.a.route.url",
            "not the address of a page",
        ),
        (
            &with("route = { kind = \"direct\", url = \"http://example.com\" }"),
            "services.a.route.url",
            "the same address",
        ),
        (
            &with("route = { prefix = \"/a\" }"),
            "services.a.route.prefix",
            "only with kind = \"path\"",
        ),
        (
            &with("port = { range = \"8000-9000\" }"),
            "services.a.port.range",
            "only with kind = \"static\"",
        ),
        (
            &with("tenant = true\nsingleton = true"),
            "services.a.singleton",
            "cannot be a singleton",
        ),
        (
            &with("start_timeout = \"1s\"\nhealth.timeout = \"2s\""),
            "services.a.health.timeout",
            "longer than the whole start",
        ),
    ]);
    each_is_fine(&[
        &with("route = { kind = \"direct\" }"),
        &with("tenant = true\nroute = { kind = \"direct\", url = \"https://{subdomain}.{ip}.sslip.io:{port}/x\" }"),
        &with("route = { kind = \"path\", prefix = \"/\" }"),
    ]);
    let route = |text: &str| {
        load(&text.replace("COMMAND", COMMAND))
            .expect(text)
            .services
            .remove(&"a".parse().expect("a name"))
            .expect("a")
            .route
    };
    assert_eq!(route(&with("")), RouteRule::Path { prefix: "/a".into() });
    assert_eq!(route(&with("tenant = true")), RouteRule::Host);
    assert_eq!(
        route(&with("route.kind = \"direct\"")),
        RouteRule::Direct {
            url: "http://{ip}:{port}".into()
        }
    );
}

#[test]
fn only_who_is_seen_to_be_unused_can_be_put_to_sleep() {
    let with = |text: &str| format!("[services.a]\nCOMMAND\n{text}");
    each_is_refused(&[
        (
            &with("sleep_after = \"30m\"\nroute = { kind = \"direct\" }"),
            "services.a.sleep_after",
            "cannot be seen to be unused",
        ),
        (&with("sleep_after = \"10ms\""), "services.a.sleep_after", "1s"),
        (
            &with("sleep_after = \"30m\"\nsleep = \"doze\""),
            "services.a.sleep",
            "one of stop, pause",
        ),
        (
            "platform.kind = \"ecs\"\n[services.a]\ntenant = true\nsleep_after = \"30m\"\n[services.a.ecs]\ncluster = \"c\"\ntask_definition = \"t\"\nport = 80\nsubnets = [\"subnet-a\"]\nsecurity_groups = [\"sg-a\"]",
            "services.a.sleep_after",
            "on ECS is not put to sleep",
        ),
    ]);
    each_is_fine(&[
        &with("sleep_after = \"30m\""),
        &with("tenant = true\nsleep_after = \"1s\"\nsleep = \"pause\""),
    ]);
}

#[test]
fn no_two_services_have_one_prefix() {
    let two = |a: &str, b: &str| {
        format!("[services.a]\nroute = {{ kind = \"path\", prefix = \"{a}\" }}\nCOMMAND\n[services.b]\n{b}\nCOMMAND")
    };
    each_is_refused(&[
        (
            &two("/api", "route = { kind = \"path\", prefix = \"/api\" }"),
            "services.b.route.prefix",
            "that of services.a as well",
        ),
        (&two("/b", ""), "services.b.route.prefix", "that of services.a as well"),
    ]);
    each_is_fine(&[&two("/api", "route = { kind = \"path\", prefix = \"/api/auth\" }")]);
}

#[test]
fn a_sign_up_gets_one_certain_service() {
    let chosen = |text: &str| {
        load(&text.replace("COMMAND", COMMAND))
            .expect(text)
            .tenant_service
            .map(|name| name.to_string())
    };
    assert_eq!(
        chosen("[services.shop]\ntenant = true\nCOMMAND").as_deref(),
        Some("shop"),
        "the built-in one makes way"
    );
    assert_eq!(chosen("[services.auth]\nCOMMAND").as_deref(), Some("storefront"));
    assert_eq!(
        chosen("[services.storefront]\nCOMMAND"),
        None,
        "the file's own takes its place as a whole"
    );
    let two =
        "[services.shop]\ntenant = true\nCOMMAND\n[services.blog]\ntenant = true\nCOMMAND\n[services.auth]\nCOMMAND\n";
    assert_eq!(
        chosen(&format!("signup.service = \"blog\"\n{two}")).as_deref(),
        Some("blog")
    );
    each_is_refused(&[
        (two, "signup.service", "several services are for tenants: blog, shop"),
        (
            &format!("signup.service = \"auth\"\n{two}"),
            "signup.service",
            "is not for tenants",
        ),
        (
            &format!("signup.service = \"news\"\n{two}"),
            "signup.service",
            "choose one of: blog, shop",
        ),
    ]);
}

#[test]
fn the_platforms_section_stands_in_place_of_the_services() {
    let text = "[services.a]\nport = { kind = \"static\", range = \"7000-7009\" }\nhealth = { path = \"/general\", interval = \"9s\" }
        [services.a.process]\ncommand = [\"./a\"]\nport = { kind = \"dynamic\" }\nhealth = { path = \"/own\" }
        [services.a.docker]\nimage = \"a\"\nport = { kind = \"static\", range = \"7100-7200\" }";
    let config = load(text).unwrap_or_else(|problems| panic!("{problems}"));
    let service = &config.services[&"a".parse().expect("a name")];
    assert_eq!(service.port, PortRule::Dynamic);
    assert_eq!(
        (service.health.path.as_str(), service.health.interval.as_secs()),
        ("/own", 1),
        "as a whole"
    );
    let general = config.explain("services.a.port.range").expect("known");
    assert_eq!(
        general.note.as_deref(),
        Some("[services.a.process.port] stands in its place")
    );
}

#[test]
fn relative_paths_of_the_file_count_from_its_folder() {
    let text = "server.data_dir = \"data\"\nmail.folder = \"/var/mail\"\n[services.a.process]\ncommand = [\"./bin/a\", \"./x\"]\ndirectory = \"run\"\n[services.b.process]\ncommand = [\"b\"]";
    let load = |overrides: &Overrides| {
        Config::load(
            Some((Path::new("/etc/wharf/wharf.toml"), text)),
            &BTreeMap::new(),
            overrides,
            machine(),
        )
        .expect("fine")
    };
    let config = load(&Overrides::default());
    assert_eq!(config.server.data_dir, Path::new("/etc/wharf/data"));
    assert_eq!(config.mail.folder, Path::new("/var/mail"));
    assert_eq!(
        config.explain("server.data_dir").expect("known").value.as_deref(),
        Some("\"/etc/wharf/data\"")
    );
    let run = |name: &str| config.services[&name.parse().expect("a name")].run.clone();
    let command = vec!["/etc/wharf/bin/a".to_owned(), "./x".to_owned()];
    assert_eq!(
        run("a"),
        RunSpec::Process {
            command,
            memory: None,
            directory: Some("/etc/wharf/run".into())
        }
    );
    assert_eq!(
        run("b"),
        RunSpec::Process {
            command: vec!["b".into()],
            memory: None,
            directory: None
        }
    );
    let config = load(&Overrides {
        data_dir: Some("here".into()),
        ..Overrides::default()
    });
    assert_eq!(
        config.server.data_dir,
        Path::new("here"),
        "an option counts from the working directory"
    );
}

#[test]
fn pauses_between_attempts_grow() {
    each_is_refused(&[(
        "heal = { backoff_first = \"10s\", backoff_max = \"5s\" }",
        "heal.backoff_first",
        "longer than the longest",
    )]);
}

#[test]
fn a_problem_hides_what_only_follows_from_it() {
    // The unreadable range would, as its default, overlap that of b.
    let text = "[services.a]\nport = { kind = \"static\", range = \"80O0-9000\" }\nCOMMAND\n[services.b]\nport.kind = \"static\"\nCOMMAND";
    each_is_refused(&[(text, "services.a.port.range", "is not a range of ports")]);
}

#[test]
fn a_key_in_the_wrong_section_is_shown_its_place() {
    each_is_refused(&[
        (
            "[platform]\ntenant_domain = \"x\"",
            "platform.tenant_domain",
            "did you mean server.tenant_domain?",
        ),
        ("listen = \"x\"", "listen", "did you mean server.listen?"),
        (
            "[signup]\ncolour = 1",
            "signup.colour",
            "known here: open, verify_email, rate, service",
        ),
        ("server = 7", "server", "expected a section"),
        ("[services.a]\nprocess = 7", "services.a.process", "expected a section"),
        ("[[services]]\nname = \"a\"", "services", "expected a section"),
        ("[services.A_B]\nCOMMAND", "services.A_B", "use \"a-b\""),
        (
            "[services.a.ports]\nkind = \"dynamic\"\n[services.a.process]\ncommand = [\"x\"]",
            "services.a.ports",
            "unknown key; did you mean \"port\"?",
        ),
    ]);
}
