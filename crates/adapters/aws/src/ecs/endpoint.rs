//! Where a running task listens: its own interface, or a port of its host. `None` as long as ECS does not tell.

use tokio::time::Instant;
use wharf_domain::{Endpoint, Failure};

use super::{
    definitions::{Definitions, NetworkMode},
    marks::Notes,
    places::Places,
    seen::{Seen, cluster_and_id},
};

/// What a task's tags say, and the task definition where they do not.
pub(crate) async fn notes(task: &Seen, definitions: &Definitions, deadline: Instant) -> Result<Notes, Failure> {
    let mut notes = task.notes.clone();
    if let (Some(_), Some(_)) = (notes.network, notes.port) {
        return Ok(notes);
    }
    if let Some(name) = &task.definition {
        let definition = definitions.get(name, deadline).await?;
        notes.network = Some(definition.network);
        if notes.port.is_none() {
            let container = match &notes.container {
                Some(name) => definition.container(name),
                None => definition.containers.iter().find(|container| container.essential),
            };
            notes.container = container.map(|container| container.name.clone());
            notes.port = container.and_then(|container| Some(container.mappings.first()?.container));
        }
    }
    Ok(notes)
}

pub(crate) async fn endpoint(
    task: &Seen,
    notes: &Notes,
    places: &Places,
    deadline: Instant,
) -> Result<Option<Endpoint>, Failure> {
    let (Some(network), Some(port)) = (notes.network, notes.port) else {
        return Ok(None);
    };
    match network {
        NetworkMode::Awsvpc => own(task, notes, port, places, deadline).await,
        NetworkMode::Bridge => match bound(task, notes, port) {
            Some(port) => host(task, notes, port, places, deadline).await,
            None => Ok(None),
        },
        NetworkMode::Host => host(task, notes, port, places, deadline).await,
        NetworkMode::None => Ok(None),
    }
}

/// The address of its own interface.
async fn own(
    task: &Seen,
    notes: &Notes,
    port: u16,
    places: &Places,
    deadline: Instant,
) -> Result<Option<Endpoint>, Failure> {
    let Some(private) = task.own_address() else {
        return Ok(None);
    };
    let interface = task.interface.as_ref().and_then(|interface| interface.id.as_deref());
    let ip = match interface {
        Some(id) if notes.public => places
            .addresses_of_interface(id, deadline)
            .await?
            .public
            .unwrap_or(private),
        _ => private,
    };
    Ok(Some(Endpoint::Address { ip, port }))
}

/// The host's port that the container's is bound to.
fn bound(task: &Seen, notes: &Notes, port: u16) -> Option<u16> {
    let is_main = |name: &str| notes.container.as_deref().is_none_or(|container| container == name);
    let containers = task.containers.iter().filter(|container| is_main(&container.name));
    let mut bindings = containers.flat_map(|container| &container.bindings);
    bindings
        .find(|binding| binding.container == port)
        .map(|binding| binding.host)
}

/// A port of the container instance.
async fn host(
    task: &Seen,
    notes: &Notes,
    port: u16,
    places: &Places,
    deadline: Instant,
) -> Result<Option<Endpoint>, Failure> {
    let (Some(container_instance), Some((cluster, _))) = (&task.container_instance, cluster_and_id(&task.arn)) else {
        return Ok(None);
    };
    let ec2_instance = places.ec2_instance(cluster, container_instance, deadline).await?;
    let ip = match notes.host_address {
        Some(address) => Some(address),
        // An external instance is none of EC2's.
        None if !ec2_instance.starts_with("i-") => None,
        None => match places.addresses_of_instance(&ec2_instance, deadline).await {
            Ok(addresses) => addresses.pick(notes.public),
            // A target group needs no address: only who goes there directly does.
            Err(failure) if !notes.public && !failure.code.is_passing() => {
                tracing::warn!(instance = ec2_instance, error = %failure.message, "the host's address is not known");
                None
            }
            Err(failure) => return Err(failure),
        },
    };
    Ok(Some(Endpoint::Host { ec2_instance, ip, port }))
}

#[cfg(test)]
mod tests {
    use super::super::seen::{Binding, SeenContainer};
    use super::*;

    #[test]
    fn a_binding_is_taken_from_the_container_that_is_routed_to() {
        let container = |name: &str, host| SeenContainer {
            name: name.into(),
            bindings: vec![Binding { container: 80, host }],
            ..SeenContainer::default()
        };
        let task = Seen {
            containers: vec![container("proxy", 40_000), container("web", 40_001)],
            ..Seen::default()
        };
        let notes = |container: Option<&str>| Notes {
            container: container.map(str::to_owned),
            ..Notes::default()
        };
        assert_eq!(bound(&task, &notes(Some("web")), 80), Some(40_001));
        assert_eq!(bound(&task, &notes(None), 80), Some(40_000));
        assert_eq!(bound(&task, &notes(Some("web")), 81), None);
    }
}
