//! The server's own log: on standard error, as text for people or as JSON for machines. No secret and no tenant's mail address is ever put into it.

use std::io::IsTerminal;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    prelude::*,
};
use wharf_config::{Log, LogFormat};

pub(crate) fn init(log: &Log) {
    let level = log.level.as_str().parse().unwrap_or(LevelFilter::INFO);
    // What libraries say below a warning is of no use to an operator. That a connection broke is told by whoever needed it, with the reason.
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("aws_config", LevelFilter::ERROR)
        .with_target("deadpool.postgres", LevelFilter::ERROR)
        .with_target("wharf", level);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    debug_assert!(started.is_ok(), "the log is set up once");
}
