//! What an event may name on ECS, in which order it counts, and what is answered; sign-ups that come without HTTP; deliveries that
//! cannot wait.

use serde_json::{Value, json};
use std::time::Duration;
use wharf_domain::{
    InstanceId,
    event::{Allow, Pattern},
    service::{RouteRule, RunSpec},
};
use wharf_platform::{RouteKey, TaskEvent, TaskStatus};
use wharf_provisioning::{Settings, events::Delivery};
use wharf_testkit::sim::{
    Behaviour, SimWharf, SimWorld,
    services::{direct, on_ecs, target_group},
    wharf::settings,
};

const SECOND: Duration = Duration::from_secs(1);

fn two_services(world: &SimWorld, current: &mut Settings) {
    *current = settings(world, [on_ecs("auth"), on_ecs("pdf"), direct()]);
    world.balancer_checks_health(true);
}

fn start(id: &str, detail: &Value) -> Value {
    json!({"id": id, "source": "custom.app", "detail-type": "Start ECS Task", "detail": detail})
}

async fn handle(wharf: &SimWharf, event: &Value) -> (u64, Value) {
    let answer = wharf.wharf().handle_event(event).await;
    let status = answer["statusCode"].as_u64().expect("a status");
    (status, answer["body"].clone())
}

fn id_of(body: &Value) -> InstanceId {
    body["instance"].as_str().expect("an id").parse().expect("an id")
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts
        .iter()
        .map(|text| Pattern::new(text).expect("a pattern"))
        .collect()
}

/// Everything that the service pdf has.
fn pdf() -> Allow {
    Allow {
        clusters: patterns(&["pdf-cluster"]),
        task_definitions: patterns(&["pdf-task"]),
        target_groups: patterns(&[&target_group("pdf")]),
        ..Allow::default()
    }
}

