//! EventBridge's start and stop, in the forms that the requirements document, and the answers in theirs.

use serde_json::{Value, json};
use std::time::Duration;
use wharf_domain::InstanceId;
use wharf_saga::store::Query;
use wharf_testkit::sim::{Answers, Behaviour, SimWharf, services, wharf::settings};

const SECOND: Duration = Duration::from_secs(1);

fn start(detail: impl Into<Value>) -> Value {
    let detail = detail.into();
    json!({"version": "0", "source": "custom.app", "detail-type": "Start ECS Task", "detail": detail})
}

fn stop(detail: impl Into<Value>) -> Value {
    let detail = detail.into();
    json!({"source": "custom.app", "detail-type": "Stop ECS Tasks", "detail": detail})
}

fn with_id(mut event: Value, id: &str) -> Value {
    event["id"] = id.into();
    event
}

async fn handle(wharf: &SimWharf, event: Value) -> (u64, Value) {
    let answer = wharf.wharf().handle_event(&event).await;
    let status = answer["statusCode"].as_u64().expect("a status");
    (status, answer["body"].clone())
}

async fn count(wharf: &SimWharf) -> usize {
    let query = Query {
        limit: 100,
        ..Query::default()
    };
    wharf.wharf().list(query).await.expect("a page").instances.len()
}

fn id_of(body: &Value) -> InstanceId {
    body["taskId"].as_str().expect("an id").parse().expect("an id")
}

