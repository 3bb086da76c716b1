//! The program that Lambda runs, as it is shipped: how long a cold start takes until it asks for work, how much memory a start needs, and how large it is.

use flate2::{Compression, write::DeflateEncoder};
use serde_json::json;
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use wharf_aws_simulator::{Options, SECURITY_GROUP, SUBNETS};
use wharf_domain::service::{RouteRule, RunSpec};

use super::{
    dynamodb::registry,
    emulator::Emulator,
    runtime_api::{RuntimeApi, Said},
    site::{Script, Site},
};
use crate::{
    Result,
    children::Running,
    figure::{Figure, Goal, Unit},
    samples::{Samples, interleaved},
    setup::Setup,
    usage,
};

/// Milliseconds from the start of the process to its first question for work.
const WANTED_START: f64 = 5.0;
/// 12 MiB, in megabytes.
const WANTED_MEMORY: f64 = 12.0 * 1.048_576;
/// Megabytes.
const WANTED_ZIP: f64 = 4.0;
const STARTS: usize = 60;
const WITHIN: Duration = Duration::from_secs(20);
const MEMORY_STARTS: usize = 5;
/// What a ZIP has around one file: its local header, its entry in the directory, the directory's end, and the name twice.
const ZIP_AROUND: usize = 30 + 46 + 22 + 2 * "bootstrap".len();

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let bootstrap = Setup::bootstrap()?;
    let this = std::env::current_exe()?;
    let api = RuntimeApi::start()?;
    let mut function = || first_question(&api, base(Command::new(&bootstrap), &api));
    let mut bare = || {
        let mut command = Command::new(&this);
        command.arg("poller").arg(api.address.to_string());
        first_question(&api, command)
    };
    let [starts, polls] = interleaved(setup.rounds(STARTS, WITHIN), &mut [&mut function, &mut bare])?;
    let memory = (0..setup.times(MEMORY_STARTS))
        .map(|_| setup.runtime.block_on(peak(setup, &bootstrap)))
        .collect::<Result<Vec<f64>>>()?;
    let one = |values| Samples::new(values).ok_or("nothing was measured");
    let size = fs::metadata(&bootstrap)?.len() as f64 / 1e6;
    Ok(vec![
        Figure::new(
            "bootstrap: process start to its first question for work",
            Unit::Milliseconds,
            starts,
        )
        .against("a program that does nothing else", &polls)
        .goal(Goal::AtMost(WANTED_START)),
        Figure::new(
            "bootstrap: peak memory after a start event",
            Unit::Megabytes,
            one(memory)?,
        )
        .goal(Goal::AtMost(WANTED_MEMORY))
        .note("all that was resident at once, the program's own pages included; the goal is 12 MiB"),
        Figure::new("bootstrap: its ZIP", Unit::Megabytes, one(vec![zipped(&bootstrap)?])?)
            .goal(Goal::AtMost(WANTED_ZIP))
            .note(format!("of a program of {size:.1} MB")),
    ])
}

/// As Lambda starts it.
fn base(mut command: Command, api: &RuntimeApi) -> Command {
    command.env_clear().envs([
        ("AWS_LAMBDA_RUNTIME_API", api.address.to_string().as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_REGION", "us-east-1"),
    ]);
    command
}

/// Starts it, and ends it when it has asked. Gives milliseconds.
fn first_question(api: &RuntimeApi, mut command: Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let process = Running::start(&mut command)?;
    let Said::AskedForWork(at) = api.said()? else {
        return Err("it answers before it is asked".into());
    };
    drop(process);
    Ok(at.saturating_duration_since(began).as_secs_f64() * 1000.0)
}

/// Hands a new process one start event, in a message of the queue as EventBridge puts it there. Gives the most memory that it had, in megabytes.
async fn peak(setup: &Setup, bootstrap: &Path) -> Result<f64> {
    let emulator = Emulator::start()?;
    registry(&emulator).await?;
    emulator.secret("token-key").await?;
    let script = Script {
        runs_after: Duration::from_secs(30),
        healthy_after: Duration::from_secs(10),
    };
    let site = Site::new(Options::following(1.0), script, false).await?;
    let (RunSpec::Ecs(task), RouteRule::TargetGroups { arns, .. }) = (&site.service.run, &site.service.route) else {
        return Err("the service is not one of ECS".into());
    };
    // The function's runtime is this thread's own business: it must not wait for ours.
    let api = RuntimeApi::start()?;
    let mut command = base(Command::new(bootstrap), &api);
    command
        .envs([
            ("LAMBDA_TASK_ROOT", setup.scratch.path().to_string_lossy().as_ref()),
            ("AWS_ACCESS_KEY_ID", "emulator"),
            ("AWS_SECRET_ACCESS_KEY", "emulator"),
            ("AWS_ENDPOINT_URL", &emulator.url()),
            ("AWS_ENDPOINT_URL_ECS", &site.simulator.url()),
            ("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", &site.simulator.url()),
            ("ECS_CLUSTER", &task.cluster),
            ("TASK_DEFINITION", &task.task_definition),
            ("TARGET_GROUP_ARN", &arns[0]),
            ("SUBNETS", &SUBNETS.join(",")),
            ("SECURITY_GROUPS", SECURITY_GROUP),
            ("WHARF_DEPLOYMENT", "bench"),
            ("WHARF_QUEUE_URL", &emulator.queue("wake").await?),
            ("WHARF_AWS_TOKEN_KEY_SECRET", "token-key"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let process = Running::start(&mut command)?;
    let answered = tokio::task::spawn_blocking(move || -> Result<(RuntimeApi, String, String)> {
        api.said()?;
        let event = json!({
            "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "Start ECS Task", "source": "custom.app",
            "account": "123456789012", "time": "2026-11-02T09:00:00Z", "region": "us-east-1", "resources": [], "detail": {},
        });
        let message = json!({"messageId": "m", "receiptHandle": "r", "body": event.to_string(), "eventSource": "aws:sqs", "attributes": {}});
        api.invoke(json!({ "Records": [message] }).to_string())?;
        match api.said()? {
            Said::Answered { path, body } => Ok((api, path, body)),
            Said::AskedForWork(_) => Err("it asks for work, and has not answered".into()),
        }
    });
    let (_api, path, body) = answered.await??;
    if !path.ends_with("/response") || site.simulator.tasks().len() != 1 {
        return Err(format!("the start event is answered by {path}: {body}").into());
    }
    Ok(usage::memory(process.id())?.peak / 1e6)
}

/// As large as `zip -9` makes it, in megabytes.
fn zipped(program: &Path) -> Result<f64> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&fs::read(program)?)?;
    Ok((encoder.finish()?.len() + ZIP_AROUND) as f64 / 1e6)
}
