//! "ECS Task State Change" as EventBridge delivers it: at least once, in any order, with members that come without notice. What cannot be
//! understood is somebody else's. Pure but for the versions that were heard.

use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

use super::seen::{Binding, Interface, Seen, SeenContainer, is_interface, port};

/// Tasks whose latest version is remembered.
const MOST: usize = 10_000;
/// EventBridge's doubles come at about the same time. The same event after this long is one of a queue's, which brings a message again
/// that nobody could make anything of: it has to be news again.
const DOUBLES_WITHIN: Duration = Duration::from_secs(20);

/// The task of an event; `None` of any other event.
pub(crate) fn parse(envelope: &Value) -> Option<Seen> {
    if envelope.get("detail-type")?.as_str()? != "ECS Task State Change" {
        return None;
    }
    let detail = envelope.get("detail")?;
    let text = |name: &str| text(detail, name);
    Some(Seen {
        arn: text("taskArn")?,
        version: detail.get("version").and_then(Value::as_i64).unwrap_or_default(),
        started_by: text("startedBy"),
        last_status: text("lastStatus")?,
        desired_status: text("desiredStatus").unwrap_or_default(),
        definition: text("taskDefinitionArn"),
        container_instance: text("containerInstanceArn"),
        interface: list(detail, "attachments")
            .find(|attachment| attachment.get("type").and_then(Value::as_str).is_some_and(is_interface))
            .map(interface),
        stop_code: text("stopCode"),
        stopped_reason: text("stoppedReason"),
        containers: list(detail, "containers").map(container).collect(),
        notes: super::marks::Notes::default(),
    })
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn interface(attachment: &Value) -> Interface {
    let detail = |name: &str| {
        let detail = list(attachment, "details").find(|detail| text(detail, "name").as_deref() == Some(name))?;
        text(detail, "value")
    };
    Interface {
        id: detail("networkInterfaceId"),
        status: text(attachment, "status"),
        address: detail("privateIPv4Address").and_then(|address| address.parse().ok()),
    }
}

fn container(value: &Value) -> SeenContainer {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_i64);
    let over_tcp = list(value, "networkBindings")
        .filter(|binding| text(binding, "protocol").is_none_or(|protocol| protocol == "tcp"));
    SeenContainer {
        name: text(value, "name").unwrap_or_default(),
        exit_code: number(value, "exitCode").and_then(|code| i32::try_from(code).ok()),
        reason: text(value, "reason"),
        address: list(value, "networkInterfaces")
            .find_map(|interface| text(interface, "privateIpv4Address")?.parse().ok()),
        bindings: over_tcp
            .filter_map(|binding| {
                Some(Binding {
                    container: port(number(binding, "containerPort"))?,
                    host: port(number(binding, "hostPort"))?,
                })
            })
            .collect(),
    }
}

/// The latest versions that were heard of.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    state: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Version, and when it was news.
    latest: HashMap<String, (i64, Instant)>,
    /// The oldest first.
    order: VecDeque<String>,
}

