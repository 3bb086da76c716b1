//! A service's `ecs` section, typed.

use wharf_domain::{
    ServiceName,
    service::{EcsTask, Launch, ListenerRule, PortRule, RouteRule, RunSpec, SecretsAs},
};

use crate::{
    keys::{
        ecs as keys,
        service::{PORT, PORT_RANGE},
    },
    resolved::Resolved,
    setting::Setting,
    table::join,
    values::{EcsPort, EcsRouteKind, LaunchType, RouteKind, SecretsForm},
};

/// An absent section, or an absent key that is needed, is an empty text here and a problem in the rules.
pub(super) fn read(from: &mut Resolved<'_>, path: &str) -> RunSpec {
    if !from.sections.contains(path) {
        return RunSpec::Ecs(EcsTask {
            cluster: String::new(),
            task_definition: String::new(),
            container: None,
            port: None,
            subnets: Vec::new(),
            security_groups: Vec::new(),
            assign_public_ip: true,
            launch: Launch::Auto,
            command: None,
            cpu: None,
            memory: None,
            execute_command: false,
            secrets: SecretsAs::Values,
            host_address: None,
        });
    }
    RunSpec::Ecs(EcsTask {
        cluster: from.get(path, &keys::CLUSTER).unwrap_or_default(),
        task_definition: from.get(path, &keys::TASK_DEFINITION).unwrap_or_default(),
        container: from.get(path, &keys::CONTAINER),
        port: container_port(from, path),
        subnets: from.get(path, &keys::SUBNETS),
        security_groups: from.get(path, &keys::SECURITY_GROUPS),
        assign_public_ip: from.get(path, &keys::ASSIGN_PUBLIC_IP).0,
        launch: launch(from, path),
        command: from.get(path, &keys::COMMAND),
        cpu: from.get(path, &keys::CPU),
        memory: from.get(path, &keys::MEMORY).map(|memory| memory.0),
        execute_command: from.get(path, &keys::EXECUTE_COMMAND),
        secrets: match from.get(path, &keys::SECRETS) {
            SecretsForm::Values => SecretsAs::Values,
            SecretsForm::Arn => SecretsAs::Arn,
        },
        host_address: from.get(path, &keys::HOST_ADDRESS),
    })
}

/// `port` as a number says it shortly; a general variable gives way to that too.
fn container_port(from: &mut Resolved<'_>, path: &str) -> Option<u16> {
    let given = from.get(path, &keys::CONTAINER_PORT);
    let Some(EcsPort::Container(port)) = from.get(path, &keys::PORT) else {
        return given;
    };
    let long = join(path, keys::CONTAINER_PORT.name);
    let is_documented = from.entries.get(&long).is_some_and(|entry| entry.is_documented);
    if given.is_none() || is_documented {
        from.settle(&long, port.to_string());
        from.note(&long, format!("{} says it", join(path, keys::PORT.name)));
        return Some(port);
    }
    given
}

fn launch(from: &mut Resolved<'_>, path: &str) -> Launch {
    let providers = from.get(path, &keys::CAPACITY_PROVIDERS).0;
    if !providers.is_empty() {
        let launch = join(path, keys::LAUNCH.name);
        from.note(
            &launch,
            format!("{} stands in its place", keys::CAPACITY_PROVIDERS.name),
        );
        return Launch::CapacityProviders(providers);
    }
    match from.get(path, &keys::LAUNCH) {
        LaunchType::Auto => Launch::Auto,
        LaunchType::Fargate => Launch::Fargate,
        LaunchType::Ec2 => Launch::Ec2,
        LaunchType::External => Launch::External,
    }
}

/// The rule for the host's port, and where its range stands: the section's own, or the service's.
pub(super) fn read_port(from: &mut Resolved<'_>, service: &str, path: &str) -> (PortRule, String) {
    let general = join(service, PORT.name);
    let own = from
        .sections
        .contains(path)
        .then(|| from.get(path, &keys::PORT))
        .flatten();
    match own {
        Some(EcsPort::Rule(rule)) => {
            let own = join(path, keys::PORT.name);
            super::replaced(from, &general, &PORT, &own);
            (rule, own)
        }
        _ => (super::read_port(from, &general), join(&general, PORT_RANGE.name)),
    }
}

/// The section's own route, which may be one that only ECS has; `path` is that of the route.
pub(super) fn read_route(from: &mut Resolved<'_>, path: &str, name: &ServiceName, general: RouteKind) -> RouteRule {
    let kind = from.get(path, &keys::ROUTE_KIND).unwrap_or(match general {
        RouteKind::Host => EcsRouteKind::Host,
        RouteKind::Path => EcsRouteKind::Path,
        RouteKind::Direct => EcsRouteKind::Direct,
    });
    from.settle(&join(path, keys::ROUTE_KIND.name), kind.show());
    match kind {
        EcsRouteKind::Host => RouteRule::Host,
        EcsRouteKind::Path => {
            let prefix = from.get(path, &super::keys::ROUTE_PREFIX);
            super::path_route(from, path, prefix, name)
        }
        EcsRouteKind::Direct => {
            let url = from.get(path, &keys::ROUTE_URL);
            super::direct_route(from, path, url)
        }
        EcsRouteKind::TargetGroups => RouteRule::TargetGroups {
            arns: from.get(path, &keys::ROUTE_ARNS),
            rule: read_rule(from, &join(path, keys::RULE.name)),
            url: balancer_url(from, path),
        },
    }
}

/// Where a documented variable made target groups of a direct route, the file's address is still that of an instance.
fn balancer_url(from: &mut Resolved<'_>, path: &str) -> Option<String> {
    let url = from.get(path, &keys::ROUTE_URL)?;
    let kind = join(path, keys::ROUTE_KIND.name);
    let is_overruled = from.entries.get(&kind).is_some_and(|entry| entry.is_documented);
    if is_overruled && url.contains('{') {
        from.note(
            &join(path, keys::ROUTE_URL.name),
            "only with kind = \"direct\"".to_owned(),
        );
        return None;
    }
    Some(url)
}

fn read_rule(from: &Resolved<'_>, path: &str) -> Option<ListenerRule> {
    from.sections.contains(path).then(|| ListenerRule {
        listener: from.get(path, &keys::RULE_LISTENER).unwrap_or_default(),
        host: from.get(path, &keys::RULE_HOST).map(|host| host.0),
        path: from.get(path, &keys::RULE_PATH).map(|path| path.0),
    })
}
