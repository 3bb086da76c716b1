//! `list`, `show`, `stop`, `delete`, `resume`, `abandon`, `extend`.

use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};
use wharf_domain::{Code, Failure, Timestamp};
use wharf_local::SystemClock;
use wharf_provisioning::StepView;
use wharf_saga::Clock;

use crate::{
    args::{Abandon, Delete, Extend, Global, List, Named},
    client::{Client, segment},
    exit, output, progress,
};

pub(crate) async fn list(global: &Global, options: &List) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let mut instances: Vec<Value> = Vec::new();
    let mut before: Option<String> = None;
    let limit = options.limit as usize;
    while instances.len() < limit {
        let mut query = vec![format!("limit={}", (limit - instances.len()).min(1000))];
        let filters = [
            ("state", &options.state),
            ("service", &options.service),
            ("before", &before),
        ];
        query.extend(
            filters
                .iter()
                .filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_ref()?)))),
        );
        if !options.all && options.state.is_none() {
            query.push("live=true".to_owned());
        }
        let page: Value = client.get(&format!("/instances?{}", query.join("&"))).await?;
        instances.extend(page["instances"].as_array().cloned().unwrap_or_default());
        before = page["next"].as_str().map(str::to_owned);
        if before.is_none() {
            break;
        }
    }
    output::value(&instances, global.format(), |instances| {
        if instances.is_empty() {
            return "no instances; `wharf provision SUBDOMAIN --email … --company …` makes one".to_owned();
        }
        let now = SystemClock.now();
        let rows: Vec<Vec<String>> = instances.iter().map(|instance| row(instance, now)).collect();
        output::table(&["NAME", "SERVICE", "STATE", "FOR", "URL", "CAUSE"], &rows)
    });
    Ok(ExitCode::SUCCESS)
}

fn row(instance: &Value, now: Timestamp) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let name = instance["subdomain"]
        .as_str()
        .or(instance["id"].as_str())
        .unwrap_or("-")
        .to_owned();
    let since = Timestamp(instance["since"].as_u64().unwrap_or_default());
    vec![
        name,
        text(&instance["service"]),
        place(instance).map_or_else(
            || text(&instance["status"]),
            |place| format!("{} ({place})", text(&instance["status"])),
        ),
        output::age(now, since),
        text(&instance["url"]),
        text(&instance["cause"]["code"]),
    ]
}

pub(crate) async fn show(global: &Global, options: &Named) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let instance: Value = client.get(&path(&options.name)).await?;
    output::value(&instance, global.format(), render);
    Ok(ExitCode::SUCCESS)
}

/// Its place in the line, if it is in one: `3 of 12`.
fn place(instance: &Value) -> Option<String> {
    let queue = &instance["queue"];
    Some(format!("{} of {}", queue["position"].as_u64()?, queue["of"].as_u64()?))
}