impl Versions {
    /// Whether this is news of the task.
    pub(crate) fn is_news(&self, task: &Seen) -> bool {
        let now = Instant::now();
        let mut heard = self.state.lock();
        match heard.latest.get_mut(&task.arn) {
            Some((latest, _)) if *latest > task.version => false,
            Some((latest, since)) if *latest == task.version && now.duration_since(*since) < DOUBLES_WITHIN => false,
            Some(latest) => {
                *latest = (task.version, now);
                true
            }
            None => {
                heard.latest.insert(task.arn.clone(), (task.version, now));
                heard.order.push_back(task.arn.clone());
                if heard.order.len() > MOST
                    && let Some(oldest) = heard.order.pop_front()
                {
                    heard.latest.remove(&oldest);
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TASK: &str = "arn:aws:ecs:us-west-2:111122223333:task/FargateCluster/c13b4cb40f1f4fe4a2971f76ae5a47ad";

    fn envelope() -> Value {
        json!({
            "version": "0",
            "id": "3317b2af-7005-947d-b652-f55e762e571a",
            "detail-type": "ECS Task State Change",
            "source": "aws.ecs",
            "account": "111122223333",
            "time": "2020-01-23T17:57:58Z",
            "detail": {
                "attachments": [{
                    "id": "1789bcae-ddfb-4d10-8ebe-8ac87ddba5b8",
                    "type": "eni",
                    "status": "ATTACHED",
                    "details": [
                        {"name": "subnetId", "value": "subnet-abcd1234"},
                        {"name": "networkInterfaceId", "value": "eni-abcd1234"},
                        {"name": "privateIPv4Address", "value": "10.0.0.139"}
                    ]
                }],
                "clusterArn": "arn:aws:ecs:us-west-2:111122223333:cluster/FargateCluster",
                "containers": [{
                    "lastStatus": "RUNNING",
                    "name": "FargateApp",
                    "networkInterfaces": [{"attachmentId": "1789bcae", "privateIpv4Address": "10.0.0.139"}],
                    "cpu": "0"
                }],
                "createdAt": "2020-01-23T17:57:34.402Z",
                "launchType": "FARGATE",
                "desiredStatus": "RUNNING",
                "lastStatus": "RUNNING",
                "overrides": {"containerOverrides": [{"name": "FargateApp"}]},
                "taskArn": TASK,
                "taskDefinitionArn": "arn:aws:ecs:us-west-2:111122223333:task-definition/sample-fargate:1",
                "version": 4,
                "something": {"new": [1, 2, 3]}
            }
        })
    }

    #[test]
    fn an_event_tells_what_describe_tasks_tells() {
        let seen = parse(&envelope()).expect("a task");
        assert_eq!(
            (seen.arn.as_str(), seen.version, seen.last_status.as_str()),
            (TASK, 4, "RUNNING")
        );
        assert_eq!(seen.own_address(), Some("10.0.0.139".parse().expect("an address")));
        assert_eq!(
            seen.interface.and_then(|interface| interface.id).as_deref(),
            Some("eni-abcd1234")
        );
    }

    #[test]
    fn members_that_are_missing_or_of_another_kind_are_no_failure() {
        let mut event = envelope();
        event["detail"]["attachments"] = json!("none");
        event["detail"]["containers"] = json!([{"exitCode": 1}, 7, null, {"networkBindings": [{"hostPort": 70000}]}]);
        event["detail"]["version"] = json!("4");
        let seen = parse(&event).expect("a task");
        assert_eq!((seen.version, seen.interface, seen.containers.len()), (0, None, 4));
        assert_eq!(seen.containers[0].exit_code, Some(1));
    }

    #[test]
    fn what_is_no_task_state_change_is_none() {
        let mut other = envelope();
        other["detail-type"] = json!("ECS Container Instance State Change");
        let mut bare = envelope();
        bare["detail"] = json!({});
        for event in [other, bare, json!({}), json!([]), json!(null), json!("x")] {
            assert_eq!(parse(&event), None, "{event}");
        }
    }

    fn at(version: i64) -> Seen {
        Seen {
            arn: TASK.into(),
            version,
            ..Seen::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_queue_brings_again_is_news_again() {
        let versions = Versions::default();
        assert!(versions.is_news(&at(2)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!versions.is_news(&at(2)), "a double");
        tokio::time::advance(DOUBLES_WITHIN).await;
        assert!(versions.is_news(&at(2)), "whoever was told could make nothing of it");
        assert!(!versions.is_news(&at(1)), "and what is late stays so");
    }

    #[test]
    fn only_a_higher_version_is_news() {
        let versions = Versions::default();
        assert!(versions.is_news(&at(2)));
        assert!(!versions.is_news(&at(2)), "told twice");
        assert!(!versions.is_news(&at(1)), "late");
        assert!(versions.is_news(&at(3)));
        for number in 0..=MOST {
            let other = Seen {
                arn: format!("{number}"),
                ..Seen::default()
            };
            assert!(versions.is_news(&other));
        }
        assert!(versions.is_news(&at(1)), "forgotten, so that the memory is bounded");
        assert_eq!(versions.state.lock().latest.len(), MOST);
    }
}
