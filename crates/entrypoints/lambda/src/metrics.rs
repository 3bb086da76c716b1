//! What happens to instances, told to operators: a log line for each entry of a history, and CloudWatch metrics in the embedded metric format, which is a log
//! line too: nothing is called for them, and nothing waits.
//!
//! | metric | unit | what it counts |
//! |---|---|---|
//! | `ProvisionDuration` | ms | from the request to the first Ready |
//! | `StepDuration` | ms | each step that was run, by `Step` |
//! | `ProvisionFailed` | 1 | a start that ended as Failed or Stuck, by `Code` |
//! | `TaskStartFailed` | 1 | a task that could not be started, or stopped before it ran |
//! | `TaskStartSucceeded` | 0 or 1 | each start that has come to its end: the mean is the share that succeeded |
//! | `RepairFindings` | 1 | differences between registry and world that a comparison left, by `Subject` |
//! | `RegisteredWithin60s` | 0 or 1 | each task that was registered: whether within 60 seconds of the request |

use serde_json::{Map, Value, json};
use std::time::Duration;
use wharf_domain::{Code, DeploymentId, Instance, Timestamp};
use wharf_provisioning::{Reporter, repair::RepairRun};
use wharf_saga::store::{Happening, HistoryEntry};

const NAMESPACE: &str = "Wharf";
/// The requirement: tasks are registered with their target group within this time.
const REGISTERED_WITHIN: Duration = Duration::from_mins(1);

/// Where lines go.
pub type Lines = Box<dyn Fn(&str) + Send + Sync>;

/// Writes metrics and log lines.
pub struct Metrics {
    deployment: DeploymentId,
    write: Lines,
}

impl Metrics {
    #[must_use]
    pub fn new(deployment: DeploymentId, write: Lines) -> Self {
        Self { deployment, write }
    }

    /// Lines on standard output, from where Lambda takes them to CloudWatch.
    #[must_use]
    pub fn to_stdout(deployment: DeploymentId) -> Self {
        use std::io::Write;
        Self::new(
            deployment,
            Box::new(|line| {
                // Where nobody reads, nobody is told.
                let _ = writeln!(std::io::stdout().lock(), "{line}");
            }),
        )
    }

    fn put(&self, at: Timestamp, instance: &Instance, beside: Option<(&str, &str)>, metrics: &[(&str, &str, f64)]) {
        let mut dimensions = vec![vec!["Deployment"], vec!["Deployment", "Service"]];
        if let Some((name, _)) = beside {
            dimensions.push(vec!["Deployment", name]);
        }
        let described: Vec<Value> = metrics
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
            .collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": at.as_millis(),
                "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": described}],
            }),
        );
        line.insert("Deployment".to_owned(), self.deployment.as_str().into());
        line.insert("Service".to_owned(), instance.service.name.as_str().into());
        line.insert("instance".to_owned(), instance.id.as_str().into());
        if let Some((name, value)) = beside {
            line.insert(name.to_owned(), value.into());
        }
        for (name, _, value) in metrics {
            line.insert((*name).to_owned(), json!(value));
        }
        (self.write)(&Value::Object(line).to_string());
    }
}

impl Metrics {
    /// One line: how many differences a comparison left, of this subject.
    fn put_findings(&self, at: Timestamp, subject: &str, count: usize) {
        let line = json!({
            "_aws": {
                "Timestamp": at.as_millis(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Deployment"], ["Deployment", "Subject"]],
                    "Metrics": [{"Name": "RepairFindings", "Unit": "Count"}],
                }],
            },
            "Deployment": self.deployment.as_str(),
            "Subject": subject,
            "RepairFindings": count,
        });
        (self.write)(&line.to_string());
    }
}

impl Reporter for Metrics {
    fn repaired(&self, run: &RepairRun) {
        for (subject, count) in run.counts() {
            self.put_findings(run.at, subject.as_str(), count);
        }
    }

    fn happened(&self, instance: &Instance, entry: &HistoryEntry) {
        log(instance, entry);
        let at = entry.at;
        let is_first = instance.first_ready_at.is_none_or(|first| first >= at);
        match &entry.what {
            Happening::Done {
                step,
                undo: false,
                millis,
            } => {
                self.put(
                    at,
                    instance,
                    Some(("Step", step)),
                    &[("StepDuration", "Milliseconds", *millis as f64)],
                );
                if step == "route" && instance.attempt.0 == 1 {
                    let in_time = at.since(instance.created_at) <= REGISTERED_WITHIN;
                    self.put(
                        at,
                        instance,
                        None,
                        &[("RegisteredWithin60s", "None", f64::from(u8::from(in_time)))],
                    );
                }
            }
            Happening::Failed {
                step,
                undo: false,
                last: true,
                cause,
            } if step == "task" || step == "running" => {
                let code = Some(("Code", cause.code.as_str()));
                self.put(at, instance, code, &[("TaskStartFailed", "Count", 1.0)]);
            }
            Happening::State { state, .. } if state == "ready" && is_first => {
                let took = at.since(instance.created_at).as_millis() as f64;
                let metrics = [
                    ("ProvisionDuration", "Milliseconds", took),
                    ("TaskStartSucceeded", "None", 1.0),
                ];
                self.put(at, instance, None, &metrics);
            }
            Happening::State {
                state,
                cause: Some(cause),
            } if matches!(state.as_str(), "failed" | "stuck") && instance.first_ready_at.is_none() => {
                let code = Some(("Code", cause.code.as_str()));
                let failed = ("ProvisionFailed", "Count", 1.0);
                let not_succeeded = ("TaskStartSucceeded", "None", 0.0);
                // What somebody took back has neither succeeded nor failed.
                if cause.code == Code::InstanceCancelled {
                    self.put(at, instance, code, &[failed]);
                } else {
                    self.put(at, instance, code, &[failed, not_succeeded]);
                }
            }
            _ => {}
        }
    }
}

/// One line for each entry: instance and step stand in fields of their own.
fn log(instance: &Instance, entry: &HistoryEntry) {
    let (id, service, attempt) = (&instance.id, &instance.service.name, entry.attempt);
    match &entry.what {
        Happening::Began { saga } => tracing::info!(instance = %id, %service, attempt, saga, "a saga begins"),
        Happening::Started { step, undo } => tracing::debug!(instance = %id, attempt, step, undo, "a step begins"),
        Happening::Done { step, undo, millis } => {
            tracing::info!(instance = %id, attempt, step, undo, millis, "a step is done");
        }
        Happening::Waits { step, undo, why } => {
            tracing::info!(instance = %id, attempt, step, undo, why, "a step waits")
        }
        // The engine has told of it.
        Happening::Failed { .. } => {}
        Happening::State { state, cause } => {
            let code = cause.as_ref().map(|cause| cause.code.as_str());
            tracing::info!(instance = %id, %service, attempt, state, code, "the state changes");
        }
        Happening::Note { text } => tracing::info!(instance = %id, attempt, text, "noted"),
    }
}
