//! Looks at Docker before anything is started, and changes nothing.
//!
//! What must not be here: how it is shown.

use bollard::{Docker, models::SystemInfo, query_parameters::ListContainersOptions};
use std::{collections::HashMap, path::Path};
use wharf_domain::{
    Code, Failure, Service,
    service::{DockerTask, Protection, Pull, RunSpec},
};

use crate::{engine, failure, image, marks, pool::WarmService, shape, slots::Slots};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `docker`, or `service shop`.
    pub subject: String,
    pub what: String,
    pub result: Checked,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    Good(Option<String>),
    /// It works, and may not do what is expected.
    Doubtful {
        found: String,
        hint: String,
    },
    Bad(Failure),
}

/// Containers that are started ahead.
#[derive(Clone, Copy, Debug)]
pub struct Warm<'a> {
    pub services: &'a [WarmService],
    /// Where this deployment tells its own whose they became.
    pub folder: &'a Path,
}

/// Looks at Docker, at what every service would run on it, and at what waits there for its owner.
pub async fn examine<'a>(
    host: &str,
    credentials: Option<&Path>,
    services: impl IntoIterator<Item = &'a Service>,
    warm: Warm<'_>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut note = |subject: &str, what: &str, result: Checked| {
        checks.push(Check {
            subject: subject.to_owned(),
            what: what.to_owned(),
            result,
        });
    };
    let engine = match engine::connect(host).await {
        Ok(engine) => engine,
        Err(failure) => {
            note("docker", &format!("Docker at {host}"), Checked::Bad(failure));
            return checks;
        }
    };
    let api = engine.docker.client_version();
    let found = format!("version {}, API {api}, linux/{}", engine.version, engine.architecture);
    note("docker", &format!("Docker at {host}"), Checked::Good(Some(found)));
    let info = match engine.docker.info().await {
        Ok(info) => info,
        Err(error) => {
            note("docker", "its machine", Checked::Bad(failure::of(&error, host)));
            SystemInfo::default()
        }
    };
    for (what, result) in machine(&info) {
        note("docker", what, result);
    }
    // Without one, public images are pulled all the same.
    if let Some(path) = credentials.filter(|path| path.exists()) {
        let result = match crate::credentials::find(Some(path), "any") {
            Err(failure) => Checked::Bad(failure),
            Ok(_) => Checked::Good(None),
        };
        note("docker", &format!("credentials {}", path.display()), result);
    }
    let memory = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok());
    for service in services {
        let RunSpec::Docker(task) = &service.run else { continue };
        let subject = format!("service {}", service.name);
        let result = look_at_image(&engine.docker, task, &engine.architecture).await;
        note(&subject, &format!("image {}", task.image), result);
        note(&subject, "protections", protections(task));
        note(&subject, "memory", limits(task, memory));
    }
    for service in warm.services {
        let result = waiting(&engine.docker, service, warm.folder).await;
        note(
            &format!("service {}", service.service),
            "containers started ahead",
            result,
        );
    }
    checks
}

/// How many containers of a service wait for their owners. Those of another deployment have no folder here.
async fn waiting(docker: &Docker, service: &WarmService, folder: &Path) -> Checked {
    let options = ListContainersOptions {
        filters: Some(HashMap::from([
            ("label".to_owned(), marks::warm_filter_of(&service.service)),
            ("status".to_owned(), vec!["running".to_owned()]),
        ])),
        ..ListContainersOptions::default()
    };
    let found = match docker.list_containers(Some(options)).await {
        Ok(found) => found,
        Err(error) => return Checked::Bad(failure::of(&error, "to list the containers that wait")),
    };
    let slots = Slots::new(folder.to_owned());
    let waits = |labels: &HashMap<String, String>| {
        marks::warm(labels).is_some_and(|(_, slot)| slots.is_there(&slot) && !slots.is_told(&slot))
    };
    let count = found
        .iter()
        .filter_map(|found| found.labels.as_ref())
        .filter(|labels| waits(labels))
        .count();
    Checked::Good(Some(format!("{count} of {} wait for their owners", service.count)))
}

fn machine(info: &SystemInfo) -> Vec<(&'static str, Checked)> {
    let limits = [
        ("memory", info.memory_limit),
        ("processes", info.pids_limit),
        ("shares of processors", info.cpu_shares),
    ];
    let missing: Vec<&str> = limits
        .into_iter()
        .filter_map(|(what, has)| (has == Some(false)).then_some(what))
        .collect();
    let limits = if missing.is_empty() {
        Checked::Good(None)
    } else {
        Checked::Doubtful {
            found: format!("the kernel does not limit {}", missing.join(", ")),
            hint: "without these limits one tenant can take what the others need: see `docker info` for what the kernel lacks".to_owned(),
        }
    };
    let keeps = if info.live_restore_enabled == Some(true) {
        Checked::Good(Some("they live on when Docker is restarted".to_owned()))
    } else {
        Checked::Doubtful {
            found: "they end when Docker is restarted, and Wharf starts them again".to_owned(),
            hint: "set \"live-restore\": true in /etc/docker/daemon.json, and they live on".to_owned(),
        }
    };
    vec![("limits of containers", limits), ("containers", keeps)]
}

async fn look_at_image(docker: &Docker, task: &DockerTask, machine: &str) -> Checked {
    let found = match image::find(docker, &task.image).await {
        Err(failure) => return Checked::Bad(failure),
        Ok(found) => found,
    };
    let Some(image) = found else {
        return match task.pull {
            Pull::Never => Checked::Bad(image::missing(task)),
            Pull::Missing | Pull::Always => Checked::Doubtful {
                found: "it is not here, and will be pulled at the first start".to_owned(),
                hint: format!(
                    "pull it beforehand, so that the first tenant need not wait: `docker pull {}`",
                    task.image
                ),
            },
        };
    };
    let checked = image::check_architecture(task, &image, machine)
        .and_then(|()| shape::check_command(task, &image))
        .and_then(|()| shape::port(task, &image));
    match checked {
        Ok(port) => Checked::Good(Some(format!("it is here, and listens on port {port}"))),
        Err(failure) => Checked::Bad(failure),
    }
}

fn protections(task: &DockerTask) -> Checked {
    let mut loosened: Vec<&str> = task.loosened.iter().map(|protection| name(*protection)).collect();
    loosened.extend(task.capabilities.iter().map(String::as_str));
    if loosened.is_empty() {
        return Checked::Good(Some("all are in force".to_owned()));
    }
    Checked::Good(Some(format!("loosened: {}", loosened.join(", "))))
}

const fn name(protection: Protection) -> &'static str {
    match protection {
        Protection::Capabilities => "capabilities",
        Protection::NewPrivileges => "new-privileges",
        Protection::Pids => "pids",
        Protection::ReadOnlyRoot => "read-only-root",
        Protection::NonRootUser => "non-root-user",
    }
}

fn limits(task: &DockerTask, machine: Option<u64>) -> Checked {
    match (task.memory, machine) {
        (None, _) => Checked::Doubtful {
            found: "a container may take all that the machine has".to_owned(),
            hint: "give it a limit: docker = { memory = \"256MiB\" }".to_owned(),
        },
        (Some(limit), Some(machine)) if limit > machine => Checked::Bad(
            Failure::new(
                Code::TaskPlacement,
                format!(
                    "{} MiB are more than the machine has ({} MiB)",
                    limit >> 20,
                    machine >> 20
                ),
            )
            .hint("give the service less memory, or the machine more"),
        ),
        (Some(limit), _) => Checked::Good(Some(format!("{} MiB", limit >> 20))),
    }
}
