//! "ECS Task State Change", as EventBridge delivers it, bare and as a message of the queue has it: what is not of this deployment is nobody's, and what was heard is
//! no news.

use serde_json::Value;
use std::{num::NonZeroU32, sync::Arc};
use wharf_aws::{ClientOptions, Clients, EcsTasks, Governor};
use wharf_domain::DeploymentId;
use wharf_lambda::Message;
use wharf_platform::TaskStatus;
use wharf_saga::Ids;
use wharf_testkit::sim::{SimIds, SimWorld};

/// The deployment whose tasks the seeds speak of.
const DEPLOYMENT: &str = "dep_0123456789abcdef";

/// Nothing is called: what is heard is read, and that is all.
fn tasks() -> EcsTasks {
    let ids: Arc<dyn Ids> = Arc::new(SimIds::new(1));
    let deployment: DeploymentId = DEPLOYMENT.parse().expect("an id");
    EcsTasks::new(
        deployment,
        Arc::new(Clients::new(ClientOptions::default())),
        Arc::new(Governor::new(NonZeroU32::MIN, ids)),
        Arc::new(SimWorld::new(1).clock()),
    )
}

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    // As a message of the queue it is told from everything else, and is the same.
    let is_change = value.get("detail-type").and_then(Value::as_str) == Some("ECS Task State Change");
    if is_change && value.get("wharf").is_none() {
        assert_eq!(Message::parse(text).ok(), Some(Message::TaskChange(value.clone())));
    }
    let tasks = tasks();
    let Some(event) = tasks.heard(&value) else { return };
    assert!(is_change);
    let started_by = value["detail"]["startedBy"].as_str().expect("whose it is");
    assert!(
        started_by.contains(DEPLOYMENT) && started_by.contains(event.instance.as_str()),
        "{started_by}"
    );
    assert_eq!(Some(event.task.id.as_str()), value["detail"]["taskArn"].as_str());
    let status = value["detail"]["lastStatus"].as_str().expect("a status");
    match &event.status {
        TaskStatus::Running { endpoint } => assert!(status == "RUNNING" && endpoint.is_none(), "{status}"),
        TaskStatus::Stopped { cause, .. } => assert!(!cause.message.is_empty(), "{status}"),
        TaskStatus::Paused { cause } => panic!("ECS pauses no task: {status}, {}", cause.message),
        TaskStatus::Pending { .. } | TaskStatus::Gone => assert_ne!(status, "RUNNING"),
    }
    assert_eq!(tasks.heard(&value), None, "twice is no news");
}
