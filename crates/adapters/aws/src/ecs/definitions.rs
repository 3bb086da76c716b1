//! Task definitions as ECS describes them: each revision is asked for once, the latest of a family again after a minute.

use aws_sdk_ecs::{
    operation::describe_task_definition::DescribeTaskDefinitionError,
    types::{Compatibility, LogDriver, TaskDefinition, TaskDefinitionField, TransportProtocol},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use crate::{Clients, Governor, failure, governor::CallError, once::Once, operations::Operation};

/// Definitions that are remembered.
const MOST: usize = 1_000;
/// A family's latest revision may be another one by then.
const LATEST_KEPT_FOR: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkMode {
    /// An interface, and so an address, for each task.
    Awsvpc,
    Bridge,
    Host,
    None,
}

impl NetworkMode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Awsvpc => "awsvpc",
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Awsvpc, Self::Bridge, Self::Host, Self::None]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// A port that a container maps, over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) container: u16,
    /// Fixed on the host, where it is.
    pub(crate) host: Option<u16>,
}

/// Where a container's output goes, by the `awslogs` driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsLogs {
    pub(crate) group: String,
    pub(crate) region: Option<String>,
    /// Without one the stream has a name that only Docker knows.
    pub(crate) stream_prefix: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) essential: bool,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) logs: Option<AwsLogs>,
    /// Of its log configuration, whichever that is.
    pub(crate) log_driver: Option<String>,
}

/// One revision.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) arn: String,
    pub(crate) family: String,
    pub(crate) revision: i32,
    pub(crate) network: NetworkMode,
    /// Whether it was registered for Fargate.
    pub(crate) for_fargate: bool,
    pub(crate) containers: Vec<Container>,
    pub(crate) source: Box<TaskDefinition>,
}

impl Definition {
    pub(crate) fn read(source: TaskDefinition) -> Option<Self> {
        Some(Self {
            arn: source.task_definition_arn.clone()?,
            family: source.family.clone()?,
            revision: source.revision,
            network: match source.network_mode.as_ref() {
                None => NetworkMode::Bridge,
                Some(mode) => NetworkMode::named(mode.as_str())?,
            },
            for_fargate: source.requires_compatibilities().contains(&Compatibility::Fargate),
            containers: source.container_definitions().iter().map(container).collect(),
            source: Box::new(source),
        })
    }

    /// `family:revision`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }

    pub(crate) fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }
}

fn container(source: &aws_sdk_ecs::types::ContainerDefinition) -> Container {
    let port = |number: Option<i32>| {
        number
            .and_then(|number| u16::try_from(number).ok())
            .filter(|port| *port != 0)
    };
    let over_tcp = source.port_mappings().iter().filter(|mapping| {
        mapping
            .protocol
            .as_ref()
            .is_none_or(|protocol| *protocol == TransportProtocol::Tcp)
    });
    let logs = source.log_configuration();
    Container {
        name: source.name.clone().unwrap_or_default(),
        essential: source.essential.unwrap_or(true),
        mappings: over_tcp
            .filter_map(|mapping| {
                Some(Mapping {
                    container: port(mapping.container_port)?,
                    host: port(mapping.host_port),
                })
            })
            .collect(),
        logs: logs
            .filter(|logs| logs.log_driver == LogDriver::Awslogs)
            .and_then(|logs| {
                let option = |name: &str| logs.options()?.get(name).cloned();
                Some(AwsLogs {
                    group: option("awslogs-group")?,
                    region: option("awslogs-region"),
                    stream_prefix: option("awslogs-stream-prefix"),
                })
            }),
        log_driver: logs.map(|logs| logs.log_driver.as_str().to_owned()),
    }
}

/// Definitions, by what they are called.
#[derive(Debug)]
pub(crate) struct Definitions {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    revisions: Once<String, Arc<Definition>>,
    latest: Once<String, Arc<Definition>>,
}

impl Definitions {
    pub(crate) fn new(clients: Arc<Clients>, governor: Arc<Governor>) -> Self {
        Self {
            clients,
            governor,
            revisions: Once::new(MOST, None),
            latest: Once::new(MOST, Some(LATEST_KEPT_FOR)),
        }
    }

    /// By family, `family:revision` or ARN.
    pub(crate) async fn get(&self, name: &str, deadline: Instant) -> Result<Arc<Definition>, Failure> {
        let has_revision = name.rsplit('/').next().is_some_and(|name| name.contains(':'));
        let answers = if has_revision { &self.revisions } else { &self.latest };
        answers
            .get(name.to_owned(), async || {
                let (definition, _) = self.describe(name, deadline).await?.ok_or_else(|| unknown(name))?;
                Ok(definition)
            })
            .await
    }

