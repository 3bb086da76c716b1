//! What tasks print: CloudWatch Logs, where the task definition's `awslogs` driver sends it.
//!
//! Reading is by polling, since the API pushes nothing to a plain reader. Other drivers keep output where only they know.

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use wharf_domain::{Code, Failure, InstanceId, service::RunSpec};
use wharf_platform::{LogLine, Logs, Printer, logs::clean};

use crate::{
    Governor,
    ecs::{Definitions, Shape, cluster_and_id},
    operations::Operation,
    signed::{LOGS, Question, Signed},
};

/// CloudWatch shows a line a few seconds after it was printed; looking more often shows no more.
const POLL: Duration = Duration::from_secs(2);
/// What one call gives at most.
const PAGE: usize = 10_000;
/// Of one line.
const LINE_MAX: usize = 16 * 1024;
/// Failures in a row after which a reader who follows is let go.
const FAILURES: u32 = 10;

/// Reads the output of tasks on ECS.
#[derive(Clone, Debug)]
pub struct EcsLogs {
    signed: Signed,
    definitions: Arc<Definitions>,
}

/// Where one task's container prints.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stream {
    group: String,
    name: String,
    region: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    events: Vec<Event>,
    next_forward_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    message: String,
}

/// A log group, as `doctor` looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogGroup {
    #[serde(rename = "logGroupName")]
    pub name: String,
    /// `None`: for ever.
    #[serde(default)]
    pub retention_in_days: Option<u32>,
}

impl EcsLogs {
    pub(crate) const fn new(signed: Signed, definitions: Arc<Definitions>) -> Self {
        Self { signed, definitions }
    }

    /// The last lines of a task.
    pub(crate) async fn tail(
        &self,
        definition: &crate::ecs::Definition,
        container: Option<&str>,
        task: &str,
        lines: usize,
        deadline: Instant,
    ) -> Result<Vec<String>, Failure> {
        let stream = stream_of(definition, container, task)?;
        let page = self.page(&stream, lines, None, deadline).await?;
        Ok(page.events.into_iter().map(|event| event.message).collect())
    }

