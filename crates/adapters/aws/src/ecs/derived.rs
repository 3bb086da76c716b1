//! Static host ports: RunTask cannot set a port mapping, so a port that Wharf leased needs a task definition that names it. It is derived
//! from the service's own, once for each revision and port, and found again by its family's name.

use aws_sdk_ecs::types::PortMapping;
use std::sync::Arc;
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use super::{
    definitions::{Definition, Definitions, NetworkMode},
    marks::tag,
    shape::{Shape, is_reserved},
};
use crate::{Clients, Governor, once::Once, operations::Operation};

/// What stands between a family's name and what is derived from it: `<family>-wharf-<revision>-<port>`.
pub(crate) const MARK: &str = "-wharf-";
/// On a derived definition: the ARN of the revision that it is derived from.
const BASE_TAG: &str = "wharf:base";
/// ECS's bound.
const FAMILY_MAX: usize = 255;
/// Derived definitions that are remembered.
const MOST: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Derived {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    /// ARNs, by the base's and the port.
    known: Once<(String, u16), String>,
}

impl Derived {
    pub(crate) fn new(clients: Arc<Clients>, governor: Arc<Governor>) -> Self {
        Self {
            clients,
            governor,
            known: Once::new(MOST, None),
        }
    }

    /// The ARN of the definition to run where the container is to have this port of its host.
    pub(crate) async fn with_port(
        &self,
        base: &Arc<Definition>,
        shape: &Shape,
        port: u16,
        definitions: &Definitions,
        deadline: Instant,
    ) -> Result<String, Failure> {
        check(base, shape, port)?;
        if shape.network == NetworkMode::Host || shape.host_port == Some(port) {
            return Ok(base.arn.clone());
        }
        let family = family(base, port)?;
        let ask = async || match definitions.describe(&family, deadline).await? {
            Some((found, tags)) => own(&found, &tags, base, &family),
            None => self.register(base, shape, port, &family, deadline).await,
        };
        self.known.get((base.arn.clone(), port), ask).await
    }

    async fn register(
        &self,
        base: &Definition,
        shape: &Shape,
        port: u16,
        family: &str,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let client = self.clients.ecs().await;
        let source = &base.source;
        let mut containers = source.container_definitions().to_vec();
        for container in &mut containers {
            if container.name.as_deref() == Some(shape.container.as_str()) {
                for mapping in container.port_mappings.iter_mut().flatten() {
                    set_host_port(mapping, shape.port, port);
                }
            }
        }
        let answer = self
            .governor
            .ask(Operation::EcsRegisterTaskDefinition, family, deadline, || {
                client
                    .register_task_definition()
                    .family(family)
                    .set_container_definitions(Some(containers.clone()))
                    .set_task_role_arn(source.task_role_arn.clone())
                    .set_execution_role_arn(source.execution_role_arn.clone())
                    .set_network_mode(source.network_mode.clone())
                    .set_volumes(source.volumes.clone())
                    .set_placement_constraints(source.placement_constraints.clone())
                    .set_requires_compatibilities(source.requires_compatibilities.clone())
                    .set_cpu(source.cpu.clone())
                    .set_memory(source.memory.clone())
                    .set_pid_mode(source.pid_mode.clone())
                    .set_ipc_mode(source.ipc_mode.clone())
                    .set_proxy_configuration(source.proxy_configuration.clone())
                    .set_ephemeral_storage(source.ephemeral_storage.clone())
                    .set_runtime_platform(source.runtime_platform.clone())
                    .set_enable_fault_injection(source.enable_fault_injection)
                    .tags(tag(BASE_TAG, base.arn.clone()))
                    .send()
            })
            .await?;
        let arn = answer
            .task_definition()
            .and_then(|definition| definition.task_definition_arn());
        arn.map(str::to_owned).ok_or_else(|| {
            Failure::new(
                Code::AwsUnavailable,
                format!("ECS registered {family} and did not say as what"),
            )
        })
    }
}

