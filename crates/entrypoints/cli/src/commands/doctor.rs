//! `doctor`: checks this machine and the configuration before anything is started, and says how to mend what is wrong.

use serde::Serialize;
use std::{net::TcpListener, path::Path, process::ExitCode};
use wharf_domain::{
    Failure,
    service::{PortRule, RunSpec},
};

use super::config;
use crate::{
    args::{Global, OnPlatform},
    exit, output,
    up::{layout::Layout, wire},
};

/// Less than this on the data directory's disk is too little for a registry and its tenants.
const SPACE_MIN: u64 = 256 * 1024 * 1024;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    fn new(what: impl Into<String>, result: Result<Option<String>, Failure>) -> Self {
        let what = what.into();
        match result {
            Ok(found) => Self {
                what,
                ok: true,
                found,
                hint: None,
            },
            Err(failure) => Self {
                what,
                ok: false,
                found: Some(failure.to_string()),
                hint: failure.hint,
            },
        }
    }
}

pub(crate) fn run(global: &Global, on: OnPlatform) -> ExitCode {
    let mut checks = Vec::new();
    match config::load(global, &on.overrides()) {
        Ok(config) => {
            checks.push(Check::new(
                "configuration",
                Ok(Some(match config.services.len() {
                    1 => "1 service".to_owned(),
                    count => format!("{count} services"),
                })),
            ));
            examine(&config, &mut checks);
        }
        Err(failure) => {
            let text = failure.detail.clone().unwrap_or_else(|| failure.message.clone());
            checks.push(Check {
                what: "configuration".into(),
                ok: false,
                found: Some(text),
                hint: failure.hint,
            });
        }
    }
    let healthy = checks.iter().all(|check| check.ok);
    output::value(&checks, global.format(), |checks| render(checks));
    if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::DIFFERENCES)
    }
}

fn examine(config: &wharf_config::Config, checks: &mut Vec<Check>) {
    let layout = Layout::new(config.server.data_dir.clone());
    let running = layout.running();
    checks.push(Check::new(
        format!("data directory {}", layout.root().display()),
        layout.examine().map(|()| None),
    ));
    checks.push(Check::new("disk space", space(layout.root())));
    let address = config.server.listen;
    checks.push(match &running {
        Some(running) => Check::new(
            format!("address {address}"),
            Ok(Some(format!(
                "a server runs here already: pid {}, {}",
                running.pid, running.url
            ))),
        ),
        None => Check::new(
            format!("address {address}"),
            TcpListener::bind(address)
                .map(|_| Some("free".to_owned()))
                .map_err(|error| {
                    Failure::new(
                        wharf_domain::Code::ListenBusy,
                        format!("{address} cannot be listened on: {error}"),
                    )
                    .hint("end the program that listens there, or choose another with --listen")
                }),
        ),
    });
    checks.push(Check::new(
        "open files",
        wire::open_files().map(|limit| Some(format!("{limit} at the most"))),
    ));
    for service in config.services.values() {
        let RunSpec::Process { command, .. } = &service.run else {
            continue;
        };
        let program = command.first().cloned().unwrap_or_default();
        checks.push(Check::new(
            format!("service {}: command {program:?}", service.name),
            wire::process::check_command(&service.run).map(|()| None),
        ));
        if let PortRule::Static { first, last } = service.port {
            let busy = if running.is_some() {
                0
            } else {
                (first..=last)
                    .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_err())
                    .count()
            };
            let found = format!(
                "{} ports, {busy} of them used by other programs",
                usize::from(last - first) + 1
            );
            checks.push(Check::new(
                format!("service {}: ports {first}-{last}", service.name),
                Ok(Some(found)),
            ));
        }
    }
}

fn space(folder: &Path) -> Result<Option<String>, Failure> {
    let existing = folder
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or_else(|| Path::new("."));
    let disk = rustix::fs::statvfs(existing).map_err(|error| {
        Failure::new(
            wharf_domain::Code::DataDirectory,
            format!("{} cannot be looked at: {error}", existing.display()),
        )
    })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < SPACE_MIN {
        return Err(Failure::new(
            wharf_domain::Code::StoreFull,
            format!("only {} MiB are free", free >> 20),
        )
        .hint("make room, or put the data directory on another disk with --data-dir"));
    }
    Ok(Some(format!("{} MiB free", free >> 20)))
}

fn render(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for check in checks {
        let mark = if check.ok { "ok  " } else { "BAD " };
        let found = check
            .found
            .as_ref()
            .map(|found| format!(": {}", found.replace('\n', "\n       ")))
            .unwrap_or_default();
        lines.push(format!("{mark} {}{found}", check.what));
        if let (false, Some(hint)) = (check.ok, &check.hint) {
            lines.push(format!("     hint: {hint}"));
        }
    }
    lines.join("\n")
}