/// An instance for a person to read.
pub(crate) fn render(instance: &Value) -> String {
    let mut lines = Vec::new();
    let mut field = |name: &str, value: &Value| {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(format!("{name:<10} {text}"));
    };
    field("name", &instance["subdomain"]);
    field("id", &instance["id"]);
    field("service", &instance["service"]);
    field("state", &instance["status"]);
    field("url", &instance["url"]);
    field("company", &instance["company_name"]);
    field("e-mail", &instance["admin_email"]);
    field("attempt", &instance["attempt"]);
    field("listens", &instance["endpoint"]);
    field("task", &instance["task"]);
    field("database", &instance["database"]);
    let ends = instance["expires_at"].as_u64().map(|at| Timestamp(at).in_words());
    field("ends", &json!(ends));
    field("slept", &Value::from(saved(&instance["slept"])));
    field("waits for", &instance["waits_for"]);
    field("in line", &place(instance).map_or(Value::Null, Value::String));
    let cause = &instance["cause"];
    if let Some(code) = cause["code"].as_str() {
        lines.push(format!(
            "cause      {} [{code}]",
            cause["message"].as_str().unwrap_or_default()
        ));
        lines.extend(
            cause["detail"]
                .as_str()
                .into_iter()
                .flat_map(str::lines)
                .map(|line| format!("           | {line}")),
        );
        let is_told = instance["advice"].is_string();
        let hint = cause["hint"].as_str().filter(|_| !is_told);
        lines.extend(hint.map(|hint| format!("hint       {hint}")));
    }
    if let Some(step) = instance["stuck_at"].as_str() {
        lines.push(format!("stuck at   step {step}"));
    }
    lines.extend(instance["advice"].as_str().map(|advice| format!("for you    {advice}")));
    let steps: Vec<StepView> = serde_json::from_value(instance["steps"].clone()).unwrap_or_default();
    if !steps.is_empty() {
        let first = steps[0].started_at;
        let rows: Vec<Vec<String>> = steps.iter().map(|step| step_row(step, first)).collect();
        lines.push(String::new());
        lines.push(output::table(&["STEP", "ATTEMPT", "AT", "TOOK", ""], &rows));
    }
    lines.join("\n")
}

/// What its sleep saved, if it ever slept.
fn saved(slept: &Value) -> Option<String> {
    let times = slept["times"].as_u64()?;
    let total = output::span(Duration::from_millis(slept["millis"].as_u64().unwrap_or_default()));
    let often = if times == 1 {
        "once".to_owned()
    } else {
        format!("{times} times")
    };
    let free = match slept["freed_bytes"].as_u64().unwrap_or_default() {
        0 => String::new(),
        bytes => format!("; {:.1} MiB are free meanwhile", bytes as f64 / f64::from(1 << 20)),
    };
    Some(format!("{often}, {total} in all{free}"))
}

fn step_row(step: &StepView, first: Timestamp) -> Vec<String> {
    let name = if step.undo {
        format!("undo {}", step.step)
    } else {
        step.step.clone()
    };
    let took = step
        .millis
        .map_or_else(|| "…".to_owned(), |millis| output::span(Duration::from_millis(millis)));
    let remark = step
        .failed
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| step.waits_for.as_ref().map(|why| format!("waits for {why}")));
    vec![
        name,
        step.attempt.to_string(),
        format!("+{}", output::span(step.started_at.since(first))),
        took,
        remark.unwrap_or_default(),
    ]
}

pub(crate) async fn stop(global: &Global, options: &Named) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    // A tenant or an instance first; a service of that name if there is none.
    let stopped: Result<Value, Failure> = client.post(&format!("{}/stop", path(&options.name)), &json!({})).await;
    match stopped {
        Ok(answer) => {
            settle(
                &client,
                global,
                id(&answer, &options.name),
                &["stopped", "ended", "failed"],
            )
            .await
        }
        Err(failure) if failure.code == Code::InstanceUnknown => {
            let answer: Value = client
                .post(&format!("/services/{}/stop", segment(&options.name)), &json!({}))
                .await
                .map_err(|other| {
                    if other.code == Code::ServiceUnknown {
                        failure
                    } else {
                        other
                    }
                })?;
            output::value(&answer, global.format(), |answer| {
                let count = answer["instances"].as_array().map_or(0, Vec::len);
                format!("{count} instances of {} are being stopped", options.name)
            });
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn delete(global: &Global, options: &Delete) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let answer: Value = client.delete(&path(&options.name)).await?;
    if options.wait.no_wait {
        output::value(&answer, global.format(), |_| format!("{} is being ended", options.name));
        return Ok(ExitCode::SUCCESS);
    }
    settle(&client, global, id(&answer, &options.name), &["ended", "failed"]).await
}

pub(crate) async fn resume(global: &Global, options: &Named) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let answer: Value = client
        .post(&format!("{}/resume", path(&options.name)), &json!({}))
        .await?;
    let wanted = ["ended", "failed", "stopped", "down", "sleeping", "ready"];
    settle(&client, global, id(&answer, &options.name), &wanted).await
}