#[tokio::test(start_paused = true)]
async fn a_start_is_answered_in_the_documented_form() {
    for event in [start(json!({"service": "auth"})), json!({"service": "auth"})] {
        let wharf = SimWharf::new(1).await;
        let (status, body) = handle(&wharf, event).await;
        assert_eq!(status, 200, "{body}");
        let keys = [
            "message",
            "service",
            "taskArn",
            "taskId",
            "privateIp",
            "port",
            "targetGroupArn",
            "healthStatus",
        ];
        for key in keys {
            assert!(body.get(key).is_some(), "{key} is documented: {body}");
        }
        assert_eq!((&body["service"], &body["port"]), (&json!("auth"), &json!(8000)));
        assert_eq!(body["privateIp"], "10.0.0.1");
        assert_eq!(body["instances"].as_array().map(Vec::len), Some(1));
        wharf.until(&id_of(&body), "ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_waiting_it_answers_at_registration_and_with_waiting_when_healthy() {
    for (wait, expected, least) in [(false, "initial", 2), (true, "healthy", 12)] {
        let wharf = SimWharf::new(1).await;
        wharf.world.behave(
            "auth",
            Behaviour {
                runs_after: 2 * SECOND,
                answers_after: 10 * SECOND,
                ..Behaviour::default()
            },
        );
        let before = wharf.world.now();
        let (status, body) = handle(&wharf, start(json!({"service": "auth", "waitForHealthy": wait}))).await;
        assert_eq!((status, &body["healthStatus"]), (200, &json!(expected)));
        let taken = wharf.world.now().since(before);
        assert!(
            taken >= least * SECOND && taken < least * SECOND + 3 * SECOND,
            "{wait}: {taken:?}"
        );
        wharf.until(&id_of(&body), "ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_target_is_never_a_200_when_healthy_was_waited_for() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "auth",
        Behaviour {
            answers: Answers::Status(503),
            ..Behaviour::default()
        },
    );
    let (status, body) = handle(&wharf, start(json!({"service": "auth", "waitForHealthy": true}))).await;
    assert_eq!((status, &body["code"]), (502, &json!("route.unhealthy")));
    assert!(body["error"].is_string() && body["hint"].is_string());
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_stops_at_once_is_told_with_its_reason_and_nothing_is_left() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "auth",
        Behaviour {
            exits_after: Some(Duration::from_millis(5)),
            exit_code: 127,
            answers: Answers::Never,
            last_words: Some("secret detail".to_owned()),
            ..Behaviour::default()
        },
    );
    let (status, body) = handle(&wharf, start(json!({"service": "auth", "waitForHealthy": true}))).await;
    assert_eq!((status, &body["code"]), (502, &json!("task.crashed")));
    assert!(body["error"].as_str().is_some_and(|error| error.contains("127")));
    assert!(
        !body.to_string().contains("secret detail"),
        "what it printed is for the operator"
    );
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_same_event_twice_is_one_instance() {
    let wharf = SimWharf::new(1).await;
    let event = with_id(start(json!({"service": "auth"})), "event-1");
    let (_, first) = handle(&wharf, event.clone()).await;
    let (status, again) = handle(&wharf, event).await;
    assert_eq!((status, id_of(&again)), (200, id_of(&first)));
    assert_eq!(count(&wharf).await, 1);
    let (status, body) = handle(&wharf, with_id(start(json!({"service": "single"})), "event-1")).await;
    assert_eq!((status, &body["code"]), (409, &json!("key.reused")));
    // Without an id each is a new one.
    handle(&wharf, start(json!({"service": "auth"}))).await;
    handle(&wharf, start(json!({"service": "auth"}))).await;
    assert_eq!(count(&wharf).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_count_starts_as_many_and_repeats_none() {
    let wharf = SimWharf::new(1).await;
    let event = with_id(
        start(json!({"service": "auth", "count": 4, "waitForHealthy": true})),
        "event-1",
    );
    let (status, first) = handle(&wharf, event.clone()).await;
    assert_eq!(status, 200, "{first}");
    let ids = |body: &Value| -> Vec<InstanceId> {
        body["instances"]
            .as_array()
            .expect("all of them")
            .iter()
            .map(id_of)
            .collect()
    };
    assert_eq!(ids(&first).len(), 4);
    assert_eq!(
        id_of(&first),
        ids(&first)[0],
        "the first one stands in the documented fields"
    );
    let (_, again) = handle(&wharf, event).await;
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(count(&wharf).await, 4);
}

/// The keys are `k#i`: after a failure half-way the same event makes up what is missing, and nothing twice.
#[tokio::test(start_paused = true)]
async fn a_count_that_got_half_way_is_made_up() {
    let wharf = SimWharf::with(1, |_, settings| settings.max_instances = 3).await;
    let tenant = wharf.ready("acme", "shop").await;
    let event = with_id(start(json!({"service": "auth", "count": 3})), "event-1");
    let (status, body) = handle(&wharf, event.clone()).await;
    assert_eq!((status, &body["code"]), (503, &json!("limit.instances")));
    assert_eq!(count(&wharf).await, 3);
    wharf.wharf().end(&tenant).await.expect("asked for");
    wharf.until(&tenant, "ended").await;
    let (status, body) = handle(&wharf, event).await;
    assert_eq!((status, body["instances"].as_array().map(Vec::len)), (200, Some(3)));
    assert_eq!(count(&wharf).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_singleton_is_one_however_many_events_come() {
    let wharf = SimWharf::new(1).await;
    let (_, first) = handle(&wharf, with_id(start(json!({"service": "single"})), "event-1")).await;
    let (status, second) = handle(&wharf, with_id(start(json!({"service": "single"})), "event-2")).await;
    assert_eq!((status, id_of(&second)), (200, id_of(&first)));
    assert_eq!(count(&wharf).await, 1);
}

/// Found by the simulation over AWS (seed 154): the queue brought the event again when the singleton that had answered it was over.
#[tokio::test(start_paused = true)]
async fn an_event_that_a_running_singleton_answered_starts_no_other_when_it_comes_again() {
    let wharf = SimWharf::new(1).await;
    let (_, first) = handle(&wharf, with_id(start(json!({"service": "single"})), "event-1")).await;
    let again = with_id(start(json!({"service": "single"})), "event-2");
    let (_, body) = handle(&wharf, again.clone()).await;
    assert_eq!(id_of(&body), id_of(&first), "the one that runs");
    wharf.wharf().end(&id_of(&first)).await.expect("it is told to end");
    wharf.until(&id_of(&first), "ended").await;
    handle(&wharf, again).await;
    assert_eq!(count(&wharf).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_events_environment_reaches_the_task() {
    let wharf = SimWharf::new(1).await;
    let (_, body) = handle(
        &wharf,
        start(json!({"service": "auth", "environment": {"MODE": "batch"}})),
    )
    .await;
    let id = id_of(&body);
    assert_eq!(wharf.world.tasks(&id)[0].environment["MODE"], "batch");
    let (status, body) = handle(
        &wharf,
        start(json!({"service": "auth", "environment": {"WHARF_X": "1"}})),
    )
    .await;
    assert_eq!((status, &body["code"]), (400, &json!("request.invalid")));
}

#[tokio::test(start_paused = true)]
async fn what_means_nothing_here_is_named_in_the_answer() {
    let wharf = SimWharf::new(1).await;
    let detail = json!({"service": "auth", "cluster": "c", "subnets": ["s"], "port": 80, "colour": "blue"});
    let (status, body) = handle(&wharf, start(detail)).await;
    assert_eq!(
        (status, &body["ignored"]),
        (200, &json!(["cluster", "subnets", "port"]))
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_event_may_not_do_is_refused_with_its_status() {
    let wharf = SimWharf::new(1).await;
    for (event, status, code) in [
        (json!([]), 400, "event.invalid"),
        (json!({"detail-type": "Start ECS Task"}), 400, "event.invalid"),
        (
            json!({"detail-type": "Something else", "detail": {}}),
            400,
            "event.invalid",
        ),
        (
            start(json!({"service": "auth", "schemaVersion": 2})),
            400,
            "event.schema",
        ),
        (start(json!({"service": "auth", "count": 11})), 400, "event.invalid"),
        (start(json!({"service": "auth", "count": 0})), 400, "event.invalid"),
        (start(json!({"service": "nothing"})), 404, "service.unknown"),
        (start(json!({"service": "shop"})), 400, "service.tenant"),
        (
            start(json!({"cluster": "anything", "taskDefinition": "any"})),
            403,
            "event.not_allowed",
        ),
        (stop(json!({"services": ["nothing"]})), 404, "service.unknown"),
        (stop(json!({"services": "auth"})), 400, "event.invalid"),
    ] {
        let (got, body) = handle(&wharf, event.clone()).await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{event}: {body}");
        assert!(body["error"].is_string(), "{body}");
    }
    assert_eq!((count(&wharf).await, wharf.store.commits()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_names_spares_the_tenants() {
    let wharf = SimWharf::new(1).await;
    let tenant = wharf.ready("acme", "shop").await;
    let mut started = Vec::new();
    for service in ["auth", "auth", "single"] {
        let (_, body) = handle(&wharf, start(json!({"service": service, "waitForHealthy": true}))).await;
        started.push(id_of(&body));
    }
    let (status, body) = handle(&wharf, stop(json!({}))).await;
    assert_eq!((status, body["instances"].as_array().map(Vec::len)), (200, Some(3)));
    for id in &started {
        wharf.until(id, "ended").await;
    }
    wharf.until(&tenant, "ready").await;
    let (status, body) = handle(&wharf, stop(json!({}))).await;
    assert_eq!(
        (status, body["instances"].as_array().map(Vec::len)),
        (200, Some(0)),
        "there is nothing left to stop"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_by_name_stops_that_service_and_keeps_its_tenants_data() {
    let wharf = SimWharf::new(1).await;
    let tenant = wharf.ready("acme", "shop").await;
    let other = wharf.ready("bolt", "site").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    let (status, body) = handle(&wharf, stop(json!({"services": ["shop"]}))).await;
    assert_eq!((status, &body["instances"]), (200, &json!([tenant])));
    wharf.until(&tenant, "stopped").await;
    wharf.until(&other, "ready").await;
    assert_eq!(wharf.world.database("user_acme").expect("a database").rows.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_would_leave_targets_registered_says_that_it_does_not() {
    let wharf = SimWharf::new(1).await;
    let (_, body) = handle(&wharf, stop(json!({"deregister_targets": false}))).await;
    assert!(body["note"].is_string());
    let (_, body) = handle(&wharf, stop(json!({"deregister_targets": true}))).await;
    assert!(body.get("note").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deployment_without_services_says_so() {
    let wharf = SimWharf::with(1, |world, current| *current = settings(world, [])).await;
    let (status, body) = handle(&wharf, start(json!({"service": "auth"}))).await;
    assert_eq!((status, &body["code"]), (404, &json!("service.unknown")));
    assert_eq!(services::all().len(), 5);
}
