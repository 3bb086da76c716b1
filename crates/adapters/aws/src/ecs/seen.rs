//! A task as ECS shows it: the members that are acted on, the same from DescribeTasks, RunTask and an event. Pure.

use aws_sdk_ecs::types::{Task, TransportProtocol};
use std::net::IpAddr;
use wharf_domain::instance::TaskRef;
use wharf_platform::Owner;

use super::marks::{Notes, owner_of};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) arn: String,
    /// One more with each change.
    pub(crate) version: i64,
    pub(crate) started_by: Option<String>,
    pub(crate) last_status: String,
    pub(crate) desired_status: String,
    pub(crate) definition: Option<String>,
    pub(crate) container_instance: Option<String>,
    pub(crate) interface: Option<Interface>,
    pub(crate) stop_code: Option<String>,
    pub(crate) stopped_reason: Option<String>,
    pub(crate) containers: Vec<SeenContainer>,
    /// Empty where the tags are not shown (in events).
    pub(crate) notes: Notes,
}

/// The network interface of a task in mode awsvpc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) id: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) address: Option<IpAddr>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenContainer {
    pub(crate) name: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<String>,
    /// Of its network interface.
    pub(crate) address: Option<IpAddr>,
    pub(crate) bindings: Vec<Binding>,
}

/// A container's port on its host, over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) container: u16,
    pub(crate) host: u16,
}

impl Seen {
    pub(crate) fn owner(&self) -> Option<Owner> {
        owner_of(self.started_by.as_deref()?)
    }

    /// As the registry names it.
    pub(crate) fn task_ref(&self, owner: &Owner) -> TaskRef {
        TaskRef {
            id: self.arn.clone(),
            attempt: owner.attempt,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.last_status == "STOPPED"
    }

    /// Told to stop, by whomever.
    pub(crate) fn is_to_stop(&self) -> bool {
        self.desired_status == "STOPPED"
    }

    /// The address of its own interface.
    pub(crate) fn own_address(&self) -> Option<IpAddr> {
        let attached = self.interface.as_ref().and_then(|interface| interface.address);
        attached.or_else(|| self.containers.iter().find_map(|container| container.address))
    }
}

/// The cluster's name and the task's id in a task's ARN: `arn:aws:ecs:<region>:<account>:task/<cluster>/<id>`.
pub(crate) fn cluster_and_id(arn: &str) -> Option<(&str, &str)> {
    let resource = arn.strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
    let mut parts = resource.strip_prefix("task/")?.split('/');
    let found = (parts.next()?, parts.next()?);
    (parts.next().is_none() && !found.0.is_empty() && !found.1.is_empty()).then_some(found)
}

/// The name under which DescribeTasks and events know a task's network interface.
pub(crate) fn is_interface(kind: &str) -> bool {
    // `eni` in events.
    kind == "ElasticNetworkInterface" || kind == "eni"
}

pub(crate) fn port(number: Option<i64>) -> Option<u16> {
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
}

impl From<&Task> for Seen {
    fn from(task: &Task) -> Self {
        let interface = task
            .attachments()
            .iter()
            .find(|attachment| attachment.r#type().is_some_and(is_interface))
            .map(|attachment| {
                let detail = |name: &str| {
                    let detail = attachment.details().iter().find(|detail| detail.name() == Some(name))?;
                    detail.value()
                };
                Interface {
                    id: detail("networkInterfaceId").map(str::to_owned),
                    status: attachment.status.clone(),
                    address: detail("privateIPv4Address").and_then(|address| address.parse().ok()),
                }
            });
        let tags = task.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
        Self {
            arn: task.task_arn.clone().unwrap_or_default(),
            version: task.version,
            started_by: task.started_by.clone(),
            last_status: task.last_status.clone().unwrap_or_default(),
            desired_status: task.desired_status.clone().unwrap_or_default(),
            definition: task.task_definition_arn.clone(),
            container_instance: task.container_instance_arn.clone(),
            interface,
            stop_code: task.stop_code.as_ref().map(|code| code.as_str().to_owned()),
            stopped_reason: task.stopped_reason.clone(),
            containers: task.containers().iter().map(SeenContainer::from).collect(),
            notes: Notes::read(tags),
        }
    }
}

impl From<&aws_sdk_ecs::types::Container> for SeenContainer {
    fn from(container: &aws_sdk_ecs::types::Container) -> Self {
        let over_tcp = container.network_bindings().iter().filter(|binding| {
            binding
                .protocol()
                .is_none_or(|protocol| *protocol == TransportProtocol::Tcp)
        });
        Self {
            name: container.name.clone().unwrap_or_default(),
            exit_code: container.exit_code,
            reason: container.reason.clone(),
            address: container
                .network_interfaces()
                .iter()
                .find_map(|interface| interface.private_ipv4_address()?.parse().ok()),
            bindings: over_tcp
                .filter_map(|binding| {
                    Some(Binding {
                        container: port(binding.container_port.map(i64::from))?,
                        host: port(binding.host_port.map(i64::from))?,
                    })
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_s_arn_names_its_cluster() {
        let arn = "arn:aws:ecs:us-east-1:111122223333:task/shop/0123456789abcdef0123456789abcdef";
        assert_eq!(cluster_and_id(arn), Some(("shop", "0123456789abcdef0123456789abcdef")));
        for other in [
            "never-was",
            "arn:aws:ecs:us-east-1:111122223333:task/0123",
            "arn:aws:ecs:us-east-1:111122223333:service/shop/web",
            "arn:aws:ecs:us-east-1:111122223333:task//x",
        ] {
            assert_eq!(cluster_and_id(other), None, "{other}");
        }
    }
}
