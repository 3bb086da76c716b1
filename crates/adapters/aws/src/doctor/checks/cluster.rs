//! The cluster: that it is there, and that tasks find a place in it.

use aws_sdk_ecs::types::ContainerDefinition;
use wharf_domain::service::Launch;

use super::{
    super::{
        case::{Case, short},
        finding::Notes,
        world::{Host, Known, World, of},
    },
    count, list,
};
use crate::ecs::{Definition, Placement};

pub(super) fn check(case: &Case<'_>, world: &World, notes: &mut Notes) {
    let name = &case.task.cluster;
    let what = format!("cluster {}", short(name));
    match world.clusters.get(name) {
        Some(Known::Is(cluster)) if cluster.status == "ACTIVE" => {
            notes.ok(&what, "ACTIVE");
            if let Launch::CapacityProviders(providers) = &case.task.launch {
                let missing: Vec<&str> = providers
                    .iter()
                    .map(|provider| provider.name.as_str())
                    .filter(|provider| !cluster.capacity_providers.iter().any(|known| known == provider))
                    .collect();
                if !missing.is_empty() {
                    notes.fail(
                        format!("{what}: capacity providers"),
                        format!(
                            "{} is not one of the cluster's ({})",
                            list(missing),
                            list(&cluster.capacity_providers)
                        ),
                        format!(
                            "aws ecs put-cluster-capacity-providers --cluster {} …, or correct the service's `capacity_providers`",
                            short(name)
                        ),
                    );
                }
            }
            hosts(case, world, &what, notes);
        }
        Some(Known::Is(cluster)) => notes.fail(
            what,
            format!("its status is {}", cluster.status),
            format!("create it again: aws ecs create-cluster --cluster-name {}", short(name)),
        ),
        Some(Known::Absent) => notes.fail(
            what,
            format!("there is none in {}", world.region),
            format!(
                "aws ecs create-cluster --cluster-name {}, or correct the service's `cluster` (ECS_CLUSTER), or the region",
                short(name)
            ),
        ),
        Some(Known::Unknown) | None => {}
    }
}

/// Where tasks run on container instances: that there are some, that they can be talked to, and that one has room.
fn hosts(case: &Case<'_>, world: &World, cluster: &str, notes: &mut Notes) {
    let Some(shape) = case.clear() else { return };
    let Some(hosts) = of(&world.hosts, &case.task.cluster) else {
        return;
    };
    let what = format!("{cluster}: container instances");
    let name = short(&case.task.cluster);
    if hosts.is_empty() {
        if matches!(shape.placement, Placement::Providers { .. }) {
            notes.ok(what, "none yet: the capacity providers start them");
            return;
        }
        notes.fail(
            what,
            "none is registered: tasks find no place and wait until they give up",
            format!(
                "start an EC2 instance of the ECS-optimised image with ECS_CLUSTER={name} in /etc/ecs/ecs.config and the role \
                 AmazonEC2ContainerServiceforEC2Role (deploy/ec2-host.yaml does), or set the service's `launch` to `fargate`"
            ),
        );
        return;
    }
    let usable: Vec<&Host> = hosts
        .iter()
        .filter(|host| host.agent_connected && host.status == "ACTIVE")
        .collect();
    if usable.is_empty() {
        notes.fail(
            what,
            format!("{}, none of them ACTIVE with a connected agent", count(hosts.len(), "container instance")),
            "look at the ECS agent on the instances (systemctl status ecs), their way to ECS, and whether they are being drained",
        );
        return;
    }
    let (cpu, memory) = case.definition.map(needs).unwrap_or_default();
    if usable
        .iter()
        .any(|host| host.cpu_left >= cpu && host.memory_left >= memory)
    {
        notes.ok(what, format!("{} with room", count(usable.len(), "container instance")));
    } else {
        notes.warn(
            what,
            format!("none has {cpu} CPU units and {memory} MiB left, which a task needs: the next one waits for room"),
            "add an instance, stop what nobody needs, or let the task definition ask for less",
        );
    }
}

/// CPU units and MiB of one task: its own, or those of its containers together.
fn needs(definition: &Definition) -> (i32, i32) {
    let source = &definition.source;
    let whole = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let containers = source.container_definitions();
    let cpu = whole(source.cpu()).unwrap_or_else(|| containers.iter().map(ContainerDefinition::cpu).sum());
    let memory = whole(source.memory()).unwrap_or_else(|| {
        let each = containers
            .iter()
            .filter_map(|container| container.memory_reservation().or(container.memory()));
        each.sum()
    });
    (cpu, memory)
}
