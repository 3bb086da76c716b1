//! Metrics: in the form that CloudWatch reads, and counting what they say.

use serde_json::{Value, json};
use std::time::Duration;
use wharf_testkit::sim::{Answers, Behaviour};

use crate::cloud::Cloud;

fn lines(cloud: &Cloud) -> Vec<Value> {
    let lines = cloud.lines.lock();
    lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn values(cloud: &Cloud, metric: &str) -> Vec<f64> {
    lines(cloud).iter().filter_map(|line| line[metric].as_f64()).collect()
}

async fn start(cloud: &Cloud, behaviour: Behaviour) {
    cloud.world.behave("auth-task", behaviour);
    cloud.ask(json!({"service": "auth", "waitForHealthy": true})).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_succeeds_is_measured() {
    let cloud = Cloud::new();
    let slow = Behaviour {
        runs_after: Duration::from_secs(20),
        ..Behaviour::default()
    };
    start(&cloud, slow).await;
    assert_eq!(values(&cloud, "TaskStartSucceeded"), [1.0]);
    assert_eq!(values(&cloud, "RegisteredWithin60s"), [1.0]);
    let took = values(&cloud, "ProvisionDuration");
    assert!(took.len() == 1 && took[0] >= 20_000.0 && took[0] < 40_000.0, "{took:?}");
    let steps: Vec<_> = lines(&cloud)
        .iter()
        .filter_map(|line| line["Step"].as_str().map(str::to_owned))
        .collect();
    for step in ["task", "running", "route", "healthy", "ready"] {
        assert_eq!(
            steps.iter().filter(|measured| *measured == step).count(),
            1,
            "{step}: {steps:?}"
        );
    }
    for line in lines(&cloud) {
        let described = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            (&described["Namespace"], &line["Service"]),
            (&json!("Wharf"), &json!("auth"))
        );
        assert_eq!(line["Deployment"], json!(cloud.world.deployment_id()));
        assert_eq!(described["Dimensions"][0], json!(["Deployment"]));
        for dimension in described["Dimensions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|set| set.as_array())
            .flatten()
        {
            assert!(line[dimension.as_str().expect("a name")].is_string(), "{line}");
        }
        for metric in described["Metrics"].as_array().expect("metrics") {
            assert!(line[metric["Name"].as_str().expect("a name")].is_number(), "{line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_late_or_fails_is_counted_as_that() {
    let cloud = Cloud::with(|settings| {
        settings
            .services
            .values_mut()
            .for_each(|service| service.start_timeout = Duration::from_mins(3));
    });
    let late = Behaviour {
        runs_after: Duration::from_secs(90),
        ..Behaviour::default()
    };
    start(&cloud, late).await;
    assert_eq!(values(&cloud, "RegisteredWithin60s"), [0.0]);

    let cloud = Cloud::new();
    let crashes = Behaviour {
        runs_after: Duration::from_secs(5),
        exits_after: Some(Duration::from_secs(1)),
        answers: Answers::Never,
        ..Behaviour::default()
    };
    start(&cloud, crashes).await;
    assert_eq!(values(&cloud, "TaskStartSucceeded"), [0.0]);
    assert_eq!(
        (values(&cloud, "ProvisionFailed"), values(&cloud, "TaskStartFailed")),
        (vec![1.0], vec![1.0])
    );
    let codes: Vec<_> = lines(&cloud)
        .iter()
        .filter_map(|line| line["Code"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(codes, ["task.crashed", "task.crashed"]);
}

/// Repair comes by its schedule: it mends what touches no customer's data, and says how much it left.
#[tokio::test(start_paused = true)]
async fn repair_mends_what_is_safe_and_counts_what_it_left() {
    let cloud = Cloud::new();
    start(&cloud, Behaviour::default()).await;
    let stranger: wharf_domain::InstanceId = "inst_00000000000000000000000000".parse().expect("an id");
    cloud.world.plant_secrets(&stranger);
    let owner = wharf_platform::Owner {
        deployment: cloud.world.deployment_id().clone(),
        instance: stranger.clone(),
        attempt: wharf_domain::Attempt(1),
    };
    cloud
        .world
        .plant_task(owner, &wharf_testkit::sim::services::plain("planted").name);
    let answer = cloud.invoke(json!({"wharf": "repair"})).await.expect("compared");
    assert_eq!(answer, json!({"left": 1, "mended": 1}));
    assert!(cloud.world.live_tasks(&stranger).is_empty());
    assert!(cloud.world.secrets(&stranger).is_some(), "it may be a customer's");
    let left: Vec<(String, f64)> = lines(&cloud)
        .iter()
        .filter_map(|line| {
            let count = line["RepairFindings"].as_f64().filter(|count| *count > 0.0)?;
            Some((line["Subject"].as_str()?.to_owned(), count))
        })
        .collect();
    assert_eq!(left, [("secrets".to_owned(), 1.0)]);
}
