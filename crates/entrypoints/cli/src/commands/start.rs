//! `provision`, `start`, `send-event`.

use http::Method;
use serde_json::{Map, Value, json};
use std::{io::Read, process::ExitCode};
use wharf_domain::{Code, Failure};

use super::instances::{id, path, settle};
use crate::{
    args::{Global, Provision, SendEvent, Start},
    client::{Accepted, Client, segment},
    exit, output,
};

/// The largest event that is read.
const EVENT_MAX: u64 = 1024 * 1024;

/// What was asked for. Who sleeps by the time that somebody looks was ready, and is for whoever asks.
const AWAKE_OR_ASLEEP: &[&str] = &["ready", "sleeping"];

pub(crate) async fn provision(global: &Global, options: Provision) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let mut body =
        json!({"subdomain": options.subdomain, "admin_email": options.email, "company_name": options.company});
    if let Some(service) = &options.service {
        body["service"] = service.as_str().into();
    }
    let accepted: Accepted = client
        .call(
            Method::POST,
            "/provision",
            Some(&body),
            options.idempotency_key.as_deref(),
        )
        .await?;
    finish(&client, global, &accepted, options.wait.no_wait).await
}

pub(crate) async fn start(global: &Global, options: Start) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let mut environment = Map::new();
    for pair in &options.environment {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::new(Code::RequestInvalid, format!("{pair:?} is not NAME=VALUE")))?;
        environment.insert(name.to_owned(), value.into());
    }
    let started: Result<Accepted, Failure> = client
        .post(
            &format!("/services/{}/start", segment(&options.name)),
            &json!({"environment": environment}),
        )
        .await;
    match started {
        Ok(accepted) => finish(&client, global, &accepted, options.wait.no_wait).await,
        // Not a service: a tenant, or an instance.
        Err(failure) if failure.code == Code::ServiceUnknown => {
            let answer: Result<Value, Failure> =
                client.post(&format!("{}/start", path(&options.name)), &json!({})).await;
            let answer = answer.map_err(|other| {
                if other.code == Code::InstanceUnknown {
                    neither(&options.name, &failure)
                } else {
                    other
                }
            })?;
            if options.wait.no_wait {
                output::value(&answer, global.format(), |_| {
                    format!("{} is being started", options.name)
                });
                return Ok(ExitCode::SUCCESS);
            }
            settle(&client, global, id(&answer, &options.name), AWAKE_OR_ASLEEP).await
        }
        Err(failure) => Err(failure),
    }
}

fn neither(name: &str, failure: &Failure) -> Failure {
    let mut both = Failure::new(
        Code::ServiceUnknown,
        format!("{name:?} is neither a service nor an instance"),
    );
    both.hint.clone_from(&failure.hint);
    both
}

async fn finish(client: &Client, global: &Global, accepted: &Accepted, no_wait: bool) -> Result<ExitCode, Failure> {
    if no_wait {
        output::value(accepted, global.format(), |accepted| {
            format!("{} is {}", accepted.id, accepted.status)
        });
        return Ok(ExitCode::SUCCESS);
    }
    settle(client, global, &accepted.id, AWAKE_OR_ASLEEP).await
}

pub(crate) async fn send_event(global: &Global, options: &SendEvent) -> Result<ExitCode, Failure> {
    let text = read_event(options)?;
    let event: Value = serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            Code::EventInvalid,
            format!("{} is not JSON: {error}", options.file.display()),
        )
        .hint("docs/events.md has an example of each event")
    })?;
    let client = Client::find(global)?;
    let (status, body) = client.exchange(Method::POST, "/events", Some(&event), None).await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if status.is_success() {
        output::value(&answer, global.format(), |answer| {
            serde_json::to_string_pretty(answer).unwrap_or_default()
        });
        return Ok(ExitCode::SUCCESS);
    }
    // The documented form of an error, or a problem where it never came to an event.
    let problem = if answer["body"].is_object() {
        &answer["body"]
    } else {
        &answer
    };
    let code = serde_json::from_value(problem["code"].clone()).unwrap_or(Code::Internal);
    let message = problem["error"]
        .as_str()
        .or(problem["detail"].as_str())
        .unwrap_or("the event was refused");
    let mut failure = Failure::new(code, message);
    failure.hint = problem["hint"].as_str().map(str::to_owned);
    if global.json {
        output::value(&answer, global.format(), |_| String::new());
        return Ok(exit::code(&failure));
    }
    Err(failure)
}

fn read_event(options: &SendEvent) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if options.file.as_os_str() == "-" {
        std::io::stdin().take(EVENT_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(&options.file).and_then(|file| file.take(EVENT_MAX).read_to_string(&mut text))
    };
    read.map(|_| text).map_err(|error| {
        Failure::new(
            Code::EventInvalid,
            format!("{} cannot be read: {error}", options.file.display()),
        )
    })
}
