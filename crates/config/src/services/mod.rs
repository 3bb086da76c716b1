//! Services, resolved for the platform in force: the service's own section, with what the platform's section says in its place.

mod docker;
mod ecs;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_domain::{
    Service, ServiceName,
    service::{HealthCheck, PortRule, RouteRule, RunSpec, Sleep, Trial},
};

use crate::{
    keys::service as keys,
    resolved::{Resolved, from_folder},
    setting::Setting,
    table::{Section, join},
    values::{PathPrefix, PlatformKind, PortKind, PortRange, RouteKind},
};

/// What a direct route is where the file says no more.
const DIRECT_URL: &str = "http://{ip}:{port}";
/// How long one answer may take where the file says no more, and the whole start may take longer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long before the end of a trial its tenant is told, where the file says no more.
const NOTICE: Duration = Duration::from_hours(3 * 24);

/// A service, and where its parts stand in the configuration.
pub(crate) struct Read {
    pub(crate) service: Service,
    /// `services.NAME`.
    pub(crate) path: String,
    /// The section of the platform in force, `services.NAME.process`; it may not be there.
    pub(crate) run: String,
    /// Where the range of a static port stands.
    pub(crate) range: String,
    pub(crate) route: String,
    pub(crate) health: String,
    /// Containers that are started ahead.
    pub(crate) warm: u32,
}

/// Reads all services, for the platform in force.
pub(crate) fn read(from: &mut Resolved<'_>) -> Vec<Read> {
    let names = from.services.clone();
    names.into_iter().map(|name| read_one(from, name)).collect()
}

/// What start events are laid over, where the variables describe no default service. Whatever they have of a task is then what the
/// services leave out: which one an event starts, it has to say itself.
pub(crate) fn read_template(from: &mut Resolved<'_>, name: ServiceName) -> Read {
    let mut read = read_one(from, name);
    if let RunSpec::Ecs(task) = &mut read.service.run
        && !task.cluster.is_empty()
    {
        task.task_definition.clear();
    }
    read
}

fn read_one(from: &mut Resolved<'_>, name: ServiceName) -> Read {
    let path = join(keys::SERVICES.name, name.as_str());
    let run = join(&path, from.platform.name());
    let on_ecs = from.platform == PlatformKind::Ecs;
    let (port, range) = if on_ecs {
        ecs::read_port(from, &path, &run)
    } else {
        let port = in_force(from, &path, &run, &keys::PORT);
        (read_port(from, &port), join(&port, keys::PORT_RANGE.name))
    };
    let route = in_force(from, &path, &run, &keys::ROUTE);
    let health = in_force(from, &path, &run, &keys::HEALTH);
    let tenant = from.get(&path, &keys::TENANT);
    let start_timeout = from.get(&path, &keys::START_TIMEOUT);
    let service = Service {
        tenant,
        singleton: from.get(&path, &keys::SINGLETON),
        database: from.get(&path, &keys::DATABASE),
        port,
        route: read_route(from, &path, &route, &name, tenant),
        health: read_health(from, &health, start_timeout),
        start_timeout,
        stop_timeout: from.get(&path, &keys::STOP_TIMEOUT),
        drain_timeout: from.get(&path, &keys::DRAIN_TIMEOUT),
        sleep: from.get(&path, &keys::SLEEP_AFTER).map(|after| Sleep {
            after,
            by: from.get(&path, &keys::SLEEP),
        }),
        identity_header: from.get(&path, &keys::IDENTITY_HEADER).map(|header| header.0),
        environment: from.get(&path, &keys::ENVIRONMENT).0,
        trial: read_trial(from, &path),
        run: match from.platform {
            PlatformKind::Process => read_process(from, &run),
            PlatformKind::Docker => docker::read(from, &run),
            PlatformKind::Ecs => ecs::read(from, &run),
        },
        name,
    };
    Read {
        warm: from.get(&path, &keys::WARM),
        service,
        path,
        run,
        range,
        route,
        health,
    }
}

fn read_trial(from: &Resolved<'_>, path: &str) -> Option<Trial> {
    let length = from.get(path, &keys::TTL)?;
    Some(Trial {
        length,
        notice: from
            .get(path, &keys::TTL_NOTICE)
            .unwrap_or_else(|| NOTICE.min(length / 2)),
        then: from.get(path, &keys::TTL_THEN),
    })
}