fn group(name: &str) -> RouteKey {
    RouteKey::TargetGroups {
        arns: vec![target_group(name)],
        rule: None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_event_names_is_what_runs() {
    let wharf = SimWharf::with(1, |world, settings| {
        two_services(world, settings);
        settings.allow = pdf();
    })
    .await;
    let detail = json!({
        "service": "auth", "cluster": "pdf-cluster", "taskDefinition": "pdf-task", "targetGroupArn": target_group("pdf"),
        "subnets": ["subnet-a"], "port": 8080, "waitForHealthy": true,
    });
    let (status, body) = handle(&wharf, &start("e", &detail)).await;
    assert_eq!((status, &body["healthStatus"]), (200, &json!("healthy")), "{body}");
    assert_eq!(body["targetGroupArn"], json!(target_group("pdf")));
    assert_eq!((&body["service"], &body["port"]), (&json!("auth"), &json!(8000)));
    assert!(body["taskArn"].is_string() && body["privateIp"].is_string());
    assert_eq!(body.get("ignored"), None);
    let frozen = wharf.record(&id_of(&body)).await.data.service;
    let RunSpec::Ecs(task) = &frozen.run else {
        panic!("on ECS")
    };
    assert_eq!(
        (task.cluster.as_str(), task.task_definition.as_str()),
        ("pdf-cluster", "pdf-task")
    );
    assert!(matches!(&frozen.route, RouteRule::TargetGroups { arns, .. } if *arns == [target_group("pdf")]));
    assert_eq!(wharf.world.routes(&group("pdf")).len(), 1);
    assert!(wharf.world.routes(&group("auth")).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_documented_explicit_event_finds_the_service_that_is_configured_so() {
    let wharf = SimWharf::with(1, two_services).await;
    let detail = json!({
        "cluster": "pdf-cluster", "taskDefinition": "pdf-task", "targetGroupArn": target_group("pdf"),
        "subnets": ["subnet-a"], "securityGroups": ["sg-a"], "port": 8080,
    });
    let (status, body) = handle(&wharf, &start("e", &detail)).await;
    assert_eq!((status, &body["service"]), (200, &json!("pdf")), "{body}");
    let wharf = SimWharf::with(1, |world, settings| {
        two_services(world, settings);
        settings.default_service = Some("auth".parse().expect("a name"));
    })
    .await;
    let (status, body) = handle(&wharf, &start("e", &json!({}))).await;
    assert_eq!((status, &body["service"]), (200, &json!("auth")), "{body}");
}

#[tokio::test(start_paused = true)]
async fn what_is_neither_configured_nor_allowed_starts_nothing() {
    let wharf = SimWharf::with(1, two_services).await;
    let detail = json!({"service": "auth", "cluster": "prod-cluster"});
    let (status, body) = handle(&wharf, &start("e", &detail)).await;
    assert_eq!((status, &body["code"]), (403, &json!("event.not_allowed")));
    assert!(
        body["error"]
            .as_str()
            .is_some_and(|error| error.contains("\"cluster\"")),
        "{body}"
    );
    assert_eq!(wharf.store.commits(), 0);
    let wharf = SimWharf::with(1, |world, settings| {
        two_services(world, settings);
        settings.allow.clusters = patterns(&["prod-*"]);
    })
    .await;
    let (status, body) = handle(&wharf, &start("e", &detail)).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_another_override_is_refused() {
    let wharf = SimWharf::with(1, |world, settings| {
        two_services(world, settings);
        settings.allow = pdf();
    })
    .await;
    let (status, _) = handle(&wharf, &start("e", &json!({"service": "auth"}))).await;
    assert_eq!(status, 200);
    for detail in [
        json!({"service": "auth", "cluster": "pdf-cluster"}),
        json!({"service": "auth", "port": 8080}),
        json!({"service": "auth", "waitForHealthy": true}),
    ] {
        let (status, body) = handle(&wharf, &start("e", &detail)).await;
        assert_eq!((status, &body["code"]), (409, &json!("key.reused")), "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_may_leave_the_targets_registered_and_says_so() {
    for (deregister, left) in [(true, 0), (false, 1)] {
        let wharf = SimWharf::with(1, two_services).await;
        let (_, body) = handle(&wharf, &start("e", &json!({"service": "auth", "waitForHealthy": true}))).await;
        let id = id_of(&body);
        let stop = json!({"detail-type": "Stop ECS Tasks", "detail": {"services": ["auth"], "deregister_targets": deregister}});
        let (status, body) = handle(&wharf, &stop).await;
        assert_eq!((status, body.get("note").is_some()), (200, !deregister), "{body}");
        wharf.until(&id, "ended").await;
        assert!(wharf.world.live_tasks(&id).is_empty());
        assert_eq!(wharf.world.routes(&group("auth")).len(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn both_documented_sign_ups_provision() {
    for (event, email) in [
        (json!({"userId": "acme"}), "wharf@localhost"),
        (
            json!({"subdomain": "acme", "admin_email": "admin@acme.example", "company_name": "Acme Inc."}),
            "admin@acme.example",
        ),
    ] {
        let wharf = SimWharf::with(1, |world, settings| {
            two_services(world, settings);
            settings.tenant_service = Some(direct().name);
        })
        .await;
        let (status, body) = handle(&wharf, &event).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            (&body["message"], &body["port"]),
            (&json!("Provisioning started"), &json!(8000))
        );
        assert_eq!(body["url"], "http://acme.127.0.0.1.sslip.io:8000");
        let (status, again) = handle(&wharf, &event).await;
        assert_eq!(
            (status, &again["instance"]),
            (200, &body["instance"]),
            "the name is the key"
        );
        let view = wharf.until(&id_of(&body), "ready").await;
        assert_eq!(view.tenant.expect("a tenant").admin_email.as_str(), email);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_cannot_wait_is_answered_at_once_and_by_its_own_key_only_once() {
    let wharf = SimWharf::with(1, two_services).await;
    let slow = Behaviour {
        runs_after: 20 * SECOND,
        ..Behaviour::default()
    };
    wharf.world.behave("auth-task", slow);
    let delivery = Delivery {
        key: Some("message-1"),
        patience: Some(Duration::ZERO),
    };
    let event = json!({"service": "auth", "waitForHealthy": true});
    let before = wharf.world.now();
    let first = wharf.wharf().answer_event(&event, delivery).await.expect("taken");
    let again = wharf.wharf().answer_event(&event, delivery).await.expect("taken");
    assert_eq!(wharf.world.now(), before);
    assert_eq!((&first["statusCode"], &again["statusCode"]), (&json!(202), &json!(202)));
    assert_eq!(first["body"]["message"], "Task is being started");
    assert_eq!(id_of(&first["body"]), id_of(&again["body"]));
    wharf.until(&id_of(&first["body"]), "ready").await;
}

#[tokio::test(start_paused = true)]
async fn where_an_event_stands_is_told_step_by_step() {
    let wharf = SimWharf::with(1, two_services).await;
    let event = start("e", &json!({"service": "auth", "count": 2}));
    let ids = wharf.wharf().begin_event(&event, Some("key")).await.expect("taken");
    assert_eq!(ids.len(), 2);
    let again = start("another", &json!({"service": "auth", "count": 2}));
    assert_eq!(wharf.wharf().begin_event(&again, Some("key")).await, Ok(ids.clone()));
    let stand = wharf.wharf().stand(&ids).await.expect("read");
    assert_eq!((stand.state.as_str(), stand.answer), ("provisioning", None));
    for id in &ids {
        wharf.until(id, "ready").await;
    }
    let stand = wharf.wharf().stand(&ids).await.expect("read");
    let answer = stand.answer.expect("it is there");
    assert_eq!((stand.state.as_str(), &answer["statusCode"]), ("ready", &json!(200)));
    assert_eq!(answer["body"]["instances"].as_array().map(Vec::len), Some(2));
    wharf.wharf().end(&ids[1]).await.expect("asked for");
    wharf.until(&ids[1], "ended").await;
    let stand = wharf.wharf().stand(&ids).await.expect("read");
    let answer = stand.answer.expect("it is over");
    assert_eq!(
        (stand.state.as_str(), &answer["body"]["code"]),
        ("ended", &json!("instance.cancelled"))
    );
    let stop = json!({"detail-type": "Stop ECS Tasks", "detail": {}});
    assert!(wharf.wharf().begin_event(&stop, None).await.is_err());
}

/// On Lambda nobody lingers: the wait is written, and the event of the platform is what ends it.
#[tokio::test(start_paused = true)]
async fn a_task_that_runs_is_looked_at_when_the_platform_says_so() {
    let wharf = SimWharf::with(1, |world, settings| {
        two_services(world, settings);
        settings.pace.look_at_tasks = Duration::from_mins(30);
        settings
            .services
            .values_mut()
            .for_each(|service| service.start_timeout = Duration::from_hours(2));
    })
    .await;
    let slow = Behaviour {
        runs_after: Duration::from_mins(10),
        ..Behaviour::default()
    };
    wharf.world.behave("auth-task", slow);
    let ids = wharf
        .wharf()
        .begin_event(&start("e", &json!({"service": "auth"})), None)
        .await;
    let id = ids.expect("taken").remove(0);
    tokio::time::sleep(Duration::from_mins(10) + SECOND).await;
    assert!(
        !wharf.wharf().engine().is_driving(&id),
        "its wait is longer than the task took"
    );
    let task = wharf.world.live_tasks(&id).remove(0);
    let event = TaskEvent {
        instance: id.clone(),
        task: task.reference,
        status: TaskStatus::Running { endpoint: None },
    };
    let before = wharf.world.now();
    wharf.wharf().heard(event).await.expect("heard");
    wharf.until(&id, "ready").await;
    assert!(wharf.world.now().since(before) < SECOND);
}