/// Whether the port can be had at all.
fn check(base: &Definition, shape: &Shape, port: u16) -> Result<(), Failure> {
    if is_reserved(port) {
        return Err(Failure::new(
            Code::ConfigInvalid,
            format!("port {port} is one that container instances keep for themselves"),
        )
        .hint("choose a range without 22, 2375, 2376 and 51678 to 51680"));
    }
    match shape.network {
        NetworkMode::Awsvpc => Err(Failure::new(
            Code::ConfigInvalid,
            format!(
                "tasks of {} have addresses of their own (awsvpc): a leased host port means nothing to them",
                base.name()
            ),
        )
        .hint("set the service's `port` to { kind = \"dynamic\" }, or use the network mode `bridge`")),
        NetworkMode::Host if shape.port != port => Err(Failure::new(
            Code::ConfigInvalid,
            format!(
                "tasks of {} use their host's ports as they are (host): they listen on {}, and not on the leased {port}",
                base.name(),
                shape.port
            ),
        )
        .hint("use the network mode `bridge`, in which the host's port can be another one")),
        _ => Ok(()),
    }
}

fn family(base: &Definition, port: u16) -> Result<String, Failure> {
    let family = format!("{}{MARK}{}-{port}", base.family, base.revision);
    if family.len() > FAMILY_MAX {
        return Err(Failure::new(
            Code::ConfigInvalid,
            format!(
                "the family's name {} is too long to derive another one from it",
                base.family
            ),
        )
        .hint(format!("a derived family, {family}, may have {FAMILY_MAX} characters")));
    }
    Ok(family)
}

/// What has the name has to be what was derived.
fn own(found: &Definition, tags: &[(String, String)], base: &Definition, family: &str) -> Result<String, Failure> {
    let of = tags
        .iter()
        .find(|(key, _)| key == BASE_TAG)
        .map(|(_, base)| base.as_str());
    if of == Some(base.arn.as_str()) {
        return Ok(found.arn.clone());
    }
    Err(Failure::new(
        Code::ResourceForeign,
        format!(
            "the task definition {family} is there and was not derived from {} by Wharf",
            base.name()
        ),
    )
    .hint(format!("deregister {family}, or rename the family {}", base.family)))
}

fn set_host_port(mapping: &mut PortMapping, container_port: u16, host_port: u16) {
    if mapping.container_port == Some(i32::from(container_port)) {
        mapping.host_port = Some(i32::from(host_port));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::definitions::tests::definition, super::shape::Placement, *};

    fn shape(network: NetworkMode) -> Shape {
        Shape {
            container: "web".into(),
            port: 8000,
            host_port: None,
            network,
            placement: Placement::Ec2,
        }
    }

    #[test]
    fn a_leased_port_has_to_be_one_that_the_task_can_have() {
        let base = definition(None, &[("web", true, &[(8000, 0)])]);
        assert!(check(&base, &shape(NetworkMode::Bridge), 8001).is_ok());
        assert!(check(&base, &shape(NetworkMode::Host), 8000).is_ok());
        for (network, port) in [
            (NetworkMode::Awsvpc, 8000),
            (NetworkMode::Host, 8001),
            (NetworkMode::Bridge, 22),
            (NetworkMode::Bridge, 51_679),
        ] {
            let failure = check(&base, &shape(network), port).expect_err("it cannot");
            assert_eq!(failure.code, Code::ConfigInvalid, "{network:?} {port}");
            assert!(failure.hint.is_some());
        }
    }

    #[test]
    fn a_derived_family_names_revision_and_port() {
        let base = definition(None, &[]);
        assert_eq!(family(&base, 8001).expect("short"), "shop-wharf-3-8001");
        let mut long = base;
        long.family = "x".repeat(250);
        assert!(family(&long, 8001).is_err());
    }

    #[test]
    fn another_s_definition_of_that_name_is_not_run() {
        let base = definition(None, &[]);
        let found = definition(None, &[]);
        let tags = [(BASE_TAG.to_owned(), base.arn.clone())];
        assert!(own(&found, &tags, &base, "shop-wharf-3-8001").is_ok());
        let failure = own(&found, &[], &base, "shop-wharf-3-8001").expect_err("not ours");
        assert_eq!(failure.code, Code::ResourceForeign);
    }
}