/// The path of a group: the platform's own where it has one, as a whole.
fn in_force(from: &mut Resolved<'_>, service: &str, run: &str, group: &Section) -> String {
    let (own, general) = (join(run, group.name), join(service, group.name));
    if !from.sections.contains(&own) {
        return general;
    }
    replaced(from, &general, group, &own);
    own
}

/// Says of a service's group that the platform's own is in force.
fn replaced(from: &mut Resolved<'_>, general: &str, group: &Section, own: &str) {
    for node in group.children {
        from.note(&join(general, node.name()), format!("[{own}] stands in its place"));
    }
}

fn read_port(from: &Resolved<'_>, path: &str) -> PortRule {
    match from.get(path, &keys::PORT_KIND) {
        PortKind::Dynamic => PortRule::Dynamic,
        PortKind::Static => {
            let PortRange { first, last } = from.get(path, &keys::PORT_RANGE);
            PortRule::Static { first, last }
        }
    }
}

/// The route that stands at `path`, which is the service's own or that of its platform.
fn read_route(from: &mut Resolved<'_>, service: &str, path: &str, name: &ServiceName, tenant: bool) -> RouteRule {
    let general = join(service, keys::ROUTE.name);
    let kind = from
        .get(&general, &keys::ROUTE_KIND)
        .unwrap_or(if tenant { RouteKind::Host } else { RouteKind::Path });
    from.settle(&join(&general, keys::ROUTE_KIND.name), kind.show());
    if path != general && from.platform == PlatformKind::Ecs {
        return ecs::read_route(from, path, name, kind);
    }
    let own = from.get(path, &keys::ROUTE_KIND);
    let kind = own.unwrap_or(if tenant { RouteKind::Host } else { RouteKind::Path });
    from.settle(&join(path, keys::ROUTE_KIND.name), kind.show());
    match kind {
        RouteKind::Host => RouteRule::Host,
        RouteKind::Path => {
            let prefix = from.get(path, &keys::ROUTE_PREFIX);
            path_route(from, path, prefix, name)
        }
        RouteKind::Direct => {
            let url = from.get(path, &keys::ROUTE_URL);
            direct_route(from, path, url)
        }
    }
}

fn path_route(from: &mut Resolved<'_>, path: &str, prefix: Option<PathPrefix>, name: &ServiceName) -> RouteRule {
    let prefix = prefix.unwrap_or_else(|| PathPrefix(format!("/{name}")));
    from.settle(&join(path, keys::ROUTE_PREFIX.name), prefix.show());
    RouteRule::Path { prefix: prefix.0 }
}

fn direct_route(from: &mut Resolved<'_>, path: &str, url: Option<String>) -> RouteRule {
    let url = url.unwrap_or_else(|| DIRECT_URL.to_owned());
    from.settle(&join(path, keys::ROUTE_URL.name), url.show());
    RouteRule::Direct { url }
}

fn read_health(from: &mut Resolved<'_>, path: &str, start_timeout: Duration) -> HealthCheck {
    let timeout = from
        .get(path, &keys::HEALTH_TIMEOUT)
        .unwrap_or(HEALTH_TIMEOUT.min(start_timeout));
    from.settle(&join(path, keys::HEALTH_TIMEOUT.name), timeout.show());
    HealthCheck {
        path: from.get(path, &keys::HEALTH_PATH).0,
        interval: from.get(path, &keys::HEALTH_INTERVAL),
        timeout,
        healthy: from.get(path, &keys::HEALTH_HEALTHY),
        unhealthy: from.get(path, &keys::HEALTH_UNHEALTHY),
    }
}

/// An absent section is an empty command here, and a problem in the rules.
fn read_process(from: &mut Resolved<'_>, path: &str) -> RunSpec {
    if !from.sections.contains(path) {
        return RunSpec::Process {
            command: Vec::new(),
            memory: None,
            directory: None,
        };
    }
    let mut command = from.get(path, &keys::COMMAND);
    if let Some(program) = command.first_mut() {
        *program = located_program(&from.folder, program);
    }
    let directory = from.optional_path(path, &keys::DIRECTORY);
    RunSpec::Process {
        command,
        memory: from.get(path, &keys::MEMORY).map(|memory| memory.0),
        directory: directory.map(|directory| directory.display().to_string()),
    }
}

/// A program with a slash counts from the file's folder, because the task runs somewhere else; a bare name is looked for in `PATH`.
fn located_program(folder: &Path, program: &str) -> String {
    if program.contains('/') {
        from_folder(folder, &PathBuf::from(program)).display().to_string()
    } else {
        program.to_owned()
    }
}
