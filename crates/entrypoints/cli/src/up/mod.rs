//! `up`: the server. Takes the data directory, wires the adapters, serves until it is told to end, then drains.

pub(crate) mod layout;
mod log;
mod metrics;
pub(crate) mod wire;

use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use wharf_config::{Overrides, RepairApply};
use wharf_domain::Failure;

use crate::{
    args::{Global, Up},
    commands::load_config,
    output,
};
use layout::{Layout, Running};

/// How long requests and sagas under way have when the server ends.
const GRACE: Duration = Duration::from_secs(10);
/// Between two looks at whether every Ready instance's task is there: the back-stop of the events that tell.
const CHECK_TASKS: Duration = Duration::from_mins(5);
/// Between two tidyings of the registry.
const TIDY: Duration = Duration::from_mins(10);

pub(crate) fn run(global: &Global, options: Up) -> Result<ExitCode, Failure> {
    let overrides = Overrides {
        listen: options.listen,
        trust_tenants: options.trust_tenants,
        log_level: options.log_level,
        log_format: options.log_format,
        ..options.on.overrides()
    };
    let config = load_config(global, &overrides)?;
    log::init(&config.log);
    keep_memory_private();
    let layout =
        Layout::new(std::path::absolute(&config.server.data_dir).unwrap_or_else(|_| config.server.data_dir.clone()));
    let lock = layout.take()?;
    // Proxying has threads of its own; what is left is control: one thread for it, and one beside it for what takes longer.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(serve(global, config, &layout));
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(lock);
    ended
}

/// Keys are in memory, and those for mails and AWS in the environment. Processes of the same user (tenants' own, on the platform `process`)
/// could read both by `/proc`, and a core dump would write them down. Its children are not concerned: a new program begins anew.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read this one's memory");
    }
}

async fn serve(global: &Global, config: wharf_config::Config, layout: &Layout) -> Result<ExitCode, Failure> {
    // Before anything is started: a signal that comes in the middle of the start ends it in order.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::internal(error.to_string()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::internal(error.to_string()))?;

    let repair = config.repair;
    let server = wire::wire(config, layout).await?;
    // Before anything is taken up: where even this cannot be written the start ends here, and not in the middle of what has begun and of what
    // somebody has asked. The address is taken already: whoever connects waits until it is opened.
    layout.announce(&Running {
        pid: std::process::id(),
        url: server.api.clone(),
    })?;
    let wharf = server.wharf.clone();
    let queue = wharf.recover().await?;
    server.open(&queue)?;
    server.follow_wishes();
    server.follow_health();
    server.follow_queue();
    let background = tokio::task::JoinSet::from_iter([
        boxed({
            let wharf = wharf.clone();
            async move { wharf.engine().sweep_forever().await }
        }),
        boxed({
            let wharf = wharf.clone();
            async move { wharf.follow_tasks().await }
        }),
        boxed({
            let wharf = wharf.clone();
            async move { wharf.call_up_forever().await }
        }),
        boxed({
            let wharf = wharf.clone();
            async move { wharf.deliver_forever().await }
        }),
        boxed({
            let wharf = wharf.clone();
            async move {
                wharf.restore(queue).await;
                // Only now: those that wait for their turn have no task, and are not lost. At once, for tasks that lived on may have ended while nobody was here.
                if let Err(failure) = wharf.check_tasks().await {
                    tracing::warn!(error = %failure.message, "the tasks cannot be looked at now");
                }
                wharf.check_tasks_forever(CHECK_TASKS).await;
            }
        }),
        boxed({
            let wharf = wharf.clone();
            async move { wharf.tidy_forever(TIDY).await }
        }),
        boxed({
            let wharf = wharf.clone();
            async move {
                if let Some(every) = repair.interval.duration() {
                    wharf.repair_forever(every, repair.apply == RepairApply::Safe).await;
                }
            }
        }),
        boxed({
            let wharf = wharf.clone();
            async move { wharf.follow_schedules().await }
        }),
        boxed({
            let wharf = wharf.clone();
            async move { wharf.let_sleep().await }
        }),
    ]);

    greet(global, &server);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending: requests under way have {GRACE:?}");
    tokio::select! {
        () = server.end(GRACE) => {}
        // Asked twice, it does not wait any longer.
        _ = interrupt.recv() => tracing::warn!("ending at once"),
    }
    drop(background);
    Ok(ExitCode::SUCCESS)
}

fn boxed(future: impl Future<Output = ()> + Send + 'static) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(future)
}

/// Says where to go, and nothing more.
fn greet(global: &Global, server: &wire::Server) {
    let value = serde_json::json!({"url": server.public_url, "api": server.api, "listen": server.listen.to_string(), "pid": std::process::id()});
    output::value(&value, global.format(), |_| {
        format!("Wharf is up: {}", server.public_url)
    });
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn memory_and_environment_are_closed_to_other_processes_of_the_user() {
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
        keep_memory_private();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
