//! From a claim to Ready: what it costs, what the task is given, what is waited for and how.

use std::{collections::BTreeMap, time::Duration};
use wharf_domain::{Attempt, Code, InstanceId, State, service::RouteRule};
use wharf_platform::{RouteKey, Standing};
use wharf_provisioning::Caller;
use wharf_testkit::sim::{
    Behaviour, SimWharf,
    routes::Visit,
    services,
    wharf::{code, start},
};

const SECOND: Duration = Duration::from_secs(1);

fn host(name: &str) -> RouteKey {
    RouteKey::Host {
        host: format!("{name}.localhost"),
    }
}

fn commits(wharf: &SimWharf) -> usize {
    wharf.world.trace().lines_with("store.commit").len()
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_becomes_ready_at_an_address_that_works() {
    let wharf = SimWharf::new(1).await;
    let accepted = wharf.sign_up("acme").await.expect("accepted");
    assert!(!accepted.replayed);
    let view = wharf.until(&accepted.id, "ready").await;
    assert_eq!(view.url.as_deref(), Some("http://acme.localhost:8080/"));
    assert_eq!((view.attempt, view.stuck_at, view.cause), (Attempt(1), None, None));
    assert_eq!(view.database.as_deref(), Some("user_acme"));
    assert!(!view.clean && view.task.is_some() && view.endpoint.is_some());
    assert_eq!(wharf.world.visit(&host("acme")), Visit::Answered(accepted.id.clone()));
    wharf.serves(&wharf.record(&accepted.id).await.data).expect("it serves");
    let token = accepted.token.expect("a token").reveal().to_owned();
    assert_eq!(wharf.wharf().by_token(&token).await, Ok(accepted.id));
}

/// At most five commits from the claim to Ready: the issue's own figure.
#[tokio::test(start_paused = true)]
async fn a_provision_costs_at_most_five_commits() {
    for (service, expected) in [("shop", 5), ("direct", 5), ("site", 4)] {
        let wharf = SimWharf::new(1).await;
        wharf.ready("acme", service).await;
        assert_eq!(commits(&wharf), expected, "{service}");
    }
    let wharf = SimWharf::new(1).await;
    let accepted = wharf.wharf().start_service(start("auth"), Caller::Admin, None).await;
    wharf.until(&accepted.expect("accepted").id, "ready").await;
    assert_eq!(commits(&wharf), 4);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_given_what_it_needs_and_knows_its_tenant() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "direct").await;
    let task = wharf.world.live_tasks(&id).remove(0);
    let secrets = wharf.world.secrets(&id).expect("it has secrets");
    let expected = BTreeMap::from([
        ("USER_ID", "acme".to_owned()),
        ("COMPANY_NAME", "acme & Sons".to_owned()),
        ("DB_NAME", "user_acme".to_owned()),
        (
            "DATABASE_URL",
            format!("sim://user_acme:{}@databases/user_acme", secrets["DATABASE_PASSWORD"]),
        ),
        ("APP_PASSWORD", secrets["APP_PASSWORD"].clone()),
        ("PORT", "8000".to_owned()),
        ("WHARF_INSTANCE_ID", id.to_string()),
        ("GREETING", "Welcome to acme & Sons".to_owned()),
    ]);
    let given: BTreeMap<&str, String> = task
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    assert_eq!(given, expected);
    assert_eq!(
        format!("{:?}", task.run),
        r#"Process { command: ["direct", "--port", "8000"], memory: None, directory: None }"#
    );
    assert!(secrets["APP_PASSWORD"].len() >= 20 && secrets["APP_PASSWORD"] != secrets["DATABASE_PASSWORD"]);
}

