//! The server's own log: on standard error, as text for people or as JSON for machines. No secret and no tenant's mail address is ever put into it.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};
use wharf_config::{Log, LogFormat};

pub(crate) fn init(log: &Log) {
    let level = log.level.as_str();
    // What libraries say below a warning is of no use to an operator.
    let filter = EnvFilter::new(format!(
        "warn,aws_config=error,wharf={level},wharf_aws={level},wharf_config={level},wharf_docker={level},wharf_domain={level},wharf_edge={level},wharf_http={level},wharf_local={level},wharf_mail={level},wharf_provisioning={level},wharf_saga={level},wharf_sqlite={level}"
    ));
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
