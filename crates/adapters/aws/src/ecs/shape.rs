//! What a task of a service looks like: which container is told who it is, which of its ports is routed to, where ECS places it. Found from
//! the task definition and what the configuration adds; what is unclear or cannot be is a failure that says what to name. Pure.

use wharf_domain::{
    Code, Failure,
    service::{EcsTask, Launch},
};

use super::definitions::{Container, Definition, NetworkMode};

/// Ports that a container instance keeps for itself: SSH, Docker's, the ECS agent's.
const RESERVED: &[u16] = &[22, 2375, 2376, 51678, 51679, 51680];

/// Whether no container can have this port of its host.
pub(crate) fn is_reserved(port: u16) -> bool {
    RESERVED.contains(&port)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) container: String,
    /// The container's.
    pub(crate) port: u16,
    /// The host's, where the definition fixes it.
    pub(crate) host_port: Option<u16>,
    pub(crate) network: NetworkMode,
    pub(crate) placement: Placement,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Fargate,
    Ec2,
    External,
    /// As the service's capacity providers say; `on_fargate` where one of them is Fargate's.
    Providers {
        on_fargate: bool,
    },
}

impl Placement {
    pub(crate) const fn is_fargate(&self) -> bool {
        matches!(self, Self::Fargate | Self::Providers { on_fargate: true })
    }
}

impl Shape {
    pub(crate) fn of(task: &EcsTask, definition: &Definition) -> Result<Self, Failure> {
        let container = container(task, definition)?;
        let network = definition.network;
        if network == NetworkMode::None {
            return Err(config(format!(
                "the task definition {} has the network mode `none`: nothing can reach its tasks",
                definition.name()
            ))
            .hint("use `awsvpc`, `bridge` or `host`"));
        }
        if network == NetworkMode::Awsvpc && task.subnets.is_empty() {
            return Err(config(format!(
                "tasks of {} have network interfaces of their own (awsvpc), and no subnets are configured for them",
                definition.name()
            ))
            .hint("name the service's `subnets` and `security_groups`, or set SUBNETS and SECURITY_GROUPS"));
        }
        let (port, host_port) = port(task, definition, container)?;
        Ok(Self {
            container: container.name.clone(),
            port,
            host_port,
            network,
            placement: placement(task, definition)?,
        })
    }
}

fn container<'a>(task: &EcsTask, definition: &'a Definition) -> Result<&'a Container, Failure> {
    if let Some(name) = &task.container {
        return definition.container(name).ok_or_else(|| {
            config(format!(
                "the task definition {} has no container {name}",
                definition.name()
            ))
            .hint(format!("its containers are {}", names(definition.containers.iter())))
        });
    }
    let mut essential = definition.containers.iter().filter(|container| container.essential);
    match (essential.next(), essential.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(config(format!(
            "the task definition {} has several essential containers, and it is not said which one is routed to",
            definition.name()
        ))
        .hint(format!(
            "set the service's `container` to one of {}",
            names(definition.containers.iter().filter(|container| container.essential))
        ))),
    }
}

fn names<'a>(containers: impl Iterator<Item = &'a Container>) -> String {
    let names: Vec<&str> = containers.map(|container| container.name.as_str()).collect();
    names.join(", ")
}

/// The container's port, and the host's where it is fixed.
fn port(task: &EcsTask, definition: &Definition, container: &Container) -> Result<(u16, Option<u16>), Failure> {
    let mapping = match task.port {
        Some(port) => container.mappings.iter().find(|mapping| mapping.container == port),
        None => container.mappings.first(),
    };
    match (mapping, task.port, definition.network) {
        (Some(mapping), _, _) => Ok((mapping.container, mapping.host)),
        // Mappings of a task with an interface of its own, or with its host's, open nothing: they only tell.
        (None, Some(port), NetworkMode::Awsvpc | NetworkMode::Host) => Ok((port, None)),
        (None, Some(port), _) => {
            let mapped: Vec<String> = container
                .mappings
                .iter()
                .map(|mapping| mapping.container.to_string())
                .collect();
            Err(config(format!(
                "the container {} of {} does not map its port {port}",
                container.name,
                definition.name()
            ))
            .hint(if mapped.is_empty() {
                "add a port mapping with that containerPort to the task definition".to_owned()
            } else {
                format!(
                    "it maps {}: set the service's `port`, or add a mapping to the task definition",
                    mapped.join(", ")
                )
            }))
        }
        (None, None, _) => Err(config(format!(
            "the container {} of {} maps no port, so nothing can be routed to it",
            container.name,
            definition.name()
        ))
        .hint("add a port mapping to the task definition, or set the service's `port`")),
    }
}

