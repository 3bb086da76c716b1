//! CloudWatch Logs: groups, the streams of tasks that write to them, and what they wrote.

use crate::clock::Moment;
use crate::refusal::Refusal;
use crate::wire::request::members;
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// By name of the group, then of the stream.
    pub(crate) groups: BTreeMap<String, BTreeMap<String, Vec<Line>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Moment,
    pub(crate) text: String,
}

/// Lines that a stream keeps: beyond that the oldest go.
const MOST_LINES: usize = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    log_group_name: Option<String>,
    log_group_name_prefix: Option<String>,
    log_stream_name: Option<String>,
    log_stream_name_prefix: Option<String>,
    start_from_head: bool,
    limit: Option<usize>,
    next_token: Option<String>,
    start_time: Option<u64>,
    end_time: Option<u64>,
}

impl World {
    pub(crate) fn logs(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        let asked: Asked = members(input)?;
        match operation {
            "DescribeLogGroups" => Ok(self.describe_log_groups(&asked)),
            "DescribeLogStreams" => self.describe_log_streams(&asked),
            "GetLogEvents" => self.get_log_events(&asked),
            _ => Err(Refusal::new(
                "UnknownOperationException",
                format!("{operation} is not simulated"),
            )),
        }
    }

    /// A line of a container's output, into the stream that it opened when it began to run. False where it has none.
    pub(crate) fn write_log(&mut self, task: &str, container: &str, text: &str) -> bool {
        let Some(task) = self
            .ecs
            .task_numbers
            .get(task)
            .and_then(|number| self.ecs.tasks.get(number))
        else {
            return false;
        };
        let definition = self.find_definition(&task.definition);
        let found =
            definition.and_then(|definition| definition.containers.iter().find(|found| found.name == container));
        let Some((group, stream, _)) = found.and_then(|found| found.log_stream(task.id())) else {
            return false;
        };
        let at = self.now;
        let Some(lines) = self
            .logs
            .groups
            .get_mut(&group)
            .and_then(|streams| streams.get_mut(&stream))
        else {
            return false;
        };
        if lines.len() >= MOST_LINES {
            lines.remove(0);
        }
        lines.push(Line {
            at,
            text: text.to_owned(),
        });
        true
    }

    fn describe_log_groups(&self, asked: &Asked) -> Value {
        let prefix = asked.log_group_name_prefix.as_deref().unwrap_or_default();
        let groups: Vec<_> = self
            .logs
            .groups
            .keys()
            .filter(|name| name.starts_with(prefix))
            .take(asked.limit.unwrap_or(50).min(50))
            .map(|name| {
                json!({
                    "logGroupName": name, "arn": format!("{}:*", self.account.logs(name)), "logGroupArn": self.account.logs(name),
                    "creationTime": 0, "storedBytes": 0, "metricFilterCount": 0,
                })
            })
            .collect();
        json!({ "logGroups": groups })
    }

    fn streams(&self, asked: &Asked) -> Result<&BTreeMap<String, Vec<Line>>, Refusal> {
        asked
            .log_group_name
            .as_ref()
            .and_then(|name| self.logs.groups.get(name))
            .ok_or_else(|| missing("The specified log group does not exist."))
    }

    fn describe_log_streams(&self, asked: &Asked) -> Result<Value, Refusal> {
        let prefix = asked.log_stream_name_prefix.as_deref().unwrap_or_default();
        let streams: Vec<_> = self
            .streams(asked)?
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .take(asked.limit.unwrap_or(50).min(50))
            .map(|(name, lines)| {
                let last = lines.last().map(|line| line.at.as_millis() as u64);
                json!({ "logStreamName": name, "lastEventTimestamp": last, "storedBytes": 0 })
            })
            .collect();
        Ok(json!({ "logStreams": streams }))
    }

    /// Tokens are positions: `f/N` goes forward from line N, `b/N` backward to it. At an end a call gives the token that it got.
    fn get_log_events(&self, asked: &Asked) -> Result<Value, Refusal> {
        let lines = asked
            .log_stream_name
            .as_ref()
            .and_then(|name| self.streams(asked).map(|streams| streams.get(name)).transpose())
            .ok_or_else(|| missing("The specified log stream does not exist."))??;
        let within = |line: &&Line| {
            let at = line.at.as_millis() as u64;
            asked.start_time.is_none_or(|from| at >= from) && asked.end_time.is_none_or(|to| at < to)
        };
        let lines: Vec<_> = lines.iter().filter(within).collect();
        let limit = asked.limit.unwrap_or(MOST_LINES).clamp(1, MOST_LINES);
        let (from, to) = match asked.next_token.as_deref().map(position) {
            Some(Some((true, at))) => (at.min(lines.len()), at.saturating_add(limit).min(lines.len())),
            Some(Some((false, at))) => (at.min(lines.len()).saturating_sub(limit), at.min(lines.len())),
            Some(None) => return Err(Refusal::parameter("The specified nextToken is invalid.")),
            None if asked.start_from_head => (0, limit.min(lines.len())),
            None => (lines.len().saturating_sub(limit), lines.len()),
        };
        let events: Vec<_> = lines[from..to]
            .iter()
            .map(|line| {
                let at = line.at.as_millis() as u64;
                json!({ "timestamp": at, "ingestionTime": at, "message": line.text })
            })
            .collect();
        Ok(json!({
            "events": events, "nextForwardToken": format!("f/{to}"), "nextBackwardToken": format!("b/{from}"),
        }))
    }
}

fn position(token: &str) -> Option<(bool, usize)> {
    let (way, at) = token.split_once('/')?;
    Some((way == "f", at.parse().ok()?)).filter(|_| way == "f" || way == "b")
}

fn missing(message: &str) -> Refusal {
    Refusal::new("ResourceNotFoundException", message)
}