pub(crate) async fn abandon(global: &Global, options: &Abandon) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let shown: Value = client.get(&path(&options.name)).await?;
    let id = id(&shown, &options.name);
    let _: Value = client
        .post(&format!("{}/abandon", path(id)), &json!({"reason": options.reason}))
        .await?;
    settle(&client, global, id, &["ended", "failed"]).await
}

pub(crate) async fn extend(global: &Global, options: &Extend) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let shown: Value = client.get(&path(&options.name)).await?;
    let id = id(&shown, &options.name);
    let until = match (&options.end.until, &options.end.by) {
        (Some(until), _) => until.to_string(),
        (_, Some(span)) => later(&shown["expires_at"], *span)?.to_string(),
        (None, None) => "never".to_owned(),
    };
    let answer: Value = client
        .post(&format!("{}/extend", path(id)), &json!({ "until": until }))
        .await?;
    output::value(&answer, global.format(), |_| match until.as_str() {
        "never" => format!("{} has no end any more", options.name),
        until => format!("the time of {} is up at {until}", options.name),
    });
    Ok(ExitCode::SUCCESS)
}

/// So much later than the end that it has, or than now if that is over.
fn later(end: &Value, span: jiff::Span) -> Result<jiff::Timestamp, Failure> {
    let end = end
        .as_i64()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let now = jiff::Timestamp::now();
    let from = end.map_or(now, |end| end.max(now)).to_zoned(jiff::tz::TimeZone::UTC);
    let until = from
        .checked_add(span)
        .map_err(|_| Failure::new(Code::RequestInvalid, "that is later than any time can be"))?;
    Ok(until
        .timestamp()
        .round(jiff::Unit::Second)
        .unwrap_or_else(|_| until.timestamp()))
}

/// The id of the instance that an answer is about: it stays, while a name goes free when its instance is over.
pub(crate) fn id<'a>(answer: &'a Value, name: &'a str) -> &'a str {
    answer["id"].as_str().unwrap_or(name)
}

/// Follows to the end, prints what came of it, and says by the exit code whether that was what was wanted.
pub(crate) async fn settle(client: &Client, global: &Global, name: &str, wanted: &[&str]) -> Result<ExitCode, Failure> {
    let instance = progress::follow(client, name, wanted).await?;
    let status = instance["status"].as_str().unwrap_or_default().to_owned();
    if wanted.contains(&status.as_str()) {
        output::value(&instance, global.format(), summary);
        return Ok(ExitCode::SUCCESS);
    }
    if global.json {
        output::value(&instance, global.format(), summary);
        return Ok(ExitCode::from(exit::FAILED));
    }
    let cause: Option<Failure> = serde_json::from_value(instance["cause"].clone()).ok();
    let mut failure = cause.unwrap_or_else(|| Failure::new(Code::InstanceState, format!("it is {status}")));
    let clean = if status == "failed" && instance["clean"].as_bool() == Some(true) {
        "; everything was taken back"
    } else {
        ""
    };
    failure.message = format!("{} is {status}: {}{clean}", display_name(&instance), failure.message);
    output::failure(&failure, false);
    Ok(ExitCode::from(exit::FAILED))
}

fn display_name(instance: &Value) -> &str {
    instance["subdomain"]
        .as_str()
        .or(instance["id"].as_str())
        .unwrap_or("it")
}

/// One line: who, how, where.
fn summary(instance: &Value) -> String {
    let status = instance["status"].as_str().unwrap_or_default();
    match instance["url"].as_str() {
        Some(url) if status == "ready" => format!("{} is ready: {url}", display_name(instance)),
        _ => format!("{} is {status}", display_name(instance)),
    }
}

pub(crate) fn path(name: &str) -> String {
    format!("/instances/{}", segment(name))
}
