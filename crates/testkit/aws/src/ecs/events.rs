//! "ECS Task State Change" events, in the form in which EventBridge hands them on. Delivery is in [`crate::delivery`].

use super::task::Task;
use crate::clock::{Moment, iso};
use crate::world::World;
use serde_json::{Value, json};
use std::time::Duration;

/// A change of a task that subscribers are told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateChange {
    pub(crate) at: Moment,
    pub(crate) task: String,
    pub(crate) version: i64,
    pub(crate) event: Value,
}

impl StateChange {
    pub(crate) fn with_id(mut self, id: &str) -> Self {
        self.event["id"] = json!(id);
        self
    }
}

impl World {
    /// The envelope with the task as it is now. It differs from DescribeTasks in the ways that AWS's differs.
    pub(crate) fn task_event(&self, task: &Task) -> Value {
        let mut detail = self.task_shape(task, false);
        if let Some(members) = detail.as_object_mut() {
            for name in ["tags", "healthStatus", "inferenceAccelerators"] {
                members.remove(name);
            }
            for value in members
                .iter_mut()
                .filter(|(name, _)| name.ends_with("At"))
                .map(|(_, value)| value)
            {
                if let Some(seconds) = value.as_f64() {
                    *value = json!(iso(Duration::from_secs_f64(seconds)));
                }
            }
        }
        for attachment in detail["attachments"].as_array_mut().into_iter().flatten() {
            attachment["type"] = json!("eni");
        }
        detail["updatedAt"] = json!(iso(self.now));
        json!({
            "version": "0",
            "detail-type": "ECS Task State Change",
            "source": "aws.ecs",
            "account": self.account.id,
            "time": iso(self.now),
            "region": self.account.region,
            "resources": [task.arn],
            "detail": detail,
        })
    }
}
