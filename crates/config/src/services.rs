//! Services, resolved for the platform in force: the service's own section, with what the platform's section says in its place.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_domain::{
    Service, ServiceName,
    service::{HealthCheck, PortRule, RouteRule, RunSpec},
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

/// A service, and where its parts stand in the configuration.
pub(crate) struct Read {
    pub(crate) service: Service,
    /// `services.NAME`.
    pub(crate) path: String,
    /// The section of the platform in force, `services.NAME.process`; it may not be there.
    pub(crate) run: String,
    pub(crate) port: String,
    pub(crate) route: String,
    pub(crate) health: String,
}

/// Reads all services. This version runs processes only, so that is the section that counts.
pub(crate) fn read(from: &mut Resolved<'_>) -> Vec<Read> {
    let names = from.services.clone();
    names.into_iter().map(|name| read_one(from, name)).collect()
}

fn read_one(from: &mut Resolved<'_>, name: ServiceName) -> Read {
    let path = join(keys::SERVICES.name, name.as_str());
    let run = join(&path, PlatformKind::Process.name());
    let port = in_force(from, &path, &run, &keys::PORT);
    let route = in_force(from, &path, &run, &keys::ROUTE);
    let health = in_force(from, &path, &run, &keys::HEALTH);
    let tenant = from.get(&path, &keys::TENANT);
    let start_timeout = from.get(&path, &keys::START_TIMEOUT);
    let service = Service {
        tenant,
        singleton: from.get(&path, &keys::SINGLETON),
        database: from.get(&path, &keys::DATABASE),
        port: read_port(from, &port),
        route: read_route(from, &route, &name, tenant),
        health: read_health(from, &health, start_timeout),
        start_timeout,
        stop_timeout: from.get(&path, &keys::STOP_TIMEOUT),
        drain_timeout: from.get(&path, &keys::DRAIN_TIMEOUT),
        identity_header: from.get(&path, &keys::IDENTITY_HEADER).map(|header| header.0),
        environment: from.get(&path, &keys::ENVIRONMENT).0,
        run: read_process(from, &run),
        name,
    };
    Read {
        service,
        path,
        run,
        port,
        route,
        health,
    }
}

/// The path of a group: the platform's own where it has one, as a whole.
fn in_force(from: &mut Resolved<'_>, service: &str, run: &str, group: &Section) -> String {
    let (own, general) = (join(run, group.name), join(service, group.name));
    if !from.sections.contains(&own) {
        return general;
    }
    for node in group.children {
        from.note(&join(&general, node.name()), format!("[{own}] stands in its place"));
    }
    own
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

fn read_route(from: &mut Resolved<'_>, path: &str, name: &ServiceName, tenant: bool) -> RouteRule {
    let kind = from
        .get(path, &keys::ROUTE_KIND)
        .unwrap_or(if tenant { RouteKind::Host } else { RouteKind::Path });
    from.settle(&join(path, keys::ROUTE_KIND.name), kind.show());
    match kind {
        RouteKind::Host => RouteRule::Host,
        RouteKind::Path => {
            let prefix = from
                .get(path, &keys::ROUTE_PREFIX)
                .unwrap_or_else(|| PathPrefix(format!("/{name}")));
            from.settle(&join(path, keys::ROUTE_PREFIX.name), prefix.show());
            RouteRule::Path { prefix: prefix.0 }
        }
        RouteKind::Direct => {
            let url = from
                .get(path, &keys::ROUTE_URL)
                .unwrap_or_else(|| DIRECT_URL.to_owned());
            from.settle(&join(path, keys::ROUTE_URL.name), url.show());
            RouteRule::Direct { url }
        }
    }
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
