//! A start or stop event: read, and resolved to the service that it means. Nothing runs anywhere that is neither configured nor allowed.

use serde_json::Value;
use std::{collections::BTreeMap, sync::OnceLock};
use wharf_domain::{
    Service, ServiceName,
    event::{Allow, Ask, COUNT_MAX, Event, Known, Pattern, StartDetail},
    service::{RouteRule, RunSpec},
};
use wharf_testkit::sim::services;

struct Configured {
    services: BTreeMap<ServiceName, Service>,
    allow: Allow,
}

fn configured() -> &'static Configured {
    static CONFIGURED: OnceLock<Configured> = OnceLock::new();
    CONFIGURED.get_or_init(|| {
        let services = services::all().into_iter().chain(["pdf", "fa"].map(services::on_ecs));
        let patterns = |texts: &[&str]| texts.iter().filter_map(|text| Pattern::new(text)).collect();
        Configured {
            services: services.map(|service| (service.name.clone(), service)).collect(),
            allow: Allow {
                clusters: patterns(&["allowed-*"]),
                task_definitions: patterns(&["job-*:*", "*report*"]),
                ..Allow::default()
            },
        }
    })
}

pub fn run(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let Ok(event) = Event::parse(&value) else { return };
    match &event.ask {
        Ask::Start(detail) => start(detail),
        Ask::Stop(detail) => assert!(
            detail
                .services
                .iter()
                .all(|name| name.as_str().parse::<ServiceName>().is_ok())
        ),
        Ask::SignUp(sign_up) => {
            let written = serde_json::to_value(sign_up).expect("JSON");
            assert!(
                matches!(Event::parse(&written), Ok(again) if again.ask == event.ask),
                "{written}"
            );
        }
    }
}

fn start(detail: &StartDetail) {
    assert!(detail.count.is_none_or(|count| (1..=COUNT_MAX).contains(&count)));
    let written = serde_json::to_value(detail).expect("JSON");
    match Event::parse(&written) {
        Ok(Event {
            ask: Ask::Start(again), ..
        }) => assert_eq!(*again, *detail, "{written}"),
        other => panic!("{written} is read as {other:?}"),
    }
    let Configured { services, allow } = configured();
    let known = Known {
        services,
        default: None,
        template: None,
        allow,
    };
    let Ok(service) = detail.resolve(known) else { return };
    let origin = services.get(&service.name).expect("a service that is configured");
    if let Some(named) = &detail.service {
        assert_eq!(*named, service.name);
    }
    let (RunSpec::Ecs(task), RunSpec::Ecs(own)) = (&service.run, &origin.run) else {
        assert_eq!(service.run, origin.run, "only on ECS does an event override anything");
        return;
    };
    let fits = |name: &str, own: &str, patterns: &[Pattern]| {
        name == own || patterns.iter().any(|pattern| simple_match(pattern.as_str(), name))
    };
    assert!(fits(&task.cluster, &own.cluster, &allow.clusters), "{task:?}");
    assert!(
        fits(&task.task_definition, &own.task_definition, &allow.task_definitions),
        "{task:?}"
    );
    assert!(
        task.subnets == own.subnets && task.security_groups == own.security_groups,
        "{task:?}"
    );
    if let (RouteRule::TargetGroups { arns, .. }, RouteRule::TargetGroups { arns: own, .. }) =
        (&service.route, &origin.route)
    {
        assert!(arns.iter().all(|arn| own.contains(arn)), "{arns:?}");
    }
}

/// `*` for any text, as plainly as it can be said.
fn simple_match(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| simple_match(rest, &text[at..]))
        }),
    }
}
