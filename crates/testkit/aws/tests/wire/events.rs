//! "ECS Task State Change" events: one for each change, in EventBridge's form, late and twice where that is ordered.

use super::client::{Client, text};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use wharf_aws_simulator::{Delivery, Options, SUBNETS, TaskDefinition};

async fn start(options: Options) -> (Client, Receiver<Value>) {
    let client = Client::start(options).await;
    client.simulator.cluster("c");
    client
        .simulator
        .task_definition(&TaskDefinition::fargate("web").container("web", 80))
        .expect("a definition");
    let events = client.simulator.events();
    (client, events)
}

async fn run(client: &Client) -> String {
    let run = json!({
        "cluster": "c", "taskDefinition": "web", "launchType": "FARGATE", "startedBy": "wharf/d/i/1",
        "tags": [{ "key": "wharf:instance", "value": "i" }],
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": SUBNETS } },
    });
    text(&client.ecs("RunTask", run).await["tasks"][0]["taskArn"])
}

fn received(events: &mut Receiver<Value>) -> Vec<Value> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

#[tokio::test]
async fn each_change_is_told_in_the_form_of_eventbridge() {
    let (client, mut events) = start(Options::default()).await;
    let arn = run(&client).await;
    client.simulator.advance(Duration::from_secs(24));
    client.ecs("StopTask", json!({ "cluster": "c", "task": arn })).await;
    client.simulator.advance(Duration::from_secs(12));
    let events = received(&mut events);
    let states: Vec<_> = events
        .iter()
        .map(|event| {
            (
                text(&event["detail"]["lastStatus"]),
                event["detail"]["version"].as_i64().expect("a version"),
            )
        })
        .collect();
    let expected = [
        "PROVISIONING",
        "PENDING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ];
    assert_eq!(
        states,
        expected.into_iter().map(str::to_owned).zip(1..).collect::<Vec<_>>()
    );
    let running = &events[2];
    assert_eq!(
        (&running["source"], &running["detail-type"]),
        (&json!("aws.ecs"), &json!("ECS Task State Change"))
    );
    assert_eq!(
        (&running["resources"], &running["time"]),
        (&json!([arn]), &json!("2026-11-02T09:00:24.000Z"))
    );
    let detail = &running["detail"];
    assert_eq!(detail["attachments"][0]["type"], "eni");
    assert_eq!(
        (&detail["startedAt"], &detail["createdAt"]),
        (&json!("2026-11-02T09:00:24.000Z"), &json!("2026-11-02T09:00:00.000Z"))
    );
    assert_eq!(
        (&detail["startedBy"], detail.get("tags")),
        (&json!("wharf/d/i/1"), None)
    );
    assert!(text(&detail["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]).starts_with("10.0."));
    assert_eq!(events[6]["detail"]["containers"][0]["exitCode"], 143);
}

#[tokio::test]
async fn untidy_events_come_late_and_twice_but_they_all_come() {
    let options = Options {
        delivery: Delivery::UNTIDY,
        ..Options::default()
    };
    let (client, mut events) = start(options).await;
    run(&client).await;
    client.simulator.advance(Duration::from_secs(24));
    client.simulator.advance(Duration::from_mins(1));
    let versions: Vec<_> = received(&mut events)
        .iter()
        .filter_map(|event| event["detail"]["version"].as_i64())
        .collect();
    assert_eq!(versions.len(), 6);
    assert!(!versions.is_sorted(), "{versions:?}");
    for version in 1..=3 {
        assert_eq!(
            versions.iter().filter(|found| **found == version).count(),
            2,
            "{versions:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn events_come_by_themselves_where_time_does() {
    let (client, mut events) = start(Options::following(10.0)).await;
    run(&client).await;
    let started = tokio::time::Instant::now();
    loop {
        let event = events.recv().await.expect("an event");
        if event["detail"]["lastStatus"] == "RUNNING" {
            break;
        }
    }
    assert_eq!(started.elapsed().as_secs_f64().round() as u64, 2);
}