    /// Log groups whose names begin so.
    pub async fn groups(&self, prefix: &str, deadline: Instant) -> Result<Vec<LogGroup>, Failure> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Groups {
            log_groups: Vec<LogGroup>,
        }
        let body = json!({"logGroupNamePrefix": prefix, "limit": 50});
        let question = Question::json(LOGS, "Logs_20140328.DescribeLogGroups", &body);
        let operation = Operation::LogsDescribeLogGroups;
        let answer = self.signed.ask(operation, prefix, deadline, &question).await?;
        read::<Groups>(operation, &answer).map(|groups| groups.log_groups)
    }

    /// Lines from the token on; the last ones without one. A stream that is not there yet is empty.
    async fn page(
        &self,
        stream: &Stream,
        limit: usize,
        token: Option<&str>,
        deadline: Instant,
    ) -> Result<Page, Failure> {
        let mut body = json!({
            "logGroupName": stream.group,
            "logStreamName": stream.name,
            "limit": limit.clamp(1, PAGE),
            "startFromHead": token.is_some(),
        });
        if let Some(token) = token {
            body["nextToken"] = json!(token);
        }
        let question = Question {
            region: stream.region.clone(),
            ..Question::json(LOGS, "Logs_20140328.GetLogEvents", &body)
        };
        let operation = Operation::LogsGetLogEvents;
        let resource = format!("the log group {}", stream.group);
        match self.signed.ask(operation, &resource, deadline, &question).await {
            Ok(answer) => read(operation, &answer),
            Err(failure) if failure.message.contains("log stream does not exist") => Ok(Page::default()),
            Err(failure) if failure.message.contains("ResourceNotFoundException") => Err(failure.hint(format!(
                "create the log group {}, which the task definition names",
                stream.group
            ))),
            Err(failure) => Err(failure),
        }
    }

    /// Where this printer's task prints; `None` where none was ever started.
    async fn find(&self, printer: &Printer, deadline: Instant) -> Result<Option<Stream>, Failure> {
        let RunSpec::Ecs(run) = &printer.run else {
            return Err(Failure::new(
                Code::ConfigInvalid,
                "the service says nothing of how it runs on ECS",
            ));
        };
        let Some((_, id)) = printer.task.as_ref().and_then(|task| cluster_and_id(&task.id)) else {
            return Ok(None);
        };
        let definition = self.definitions.get(&run.task_definition, deadline).await?;
        let container = Shape::of(run, &definition)?.container;
        stream_of(&definition, Some(&container), id).map(Some)
    }

    /// The lines to come, from a token on.
    fn follow(&self, stream: Stream, token: Option<String>) -> BoxStream<'static, LogLine> {
        let state = (self.clone(), stream, token, 0);
        stream::unfold(state, async |(logs, stream, token, failures)| {
            sleep(POLL).await;
            match logs.page(&stream, PAGE, token.as_deref(), Governor::deadline()).await {
                Ok(page) => {
                    let token = page.next_forward_token.clone().or(token);
                    Some((lines(page), (logs, stream, token, 0)))
                }
                Err(failure) if failure.code.is_passing() && failures < FAILURES => {
                    Some((Vec::new(), (logs, stream, token, failures + 1)))
                }
                Err(failure) => {
                    tracing::warn!(error = %failure.message, "a task's output cannot be followed any further");
                    None
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }
}

fn stream_of(definition: &crate::ecs::Definition, container: Option<&str>, task: &str) -> Result<Stream, Failure> {
    let container = match container {
        Some(name) => definition.container(name),
        None => definition.containers.iter().find(|container| container.essential),
    };
    let Some(container) = container else {
        return Err(Failure::new(
            Code::ConfigInvalid,
            format!(
                "the task definition {} has not the container whose output is asked for",
                definition.name()
            ),
        ));
    };
    let elsewhere = |why: String| {
        Failure::new(
            Code::ConfigInvalid,
            format!(
                "the output of the container {} of {} cannot be read: {why}",
                container.name,
                definition.name()
            ),
        )
    };
    let Some(logs) = &container.logs else {
        let why = match container.log_driver.as_deref() {
            Some(driver) => format!("its log driver is {driver}"),
            None => "it has no log configuration".to_owned(),
        };
        return Err(elsewhere(why).hint(
            "give the container a logConfiguration with the awslogs driver (awslogs-group, awslogs-region, awslogs-stream-prefix), or read the output where its driver sends it",
        ));
    };
    let Some(prefix) = &logs.stream_prefix else {
        return Err(elsewhere(
            "its log configuration has no awslogs-stream-prefix, so that its streams have names that only Docker knows"
                .to_owned(),
        )
        .hint("set awslogs-stream-prefix in the container's logConfiguration"));
    };
    Ok(Stream {
        group: logs.group.clone(),
        name: format!("{prefix}/{}/{task}", container.name),
        region: logs.region.clone(),
    })
}

fn read<T: serde::de::DeserializeOwned>(operation: Operation, answer: &str) -> Result<T, Failure> {
    serde_json::from_str(answer).map_err(|error| {
        Failure::new(
            Code::AwsUnavailable,
            format!("{}'s answer cannot be read: {error}", operation.action()),
        )
    })
}

/// What a task prints is the tenant's: it drives nobody's terminal, and a line feed in it makes another line and not a forged one.
fn lines(page: Page) -> Vec<LogLine> {
    let line = |mut text: String| {
        text.truncate(text.floor_char_boundary(LINE_MAX));
        LogLine { text }
    };
    page.events
        .into_iter()
        .flat_map(|event| {
            let text = clean(event.message.as_bytes());
            // An empty message is an empty line.
            let several: Vec<LogLine> = text.split('\n').map(|text| line(text.to_owned())).collect();
            several
        })
        .collect()
}

#[async_trait]
impl Logs for EcsLogs {
    async fn read(
        &self,
        printer: &Printer,
        count: usize,
        follow: bool,
    ) -> Result<BoxStream<'static, LogLine>, Failure> {
        let deadline = Governor::deadline();
        let Some(stream) = self.find(printer, deadline).await? else {
            return Ok(stream::empty().boxed());
        };
        let page = self.page(&stream, count, None, deadline).await?;
        let token = page.next_forward_token.clone();
        // CloudWatch gives one line at the least.
        let past = stream::iter(if count == 0 { Vec::new() } else { lines(page) });
        Ok(if follow {
            past.chain(self.follow(stream, token)).boxed()
        } else {
            past.boxed()
        })
    }

    /// The log group's retention does that: output of ended instances stays readable as long as the operator wants.
    async fn remove(&self, _instance: &InstanceId) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