    /// As ECS has it now, with its tags; `None` where there is none.
    pub(crate) async fn describe(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<Option<(Arc<Definition>, Vec<(String, String)>)>, Failure> {
        let client = self.clients.ecs().await;
        let operation = Operation::EcsDescribeTaskDefinition;
        let answer = self
            .governor
            .call(operation, deadline, || {
                client
                    .describe_task_definition()
                    .task_definition(name)
                    .include(TaskDefinitionField::Tags)
                    .send()
            })
            .await;
        let answer = match answer {
            Err(CallError::Failed(error)) if error.as_service_error().is_some_and(is_unknown) => return Ok(None),
            Err(error) => {
                return Err(error.into_failure(operation, |error| failure::failure(&error, &operation.on(name))));
            }
            Ok(answer) => answer,
        };
        let tags = answer.tags.unwrap_or_default();
        let tags = tags
            .into_iter()
            .filter_map(|tag| Some((tag.key?, tag.value?)))
            .collect();
        let definition = answer.task_definition.and_then(Definition::read).ok_or_else(|| {
            Failure::new(
                Code::AwsUnavailable,
                format!("ECS described the task definition {name} in a way that cannot be understood"),
            )
        })?;
        Ok(Some((Arc::new(definition), tags)))
    }
}

/// ECS has no code for it: `ClientException: Unable to describe task definition.`
fn is_unknown(error: &DescribeTaskDefinitionError) -> bool {
    error.is_client_exception()
        && error
            .message()
            .is_some_and(|message| message.contains("Unable to describe"))
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        Code::ConfigInvalid,
        format!("there is no task definition {name} in this account and region"),
    )
    .hint("register it, or correct the service's `task_definition`, the region, or the account that the credentials are of")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_sdk_ecs::types::{ContainerDefinition, LogConfiguration, PortMapping};

    /// A container's name, whether it is essential, and its ports: the container's and the host's.
    type ContainerOf<'a> = (&'a str, bool, &'a [(i32, i32)]);

    /// A definition with these containers.
    pub(crate) fn definition(network: Option<&str>, containers: &[ContainerOf<'_>]) -> Definition {
        let containers = containers.iter().map(|(name, essential, ports)| {
            let mut container = ContainerDefinition::builder().name(*name).essential(*essential);
            for (inside, outside) in *ports {
                let mapping = PortMapping::builder()
                    .container_port(*inside)
                    .host_port(*outside)
                    .build();
                container = container.port_mappings(mapping);
            }
            container.build()
        });
        let source = TaskDefinition::builder()
            .task_definition_arn("arn:aws:ecs:us-east-1:111122223333:task-definition/shop:3")
            .family("shop")
            .revision(3)
            .set_network_mode(network.map(Into::into))
            .set_container_definitions(Some(containers.collect()))
            .build();
        Definition::read(source).expect("a definition")
    }

    #[test]
    fn a_definition_without_a_network_mode_is_in_bridge_mode() {
        assert_eq!(definition(None, &[]).network, NetworkMode::Bridge);
        assert_eq!(definition(Some("awsvpc"), &[]).network, NetworkMode::Awsvpc);
        assert_eq!(definition(None, &[]).name(), "shop:3");
    }

    #[test]
    fn a_host_port_of_zero_is_the_host_s_choice() {
        let definition = definition(None, &[("web", true, &[(8000, 0), (9000, 9001)])]);
        assert_eq!(
            definition.containers[0].mappings,
            [
                Mapping {
                    container: 8000,
                    host: None
                },
                Mapping {
                    container: 9000,
                    host: Some(9001)
                }
            ]
        );
    }

    #[test]
    fn ports_over_udp_are_nothing_to_route_to() {
        let mapping = |port, protocol| PortMapping::builder().container_port(port).protocol(protocol).build();
        let source = ContainerDefinition::builder()
            .name("web")
            .port_mappings(mapping(53, TransportProtocol::Udp))
            .port_mappings(mapping(80, TransportProtocol::Tcp))
            .build();
        let mappings = container(&source).mappings;
        assert_eq!(
            mappings.iter().map(|mapping| mapping.container).collect::<Vec<_>>(),
            [80]
        );
    }

    #[test]
    fn where_output_goes_is_read_from_the_log_configuration() {
        let logs = |driver| {
            let logs = LogConfiguration::builder()
                .log_driver(driver)
                .options("awslogs-group", "/ecs/shop")
                .options("awslogs-stream-prefix", "ecs")
                .build()
                .expect("it has a driver");
            container(&ContainerDefinition::builder().log_configuration(logs).build())
        };
        assert_eq!(
            logs(LogDriver::Awslogs).logs,
            Some(AwsLogs {
                group: "/ecs/shop".into(),
                region: None,
                stream_prefix: Some("ecs".into())
            })
        );
        let elsewhere = logs(LogDriver::Splunk);
        assert_eq!(
            (elsewhere.logs, elsewhere.log_driver.as_deref()),
            (None, Some("splunk"))
        );
    }
}