fn placement(task: &EcsTask, definition: &Definition) -> Result<Placement, Failure> {
    let not_on_fargate = || {
        Failure::new(
            Code::TaskPlacement,
            format!(
                "the task definition {} does not run on Fargate: that needs the network mode awsvpc and FARGATE among requiresCompatibilities",
                definition.name()
            ),
        )
        .hint("register it for Fargate, or set the service's `launch` to `ec2`")
    };
    let fits_fargate = definition.network == NetworkMode::Awsvpc && definition.for_fargate;
    match &task.launch {
        Launch::Auto if fits_fargate => Ok(Placement::Fargate),
        Launch::Fargate if fits_fargate => Ok(Placement::Fargate),
        Launch::Fargate => Err(not_on_fargate()),
        Launch::Auto | Launch::Ec2 => Ok(Placement::Ec2),
        Launch::External => Ok(Placement::External),
        Launch::CapacityProviders(providers) => {
            let on_fargate = providers.iter().any(|provider| provider.name.starts_with("FARGATE"));
            if on_fargate && !fits_fargate {
                return Err(not_on_fargate());
            }
            Ok(Placement::Providers { on_fargate })
        }
    }
}

fn config(message: String) -> Failure {
    Failure::new(Code::ConfigInvalid, message)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{super::definitions::tests::definition, *};
    use wharf_domain::service::{CapacityProvider, SecretsAs};

    pub(crate) fn task() -> EcsTask {
        EcsTask {
            cluster: "shop".into(),
            task_definition: "shop".into(),
            container: None,
            port: None,
            subnets: vec!["subnet-1".into()],
            security_groups: Vec::new(),
            assign_public_ip: false,
            launch: Launch::Auto,
            command: None,
            cpu: None,
            memory: None,
            execute_command: false,
            secrets: SecretsAs::Values,
            host_address: None,
        }
    }

    #[test]
    fn the_only_essential_container_and_its_first_port_need_no_naming() {
        let definition = definition(None, &[("log", false, &[]), ("web", true, &[(8000, 0), (9000, 0)])]);
        let shape = Shape::of(&task(), &definition).expect("clear");
        assert_eq!(
            (shape.container.as_str(), shape.port, shape.host_port),
            ("web", 8000, None)
        );
        assert_eq!(shape.placement, Placement::Ec2);
    }

    #[test]
    fn of_several_essential_containers_one_has_to_be_named() {
        let definition = definition(None, &[("web", true, &[(80, 0)]), ("proxy", true, &[(81, 0)])]);
        let failure = Shape::of(&task(), &definition).expect_err("unclear");
        assert_eq!(failure.code, Code::ConfigInvalid);
        assert!(failure.hint.is_some_and(|hint| hint.contains("web, proxy")));
        let named = EcsTask {
            container: Some("proxy".into()),
            ..task()
        };
        assert_eq!(Shape::of(&named, &definition).expect("clear").port, 81);
        let wrong = EcsTask {
            container: Some("nginx".into()),
            ..task()
        };
        let failure = Shape::of(&wrong, &definition).expect_err("there is none");
        assert!(failure.message.contains("nginx"), "{}", failure.message);
    }

    #[test]
    fn a_port_that_bridge_mode_does_not_map_cannot_be_reached() {
        let definition = definition(None, &[("web", true, &[(80, 0)])]);
        let other = EcsTask {
            port: Some(81),
            ..task()
        };
        let failure = Shape::of(&other, &definition).expect_err("not mapped");
        assert!(failure.hint.is_some_and(|hint| hint.contains("80")));
    }

    #[test]
    fn with_an_interface_of_its_own_a_port_need_not_be_mapped_but_known() {
        let definition = definition(Some("awsvpc"), &[("web", true, &[])]);
        let named = EcsTask {
            port: Some(8080),
            ..task()
        };
        assert_eq!(Shape::of(&named, &definition).expect("clear").port, 8080);
        let failure = Shape::of(&task(), &definition).expect_err("unknown");
        assert!(failure.message.contains("maps no port"), "{}", failure.message);
    }

    #[test]
    fn an_interface_needs_a_subnet() {
        let definition = definition(Some("awsvpc"), &[("web", true, &[(80, 80)])]);
        let nowhere = EcsTask {
            subnets: Vec::new(),
            ..task()
        };
        let failure = Shape::of(&nowhere, &definition).expect_err("no subnet");
        assert!(failure.hint.is_some_and(|hint| hint.contains("subnets")));
    }

    #[test]
    fn nothing_reaches_a_task_without_a_network() {
        let definition = definition(Some("none"), &[("web", true, &[(80, 0)])]);
        assert!(Shape::of(&task(), &definition).is_err());
    }

    #[test]
    fn fargate_is_for_definitions_that_are_registered_for_it() {
        let bridge = definition(None, &[("web", true, &[(80, 0)])]);
        for launch in [
            Launch::Fargate,
            Launch::CapacityProviders(vec![CapacityProvider {
                name: "FARGATE_SPOT".into(),
                weight: 1,
                base: 0,
            }]),
        ] {
            let on_fargate = EcsTask { launch, ..task() };
            let failure = Shape::of(&on_fargate, &bridge).expect_err("not for Fargate");
            assert_eq!(failure.code, Code::TaskPlacement);
        }
        let mut for_fargate = definition(Some("awsvpc"), &[("web", true, &[(80, 80)])]);
        for_fargate.for_fargate = true;
        assert_eq!(
            Shape::of(&task(), &for_fargate).expect("fits").placement,
            Placement::Fargate
        );
    }

    #[test]
    fn the_host_s_own_ports_are_reserved() {
        assert!([22, 2375, 2376, 51678, 51679, 51680].into_iter().all(is_reserved));
        assert!(!is_reserved(8000));
    }
}
