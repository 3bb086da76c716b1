//! The six questions that come before a start on ECS, answered in words for each service: from what is configured, and what is there.

use wharf_domain::service::{CapacityProvider, Launch, PortRule, RouteRule};

use super::{
    Deployment,
    case::{Case, DYNAMIC_PORTS, short},
    checks::{count, targets::kind},
    finding::Answers,
    world::{Known, Named, World, of},
};
use crate::ecs::{Definition, NetworkMode, Placement};

pub(super) fn answer(case: &Case<'_>, deployment: &Deployment<'_>, world: &World) -> Answers {
    Answers {
        service: case.service.name.to_string(),
        launch_type: launch_type(case, world),
        network_mode: network_mode(case),
        target_type: target_type(case, world),
        event_source: event_source(case, deployment),
        scaling: scaling(case),
        existing_resources: existing_resources(case, world),
    }
}

fn launch_type(case: &Case<'_>, world: &World) -> String {
    let configured = match &case.task.launch {
        Launch::Auto => "`launch` is not set",
        Launch::CapacityProviders(_) => "`capacity_providers`",
        _ => "`launch`",
    };
    match (case.clear().map(|shape| &shape.placement), &case.task.launch) {
        (Some(Placement::Fargate), Launch::Auto) => {
            "Fargate: the task definition has the network mode awsvpc and allows it".to_owned()
        }
        (Some(Placement::Fargate), _) => format!("Fargate, as {configured} says"),
        (Some(Placement::Ec2), _) => {
            let hosts = of(&world.hosts, &case.task.cluster).map_or(0, Vec::len);
            let why = match case.task.launch {
                Launch::Auto => "the task definition is not for Fargate".to_owned(),
                _ => format!("as {configured} says"),
            };
            format!("EC2: {why}; the cluster has {}", count(hosts, "container instance"))
        }
        (Some(Placement::External), _) => "EXTERNAL, on machines of your own (ECS Anywhere)".to_owned(),
        (Some(Placement::Providers { .. }), Launch::CapacityProviders(providers)) => {
            let each = |provider: &CapacityProvider| format!("{} (weight {})", provider.name, provider.weight);
            let providers: Vec<_> = providers.iter().map(each).collect();
            format!("by the capacity providers {}", providers.join(", "))
        }
        _ => "not known, as long as the task definition is not in order".to_owned(),
    }
}

fn network_mode(case: &Case<'_>) -> String {
    let Some(network) = case.network() else {
        return "not known: the task definition was not found or could not be read".to_owned();
    };
    match (network, &case.service.port) {
        (NetworkMode::Awsvpc, _) => "awsvpc: each task has a network interface and an address of its own".to_owned(),
        (NetworkMode::Host, _) => "host: a task has its host's address and its own port there".to_owned(),
        (NetworkMode::None, _) => "none: nothing can reach its tasks".to_owned(),
        (NetworkMode::Bridge, PortRule::Static { first, last }) => {
            format!("bridge: a task has its host's address, and a port of {first}-{last} that Wharf leases to it")
        }
        (NetworkMode::Bridge, PortRule::Dynamic) => format!(
            "bridge: a task has its host's address, and {}",
            match case.clear().and_then(|shape| shape.host_port) {
                Some(port) => format!("the host port {port} that the task definition fixes"),
                None => format!("a port that the host chooses ({}-{})", DYNAMIC_PORTS.0, DYNAMIC_PORTS.1),
            }
        ),
    }
}

fn target_type(case: &Case<'_>, world: &World) -> String {
    let without = match &case.service.route {
        RouteRule::Host => "none: Wharf's own load balancer brings requests to the task, by host name",
        RouteRule::Path { .. } => "none: Wharf's own load balancer brings requests to the task, by path",
        RouteRule::Direct { .. } => "none: the address that is told leads to the task itself",
        RouteRule::TargetGroups { .. } => "",
    };
    if !without.is_empty() {
        return without.to_owned();
    }
    let groups = case.arns.iter().map(|arn| match world.target_groups.get(arn) {
        Some(Known::Is(group)) => format!("{} ({})", kind(&group.kind), group.name),
        Some(Known::Absent) => format!("no such target group ({})", short(arn)),
        Some(Known::Unknown) | None => format!("not known ({})", short(arn)),
    });
    let groups: Vec<String> = groups.collect();
    let wanted = match case.network() {
        Some(NetworkMode::Awsvpc) => "; awsvpc needs ip",
        Some(NetworkMode::Bridge | NetworkMode::Host) => "; bridge and host need instance",
        Some(NetworkMode::None) | None => "",
    };
    format!("{}{wanted}", groups.join(", "))
}

fn event_source(case: &Case<'_>, deployment: &Deployment<'_>) -> String {
    let name = &case.service.name;
    let what = if case.service.tenant {
        "a sign-up (POST /provision, or an event with `userId`)".to_owned()
    } else {
        format!(
            "a start event whose `detail.service` is \"{name}\", from EventBridge (custom.app, custom.source, or a schedule)"
        )
    };
    let way = match deployment.queue_url {
        Some(url) => format!("through the queue {}", url.rsplit('/').next().unwrap_or(url)),
        None => "by POST /events, since no queue is configured".to_owned(),
    };
    let by_hand = if case.service.tenant {
        "`wharf provision`".to_owned()
    } else {
        format!("POST /services/{name}/start and `wharf start {name}`")
    };
    format!("{what}, {way}; by hand {by_hand}")
}

fn scaling(case: &Case<'_>) -> String {
    if case.service.tenant {
        "one task for each tenant".to_owned()
    } else if case.service.singleton {
        "always one: a start gives the task that runs".to_owned()
    } else {
        "each start event starts one more task; its `count` starts up to 10 at once".to_owned()
    }
}

fn existing_resources(case: &Case<'_>, world: &World) -> String {
    fn state<T>(found: &Named<T>, name: &str) -> &'static str {
        match found.get(name) {
            Some(Known::Is(_)) => "there",
            Some(Known::Absent) => "MISSING",
            Some(Known::Unknown) | None => "not known",
        }
    }
    let task = case.task;
    let mut parts = vec![
        format!(
            "cluster {}: {}",
            short(&task.cluster),
            state(&world.clusters, &task.cluster)
        ),
        format!(
            "task definition {}: {}",
            case.definition
                .map_or_else(|| short(&task.task_definition).to_owned(), Definition::name),
            state(&world.definitions, &task.task_definition)
        ),
    ];
    let groups = case.arns.iter();
    parts.extend(groups.map(|arn| format!("target group {}: {}", short(arn), state(&world.target_groups, arn))));
    if let Some(rule) = case.rule {
        let found = state(&world.listeners, &rule.listener);
        parts.push(format!("listener of {}: {found}", short(&rule.listener)));
    }
    parts.join(", ")
}