#[tokio::test(start_paused = true)]
async fn a_requests_environment_lies_over_the_services_and_under_wharfs_own() {
    let wharf = SimWharf::with(1, |_, settings| {
        let auth = settings.services.get_mut(&services::plain("auth").name).expect("auth");
        auth.environment = BTreeMap::from([
            ("A".to_owned(), "service".to_owned()),
            ("B".to_owned(), "service".to_owned()),
        ]);
    })
    .await;
    let mut request = start("auth");
    request
        .environment
        .insert("B".to_owned(), "request of {instance_id}".to_owned());
    let refused = wharf_domain::request::Start::check_environment(&BTreeMap::from([(
        "WHARF_INSTANCE_ID".to_owned(),
        "another".to_owned(),
    )]));
    assert_eq!(code(&refused), Some(Code::RequestInvalid));
    let id = wharf
        .wharf()
        .start_service(request, Caller::Admin, None)
        .await
        .expect("accepted")
        .id;
    wharf.until(&id, "ready").await;
    let given = &wharf.world.live_tasks(&id)[0].environment;
    assert_eq!(
        (given["A"].as_str(), given["B"].clone()),
        ("service", format!("request of {id}"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_task_is_waited_for_and_what_it_waits_for_is_shown() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: 8 * SECOND,
            address_after: 4 * SECOND,
            answers_after: 20 * SECOND,
            ..Behaviour::default()
        },
    );
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    let mut seen = Vec::new();
    for _ in 0..28 {
        tokio::time::sleep(SECOND).await;
        let view = wharf.wharf().show(&id).await.expect("shown");
        let now = (view.step.unwrap_or_default(), view.waits_for.unwrap_or_default());
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        assert_eq!(
            wharf.world.visit(&host("acme")),
            Visit::Page(Standing::Starting),
            "until it is proven"
        );
    }
    let seen: Vec<(&str, &str)> = seen.iter().map(|(step, why)| (step.as_str(), why.as_str())).collect();
    let expected = [
        ("running", "the machine to make room"),
        ("running", "the task's address"),
        ("healthy", "the task to answer"),
    ];
    assert_eq!(seen, expected);
    let view = wharf.until(&id, "ready").await;
    let taken = view.since.since(view.created_at);
    assert!(
        taken < 31 * SECOND,
        "it was not noticed long after it answered: {taken:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_does_not_reshape_what_exists() {
    let mut wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: 10 * SECOND,
            ..Behaviour::default()
        },
    );
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    tokio::time::sleep(SECOND).await;
    let name = services::shop().name;
    let shop = wharf.settings.services.get_mut(&name).expect("a shop");
    shop.database = false;
    shop.environment.clear();
    shop.route = RouteRule::Path {
        prefix: "/shops".to_owned(),
    };
    wharf.restart().await;
    let view = wharf.until(&id, "ready").await;
    assert_eq!(view.url.as_deref(), Some("http://acme.localhost:8080/"));
    assert_eq!(wharf.world.visit(&host("acme")), Visit::Answered(id.clone()));
    assert_eq!(
        wharf.world.live_tasks(&id)[0].environment["GREETING"],
        "Welcome to acme & Sons"
    );
}

#[tokio::test(start_paused = true)]
async fn where_the_load_balancer_checks_health_its_view_counts() {
    let wharf = SimWharf::with(1, |world, _| world.balancer_checks_health(true)).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            answers_after: 3 * SECOND,
            ..Behaviour::default()
        },
    );
    wharf.ready("acme", "shop").await;
    assert_eq!(wharf.world.trace().lines_with("prober.probe").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_wants_several_good_answers_gets_asked_as_often() {
    let wharf = SimWharf::with(1, |_, settings| {
        let shop = settings.services.get_mut(&services::shop().name).expect("a shop");
        shop.health.healthy = 3;
    })
    .await;
    wharf.ready("acme", "shop").await;
    assert_eq!(wharf.world.trace().lines_with("prober.probe").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn ports_that_wharf_leases_are_its_tasks_own() {
    let wharf = SimWharf::with(1, |world, settings| {
        world.lease_ports(20_000, 20_009);
        settings.excluded_ports = [20_000, 20_001].into();
    })
    .await;
    let mut ports = Vec::new();
    for name in ["acme", "bolt", "cog"] {
        let id = wharf.ready(name, "shop").await;
        let record = wharf.record(&id).await;
        let port = record.data.held.port.expect("a port");
        assert_eq!(wharf.world.live_tasks(&id)[0].environment["PORT"], port.to_string());
        assert_eq!(record.data.held.endpoint.map(|endpoint| endpoint.port()), Some(port));
        ports.push(port);
    }
    ports.sort_unstable();
    ports.dedup();
    assert!(
        ports.len() == 3 && ports.iter().all(|port| *port >= 20_002),
        "{ports:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_state_says_since_when_and_the_history_says_how() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: 2 * SECOND,
            ..Behaviour::default()
        },
    );
    let id: InstanceId = wharf.ready("acme", "shop").await;
    let record = wharf.record(&id).await;
    assert!(matches!(record.data.state, State::Ready { since, .. } if record.data.first_ready_at == Some(since)));
    let history = wharf.wharf().history(&id, 0, 100).await.expect("a history");
    let steps = wharf_provisioning::view::steps(&history);
    let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    let expected = [
        "claim", "secrets", "database", "task", "running", "endpoint", "route", "healthy", "ready",
    ];
    assert_eq!(names, expected);
    assert!(
        steps
            .iter()
            .all(|step| step.millis.is_some() && !step.undo && step.failed.is_none())
    );
    let running = steps[4].millis.expect("done");
    assert!((2_000..2_600).contains(&running), "{running}");
}
