//! The task definition: that it is there, that it can run where it shall, that it says which container is reached where, and that it
//! has the role and the log group that it needs.

use aws_sdk_ecs::types::{Compatibility, LogDriver, TaskDefinitionStatus};

use super::{
    super::{
        case::{Case, short},
        finding::Notes,
        world::{Known, World},
    },
    list,
};
use crate::ecs::{Definition, Placement, Shape};

pub(super) fn check(case: &Case<'_>, world: &World, notes: &mut Notes) {
    let name = &case.task.task_definition;
    let Some(definition) = case.definition else {
        if world.definitions.get(name).is_some_and(Known::is_absent) {
            notes.fail(
                format!("task definition {}", short(name)),
                format!("there is none in {}", world.region),
                format!(
                    "aws ecs register-task-definition --family {} … (deploy/taskdef has examples), or correct the service's \
                     `task_definition` (TASK_DEFINITION)",
                    short(name)
                ),
            );
        }
        return;
    };
    let what = format!("task definition {}", definition.name());
    if definition.source.status() == Some(&TaskDefinitionStatus::Inactive) {
        notes.fail(
            &what,
            "it is INACTIVE: ECS starts no more tasks of it",
            format!("register it again, or name an active revision of {}", definition.family),
        );
    } else {
        notes.ok(&what, format!("ACTIVE, network mode {}", definition.network.name()));
    }
    match &case.shape {
        Some(Ok(shape)) => {
            container(definition, shape, &what, notes);
            execution_role(definition, shape, &what, notes);
        }
        Some(Err(failure)) => notes.fail(
            format!("{what}: launch, container and port"),
            failure.message.clone(),
            failure.hint.clone().unwrap_or_default(),
        ),
        None => {}
    }
    logs(definition, world, notes);
}

fn container(definition: &Definition, shape: &Shape, what: &str, notes: &mut Notes) {
    let launch = match shape.placement {
        Placement::Fargate => Some("FARGATE"),
        Placement::Ec2 => Some("EC2"),
        Placement::External => Some("EXTERNAL"),
        Placement::Providers { .. } => None,
    };
    let compatible = definition.source.compatibilities();
    if let Some(launch) = launch
        && !compatible.is_empty()
        && !compatible.iter().any(|one| one.as_str() == launch)
    {
        notes.fail(
            format!("{what}: launch type"),
            format!(
                "it cannot run on {launch}, only on {}",
                list(compatible.iter().map(Compatibility::as_str))
            ),
            "register it with that launch type among requiresCompatibilities, or set the service's `launch`",
        );
    }
    let what = format!("{what}: container {}", shape.container);
    let routed = definition.container(&shape.container);
    if routed.is_some_and(|container| !container.essential) {
        notes.warn(
            &what,
            "it is not essential: when it ends, its task goes on without it",
            "set `essential` to true in the task definition",
        );
    }
    let beside = definition.containers.iter();
    let beside: Vec<&str> = beside
        .filter(|container| container.essential && container.name != shape.container)
        .map(|container| container.name.as_str())
        .collect();
    let beside = match beside[..] {
        [] => String::new(),
        _ => format!("; the task also ends with {}", list(beside)),
    };
    notes.ok(what, format!("requests go to its port {}{beside}", shape.port));
}

/// On Fargate the platform acts for the task before it runs, and everywhere where secrets are put into it.
fn execution_role(definition: &Definition, shape: &Shape, what: &str, notes: &mut Notes) {
    let source = &definition.source;
    let containers = source.container_definitions();
    let mut reasons = Vec::new();
    if shape.placement.is_fargate() {
        if definition.containers.iter().any(|container| container.logs.is_some()) {
            reasons.push("to write logs from Fargate");
        }
        if containers
            .iter()
            .any(|container| container.image().is_some_and(|image| image.contains(".dkr.ecr.")))
        {
            reasons.push("to pull its image from ECR");
        }
    }
    let has_secrets = containers.iter().any(|container| {
        !container.secrets().is_empty()
            || container.repository_credentials().is_some()
            || container
                .log_configuration()
                .is_some_and(|logs| !logs.secret_options().is_empty())
    });
    if has_secrets {
        reasons.push("to read the secrets that it names");
    }
    let what = format!("{what}: execution role");
    match source.execution_role_arn() {
        Some(role) => notes.ok(what, role),
        None if reasons.is_empty() => {}
        None => notes.fail(
            what,
            format!("it has none, and needs one {}", reasons.join(", ")),
            "set executionRoleArn to a role that ecs-tasks.amazonaws.com may assume, with the policy AmazonECSTaskExecutionRolePolicy",
        ),
    }
}

fn logs(definition: &Definition, world: &World, notes: &mut Notes) {
    for container in &definition.containers {
        let Some(logs) = &container.logs else { continue };
        let what = format!("log group {}", logs.group);
        match world.log_groups.get(&logs.group) {
            Some(Known::Is(())) if logs.stream_prefix.is_none() => notes.warn(
                what,
                format!(
                    "it is there, but the container {} has no awslogs-stream-prefix: nobody can tell a task's stream",
                    container.name
                ),
                "set awslogs-stream-prefix in the task definition's log options",
            ),
            Some(Known::Is(())) => notes.ok(what, format!("it is there, for the container {}", container.name)),
            Some(Known::Absent) if creates_its_group(definition, &container.name) => notes.ok(
                what,
                "it is not there yet: the first task makes it (awslogs-create-group)",
            ),
            Some(Known::Absent) => notes.fail(
                what,
                format!(
                    "it is not there: the container {} does not start without it",
                    container.name
                ),
                format!("aws logs create-log-group --log-group-name {}", logs.group),
            ),
            Some(Known::Unknown) | None => {}
        }
    }
    if definition.containers.iter().all(|container| container.logs.is_none()) {
        notes.warn(
            format!("task definition {}: logs", definition.name()),
            "no container writes to CloudWatch Logs: `wharf logs` has nothing to show, and a crash leaves no last words",
            "add a logConfiguration with the awslogs driver to the task definition",
        );
    }
}

fn creates_its_group(definition: &Definition, container: &str) -> bool {
    let mut containers = definition.source.container_definitions().iter();
    let found = containers.find(|found| found.name() == Some(container));
    let logs = found.and_then(|found| found.log_configuration());
    logs.filter(|logs| *logs.log_driver() == LogDriver::Awslogs)
        .and_then(|logs| logs.options()?.get("awslogs-create-group"))
        .is_some_and(|value| value == "true")
}
