//! DescribeTasks, ListTasks and StopTask.

use super::task::{Before, Task};
use crate::names::last_part;
use crate::refusal::Refusal;
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DescribeTasks {
    cluster: Option<String>,
    tasks: Vec<String>,
    include: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListTasks {
    cluster: Option<String>,
    container_instance: Option<String>,
    family: Option<String>,
    started_by: Option<String>,
    service_name: Option<String>,
    desired_status: Option<String>,
    launch_type: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StopTask {
    cluster: Option<String>,
    task: String,
    reason: Option<String>,
}

impl World {
    pub(crate) fn describe_tasks(&self, input: &DescribeTasks) -> Result<Value, Refusal> {
        let cluster = self.cluster_of(input.cluster.as_deref())?;
        match input.tasks.len() {
            0 => return Err(Refusal::parameter("Tasks cannot be empty.")),
            1..=100 => {}
            _ => return Err(Refusal::parameter("Tasks cannot have more than 100 elements.")),
        }
        let with_tags = input.include.iter().any(|what| what == "TAGS");
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.tasks {
            let shown = self
                .task_by(&cluster, reference)
                .filter(|task| task.described_from <= self.now);
            match shown {
                Some(task) => tasks.push(self.shown(task, with_tags)),
                None => failures.push(json!({ "arn": self.task_arn(&cluster, reference), "reason": "MISSING" })),
            }
        }
        Ok(json!({ "tasks": tasks, "failures": failures }))
    }

    pub(crate) fn list_tasks(&self, input: &ListTasks) -> Result<Value, Refusal> {
        let cluster = self.cluster_of(input.cluster.as_deref())?;
        let others = [
            &input.container_instance,
            &input.family,
            &input.service_name,
            &input.launch_type,
        ];
        if input.started_by.is_some() && others.iter().any(|filter| filter.is_some()) {
            return Err(Refusal::parameter("startedBy must be the only filter that is used."));
        }
        let most = input.max_results.unwrap_or(100);
        if !(1..=100).contains(&most) {
            return Err(Refusal::parameter("maxResults must be between 1 and 100."));
        }
        let stopped = match input.desired_status.as_deref() {
            None | Some("RUNNING") => false,
            Some("STOPPED") => true,
            // ECS takes it, and never has one: no task is meant to be PENDING.
            Some("PENDING") => return Ok(json!({ "taskArns": [] })),
            Some(other) => return Err(Refusal::parameter(format!("Unknown desired status {other}."))),
        };
        let same = |filter: &Option<String>, value: &str| filter.as_deref().is_none_or(|filter| filter == value);
        let found: Vec<&Task> = self
            .ecs
            .tasks
            .values()
            .filter(|task| task.cluster == cluster && task.listed_from <= self.now)
            .filter(|task| {
                let before = task.shown_before(self.now);
                before.map_or(task.to_be_stopped, |before| before.to_be_stopped) == stopped
            })
            .filter(|task| same(&input.started_by, task.started_by.as_deref().unwrap_or_default()))
            .filter(|task| same(&input.family, &task.family) && same(&input.launch_type, task.launch.name()))
            .filter(|task| {
                let on = task.instance.as_deref().map(last_part);
                input
                    .container_instance
                    .as_deref()
                    .map(last_part)
                    .is_none_or(|asked| on == Some(asked))
            })
            .filter(|_| input.service_name.is_none())
            .collect();
        let from = page_start(input.next_token.as_deref())?;
        let arns: Vec<_> = found.iter().skip(from).take(most).map(|task| &task.arn).collect();
        let mut answer = json!({ "taskArns": arns });
        if found.len() > from.saturating_add(most) {
            answer["nextToken"] = json!(page_token(from.saturating_add(most)));
        }
        Ok(answer)
    }

    pub(crate) fn stop_task(&mut self, input: &StopTask) -> Result<Value, Refusal> {
        let cluster = self.cluster_of(input.cluster.as_deref())?;
        if input.reason.as_ref().is_some_and(|reason| reason.chars().count() > 255) {
            return Err(Refusal::parameter("reason should have 255 characters or less."));
        }
        let number = self
            .task_by(&cluster, &input.task)
            .map(|task| task.number)
            .ok_or_else(|| Refusal::parameter("The referenced task was not found."))?;
        let reason = input
            .reason
            .clone()
            .unwrap_or_else(|| "Task stopped by user".to_owned());
        self.end(number, "UserInitiated", reason, false);
        let task = self.shape_of(number);
        Ok(json!({ "task": task }))
    }

    /// The task of this cluster with this ARN or id.
    pub(crate) fn task_by(&self, cluster: &str, reference: &str) -> Option<&Task> {
        let number = self.ecs.task_numbers.get(&self.task_arn(cluster, reference))?;
        self.ecs.tasks.get(number).filter(|task| task.cluster == cluster)
    }

    fn task_arn(&self, cluster: &str, reference: &str) -> String {
        if reference.starts_with("arn:") {
            reference.to_owned()
        } else {
            self.account.ecs(&format!("task/{cluster}/{reference}"))
        }
    }

    /// As reads show it: perhaps not as it is by now.
    fn shown(&self, task: &Task, with_tags: bool) -> Value {
        let Some(before) = task.shown_before(self.now) else {
            return self.task_shape(task, with_tags);
        };
        let mut shape = before.shape.clone();
        if !with_tags {
            shape["tags"] = json!([]);
        }
        shape
    }

    /// Reads may go on to show the task as it is now, for a while after it has changed.
    pub(crate) fn remember(&mut self, number: u64) {
        let Some(time) = self.reads.unseen_for() else { return };
        let Some((shape, task)) = self.shape_of(number).zip(self.ecs.tasks.get_mut(&number)) else {
            return;
        };
        if task.shown_before(self.now).is_none() {
            task.before = Some(Before {
                until: self.now + time,
                shape,
                to_be_stopped: task.to_be_stopped,
            });
        }
    }

    /// As RunTask and StopTask show it: with its tags.
    pub(crate) fn shape_of(&self, number: u64) -> Option<Value> {
        self.ecs.tasks.get(&number).map(|task| self.task_shape(task, true))
    }
}

pub(crate) fn page_token(from: usize) -> String {
    format!("page-{from}")
}

/// Where the page begins that a token names; at the first where there is none.
pub(crate) fn page_start(token: Option<&str>) -> Result<usize, Refusal> {
    let Some(token) = token else { return Ok(0) };
    token
        .strip_prefix("page-")
        .and_then(|from| from.parse().ok())
        .ok_or_else(|| Refusal::parameter("Invalid token"))
}
