//! What a task definition needs that a policy has to allow whoever starts tasks from it: the roles that are handed on, and where output goes.

use std::{collections::BTreeSet, sync::Arc};
use tokio::time::Instant;
use wharf_domain::Failure;

use super::{Definition, Definitions};
use crate::{Clients, Governor};

/// Of one task definition, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// ARNs of task roles and execution roles.
    pub roles: BTreeSet<String>,
    /// Names of log groups, of the `awslogs` driver.
    pub log_groups: BTreeSet<String>,
}

/// Of the task definitions with these names (family, `family:revision` or ARN), each described once.
///
/// # Errors
/// `config.invalid` where there is no such task definition; what a call of AWS amounts to otherwise.
pub async fn needs(
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    names: impl IntoIterator<Item = &str>,
    deadline: Instant,
) -> Result<Needs, Failure> {
    let definitions = Definitions::new(clients, governor);
    let mut needs = Needs::default();
    for name in names {
        needs.add(&*definitions.get(name, deadline).await?);
    }
    Ok(needs)
}

impl Needs {
    fn add(&mut self, definition: &Definition) {
        let source = &definition.source;
        let roles = [&source.task_role_arn, &source.execution_role_arn];
        self.roles.extend(roles.into_iter().flatten().cloned());
        let logs = definition
            .containers
            .iter()
            .filter_map(|container| container.logs.as_ref());
        self.log_groups.extend(logs.map(|logs| logs.group.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types::{ContainerDefinition, LogConfiguration, LogDriver, TaskDefinition};

    #[test]
    fn roles_and_log_groups_are_gathered_from_every_container() {
        let container = |name: &str, group: &str| {
            let logs = LogConfiguration::builder()
                .log_driver(LogDriver::Awslogs)
                .options("awslogs-group", group)
                .build()
                .expect("it has a driver");
            ContainerDefinition::builder()
                .name(name)
                .log_configuration(logs)
                .build()
        };
        let source = TaskDefinition::builder()
            .task_definition_arn("arn:aws:ecs:us-east-1:111122223333:task-definition/shop:3")
            .family("shop")
            .revision(3)
            .task_role_arn("arn:aws:iam::111122223333:role/shop")
            .execution_role_arn("arn:aws:iam::111122223333:role/ecsTaskExecutionRole")
            .container_definitions(container("web", "/ecs/shop"))
            .container_definitions(container("helper", "/ecs/helper"))
            .build();
        let mut needs = Needs::default();
        needs.add(&Definition::read(source).expect("a definition"));
        assert_eq!(needs.roles.len(), 2);
        assert_eq!(needs.log_groups, ["/ecs/helper", "/ecs/shop"].map(str::to_owned).into());
    }
}
