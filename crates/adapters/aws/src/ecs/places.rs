//! Where tasks are: the EC2 instance behind a container instance, and the addresses of both kinds of hosts and interfaces. Each is asked for
//! once. What a task's endpoint is made of is decided in `endpoint.rs`.

use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use crate::{Clients, Governor, ec2::Ec2, once::Once, operations::Operation};

/// Hosts and interfaces that are remembered.
const MOST: usize = 10_000;
/// A stopped instance that is started again has another public address.
const ADDRESSES_KEPT_FOR: Duration = Duration::from_mins(10);

/// A private address, and a public one where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) private: Option<IpAddr>,
    pub(crate) public: Option<IpAddr>,
}

impl Addresses {
    /// The one that visitors reach, or the one that Wharf reaches best.
    pub(crate) fn pick(self, public: bool) -> Option<IpAddr> {
        if public {
            self.public.or(self.private)
        } else {
            self.private.or(self.public)
        }
    }
}

#[derive(Debug)]
pub(crate) struct Places {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    ec2: Ec2,
    hosts: Once<String, String>,
    instances: Once<String, Addresses>,
    interfaces: Once<String, Addresses>,
}

impl Places {
    pub(crate) fn new(clients: Arc<Clients>, governor: Arc<Governor>, ec2: Ec2) -> Self {
        Self {
            clients,
            governor,
            ec2,
            hosts: Once::new(MOST, None),
            instances: Once::new(MOST, Some(ADDRESSES_KEPT_FOR)),
            interfaces: Once::new(MOST, Some(ADDRESSES_KEPT_FOR)),
        }
    }

    /// The EC2 instance that a container instance is on; of an external one, its id at Systems Manager.
    pub(crate) async fn ec2_instance(
        &self,
        cluster: &str,
        container_instance: &str,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let ask = async || {
            let client = self.clients.ecs().await;
            let operation = Operation::EcsDescribeContainerInstances;
            let answer = self
                .governor
                .ask(operation, container_instance, deadline, || {
                    client
                        .describe_container_instances()
                        .cluster(cluster)
                        .container_instances(container_instance)
                        .send()
                })
                .await?;
            let found = answer
                .container_instances()
                .iter()
                .find_map(|instance| instance.ec2_instance_id());
            found.map(str::to_owned).ok_or_else(|| {
                Failure::new(
                    Code::TaskLost,
                    format!(
                        "the container instance {container_instance} that runs the task is not registered any more"
                    ),
                )
            })
        };
        self.hosts.get(container_instance.to_owned(), ask).await
    }

    pub(crate) async fn addresses_of_instance(&self, id: &str, deadline: Instant) -> Result<Addresses, Failure> {
        let ask = async || {
            let found = self.ec2.instances(&[id], deadline).await?;
            let instance = found.into_iter().find(|instance| instance.id == id);
            let instance =
                instance.ok_or_else(|| Failure::new(Code::TaskLost, format!("the EC2 instance {id} is gone")))?;
            Ok(Addresses {
                private: instance.private_address,
                public: instance.public_address,
            })
        };
        self.instances.get(id.to_owned(), ask).await
    }

    pub(crate) async fn addresses_of_interface(&self, id: &str, deadline: Instant) -> Result<Addresses, Failure> {
        let ask = async || {
            let found = self.ec2.network_interfaces(&[id], deadline).await?;
            let interface = found.into_iter().find(|interface| interface.id == id);
            let interface = interface
                .ok_or_else(|| Failure::new(Code::TaskLost, format!("the task's network interface {id} is gone")))?;
            Ok(Addresses {
                private: interface.private_address,
                public: interface.public_address,
            })
        };
        self.interfaces.get(id.to_owned(), ask).await
    }
}
