//! `doctor`: checks this machine and the configuration before anything is started, and says how to mend what is wrong.

use serde::Serialize;
use std::{net::TcpListener, path::Path, process::ExitCode};
use wharf_config::PlatformKind;
use wharf_domain::{
    Booking, Failure,
    service::{PortRule, RunSpec},
};

use super::config;
use crate::{
    args::{Global, OnPlatform},
    exit, output,
    up::{
        layout::Layout,
        wire::{
            self,
            examine::{Answers, Examination, Finding, Grade},
        },
    },
};

/// Less than this on the data directory's disk is too little for a registry and its tenants.
const SPACE_MIN: u64 = 256 * 1024 * 1024;

/// What is about this machine, and not about AWS or a service there.
const MACHINE: &str = "machine";

/// Everything that was looked at; on ECS with the answers to what has to be known before a start.
#[derive(Debug, Default, Serialize)]
struct Report {
    checks: Vec<Finding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Answers>,
}

fn check(what: impl Into<String>, result: Result<Option<String>, Failure>) -> Finding {
    let (grade, found, hint) = match result {
        Ok(found) => (Grade::Ok, found, None),
        Err(failure) => (Grade::Failed, Some(failure.to_string()), failure.hint),
    };
    Finding {
        subject: MACHINE.to_owned(),
        what: what.into(),
        grade,
        found,
        hint,
    }
}

pub(crate) fn run(global: &Global, on: OnPlatform) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    match config::load(global, &on.overrides()) {
        Ok(config) => {
            let services = match config.services.len() {
                1 => "1 service".to_owned(),
                count => format!("{count} services"),
            };
            report.checks.push(check("configuration", Ok(Some(services))));
            examine(&config, &mut report.checks);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::internal(format!("no runtime: {error}")))?;
            report
                .checks
                .extend(runtime.block_on(wire::examine::examine_databases(&config)));
            if let Some((what, found)) = runtime.block_on(wire::mail::examine(&config)) {
                report.checks.push(check(what, found));
            }
            match config.platform.kind {
                PlatformKind::Process => {}
                PlatformKind::Docker => {
                    let findings = runtime.block_on(wire::examine::examine_docker(&config));
                    report.checks.extend(findings);
                }
                PlatformKind::Ecs => {
                    let Examination { findings, answers } = runtime.block_on(wire::examine::examine(&config));
                    report.checks.extend(findings);
                    report.answers = answers;
                }
            }
        }
        Err(failure) => {
            let text = failure.detail.clone().unwrap_or_else(|| failure.message.clone());
            report.checks.push(Finding {
                found: Some(text),
                ..check("configuration", Err(failure))
            });
        }
    }
    // What is only doubtful keeps nobody from starting.
    let is_bad = report.checks.iter().any(|check| check.grade == Grade::Failed);
    output::value(&report, global.format(), render);
    Ok(if is_bad {
        ExitCode::from(exit::DIFFERENCES)
    } else {
        ExitCode::SUCCESS
    })
}

fn examine(config: &wharf_config::Config, checks: &mut Vec<Finding>) {
    let layout = Layout::new(config.server.data_dir.clone());
    let running = layout.running();
    checks.push(check(
        format!("data directory {}", layout.root().display()),
        layout.examine().map(|()| None),
    ));
    checks.push(check("disk space", space(layout.root())));
    let address = config.server.listen;
    checks.push(match &running {
        Some(running) => check(
            format!("address {address}"),
            Ok(Some(format!(
                "a server runs here already: pid {}, {}",
                running.pid, running.url
            ))),
        ),
        None => check(
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
    checks.push(check(
        "open files",
        wire::open_files().map(|limit| Some(format!("{limit} at the most"))),
    ));
    // What the file itself says is held against the services where it is read; here, what follows from the machine.
    let limits = wharf_wiring::limits(config);
    let refused = config.services.values().filter_map(|service| {
        let failure = limits.check(Booking::of(&service.run)).err()?;
        Some(check(format!("service {}: room", service.name), Err(failure)))
    });
    checks.extend(refused);
    for service in config.services.values() {
        let RunSpec::Process { command, .. } = &service.run else {
            continue;
        };
        let program = command.first().cloned().unwrap_or_default();
        checks.push(check(
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
            checks.push(check(
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

/// The machine first, then the databases and each subject of AWS or Docker under its name.
fn render(report: &Report) -> String {
    let mut lines = Vec::new();
    let mut subject = MACHINE;
    for check in &report.checks {
        if check.subject != subject {
            subject = &check.subject;
            lines.extend([String::new(), format!("{subject}:")]);
        }
        let mark = match check.grade {
            Grade::Ok => "ok  ",
            Grade::Warning => "warn",
            Grade::Failed => "BAD ",
        };
        let found = check
            .found
            .as_ref()
            .map(|found| format!(": {}", found.replace('\n', "\n       ")))
            .unwrap_or_default();
        lines.push(format!("{mark} {}{found}", check.what));
        if let (true, Some(hint)) = (check.grade != Grade::Ok, &check.hint) {
            lines.push(format!("     hint: {hint}"));
        }
    }
    for answers in &report.answers {
        lines.extend([String::new(), format!("{}, in words:", answers.service)]);
        let questions = answers.questions();
        lines.extend(questions.map(|(question, answer)| format!("     {question:<18}  {answer}")));
    }
    lines.join("\n")
}
